"""Many seeds at once: seconds per step of `train_many` against as many of `train`.

    python -m benchmarks.ensemble

Two models: the usual small one for MNIST, 784-400-20 and back, on bits, and one for
the 8×8 digits, 64-32-4. Times are those of a step alone: what both functions do before
their first step is measured, with few steps, and taken off; the steps are so many that
this hardly matters. One thread.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks import common
from vaelib import bounds, guides, models, noise
from vaelib.training import train, train_many

RUNS = (1, 4, 16, 64)
CASES = {  # sizes of the encoder, and the batch
    "64-32-4, batch 50": ((64, 32, 4), 50),
    "784-400-20, batch 20": ((784, 400, 20), 20),
    "784-400-20, batch 128": ((784, 400, 20), 128),
}
FEW = 2  # steps that are taken off
RESULT = common.RESULTS / "ensemble.json"


def build(sizes: tuple[int, int, int], seed: int):
    """A model of bits and its guide, one hidden layer each, before training."""
    torch.manual_seed(seed)
    pixels, hidden, latent = sizes
    decoder = models.mlp(latent, hidden, pixels)
    model = models.DeepModel(decoder, models.Bernoulli(), latent)
    return model, guides.Amortized(models.mlp(pixels, hidden, 2 * latent))


def enough(take: Callable[[int], float], seconds: float) -> int:
    """How many steps of one run take that long; the first call loads what both need."""
    steps, before = 8, take(FEW)
    while take(FEW + steps) - before < seconds:
        steps *= 2
    return steps


def turns(
    case: str, runs: int, seconds: float, device: str
) -> Iterator[tuple[str, Callable[[], float]]]:
    """Functions that give the seconds of a step: of one run, and of so many at once."""
    sizes, batch = CASES[case]
    bits = torch.bernoulli(
        torch.full((2000, sizes[0]), 0.3), generator=noise.stream(0, "bits")
    )
    settings = {"batch_size": batch, "device": device, "report_every": 10**9}

    def one(n: int) -> float:
        run = train(*build(sizes, 0), bounds.elbo, bits, steps=n, seed=0, **settings)
        return run.seconds

    def many(n: int) -> float:
        done = train_many(
            lambda seed: build(sizes, seed),
            bounds.elbo,
            bits,
            seeds=range(runs),
            steps=n,
            **settings,
        )
        return done[0][2].seconds

    steps = enough(one, seconds)
    fewer = min(steps, max(4, 4 * steps // runs))
    for name, take, n in (("one", one, steps), ("many", many, fewer)):
        yield name, lambda take=take, n=n: (take(FEW + n) - take(FEW)) / n


def measure(case: str, runs: int, seconds: float, rounds: int, device: str) -> dict:
    """Both times, and their ratio by round."""
    taken = common.take_turns(dict(turns(case, runs, seconds, device)), rounds)
    pairs = zip(taken.values["many"], taken.values["one"], strict=True)
    ratios = [many / (runs * one) for many, one in pairs]
    return {
        "case": case,
        "runs": runs,
        "ms a step, one run": common.summary([1e3 * s for s in taken.values["one"]]),
        "ms a step, all at once": common.summary(
            [1e3 * s for s in taken.values["many"]]
        ),
        "all at once, of one by one": common.summary(ratios),
        "clean rounds": taken.clean,
    }


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--runs", nargs="+", type=int, default=RUNS, help="at once")
    parser.add_argument("--seconds", type=float, default=0.2, help="of steps, a turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=RESULT, help="the JSON file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    described = common.machine(options.device)
    measured = []
    for case in options.cases:
        for runs in options.runs:
            measured.append(
                measure(case, runs, options.seconds, options.rounds, options.device)
            )
            ratio = measured[-1]["all at once, of one by one"]["median"]
            print(f"{case}, {runs} runs: {ratio:.2f} of one by one", flush=True)
    report = {
        "what": "seconds a step of train_many, and of as many calls of train",
        "date": common.today(),
        "machine": described,
        "settings": {"seconds": options.seconds, "rounds": options.rounds},
        "measured": measured,
    }
    common.write(options.out, report)


if __name__ == "__main__":
    main()
