"""The training loop.

The only module that knows of optimisers and progress, and the only place where a bound
becomes a loss.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vaelib import checkpoint as checkpoints
from vaelib import checks, noise
from vaelib import progress as bars
from vaelib.bounds import Guide, Model
from vaelib.training import parallel
from vaelib.training.ascent import (
    PRECISIONS,
    Ascent,
    Objective,
    check_step_size,
    products,
)
from vaelib.training.batches import Batches, rows_a_step
from vaelib.training.parallel import SharedAscent
from vaelib.training.recorded import RecordedAscent


@dataclass(frozen=True)
class Run:
    """What a training did. What it trained is in the model and the guide.

    Attributes:
        steps: how many steps were done at the end of each report interval.
        bounds: the mean of the bound over the data and steps of each interval, in nats
            per datum; higher is better.
        device: where the training ran, and where the model and the guide are now.
        seconds: the time this call took.
    """

    steps: tuple[int, ...]
    bounds: tuple[float, ...]
    device: str
    seconds: float = field(compare=False)


@torch.enable_grad()
@checkpoints.holding
def train(
    model: Model,
    guide: Guide,
    bound: Callable[[Tensor], Tensor],
    data: Tensor,
    *,
    steps: int,
    batch_size: int | None = None,
    lr: float = 1e-3,
    samples: int = 1,
    transform: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 1000,
    report_every: int = 100,
    progress: bool | None = None,
    graph: bool = False,
    precision: str = "highest",
) -> Run:
    """Maximise a bound, averaged over data, in the parameters of model and guide.

    A step takes a batch x, draws z_s ~ q(z|x) by the reparameterization trick, and lets
    Adam follow the gradient of the batch mean of `bound(log_w)`, log_w of shape (S, B).

    Batch order and noise are functions of the seed and the step, and of nothing else.
    The global generators of torch are neither used nor changed; and a run that was
    killed and resumed ends bit for bit where an uninterrupted one does, on the same
    kind of machine, with the same torch and `vaelib` and as many threads. (Models of
    the book's sizes end alike with one and with two. How many is the caller's choice;
    for a small one on a busy CPU, `torch.set_num_threads(1)` is the quickest.)

    In a group of processes (`torch.distributed`, as `torchrun` starts it), each calls
    this with the same arguments and takes an equal part of every batch; the result is
    that of one process, up to rounding, and the first one writes the checkpoint.
    `python -m vaelib.training --help` is a command line for that.

    Requires: q is reparameterisable; the model and the guide draw no random numbers of
    their own (no dropout). Parameters are found in the model and the guide, in the
    object of a method such as `model.posterior`, and in modules that these hold.

    Args:
        model: prior p(z) and likelihood p(x|z).
        guide: maps x `(B, *event)` to q(z|x), batch shape (B,).
        bound: maps log-weights `(S, B)` to a value per datum `(B,)`, as `bounds.elbo`.
        data: `(N, *event)`, finite, in the support of the likelihood. It is cast to the
            parameters' dtype and moved to the device once.
        steps: how many steps the run has in all, those before a checkpoint included.
        batch_size: B ≤ N; None takes all data, in order, at every step. Each epoch is a
            fresh permutation of the data, and its last N mod B rows are left out, so
            that every step averages over equally many data.
        lr: Adam's step size.
        samples: S ≥ 1, how many z per datum.
        transform: maps a batch of data and a generator to the batch x that is trained
            on, drawn anew in every step, such as `data.binarise`. What it returns, not
            `data`, must be in the support of the likelihood.
        seed: names the batch order and the noise.
        device: "auto" is CUDA where there is one, else the CPU. Each kind of device has
            noise of its own, so results differ; a checkpoint goes on with any.
        checkpoint: this run's file, to resume from if it exists, and to write to.
        checkpoint_every: steps between writes; the last step is always written.
        report_every: steps in a report interval.
        progress: whether to show a bar, on stderr. None shows it to a human at a
            terminal or a notebook, and not where a program executes the notebook.
        graph: whether to record steps as a CUDA graph and replay them, several at once;
            small models gain much. What Python decides is decided once, in recording:
            a number that changes must be in a tensor. Without CUDA, the same steps.
        precision: of products: "highest" is float32; "high" and "medium" are those of
            `torch.set_float32_matmul_precision`; "bfloat16" has 8 bits in the
            networks' products, and float32 in what comes after.

    Returns:
        The record of the run; `model` and `guide` are changed in place.

    Raises:
        ValueError, TypeError, BlockingIOError: an argument is not as described, or the
            checkpoint is damaged, from another run or in use; no parameter and no file
            is changed. Also if `transform` leaves the support later on; then as next.
        FloatingPointError: a bound or a gradient is not finite. Names the step and the
            first such quantity; the parameters are those before the step.
        OSError: the checkpoint cannot be written. Says what is in it still.
    """
    start = time.perf_counter()
    checks.whole(
        steps=(steps, 0),
        batch_size=(1 if batch_size is None else batch_size, 1),
        samples=(samples, 1),
        checkpoint_every=(checkpoint_every, 1),
        report_every=(report_every, 1),
    )
    check_step_size(lr)
    if precision not in PRECISIONS:
        raise ValueError(f"precision: expected one of {PRECISIONS}, got {precision!r}")
    noise.stream(seed)
    place = checks.usable_device(device)
    objective = Objective(model, guide, bound, precision == "bfloat16")
    parameters = checks.trainable(objective)
    data = checks.finite_rows(data, next(iter(parameters.values())).dtype)
    size = rows_a_step(data, batch_size)
    rank, processes = parallel.world()
    own = parallel.share(size)
    if graph and processes > 1:
        raise ValueError("graph: expected no group of processes")
    path, configuration, saved = checkpoint, {}, None
    if path is not None:
        configuration = {
            "seed": seed,
            "batch_size": size,
            "lr": float(lr),
            "samples": samples,
            "report_every": report_every,
            "bound": checkpoints.name(bound),
            "transform": transform and checkpoints.name(transform),
            "data": checkpoints.digest(data),
            "precision": precision,
            "parameters": checkpoints.layout(objective),
        }
        saved = checkpoints.read(path, configuration)
        if saved is not None and saved["done"] > steps:
            raise ValueError(
                f"steps: expected at least the {saved['done']} already done in {path}, "
                f"got {steps}"
            )
    objective.to(place)
    data = data.to(place)
    trial = noise.stream(seed, "data", device=place)
    seen = data if transform is None else checks.transformed(transform, data, trial)
    support, event = checks.fit(model, guide, bound, seen, size, samples)
    del seen  # as large as the data
    batches = Batches(data, size, (samples, *event), seed, transform, own)
    kind = RecordedAscent if graph else SharedAscent if processes > 1 else Ascent
    new = support if transform is not None else None  # known of data as they are
    ascent = kind(objective, list(parameters.values()), batches, float(lr), new)
    reports = []
    if saved is not None:
        adam = ascent.optimizer.state_dict()  # with settings that suit the device
        ascent.optimizer.load_state_dict(adam | {"state": saved["optimizer"]["state"]})
        objective.load_state_dict(saved["parts"])
        ascent.done, ascent.total = saved["done"], saved["total"]
        reports = saved["reports"]

    with (
        products(precision),
        bars.bar(progress and rank == 0, steps, ascent.done, unit="step") as bar,
    ):
        while ascent.done < steps:
            stop = _next(ascent.done, report_every, steps)
            if path is not None:
                stop = _next(ascent.done, checkpoint_every, stop)
            cause = None
            try:
                ascent.run(stop, bar.update)
            except (ValueError, torch.linalg.LinAlgError) as error:
                cause = error  # as where a matrix has no decomposition
            done = ascent.done
            if done < stop:
                x, drawn = batches[done]
                rows = batches.rows(done)
                if new is not None:
                    checks.in_support(x, new, f"step {done}: transform", rows)
                what = checks.culprit(*objective.terms, x, drawn, parameters, rows)
                if what is None and cause is not None:
                    raise cause
                raise FloatingPointError(
                    f"step {done}: {what or 'the norm of the gradient is not finite'}; "
                    f"the parameters are those after {done} steps"
                ) from cause
            if done % report_every == 0:
                reports.append((done, ascent.total / report_every))
                ascent.total = 0.0
                bar.set_postfix_str(f"bound {reports[-1][1]:.2f} nats", refresh=False)
            if path is None or rank > 0:
                continue
            if done % checkpoint_every == 0 or done == steps:
                state = {
                    "done": done,
                    "reports": reports,
                    "total": ascent.total,
                    "parts": objective.state_dict(),
                    "optimizer": ascent.optimizer.state_dict(),
                }
                checkpoints.write(path, configuration, state)
    ascent.optimizer.zero_grad()
    if since := ascent.done % report_every:
        reports = [*reports, (ascent.done, ascent.total / since)]
    return Run(
        steps=tuple(at for at, _ in reports),
        bounds=tuple(mean for _, mean in reports),
        device=str(place),
        seconds=time.perf_counter() - start,
    )


def _next(done: int, every: int, steps: int) -> int:
    """The next multiple of `every` after `done`, or `steps` if that comes first."""
    return min(done - done % every + every, steps)
