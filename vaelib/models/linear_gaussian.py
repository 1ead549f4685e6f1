"""The linear-Gaussian model, whose evidence and posterior have closed forms."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch import distributions as td

from vaelib.models.deep import standard_normal


class LinearGaussian(nn.Module):
    """z ~ N(0, I), x|z ~ N(Wz + μ, σ²I): probabilistic principal component analysis.

    Args:
        weight: W, shape `(P, D)`.
        loc: μ, shape `(P,)`.
        scale: σ > 0, one number.

    Raises:
        ValueError: if the shapes disagree or the scale is not positive.

    References: tipping1999.
    """

    def __init__(self, weight: Tensor, loc: Tensor, scale: float | Tensor):
        super().__init__()
        if weight.dim() != 2 or loc.shape != weight.shape[:1]:
            raise ValueError(
                "weight, loc: expected shapes (P, D) and (P,), got "
                f"{tuple(weight.shape)} and {tuple(loc.shape)}"
            )
        scale = torch.as_tensor(scale, dtype=weight.dtype)
        if scale.dim() != 0 or not scale > 0:
            raise ValueError(f"scale: expected one positive number, got {scale}")
        self.weight = nn.Parameter(weight.clone())
        self.loc = nn.Parameter(loc.clone())
        self.log_scale = nn.Parameter(scale.log())

    @classmethod
    def maximum_likelihood(cls, x: Tensor, latent_dim: int) -> LinearGaussian:
        """The maximum-likelihood model for data x `(N, P)`, in closed form.

        With eigenvalues λ₁ ≥ … ≥ λ_P of the data's covariance, σ² is the mean of the
        last P − D of them and W = U_D (Λ_D − σ²I)^½. W is unique up to a rotation of
        the latent.

        Equation: eq-ppca-solution

        Raises:
            ValueError: if `latent_dim` is not between 0 and P − 1.

        References: tipping1999, eq. 7 and 8.
        """
        p = x.shape[1]
        if not 0 <= latent_dim < p:
            raise ValueError(
                f"latent_dim: expected 0 to {p - 1} for data of {p} dimensions, "
                f"got {latent_dim}"
            )
        loc = x.mean(0)
        centred = x - loc
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(x))
        values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
        noise = values[latent_dim:].mean()
        excess = (values[:latent_dim] - noise).clamp_min(0).sqrt()
        return cls(vectors[:, :latent_dim] * excess, loc, noise.sqrt())

    @property
    def scale(self) -> Tensor:
        """σ, the standard deviation of the noise."""
        return self.log_scale.exp()

    def prior(self) -> td.Independent:
        """p(z) = N(0, I), event shape (D,)."""
        return standard_normal(self.weight.shape[1], self.weight)

    def likelihood(self, z: Tensor) -> td.Independent:
        """p(x|z) = N(Wz + μ, σ²I), event shape (P,)."""
        return td.Independent(td.Normal(z @ self.weight.T + self.loc, self.scale), 1)

    def evidence(self) -> td.MultivariateNormal:
        """p(x) = N(μ, WWᵀ + σ²I), event shape (P,)."""
        noise = self.scale**2 * _eye(len(self.loc), self.loc)
        return td.MultivariateNormal(self.loc, self.weight @ self.weight.T + noise)

    def log_evidence(self, x: Tensor) -> Tensor:
        """log p(x), shape `(B,)`, in nats."""
        return self.evidence().log_prob(x)

    def posterior(self, x: Tensor) -> td.MultivariateNormal:
        """p(z|x) = N(M⁻¹Wᵀ(x − μ), σ²M⁻¹) with M = WᵀW + σ²I.

        Equation: eq-linear-gaussian-posterior
        """
        w = self.weight
        m = w.T @ w + self.scale**2 * _eye(w.shape[1], w)
        mean = torch.linalg.solve(m, ((x - self.loc) @ w).unsqueeze(-1)).squeeze(-1)
        return td.MultivariateNormal(mean, precision_matrix=m / self.scale**2)

    def joint(self) -> td.MultivariateNormal:
        """p(x, z), event shape (P + D,), x first."""
        w = self.weight
        top = torch.cat([self.evidence().covariance_matrix, w], 1)
        bottom = torch.cat([w.T, _eye(w.shape[1], w)], 1)
        return td.MultivariateNormal(self._joint_loc(), torch.cat([top, bottom]))

    def product_of_marginals(self) -> td.MultivariateNormal:
        """p(x) p(z), event shape (P + D,), x first."""
        w = self.weight
        covariance = torch.block_diag(
            self.evidence().covariance_matrix, _eye(w.shape[1], w)
        )
        return td.MultivariateNormal(self._joint_loc(), covariance)

    def _joint_loc(self) -> Tensor:
        return torch.cat([self.loc, self.loc.new_zeros(self.weight.shape[1])])


def _eye(n: int, like: Tensor) -> Tensor:
    return torch.eye(n, dtype=like.dtype, device=like.device)
