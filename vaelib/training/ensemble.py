"""Many runs as one: models that differ in their seed alone, trained side by side.

For a small model, most of a training step is spent on starting operations and little on
arithmetic. Here the parameters of R models are stacked into one tensor each, and every
operation of a step is one for all R: it is started once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch import distributions as td
from torch.func import functional_call, stack_module_state, vmap

from vaelib import checkpoint as checkpoints
from vaelib import checks, noise
from vaelib import progress as bars
from vaelib.bounds import Guide, Model
from vaelib.training.ascent import Objective, check_step_size
from vaelib.training.batches import Batches, rows_a_step
from vaelib.training.loop import Run


@torch.enable_grad()
def train_many(
    build: Callable[[int], tuple[Model, Guide]],
    bound: Callable[[Tensor], Tensor],
    data: Tensor,
    *,
    seeds: Sequence[int],
    steps: int,
    batch_size: int | None = None,
    lr: float = 1e-3,
    samples: int = 1,
    transform: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    device: str | torch.device = "auto",
    report_every: int = 100,
    progress: bool | None = None,
) -> list[tuple[Model, Guide, Run]]:
    """Train R models at once, as `train(*build(seed), …, seed=seed)` would one by one.

    Each run has the batch order, the noise and the transform's draws that `train` has
    with its seed, and so ends at the same parameters up to rounding. It saves time
    where a step is too small to keep the device busy: small models on a CPU, most on a
    GPU. Where arithmetic fills the time, as with 784 pixels on a CPU, it saves none;
    see `benchmarks/ensemble.py`.

    Requires: what `train` requires, and that the runs differ in the values of their
    parameters alone, and do nothing that depends on a value (no `if` about a tensor).

    Args:
        build: maps a seed to a model and its guide, the same in kind for every seed.
        seeds: R ≥ 1 of them, each once.
        bound, data, steps, batch_size, lr: as for `train`.
        samples, transform, device, report_every, progress: as for `train`.

    Returns:
        For each seed the model, the guide and the record of the run, in the order of
        `seeds`. The seconds of each record are those of all runs together.

    Raises:
        ValueError, TypeError: as `train`; or the models are not the same in kind; or
            `torch.vmap` cannot do for all what they do for one.
        FloatingPointError: as `train`, and names the seed. The parameters of all runs
            are those before the step.
    """
    start = time.perf_counter()
    checks.whole(
        steps=(steps, 0),
        batch_size=(1 if batch_size is None else batch_size, 1),
        samples=(samples, 1),
        report_every=(report_every, 1),
    )
    check_step_size(lr)
    seeds = list(seeds)
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds: expected at least one, each once, got {seeds}")
    for seed in seeds:
        noise.stream(seed)
    place = checks.usable_device(device)
    runs = [Objective(*build(seed), bound) for seed in seeds]
    dtype = next(iter(checks.trainable(runs[0]).values())).dtype
    data = checks.finite_rows(data, dtype)
    size = rows_a_step(data, batch_size)
    _alike(runs, seeds)
    data = data.to(place)
    seen = data
    if transform is not None:
        trial = noise.stream(seeds[0], "data", device=place)
        seen = checks.transformed(transform, data, trial)
    for run in runs:
        checks.trainable(run.to(place))
        support, event = checks.fit(*run.terms, seen, size, samples)
    shape = samples, *event
    batches = [Batches(data, size, shape, seed, transform) for seed in seeds]

    def batch(step: int) -> list[Tensor]:
        """What each run sees at a step, `(R, B, *event)`, and its noise."""
        each = zip(*(own[step] for own in batches), strict=True)
        return [torch.stack(parts) for parts in each]

    parameters, buffers = stack_module_state(runs)
    zeros = data.new_zeros(len(seeds), samples, size, *event)
    values = _for_all(runs[0], (parameters, buffers), seen[:size], zeros)
    del seen  # as large as the data
    trained = [p for p in parameters.values() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=lr, fused=True, maximize=True)
    total = torch.zeros(len(seeds), dtype=torch.float64, device=place)
    reports: list[tuple[int, list[float]]] = []
    with bars.bar(progress, steps, unit="step") as bar:
        for step in range(steps):
            x, drawn = batch(step)
            value = values(parameters, buffers, x, drawn)
            optimizer.zero_grad()
            value.sum().backward()  # no run's value depends on another's parameters
            value = value.detach()
            gradients = [p.grad for p in trained if p.grad is not None]
            good = nn.utils.get_total_norm([value, *gradients]).isfinite()
            if transform is not None:  # else the data are known to be in it
                good = good & support.check(x).all()
            if not good.item():
                _hand_back(runs, parameters)
                rows = [own.rows(step) for own in batches]
                each = zip(seeds, runs, x, drawn, rows, strict=True)
                raise FloatingPointError(
                    f"step {step}, {_culprit(parameters, support, each)}; the "
                    f"parameters are those after {step} steps"
                )
            optimizer.step()
            total += value
            since = step % report_every + 1
            if since == report_every or step + 1 == steps:
                reports.append((step + 1, (total / since).tolist()))
                total.zero_()
            bar.update()
    _hand_back(runs, parameters)
    done = tuple(at for at, _ in reports)
    means = [tuple(mean[r] for _, mean in reports) for r in range(len(seeds))]
    seconds = time.perf_counter() - start
    return [
        (*run.terms[:2], Run(done, mean, str(place), seconds))
        for run, mean in zip(runs, means, strict=True)
    ]


def _alike(runs: list[Objective], seeds: list[int]) -> None:
    """All runs have tensors of the same names and shapes, each once and its own."""
    layouts = [checkpoints.layout(run) for run in runs]
    for seed, layout in zip(seeds, layouts, strict=True):
        if layout != layouts[0]:
            differ = ", ".join(sorted(set(layout) ^ set(layouts[0])))
            raise ValueError(
                f"build: expected models of one kind, but those of seeds {seeds[0]} "
                f"and {seed} differ in {differ or 'their order'}"
            )
    held = [p for run in runs for m in run.modules() for p in m.parameters(False)]
    if len({id(p) for p in held}) < len(held):
        raise ValueError(
            "build: expected no parameter in two places, in one model or in two"
        )


def _for_all(
    run: Objective, state: tuple[dict[str, Tensor], ...], x: Tensor, draws: Tensor
) -> Callable[..., Tensor]:
    """The values of all runs as a function of stacked state, batches and noise."""

    def one(parameters: dict, buffers: dict, x: Tensor, draw: Tensor) -> Tensor:
        # A parameter is in one place, but its module may have two names.
        state = parameters, buffers
        return functional_call(run, state, (x, draw), tie_weights=False)

    values = vmap(one)

    try:
        values(*state, x.expand(len(draws), *x.shape), draws)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ValueError(
            "build: expected a model and a guide that torch.vmap can batch, with this "
            f"bound; `train` takes others: {error}"
        ) from error
    return values


def _hand_back(runs: list[Objective], parameters: dict[str, Tensor]) -> None:
    """Copy the stacked parameters to the runs they belong to."""
    with torch.no_grad():
        for r, run in enumerate(runs):
            for name, own in run.named_parameters():
                own.copy_(parameters[name][r])


def _culprit(
    parameters: dict[str, Tensor],
    support: td.constraints.Constraint,
    seen: Iterable[tuple],
) -> str:
    """The first run in which something is not as it must be, and what, in words."""
    for r, (seed, run, x, drawn, rows) in enumerate(seen):
        own = {name: stack[r].detach() for name, stack in parameters.items()}
        for name, value in own.items():
            if (grad := parameters[name].grad) is not None:
                value.grad = grad[r]
        what = checks.culprit(*run.terms, x, drawn, own, rows)
        if not support.check(x).all():
            what = "x is not finite, or outside of the likelihood's support"
        if what is not None:
            return f"seed {seed}: {what}"
    return "all seeds: the norm of the gradient is not finite"
