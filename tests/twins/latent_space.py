"""The functions whose values the identities of *Living in the latent space* give."""

from __future__ import annotations

import math

import torch
from torch import distributions as td

from vaelib import divergences, models


def _row(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def latent_metric(*, n, a1, a2, d1, d2, j1_1, j1_2, j2_1, j2_2) -> float:
    odds = _row(a1, a2)
    start = odds / (1 + odds)
    rise = _row(j1_1 * d1 + j1_2 * d2, j2_1 * d1 + j2_2 * d2)

    def divergence(t):
        before, after = (td.Bernoulli(probs=p) for p in (start, start + t * rise))
        pair = (td.Independent(b, 1) for b in (before, after))
        return n * divergences.kl(*pair).sum()  # a binomial is n Bernoulli draws

    zero = torch.zeros((), dtype=torch.float64)
    return torch.autograd.functional.hessian(divergence, zero).item()


def prior_swap(*, p1, p2, r1, r2, q0_1, q0_2, q1_1, q1_2) -> float:
    first, second, p, r = (
        td.Categorical(_row(*w)).probs[0]
        for w in ((q0_1, q0_2), (q1_1, q1_2), (p1, p2), (r1, r2))
    )
    q, p, r = map(td.Categorical, ((first + second) / 2, p, r))
    return (divergences.kl(q, p) - divergences.kl(q, r)).item()


def shrinkage(*, tau, **rest) -> float:
    signal = rest["lambda"]
    weight, loc = _row(math.sqrt(signal)), _row(0.0)[0]
    posterior = models.LinearGaussian(weight, loc, tau).posterior(_row(0.3))
    return signal * posterior.covariance_matrix.item()


def pixel_posterior(*, p1, p2, s1, s2, n=2, seen=1) -> float:
    family = models.Binomial(n)(_row(math.log(p1 / p2)))
    rho = s1 / (s1 + s2)
    intact = (1 - rho) * family.log_prob(_row(seen)).exp().item()
    intact /= intact + rho / (n + 1)
    return intact * seen + (1 - intact) * family.mean.item()


def narrow_score(*, s) -> float:
    p = models.standard_normal(2, _row(0.0))
    r = td.Independent(td.Normal(p.mean, s * p.stddev), 1)
    cross = divergences.kl(r, p) + r.entropy()  # −E_r log p
    return (p.entropy() - cross).item()


TWINS = {
    "eq-latent-metric": latent_metric,
    "eq-prior-swap": prior_swap,
    "eq-shrinkage": shrinkage,
    "eq-pixel-posterior": pixel_posterior,
    "eq-narrow-score": narrow_score,
}
