"""What conjugacy gives without approximation: predictions, and tiny evidences."""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor

from vaelib.meanfield.mixture import (
    LOG_2PI,
    Mixture,
    distance,
    log_normaliser,
    update,
)

MOST = 100_000  # assignments that are summed over


def log_predictive(q: Mixture, x: Tensor) -> Tensor:
    """log E_q[p(x | π, μ, Λ)] of new data: a mixture of Student's t, in nats.

    Equation: eq-predictive

    Exact for the given q; as good as q where that stands in for a posterior.

    Args:
        q: q(π, μ, Λ), `(..., K, ...)`.
        x: new data `(M, P)`, each predicted by itself.

    Returns:
        Shape `(..., M)`.

    References: bishop2006 (10.81).
    """
    p = x.shape[-1]
    half = (q.dof + 1) / 2
    scale = q.strength / (1 + q.strength)
    constant = torch.lgamma(half) - torch.lgamma(half - p / 2)
    constant = constant + (p * (scale / math.pi).log() - torch.logdet(q.scatter)) / 2
    weight = q.concentration.log() - q.concentration.sum(-1, keepdim=True).log()
    tail = half.unsqueeze(-2) * (scale.unsqueeze(-2) * distance(q, x)).log1p()
    return torch.logsumexp((weight + constant).unsqueeze(-2) - tail, -1)


def log_evidence(prior: Mixture, x: Tensor) -> Tensor:
    """log p(x) of all data together: the sum over all K^N assignments. A scalar.

    Equation: eq-mixture-evidence

    Args:
        prior: p(π, μ, Λ), without leading axes.
        x: data `(N, P)`, few.

    Raises:
        ValueError: if there are more than 100,000 assignments.
    """
    k, (n, p) = prior.concentration.shape[-1], x.shape
    if k**n > MOST:
        raise ValueError(
            f"x: expected at most {MOST:,} assignments K^N, got {k}^{n} = {k**n:,}"
        )
    table = torch.tensor(list(product(range(k), repeat=n)), device=x.device)
    r = torch.nn.functional.one_hot(table, k).to(x)
    log_joint = log_normaliser(update(prior, x, r)) - log_normaliser(prior)
    return log_joint.logsumexp(0) - n * p * LOG_2PI / 2
