"""The evidence by importance sampling, and what is measured with it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch import distributions as td

from vaelib.bounds import Guide, Model, log_weights
from vaelib.divergences import Estimate
from vaelib.evaluation.weights import from_sums
from vaelib.noise import sample, stream


@torch.no_grad()
def log_evidence(
    model: Model,
    guide: Guide,
    x: Tensor,
    *,
    samples: int = 5000,
    seed: int = 0,
    max_rows: int = 100_000,
) -> Estimate:
    """log p(x) by importance sampling from the guide, for each datum.

    Equation: eq-importance-weighted

    The log of the mean of the weights. Its expectation is below log p(x), by about half
    the relative variance of the mean weight; the standard error is the delta method's,
    and both can be trusted only while the weights have a modest variance. The samples
    are taken in portions, so that memory is set by `max_rows` and not by `samples`.

    Args:
        model: prior and likelihood.
        guide: maps x to q(z|x).
        x: observed, `(B, *event)`.
        samples: K, the number of importance samples for each datum.
        seed: of the stream `(seed, "evidence", portion)`.
        max_rows: decoder rows, samples times data, that may be in memory at once.

    Returns:
        `Estimate`: a lower bound on log p(x) in expectation and its standard error,
        each `(B,)`; nats; one per datum.

    Raises:
        ValueError: if `samples` is below 2 or `max_rows` below 1.
    """
    if samples < 2:
        raise ValueError(f"samples: expected at least 2, got {samples}")
    if max_rows < 1:
        raise ValueError(f"max_rows: expected at least 1, got {max_rows}")
    data = max(1, min(len(x), max_rows))
    parts = [
        _log_evidence(model, guide(rows), rows, samples, (seed, i), max_rows)
        for i, rows in enumerate(x.split(data))
    ]
    return Estimate(*(torch.cat(p) for p in zip(*parts, strict=True)))


def _log_evidence(
    model: Model,
    q: td.Distribution,
    x: Tensor,
    samples: int,
    path: tuple[int, int],
    max_rows: int,
) -> Estimate:
    seed, part = path
    portion = max(1, max_rows // len(x))
    first = torch.full((len(x),), -math.inf, dtype=torch.float64, device=x.device)
    second = first.clone()  # logs of the sums of w and of w²
    for start in range(0, samples, portion):
        generator = stream(seed, "evidence", part, start, device=x.device)
        z = sample(q, min(portion, samples - start), generator)
        log_w = log_weights(model, q, x, z).double()
        first = torch.logaddexp(first, log_w.logsumexp(0))
        second = torch.logaddexp(second, (2 * log_w).logsumexp(0))
    return from_sums(first, second, samples)


@torch.no_grad()
def decoder_spread(
    model: Model, *, samples: int = 1000, seed: int = 0, device: str = "cpu"
) -> Tensor:
    """How much the decoder's mean moves with z: sd of E[x|z] over z ~ p(z), by pixel.

    Zero where the decoder ignores its input.

    Returns:
        `(P,)`, in units of x.
    """
    generator = stream(seed, "decoder", device=device)
    means = model.likelihood(sample(model.prior(), samples, generator)).mean
    return means.std(0)


@torch.no_grad()
def mutual_information(
    model: Model,
    guide: Guide,
    *,
    pairs: int = 500,
    samples: int = 500,
    seed: int = 0,
    device: str = "cpu",
) -> Estimate:
    """I(x; z) = E_{p(x,z)}[log p(x|z) − log p(x)] of a model, estimated.

    Equation: eq-mutual-information

    Pairs are drawn from the model itself; log p(x) of each is estimated by importance
    sampling with the guide, whose error is downwards, so that the estimate errs
    upwards.

    Returns:
        `Estimate`, scalars, in nats; an upper bound on I(x; z) in expectation.
    """
    generator = stream(seed, "pairs", device=device)
    z = sample(model.prior(), pairs, generator)
    likelihood = model.likelihood(z)
    x = sample(likelihood, 1, generator)[0]
    evidence = log_evidence(model, guide, x, samples=samples, seed=seed).value
    differences = likelihood.log_prob(x).double() - evidence
    return Estimate(differences.mean(), differences.std() / pairs**0.5)
