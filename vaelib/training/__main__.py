"""The command line: one VAE, in one process or in several.

    python -m vaelib.training --steps 1000
    torchrun --nproc-per-node=2 -m vaelib.training --steps 1000 --checkpoint run.pt

The VAE has one hidden layer each way, and the small digits or MNIST as data. With
`torchrun` every process takes its part of each batch, and the result is that of one
process up to rounding. The report, one line of JSON, is the first one's.
"""

from __future__ import annotations

import argparse
import json
import os

import torch
from torch import Tensor, distributed, nn

from vaelib import bounds, data
from vaelib.guides import Amortized
from vaelib.models import Bernoulli, Binomial, DeepModel, mlp
from vaelib.training import train
from vaelib.training.ascent import PRECISIONS

BOUNDS = {"elbo": bounds.elbo, "iwae": bounds.importance_weighted}


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    about = (__doc__ or "").split("\n\n")
    form = argparse.RawDescriptionHelpFormatter
    p = argparse.ArgumentParser("vaelib.training", None, about[0], about[2], [], form)
    p.add_argument("--data", choices=["digits", "mnist"], default="digits")
    p.add_argument("--hidden", type=int, default=64, help="units of a hidden layer")
    p.add_argument("--latent", type=int, default=8, help="dimensions of z")
    p.add_argument("--bound", choices=[*BOUNDS], default="elbo")
    p.add_argument("--samples", type=int, default=1, help="z for each datum")
    p.add_argument("--steps", type=int, required=True, help="in all")
    p.add_argument("--batch-size", type=int, default=100, help="of all processes")
    p.add_argument("--lr", type=float, default=1e-3, help="Adam's step size")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--device", default="auto")
    p.add_argument("--precision", choices=PRECISIONS, default="highest")
    p.add_argument("--graph", action="store_true", help="as a CUDA graph")
    p.add_argument("--checkpoint", help="a file to resume from, and to write to")
    p.add_argument("--checkpoint-every", type=int, default=1000)
    return p


def build(name: str, hidden: int, latent: int, seed: int):
    """The model, its guide, the training data, and what makes a batch of them."""
    if name == "mnist":
        x, family, transform = data.mnist().train_x, Bernoulli(), data.binarise
    else:
        digits = data.digits()
        x, family, transform = digits.train_x, Binomial(data.DIGIT_LEVELS), None
    torch.manual_seed(seed)
    pixels = x.shape[1]
    model = DeepModel(mlp(latent, hidden, pixels, activation=nn.ReLU), family, latent)
    guide = Amortized(mlp(pixels, hidden, 2 * latent, activation=nn.ReLU))
    return model, guide, x, transform


def main(arguments: list[str] | None = None) -> None:
    """Train, in a group if `torchrun` started one, and print the report."""
    options = parser().parse_args(arguments)
    device = options.device
    grouped = "RANK" in os.environ and "WORLD_SIZE" in os.environ
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if grouped:
        if device == "cuda":
            device = f"cuda:{os.environ['LOCAL_RANK']}"
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if "cuda" in device else "gloo")
    try:
        shape = options.data, options.hidden, options.latent, options.seed
        model, guide, x, transform = build(*shape)
        run = train(
            model,
            guide,
            BOUNDS[options.bound],
            x,
            steps=options.steps,
            batch_size=options.batch_size,
            lr=options.lr,
            samples=options.samples,
            transform=transform,
            seed=options.seed,
            device=device,
            checkpoint=options.checkpoint,
            checkpoint_every=options.checkpoint_every,
            graph=options.graph,
            precision=options.precision,
        )
        if not grouped or distributed.get_rank() == 0:
            print(json.dumps(vars(options) | report(run, model, guide)), flush=True)
    finally:
        if grouped:
            distributed.destroy_process_group()


def report(run, model: nn.Module, guide: nn.Module) -> dict[str, object]:
    """What came out, in plain numbers."""
    parameters: list[Tensor] = [*model.parameters(), *guide.parameters()]
    norm = nn.utils.get_total_norm([p.detach() for p in parameters]).item()
    return {
        "device": run.device,
        "seconds": round(run.seconds, 3),
        "steps done": run.steps,
        "bounds": run.bounds,
        "norm of the parameters": norm,
    }


if __name__ == "__main__":
    main()
