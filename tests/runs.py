"""A small problem to train on, and runs of it. As a program, one run that is shown."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import distributions as td
from torch import nn

from vaelib import bounds, noise, training
from vaelib.guides import Amortized
from vaelib.models import Binomial, DeepModel, mlp

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.cuda,
            pytest.mark.skipif(
                not torch.cuda.is_available(),
                reason="no CUDA device; `pytest -m cuda` runs it where there is one",
            ),
        ],
    ),
]


# On the CPU, unless a test asks for another device.
train = functools.partial(training.train, device="cpu")


def small(d=2, p=6, seed=0):
    """A small deep model of counts, its guide, and data for it."""
    g = noise.stream(seed, "small")
    model = DeepModel(mlp(d, 8, p), Binomial(4), d)
    guide = Amortized(mlp(p, 8, 2 * d))
    for module in (model, guide):
        for parameter in module.parameters():
            nn.init.normal_(parameter, 0, 0.3, generator=g)
    data = torch.randint(0, 5, (50, p), generator=noise.stream(0, "counts")).float()
    data[:, p // 2 :] //= 4  # half of the columns are mostly zero: something to learn
    return model, guide, data


def state(*modules):
    """Copies of all tensors."""
    return [v.clone().cpu() for m in modules for v in m.state_dict().values()]


def same(a, b):
    return len(a) == len(b) and all(
        torch.equal(x, y) for x, y in zip(a, b, strict=True)
    )


def run_small(device="cpu", seed=0, **settings):
    model, guide, data = small()
    settings = {"steps": 60, "batch_size": 8, "lr": 0.01, "report_every": 7} | settings
    run = train(model, guide, bounds.elbo, data, seed=seed, device=device, **settings)
    return run, state(model, guide)


def lighten(x, generator):
    """Counts from 0 to 4, each dot kept with probability one half."""
    keep = td.Binomial(4, probs=torch.full_like(x, 0.5))
    return torch.minimum(x, noise.sample(keep, 1, generator)[0])


def show():
    print("done", run_small()[0].steps[-1])


if __name__ == "__main__":
    show()
