"""Bounds on the log-evidence log p(x), as functions of log-weights.

With z_s ~ q(z|x) and log w_s = log p(x|z_s) + log p(z_s) − log q(z_s|x), every bound of
the book is a way to average the log-weights `(S, B)` of S samples and B data over the
samples. Natural logarithms; nats per datum; the mean over data is the caller's.

`weights` replaces the average over samples by a weighted one: with the nodes and
weights of a quadrature, or an enumeration with its probabilities under q, the result is
exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch import distributions as td


class Model(Protocol):
    """A latent-variable model: a prior p(z) and a likelihood p(x|z)."""

    def prior(self) -> td.Distribution: ...

    def likelihood(self, z: Tensor) -> td.Distribution: ...


Guide = Callable[[Tensor], td.Distribution]  # from x to q(z|x), batch shape (B,)


def log_joint(model: Model, x: Tensor, z: Tensor) -> Tensor:
    """log p(x, z) = log p(x|z) + log p(z), in nats.

    Args:
        model: prior and likelihood.
        x: observed, `(B, *event)`.
        z: latent, `(S, B, *latent event)` or `(S, 1, *latent event)`.

    Returns:
        `(S, B)`.
    """
    return model.likelihood(z).log_prob(x) + model.prior().log_prob(z)


def log_weights(model: Model, q: td.Distribution, x: Tensor, z: Tensor) -> Tensor:
    """log w = log p(x|z) + log p(z) − log q(z|x), the material of every bound.

    Equation: eq-log-weight

    Where q is the exact posterior, log w = log p(x) for every z.

    Args:
        model: prior and likelihood.
        q: the guide's distribution for these x, batch shape `(B,)`.
        x: observed, `(B, *event)`.
        z: latent, `(S, B, *latent event)`.

    Returns:
        `(S, B)`, in nats.
    """
    return log_joint(model, x, z) - q.log_prob(z)


def elbo(log_w: Tensor, weights: Tensor | None = None) -> Tensor:
    """The evidence lower bound, ELBO = E_q[log w].

    Equation: eq-elbo

    Args:
        log_w: log-weights of samples from q, `(S, B)`.
        weights: optional `(S,)` or `(S, B)`, summing to one over S.

    Returns:
        `(B,)`: a lower bound on log p(x) in expectation; nats; one per datum.

    Example:
        >>> elbo(torch.tensor([[-1.0], [-3.0]]))
        tensor([-2.])
    """
    return _average(log_w, weights)


def elbo_from_kl(log_lik: Tensor, kl: Tensor, weights: Tensor | None = None) -> Tensor:
    """The ELBO with its KL term in closed form, E_q[log p(x|z)] − KL(q(z|x) ‖ p(z)).

    Equation: eq-elbo-reconstruction

    Args:
        log_lik: log p(x|z_s), `(S, B)`.
        kl: KL(q(z|x) ‖ p(z)), `(B,)`.
        weights: as for `elbo`.

    Returns:
        `(B,)`: a lower bound on log p(x) in expectation; nats; one per datum.
    """
    if kl.shape != log_lik.shape[1:]:
        raise ValueError(
            f"kl: expected shape {tuple(log_lik.shape[1:])}, one per datum as in "
            f"log_lik, got {tuple(kl.shape)}"
        )
    return _average(log_lik, weights) - kl


def importance_weighted(log_w: Tensor, weights: Tensor | None = None) -> Tensor:
    """The importance-weighted bound, log (1/S) Σ_s w_s.

    Equation: eq-importance-weighted

    A lower bound in expectation for every S, the ELBO at S = 1, and consistent: it
    tends to log p(x) as S grows where the weights have a finite mean. With `weights` it
    is the log of an exact expectation of w, that is log p(x) itself.

    Args:
        log_w: log-weights of samples from q, `(S, B)`.
        weights: as for `elbo`.

    Returns:
        `(B,)`: a lower bound on log p(x) in expectation; nats; one per datum.

    References: burda2016, eq. 8.
    """
    _two_axes(log_w)
    if weights is None:
        return torch.logsumexp(log_w, 0) - math.log(len(log_w))
    return torch.logsumexp(log_w + _column(log_w, weights).log(), 0)


def renyi(log_w: Tensor, alpha: float, weights: Tensor | None = None) -> Tensor:
    """The Rényi bound L_α = (1 − α)⁻¹ log E_q[w^(1 − α)], the ELBO at α = 1.

    Equation: eq-renyi

    It falls as α rises: log p(x) at α = 0, a lower bound for α > 0 and an upper bound
    for α < 0, all of the *exact* expectation. With S samples in its place the estimate
    is the ELBO in expectation at S = 1, whatever α, and moves towards L_α as S grows:
    from below for α < 1, from above for α > 1. So for α ≥ 0 it is a lower bound in
    expectation for every S. For α < 0 it is biased downward and need not be an upper
    bound: a small sample makes it mislead. At α = 0 it is `importance_weighted`.

    Args:
        log_w: log-weights of samples from q, `(S, B)`.
        alpha: the order α, any finite number.
        weights: as for `elbo`; makes the expectation, and so the direction, exact.

    Returns:
        `(B,)`: nats, one per datum; its direction is as above.

    Raises:
        ValueError: if alpha is not finite.

    Notes: its rounding errors grow without limit as α tends to 1.

    References: li2016, theorems 1 and 2.
    """
    if not math.isfinite(alpha):
        raise ValueError(f"alpha: expected a finite number, got {alpha}")
    if alpha == 1:
        return elbo(log_w, weights)
    return importance_weighted((1 - alpha) * log_w, weights) / (1 - alpha)


def cubo(log_w: Tensor, n: float = 2, weights: Tensor | None = None) -> Tensor:
    """The χ upper bound CUBO_n = n⁻¹ log E_q[wⁿ], the Rényi bound of order 1 − n.

    Equation: eq-cubo

    An upper bound on log p(x) for n ≥ 1 where the expectation is exact, and infinite
    where w has no n-th moment under q. An estimate from S samples is biased downward,
    without limit where the weights are heavy-tailed: it can lie below log p(x), and
    below the ELBO's own limit, however certain its samples look.

    Args:
        log_w: log-weights of samples from q, `(S, B)`.
        n: the order, at least 1; at 1 it is `importance_weighted`.
        weights: as for `elbo`; makes the expectation, and so the direction, exact.

    Returns:
        `(B,)`: an upper bound on log p(x) in the exact limit, not in expectation;
        nats; one per datum.

    Raises:
        ValueError: if n is below 1.

    References: dieng2017.
    """
    if not n >= 1:
        raise ValueError(f"n: expected an order of at least 1, got {n}")
    return renyi(log_w, 1 - n, weights)


def eubo(log_w: Tensor, weights: Tensor | None = None) -> Tensor:
    """The evidence upper bound, EUBO = E_p(z|x)[log w]: the posterior draws z, not q.

    Equation: eq-eubo

    EUBO = log p(x) + KL(p(z|x) ‖ q(z|x)), the mirror image of the ELBO. The average is
    the same as in `elbo`; what makes it an upper bound is where the samples come from,
    and this function cannot see that.

    Args:
        log_w: log-weights of samples from the exact *posterior*, `(S, B)`.
        weights: as for `elbo`; probabilities under the posterior.

    Returns:
        `(B,)`: an upper bound on log p(x) in expectation; nats; one per datum.
    """
    return _average(log_w, weights)


def _average(values: Tensor, weights: Tensor | None) -> Tensor:
    _two_axes(values)
    if weights is None:
        return values.mean(0)
    return (_column(values, weights) * values).sum(0)


def _column(values: Tensor, weights: Tensor) -> Tensor:
    if weights.shape not in (values.shape[:1], values.shape):
        raise ValueError(
            f"weights: expected shape {tuple(values.shape[:1])} or "
            f"{tuple(values.shape)}, got {tuple(weights.shape)}"
        )
    weights = weights if weights.dim() == 2 else weights.unsqueeze(1)
    return weights.to(values)


def _two_axes(log_w: Tensor) -> None:
    if log_w.dim() != 2 or len(log_w) == 0:
        raise ValueError(
            "log_w: expected two axes (S samples, B data) with at least one sample, "
            f"got shape {tuple(log_w.shape)}"
        )
