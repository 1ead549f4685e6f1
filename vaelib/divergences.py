"""Information, entropy, Kullback–Leibler divergence and their relatives, in nats.

Arguments stand in the book's order: `kl(q, p)` is KL(q‖p) = E_q[log q − log p] ≥ 0.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch import distributions as td

from vaelib.noise import sample
from vaelib.quadrature import expect


class Estimate(NamedTuple):
    """A Monte Carlo estimate and its standard error, of equal shape."""

    value: Tensor
    standard_error: Tensor


class ExactModel(Protocol):
    """A model that can write down p(x, z) and p(x) p(z)."""

    def joint(self) -> td.Distribution: ...

    def product_of_marginals(self) -> td.Distribution: ...


def information(p: td.Distribution, x: Tensor) -> Tensor:
    """The information −log p(x) of the outcome x, in nats.

    Equation: eq-information

    Returns:
        Shape of `p.log_prob(x)`. Non-negative where p is a probability; a density may
        exceed one, so the information of a density can be negative.
    """
    return -p.log_prob(x)


def entropy(q: td.Distribution) -> Tensor:
    """The entropy H[q] = −E_q[log q], shape `q.batch_shape`, in nats.

    Equation: eq-entropy
    """
    return q.entropy()


def cross_entropy(q: td.Distribution, p: td.Distribution, n: int = 64) -> Tensor:
    """The cross-entropy H[q, p] = −E_q[log p] = H[q] + KL(q‖p), in nats.

    Equation: eq-cross-entropy

    Exact where `kl` has a closed form; by quadrature with `n` nodes otherwise.

    Returns:
        Shape `q.batch_shape`; +∞ where p vanishes on part of q's support.
    """
    try:
        return entropy(q) + kl(q, p)
    except NotImplementedError:
        return -expect(p.log_prob, q, n)


def kl(q: td.Distribution, p: td.Distribution) -> Tensor:
    """The divergence KL(q‖p) = E_q[log q(z) − log p(z)], in closed form.

    Equation: eq-kl

    The pairs that `torch.distributions` registers, and a diagonal against a
    full-covariance Gaussian in either order. Terms where q vanishes count nothing;
    where p vanishes and q does not, the divergence is +∞.

    Returns:
        Shape `q.batch_shape`; at least zero, and zero if and only if q = p almost
        everywhere.

    Raises:
        NotImplementedError: where no closed form is known for the pair. Use
            `kl_quadrature` or `kl_monte_carlo`.

    References: kullback1951.
    """
    full = (td.MultivariateNormal, td.LowRankMultivariateNormal)
    if isinstance(q, full) and not isinstance(p, full):
        p = _as_full(p)
    elif isinstance(p, full) and not isinstance(q, full):
        q = _as_full(q)
    return td.kl_divergence(q, p)


def kl_quadrature(q: td.Distribution, p: td.Distribution, n: int = 64) -> Tensor:
    """KL(q‖p) by quadrature over a Gaussian q, or by enumeration over a finite one.

    Returns:
        Shape `q.batch_shape`. Not an estimate: the error is the quadrature's, and it
        falls geometrically in `n` where log q − log p is smooth.
    """
    return expect(lambda z: q.log_prob(z) - p.log_prob(z), q, n)


def kl_monte_carlo(
    q: td.Distribution, p: td.Distribution, n: int, generator: torch.Generator
) -> Estimate:
    """KL(q‖p) by the mean of log q − log p over `n` samples of q, with standard error.

    Unbiased; a single estimate may be negative although the divergence never is.

    Returns:
        `Estimate`, each part of shape `q.batch_shape`.

    Raises:
        ValueError: if `n` is below 2, for a standard error needs two samples.
    """
    if n < 2:
        raise ValueError(f"n: expected at least 2 samples, got {n}")
    z = sample(q, n, generator)
    return mean_and_error(q.log_prob(z) - p.log_prob(z))


def mean_and_error(values: Tensor) -> Estimate:
    """The mean over the first axis and its standard error, each of shape `(...)`."""
    return Estimate(values.mean(0), values.std(0) / len(values) ** 0.5)


def mutual_information(model: ExactModel) -> Tensor:
    """The mutual information I(x; z) = KL(p(x, z) ‖ p(x) p(z)) of a model, in nats.

    Equation: eq-mutual-information

    Returns:
        A scalar, at least zero; zero if and only if x and z are independent.

    References: cover2006.
    """
    return kl(model.joint(), model.product_of_marginals())


def lautum_information(model: ExactModel) -> Tensor:
    """The lautum information L(x; z) = KL(p(x) p(z) ‖ p(x, z)) of a model, in nats.

    Equation: eq-lautum

    The mutual information with the arguments of the divergence exchanged.

    Returns:
        A scalar, at least zero; zero if and only if x and z are independent.

    References: palomar2008.
    """
    return kl(model.product_of_marginals(), model.joint())


def _as_full(p: td.Distribution) -> td.Distribution:
    """A diagonal Gaussian as a MultivariateNormal; anything else as it is."""
    if (
        isinstance(p, td.Independent)
        and isinstance(p.base_dist, td.Normal)
        and p.reinterpreted_batch_ndims == 1
    ):
        return td.MultivariateNormal(p.mean, scale_tril=torch.diag_embed(p.stddev))
    return p
