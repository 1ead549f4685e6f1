"""The residual of a guide taken apart: what its family costs, and what its encoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch import distributions as td

from vaelib import bounds, checks
from vaelib.bounds import Guide, Model, log_weights
from vaelib.divergences import Estimate, mean_and_error
from vaelib.guides import Family, Free
from vaelib.noise import sample, stream
from vaelib.training import train

STAGES = (1.0, 0.25, 0.05)  # of the step size: the noise of Adam's last steps stays


class Gaps(NamedTuple):
    """log p(x) − ELBO and its two parts, in nats, each an `Estimate` of `(B,)`.

    Attributes:
        elbo: of the guide; a lower bound on log p(x) in expectation.
        best_elbo: of each datum's best member of the family.
        residual: log p(x) − elbo = family + amortization.
        family: log p(x) − best_elbo, which no encoder can remove.
        amortization: best_elbo − elbo, which a better encoder could.
    """

    elbo: Estimate
    best_elbo: Estimate
    residual: Estimate
    family: Estimate
    amortization: Estimate


def optimise_guide(
    model: Model,
    x: Tensor,
    family: Family,
    start: Tensor,
    *,
    steps: int = 300,
    lr: float = 0.03,
    samples: int = 16,
    seed: int = 0,
    max_rows: int = 100_000,
) -> Free:
    """Each datum's best member of a family: parameters that maximise its own ELBO.

    Adam with fresh noise at every step and a step size that falls in three stages. The
    model stays as it is. At the end each datum keeps the start where that is better, on
    noise that neither was fitted to. So the result is hardly ever worse than its start,
    and where the optimum is missed the family gap comes out too large and the
    amortization gap too small.

    Args:
        model: prior and likelihood.
        x: observed, `(B, *event)`.
        family: maps parameters `(B, size)` to q.
        start: where to begin, `(B, size)`, such as the encoder's output for x.
        steps: of Adam, in all.
        lr: its first step size.
        samples: of z in each step.
        seed: names the noise.
        max_rows: as for `gaps`.

    Returns:
        A guide for exactly these x, in this order.

    References: cremer2018.
    """
    checks.whole(steps=(steps, len(STAGES)))
    free = Free(start, family).to(x.device)
    with _frozen(model):
        for i, part in enumerate(STAGES):
            train(
                model, free, bounds.elbo, x, steps=steps // len(STAGES),
                lr=lr * part, samples=samples, seed=seed * len(STAGES) + i,
                device=x.device, progress=False,
            )  # fmt: skip
    with torch.no_grad():
        path, begin = (seed, "which is better"), Free(start, family).to(x.device)
        new, old = (
            _log_weights(model, guide(x), x, 500, path, max_rows).mean(0)
            for guide in (free, begin)
        )
        free.table.copy_(torch.where((new > old)[:, None], free.table, begin.table))
    return free


@torch.no_grad()
def gaps(
    model: Model,
    x: Tensor,
    guide: Guide,
    best: Guide,
    log_evidence: Estimate,
    *,
    samples: int = 1000,
    seed: int = 0,
    max_rows: int = 100_000,
) -> Gaps:
    """The residual of a guide, split into family gap and amortization gap.

    Equation: eq-gap-split

    Both guides get the same noise, and the amortization gap is the mean of the
    *differences* of their log-weights, whose error is far smaller than that of either
    mean. What is estimated too low, log p(x), makes the family gap too low.

    Args:
        model: prior and likelihood.
        x: observed, `(B, *event)`.
        guide: the one to be judged.
        best: the best of its family for each datum, from `optimise_guide`.
        log_evidence: of these x, `(B,)`, by noise of its own.
        samples: S ≥ 2, for each datum.
        seed: of the stream `(seed, "gaps", portion)`.
        max_rows: decoder rows, samples times data, that may be in memory at once.

    Raises:
        ValueError: if `samples` is below 2 or `max_rows` below 1.
    """
    checks.whole(samples=(samples, 2), max_rows=(max_rows, 1))
    path = (seed, "gaps")
    log_w = _log_weights(model, guide(x), x, samples, path, max_rows)
    log_w_best = _log_weights(model, best(x), x, samples, path, max_rows)
    elbo, best_elbo = mean_and_error(log_w), mean_and_error(log_w_best)
    return Gaps(
        elbo=elbo,
        best_elbo=best_elbo,
        residual=_minus(log_evidence, elbo),
        family=_minus(log_evidence, best_elbo),
        amortization=mean_and_error(log_w_best - log_w),
    )


def _minus(a: Estimate, b: Estimate) -> Estimate:
    """a − b for estimates with independent noise."""
    return Estimate(a.value - b.value, torch.hypot(a.standard_error, b.standard_error))


def _log_weights(
    model: Model,
    q: td.Distribution,
    x: Tensor,
    samples: int,
    path: tuple[int, str],
    max_rows: int,
) -> Tensor:
    """Log-weights `(S, B)`, float64, by portions; noise is a function of the path."""
    portion, parts = max(1, max_rows // len(x)), []
    for first in range(0, samples, portion):
        generator = stream(*path, first, device=x.device)
        z = sample(q, min(portion, samples - first), generator)
        parts.append(log_weights(model, q, x, z).double())
    return torch.cat(parts)


@contextmanager
def _frozen(model: Model) -> Iterator[None]:
    """The model's parameters are constants in here."""
    learned = [p for p in checks.module(model).parameters() if p.requires_grad]
    for p in learned:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in learned:
            p.requires_grad_(True)
