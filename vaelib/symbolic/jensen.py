"""The identities of the chapter *The Jensen bound*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic import jensen_gap
from vaelib.symbolic.algebra import (
    Joint,
    entropy,
    log_normal,
    mean,
    normal_mean,
    positive,
    probabilities,
    real,
)
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import (
    LOG_TANGENT,
    SQUARE,
    AtLeast,
    ConvexMinimum,
    Equal,
    Term,
)

DEFINITIONS: dict[str, str] = {
    "eq-log-weight": "the log-weight of a latent under a model and a guide",
    "eq-elbo": "the evidence lower bound, the guide's mean of the log-weight",
}
FINITE = "all probabilities on supports of 2, 3 and 4 states"


class Curvature(sp.Function):
    """−f″(t) > 0 of an arbitrary strictly concave f; `m` is carried along."""

    nargs = 2

    def _eval_is_positive(self):
        return True


class Slope(sp.Function):
    """f′(m) − f′(t), zero at t = m, with derivative `Curvature`."""

    nargs = 2

    @classmethod
    def eval(cls, t, m):
        return sp.Integer(0) if t == m else None

    def fdiff(self, argindex=1):
        return Curvature(*self.args)


class Distance(sp.Function):
    """f(m) + f′(m)(t − m) − f(t): how far f lies below its tangent at m."""

    nargs = 2

    @classmethod
    def eval(cls, t, m):
        return sp.Integer(0) if t == m else None

    def fdiff(self, argindex=1):
        return Slope(*self.args)


def _jensen_gap(tangent="mean", sign=1):
    """f(E W) − E f(W) = E[f(m) + f′(m)(W − m) − f(W)] at m = E W.

    The values of f and its slope are free symbols, so f is any function with a slope.
    """
    cases = []
    at, slope, point, at_point = real("f_m slope point f_point")
    for n in (2, 3, 4):
        q, w, f = probabilities("q", n), positive(f"w1:{n + 1}"), real(f"f1:{n + 1}")
        m = mean(q, w)
        line = {
            "mean": lambda t, m=m: at + slope * (t - m),
            "elsewhere": lambda t: at_point + slope * (t - point),
            "uncentred": lambda t: at + slope * t,
        }[tangent]
        distances = [line(t) - y for t, y in zip(w, f, strict=True)]
        cases.append((at - mean(q, f), sign * mean(q, distances)))
    return Equal(cases)


def _jensen(curve=None, reverse=False, strict=False):
    """f(E W) ≥ E f(W) for any strictly concave f, written as tangent − `Distance`.

    With E W = m, the linear part of the tangent has the mean f(m). A curve that is
    given takes the place of the arbitrary one, to look for a counterexample.
    """
    (t, m), (at,) = positive("t m"), real("f_m")
    below = ConvexMinimum(Distance(t, m), t, m)
    cases, certificates, points = [], [], []
    for n in (2, 3):
        q, w = probabilities("q", n), positive(f"w1:{n + 1}")
        pair = (at, mean(q, [at - Distance(v, m) for v in w]))
        if curve:
            pair = (curve(mean(q, w)), mean(q, [curve(v) for v in w]))
        cases.append(pair[::-1] if reverse else pair)
        certificates.append([Term(p, below, v) for p, v in zip(q, w, strict=True)])
        points.append({s: sp.Integer(1) for s in sum(q + w).free_symbols})
    return AtLeast(cases, certificates, strict=strict, points=points)


def _guided(seen: int, states: int):
    """A model of this many states and a guide positive on the first `seen` of them."""
    model, q = Joint(states, 2), probabilities("q", seen)
    w = [p / r for p, r in zip(model.joint(0), q, strict=False)]
    return model, q, w


SUPPORTS = ((2, 2), (2, 3), (3, 3), (2, 4), (4, 4))  # states seen by the guide, states


def _mean_weight(factor="posterior"):
    """E_q[w] = p(x) · P(q(z) > 0 | x)."""
    cases = []
    for seen, states in SUPPORTS:
        model, q, w = _guided(seen, states)
        mass = {
            "posterior": sum(model.posterior(0)[:seen]),
            "prior": sum(model.prior[:seen]),
            "ignored": sp.Integer(1),
        }[factor]
        cases.append((mean(q, w), model.evidence[0] * mass))
    return Equal(cases)


def _elbo_bound(reverse=False, strict=False, average="guide"):
    """log p(x) ≥ E_q[log w], by log t ≤ t − 1 at t = w/p(x), and mass outside q ≥ 0."""
    cases, certificates, points = [], [], []
    for seen, states in ((2, 2), (2, 3), (3, 3)):
        joint, q = positive(f"c1:{states + 1}"), probabilities("q", seen)
        evidence = sum(joint)
        w = [p / r for p, r in zip(joint, q, strict=False)]
        weights = q if average == "guide" else [p / evidence for p in joint[:seen]]
        pair = (sp.log(evidence), mean(weights, [sp.log(v) for v in w]))
        cases.append(pair[::-1] if reverse else pair)
        terms = [Term(p, LOG_TANGENT, v / evidence) for p, v in zip(q, w, strict=True)]
        outside = sum(joint[seen:]) / evidence
        certificates.append([*terms, Term(outside, SQUARE, sp.Integer(1))])
        points.append({s: sp.Integer(1) for s in sum(joint + q).free_symbols})
    return AtLeast(cases, certificates, strict=strict, points=points)


def _elbo_entropy(sign=1, keep=1):
    """E_q[log w] = E_q[log p(x, z)] + H[q]: finite, and Gaussian q, quartic joint."""
    cases = []
    for n in (2, 3, 4):
        model, q, w = _guided(n, n)
        energy = mean(q, [sp.log(p) for p in model.joint(0)])
        right = energy + sign * keep * entropy(q)
        cases.append((mean(q, [sp.log(v) for v in w]), right))
    z, loc, *coefficients = real("z loc a0:5")
    (scale,) = positive("scale")
    joint = sum(a * z**k for k, a in enumerate(coefficients))
    left = normal_mean(joint - log_normal(z, loc, scale), z, loc, scale)
    spread = sp.log(scale) + sp.log(2 * sp.pi) / 2 + sp.Rational(1, 2)
    right = normal_mean(joint, z, loc, scale) + sign * keep * spread
    return Equal([*cases, (left, right)])


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-jensen-gap",
        statement=r"f(\E[W]) - \E[f(W)] = \E\big[ f(m) + f'(m)\,(W - m) - f(W) \big]",
        claim=_jensen_gap,
        wrong={
            "the tangent at a point other than the mean": {"tangent": "elsewhere"},
            "the line not centred at the mean": {"tangent": "uncentred"},
            "the curve above its tangent": {"sign": -1},
        },
        assumptions="m = E W; f has a slope at m; W and f(W) have finite means",
        scope=f"any f, {FINITE}",
        reference="boyd2004",
    ),
    Identity(
        label="eq-jensen",
        statement=r"f(\E[W]) \ge \E[f(W)]",
        claim=_jensen,
        wrong={
            "the inequality turned round": {"curve": sp.log, "reverse": True},
            "strict even where W is constant": {"curve": sp.log, "strict": True},
            "a convex f": {"curve": lambda t: t**2},
        },
        assumptions="f concave; W and f(W) have finite means",
        scope="any twice differentiable f with f″ < 0, W on 2 and 3 points",
        reference="jensen1906",
    ),
    Identity(
        label="eq-mean-weight",
        statement=r"\E_{q}[w]"
        r" = p_\theta(x) \cdot P_\theta\big(q(z|x) > 0 \,\big|\, x\big)",
        claim=_mean_weight,
        wrong={
            "the prior's probability of the support": {"factor": "prior"},
            "a support that is too small ignored": {"factor": "ignored"},
        },
        assumptions="p(x) > 0",
        scope=FINITE,
        computes="bounds.importance_weighted",
        value=lambda: sp.log(_mean_weight().cases[1][1]),
    ),
    Identity(
        label="eq-elbo-bound",
        statement=r"\log p_\theta(x) \ge \ELBO(\theta, q; x)",
        claim=_elbo_bound,
        wrong={
            "the inequality turned round": {"reverse": True},
            "strict even where q is the posterior": {"strict": True},
            "log w averaged over the posterior": {"average": "posterior"},
        },
        assumptions="p(x, z) > 0 where q(z|x) > 0, else the ELBO is −∞",
        scope="all probabilities on supports of 2 and 3 states, guides of full and "
        "of smaller support",
        reference="jordan1999",
    ),
    Identity(
        label="eq-elbo-entropy",
        statement=r"\ELBO(\theta, q; x) = \E_{q}[\log p_\theta(x, z)] + \ent[q]",
        claim=_elbo_entropy,
        wrong={
            "the entropy subtracted": {"sign": -1},
            "the entropy forgotten": {"keep": 0},
        },
        assumptions="both terms finite",
        scope=f"{FINITE}; Gaussian q with a log-joint of degree 4 in z",
        computes="bounds.elbo",
        reference="jordan1999",
    ),
    *jensen_gap.IDENTITIES,
]
