"""Real data that needs no network, and toy densities with known answers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch import distributions as td

DIGIT_LEVELS = 16  # a pixel counts the dark dots of a 4×4 block


class Digits(NamedTuple):
    """Digits of 8×8 pixels: counts 0 to 16 as floats, `(N, 64)`, and labels `(N,)`."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


def digits(dtype: torch.dtype = torch.float32) -> Digits:
    """The 1,797 digits bundled with scikit-learn, split 1,500 to 297.

    The original bitmaps of 32×32 were divided into 4×4 blocks and the dark dots of each
    counted, so that a pixel is an exact count between 0 and 16. The split is fixed and
    stratified: every digit is in both parts in equal proportion.

    Returns:
        `Digits`, on the CPU.

    References: kaynak1995, alpaydin1998.

    Example:
        >>> data = digits()
        >>> tuple(data.train_x.shape), tuple(data.test_x.shape)
        ((1500, 64), (297, 64))
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    parts = train_test_split(x, y, test_size=297, stratify=y, random_state=0)
    train_x, test_x, train_y, test_y = map(torch.from_numpy, parts)
    return Digits(train_x.to(dtype), train_y, test_x.to(dtype), test_y)


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
