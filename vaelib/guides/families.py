"""Families of Gaussians: maps from parameters to distributions."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch import distributions as td

from vaelib.normal import LogScaleNormal


class Family(ABC):
    """A map from parameters `(B, size)` to distributions q over z ∈ R^D.

    Every family of the package moves and stretches a standard shape,

        z = μ + σ ⊙ T(ε),   ε ~ N(0, I),

    and its parameters are (μ, log σ, shape), so that the first 2D of them mean the same
    in all. Families differ in T: the identity, a linear map, a flow. Each contains the
    diagonal Gaussian, and `from_diagonal` says where.

    Args:
        latent_dim: D, the dimension of z.
        least: the smallest D that the family has.
        shape_size: how many parameters T has.

    Attributes:
        latent_dim: the dimension D.
        size: how many parameters one distribution has.
    """

    def __init__(self, latent_dim: int, least: int, shape_size: int):
        if not isinstance(latent_dim, int) or latent_dim < least:
            raise ValueError(
                f"latent_dim: {type(self).__name__} expected a whole number of at "
                f"least {least}, got {latent_dim!r}"
            )
        self.latent_dim = latent_dim
        self.size = 2 * latent_dim + shape_size

    def __call__(self, parameters: Tensor) -> td.Distribution:
        """q with these parameters `(B, size)`: batch shape (B,), event shape (D,).

        There may be more batch axes, as `(S, B, size)` for the upper part of a chain.

        Raises:
            ValueError: if the last axis is not `size` long.
        """
        if parameters.shape[-1:] != (self.size,):
            raise ValueError(
                f"parameters: {type(self).__name__}({self.latent_dim}) expected shape "
                f"(B, {self.size}), got {tuple(parameters.shape)}"
            )
        d = self.latent_dim
        loc, log_scale, shape = parameters.split([d, d, self.size - 2 * d], -1)
        return self._distribution(loc, log_scale, shape)

    def from_diagonal(self, loc: Tensor, log_scale: Tensor, seed: int = 0) -> Tensor:
        """Parameters with which this family is N(loc, diag exp(log_scale)²) exactly.

        A start for training. Where some parameters then have no effect (the first
        layers of a flow whose last layers are zero), they are drawn, the same for every
        datum, so that the others have a gradient.

        Args:
            loc: μ, `(B, D)`.
            log_scale: log σ, `(B, D)`.
            seed: of the parameters without effect.

        Returns:
            `(B, size)`.
        """
        shape = self._identity(loc, seed).expand(*loc.shape[:-1], -1)
        return torch.cat([loc, log_scale, shape], -1)

    def standard(self, n: int, seed: int = 0) -> Tensor:
        """Parameters `(n, size)` with which each of n distributions is N(0, I)."""
        zeros = torch.zeros(n, self.latent_dim)
        return self.from_diagonal(zeros, zeros, seed)

    @abstractmethod
    def _distribution(
        self, loc: Tensor, log_scale: Tensor, shape: Tensor
    ) -> td.Distribution:
        """q by the parts of its parameters."""

    @abstractmethod
    def _identity(self, like: Tensor, seed: int) -> Tensor:
        """Parameters of the shape, one row, with which T(ε) = ε."""


class DiagonalGaussian(Family):
    """q(z) = N(μ, diag σ²), with 2D parameters (μ, log σ).

    T(ε) = ε. The mean-field family of Gaussians: where the posterior's dimensions are
    correlated, its best member leaves a gap.

    Args:
        latent_dim: D ≥ 1.

    References: kingma2014.
    """

    def __init__(self, latent_dim: int):
        super().__init__(latent_dim, 1, 0)

    def _distribution(
        self, loc: Tensor, log_scale: Tensor, shape: Tensor
    ) -> td.Distribution:
        return td.Independent(LogScaleNormal(loc, log_scale), 1)

    def _identity(self, like: Tensor, seed: int) -> Tensor:
        return like.new_zeros(0)


class FullGaussian(Family):
    """q(z) = N(μ, LLᵀ) with L = diag(σ) (I + U), in D + D(D + 1)/2 parameters.

    T(ε) = (I + U) ε with U strictly lower triangular, row by row in the parameters. So
    L is the Cholesky factor of the covariance, with σ > 0 as its diagonal, and its
    determinant is Π σ. U has no unit: z_i = μ_i + σ_i (ε_i + Σ_j U_ij ε_j), j < i, so
    that the same entries serve at any scale.

    Args:
        latent_dim: D ≥ 1.
    """

    def __init__(self, latent_dim: int):
        super().__init__(latent_dim, 1, latent_dim * (latent_dim - 1) // 2)

    def _distribution(
        self, loc: Tensor, log_scale: Tensor, shape: Tensor
    ) -> td.Distribution:
        d = self.latent_dim
        rows, columns = torch.tril_indices(d, d, -1, device=loc.device)
        factor = torch.diag_embed(torch.ones_like(loc))
        factor[..., rows, columns] = shape
        return td.MultivariateNormal(
            loc, scale_tril=log_scale.exp().unsqueeze(-1) * factor
        )

    def _identity(self, like: Tensor, seed: int) -> Tensor:
        return like.new_zeros(self.size - 2 * self.latent_dim)
