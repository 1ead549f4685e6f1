"""Methods of proof: each holds a claim and says proved, refuted or unknown.

A claim is *proved* by algebra that holds for all values of its symbols, *refuted* by
one admissible point at which it is false, and otherwise *unknown*, which nobody may
count as a success.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import sympy as sp

from vaelib.symbolic.algebra import is_zero
from vaelib.symbolic.calculus import Extremum, Limit, is_smooth
from vaelib.symbolic.points import (
    Domain,
    check_admissible,
    differs,
    find,
    is_defined,
    negative,
    number,
)
from vaelib.symbolic.verdict import Case, Verdict, proved_if

__all__ = [
    "LOG_TANGENT",
    "SQUARE",
    "All",
    "AtLeast",
    "ConstantInZ",
    "ConvexMinimum",
    "Equal",
    "Extremum",
    "Limit",
    "Square",
    "Term",
    "Verdict",
]

Point = dict[sp.Symbol, sp.Expr]


@dataclass(frozen=True)
class Equal:
    """left = right in every case: the difference is reduced to zero.

    Cases are instances of one statement, such as supports of two, three and four
    states. Both sides must have values, and there must be a case.
    """

    cases: Sequence[Case]
    domain: Domain = field(default_factory=dict)
    method = "reduced to zero"

    def verdict(self) -> Verdict:
        cases = [tuple(map(sp.sympify, case)) for case in self.cases]
        if any(differs(left - right, self.domain) for left, right in cases):
            return Verdict.REFUTED
        return proved_if(
            bool(cases)
            and all(is_zero(left - right, self.domain) for left, right in cases)
            and all(is_defined(*case, domain=self.domain) for case in cases)
        )


@dataclass(frozen=True)
class ConstantInZ:
    """f(z) = value for every z: f′ is zero, and f has the value at one z.

    Only for f made of functions that are smooth wherever they are defined; a step has a
    derivative of zero too.
    """

    f: sp.Expr
    z: sp.Symbol
    value: sp.Expr
    at: sp.Expr = sp.Integer(0)
    method = "constant in one variable, equal at one point"

    @property
    def cases(self) -> Sequence[Case]:
        return [(self.f, self.value)]

    def verdict(self) -> Verdict:
        if differs(self.f - self.value, {}, tries=10):
            return Verdict.REFUTED
        check_admissible({self.z: self.at})
        meets = is_zero(self.f.subs(self.z, self.at) - self.value)
        flat = is_smooth(self.f, self.z) and is_zero(sp.diff(self.f, self.z))
        return proved_if(flat and meets and is_defined(self.f, self.value, domain={}))


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
        if find(self.f, {self.t: (0, 3)}, negative):
            return Verdict.REFUTED
        minimum = sp.sympify(self.minimum)
        if not (minimum.is_positive and is_smooth(self.f, self.t)):
            return Verdict.UNKNOWN
        first = sp.diff(self.f, self.t)
        second = sp.simplify(sp.diff(first, self.t))
        touches, flat = is_zero(self.at(minimum)), is_zero(first.subs(self.t, minimum))
        return proved_if(touches and flat and bool(second.is_positive))


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

    A certificate writes left − right as a sum of terms that are non-negative one by
    one; the equation is reduced to zero and each term's sign is checked. A point where
    the relation fails refutes; `points` are tried besides random ones, for the strict
    relation fails only where the sides are equal. The strict relation is never proved.
    """

    cases: Sequence[Case]
    certificates: Sequence[Sequence[Term]] = ()
    strict: bool = False
    domain: Domain = field(default_factory=dict)
    points: Sequence[Point] = ()
    method = "sum of non-negative terms"

    def verdict(self) -> Verdict:
        gaps = [sp.sympify(left) - right for left, right in self.cases]
        if any(self._fails(gap) for gap in gaps):
            return Verdict.REFUTED
        if self.strict or len(self.certificates) != len(gaps):
            return Verdict.UNKNOWN
        return proved_if(
            bool(gaps)
            and all(
                is_zero(gap - sum(t.expression() for t in terms), self.domain)
                and is_defined(gap, domain=self.domain)
                and all(t.is_nonnegative() for t in terms)
                for gap, terms in zip(gaps, self.certificates, strict=True)
            )
        )

    def _fails(self, gap: sp.Expr) -> bool:
        for point in self.points:
            check_admissible(point)
            if set(point) >= gap.free_symbols:
                value = number(gap, point)
                if value is None:
                    continue
                if negative(value) or (self.strict and is_zero(gap.subs(point))):
                    return True
        return find(gap, self.domain, negative)


@dataclass(frozen=True)
class All:
    """Every part holds, and there is one: proved if all are, refuted if one is."""

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
        return proved_if(verdicts == {Verdict.PROVED})
