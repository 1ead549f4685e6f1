"""The identities about likelihoods in the chapter *The variational autoencoder*."""

from __future__ import annotations

import sympy as sp

from vaelib.symbolic.algebra import log_normal, positive, probabilities, real
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import LOG_TANGENT, All, AtLeast, Equal, Limit, Term

HALF = sp.Rational(1, 2)


def _grey_binomial(factor=None, coefficient=1, n=16):
    """x/n log π + (1 − x/n) log(1 − π) against the binomial's own probabilities."""
    factor = sp.Rational(1, n) if factor is None else factor
    hit, miss = probabilities("p", 2)
    masses = [sp.binomial(n, x) * hit**x * miss ** (n - x) for x in range(n + 1)]
    cases = [
        (
            sp.Rational(x, n) * sp.log(hit) + sp.Rational(n - x, n) * sp.log(miss),
            factor * (sp.log(mass) - coefficient * sp.log(sp.binomial(n, x))),
        )
        for x, mass in list(enumerate(masses))[5:] + list(enumerate(masses))[:5]
    ]
    return Equal([*cases, (sum(masses), sp.Integer(1))])


def _odds():
    """λ = a / (1 + a), so that log λ − log(1 − λ) = log a; and x in [0, 1]."""
    a, x = positive("a x")
    return a, x, a / (1 + a), a**x / (1 + a)  # the last is λ^x (1 − λ)^(1 − x)


def _grey_mass(mass=None, at_half=HALF):
    """∫₀¹ λ^x (1 − λ)^(1 − x) dx, by an antiderivative; its limit at λ = ½."""
    a, x, rate, density = _odds()
    total = sp.log(a)
    value = (2 * rate - 1) / total if mass is None else mass(rate, total)
    anti = density / total
    return All(
        [
            Equal([(anti.subs(x, 1) - anti.subs(x, 0), value)]),
            Equal([(sp.diff(anti, x), density)]),
            Equal([(sp.log(density), x * sp.log(rate) + (1 - x) * sp.log(1 - rate))]),
            Limit(value, a, sp.Integer(1), at_half),
        ]
    )


def _grey_mean(value=None):
    """E[x] under λ^x (1 − λ)^(1 − x) / C⁻¹ on [0, 1], by antiderivatives."""
    a, x, rate, density = _odds()
    total = sp.log(a)
    claimed = rate / (2 * rate - 1) - 1 / total if value is None else value(rate, total)
    anti = [density / total, density * (x / total - 1 / total**2)]
    mass, first = (f.subs(x, 1) - f.subs(x, 0) for f in anti)
    return Equal(
        [
            (first / mass, claimed),
            (sp.diff(anti[0], x), density),
            (sp.diff(anti[1], x), x * density),
        ]
    )


def _squared_error(variance=HALF, constant=1):
    """‖x − m‖² + β KL as an ELBO, pointwise in z, in one to three dimensions."""
    beta, divergence = positive("beta kl")
    cases = []
    for dim in (1, 2, 3):
        pairs = list(zip(real(f"x1:{dim + 1}"), real(f"m1:{dim + 1}"), strict=True))
        left = sum((x - m) ** 2 for x, m in pairs) + beta * divergence
        scale = sp.sqrt(variance * beta)
        elbo = sum(log_normal(x, m, scale) for x, m in pairs) - divergence
        shift = constant * sp.Rational(dim, 2) * sp.log(sp.pi * beta)
        cases.append((left, -beta * (elbo + shift)))
    return Equal(cases)


def _optimal_scale(divide=True, constant=1, reverse=False):
    """The best common variance is the mean squared error: certificate t − 1 ≥ log t."""
    n, error, scale = positive("P s sigma")
    at = error**2 if divide else n * error**2
    best = -n / 2 * (constant + sp.log(2 * sp.pi * at))
    other = -n * error**2 / (2 * scale**2) - n / 2 * sp.log(2 * sp.pi * scale**2)
    term = Term(n / 2, LOG_TANGENT, error**2 / scale**2)
    case = (other, best) if reverse else (best, other)
    return All(
        [
            AtLeast([case], [[term]]),
            Equal([(best, other.subs(scale, error))]),
        ]
    )


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-grey-binomial",
        statement=r"""\frac{x}{n} \log \pi + \Bigl(1 - \frac{x}{n}\Bigr) \log (1 - \pi)
  = \frac1n \Bigl[ \log \operatorname{Bin}(x; n, \pi) - \log \binom{n}{x} \Bigr]""",
        claim=_grey_binomial,
        wrong={
            "without the factor 1/n": {"factor": sp.Integer(1)},
            "without the binomial coefficient": {"coefficient": 0},
        },
        assumptions="0 < π < 1, x ∈ {0, …, n}",
        scope="all 17 counts for n = 16; the probabilities sum to one",
        computes="models.Binomial",
    ),
    Identity(
        label="eq-grey-mass",
        statement=r"""\int_0^1 \lambda^x (1 - \lambda)^{1 - x} \dd x
  = \frac{2 \lambda - 1}{\log \lambda - \log (1 - \lambda)} ,
  \qquad \lambda \ne \tfrac12""",
        claim=_grey_mass,
        wrong={
            "one, as for a density": {"mass": lambda r, t: sp.Integer(1)},
            "1 − 2λ for 2λ − 1": {"mass": lambda r, t: (1 - 2 * r) / t},
            "upside down": {"mass": lambda r, t: t / (2 * r - 1)},
            "the value one at λ = ½": {"at_half": sp.Integer(1)},
        },
        assumptions="0 < λ < 1; by continuity the value is ½ at λ = ½",
        reference="loaiza2019",
    ),
    Identity(
        label="eq-grey-mean",
        statement=r"""\E[x] = \frac{\lambda}{2 \lambda - 1}
  - \frac{1}{\log \lambda - \log (1 - \lambda)} ,
  \qquad \lambda \ne \tfrac12""",
        claim=_grey_mean,
        wrong={
            "λ, as for binary x": {"value": lambda r, t: r},
            "the second term added": {"value": lambda r, t: r / (2 * r - 1) + 1 / t},
        },
        assumptions="x has density ∝ λ^x (1 − λ)^(1 − x) on [0, 1], 0 < λ < 1",
        reference="loaiza2019",
    ),
    Identity(
        label="eq-squared-error",
        statement=r"""\begin{aligned}
& \E_{q_\phi(z|x)}\!\left[ \lVert x - m_\theta(z) \rVert^2 \right]
  + \beta \KL{q_\phi(z|x)}{p(z)} \\
& \qquad = -\beta \Bigl( \ELBO(\theta, \phi; x) \big|_{\sigma^2 = \beta / 2}
  + \frac{P}{2} \log \pi \beta \Bigr)
\end{aligned}""",
        claim=_squared_error,
        wrong={
            "σ² = β": {"variance": sp.Integer(1)},
            "σ² = 2β": {"variance": sp.Integer(2)},
            "without the constant": {"constant": 0},
        },
        assumptions="p(x|z) = N(x; m(z), σ² I), β > 0",
        scope="pointwise in z, hence for every q; P = 1, 2, 3",
        computes="bounds.elbo_from_kl",
        value=lambda: _squared_error().cases[1][1],
    ),
    Identity(
        label="eq-optimal-scale",
        statement=r"""-\frac{P}{2} \left( 1 + \log 2 \pi s^2 \right)
  \ge -\frac{P s^2}{2 \sigma^2} - \frac{P}{2} \log 2 \pi \sigma^2 ,
  \quad \text{equal at } \sigma^2 = s^2""",
        claim=_optimal_scale,
        wrong={
            "the squared error not divided by P": {"divide": False},
            "without the 1": {"constant": 0},
            "the other direction": {"reverse": True},
        },
        assumptions="P, s, σ > 0",
        reference="rybkin2021",
    ),
]
