"""How large the gap of Jensen's inequality is: exactly, and to second order."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import (
    Joint,
    log_normal,
    mean,
    normal_mean,
    positive,
    probabilities,
    real,
)
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import All, ConstantInZ, Equal, Limit

HALF = sp.Rational(1, 2)


def _elbo_gap(inverse=False, constant=1):
    """log p(x) − ELBO = E_q[w/p(x) − 1 − log(w/p(x))]."""
    cases = []
    for n in (2, 3, 4):
        model, q = Joint(n, 2), probabilities("q", n)
        w = [p / r for p, r in zip(model.joint(0), q, strict=True)]
        t = [model.evidence[0] / v if inverse else v / model.evidence[0] for v in w]
        left = sp.log(model.evidence[0]) - mean(q, [sp.log(v) for v in w])
        cases.append((left, mean(q, [v - constant - sp.log(v) for v in t])))
    return Equal(cases)


def _second_order(half=HALF, third=1, centred=True):
    """Both expansions, for log w = c + εv and any v with these first three moments.

    Taylor coefficients at ε = 0 agree up to the third; no higher moment enters them.
    """
    eps, c, location, kappa = real("epsilon c location kappa")
    (s,) = positive("s")
    moments = [1, location, location**2 + s**2]
    moments.append(location**3 + 3 * location * s**2 + kappa)

    def power(k):  # E[w^k], without what is beyond ε³
        return sp.exp(k * c) * sum(
            (k * eps) ** j * m / sp.factorial(j) for j, m in enumerate(moments)
        )

    elbo = c + eps * location
    gap = sp.log(power(1)) - elbo
    logs = eps**2 * s**2 if centred else eps**2 * s**2 + elbo**2
    ratios = power(2) / power(1) ** 2 - 1
    skew = third * eps**3 * kappa
    cases = []
    for right in (half * logs + skew / 6, half * ratios - skew / 3):
        for k in range(4):
            left_k, right_k = (sp.diff(f, eps, k).subs(eps, 0) for f in (gap, right))
            cases.append((left_k, right_k))
    return Equal(cases)


def _path(weight="1 - t", frozen=False, backwards=False):
    """The integrand has the antiderivative (1 − t)K′ + K, with K(t) = log E_q[wᵗ]."""
    (t,), cases = real("t"), []
    for n in (2, 3):
        q, log_w = probabilities("q", n), real(f"l1:{n + 1}")
        time = 1 - t if backwards else 0 if frozen else t
        tilted = [p * sp.exp(time * a) for p, a in zip(q, log_w, strict=True)]
        path = [p / sum(tilted) for p in tilted]
        centre = mean(path, log_w)
        variance = mean(path, [(a - centre) ** 2 for a in log_w])
        k = sp.log(mean(q, [sp.exp(t * a) for a in log_w]))
        anti = (1 - t) * sp.diff(k, t) + k
        gap = k.subs(t, 1) - mean(q, log_w)  # K(1) = log p(x)
        cases.append((gap, anti.subs(t, 1) - anti.subs(t, 0)))
        cases.append((sp.diff(anti, t), sp.sympify(weight, {"t": t}) * variance))
    return Equal(cases)


def _gaussian(power=2, half=HALF, swapped=False):
    """Gap and half the variance of log w for a Gaussian guide and posterior."""
    z, mu, d, log_p = real("z mu d log_p")
    sigma, r = positive("sigma r")
    loc, scale = mu + d * sigma, r * sigma
    log_w = log_p + log_normal(z, mu, sigma) - log_normal(z, loc, scale)
    elbo = normal_mean(log_w, z, loc, scale)
    variance = normal_mean((log_w - elbo) ** 2, z, loc, scale)
    a, b = (d / r, 1 / r) if swapped else (d, r)
    gap = (a**2 + b**2 - 1 - power * sp.log(b)) / 2
    return Equal(
        [
            (log_p - elbo, gap),
            (variance / 2, half * (a**2 * b**2 + (1 - b**2) ** 2 / 2)),
        ]
    )


def _second_moment(factor="square", exponent=1):
    """p²/q is this constant times a normal density; it diverges as r² falls to ½."""
    z, d = real("z d")
    (k,) = positive("k")  # 2r² − 1 > 0
    r = sp.sqrt((1 + k) / 2)
    scale = {"square": r**2, "plain": r, "none": sp.Integer(1)}[factor]
    value = scale / sp.sqrt(k) * sp.exp(exponent * d**2 / k)
    ratio = 2 * log_normal(z, sp.Integer(0), sp.Integer(1)) - log_normal(z, d, r)
    normal = log_normal(z, -d / k, r / sp.sqrt(k))
    return All(
        [
            ConstantInZ(ratio - normal, z, sp.expand_log(sp.log(value), force=True)),
            Limit(value.subs(d, 1), k, sp.Integer(0), sp.oo),
        ]
    )


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-elbo-gap",
        statement=r"\Delta = \E_{q}\!\left[ \frac{w}{p_\theta(x)} - 1"
        r" - \log \frac{w}{p_\theta(x)} \right]",
        claim=_elbo_gap,
        wrong={
            "the ratio inverted": {"inverse": True},
            "the one forgotten": {"constant": 0},
        },
        assumptions="q(z|x) > 0 wherever p(x, z) > 0, and the reverse",
        scope="all probabilities on supports of 2, 3 and 4 states",
    ),
    Identity(
        label="eq-gap-second-order",
        statement=r"""\begin{aligned}
\Delta &= \tfrac12 \Var_{q}[\log w] + \tfrac16 \kappa_3 + O(\varepsilon^4) \\
\Delta &= \tfrac12 \Var_{q}\!\left[\frac{w}{p_\theta(x)}\right]
          - \tfrac13 \kappa_3 + O(\varepsilon^4)
\end{aligned}""",
        claim=_second_order,
        wrong={
            "the variance without its one half": {"half": 1},
            "the third order with the wrong sign": {"third": -1},
            "the mean square for the variance": {"centred": False},
        },
        assumptions="log w = c + εv with v bounded; q(z|x) > 0 wherever p(x, z) > 0",
    ),
    Identity(
        label="eq-gap-path",
        statement=r"\Delta = \int_0^1 (1 - t)\, \Var_{q_t}[\log w] \dd t",
        claim=_path,
        wrong={
            "the weight t": {"weight": "t"},
            "no weight": {"weight": "1"},
            "the variance under q throughout": {"frozen": True},
            "the path from the posterior to the guide": {"backwards": True},
        },
        assumptions="q_t(z) ∝ q(z|x) w(z)^t; q(z|x) > 0 wherever p(x, z) > 0, and the "
        "reverse",
        scope="all probabilities on supports of 2 and 3 states",
        reference="gelman1998",
    ),
    Identity(
        label="eq-gap-gaussian",
        statement=r"""\begin{aligned}
\Delta &= \tfrac12 \big( d^2 + r^2 - 1 - \log r^2 \big) \\
\tfrac12 \Var_{q}[\log w] &= \tfrac12 \big( d^2 r^2 + \tfrac12 (1 - r^2)^2 \big)
\end{aligned}""",
        claim=_gaussian,
        wrong={
            "the scale for the variance in the logarithm": {"power": 1},
            "the variance without its one half": {"half": 1},
            "measured in the guide's scale": {"swapped": True},
        },
        assumptions="p(z|x) = N(μ, σ²) and q = N(μ + dσ, r²σ²) with r > 0",
        computes="divergences.kl",
    ),
    Identity(
        label="eq-weight-second-moment",
        statement=r"""\E_{q}\!\left[\Big(\frac{w}{p_\theta(x)}\Big)^2\right]
= \frac{r^2}{\sqrt{2 r^2 - 1}}\, \exp\!\Big( \frac{d^2}{2 r^2 - 1} \Big),
\qquad r^2 > \tfrac12""",
        claim=_second_moment,
        wrong={
            "the scale for the variance in front": {"factor": "plain"},
            "no factor in front": {"factor": "none"},
            "one half in the exponent": {"exponent": HALF},
        },
        assumptions="p(z|x) = N(μ, σ²) and q = N(μ + dσ, r²σ²)",
    ),
]
