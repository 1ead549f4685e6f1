"""How a guide uses the latent space: units in use, and what the rate pays for."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch import distributions as td

from vaelib.bounds import Guide
from vaelib.divergences import Estimate
from vaelib.noise import sample, stream


@torch.no_grad()
def active_units(
    guide: Guide, x: Tensor, *, samples: int = 100, seed: int = 0
) -> Tensor:
    """How much each unit's code moves with x, A_d = Var_n(E_{q(z|x_n)}[z_d]).

    A unit is called active where A_d exceeds a threshold, usually 0.01, so that their
    number is `(active_units(guide, x) > 0.01).sum()`. Only means are looked at: a unit
    could also tell something by its scale alone.

    Args:
        guide: maps x to q(z|x).
        x: observed, `(N, *event)` with N ≥ 2.
        samples: of each q whose mean has no closed form (a flow, a chain), at least 2.
            What their scatter adds to the variance is taken off again, so that the
            estimate has no bias, and may fall below zero.
        seed: of the stream `(seed, "units")` that they come from.

    Returns:
        `(D,)`: the unbiased variance over the data, in units of z².

    Raises:
        ValueError: if x has fewer than 2 rows, or `samples` is below 2.

    References: burda2016, section 5.
    """
    if len(x) < 2:
        raise ValueError(f"x: expected at least 2 data, got {len(x)}")
    if samples < 2:
        raise ValueError(f"samples: expected at least 2, got {samples}")
    q = guide(x)
    try:
        return q.mean.var(0)
    except NotImplementedError:
        z = sample(q, samples, stream(seed, "units", device=x.device))
        return z.mean(0).var(0) - z.var(0).mean(0) / samples


def aggregate_kl(
    guide: Guide,
    prior: td.Distribution,
    x: Tensor,
    *,
    samples: int = 10,
    seed: int = 0,
    max_pairs: int = 1_000_000,
) -> Estimate:
    """The mismatch KL(q(z) ‖ p(z)) of the aggregate q(z) = (1/N) Σ_n q(z|x_n).

    Equation: eq-elbo-surgery

    How far the codes of all data, taken together, are from the prior that new data
    would be made from. By Monte Carlo over the exact density of the aggregate, a
    mixture of N parts: no bias, but N² densities for each sample. With the same
    samples and seed, this and `index_code_information` add up to the mean rate.

    Args:
        guide: maps x to q(z|x); it is called once, on all of x.
        prior: p(z), as `model.prior()`.
        x: observed, `(N, *event)`: the data that the aggregate is made of.
        samples: of each q(z|x_n), at least 2.
        seed: of the stream `(seed, "aggregate")`.
        max_pairs: how many densities, samples times data, may be in memory at once.

    Returns:
        `Estimate`, scalars, in nats. The divergence is at least zero; an estimate of
        zero may fall below.

    Raises:
        ValueError: if `samples` is below 2 or `max_pairs` below 1.

    References: hoffman2016.
    """
    z, _, log_aggregate = _codes(guide, x, samples, seed, max_pairs)
    with torch.no_grad():
        return _mean(log_aggregate - prior.log_prob(z).double())


def index_code_information(
    guide: Guide,
    x: Tensor,
    *,
    samples: int = 10,
    seed: int = 0,
    max_pairs: int = 1_000_000,
) -> Estimate:
    """What a code tells about whose it is, I_q(n; z) = mean_n KL(q(z|x_n) ‖ q(z)).

    Equation: eq-elbo-surgery, eq-index-code-limit

    The other part of the rate, next to `aggregate_kl`, whose arguments these are: with
    n drawn uniformly from the N data and z from q(z|x_n), the mutual information of the
    two. It lies between zero and log N; near log N, every datum has a place of its own.

    Returns:
        `Estimate`, scalars, in nats. An estimate of zero may fall below.

    Raises:
        ValueError: if `samples` is below 2 or `max_pairs` below 1.

    References: hoffman2016.
    """
    _, log_q, log_aggregate = _codes(guide, x, samples, seed, max_pairs)
    return _mean(log_q - log_aggregate)


@torch.no_grad()
def _codes(
    guide: Guide, x: Tensor, samples: int, seed: int, max_pairs: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Codes z `(S, N, D)` of each datum, log q(z|x_n) and log q(z), both `(S, N)`."""
    if samples < 2:
        raise ValueError(f"samples: expected at least 2, got {samples}")
    if max_pairs < 1:
        raise ValueError(f"max_pairs: expected at least 1, got {max_pairs}")
    q = guide(x)
    z = sample(q, samples, stream(seed, "aggregate", device=x.device))
    rows = z.flatten(0, 1).unsqueeze(1)  # (S · N, 1, D), each seen by all N parts
    mixture = [
        q.log_prob(part).double().logsumexp(1)
        for part in rows.split(max(1, max_pairs // len(x)))
    ]
    log_aggregate = torch.cat(mixture).unflatten(0, z.shape[:2]) - math.log(len(x))
    return z, q.log_prob(z).double(), log_aggregate


def _mean(values: Tensor) -> Estimate:
    """The mean of `(S, N)` and its error: each datum has S samples of its own."""
    n_samples, n_data = values.shape
    error = (values.var(0).mean() / (n_samples * n_data)).sqrt()
    return Estimate(values.mean(), error)
