"""Methods of proof. Each holds a claim and returns a verdict: proved, refuted or unknown.

A claim is *proved* by algebra that holds for all values of its symbols, *refuted* by one
admissible point at which it is false, and otherwise *unknown*, which nobody may count as a
success.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

import sympy as sp

from vaelib.symbolic.algebra import (
    NONZERO,
    Domain,
    evaluate,
    is_zero,
    random_point,
)

Case = tuple[sp.Expr, sp.Expr]  # left and right side
Point = dict[sp.Symbol, sp.Expr]


class Verdict(Enum):
    PROVED = "proved"
    REFUTED = "refuted"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Equal:
    """left = right in every case: the difference is reduced to zero.

    Cases are instances of one statement, such as supports of two, three and four states.
    """

    cases: Sequence[Case]
    domain: Domain = field(default_factory=dict)
    method = "reduced to zero"

    def verdict(self) -> Verdict:
        differences = [left - right for left, right in self.cases]
        if any(_differs(d, self.domain) for d in differences):
            return Verdict.REFUTED
        return _proved_if(all(is_zero(d) for d in differences))


@dataclass(frozen=True)
class ConstantInZ:
    """f(z) = value for every z: the derivative in z is zero, and f equals it at one z."""

    f: sp.Expr
    z: sp.Symbol
    value: sp.Expr
    at: sp.Expr = sp.Integer(0)
    method = "constant in z, equal at one point"

    @property
    def cases(self) -> Sequence[Case]:
        return [(self.f, self.value)]

    def verdict(self) -> Verdict:
        if _differs(self.f - self.value, {}):
            return Verdict.REFUTED
        flat = is_zero(sp.diff(self.f, self.z))
        return _proved_if(flat and is_zero(self.f.subs(self.z, self.at) - self.value))


@dataclass(frozen=True)
class Term:
    """weight · base(argument), non-negative since weight ≥ 0 and base ≥ 0."""

    weight: sp.Expr
    base: ConvexMinimum | Square
    argument: sp.Expr

    def expression(self) -> sp.Expr:
        return self.weight * self.base.at(self.argument)

    def is_nonnegative(self) -> bool:
        weight = sp.sympify(self.weight)
        return bool(weight.is_nonnegative) and self.base.holds_for(self.argument)


@dataclass(frozen=True)
class ConvexMinimum:
    """f(t) ≥ 0 for all t > 0: f and f′ vanish at a point, and f″ > 0 everywhere."""

    f: sp.Expr
    t: sp.Symbol
    minimum: sp.Expr
    method = "sign of the second derivative"

    @property
    def cases(self) -> Sequence[Case]:
        return [(self.f, sp.Integer(0))]

    def at(self, argument: sp.Expr) -> sp.Expr:
        return self.f.subs(self.t, argument)

    def holds_for(self, argument: sp.Expr) -> bool:
        positive = bool(sp.sympify(argument).is_positive)
        return positive and self.verdict() is Verdict.PROVED

    def verdict(self) -> Verdict:
        if _find(self.f, {}, lambda v: v < -NONZERO):
            return Verdict.REFUTED
        first = sp.diff(self.f, self.t)
        second = sp.simplify(sp.diff(first, self.t))
        touches = is_zero(self.at(self.minimum))
        flat = is_zero(first.subs(self.t, self.minimum))
        return _proved_if(touches and flat and bool(second.is_positive))


@dataclass(frozen=True)
class Square:
    """t² ≥ 0 for real t."""

    def at(self, argument: sp.Expr) -> sp.Expr:
        return argument**2

    def holds_for(self, argument: sp.Expr) -> bool:
        return bool(sp.sympify(argument).is_real)


_t = sp.Symbol("t", positive=True)
LOG_TANGENT = ConvexMinimum(_t - 1 - sp.log(_t), _t, sp.Integer(1))  # log t ≤ t − 1
SQUARE = Square()


@dataclass(frozen=True)
class AtLeast:
    """left ≥ right (or >) in every case, by a certificate.

    A certificate writes left − right as a sum of terms that are non-negative one by one;
    the equation is reduced to zero and each term's sign is checked. A point where the
    relation fails refutes; `points` are tried besides random ones, for the strict relation
    fails only where the sides are equal.
    """

    cases: Sequence[Case]
    certificates: Sequence[Sequence[Term]] = ()
    strict: bool = False
    domain: Domain = field(default_factory=dict)
    points: Sequence[Point] = ()
    method = "sum of non-negative terms"

    def verdict(self) -> Verdict:
        gaps = [left - right for left, right in self.cases]
        if any(self._fails(gap) for gap in gaps):
            return Verdict.REFUTED
        if self.strict or len(self.certificates) != len(gaps):
            return Verdict.UNKNOWN
        return _proved_if(
            all(
                is_zero(gap - sum(t.expression() for t in terms))
                and all(t.is_nonnegative() for t in terms)
                for gap, terms in zip(gaps, self.certificates, strict=True)
            )
        )

    def _fails(self, gap: sp.Expr) -> bool:
        for point in self.points:
            if set(point) >= gap.free_symbols:
                value = evaluate(gap, point)
                if value < -NONZERO or (self.strict and is_zero(gap.subs(point))):
                    return True
        return _find(gap, self.domain, lambda value: value < -NONZERO)


@dataclass(frozen=True)
class Extremum:
    """∫ L(q(z), z) dz with ∫ q = 1 is extremal at q = solution: calculus of variations.

    Three checks: the solution integrates to one by construction (`mass`, an expression for
    its integral, reduces to one); on it the functional derivative ∂L/∂q is constant in z,
    as the Lagrange condition ∂L/∂q = λ demands; and the second variation, the integral of
    ∂²L/∂q² · η², has one sign for every disturbance η, since ∂²L/∂q² has that sign for
    every positive q. The last makes the functional convex (concave), so that the
    stationary point is its only minimum (maximum).

    Args:
        integrand: L, an expression in `q` and in functions of z.
        q: the symbol that stands for q(z).
        z: the variable of integration.
        solution: the claimed extremal function.
        mass: the integral of the solution.
        kind: "maximum" or "minimum".
        instance: concrete functions for the undefined ones, used only to refute.
    """

    integrand: sp.Expr
    q: sp.Symbol
    z: sp.Symbol
    solution: sp.Expr
    mass: sp.Expr
    kind: str
    instance: dict = field(default_factory=dict)
    method = "functional derivative and second variation"

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
        missing = sp.sympify(self.mass).subs(self.instance).doit() - 1
        if other or _differs(concrete, {}) or _differs(missing, {}):
            return Verdict.REFUTED
        return _proved_if(bool(right) and is_zero(change) and is_zero(self.mass - 1))


@dataclass(frozen=True)
class Limit:
    """The limit of f as t tends to a point is the value (which may be infinite)."""

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
        if found.has(sp.Limit):
            return Verdict.UNKNOWN
        if found == self.value or is_zero(found - self.value):
            return Verdict.PROVED
        infinite = found.is_infinite or self.value.is_infinite
        if infinite or _differs(found - self.value, {}):
            return Verdict.REFUTED
        return Verdict.UNKNOWN


@dataclass(frozen=True)
class All:
    """Every part holds: proved if all are, refuted if one is."""

    parts: Sequence

    @property
    def cases(self) -> Sequence[Case]:
        return [case for part in self.parts for case in part.cases]

    @property
    def method(self) -> str:
        return "; ".join(dict.fromkeys(part.method for part in self.parts))

    def verdict(self) -> Verdict:
        verdicts = {part.verdict() for part in self.parts}
        if Verdict.REFUTED in verdicts:
            return Verdict.REFUTED
        return _proved_if(verdicts == {Verdict.PROVED})


def _proved_if(condition: bool) -> Verdict:
    return Verdict.PROVED if condition else Verdict.UNKNOWN


def _differs(difference: sp.Expr, domain: Domain) -> bool:
    return _find(difference, domain, lambda v: abs(v) > NONZERO, tries=3)


def _find(expression: sp.Expr, domain: Domain, bad, tries: int = 40) -> bool:
    """Whether a random admissible point makes the value bad; seeded, so repeatable."""
    rng = random.Random(0)
    symbols = sp.sympify(expression).free_symbols
    for _ in range(tries):
        value = evaluate(expression, random_point(symbols, rng, domain))
        if value.is_number and value.is_real and bad(value):
            return True
    return False
