"""Toy densities with known answers."""

from __future__ import annotations

import torch
from torch import distributions as td


def bimodal(gap: float = 4.0, scale: float = 1.0) -> td.MixtureSameFamily:
    """The density ½ N(−gap/2, scale²) + ½ N(gap/2, scale²), mean 0, float64.

    Its variance is scale² + gap²/4.
    """
    loc = torch.tensor([-gap / 2, gap / 2], dtype=torch.float64)
    return td.MixtureSameFamily(
        td.Categorical(torch.ones_like(loc)),
        td.Normal(loc, torch.full_like(loc, scale)),
    )


def correlated_gaussian(rho: float) -> td.MultivariateNormal:
    """The Gaussian in two dimensions with unit variances and correlation ρ, float64."""
    if not -1 < rho < 1:
        raise ValueError(f"rho: expected a correlation between -1 and 1, got {rho}")
    covariance = torch.tensor([[1.0, rho], [rho, 1.0]], dtype=torch.float64)
    return td.MultivariateNormal(torch.zeros(2, dtype=torch.float64), covariance)
