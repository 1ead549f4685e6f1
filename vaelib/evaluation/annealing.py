"""Annealed importance sampling, forward and reverse: log p(x) between two bounds.

A chain walks from the guide to the posterior over f_β(z) ∝ q(z|x) w(z)^β, β = 0 … 1,
by Hamiltonian moves that leave each f_β as it is, and collects a log-weight on its way.
Forward chains start at the guide and bound log p(x) from below; reverse chains start
at *exact* samples of the posterior and bound it from above.

The weights are unbiased only if the moves do not depend on the chains that make them.
So the step sizes are tuned on a pilot run, with noise of its own, and then frozen.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch import distributions as td

from vaelib.bounds import Guide, Model
from vaelib.evaluation.hamiltonian import look, move
from vaelib.noise import draw, sample, stream

MEASURED = 64  # guide samples that give the pilot each coordinate's scale
WARM_UP = 15  # moves at the first temperature, before the pilot sets out


class Schedule(NamedTuple):
    """The inverse temperatures of a chain, and the moves it makes at each.

    Attributes:
        temperatures: β_0 = 0 < … < β_T = 1, `(T + 1,)`.
        steps: the leapfrog step of each coordinate at β_1 … β_T, `(T, B, D)`.
        leapfrog: how many leapfrog steps make a move.
        acceptance: the share of moves that the pilot accepted, `(T, B)`.
    """

    temperatures: Tensor
    steps: Tensor
    leapfrog: int
    acceptance: Tensor


class Annealed(NamedTuple):
    """What C chains bring home.

    Attributes:
        log_w: the log-weight log ŵ of each chain, `(C, B)`, float64, in nats. The same
            function of a path in both directions.
        z: where each chain ended, `(C, B, D)`.
    """

    log_w: Tensor
    z: Tensor


def temperatures(n: int, power: float = 1.0) -> Tensor:
    """The inverse temperatures β_t = (t/n)^power for t = 0 … n, `(n + 1,)`, float64.

    A guide that is close to the posterior needs no more than even steps. From the
    prior most of the way lies near β = 0, where a power of 3 or 4 puts more of them.
    """
    return torch.linspace(0, 1, n + 1, dtype=torch.float64) ** power


def tune(
    model: Model,
    guide: Guide,
    x: Tensor,
    betas: Tensor,
    *,
    leapfrog: int = 4,
    chains: int = 16,
    target: float = 0.8,
    seed: int = 0,
) -> Schedule:
    """Step sizes for every temperature and datum, from a pilot run.

    The pilot anneals as a forward run does, and after each move makes the datum's step
    larger or smaller as more or less than `target` of its chains were accepted. Its
    chains are thrown away: a run that adapted to itself would not be unbiased.

    Args:
        model: prior and likelihood, differentiable in z.
        guide: maps x to q(z|x), where the path starts.
        x: observed, `(B, *event)`.
        betas: β_0 = 0 < … < β_T = 1, as from `temperatures`.
        leapfrog: leapfrog steps in a move.
        chains: of the pilot.
        target: the rate of acceptance aimed at.
        seed: of the stream `(seed, "pilot")`.

    Raises:
        ValueError: if the temperatures do not rise from 0 to 1, or a number is out of
            range.
    """
    rising = betas.dim() == 1 and len(betas) > 1 and bool((betas.diff() > 0).all())
    if not (rising and betas[0] == 0 and betas[-1] == 1):
        raise ValueError(f"betas: expected to rise from 0 to 1, got {betas}")
    if leapfrog < 1 or chains < 1:
        raise ValueError(
            f"leapfrog, chains: expected at least 1, got {leapfrog} and {chains}"
        )
    if not 0 < target < 1:
        raise ValueError(f"target: expected a share between 0 and 1, got {target}")
    generator = stream(seed, "pilot", device=x.device)
    with torch.no_grad():
        q = guide(x)
        scale = sample(q, MEASURED, generator).std(0)
        z = sample(q, chains, generator)
    state = look(model, q, x, z)
    size = torch.ones_like(scale[:, :1]) * scale.shape[1] ** -0.25
    steps, accepted = [], []
    for t, beta in enumerate(betas[1:]):
        for _ in range(WARM_UP if t == 0 else 1):
            step = size * scale
            state, moved = move(model, q, x, state, beta, step, leapfrog, generator)
            share = moved.to(z).mean(0)
            size = size * (share - target).unsqueeze(1).exp()
        steps.append(step)
        accepted.append(share)
    return Schedule(betas, torch.stack(steps), leapfrog, torch.stack(accepted))


def anneal(
    model: Model,
    guide: Guide,
    x: Tensor,
    schedule: Schedule,
    *,
    chains: int = 16,
    seed: int = 0,
) -> Annealed:
    """Forward chains, from the guide to the posterior: E[ŵ] = p(x).

    Equation: eq-annealed-mean

    `lower_bound` of their log-weights is a lower bound on log p(x) in expectation. The
    chains end near the posterior, each after a last move at β = 1.

    Args:
        model, guide, x: as the schedule was tuned for.
        schedule: temperatures and frozen steps, from `tune`.
        chains: C, independent of one another; C·B rows are decoded at once.
        seed: of the stream `(seed, "forward")`.

    References: neal2001.
    """
    generator = stream(seed, "forward", device=x.device)
    with torch.no_grad():
        q = guide(x)
        z = sample(q, chains, generator)
    _fits(schedule, z)
    state, total = look(model, q, x, z), 0.0
    betas, leapfrog = schedule.temperatures, schedule.leapfrog
    for t, rise in enumerate(betas.diff()):
        total = total + rise * state.log_w
        beta, step = betas[t + 1], schedule.steps[t]
        state, _ = move(model, q, x, state, beta, step, leapfrog, generator)
    return Annealed(total, state.z)


def anneal_back(
    model: Model,
    guide: Guide,
    x: Tensor,
    z: Tensor,
    schedule: Schedule,
    *,
    seed: int = 0,
) -> Annealed:
    """Reverse chains, from posterior samples to the guide: E[1/ŵ] = 1/p(x).

    Equation: eq-annealed-reverse

    `upper_bound` of their log-weights is an upper bound on log p(x) in expectation.

    Requires: each z[c, b] is distributed as the exact posterior p(z|x_b). If x was
    drawn from the model, the z that it was drawn from is such a sample. From any other
    start the result bounds nothing.

    Args:
        model, guide, x: as the schedule was tuned for.
        z: `(C, B, D)`. Copies of one sample are allowed; the bound holds, but then the
            chains are not independent and the standard error is too small.
        schedule: temperatures and frozen steps, from `tune`.
        seed: of the stream `(seed, "reverse")`.

    References: grosse2015, wu2017.
    """
    generator = stream(seed, "reverse", device=x.device)
    with torch.no_grad():
        q = guide(x)
    _fits(schedule, z)
    state, total = look(model, q, x, z), 0.0
    betas, leapfrog = schedule.temperatures, schedule.leapfrog
    for t, rise in reversed(list(enumerate(betas.diff()))):
        beta, step = betas[t + 1], schedule.steps[t]
        state, _ = move(model, q, x, state, beta, step, leapfrog, generator)
        total = total + rise * state.log_w
    return Annealed(total, state.z)


def resample(run: Annealed, *, seed: int = 0) -> Tensor:
    """Ends of forward chains, drawn in proportion to their weights, `(C, B, D)`.

    Distributed as the posterior in the limit of many chains or many temperatures, and
    not before.
    """
    generator = stream(seed, "resample", device=run.z.device)
    chosen = draw(td.Categorical(logits=run.log_w.T), len(run.z), generator)
    return run.z.take_along_dim(chosen.unsqueeze(-1), 0)


def _fits(schedule: Schedule, z: Tensor) -> None:
    if z.dim() != 3 or schedule.steps.shape[1:] != z.shape[1:]:
        raise ValueError(
            "z, schedule: expected chains of shape (C, B, D) and steps (T, B, D) for "
            f"them, got {tuple(z.shape)} and {tuple(schedule.steps.shape)}"
        )
