"""What cheaper products do to the bound: the same runs in each precision of `train`.

    python -m benchmarks.precision

Each seed's run has the same start, batches, bits and noise in every precision, and the
model that comes out is measured in float32 with the same noise. So what differs is
the arithmetic of training alone, and the differences are paired by seed. The data are
the 8×8 digits as bits, the brighter half of the levels on; the network is 64-400-20.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from scipy import stats

from benchmarks import common
from vaelib import bounds, data, evaluation, guides, models
from vaelib.training import train
from vaelib.training.ascent import PRECISIONS

RESULT = common.RESULTS / "precision.json"
SIZES = 64, 400, 20


def build(seed: int):
    """The model and its guide, before training."""
    torch.manual_seed(seed)
    pixels, hidden, latent = SIZES
    nets = (latent, hidden, pixels), (pixels, hidden, 2 * latent)
    decoder, encoder = (models.mlp(*s, activation=torch.nn.ReLU) for s in nets)
    model = models.DeepModel(decoder, models.Bernoulli(), latent)
    return model, guides.Amortized(encoder)


def measure(seed: int, precision: str, options: argparse.Namespace) -> dict:
    """One run: the seconds it took, and what its model is worth in float32."""
    digits = data.digits()
    train_x, test_x = (
        (x > data.DIGIT_LEVELS / 2).float() for x in (digits.train_x, digits.test_x)
    )
    model, guide = build(seed)
    settings = {"steps": options.steps, "batch_size": 128, "device": options.device}
    run = train(
        model, guide, bounds.elbo, train_x, seed=seed, precision=precision, **settings
    )
    x = test_x.to(run.device)
    settings = {"samples": options.samples, "seed": 0}
    value = evaluation.log_evidence(model, guide, x, **settings).value.mean().item()
    return {"log p(x)": value, "training bound": run.bounds[-1], "seconds": run.seconds}


def compare(values: list[float], others: list[float]) -> dict[str, float]:
    """The mean of the paired differences, and its 95 % interval's half width."""
    differences = torch.tensor(values).double() - torch.tensor(others).double()
    n = len(differences)
    error = differences.std().item() / math.sqrt(n)
    half = stats.t.ppf(0.975, n - 1) * error
    return {"mean": round(differences.mean().item(), 4), "±": round(half, 4)}


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--samples", type=int, default=500, help="for log p(x)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    described = common.machine(options.device)
    runs = {precision: [] for precision in PRECISIONS}
    for seed in range(options.seeds):
        for precision in PRECISIONS:  # side by side, so that a busy hour hits all
            runs[precision].append(measure(seed, precision, options))
    exact = runs["highest"]
    rows = {}
    for precision, done in runs.items():
        seconds = [
            one["seconds"] / other["seconds"]
            for one, other in zip(done, exact, strict=True)
        ]
        rows[precision] = {
            "log p(x)": round(sum(one["log p(x)"] for one in done) / len(done), 3),
            "seconds, in those of float32": common.summary(seconds),
        }
        if precision != "highest":
            rows[precision] |= {
                f"{name}, less that of float32": compare(
                    *([one[name] for one in each] for each in (done, exact))
                )
                for name in ("log p(x)", "training bound")
            }
    report = {
        "what": "8×8 digits as bits, 64-400-20, batch 128; nats per digit",
        "date": common.today(),
        "machine": described,
        "settings": {
            "steps": options.steps,
            "seeds": options.seeds,
            "samples for log p(x)": options.samples,
        },
        "precision": rows,
    }
    common.write(options.out, report)
    print(options.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
