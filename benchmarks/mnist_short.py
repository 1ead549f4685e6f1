"""A short MNIST run: how long it takes, and how good the model is then.

The usual small model, 784-400-20 and back, trained for 10 epochs on pixels binarised
anew in every batch, and measured on the test digits, each binarised once:

    python -m benchmarks.mnist_short

downloads MNIST if need be, prints a report and writes it as JSON. See README.md beside
this file.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks import common
from vaelib import bounds, data, divergences, evaluation, guides, models, noise
from vaelib.training import train

PIXELS, HIDDEN, LATENT, BATCH, LR = 784, 400, 20, 128, 1e-3
RESULT = common.RESULTS / "mnist_short.json"


class Grey(nn.Module):
    """What the encoder sees first: bits moved to −½ and ½."""

    def forward(self, x: Tensor) -> Tensor:
        return x - 0.5


def build(seed: int) -> tuple[models.DeepModel, guides.Amortized]:
    """The model and the guide, one hidden layer each, before training."""
    torch.manual_seed(seed)
    decoder = models.mlp(LATENT, HIDDEN, PIXELS, activation=nn.ReLU)
    encoder = models.mlp(PIXELS, HIDDEN, 2 * LATENT, activation=nn.ReLU)
    model = models.DeepModel(decoder, models.Bernoulli(), LATENT)
    return model, guides.Amortized(nn.Sequential(Grey(), encoder))


@torch.no_grad()
def held_out_elbo(model, guide, x: Tensor, samples: int, seed: int) -> Tensor:
    """The ELBO of each datum, with the rate in closed form, `(N,)`."""
    values = []
    for i, rows in enumerate(x.split(500)):
        q = guide(rows)
        stream = noise.stream(seed, "test ELBO", i, device=x.device)
        log_lik = model.likelihood(noise.sample(q, samples, stream)).log_prob(rows)
        rate = divergences.kl(q, model.prior())
        values.append(bounds.elbo_from_kl(log_lik, rate))
    return torch.cat(values).double()


def mean_and_error(values: Tensor) -> dict[str, float]:
    """Mean over data and its standard error."""
    error = values.std() / len(values) ** 0.5
    return {"mean": round(values.mean().item(), 3), "se": round(error.item(), 3)}


def run(options: argparse.Namespace) -> dict[str, object]:
    """Train and measure; the report."""
    described = common.machine(options.device)  # first: the load before this run's own
    digits = data.mnist()
    model, guide = build(options.seed)
    per_epoch = len(digits.train_x) // options.batch_size
    cpu = time.process_time()
    record = train(
        model,
        guide,
        bounds.elbo,
        digits.train_x,
        steps=options.epochs * per_epoch,
        batch_size=options.batch_size,
        lr=LR,
        transform=data.binarise,
        seed=options.seed,
        device=options.device,
        report_every=per_epoch,
    )
    cpu = time.process_time() - cpu
    x = digits.test_x.to(options.device)
    stream = noise.stream(options.seed, "test bits", device=x.device)
    x = data.binarise(x, stream)
    elbo = held_out_elbo(model, guide, x, options.elbo_samples, options.seed)
    start = time.perf_counter()
    subset = x[: options.rows]
    evidence = evaluation.log_evidence(
        model, guide, subset, samples=options.samples, max_rows=options.max_rows
    )
    return {
        "what": "MNIST, 784-400-20, Bernoulli pixels, stochastic binarisation; nats",
        "date": common.today(),
        "machine": described,
        "settings": {
            "epochs": options.epochs,
            "batch size": options.batch_size,
            "steps": record.steps[-1],
            "optimiser": f"Adam, {LR}",
            "seed": options.seed,
            "device": record.device,
        },
        "training": {
            "seconds": round(record.seconds, 1),
            "CPU seconds": round(cpu, 1),
            "ELBO by epoch": [round(value, 2) for value in record.bounds],
        },
        "test ELBO": {
            "data": len(x),
            "draws of z": options.elbo_samples,
            **mean_and_error(elbo),
        },
        "test log p(x), importance sampling": {
            "data": f"the first {len(subset)}",
            "draws of z": options.samples,
            **mean_and_error(evidence.value),
            "se from z": round(
                (evidence.standard_error.square().sum().sqrt() / len(subset)).item(), 3
            ),
            "ELBO of the same data": mean_and_error(elbo[: options.rows]),
            "seconds": round(time.perf_counter() - start, 1),
        },
    }


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=BATCH)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--elbo-samples", type=int, default=10, help="draws of z")
    parser.add_argument("--rows", type=int, default=1000, help="test data for log p(x)")
    parser.add_argument("--samples", type=int, default=5000, help="draws of z for each")
    parser.add_argument("--max-rows", type=int, default=10_000, help="in memory")
    parser.add_argument("--out", type=Path, default=RESULT, help="the JSON file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    report = run(options)
    common.write(options.out, report)
    print(json.dumps(report, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
