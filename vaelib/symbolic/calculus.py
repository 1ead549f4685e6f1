"""Methods of proof that need analysis: the calculus of variations, and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import sympy as sp
from sympy.core.function import AppliedUndef

from vaelib.symbolic.algebra import is_zero
from vaelib.symbolic.points import differs, is_arbitrary
from vaelib.symbolic.verdict import Case, Verdict, proved_if

SMOOTH = (sp.exp, sp.log, sp.erf, sp.sin, sp.cos)


def is_smooth(expression: sp.Expr, z: sp.Symbol) -> bool:
    """Whether z goes only through functions without steps: no modulus, no cases.

    An arbitrary function is assumed to have the derivatives that are taken of it. What
    holds a float is refused: it may vanish by rounding.
    """
    expression = sp.sympify(expression)
    if expression.has(sp.Float):
        return False
    functions = expression.atoms(sp.Function)
    return all(isinstance(f, SMOOTH) or is_arbitrary(f) for f in functions if f.has(z))


@dataclass(frozen=True)
class Extremum:
    """∫ L(q(z), z) dz with ∫ q = 1 is extremal at q = solution: calculus of variations.

    Three checks: the solution is positive and integrates to one; on it the functional
    derivative ∂L/∂q is constant in z, as the Lagrange condition ∂L/∂q = λ demands; and
    the second variation, the integral of ∂²L/∂q² · η², has one sign for every
    disturbance η, since ∂²L/∂q² has that sign for every positive q. The last makes the
    functional convex (concave), so that the stationary point is its only minimum
    (maximum).

    Args:
        integrand: L, an expression in `q` and in functions of z.
        q: the symbol that stands for q(z), positive.
        z: the variable of integration, over the real line.
        solution: the claimed extremal function.
        kind: "maximum" or "minimum".
        densities: the undefined functions of z that are assumed to integrate to one.
            The integral of a solution without undefined functions is worked out.
        instance: concrete functions for the undefined ones, used only to refute.
    """

    integrand: sp.Expr
    q: sp.Symbol
    z: sp.Symbol
    solution: sp.Expr
    kind: str
    densities: Sequence[sp.Expr] = ()
    instance: dict = field(default_factory=dict)
    method = "functional derivative and second variation"

    def __post_init__(self):
        if self.kind not in ("maximum", "minimum"):
            raise ValueError(f"kind: expected maximum or minimum, got {self.kind!r}")

    @property
    def cases(self) -> Sequence[Case]:
        return [(self.q, self.solution)]

    def verdict(self) -> Verdict:
        slope = sp.diff(self.integrand, self.q).subs(self.q, self.solution)
        change = sp.diff(slope, self.z)
        curvature = sp.simplify(sp.diff(self.integrand, self.q, 2))
        right, other = curvature.is_positive, curvature.is_negative
        if self.kind == "maximum":
            right, other = other, right
        concrete = change.subs(self.instance).doit()
        mass = self._mass()
        wrong_mass = mass is not None and differs(mass - 1, {})
        if other or differs(concrete, {}) or wrong_mass:
            return Verdict.REFUTED
        density = mass is not None and is_zero(mass - 1)
        positive = bool(self.q.is_positive and self.solution.is_positive)
        flat = is_smooth(slope, self.z) and is_zero(change)
        return proved_if(bool(right) and density and positive and flat)

    def _mass(self) -> sp.Expr | None:
        """The solution's integral, or None if it is not known."""
        if not self.solution.atoms(AppliedUndef):
            return sp.integrate(self.solution, (self.z, -sp.oo, sp.oo))
        rest, mass = sp.expand(self.solution), sp.Integer(0)
        for density in self.densities:
            factor = rest.coeff(density)
            rest, mass = sp.expand(rest - factor * density), mass + factor
        known = rest == 0 and not mass.has(self.z, AppliedUndef)
        return mass if known else None


@dataclass(frozen=True)
class Limit:
    """The limit of f as t tends to a point from one side is the value, perhaps ±∞."""

    f: sp.Expr
    t: sp.Symbol
    to: sp.Expr
    value: sp.Expr
    side: str = "+"
    method = "limit"

    @property
    def cases(self) -> Sequence[Case]:
        return [(self.f, self.value)]

    def verdict(self) -> Verdict:
        found = sp.limit(self.f, self.t, self.to, self.side)
        value = sp.sympify(self.value)
        rounded = sp.sympify(self.f).has(sp.Float)
        if rounded or found.has(sp.Limit, sp.AccumBounds, sp.nan, sp.Float):
            return Verdict.UNKNOWN
        if value is sp.nan:  # a limit is claimed not to exist, and it does
            return Verdict.REFUTED
        if found == value or is_zero(found - value):
            return Verdict.PROVED
        if found.is_infinite or value.is_infinite or differs(found - value, {}):
            return Verdict.REFUTED
        return Verdict.UNKNOWN
