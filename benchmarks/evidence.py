"""How long log p(x) of a test digit takes, and in how much memory.

    python -m benchmarks.evidence

trains two models briefly, 784-400-20 and 784-200-200-50, and lets three ways to spend
5,000 samples on a digit take turns: the matrix products of the decoder alone, the
formula written out for one digit after the other, and the public `log_evidence`. Then
measures the memory of `log_evidence` against samples and data, and, with `--full`, the
time for all 10,000 test digits. Writes results/evidence.json.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks import common, growth, mnist_short
from vaelib import bounds, data, evaluation, guides, models, noise
from vaelib.training import train

ROOT = Path(__file__).parents[1]
ROWS = 2000  # that the floor multiplies at once, as many as log_evidence
MEMORY = ((500, 100), (5000, 100), (50_000, 10), (50, 1000), (50, 10_000))


def deep(seed: int) -> tuple[models.DeepModel, guides.Amortized]:
    """Two hidden layers of 200 each way, 50 dimensions between them."""
    torch.manual_seed(seed)
    model = models.DeepModel(models.mlp(50, 200, 200, 784), models.Bernoulli(), 50)
    return model, guides.Amortized(models.mlp(784, 200, 200, 100))


BUILDS = {"784-400-20": mnist_short.build, "784-200-200-50": deep}


def floor(decoder: nn.Sequential, n_rows: int) -> Callable[[], None]:
    """The products of so many decoder rows, into memory that is already there."""
    weights = [m.weight.detach().T for m in decoder if isinstance(m, nn.Linear)]
    z = torch.randn(min(ROWS, n_rows), weights[0].shape[0])
    layers = [torch.empty(len(z), w.shape[1]) for w in weights]

    def products() -> None:
        for _ in range(math.ceil(n_rows / len(z))):
            rows = z
            for weight, out in zip(weights, layers, strict=True):
                rows = torch.mm(rows, weight, out=out)

    return products


@torch.no_grad()
def written_out(model, guide, x: Tensor, samples: int, seed: int = 0) -> Tensor:
    """log p(x) digit by digit, each copied for all its samples."""
    values = []
    for i, row in enumerate(x.split(1)):
        q = guide(row)
        z = noise.sample(q, samples, noise.stream(seed, "digit", i))
        logits = model.decoder(z)
        log_lik = -nn.functional.binary_cross_entropy_with_logits(
            logits, row.expand_as(logits), reduction="none"
        ).sum(-1)
        log_w = log_lik + model.prior().log_prob(z) - q.log_prob(z)
        values.append(bounds.importance_weighted(log_w.double()))
    return torch.cat(values)


def compare(model, guide, x: Tensor, options: argparse.Namespace) -> dict[str, object]:
    """Milliseconds for each digit, by each way, and their ratios in each round."""
    x, k = x[: options.images], options.samples
    ours = functools.partial(
        evaluation.log_evidence, model, guide, x, samples=k, progress=False
    )
    ways = {
        "floor": floor(model.decoder, k * len(x)),
        "written out": lambda: written_out(model, guide, x, k),
        "log_evidence": ours,
    }

    def seconds(way: Callable[[], object]) -> float:
        start = time.perf_counter()
        way()
        return time.perf_counter() - start

    turns = {name: functools.partial(seconds, way) for name, way in ways.items()}
    for turn in turns.values():
        turn()
    rounds = common.take_turns(turns, options.rounds, options.at_most)
    found, other = ours(), written_out(model, guide, x, k)
    differ = (found.value - other).square().mean().sqrt()
    return {
        "ms for each digit": {
            name: common.summary([1000 * s / len(x) for s in values])
            for name, values in rounds.values.items()
        },
        "times the floor": {
            name: common.summary(
                [a / b for a, b in zip(values, rounds.values["floor"], strict=True)]
            )
            for name, values in rounds.values.items()
            if name != "floor"
        },
        "rounds": {
            "clean": rounds.clean,
            "left out": rounds.left_out,
            "cores that others used": round(rounds.others, 2),
        },
        "mean log p(x)": round(found.value.mean().item(), 2),
        "both ways differ by, root mean square": round(differ.item(), 3),
        "expected of their noise": round(
            (2 * found.standard_error.square().mean()).sqrt().item(), 3
        ),
    }


def memory(samples: int, n: int) -> float:
    """MB that `log_evidence` takes beyond data and model, in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.evidence"]
    done = subprocess.run(
        [*command, "--peak", str(samples), str(n)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def report_peak(samples: int, n: int) -> None:
    """What `memory` reads."""
    model, guide = BUILDS["784-400-20"](0)
    x = torch.zeros(n, 784)
    ours = functools.partial(evaluation.log_evidence, model, guide, progress=False)
    ours(x[:1], samples=2)  # what is loaded on first use
    growth.forget_peak()
    before = growth.peak()
    ours(x, samples=samples)
    print(growth.peak() - before)


def run(options: argparse.Namespace) -> dict[str, object]:
    """The report."""
    described = common.machine()  # first: the load before this run's own
    digits = data.mnist()
    bits = data.binarise(digits.test_x, noise.stream(0, "test bits"))
    report: dict[str, object] = {
        "what": "log p(x) of MNIST test digits by importance sampling, float32",
        "date": common.today(),
        "machine": described,
        "settings": {"samples": options.samples, "digits in a turn": options.images},
    }
    for name, build in BUILDS.items():
        model, guide = build(0)
        train(
            model, guide, bounds.elbo, digits.train_x, steps=options.steps,
            batch_size=128, transform=data.binarise, device="cpu", progress=False,
        )  # fmt: skip
        report[name] = compare(model, guide, bits, options)
        if options.full:
            start = time.perf_counter()
            evaluation.log_evidence(model, guide, bits, samples=options.samples)
            report[name]["seconds for all test digits"] = round(
                time.perf_counter() - start, 1
            )
    report["memory beyond the data and the model, 784-400-20"] = [
        {"samples": k, "data": n, "MB": round(memory(k, n))} for k, n in options.memory
    ]
    return report


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=common.cores())
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--at-most", type=int, default=27, help="with disturbed rounds")
    parser.add_argument("--images", type=int, default=20, help="digits in a turn")
    parser.add_argument("--samples", type=int, default=5000, help="for each digit")
    parser.add_argument("--steps", type=int, default=300, help="of training before")
    parser.add_argument("--full", action="store_true", help="all 10,000 digits, too")
    parser.add_argument("--peak", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument(
        "--out", type=Path, default=common.RESULTS / "evidence.json", help="JSON"
    )
    options = parser.parse_args(arguments, argparse.Namespace(memory=MEMORY))
    torch.set_num_threads(options.threads)
    if options.peak:
        report_peak(*options.peak)
        return
    report = run(options)
    common.write(options.out, report)
    print(json.dumps(report, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
