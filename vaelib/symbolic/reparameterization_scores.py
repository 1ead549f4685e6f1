"""The score function and its baselines, in *The reparameterization trick*."""

from __future__ import annotations

from functools import cache

import sympy as sp

from vaelib.symbolic.algebra import (
    log_normal,
    mean,
    normal_mean,
    positive,
    probabilities,
    real,
    standard_normal_mean,
)
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import Equal

_z, _mu, _theta, _eps = real("z mu theta epsilon")
(_sigma,) = positive("sigma")
QUARTIC = sum(a * _z**k for k, a in enumerate(real("a0:5")))  # an arbitrary f(z)
LOG_Q = log_normal(_z, _mu, _sigma)
_square = (_theta + _eps) ** 2  # f(z) = z² at z = θ + ε


def integral(f):
    """E[f(z)] for z ~ N(μ, σ²) and a polynomial f, by integration over z."""
    moments = _moments()
    return sum(c * moments[k] for (k,), c in sp.Poly(f, _z).terms())


@cache
def _moments():
    density = sp.exp(-((_z - _mu) ** 2) / (2 * _sigma**2)) / sp.sqrt(2 * sp.pi) / _sigma
    whole = (_z, -sp.oo, sp.oo)
    return [sp.integrate(_z**k * density, whole, conds="none") for k in range(5)]


def _finite(n):
    """Any distribution on n states, its unnormalised weights, and arbitrary f."""
    return probabilities("q", n), positive(f"q1:{n + 1}"), real(f"f1:{n + 1}")


def _slope(expression, weight):
    """d/dφ where the weight is e^φ."""
    return sp.cancel(weight * sp.diff(expression, weight))


def _score(sign=1, of=sp.log, moving=0):
    """Every distribution on 2 and 3 states, and the Gaussian. f may move with φ."""
    cases = []
    for n in (2, 3):
        probs, weights, f = _finite(n)
        for a in weights[:2]:
            values = [v + moving * k * a for k, v in enumerate(f)]
            terms = [v * _slope(of(p), a) for v, p in zip(values, probs, strict=True)]
            cases.append((_slope(mean(probs, values), a), sign * mean(probs, terms)))
    for v in (_mu, _sigma):
        score = sp.diff(LOG_Q, v)
        right = sign * normal_mean(QUARTIC * score, _z, _mu, _sigma)
        cases.append((sp.diff(integral(QUARTIC), v), right))
    return Equal(cases)


def _baseline(moving=0, keep=1):
    """(f − b) ∇log q has the mean that f ∇log q has; unless b moves with z."""
    (b,), cases = real("b"), []
    for n in (2, 3):
        probs, weights, f = _finite(n)
        values = [keep * v - b - moving * k for k, v in enumerate(f)]
        for a in weights[:2]:
            scores = [_slope(sp.log(p), a) for p in probs]
            left = mean(probs, [v * s for v, s in zip(values, scores, strict=True)])
            cases.append((left, _slope(mean(probs, f), a)))
    for v in (_mu, _sigma):
        inside = (keep * QUARTIC - b - moving * _z) * sp.diff(LOG_Q, v)
        left = normal_mean(inside, _z, _mu, _sigma)
        cases.append((left, sp.diff(integral(QUARTIC), v)))
    return Equal(cases)


def _optimal(n):
    """Probabilities, values and scores of n states, ‖s‖², and E[f‖s‖²] / E‖s‖²."""
    probs, weights, f = _finite(n)
    scores = [[_slope(sp.log(p), a) for a in weights] for p in probs]
    norms = [sum(s**2 for s in row) for row in scores]
    best = mean(probs, [a * m for a, m in zip(f, norms, strict=True)])
    return probs, f, scores, norms, sp.cancel(best / mean(probs, norms))


def _baseline_optimal(best="weighted", cross=0):
    """The total variance is a parabola in b, with its minimum at b*."""
    (b,), cases = real("b"), []
    for n in (2, 3):
        probs, f, scores, norms, weighted = _optimal(n)
        top = weighted if best == "weighted" else mean(probs, f)

        def total(b, probs=probs, f=f, scores=scores):
            """The variances of (f − b) s, summed over the parameters."""
            variance = sp.Integer(0)
            for column in zip(*scores, strict=True):
                g = [(a - b) * s for a, s in zip(f, column, strict=True)]
                variance += mean(probs, [v**2 for v in g]) - mean(probs, g) ** 2
            return variance

        rise = ((b - top) ** 2 + cross * (b - top)) * mean(probs, norms)
        cases.append((total(b), total(top) + rise))
    return Equal(cases)


def _mean(f):
    return standard_normal_mean(f, [_eps])


def _score_square(linear=14, constant=15, mean=2):
    """Mean and variance of f(z) (z − θ) for f(z) = z²."""
    g = _square * _eps
    right = _theta**4 + linear * _theta**2 + constant
    return Equal([(_mean(g), mean * _theta), (_mean((g - _mean(g)) ** 2), right)])


def _pathwise_square(mean=2, variance=4):
    """Mean and variance of d/dθ f(θ + ε) for f(z) = z²."""
    g = sp.diff(_square, _theta)
    return Equal(
        [(_mean(g), mean * _theta), (_mean((g - _mean(g)) ** 2), sp.sympify(variance))]
    )


def _baseline_square(shift=3, constant=6):
    """b* = E[f s²] / E[s²] and the variance of (f − b*) s, for f(z) = z²."""
    best = _mean(_square * _eps**2) / _mean(_eps**2)
    claimed = _theta**2 + shift
    g = (_square - best) * _eps
    variance = _mean((g - _mean(g)) ** 2)
    return Equal([(best, claimed), (variance, 8 * _theta**2 + constant)])


TEACHING = "z ~ N(θ, 1) and f(z) = z²; one sample"
FAMILIES = "every q on 2 and 3 states; Gaussian q with f of degree 4"

SCORES: list[Identity] = [
    Identity(
        label="eq-score",
        statement=r"\nabla_\phi \E_{q}[f(z)]"
        r" = \E_{q}\big[ f(z)\, \nabla_\phi \log q_\phi(z) \big]",
        claim=_score,
        wrong={
            "the sign turned round": {"sign": -1},
            "the slope of q, not of its logarithm": {"of": lambda p: p},
            "an f that moves with the parameter": {"moving": 1},
        },
        assumptions="f does not depend on φ; q has the same support for every φ, and "
        "the derivative may be taken inside the integral",
        scope=FAMILIES,
        computes="estimators.score_function",
        value=lambda: _score().cases[-1][1],
        reference="williams1992",
    ),
    Identity(
        label="eq-score-square",
        statement=r"\E[g_{\text{score}}] = 2\theta, \qquad"
        r" \Var[g_{\text{score}}] = \theta^4 + 14\,\theta^2 + 15",
        claim=_score_square,
        wrong={
            "the square of the mean not subtracted": {"linear": 18},
            "the fourth moment of the noise for the sixth": {"constant": 3},
            "half the gradient": {"mean": 1},
        },
        assumptions=TEACHING,
    ),
    Identity(
        label="eq-pathwise-square",
        statement=r"\E[g_{\text{path}}] = 2\theta, \qquad"
        r" \Var[g_{\text{path}}] = 4",
        claim=_pathwise_square,
        wrong={
            "the factor two not squared": {"variance": 2},
            "a variance that grows with θ": {"variance": 4 + 4 * _theta**2},
            "half the gradient": {"mean": 1},
        },
        assumptions=TEACHING,
    ),
    Identity(
        label="eq-baseline",
        statement=r"\E_{q}\big[ (f(z) - b)\, \nabla_\phi \log q_\phi(z) \big]"
        r" = \nabla_\phi \E_{q}[f(z)]",
        claim=_baseline,
        wrong={
            "a baseline that depends on z": {"moving": 1},
            "the baseline in place of f": {"keep": 0},
        },
        assumptions="as for eq-score; b does not depend on z",
        scope=FAMILIES,
        reference="greensmith2004",
    ),
    Identity(
        label="eq-baseline-optimal",
        statement=r"""\begin{gathered}
\tr \Cov\big[(f - b)\, s\big] = \tr \Cov\big[(f - b^*)\, s\big]
  + (b - b^*)^2\, \E_{q} \|s\|^2, \\
b^* = \frac{\E_{q}\big[ f(z)\, \|s\|^2 \big]}{\E_{q} \|s\|^2}
\end{gathered}""",
        claim=_baseline_optimal,
        wrong={
            "the plain mean of f": {"best": "plain"},
            "a linear term in b": {"cross": 1},
        },
        assumptions="s = ∇ log q(z) with finite second moments, E‖s‖² > 0",
        scope="every q on 2 and 3 states, f free",
        computes="estimators.optimal_baseline",
        value=lambda: _optimal(3)[-1],
        reference="greensmith2004",
    ),
    Identity(
        label="eq-baseline-square",
        statement=r"b^* = \theta^2 + 3, \qquad"
        r" \Var\big[(z^2 - b^*)(z - \theta)\big] = 8\,\theta^2 + 6",
        claim=_baseline_square,
        wrong={
            "the mean of f, θ² + 1": {"shift": 1},
            "the variance that the mean of f leaves": {"constant": 10},
        },
        assumptions=TEACHING,
    ),
]
