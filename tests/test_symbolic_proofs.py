"""Each method of proof on true, false and undecidable claims, and on traps."""

from __future__ import annotations

import pytest
import sympy as sp

from vaelib.symbolic.algebra import positive, real
from vaelib.symbolic.proofs import (
    LOG_TANGENT,
    SQUARE,
    All,
    AtLeast,
    ConstantInZ,
    ConvexMinimum,
    Equal,
    Extremum,
    Limit,
    Term,
    Verdict,
)

PROVED, REFUTED, UNKNOWN = Verdict.PROVED, Verdict.REFUTED, Verdict.UNKNOWN
a, b, q, t = positive("a b q t")
x, z = real("x z")
minus = sp.Symbol("n", negative=True)
whole = sp.Symbol("k", integer=True, positive=True)
g, r = sp.Function("g")(x), sp.Function("r", positive=True)(z)
zero = sp.sin(a) ** 2 + sp.cos(a) ** 2 - 1  # which no rational normal form sees
normal = sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)
log_ab = sp.log(a * b)


def equal(*cases, **domain):
    return Equal(cases, **domain)


EQUAL = {
    "logarithms": (equal((log_ab, sp.log(a) + sp.log(b))), PROVED),
    "powers": (equal((sp.log(a**3 / b), 3 * sp.log(a) - sp.log(b))), PROVED),
    "by simplify": (equal((zero, 0)), PROVED),
    "arbitrary functions": (equal((g * (g + 1), g**2 + g)), PROVED),
    "a negative symbol": (equal((sp.Abs(minus), -minus)), PROVED),
    "a whole symbol": (equal((sp.cos(2 * sp.pi * whole), 1)), PROVED),
    "false": (equal((log_ab, sp.log(a) - sp.log(b))), REFUTED),
    "false in the second case": (equal((a, a), (a, b)), REFUTED),
    "false by a little": (equal((a, a + sp.Rational(1, 10**20))), REFUTED),
    "real is not imaginary": (equal((sp.I * a, a)), REFUTED),
    "only for small a": (equal((sp.Abs(a - 1), 1 - a)), REFUTED),
    "undecided": (equal((g, x)), UNKNOWN),
    "no case": (equal(), UNKNOWN),
    "floats": (equal((sp.Float(1) + sp.Float("1e-20"), sp.Integer(1))), UNKNOWN),
    "float in the middle": (equal((sp.Float(0.5) * a, a / 2)), UNKNOWN),
    "nowhere defined": (equal((1 / zero, 1 / zero)), UNKNOWN),
    "logarithm of nothing": (equal((sp.log(zero), sp.log(zero))), UNKNOWN),
    "not a number": (equal((sp.nan, sp.nan)), UNKNOWN),
    "infinities": (equal((sp.oo, sp.oo)), UNKNOWN),
    "true in its domain alone": (
        equal((sp.sqrt((a - 1) ** 2), 1 - a), domain={a: (0, 1)}),
        UNKNOWN,
    ),
}

CONSTANT = {
    "true": (ConstantInZ(sp.log(a * sp.exp(z)) - z, z, sp.log(a)), PROVED),
    "another value": (ConstantInZ(a + z - z, z, 2 * a), REFUTED),
    "not constant": (ConstantInZ(a + z**2, z, a), REFUTED),
    "constant but for a step": (
        ConstantInZ(sp.Abs(z) / z, z, 1, sp.Integer(1)),
        REFUTED,
    ),
    "a step far away": (
        ConstantInZ(sp.Abs(z - 9) / (z - 9), z, sp.Integer(-1)),
        UNKNOWN,
    ),
    "another step": (
        ConstantInZ(sp.atan(z - 9) + sp.atan(1 / (z - 9)), z, -sp.pi / 2),
        UNKNOWN,
    ),
    "undecided": (ConstantInZ(r, z, a), UNKNOWN),
    "nowhere defined": (ConstantInZ(1 / zero, z, 1 / zero), UNKNOWN),
}

LOG_GAP = t - 1 - sp.log(t)
CONVEX = {
    "the tangent of the logarithm": (LOG_TANGENT, PROVED),
    "upside down": (ConvexMinimum(-LOG_GAP, t, 1), REFUTED),
    "another constant": (ConvexMinimum(LOG_GAP - 1, t, 1), REFUTED),
    "the minimum elsewhere": (ConvexMinimum(LOG_GAP, t, 2), UNKNOWN),
    "not tangent": (ConvexMinimum(t, t, 0), UNKNOWN),
    "no positive curvature": (ConvexMinimum((t - 1) ** 4, t, 1), UNKNOWN),
    "curvature zero": (ConvexMinimum(sp.Integer(0), t, 1), UNKNOWN),
    "a concave piece": (
        ConvexMinimum((t - 1) ** 2 * sp.exp(-t), t, 1),
        UNKNOWN,
    ),
    "floats": (ConvexMinimum(LOG_GAP + sp.Float("1e-30"), t, 1), UNKNOWN),
    "a kink": (ConvexMinimum(sp.Abs(t - 5) * (t - 1) ** 2, t, 1), UNKNOWN),
    "a minimum that is not allowed": (ConvexMinimum((t + 1) ** 2, t, -1), UNKNOWN),
    "true on the positive axis, whatever else": (
        ConvexMinimum(z * sp.log(z) - z + 1, z, 1),
        UNKNOWN,
    ),
}


def at_least(left, right, *terms, **options):
    return AtLeast([(left, right)], [terms] if terms else (), **options)


TANGENT = Term(a, LOG_TANGENT, b)
TANGENT_CASE = (a * (b - 1), a * sp.log(b))
AT_LEAST = {
    "a tangent": (at_least(*TANGENT_CASE, TANGENT), PROVED),
    "a square": (at_least(x**2, 2 * x - 1, Term(1, SQUARE, x - 1)), PROVED),
    "reversed": (at_least(*TANGENT_CASE[::-1], TANGENT), REFUTED),
    "no certificate": (at_least(*TANGENT_CASE), UNKNOWN),
    "a wrong certificate": (
        at_least(*TANGENT_CASE, Term(2 * a, LOG_TANGENT, b)),
        UNKNOWN,
    ),
    "a negative weight": (
        at_least(0, -((x - 1) ** 2), Term(2, SQUARE, x - 1), Term(-1, SQUARE, x - 1)),
        UNKNOWN,
    ),
    "a weight without sign": (at_least(g * x**2, 0, Term(g, SQUARE, x)), UNKNOWN),
    "an argument without sign": (
        at_least(g - 1, sp.log(g), Term(1, LOG_TANGENT, g)),
        UNKNOWN,
    ),
    "the square of an imaginary number": (
        at_least(-(a**2), -2 * a**2, Term(1, SQUARE, sp.I * a)),
        UNKNOWN,
    ),
    "a base that is not non-negative": (
        at_least(b - 3, 0, Term(1, ConvexMinimum(t - 3, t, 3), b), domain={b: (4, 5)}),
        UNKNOWN,
    ),
    "no case": (AtLeast([]), UNKNOWN),
    "certificates for nothing": (AtLeast([], [[TANGENT]]), UNKNOWN),
    "one certificate for two cases": (
        AtLeast([TANGENT_CASE, TANGENT_CASE], [[TANGENT]]),
        UNKNOWN,
    ),
    "strictly, and false at a point": (
        at_least(*TANGENT_CASE, TANGENT, strict=True, points=[{a: 1, b: 1}]),
        REFUTED,
    ),
    "strictly is never proved": (at_least(a + b, a, TANGENT, strict=True), UNKNOWN),
    "false at a given point": (
        at_least(sp.Abs(x - sp.Rational(1, 3)), g, points=[{x: 0}]),
        UNKNOWN,
    ),
    "false at one point in a million": (
        at_least((x - 1) ** 2, sp.Rational(1, 10**12), points=[{x: 1}]),
        REFUTED,
    ),
    "a point without a value": (
        at_least(sp.log(a) / (a - 1), 0, strict=True, points=[{a: 1}]),
        UNKNOWN,
    ),
    "a point where the sides are not real": (
        at_least(sp.log(a - 4), -10, points=[{a: 1}]),
        UNKNOWN,
    ),
    "equal sides": (AtLeast([(a, a)], [[]]), PROVED),
}


def extremum(solution=r, kind="maximum", densities=(r,), factor=1):
    return Extremum(
        integrand=factor * q * (sp.log(b * r) - sp.log(q)),
        q=q,
        z=z,
        solution=solution,
        kind=kind,
        densities=densities,
        instance={r: normal},
    )


EXTREMUM = {
    "true": (extremum(), PROVED),
    "a minimum": (extremum(kind="minimum"), REFUTED),
    "the wrong mass": (extremum(b * r), REFUTED),
    "half the mass": (extremum(r / 2), REFUTED),
    "another density": (extremum(sp.sqrt(r)), REFUTED),
    "a density nobody promised": (extremum(densities=()), UNKNOWN),
    "upside down": (extremum(factor=-1), REFUTED),
    "linear in q": (
        Extremum(q * sp.log(r), q, z, r, "maximum", [r], {r: normal}),
        REFUTED,
    ),
    "no curvature": (Extremum(q * b, q, z, r, "maximum", [r], {r: normal}), UNKNOWN),
    "a worked-out density": (
        Extremum(-q * sp.log(q) - q * z**2 / 2, q, z, normal, "maximum"),
        PROVED,
    ),
    "a worked-out function of mass two": (
        Extremum(-q * sp.log(q) - q * z**2 / 2, q, z, 2 * normal, "maximum"),
        REFUTED,
    ),
    "negative somewhere": (
        Extremum(-((q - z * normal) ** 2), q, z, z * normal + r, "maximum", [r]),
        UNKNOWN,
    ),
}

LIMITS = {
    "true": (Limit(t * sp.log(t), t, 0, 0), PROVED),
    "infinite": (Limit(-sp.log(t / a), t, 0, sp.oo), PROVED),
    "at infinity": (Limit((1 + a / t) ** t, t, sp.oo, sp.exp(a)), PROVED),
    "another value": (Limit(t * sp.log(t), t, 0, 1), REFUTED),
    "infinite, not finite": (Limit(sp.log(t), t, 0, 0), REFUTED),
    "finite, not infinite": (Limit(t * sp.log(t), t, 0, sp.oo), REFUTED),
    "the other infinity": (Limit(sp.log(t), t, 0, sp.oo), REFUTED),
    "claimed not to exist": (Limit(t * sp.log(t), t, 0, sp.nan), REFUTED),
    "floats": (Limit(t + sp.Float("1e-30"), t, 0, 0), UNKNOWN),
    "oscillating": (Limit(sp.sin(1 / t), t, 0, 0), UNKNOWN),
    "oscillating, as claimed": (Limit(sp.sin(1 / t), t, 0, sp.nan), UNKNOWN),
}

true, false, open_ = equal((a, a)), equal((a, b)), equal((g, x))
ALL = {
    "all true": (All([true, LOG_TANGENT]), PROVED),
    "one false": (All([true, open_, false]), REFUTED),
    "one undecided": (All([true, open_]), UNKNOWN),
    "nothing": (All([]), UNKNOWN),
}

CLAIMS = [
    pytest.param(claim, verdict, id=f"{method}: {name}")
    for method, claims in (
        ("equal", EQUAL),
        ("constant", CONSTANT),
        ("convex", CONVEX),
        ("at least", AT_LEAST),
        ("extremum", EXTREMUM),
        ("limit", LIMITS),
        ("all", ALL),
    )
    for name, (claim, verdict) in claims.items()
]


@pytest.mark.parametrize("claim, verdict", CLAIMS)
def test_verdict(claim, verdict):
    assert claim.verdict() is verdict


def test_a_verdict_is_the_same_every_time():
    claim = at_least(*TANGENT_CASE[::-1])
    assert {claim.verdict() for _ in range(3)} == {REFUTED}


def test_points_must_be_admissible():
    with pytest.raises(ValueError, match="a: expected a .* value, got 0"):
        at_least(a, 0, strict=True, points=[{a: 0}]).verdict()
    with pytest.raises(ValueError, match="a: expected a .* value, got -"):
        equal((a, b), domain={a: (-2, -1)}).verdict()
    with pytest.raises(ValueError, match="t: expected a .* value, got 0"):
        ConstantInZ(a + t - t, t, a).verdict()


def test_an_extremum_is_a_maximum_or_a_minimum():
    with pytest.raises(
        ValueError, match="kind: expected maximum or minimum, got 'max'"
    ):
        extremum(kind="max")


def test_methods_are_named_and_cases_given():
    both = All([true, LOG_TANGENT, true])
    assert both.method == "reduced to zero; sign of the second derivative"
    assert list(both.cases) == [(a, a), (LOG_TANGENT.f, 0), (a, a)]
