"""The identities of the chapter *The variational autoencoder*."""

from __future__ import annotations

from itertools import product

import sympy as sp

from vaelib.symbolic import vae_likelihoods, vae_losses
from vaelib.symbolic.algebra import (
    Joint,
    kl,
    log_normal,
    mean,
    normal_mean,
    positive,
    probabilities,
    real,
)
from vaelib.symbolic.ledger import Identity
from vaelib.symbolic.proofs import Equal

DEFINITIONS: dict[str, str] = {
    "eq-vae-model": "the model: a standard normal code, and a decoder",
    "eq-amortized-guide": "the guide: one encoder gives q(z|x) for every x",
    "eq-beta-objective": "the objective whose KL term counts β times",
}

HALF = sp.Rational(1, 2)


def _kl_standard_normal(constant=1, log_factor=1, scale_power=2, exchanged=False):
    """E_q[log q − log p] for q = N(μ, diag σ²) and p = N(0, I), for D = 1, 2, 3."""
    cases = []
    for dim in (1, 2, 3):
        left = right = 0
        for m, s in zip(real(f"m1:{dim + 1}"), positive(f"s1:{dim + 1}"), strict=True):
            z = sp.Symbol("z", real=True)
            gain = log_normal(z, m, s) - log_normal(z, 0, 1)
            if exchanged:
                left += normal_mean(-gain, z, 0, 1)
            else:
                left += normal_mean(gain, z, m, s)
            log_variance = log_factor * sp.log(s**2)
            right += HALF * (m**2 + s**scale_power - constant - log_variance)
        cases.append((left, right))
    return Equal(cases)


def _vae_elbo(half=HALF, sign=1, prior=1):
    """The ELBO with its KL in closed form, for log p(x|z) a polynomial in z."""
    cases = []
    for dim in (1, 2):
        z, m = real(f"z1:{dim + 1}"), real(f"m1:{dim + 1}")
        s = positive(f"s1:{dim + 1}")
        powers = [p for p in product(range(5 - dim), repeat=dim) if sum(p) < 5 - dim]
        coefficients = real(f"c0:{len(powers)}")
        log_lik = sum(
            c * sp.prod([v**k for v, k in zip(z, p, strict=True)])
            for c, p in zip(coefficients, powers, strict=True)
        )
        left = log_lik + sum(
            prior * log_normal(v, 0, 1) - log_normal(v, a, b)
            for v, a, b in zip(z, m, s, strict=True)
        )
        right = log_lik
        for v, a, b in zip(z, m, s, strict=True):
            left, right = normal_mean(left, v, a, b), normal_mean(right, v, a, b)
        terms = [1 + sp.log(b**2) - a**2 - b**2 for a, b in zip(m, s, strict=True)]
        cases.append((left, right + sign * half * sum(terms)))
    return Equal(cases)


def _beta_residual(shift=1, exchanged=False, sign=1):
    """log p(x) − ELBO_β on supports of two and three states."""
    beta, cases = sp.Symbol("beta", positive=True), []
    for n in (2, 3):
        model, q = Joint(n, 2), probabilities("q", n)
        rate = kl(q, model.prior)
        pairs = zip(model.joint(0), model.prior, strict=True)
        log_lik = [sp.log(joint) - sp.log(prior) for joint, prior in pairs]
        objective = mean(q, log_lik) - beta * rate
        pair = (model.posterior(0), q) if exchanged else (q, model.posterior(0))
        right = kl(*pair) + sign * (beta - shift) * rate
        cases.append((sp.log(model.evidence[0]) - objective, right))
    return Equal(cases)


IDENTITIES: list[Identity] = [
    Identity(
        label="eq-kl-standard-normal",
        statement=r"""\KL{\N(\mu, \operatorname{diag}\sigma^2)}{\N(0, I)}
  = \frac12 \sum_{d=1}^{D} \left( \mu_d^2 + \sigma_d^2 - 1 - \log \sigma_d^2 \right)""",
        claim=_kl_standard_normal,
        wrong={
            "log σ where log σ² belongs": {"log_factor": HALF},
            "σ where σ² belongs": {"scale_power": 1},
            "without the −1": {"constant": 0},
            "the arguments exchanged": {"exchanged": True},
        },
        assumptions="σ > 0",
        scope="all Gaussians in 1, 2 and 3 dimensions",
        computes="divergences.kl",
        value=lambda: _kl_standard_normal().cases[1][1],
        reference="kingma2014",
    ),
    Identity(
        label="eq-vae-elbo",
        statement=r"""\begin{aligned}
\ELBO(\theta, \phi; x) = {}
  & \E_{\varepsilon \sim \N(0, I)}\!\left[
      \log p_\theta(x \mid \mu + \sigma \odot \varepsilon) \right] \\
  & + \frac12 \sum_{d=1}^{D} \left( 1 + \log \sigma_d^2 - \mu_d^2 - \sigma_d^2 \right)
\end{aligned}""",
        claim=_vae_elbo,
        wrong={
            "the KL term added": {"sign": -1},
            "without the one half": {"half": sp.Integer(1)},
            "without log p(z)": {"prior": 0},
        },
        assumptions="σ > 0; E_q[log p(x|z)] finite",
        scope="every polynomial log p(x|z), cubic for D = 1, quadratic for D = 2",
        computes="bounds.elbo_from_kl",
        reference="kingma2014",
    ),
    *vae_likelihoods.IDENTITIES,
    *vae_losses.IDENTITIES,
    Identity(
        label="eq-beta-residual",
        statement=r"""\begin{aligned}
& \log p_\theta(x) - \ELBO_\beta(\theta, q; x) \\
& \qquad = \KL{q(z)}{p_\theta(z|x)} + (\beta - 1) \KL{q(z)}{p(z)}
\end{aligned}""",
        claim=_beta_residual,
        wrong={
            "β for β − 1": {"shift": 0},
            "the first divergence exchanged": {"exchanged": True},
            "the second divergence subtracted": {"sign": -1},
        },
        assumptions="q > 0 and p(x, z) > 0 on the support; β > 0; finite divergences",
        scope="all probabilities on supports of 2 and 3 states",
        computes="divergences.kl",
    ),
]
