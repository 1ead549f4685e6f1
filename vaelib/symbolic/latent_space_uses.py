"""The identities about denoising and anomalies in *Living in the latent space*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import (
    log_normal,
    positive,
    probabilities,
    real,
    standard_normal_mean,
)
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import SQUARE, All, AtLeast, Equal, Term

HALF = sp.Rational(1, 2)


def _shrinkage(best=None, risk=None, reverse=False):
    """E(x − c x̃)² for x ~ N(0, λ) and x̃ = x + τ ε, against its least value."""
    signal, tau = positive("lambda tau")
    c, e1, e2 = real("c e1 e2")
    x = sp.sqrt(signal) * e1
    error = standard_normal_mean((x - c * (x + tau * e2)) ** 2, [e1, e2])
    least = signal * tau**2 / (signal + tau**2) if risk is None else risk(signal, tau)
    at = signal / (signal + tau**2) if best is None else best(signal, tau)
    case = (least, error) if reverse else (error, least)
    proof = AtLeast([case], [[Term(signal + tau**2, SQUARE, c - at)]])
    return All([proof, Equal([(least, error.subs(c, at))])])


def _pixel_posterior(weight=None, keep=True, uniform=True):
    """E[x | x̃, z] for a pixel that was replaced with probability ρ: all x̃, n = 1, 2."""
    rho, other = probabilities("s", 2)
    hit, miss = probabilities("p", 2)
    cases = []
    for n in (1, 2):
        pmf = [sp.binomial(n, x) * hit**x * miss ** (n - x) for x in range(n + 1)]
        for seen in range(n + 1):
            chance = [other * int(x == seen) + rho / (n + 1) for x in range(n + 1)]
            joint = [a * b for a, b in zip(pmf, chance, strict=True)]
            left = sum(x * p for x, p in enumerate(joint)) / sum(joint)
            ratio = other * pmf[seen]
            intact = ratio / (ratio + (rho / (n + 1) if uniform else rho))
            intact = intact if weight is None else weight(other)
            cases.append((left, intact * int(keep) * seen + (1 - intact) * n * hit))
    return Equal(cases)


def _narrow_score(value=None):
    """E_r log p − E_p log p for p = N(0, I) and r = N(0, s² I)."""
    s, cases = sp.Symbol("s", positive=True), []
    value = value or (lambda s, d: HALF * d * (1 - s**2))
    for dim in (1, 2, 3):
        eps = real(f"e1:{dim + 1}")
        own = sum(log_normal(e, 0, 1) for e in eps)
        other = sum(log_normal(s * e, 0, 1) for e in eps)
        left = standard_normal_mean(other - own, eps)
        cases.append((left, value(s, dim)))
    return Equal(cases)


def _typical_variance(value=None):
    """Var_p log p for p = N(0, I)."""
    cases = []
    value = value or (lambda d: HALF * d)
    for dim in (1, 2, 3):
        eps = real(f"e1:{dim + 1}")
        log_p = sum(-(e**2) / 2 for e in eps)  # a constant has no variance
        centre = standard_normal_mean(log_p, eps)
        left = standard_normal_mean((log_p - centre) ** 2, eps)
        cases.append((left, sp.sympify(value(dim))))
    return Equal(cases)


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-shrinkage",
        statement=r"""\E\left[ (x - c\, \tilde x)^2 \right]
  \ge \frac{\lambda \tau^2}{\lambda + \tau^2} ,
  \quad \text{equal at } c = \frac{\lambda}{\lambda + \tau^2}""",
        claim=_shrinkage,
        wrong={
            "kept whole, as by a projection": {"risk": lambda v, t: t**2},
            "dropped, as by a projection": {"risk": lambda v, t: v},
            "the roots in place of the variances": {
                "best": lambda v, t: sp.sqrt(v) / (sp.sqrt(v) + t)
            },
            "the other direction": {"reverse": True},
        },
        assumptions="x ~ N(0, λ), x̃ = x + τε, ε ~ N(0, 1) independent; λ, τ > 0",
        computes="models.LinearGaussian.posterior",
        reference="tipping1999",
    ),
    Identity(
        label="eq-pixel-posterior",
        statement=r"""\begin{aligned}
\E[x_i \mid \tilde x_i, z] &= \varrho_i\, \tilde x_i + (1 - \varrho_i)\, n \pi_i(z) , \\
\varrho_i &= \frac{(1 - \rho) \operatorname{Bin}(\tilde x_i; n, \pi_i)}
  {(1 - \rho) \operatorname{Bin}(\tilde x_i; n, \pi_i) + \rho / (n + 1)}
\end{aligned}""",
        claim=_pixel_posterior,
        wrong={
            "the prior chance 1 − ρ for ϱ": {"weight": lambda p: p},
            "the decoder's mean alone": {"weight": lambda p: sp.Integer(0)},
            "what is seen, dropped": {"keep": False},
            "ρ for ρ / (n + 1)": {"uniform": False},
        },
        assumptions="with probability ρ a pixel is replaced by a uniform count 0, …, n",
        scope="all seen counts for n = 1 and n = 2; all π and ρ",
        computes="models.Binomial",
        value=lambda: _pixel_posterior().cases[3][1],
    ),
    Identity(
        label="eq-narrow-score",
        statement=r"""\E_{\N(0, s^2 I)}[\log p(x)] - \E_{p}[\log p(x)]
  = \frac{D}{2} \left( 1 - s^2 \right) ,
  \qquad p = \N(0, I)""",
        claim=_narrow_score,
        wrong={
            "minus the divergence": {
                "value": lambda s, d: -HALF * d * (s**2 - 1 - sp.log(s**2))
            },
            "the other sign": {"value": lambda s, d: HALF * d * (s**2 - 1)},
            "without the one half": {"value": lambda s, d: d * (1 - s**2)},
        },
        assumptions="s > 0; D dimensions",
        scope="D = 1, 2, 3",
        computes="divergences.kl",
        value=lambda: _narrow_score().cases[1][1],
        reference="nalisnick2019",
    ),
    Identity(
        label="eq-typical-variance",
        statement=r"""\Var_p[\log p(x)] = \frac{D}{2} ,
  \qquad p = \N(0, I)""",
        claim=_typical_variance,
        wrong={
            "D": {"value": lambda d: d},
            "one half, whatever D": {"value": lambda d: HALF},
        },
        assumptions="D dimensions",
        scope="D = 1, 2, 3",
    ),
]
