"""Neural decoders, the likelihoods they parametrise, and the standard normal prior."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch import distributions as td

from vaelib.models.counts import Counts
from vaelib.normal import LogScaleNormal


class Bernoulli(nn.Module):
    """Likelihood of binary x: logits → independent Bernoulli."""

    def forward(self, logits: Tensor) -> td.Independent:
        return Counts(td.Bernoulli(logits=logits, validate_args=False), 1)


class Binomial(nn.Module):
    """Likelihood of counts x ∈ {0, …, total_count}: logits → independent binomials.

    Args:
        total_count: n ≥ 1, the same for every pixel.
    """

    def __init__(self, total_count: int):
        super().__init__()
        if not isinstance(total_count, int) or total_count < 1:
            raise ValueError(
                "total_count: expected a whole number of at least 1, got "
                f"{total_count!r}"
            )
        self.total_count = total_count

    def forward(self, logits: Tensor) -> td.Independent:
        base = td.Binomial(self.total_count, logits=logits, validate_args=False)
        return Counts(base, self.total_count)


class Gaussian(nn.Module):
    """Likelihood of real x: means → independent normals with one common scale σ.

    Args:
        scale: σ > 0, the initial value or, with `learned=False`, the fixed one.
        learned: whether log σ is a parameter.
    """

    def __init__(self, scale: float = 1.0, learned: bool = True):
        super().__init__()
        if not scale > 0:
            raise ValueError(f"scale: expected a positive number, got {scale!r}")
        self.log_scale = nn.Parameter(
            torch.tensor(float(scale)).log(), requires_grad=learned
        )

    def forward(self, mean: Tensor) -> td.Independent:
        mean, log_scale = torch.broadcast_tensors(mean, self.log_scale)
        return td.Independent(LogScaleNormal(mean, log_scale), 1)


class GaussianPerPixel(nn.Module):
    """Likelihood of real x: means and log-scales → independent normals, each its own σ.

    The parameters are (m, r), each of length P. m is the mean, and

        log σ = log f + log(1 + exp(r − log f)),

    about r where r is well above log f, and never below log f.

    Without a floor f the likelihood has no maximum: where a pixel is the same in all
    pictures, as at the border of digits, or where a decoder fits one picture exactly,
    σ → 0 and log p(x|z) → ∞. Data that were rounded to steps of some width carry no
    information below it, so that width is the natural f.

    Args:
        floor: f > 0, the smallest standard deviation, in units of x.

    References: mattei2018; rybkin2021.
    """

    def __init__(self, floor: float):
        super().__init__()
        if not floor > 0:
            raise ValueError(f"floor: expected a positive number, got {floor!r}")
        self.log_floor = math.log(floor)

    def forward(self, parameters: Tensor) -> td.Independent:
        mean, r = parameters.chunk(2, -1)
        log_scale = self.log_floor + nn.functional.softplus(r - self.log_floor)
        return td.Independent(LogScaleNormal(mean, log_scale), 1)


class DeepModel(nn.Module):
    """z ~ N(0, I) in `latent_dim` dimensions, x|z ~ family(decoder(z)).

    Args:
        decoder: maps z `(..., D)` to the family's parameters `(..., P)`.
        family: `Bernoulli()`, `Binomial(total_count)`, `Gaussian()`,
            `GaussianPerPixel(floor)`, or any callable from those parameters to a
            distribution over x with one event axis.
        latent_dim: D ≥ 1.
    """

    def __init__(
        self,
        decoder: nn.Module,
        family: Callable[[Tensor], td.Distribution],
        latent_dim: int,
    ):
        super().__init__()
        self.decoder = decoder
        self.family = family
        self.latent_dim = latent_dim
        self.register_buffer("_zero", torch.zeros(()), persistent=False)

    def prior(self) -> td.Independent:
        """p(z) = N(0, I), event shape (D,)."""
        return standard_normal(self.latent_dim, self._zero)

    def likelihood(self, z: Tensor) -> td.Distribution:
        """p(x|z), batch shape of z without its last axis."""
        return self.family(self.decoder(z))


def standard_normal(dim: int, like: Tensor) -> td.Independent:
    """N(0, I) in `dim` dimensions, with the dtype and device of `like`."""
    zeros = like.new_zeros(dim)
    return td.Independent(LogScaleNormal(zeros, zeros), 1)


def mlp(*sizes: int, activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    """A multilayer perceptron of these widths, linear in its last layer."""
    layers: list[nn.Module] = []
    for i, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        if i:
            layers.append(activation())
        layers.append(nn.Linear(n_in, n_out))
    return nn.Sequential(*layers)


def factorised_binomial(
    x: Tensor, total_count: int, pseudo_count: float = 0.5
) -> td.Independent:
    """The best density without cross-dimension terms for counts x, in closed form.

    Each pixel has its own binomial with p = (Σ x + a) / (N·total_count + 2a). With
    a = 0 this is the maximum-likelihood factorised density; a > 0 keeps a pixel that is
    constant in the data from forbidding every other value.

    Args:
        x: counts, `(N, P)`.
        total_count: the largest count.
        pseudo_count: a ≥ 0.

    Returns:
        A distribution with event shape (P,).
    """
    total = len(x) * total_count
    probs = (x.sum(0) + pseudo_count) / (total + 2 * pseudo_count)
    return td.Independent(td.Binomial(total_count, probs=probs), 1)
