"""The functions whose values the identities of *Posterior collapse* give."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch import distributions as td

from vaelib import bounds, divergences
from vaelib.models import LinearGaussian, standard_normal
from vaelib.quadrature import gauss_hermite


def _tensor(*values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _kl(loc: Tensor, scale: Tensor) -> Tensor:
    q = td.Independent(td.Normal(loc, scale), 1)
    return divergences.kl(q, standard_normal(loc.shape[-1], loc))


def linear_elbo(*, w11, w21, v11, v12, x11, x12, x21, x22, s1, sigma) -> float:
    x = _tensor([x11, x12], [x21, x22])
    model = LinearGaussian(_tensor([w11], [w21]), torch.zeros(2).double(), sigma)
    loc = x @ _tensor([v11], [v12])
    nodes, weights = gauss_hermite(6)
    z = loc + s1 * nodes.reshape(-1, 1, 1)
    log_lik = model.likelihood(z).log_prob(x)
    rate = _kl(loc, torch.full_like(loc, s1))
    return bounds.elbo_from_kl(log_lik, rate, weights).mean().item()


def collapse_gain(*, l1, v) -> float:
    """The gain of one kept direction among three, on data with that spectrum."""
    spread = _tensor(l1, 1.0, 0.5)
    x = torch.diag((3 * spread).sqrt())
    x = torch.cat([x, -x])  # its covariance is diag(spread)
    heights = []
    for weight in ((l1 - v) ** 0.5, 0.0):
        model = LinearGaussian(
            _tensor([weight], [0.0], [0.0]), torch.zeros(3).double(), v**0.5
        )
        heights.append(model.log_evidence(x).mean().item())
    return heights[0] - heights[1]


def beta_scale(*, x1, x2, m1, m2, beta, sigma, kl) -> float:
    wide = td.Normal(_tensor(m1, m2), sigma * beta**0.5)
    log_lik = wide.log_prob(_tensor(x1, x2)).sum().reshape(1, 1)
    elbo = bounds.elbo_from_kl(log_lik, _tensor(kl)).item()
    two_pi = 2 * math.pi * sigma**2
    return beta * elbo + beta * math.log(beta * two_pi) - math.log(two_pi)


def water_filling(*, b, s2, e) -> float:
    """The average rate of one active direction, over the two data ±√λ."""
    value = b * s2 + e
    x = _tensor([value**0.5], [-(value**0.5)])
    v, s = e**0.5 / value, (b * s2 / value) ** 0.5
    return _kl(v * x, torch.full_like(x, s)).mean().item()


TWINS = {
    "eq-linear-elbo": linear_elbo,
    "eq-collapse-gain": collapse_gain,
    "eq-beta-scale": beta_scale,
    "eq-water-filling": water_filling,
}
