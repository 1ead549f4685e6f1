"""The Bayesian Gaussian mixture: its conjugate family, both updates, and the ELBO.

The model: weights π ~ Dirichlet; for each component a mean and a precision matrix
(μ, Λ) ~ Normal–Wishart; for each datum a component z ~ π, and x ~ N(μ_z, Λ_z⁻¹). The
guide is q(z) q(π, μ, Λ). Prior and q(π, μ, Λ) belong to one family and so are of one
type, `Mixture`; q(z) is a table r of responsibilities. Leading axes `...` are
independent runs. K components, N data of P numbers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)


class Mixture(NamedTuple):
    """A Dirichlet for the weights π, a Normal–Wishart for each component's (μ, Λ).

    π ~ Dirichlet(α), Λ ~ Wishart(ν, W) with mean ν W, and μ | Λ ~ N(m, (β Λ)⁻¹).

    Attributes:
        concentration: α > 0, `(..., K)`.
        loc: m, `(..., K, P)`.
        strength: β > 0, `(..., K)`; m is worth so many data.
        dof: ν > P − 1, `(..., K)`.
        scatter: W⁻¹, positive definite, `(..., K, P, P)`.
    """

    concentration: Tensor
    loc: Tensor
    strength: Tensor
    dof: Tensor
    scatter: Tensor


def update(prior: Mixture, x: Tensor, r: Tensor) -> Mixture:
    """The best q(π, μ, Λ) for given responsibilities r: the data added to the prior.

    Equation: eq-mixture-update

    Args:
        prior: p(π, μ, Λ).
        x: data `(N, P)`.
        r: weights `(..., N, K)`, at least zero. A row need not sum to one: a datum of
            weight two counts twice.

    Returns:
        q(π, μ, Λ), with the leading axes of r.

    References: bishop2006 (10.58–10.63).
    """
    count = r.sum(-2)  # N_k
    safe = count.clamp_min(torch.finfo(x.dtype).tiny).unsqueeze(-1)
    centre = (r.mT @ x) / safe  # the weighted mean of the data
    d = x.unsqueeze(-2) - centre.unsqueeze(-3)  # (..., N, K, P)
    within = torch.einsum("...nk,...nki,...nkj->...kij", r, d, d)
    return combine(prior, Mixture(count, centre, count, count, within))


def combine(a: Mixture, b: Mixture) -> Mixture:
    """The sum of natural parameters, which is how independent evidence adds up.

    These are α, β, β m, ν and W⁻¹ + β m mᵀ. The last is summed about the new mean, so
    that data far from the origin lose no digits.
    """
    strength = a.strength + b.strength
    d = b.loc - a.loc
    between = a.strength * b.strength / strength
    return Mixture(
        a.concentration + b.concentration,
        a.loc + (b.strength / strength).unsqueeze(-1) * d,
        strength,
        a.dof + b.dof,
        a.scatter
        + b.scatter
        + between[..., None, None] * d[..., None] * d[..., None, :],
    )


def expected_log_weight(q: Mixture) -> Tensor:
    """E_q[log π_k] = ψ(α_k) − ψ(Σ α), shape `(..., K)`."""
    total = q.concentration.sum(-1, keepdim=True)
    return torch.digamma(q.concentration) - torch.digamma(total)


def expected_log_det(q: Mixture) -> Tensor:
    """E_q[log det Λ] for each component, shape `(..., K)`.

    Equation: eq-wishart-log-det

    References: bishop2006 (10.65).
    """
    p = q.loc.shape[-1]
    halves = (q.dof.unsqueeze(-1) - torch.arange(p).to(q.dof)) / 2
    return torch.digamma(halves).sum(-1) + p * math.log(2) - torch.logdet(q.scatter)


def expected_log_joint(q: Mixture, x: Tensor) -> Tensor:
    """E_q[log π_k + log N(x_n; μ_k, Λ_k⁻¹)], shape `(..., N, K)`, in nats.

    Equation: eq-expected-log-joint
    """
    p = x.shape[-1]
    constant = (expected_log_det(q) - p / q.strength - p * LOG_2PI) / 2
    constant = constant + expected_log_weight(q)
    return constant.unsqueeze(-2) - q.dof.unsqueeze(-2) * distance(q, x) / 2


def distance(q: Mixture, x: Tensor) -> Tensor:
    """(x_n − m_k)ᵀ W_k (x_n − m_k), shape `(..., N, K)`."""
    factor = torch.linalg.cholesky(q.scatter)
    d = (x - q.loc.unsqueeze(-2)).mT  # (..., K, P, N)
    white = torch.linalg.solve_triangular(factor, d, upper=False)
    return white.square().sum(-2).mT


def responsibilities(q: Mixture, x: Tensor) -> Tensor:
    """The best q(z) for a given q(π, μ, Λ): r `(..., N, K)`, each row sums to one.

    Equation: eq-responsibilities

    References: bishop2006 (10.46–10.49).
    """
    return expected_log_joint(q, x).softmax(-1)


def log_normaliser(q: Mixture) -> Tensor:
    """log Z of the Dirichlet and all Normal–Wisharts together, shape `(...)`, in nats.

    The product over k of π^(α−1) det(Λ)^((ν−P)/2) exp(−½ tr(W⁻¹Λ) − ½ β (μ−m)ᵀΛ(μ−m)),
    integrated over weights, means and precision matrices, is Z.

    Equation: eq-mixture-normaliser
    """
    p = q.loc.shape[-1]
    alpha = q.concentration
    weights = torch.lgamma(alpha).sum(-1) - torch.lgamma(alpha.sum(-1))
    wishart = q.dof * (p * math.log(2) - torch.logdet(q.scatter)) / 2
    wishart = wishart + torch.mvlgamma(q.dof / 2, p)
    normal = p * (LOG_2PI - q.strength.log()) / 2
    return weights + (wishart + normal).sum(-1)


def kl_to_prior(q: Mixture, prior: Mixture) -> Tensor:
    """KL(q(π, μ, Λ) ‖ p(π, μ, Λ)) ≥ 0, shape `(...)`, in nats."""
    p = q.loc.shape[-1]
    weights = (q.concentration - prior.concentration) * expected_log_weight(q)
    d = (q.loc - prior.loc).unsqueeze(-1)
    solved = torch.linalg.solve(q.scatter, d)
    shift = (d * solved).sum((-1, -2))  # (m − m₀)ᵀ W (m − m₀)
    square = prior.strength * (p / q.strength + q.dof * shift) - p
    ratio = torch.linalg.solve(q.scatter, prior.scatter.expand_as(q.scatter))
    trace = q.dof * (ratio.diagonal(dim1=-2, dim2=-1).sum(-1) - p)
    log_det = (q.dof - prior.dof) * expected_log_det(q)
    inside = (weights + (log_det + square + trace) / 2).sum(-1)
    return inside - log_normaliser(q) + log_normaliser(prior)


def elbo(prior: Mixture, q: Mixture, x: Tensor, r: Tensor) -> Tensor:
    """The ELBO of the guide q(z) q(π, μ, Λ), a lower bound on log p(x).

    Equation: eq-mixture-elbo

    Every constant counts, so that the bound may be compared across K and with other
    models. Exact for any q and r, whether or not one is the best for the other.

    Args:
        prior: p(π, μ, Λ).
        q: q(π, μ, Λ), `(..., K, ...)`.
        x: data `(N, P)`.
        r: q(z), `(..., N, K)`, each row a probability vector.

    Returns:
        Shape `(...)`, in nats, for all N data together.

    References: bishop2006 (10.70–10.77).
    """
    energy = (r * expected_log_joint(q, x)).sum((-1, -2))
    return energy - torch.xlogy(r, r).sum((-1, -2)) - kl_to_prior(q, prior)
