"""Estimators for discrete guides: the exact sum, and a relaxation of the samples."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributions as td

from vaelib.bounds import elbo
from vaelib.estimators.common import (
    Integrand,
    check_noise,
    constant,
    name_of,
    samples,
    values_of,
)
from vaelib.noise import innermost


def enumerate_exact(
    f: Integrand, q: td.Distribution, noise: Tensor | None = None
) -> Tensor:
    """E_q[f] and its gradient as a sum over the support, Σ_z q(z) f(z).

    Equation: eq-discrete-exact

    Requires: q of finite support: Categorical, Bernoulli, Binomial, or an Independent
    of one, of which all combinations are taken; q(z) > 0 wherever f needs it.

    Args:
        f: values `(S, B)` of z and q, where z runs over the S points of the support.
        q: batch shape `(B,)`.
        noise: not used; accepted so that all estimators can be called alike.

    Returns:
        `(B,)`: E_q[f], with its exact gradient. There is nothing to be biased.

    Raises:
        TypeError: for a q without finite support.

    Example:
        >>> q = td.Categorical(torch.tensor([[0.25, 0.75]]))
        >>> enumerate_exact(lambda z, q: 4.0 * z, q)
        tensor([3.])
    """
    if not innermost(q).has_enumerate_support:
        raise TypeError(
            f"q: {name_of(q)} has no finite support to enumerate; for a Gaussian "
            "guide use pathwise, for others score_function"
        )
    z = samples(q, _support(q))
    return (q.log_prob(z).exp() * values_of(f, z, q)).sum(0)


def _support(q: td.Distribution) -> Tensor:
    """All points, `(S, 1, *event)`."""
    points = innermost(q).enumerate_support(expand=False).flatten()
    count = q.event_shape.numel()
    if count > 1:
        points = torch.cartesian_prod(*([points] * count))
    return points.reshape(-1, 1, *q.event_shape)


def gumbel_softmax(
    f: Integrand,
    q: td.Distribution,
    noise: Tensor,
    *,
    weights: Tensor | None = None,
    temperature: float,
    straight_through: bool = False,
) -> Tensor:
    """The pathwise gradient of the relaxed samples softmax((log q + g) / temperature).

    g is Gumbel noise; as the temperature falls to zero z tends to the one-hot vector of
    a sample of q. With `straight_through`, f is evaluated at that one-hot vector, and
    its slope there is passed on through the relaxed one.

    Equation: eq-gumbel-softmax

    Requires: q Categorical, or an Independent of it; f defined and differentiable on
    the simplex, not at its corners alone.

    Args:
        f: values `(S, B)` of z, one-hot or relaxed, `(S, B, K)`, and q.
        q: batch shape `(B,)`, K states.
        noise: g, from `vaelib.noise.draw_gumbel`, `(S, B, K)` or `(S, 1, K)`.
        weights: optional, replace 1/S.
        temperature: positive.
        straight_through: whether f sees one-hot vectors.

    Returns:
        `(B,)`: the mean of f over relaxed samples, unless `straight_through`: then over
        samples of q. Biased: the gradient is that of the *relaxed* expectation, which
        tends to that of E_q[f] as the temperature falls, while its variance grows;
        with `straight_through` it is in general the gradient of nothing.

    Raises:
        TypeError: for a q that is not categorical.
        ValueError: if the temperature is not positive, or the noise has another shape.

    References: jang2017; maddison2017b.
    """
    base = innermost(q)
    if not isinstance(base, td.Categorical):
        fitting = (
            "enumerate_exact or score_function_leave_one_out"
            if base.has_enumerate_support
            else "pathwise if it is Gaussian, else score_function"
        )
        raise TypeError(f"q: expected a Categorical, got {name_of(q)}; use {fitting}")
    if not temperature > 0:
        raise ValueError(f"temperature: expected a positive number, got {temperature}")
    check_noise(noise, base.logits.shape)
    z = ((base.logits + noise) / temperature).softmax(-1)
    if straight_through:
        hard = torch.nn.functional.one_hot(z.argmax(-1), z.shape[-1]).to(z)
        z = hard + (z - z.detach())
    return elbo(values_of(f, z, q), constant(weights))
