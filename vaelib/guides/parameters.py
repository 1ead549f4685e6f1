"""Guides: where the parameters of each datum's q come from."""

from __future__ import annotations

from torch import Tensor, nn
from torch import distributions as td

from vaelib.bounds import Model
from vaelib.chain import Chain
from vaelib.guides.families import DiagonalGaussian, Family


class Amortized(nn.Module):
    """q(z|x) = family(encoder(x)): one network gives the parameters of every datum.

    Equation: eq-amortized-guide

    Args:
        encoder: maps x `(B, P)` to parameters `(B, family.size)`.
        family: None is the diagonal Gaussian, N(μ(x), diag σ(x)²), with μ and log σ the
            halves of the encoder's output.

    References: kingma2014; rezende2014.
    """

    def __init__(self, encoder: nn.Module, family: Family | None = None):
        super().__init__()
        self.encoder = encoder
        self.family = family

    def forward(self, x: Tensor) -> td.Distribution:
        parameters = self.encoder(x)
        family = self.family or DiagonalGaussian(parameters.shape[-1] // 2)
        return family(parameters)


class Free(nn.Module):
    """q(z|x_n) = family(λ_n) with parameters λ_n of its own for each datum.

    Nothing is amortized: called on the whole data set, in its order.

    Args:
        parameters: where λ starts, `(N, family.size)`, such as `family.standard(N)` or
            an encoder's output; copied.
        family: maps them to q.

    References: cremer2018, who compare its best with an encoder's.
    """

    def __init__(self, parameters: Tensor, family: Family):
        super().__init__()
        if parameters.dim() != 2 or parameters.shape[1] != family.size:
            raise ValueError(
                f"parameters: expected shape (N, {family.size}), a row of "
                f"{type(family).__name__}({family.latent_dim}) for each datum, got "
                f"{tuple(parameters.shape)}"
            )
        self.table = nn.Parameter(parameters.detach().clone())
        self.family = family

    def forward(self, x: Tensor) -> td.Distribution:
        if len(x) != len(self.table):
            raise ValueError(
                f"x: expected all {len(self.table)} data that this guide "
                f"has parameters for, got {len(x)}"
            )
        return self.family(self.table)


class Chained(nn.Module):
    """q(z₁, z₂|x) = q(z₁|x) q(z₂|z₁): a guide on top of a guide.

    The second sees x only through z₁, as the exact posterior of a chain x ← z₁ ← z₂
    does.

    Args:
        first: maps x to q(z₁|x), batch shape (B,).
        then: maps z₁ `(S, B, D₁)` to q(z₂|z₁), batch shape (S, B).
        then_dim: D₂.

    References: burda2016, section 5.
    """

    def __init__(self, first: nn.Module, then: nn.Module, then_dim: int):
        super().__init__()
        self.first = first
        self.then = then
        self.then_dim = then_dim

    def forward(self, x: Tensor) -> Chain:
        return Chain(self.first(x), self.then, self.then_dim)


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
