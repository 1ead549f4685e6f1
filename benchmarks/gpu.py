"""Steps a second on a CUDA device: one by one, and recorded as a graph.

    python -m benchmarks.gpu

Beside each figure stand two floors. One is the time to start, one after the other, the
operations that depend on each other: as many empty kernels in a graph as a step has
products. The other is the time to move what a step cannot avoid to move: Adam reads
and writes seven numbers for every parameter.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks import common
from vaelib import bounds, data, guides, models, noise
from vaelib.training import train

RESULT = common.RESULTS / "gpu.json"
CASES = {  # hidden layers, latent, batch, samples, bound
    "784-400-20, batch 128": ((400,), 20, 128, 1, bounds.elbo),
    "784-400-20, batch 20": ((400,), 20, 20, 1, bounds.elbo),
    "784-200-200-50, batch 20, K = 50": (
        (200, 200),
        50,
        20,
        50,
        bounds.importance_weighted,
    ),
}
WAYS = {
    "step by step": {},
    "graph": {"graph": True},
    "graph, TF32": {"graph": True, "precision": "high"},
    "graph, bfloat16": {"graph": True, "precision": "bfloat16"},
}


def build(hidden: tuple[int, ...], latent: int):
    """The model and its guide, before training."""
    torch.manual_seed(0)
    decoder = models.mlp(latent, *hidden[::-1], 784)
    encoder = models.mlp(784, *hidden, 2 * latent)
    model = models.DeepModel(decoder, models.Bernoulli(), latent)
    return model, guides.Amortized(encoder)


def seconds_per_step(case: str, way: str, steps: int) -> float:
    """The time of a step: that of twice as many steps, less that of as many."""
    hidden, latent, batch, samples, bound = CASES[case]
    grey = torch.rand(10_000, 784, generator=noise.stream(0, "grey"))

    def run(n: int) -> float:
        model, guide = build(hidden, latent)
        settings = {"batch_size": batch, "samples": samples, "device": "cuda"}
        settings |= {"transform": data.binarise, "report_every": 10**9, **WAYS[way]}
        return train(model, guide, bound, grey, steps=n, **settings).seconds

    return (run(2 * steps) - run(steps)) / steps


def floors(case: str) -> dict[str, float]:
    """Microseconds: a chain of products too small to compute, and Adam's traffic."""
    hidden, latent, *_ = CASES[case]
    model, guide = build(hidden, latent)
    numbers = sum(p.numel() for m in (model, guide) for p in m.parameters())
    products = 3 * 2 * (len(hidden) + 1) - 1  # one less: no gradient of the data
    tiny = torch.zeros(1, 1, device="cuda")
    graph = torch.cuda.CUDAGraph()
    torch.mm(tiny, tiny)
    with torch.cuda.graph(graph):
        for _ in range(products):
            tiny = torch.mm(tiny, tiny)
    big = torch.zeros(2**28, device="cuda")
    times = {}
    for name, function, n in (
        ("chain", graph.replay, 200),
        ("traffic", lambda: big.add_(1), 20),
    ):
        function()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(n):
            function()
        end.record()
        end.synchronize()
        times[name] = 1e3 * start.elapsed_time(end) / n
    moved = 7 * numbers / (2 * big.numel()) * times["traffic"]
    return {"a chain of products": times["chain"], "Adam's traffic": moved}


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=960)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        parser.error("no CUDA device: there is nothing to measure")
    described = common.machine("cuda")
    cases = {}
    for case in CASES:
        times = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way, measured in times.items():
                measured.append(1e6 * seconds_per_step(case, way, options.steps))
        slow = times["step by step"]
        cases[case] = {
            "floors, µs": {k: common.significant(v) for k, v in floors(case).items()},
            "a step, µs": {k: common.summary(v) for k, v in times.items()},
            "steps a second": {
                k: common.significant(1e6 / common.summary(v)["median"])
                for k, v in times.items()
            },
            "times faster than step by step": {
                k: common.summary([a / b for a, b in zip(slow, v, strict=True)])
                for k, v in times.items()
            },
        }
    report = {
        "what": "training steps on a CUDA device, bits drawn anew in every batch",
        "date": common.today(),
        "machine": described,
        "cases": cases,
    }
    common.write(options.out, report)
    print(options.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
