"""Ways up the ELBO of the Bayesian Gaussian mixture: by coordinates, by minibatches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from vaelib.meanfield.mixture import (
    Mixture,
    combine,
    elbo,
    responsibilities,
    update,
)
from vaelib.noise import permutation, stream


class Fit(NamedTuple):
    """The end of coordinate ascent, and the way there.

    Attributes:
        q: of weights, means and precisions.
        r: the responsibilities `(..., N, K)`.
        elbo: after each sweep, `(sweeps, ...)`; nats.
    """

    q: Mixture
    r: Tensor
    elbo: Tensor


def prior_like(x: Tensor, k: int, concentration: float = 1.0) -> Mixture:
    """A weak prior on the scale of the data: what scikit-learn takes by default.

    m is the data's mean, W⁻¹ their covariance, β = 1, ν = P, and α as given. It is read
    off the data, which a prior in the strict sense is not.

    Args:
        x: data `(N, P)`, N > P, with a covariance of full rank.
        k: the number of components K.
        concentration: α > 0, the same for every component.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [5.0]])
        >>> prior_like(x, 2).scatter.shape
        torch.Size([2, 1, 1])
    """
    _check(x, k)
    p, ones = x.shape[1], x.new_ones(k)
    prior = Mixture(
        concentration * ones,
        x.mean(0).expand(k, p),
        ones,
        p * ones,
        torch.cov(x.T).reshape(p, p).expand(k, p, p),
    )
    _check_prior(prior, x)
    return prior


def starts(x: Tensor, k: int, runs: int, seed: int) -> Tensor:
    """Responsibilities to start from: each datum goes to the nearest of K data.

    Run i takes K data at random, by noise that depends on `(seed, i)` alone.

    Returns:
        r, `(runs, N, K)`, of zeros and ones.
    """
    _check(x, k)
    orders = [permutation(len(x), stream(seed, "starts", i)) for i in range(runs)]
    centres = x[torch.stack(orders)[:, :k].to(x.device)]
    nearest = torch.cdist(x.expand(runs, *x.shape), centres).argmin(-1)
    return torch.nn.functional.one_hot(nearest, k).to(x)


def fit(
    prior: Mixture, x: Tensor, r: Tensor, *, tol: float = 1e-8, sweeps: int = 1000
) -> Fit:
    """Coordinate ascent: `update` and `responsibilities` in turn, beginning at r.

    The ELBO never falls, but for rounding. The end is a stationary point: mostly a
    local maximum, and which one depends on r.

    Args:
        prior: p(π, μ, Λ), without leading axes or with those of r.
        x: data `(N, P)`.
        r: where to start, `(..., N, K)`.
        tol: stop once no run's ELBO rose by more than so many nats in a sweep.
        sweeps: the most sweeps.

    Raises:
        ValueError: if shapes do not go together, the prior is not proper, or data are
            not finite.

    References: bishop2006 (section 10.2).
    """
    k = prior.concentration.shape[-1]
    _check(x, k)
    _check_prior(prior, x)
    if r.shape[-2:] != (len(x), k):
        raise ValueError(
            f"r: expected shape (..., {len(x)}, {k}), got {tuple(r.shape)}"
        )
    bounds: list[Tensor] = []
    for _ in range(sweeps):
        q = update(prior, x, r)
        r = responsibilities(q, x)
        bounds.append(elbo(prior, q, x, r))
        if len(bounds) > 1 and bool((bounds[-1] - bounds[-2] <= tol).all()):
            break
    return Fit(q, r, torch.stack(bounds))


def blend(q: Mixture, target: Mixture, rate: float) -> Mixture:
    """The mixture of (1 − rate) q and rate · target in natural parameters.

    Equation: eq-svi-blend

    With `update(prior, x, responsibilities(q, x))` for a target it is a step along the
    natural gradient of the ELBO; at rate 1, a step of coordinate ascent.

    References: hoffman2013.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate: expected a number between 0 and 1, got {rate}")
    if rate in (0, 1):
        return target if rate else q
    parts = [
        part._replace(
            **{f: w * getattr(part, f) for f in Mixture._fields if f != "loc"}
        )
        for part, w in ((q, 1 - rate), (target, rate))
    ]
    return combine(*parts)


def svi(
    prior: Mixture,
    q: Mixture,
    x: Tensor,
    *,
    batch: int,
    seed: int,
    delay: float = 1.0,
    forgetting: float = 0.7,
) -> Iterator[Mixture]:
    """Stochastic variational inference: yields q after every minibatch, without end.

    Step t, from 0, blends q with the update that N data like the batch would give, at
    the rate (t + delay)^−forgetting. With ½ < forgetting ≤ 1 the rates meet the
    conditions of Robbins and Monro. A pass is a random order of the data without
    repetition; what does not fill a last batch is left out of it.

    Args:
        prior: p(π, μ, Λ).
        q: where to start.
        x: data `(N, P)`.
        batch: data to a step, 1 to N.
        seed: of the orders.
        delay: at least 1; larger slows the first steps down.
        forgetting: larger forgets early steps more slowly.

    References: hoffman2013.
    """
    n = len(x)
    _check(x, prior.concentration.shape[-1])
    _check_prior(prior, x)
    if not 1 <= batch <= n:
        raise ValueError(f"batch: expected 1 to {n} data, got {batch}")
    if not (0.5 < forgetting <= 1 <= delay):
        raise ValueError(
            "forgetting, delay: expected 0.5 < forgetting <= 1 <= delay, got "
            f"{forgetting} and {delay}"
        )
    return _svi(prior, q, x, batch, seed, delay, forgetting)


def _svi(
    prior: Mixture, q: Mixture, x: Tensor, batch: int, seed: int, t: float, power: float
) -> Iterator[Mixture]:
    """The steps of `svi`, whose arguments are checked when it is called."""
    n, pass_ = len(x), 0
    while True:
        order = permutation(n, stream(seed, "minibatches", pass_)).to(x.device)
        for rows in order[: n // batch * batch].split(batch):
            r = responsibilities(q, x[rows]) * (n / batch)
            q = blend(q, update(prior, x[rows], r), t**-power)
            yield q
            t += 1
        pass_ += 1


def _check(x: Tensor, k: int) -> None:
    if x.dim() != 2 or not x.is_floating_point() or not bool(x.isfinite().all()):
        raise ValueError(
            f"x: expected finite floats of shape (N, P), got {x.dtype} {tuple(x.shape)}"
        )
    if not 1 <= k <= len(x):
        raise ValueError(f"k: expected 1 to N = {len(x)} components, got {k}")


def _check_prior(prior: Mixture, x: Tensor) -> None:
    p = x.shape[1]
    shapes = [
        tuple(part.shape[-n:]) for part, n in zip(prior, (1, 2, 1, 1, 3), strict=True)
    ]
    k = prior.concentration.shape[-1]
    if shapes != [(k,), (k, p), (k,), (k,), (k, p, p)]:
        raise ValueError(f"prior: its parts do not fit x {tuple(x.shape)}: {shapes}")
    for name, least in (("concentration", 0), ("strength", 0), ("dof", p - 1)):
        if not bool((getattr(prior, name) > least).all()):
            raise ValueError(
                f"prior.{name}: expected numbers above {least}, got "
                f"{getattr(prior, name).tolist()}"
            )
    if bool(torch.linalg.cholesky_ex(prior.scatter).info.any()):
        raise ValueError("prior.scatter: expected positive definite matrices")
