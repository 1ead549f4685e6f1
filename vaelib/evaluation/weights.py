"""From log-weights to the evidence: the log of a mean weight, with its error."""

from __future__ import annotations

import math

from torch import Tensor

from vaelib.divergences import Estimate


def from_sums(first: Tensor, second: Tensor, n: int) -> Estimate:
    """The log of the mean of n weights, from log Σw and log Σw², each `(B,)`.

    The standard error is the delta method's: that of the mean weight, relative to it.
    """
    # n Σw² / (Σw)² = 1 + (relative variance)
    spread = (second - 2 * first + math.log(n)).exp().sub(1).clamp_min(0)
    return Estimate(first - math.log(n), (spread / (n - 1)).sqrt())


def lower_bound(log_w: Tensor) -> Estimate:
    """The log of the mean weight of C forward chains or C importance samples.

    Equation: eq-importance-weighted

    Args:
        log_w: `(C, B)`, C ≥ 2.

    Returns:
        `Estimate`: a lower bound on log p(x) in expectation, `(B,)`, in nats, and its
        standard error by the delta method, the relative one of the mean weight.
    """
    if len(log_w) < 2:
        raise ValueError(f"log_w: expected at least 2 chains, got {len(log_w)}")
    return from_sums(log_w.logsumexp(0), (2 * log_w).logsumexp(0), len(log_w))


def upper_bound(log_w: Tensor) -> Estimate:
    """Minus the log of the mean inverse weight of C reverse chains.

    Args:
        log_w: `(C, B)`, C ≥ 2, from `anneal_back`.

    Returns:
        `Estimate`: an upper bound on log p(x) in expectation, `(B,)`, in nats, and its
        standard error by the delta method.

    References: grosse2015.
    """
    below = lower_bound(-log_w)
    return Estimate(-below.value, below.standard_error)


def effective_samples(log_w: Tensor) -> Tensor:
    """The effective sample size (Σw)² / Σw², between 1 and S, for log_w `(S, B)`.

    Equation: eq-effective-samples

    Returns:
        `(B,)`: how many equal weights would vary as little.
    """
    return (2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0)).exp()
