"""Expectations by Gaussian quadrature: exact for polynomials, so fit as an oracle."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch import distributions as td

from vaelib.noise import innermost, push


@cache
def _hermite(n: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    return nodes, weights / weights.sum()


def gauss_hermite(n: int, dim: int = 1) -> tuple[Tensor, Tensor]:
    """Nodes and weights for the expectation under N(0, I) in `dim` dimensions.

    Exact for polynomials of degree up to 2n − 1 in each coordinate. The grid has
    `n ** dim` nodes, so keep `dim` small.

    Returns:
        nodes `(n ** dim, dim)` and weights `(n ** dim,)` that sum to one, float64.

    Example:
        >>> nodes, weights = gauss_hermite(8)
        >>> round(float(weights @ nodes[:, 0] ** 4), 10)  # the fourth moment of N(0, 1)
        3.0
    """
    _positive("n", n)
    _positive("dim", dim)
    nodes, weights = (torch.from_numpy(a) for a in _hermite(n))
    if dim == 1:
        return nodes.unsqueeze(1).clone(), weights.clone()
    grid = torch.cartesian_prod(*([nodes] * dim))
    return grid, torch.cartesian_prod(*([weights] * dim)).prod(1)


def gauss_legendre(n: int, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Nodes and weights for the integral over [low, high], each `(n,)`, float64.

    The weights sum to `high − low`; exact for polynomials of degree up to 2n − 1.

    Raises:
        ValueError: if `low` is not below `high`.
    """
    _positive("n", n)
    if not low < high:
        raise ValueError(f"low, high: expected low < high, got {low} and {high}")
    nodes, weights = np.polynomial.legendre.leggauss(n)
    half = (high - low) / 2
    return (
        torch.from_numpy(nodes * half + (low + high) / 2),
        torch.from_numpy(weights * half),
    )


def expect(f: Callable[[Tensor], Tensor], q: td.Distribution, n: int = 32) -> Tensor:
    """E_q[f(z)] by Gauss–Hermite quadrature for a Gaussian q, or by enumeration.

    The nodes are pushed through q as noise would be, so the result is differentiable in
    q's parameters exactly as the pathwise estimator is.

    Args:
        f: maps z `(S, *batch, *event)` to `(S, ...)`.
        q: a (multivariate or independent) normal, a mixture of normals without batch
            axes, or a distribution of finite support.
        n: nodes per dimension of the event (and per component of a mixture).

    Returns:
        The expectation, shape `(...)` of f without its first axis.

    Raises:
        TypeError: for any other q.
    """
    if isinstance(q, td.MixtureSameFamily) and not q.batch_shape:
        parts = expect(lambda z: f(z.flatten(0, 1)).unflatten(0, z.shape[:2]),
                       q.component_distribution, n)
        return torch.tensordot(q.mixture_distribution.probs, parts, 1)
    if not isinstance(q, td.Independent) and q.has_enumerate_support:
        z = q.enumerate_support()
        weights = q.log_prob(z).exp()
    elif not isinstance(innermost(q), (td.Normal, td.MultivariateNormal)):
        raise TypeError(
            f"q: no quadrature for {type(q).__name__}; expected a normal, a mixture of "
            "normals or a distribution of finite support"
        )
    else:
        dim = q.event_shape.numel()
        nodes, weights = gauss_hermite(n, dim)
        noise = nodes.reshape(-1, *(1,) * len(q.batch_shape), *q.event_shape)
        z = push(q, noise.to(q.mean))
    values = f(z)
    weights = weights.to(values)
    weights = weights.reshape(weights.shape + (1,) * (values.dim() - weights.dim()))
    return (weights * values).sum(0)


def _positive(name: str, value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: expected an integer of at least 1, got {value!r}")
