"""Models of two stochastic layers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch import distributions as td

from vaelib.chain import Chain
from vaelib.models.deep import standard_normal


class TwoLayerModel(nn.Module):
    """z₂ ~ N(0, I), z₁|z₂ ~ p(z₁|z₂), x|z₁ ~ family(decoder(z₁)); z = (z₁, z₂).

        log p(x, z) = log p(x|z₁) + log p(z₁|z₂) + log p(z₂)

    Its guide is usually `guides.Chained`, q(z₁|x) q(z₂|z₁).

    Args:
        decoder: maps z₁ `(..., D₁)` to the family's parameters `(..., P)`.
        family: from those parameters to p(x|z₁), as for `DeepModel`.
        conditional: maps z₂ `(..., D₂)` to p(z₁|z₂), event shape (D₁,), such as
            `guides.Amortized(mlp(D₂, hidden, 2 * D₁))`.
        latent_dims: (D₁, D₂).

    References: burda2016, section 5.
    """

    def __init__(
        self,
        decoder: nn.Module,
        family: Callable[[Tensor], td.Distribution],
        conditional: Callable[[Tensor], td.Distribution],
        latent_dims: tuple[int, int],
    ):
        super().__init__()
        self.decoder = decoder
        self.family = family
        self.conditional = conditional
        self.latent_dims = latent_dims
        self.register_buffer("_zero", torch.zeros(()), persistent=False)

    def prior(self) -> Chain:
        """p(z) = p(z₂) p(z₁|z₂), event shape (D₁ + D₂,), z₁ first."""
        first, second = self.latent_dims
        top = standard_normal(second, self._zero)
        return Chain(top, self.conditional, first, first_last=True)

    def likelihood(self, z: Tensor) -> td.Distribution:
        """p(x|z₁), batch shape of z `(..., D₁ + D₂)` without its last axis."""
        return self.family(self.decoder(z[..., : self.latent_dims[0]]))
