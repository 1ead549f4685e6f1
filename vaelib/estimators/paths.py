"""Estimators along the path from noise to sample: q must be Gaussian, f smooth."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributions as td

from vaelib.bounds import elbo, importance_weighted
from vaelib.estimators.common import (
    Integrand,
    constant,
    detached,
    require_path,
    samples,
    surrogate,
    values_of,
)


def pathwise(
    f: Integrand, q: td.Distribution, noise: Tensor, *, weights: Tensor | None = None
) -> Tensor:
    """The reparameterised gradient ∇E_q[f] = E_ε[∇f(T(ε))], with z = T(ε).

    Equation: eq-pathwise

    Requires: q Normal, Independent(Normal) or MultivariateNormal; f differentiable in z
    (continuous, with a derivative almost everywhere).

    Args:
        f: values `(S, B)` of z and q.
        q: batch shape `(B,)`.
        noise: `(S, B, *event)` or `(S, 1, *event)`.
        weights: optional, replace 1/S.

    Returns:
        `(B,)`: the mean of f; its gradient is unbiased for that of E_q[f].

    Raises:
        TypeError: for a q without a differentiable path, such as a discrete one.

    References: kingma2014; rezende2014.
    """
    require_path(q)
    return elbo(values_of(f, samples(q, noise), q), constant(weights))


def sticking_the_landing(
    f: Integrand, q: td.Distribution, noise: Tensor, *, weights: Tensor | None = None
) -> Tensor:
    """The ELBO's pathwise gradient without its score term, whose mean is zero.

    f is given z along its path but q as a constant: log q(z) then passes a gradient
    through z alone. Where q is the posterior, f = log w is constant in z and so the
    gradient in q is zero for every noise: its variance vanishes.

    Equation: eq-stl

    Requires: as `pathwise`, and that f depends on q's parameters only through a
    multiple of log q(z), as log-weights do. A divergence in closed form inside f would
    lose its gradient.

    Args:
        f: log-weights `(S, B)` of z and q.
        q: batch shape `(B,)`.
        noise: `(S, B, *event)` or `(S, 1, *event)`.
        weights: optional, replace 1/S.

    Returns:
        `(B,)`: the mean of f; its gradient is unbiased for that of E_q[f].

    Raises:
        TypeError: for a q without a differentiable path, such as a discrete one.

    References: roeder2017.
    """
    require_path(q)
    z = samples(q, noise)
    return elbo(values_of(f, z, detached(q)), constant(weights))


def importance_weighted_pathwise(
    f: Integrand, q: td.Distribution, noise: Tensor
) -> Tensor:
    """The reparameterised gradient of the bound log (1/S) Σ_s w_s, with f = log w.

    With normalised weights v_s = w_s / Σ_j w_j it is Σ_s v_s ∇ log w_s, all of log w's
    dependence on the parameters included.

    Equation: eq-iw-gradient

    Requires: as `pathwise`.

    Returns:
        `(B,)`: the importance-weighted bound with S samples; its gradient is unbiased
        for that of the bound's expectation.

    Raises:
        TypeError: for a q without a differentiable path, such as a discrete one.

    Notes: the signal-to-noise ratio of its gradient in q falls as S grows.

    References: burda2016; rainforth2018.
    """
    require_path(q)
    return importance_weighted(values_of(f, samples(q, noise), q))


def doubly_reparameterised(f: Integrand, q: td.Distribution, noise: Tensor) -> Tensor:
    """The gradient of log (1/S) Σ_s w_s with its score term reparameterised again.

    In the parameters of q it is Σ_s v_s² (∂ log w_s / ∂z_s) ∇z_s, with the normalised
    weights v_s = w_s / Σ_j w_j; in the parameters of f it is Σ_s v_s ∇ log w_s, as in
    `importance_weighted_pathwise`.

    Equation: eq-dreg

    Requires: as `pathwise`, and that f = log w depends on q's parameters only through
    −log q(z), as log-weights do; no parameter shared by q and the model.

    Returns:
        `(B,)`: the importance-weighted bound with S samples; its gradient is unbiased
        for that of the bound's expectation.

    Raises:
        TypeError: for a q without a differentiable path, such as a discrete one.

    Notes: f is called twice, once without gradient for the weights v. With one sample
    it is `sticking_the_landing`.

    References: tucker2019.
    """
    require_path(q)
    z, q = samples(q, noise), detached(q)
    with torch.no_grad():
        share = values_of(f, z, q).softmax(0)  # v, (S, B)
    path = share.reshape(share.shape + (1,) * len(q.event_shape))
    log_w = values_of(f, surrogate(z, path * z), q)
    return surrogate(importance_weighted(log_w), (share * log_w).sum(0))
