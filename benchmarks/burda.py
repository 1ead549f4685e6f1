"""The table of Burda, Grosse and Salakhutdinov (2016) for MNIST.

One and two stochastic layers, trained with the ELBO of K draws (VAE) or with the
importance-weighted bound (IWAE), K = 1, 5, 50. Of each: the negative log-likelihood of
test digits in nats, and how many units are active. With K = 1 the two are one, so that
ten cells fill twelve places.

    python -m benchmarks.burda                        # shortened, for a CPU
    python -m benchmarks.burda --schedule full --device cuda --precision high --seeds 1

Protocol, after the published program (github.com/yburda/iwae):

- One layer: z of 50 units; encoder 784-200-200, from which linear layers give the mean
  and log sd of z; decoder 50-200-200-784. Two layers: z₁ of 100 and z₂ of 50 units;
  q(z₁|x) by 784-200-200, q(z₂|z₁) by 100-100-100, p(z₁|z₂) by 50-100-100, p(x|z₁) by
  100-200-200-784. All hidden units are tanh, pixels Bernoulli.
- Weights start uniform as Glorot and Bengio's, biases at zero, those of the pixels at
  the logit of their training mean, itself kept within 0.001 and 0.999.
- The first 59,600 training digits, in batches of 20, pixels binarised anew whenever a
  digit is used. Adam; 3^(i-1) epochs at the i-th of eight learning rates, from 0.001
  down to 0.0001: 3,280 epochs in all.
- Test digits binarised once; log p(x) by importance sampling with 5,000 draws each.
- A unit is active if Var(E[z|x]) > 0.01 over the first 500 training digits.

What the full schedule does differently from the published program: digits are in a new
random order in each epoch, not always in the same; layers of equal shape do not start
equal; Adam is the usual one (β₁ = 0.9, ε = 1e-8, moments from zero, anew in each
stage), not β₁ = 0.99, ε = 1e-4 of the gradient's sum over the batch, and second moments
from one; x goes through the encoder once for all K draws. E[z₂|x] is free of the
scatter of z₁, where the published count keeps that of one draw.

The short schedule has the same models on fewer digits, in fewer steps, at larger
learning rates, and measures fewer test digits with fewer draws. It is not the table: it
shows how far the order of its cells is there after minutes.

Each cell and seed has a file in the work folder, with checkpoints beside it. A program
that is stopped goes on where it was, and several can fill one folder: who has a cell
locks it, and others leave it out. Cells of one seed share the start of their networks,
batches and pixels, so that their differences are taken seed by seed.
"""

from __future__ import annotations

import argparse
import fcntl
import itertools
import json
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks import burda_table, common
from vaelib import bounds, data, evaluation, guides, models, noise
from vaelib.training import train

OBJECTIVES = {"VAE": bounds.elbo, "IWAE": bounds.importance_weighted}
RATES = (1e-3, 7.2e-4, 5.2e-4, 3.7e-4, 2.7e-4, 1.9e-4, 1.4e-4, 1e-4)
BATCH, PIXELS, THRESHOLD = 20, 784, 0.01


@dataclass(frozen=True)
class Schedule:
    """How long, on how much.

    Attributes:
        digits: for training, the first so many.
        stages: steps and learning rate of each.
        test: digits, the first so many.
        draws: of z for each test digit.
        keep: steps between checkpoints.
    """

    digits: int
    stages: tuple[tuple[int, float], ...]
    test: int
    draws: int
    keep: int


SCHEDULES = {
    "full": Schedule(
        digits=59_600,
        stages=tuple((59_600 // BATCH * 3**i, lr) for i, lr in enumerate(RATES)),
        test=10_000,
        draws=5000,
        keep=20_000,
    ),
    "short": Schedule(
        digits=20_000,
        stages=((2000, 3e-3), (700, 1e-3), (300, 3e-4)),
        test=500,
        draws=1000,
        keep=500,
    ),
}


@dataclass(frozen=True)
class Cell:
    """A place in the table: stochastic layers, objective, K."""

    layers: int
    objective: str
    k: int

    def __str__(self) -> str:
        return f"{self.layers}-{self.objective}-{self.k}"


CELLS = tuple(  # the long ones first, so that two programs end together
    Cell(layers, objective, k)
    for k in (50, 5, 1)
    for layers in (2, 1)
    for objective in OBJECTIVES
    if k > 1 or objective == "VAE"
)


def network(generator: torch.Generator, *sizes: int, heads: int = 1) -> nn.Sequential:
    """Glorot and Bengio's start; the last layer is `heads` of them side by side."""
    net = models.mlp(*sizes[:-1], heads * sizes[-1])
    for layer in net:
        if isinstance(layer, nn.Linear):
            for part in layer.weight.data.chunk(heads if layer is net[-1] else 1):
                nn.init.xavier_uniform_(part, generator=generator)
            nn.init.zeros_(layer.bias)
    return net


def build(layers: int, seed: int, mean: Tensor) -> tuple[bounds.Model, nn.Module]:
    """Model and guide before training; `mean` of each pixel, between 0 and 1."""
    generator = noise.stream(seed, "start")

    def gaussian(*sizes: int) -> guides.Amortized:
        return guides.Amortized(network(generator, *sizes, heads=2))

    if layers == 1:
        guide = gaussian(PIXELS, 200, 200, 50)
        decoder = network(generator, 50, 200, 200, PIXELS)
        model = models.DeepModel(decoder, models.Bernoulli(), 50)
    else:
        first, then = gaussian(PIXELS, 200, 200, 100), gaussian(100, 100, 100, 50)
        guide = guides.Chained(first, then, 50)
        decoder = network(generator, 100, 200, 200, PIXELS)
        above = gaussian(50, 100, 100, 100)
        model = models.TwoLayerModel(decoder, models.Bernoulli(), above, (100, 50))
    decoder[-1].bias.data = mean.clamp(0.001, 0.999).logit()
    return model, guide


def run(
    cell: Cell,
    seed: int,
    schedule: Schedule,
    digits: data.Mnist,
    folder: Path,
    device: str = "cpu",
    precision: str = "highest",
) -> dict[str, object]:
    """Train and measure one cell with one seed."""
    x = digits.train_x[: schedule.digits]
    model, guide = build(cell.layers, seed, x.double().mean(0).float() / 255)
    seconds = 0.0
    for stage, (steps, lr) in enumerate(schedule.stages):
        record = train(
            model,
            guide,
            OBJECTIVES[cell.objective],
            x,
            steps=steps,
            batch_size=BATCH,
            lr=lr,
            samples=cell.k,
            transform=data.binarise,
            seed=100 * seed + stage,  # each stage has noise of its own
            device=device,
            checkpoint=folder / f"{cell}-{seed}.stage{stage}",
            checkpoint_every=schedule.keep,
            report_every=max(1, steps // 10),
            graph=device.startswith("cuda"),
            precision=precision,
        )
        seconds += record.seconds
    test, few = (
        data.binarise(part, noise.stream(0, "burda", name)).to(device)
        for name, part in (("test", digits.test_x), ("units", digits.train_x[:500]))
    )
    evidence = evaluation.log_evidence(
        model, guide, test[: schedule.test], samples=schedule.draws
    )
    units = evaluation.active_units(guide, few) > THRESHOLD
    split = [100, 50] if cell.layers == 2 else [50]
    return {
        "cell": asdict(cell),
        "seed": seed,
        "schedule": asdict(schedule),
        "device": record.device,
        "precision": precision,
        "NLL": -evidence.value.mean().item(),
        # How far importance sampling is off, by the delta method: se² / 2 too high.
        "NLL too high by about": evidence.standard_error.square().mean().item() / 2,
        "active units": [int(part.sum()) for part in units.split(split)],
        "seconds of training, last start": round(seconds, 1),
    }


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Whether the lock is ours, until the block ends or this program does."""
    with open(path, "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def work(
    schedule: Schedule, seeds: int, folder: Path, device: str, precision: str
) -> None:
    """Fill the cells that nobody has filled or is filling, seed by seed."""
    torch.set_num_threads(1)
    digits = data.mnist()
    for seed, cell in itertools.product(range(seeds), CELLS):
        done = folder / f"{cell}-{seed}.json"
        with locked(folder / f"{cell}-{seed}.lock") as ours:
            if not ours or done.exists():
                continue
            found = run(cell, seed, schedule, digits, folder, device, precision)
            common.write(done, found)
            *earlier, _ = sorted(folder.glob(f"{cell}-{seed}.stage?"))
            for path in earlier:  # the last holds the trained model
                path.unlink()
        print(f"{cell}, seed {seed}: done", flush=True)


def report(name: str, folder: Path, described: dict[str, object]) -> dict[str, object]:
    """The table of what is in the folder."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    schedule = json.loads(json.dumps(asdict(SCHEDULES[name])))
    for result in results:
        if result["schedule"] != schedule:
            raise ValueError(f"folder: {folder} holds runs of another schedule")
    what = "MNIST, test NLL in nats, active units; Burda et al. (2016), table 1"
    if name != "full":
        what += "; SHORTENED: this is not the table"
    return {
        "what": what,
        "date": common.today(),
        "machine": described,
        "schedule": {"name": name, **schedule},
        "batch size": BATCH,
        "optimiser": "Adam, β 0.9 and 0.999, ε 1e-8",
        "precision of products": sorted(
            {r.get("precision", "highest") for r in results}
        ),
        "minutes of training, all together": round(
            sum(r["seconds of training, last start"] for r in results) / 60, 1
        ),
        **burda_table.table(results),
    }


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schedule", choices=SCHEDULES, default="short")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2, help="of one thread each")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="highest", help="as in `train`")
    parser.add_argument("--folder", type=Path, help="of single runs; to go on in")
    parser.add_argument("--out", type=Path, help="the JSON file")
    parser.add_argument("--table", action="store_true", help="of what there is, only")
    options = parser.parse_args(arguments)
    name = options.schedule
    folder = options.folder or Path("_build", "burda", name)
    folder.mkdir(parents=True, exist_ok=True)
    described = common.machine(options.device) | {"processes": options.processes}
    if not options.table:
        job = SCHEDULES[name], options.seeds, folder, options.device, options.precision
        spawn = multiprocessing.get_context("spawn").Process
        others = [spawn(target=work, args=job) for _ in range(options.processes - 1)]
        for other in others:
            other.start()
        work(*job)
        for other in others:
            other.join()
            if other.exitcode:
                raise SystemExit("another process failed; start again to go on")
    out = options.out or common.RESULTS / f"burda_{name}.json"
    common.write(out, report(name, folder, described))


if __name__ == "__main__":
    main()
