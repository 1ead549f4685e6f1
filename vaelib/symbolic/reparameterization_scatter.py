"""Where gradients scatter: identities of the chapter *The reparameterization trick*."""

from __future__ import annotations

from functools import cache

import sympy as sp
from sympy.simplify.fu import TR8

from vaelib.symbolic.algebra import positive, real, standard_normal_mean
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import All, Equal, Limit

HALF = sp.Rational(1, 2)
_theta, _eps = real("theta epsilon")
(_omega,) = positive("omega")
_density = sp.exp(-(_eps**2) / 2) / sp.sqrt(2 * sp.pi)


def _trigonometric_mean(f):
    """E[f(ε)] by integration; f made of sines, cosines and powers of ε."""
    total = sp.Integer(0)
    for term in sp.Add.make_args(sp.expand(sp.expand_trig(f))):
        outside, inside = term.as_independent(_eps)
        if inside.subs(_eps, -_eps) == inside:  # odd terms have the mean zero
            total += outside * _integral(TR8(inside))
    return TR8(sp.expand(total))


@cache
def _integral(inside):
    mean = sp.integrate(sp.expand(inside * _density), (_eps, -sp.oo, sp.oo))
    return sp.expand(sp.simplify(mean))


def _cos_estimators():
    """The two estimators of d/dθ E[cos ωz], z ~ N(θ, 1), and their mean."""
    angle = _omega * _theta + _omega * _eps
    path, score = -_omega * sp.sin(angle), sp.cos(angle) * _eps
    mean = -_omega * sp.exp(-(_omega**2) / 2) * sp.sin(_omega * _theta)
    return path, score, mean


def _cos_variance(power=2, slope=4, half=HALF):
    """At θ = 0, where the mean of both estimators is zero."""
    w, (path, score, _) = _omega, _cos_estimators()
    decay = sp.exp(-power * w**2)
    rights = w**2 * (1 - decay) * half, (1 + (1 - slope * w**2) * decay) * half
    lefts = [_trigonometric_mean(g.subs(_theta, 0) ** 2) for g in (path, score)]
    return Equal(list(zip(lefts, rights, strict=True)))


def _cos_difference(slope=3, wave=2, sign=1):
    """Unbiased both, for every θ; and the difference of their variances."""
    w, (path, score, mean) = _omega, _cos_estimators()
    decay = sp.exp(-2 * w**2) * sp.cos(wave * w * _theta)
    right = sign * (w**2 - 1 - (1 - slope * w**2) * decay) / 2
    second = [_trigonometric_mean(g**2) for g in (path, score)]
    pairs = [
        (second[0] - second[1], right),  # the squares of the means cancel
        (_trigonometric_mean(path), mean),
        (_trigonometric_mean(score), mean),
    ]
    return Equal(pairs)


def _cos_baseline(power=2, best=1):
    """b* and the variance it leaves, at θ = 0."""
    w, (_, score, _) = _omega, _cos_estimators()
    score = score.subs(_theta, 0)
    b = _trigonometric_mean(score * _eps)  # E[s²] = 1
    left = _trigonometric_mean((score - b * _eps) ** 2)
    decay = sp.exp(-2 * w**2)
    saved = (1 - w**2) ** power * sp.exp(-(w**2))
    right = (1 + (1 - 4 * w**2) * decay) / 2 - saved
    return Equal([(b, (1 - best * w**2) * sp.exp(-(w**2) / 2)), (left, right)])


def _rare_first(shift=0, mean="1/p"):
    """The first hit N of independent tries, with 1 − p = e^{−a}.

    P(N > 0) = 1, and P(N > n) falls by P(N = n + 1) = (1 − p)^n p from n to n + 1. The
    mean of N is the sum of P(N > n) over n = 0, 1, 2, …, here up to n − 1 and n → ∞.
    """
    (a, n) = positive("a n")
    miss = sp.exp(-a)
    p = 1 - miss

    def beyond(n):
        return sp.exp(-a * (n + shift))

    steps = [(beyond(n) - beyond(n + 1), sp.exp(-a * n) * p), (beyond(0), 1)]
    partial = (1 - sp.exp(-a * n)) / p
    for m in (1, 4):
        steps.append((sum(sp.exp(-a * k) for k in range(m)), partial.subs(n, m)))
    steps.append((partial.subs(n, n + 1) - partial, sp.exp(-a * n)))
    claimed = {"1/p": 1 / p, "(1 − p)/p": miss / p}[mean]
    return All([Equal(steps), Limit(partial, n, sp.oo, claimed)])


def _rare_share(factor=1, power=0):
    """Pareto, z > 1 with density α z^{−α−1}, α = 1 + a: the tail of the gradient.

    E[z] = α/(α − 1) has the slope −1/a², which is E[−z log z / α]. The claimed share of
    it has the right slope in t, is one at t = 1, and vanishes at infinity.
    """
    a, t, y = positive("a t y")
    share = (1 + factor * a * sp.log(t)) / t ** (a + power)
    whole = -sp.diff((1 + a) / a, a)
    tail = share * whole
    far = share.subs(t, sp.exp(y))  # y = log t
    return All(
        [
            Equal([(-sp.diff(tail, t), t ** (-a - 1) * sp.log(t))]),
            Equal([(share.subs(t, 1), sp.Integer(1)), (whole, a**-2)]),
            Limit(far, y, sp.oo, sp.Integer(0)),
        ]
    )


def _stl_variance(swap=False, power=4, cross=1):
    """Posterior N(m, s²), guide N(m + ds, r²s²), gradient in d and in log r."""
    d, e = real("d epsilon")
    (r,) = positive("r")
    u = d + r * e  # (z − m) / s
    guide = (e, sp.Integer(1)), (r * e * e / r, sp.Integer(1))
    landing = -u + guide[0][0] / r, -u * r * e + guide[1][0]
    total = -u, -u * r * e + guide[1][1]  # log q = −log r − ε²/2 − …, in terms of ε
    if swap:
        landing, total = total, landing

    def variance(g):
        mean = standard_normal_mean(g, [e])
        return standard_normal_mean((g - mean) ** 2, [e])

    lefts = [variance(g) for g in (*total, *landing)]
    rights = [
        r**2,
        cross * r**2 * d**2 + 2 * r**power,
        (r - 1 / r) ** 2,
        cross * r**2 * d**2 + 2 * (1 - r**2) ** 2,
    ]
    return Equal(list(zip(lefts, rights, strict=True)))


COSINE = "z ~ N(θ, 1) and f(z) = cos ωz; one sample"

COSINES: list[Identity] = [
    Identity(
        label="eq-cos-variance",
        statement=r"""\begin{aligned}
\Var[g_{\text{path}}] &= \tfrac12\, \omega^2 \big( 1 - e^{-2\omega^2} \big) \\
\Var[g_{\text{score}}] &= \tfrac12 \big( 1 + (1 - 4\omega^2)\, e^{-2\omega^2} \big)
\end{aligned}""",
        claim=_cos_variance,
        wrong={
            "the exponent of the mean, not of its double angle": {"power": HALF},
            "two for four in the derivative of the exponential": {"slope": 2},
            "the mean of sin² taken for one": {"half": 1},
        },
        assumptions=f"{COSINE}; at θ = 0",
    ),
    Identity(
        label="eq-cos-difference",
        statement=r"""\begin{gathered}
\Var[g_{\text{path}}] - \Var[g_{\text{score}}] \\
= \tfrac12 \Big( \omega^2 - 1
  - (1 - 3\omega^2)\, e^{-2\omega^2} \cos 2\omega\theta \Big)
\end{gathered}""",
        claim=_cos_difference,
        wrong={
            "four for three": {"slope": 4},
            "the single angle": {"wave": 1},
            "the difference turned round": {"sign": -1},
        },
        assumptions=f"{COSINE}; every θ",
    ),
    Identity(
        label="eq-cos-baseline",
        statement=r"""\begin{gathered}
b^* = (1 - \omega^2)\, e^{-\omega^2/2} \\
\Var[g_{b^*}] = \tfrac12 \big( 1 + (1 - 4\omega^2)\, e^{-2\omega^2} \big)
  - (1 - \omega^2)^2\, e^{-\omega^2}
\end{gathered}""",
        claim=_cos_baseline,
        wrong={
            "the baseline not squared": {"power": 1},
            "the mean of f": {"best": 0},
        },
        assumptions=f"{COSINE}; at θ = 0",
    ),
]

RARE: list[Identity] = [
    Identity(
        label="eq-rare-first",
        statement=r"P(N > n) = (1 - p)^n, \qquad \E[N] = \frac1p",
        claim=_rare_first,
        wrong={
            "one try too many": {"shift": -1},
            "the tries before the first hit": {"mean": "(1 − p)/p"},
        },
        assumptions="independent tries that hit with probability 0 < p < 1; N is the "
        "number of the first that does",
    ),
    Identity(
        label="eq-rare-share",
        statement=r"\frac{\E[z \log z;\; z > t]}{\E[z \log z]}"
        r" = \frac{1 + (\alpha - 1) \log t}{t^{\alpha - 1}}",
        claim=_rare_share,
        wrong={
            "the share of the mean, not of the gradient": {"factor": 0},
            "the probability's exponent": {"power": 1},
        },
        assumptions="P(z > t) = t^(−α) for t ≥ 1, α > 1",
    ),
]

STL_VARIANCE = Identity(
    label="eq-stl-variance",
    statement=r"""\begin{array}{lll}
 & \text{in } d & \text{in } \log r \\
\text{pathwise} & r^2 & r^2 d^2 + 2 r^4 \\
\text{sticking} & (r - 1/r)^2 & r^2 d^2 + 2 (1 - r^2)^2
\end{array}""",
    claim=_stl_variance,
    wrong={
        "the two estimators exchanged": {"swap": True},
        "the fourth power of r for the second": {"power": 2},
        "no scatter from the shift": {"cross": 0},
    },
    assumptions="posterior N(m, s²), guide N(m + ds, r²s²), one sample",
)
