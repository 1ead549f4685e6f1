"""Guides: variational families q(z|x). Calling a guide returns a distribution.

`guide(x)` has batch shape `(B,)` and event shape `(D,)`. An exact model's `posterior`
is a guide too, the best there is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch import distributions as td

from vaelib.bounds import Model


class FreeGaussian(nn.Module):
    """q(z|x_n) = N(μ_n, diag σ_n²) with parameters of its own for each datum.

    Nothing is amortized: called on the whole data set, in its order.

    Args:
        n_data: N, the number of data.
        latent_dim: D.
    """

    def __init__(self, n_data: int, latent_dim: int):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(n_data, latent_dim))
        self.log_scale = nn.Parameter(torch.zeros(n_data, latent_dim))

    def forward(self, x: Tensor) -> td.Independent:
        if len(x) != len(self.loc):
            raise ValueError(
                f"x: expected all {len(self.loc)} data that this guide has parameters "
                f"for, got {len(x)}"
            )
        return td.Independent(td.Normal(self.loc, self.log_scale.exp()), 1)


class AmortizedGaussian(nn.Module):
    """q(z|x) = N(μ(x), diag σ(x)²): μ and log σ are the halves of an encoder's output.

    Args:
        encoder: maps x `(B, P)` to `(B, 2 D)`.
    """

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> td.Independent:
        loc, log_scale = self.encoder(x).chunk(2, -1)
        return td.Independent(td.Normal(loc, log_scale.exp()), 1)


class PriorGuide(nn.Module):
    """q(z|x) = p(z): a guide that ignores the datum, and so makes the bad bound.

    Args:
        model: the model whose prior it repeats. Its parameters stay the model's own.
    """

    def __init__(self, model: Model):
        super().__init__()
        self._model = (model,)  # in a tuple, so that it is no submodule of the guide

    def forward(self, x: Tensor) -> td.Distribution:
        prior = self._model[0].prior()
        return prior.expand(x.shape[:1])
