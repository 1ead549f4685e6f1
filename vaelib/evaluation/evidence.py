"""The evidence by importance sampling, and what is measured with it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch import distributions as td

from vaelib import progress as bars
from vaelib.bounds import Guide, Model, log_joint
from vaelib.divergences import Estimate
from vaelib.evaluation.weights import from_sums
from vaelib.noise import sample, stream

SEEN = 10_000  # data that the guide is asked about at once
DRAWN = 100_000  # codes drawn at once; a constant, so that it sets no result


@torch.no_grad()
def log_evidence(
    model: Model,
    guide: Guide,
    x: Tensor,
    *,
    samples: int = 5000,
    seed: int = 0,
    max_rows: int | None = None,
    progress: bool | None = None,
) -> Estimate:
    """log p(x) by importance sampling from the guide, for each datum.

    Equation: eq-importance-weighted

    The log of the mean of the weights. Its expectation is below log p(x), by about half
    the relative variance of the mean weight; the standard error is the delta method's,
    and both can be trusted only while the weights have a modest variance. The memory it
    takes grows neither with `samples` nor with the data beyond those seen at once.

    Args:
        model: prior and likelihood.
        guide: maps x to q(z|x). It sees the data 10,000 at a time.
        x: observed, `(B, *event)`.
        samples: K, the number of importance samples for each datum.
        seed: of the streams `(seed, "evidence", part, portion)`.
        max_rows: decoder rows, samples times data, that may be in memory at once; it
            does not change what is drawn. None is 2,000 on a CPU, so that a layer stays
            in its cache, and 100,000 on a GPU, which would be idle between fewer.
        progress: whether to show a bar, as for `training.train`.

    Returns:
        `Estimate`: a lower bound on log p(x) in expectation and its standard error,
        each `(B,)`; nats; one per datum.

    Raises:
        ValueError: if `samples` is below 2, `max_rows` below 1, or x empty.
        FloatingPointError: if the weights are not numbers; names a datum.
    """
    if samples < 2:
        raise ValueError(f"samples: expected at least 2, got {samples}")
    if max_rows is None:
        max_rows = 2000 if x.device.type == "cpu" else DRAWN
    if max_rows < 1:
        raise ValueError(f"max_rows: expected at least 1, got {max_rows}")
    if not len(x):
        raise ValueError(f"x: expected at least 1 datum, got shape {tuple(x.shape)}")
    sums = []
    with bars.bar(progress, len(x) * samples, unit="code", unit_scale=True) as bar:
        for part, rows in enumerate(x.split(SEEN)):
            first = rows.new_full((len(rows),), -math.inf, dtype=torch.float64)
            second = first.clone()  # logs of the sums of w and of w²
            path = (seed, "evidence", part)
            for log_w in _portions(model, guide(rows), rows, samples, path, max_rows):
                first = torch.logaddexp(first, log_w.logsumexp(0))
                second = torch.logaddexp(second, (2 * log_w).logsumexp(0))
                bar.update(log_w.numel())
            sums.append((first, second))
    first, second = (torch.cat(parts) for parts in zip(*sums, strict=True))
    bad = first.isnan().nonzero().flatten()
    if len(bad):
        raise FloatingPointError(
            f"log p(x): not a number for {len(bad)} of the data, first in row {bad[0]}"
        )
    return from_sums(first, second, samples)


def _portions(
    model: Model,
    q: td.Distribution,
    x: Tensor,
    samples: int,
    path: tuple[int, str, int],
    max_rows: int,
) -> Iterator[Tensor]:
    """All log-weights, in portions `(S, B)`, float64; decodes `max_rows` at once."""
    portion = max(1, DRAWN // len(x))
    for start in range(0, samples, portion):
        generator = stream(*path, start, device=x.device)
        z = sample(q, min(portion, samples - start), generator)
        log_w = torch.empty(z.shape[:2], dtype=torch.float64, device=z.device)
        # as many samples of all data as fit; few data at a time only where none does
        fit = max(1, max_rows // len(x))
        for few, out in zip(z.split(fit), log_w.split(fit), strict=True):
            parts = x.split(max_rows), few.split(max_rows, 1), out.split(max_rows, 1)
            for some, codes, place in zip(*parts, strict=True):
                place.copy_(log_joint(model, some, codes))
            out -= q.log_prob(few)
        yield log_w


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
    evidence = log_evidence(
        model, guide, x, samples=samples, seed=seed, progress=False
    ).value
    differences = likelihood.log_prob(x).double() - evidence
    return Estimate(differences.mean(), differences.std() / pairs**0.5)
