"""What all contenders compute: one model, its first weights, its data, its noise."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaelib import bounds, guides, models, noise

PIXELS, LR, ROWS = 784, 1e-3, 60_000


@dataclass(frozen=True)
class Setting:
    """A bound and the sizes of one step.

    Attributes:
        what: in words.
        batch: B.
        samples: S; 1 is the ELBO, more the importance-weighted bound.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        latent: D.
        activation: between layers.
        steps: how many are timed in a turn, about a quarter of a second's worth.
    """

    what: str
    batch: int
    samples: int
    hidden: tuple[int, ...]
    latent: int
    activation: type[nn.Module]
    steps: int


SETTINGS = {
    "elbo-128": Setting("ELBO, batch 128", 128, 1, (400,), 20, nn.ReLU, 56),
    "elbo-20": Setting("ELBO, batch 20", 20, 1, (400,), 20, nn.ReLU, 150),
    "importance-50": Setting(
        "importance-weighted bound, K = 50, batch 20",
        *(20, 50, (200, 200), 50, nn.Tanh, 40),
    ),
    "nothing": Setting("ELBO, every size 1", 1, 1, (1,), 1, nn.ReLU, 500),
}


class Contender(Protocol):
    """A way to train this model."""

    def bounds(self, steps: int) -> list[float]:
        """The bound at each of the first steps, all on the first batch of the data.

        With the task's weights and noise, so that it can be compared: in nats per
        datum, before the step.
        """

    def seconds(self, steps: int) -> float:
        """How long one step takes, on average over so many."""


def build(setting: Setting) -> tuple[models.DeepModel, guides.Amortized]:
    """The model and the guide before training, always the same."""
    generator = torch.get_rng_state()
    torch.manual_seed(0)
    widths = PIXELS, *setting.hidden
    mlp = functools.partial(models.mlp, activation=setting.activation)
    decoder = mlp(setting.latent, *widths[::-1])
    encoder = mlp(*widths, 2 * setting.latent)
    torch.set_rng_state(generator)
    model = models.DeepModel(decoder, models.Bernoulli(), setting.latent)
    return model, guides.Amortized(encoder)


def networks(setting: Setting) -> tuple[nn.Sequential, nn.Sequential]:
    """Encoder and decoder of `build`; the encoder ends in mu and log sigma."""
    model, guide = build(setting)
    return guide.encoder, model.decoder


@functools.cache
def data(rows: int = ROWS) -> Tensor:
    """Binary pictures of MNIST's shape, as dark as MNIST, `(rows, 784)`."""
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(rows, PIXELS, generator=generator) < 0.13).float()


def stream(step: int) -> torch.Generator:
    """The noise of a step, as `train` with seed 0 draws it."""
    return noise.stream(0, "noise", step)


def epsilon(setting: Setting, step: int) -> Tensor:
    """Standard normal noise of a step, `(S, B, D)`."""
    shape = setting.samples, setting.batch, setting.latent
    return torch.randn(shape, generator=stream(step))


def batches(setting: Setting) -> Iterator[Tensor]:
    """Rows of the data, shuffled in every epoch, without end."""
    while True:
        order = torch.randperm(ROWS)
        for start in range(0, ROWS - setting.batch + 1, setting.batch):
            yield order[start : start + setting.batch]


def reference(setting: Setting, steps: int, *, closed: bool = False) -> list[float]:
    """What `Contender.bounds` must return, by the parts of vaelib and torch's Adam.

    Args:
        setting: which model.
        steps: how many.
        closed: whether the KL term of the ELBO is in closed form.
    """
    model, guide = build(setting)
    parameters = [*model.parameters(), *guide.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=LR)
    x, values = data()[: setting.batch], []
    for step in range(steps):
        q = guide(x)
        z = noise.push(q, epsilon(setting, step))
        if closed:
            rate = torch.distributions.kl_divergence(q, model.prior())
            value = bounds.elbo_from_kl(model.likelihood(z).log_prob(x), rate).mean()
        else:
            value = objective(setting)(bounds.log_weights(model, q, x, z)).mean()
        optimizer.zero_grad()
        (-value).backward()
        optimizer.step()
        values.append(value.item())
    return values


def objective(setting: Setting) -> Callable[[Tensor], Tensor]:
    """The bound, as a function of log-weights."""
    return bounds.elbo if setting.samples == 1 else bounds.importance_weighted


def negative_bound(
    encoder: nn.Module, decoder: nn.Module, x: Tensor, eps: Tensor
) -> Tensor:
    """What a loop written by hand in PyTorch minimises; no library of distributions.

    The constants of log p(z) and log q(z|x) cancel.
    """
    mu, log_sigma = encoder(x).chunk(2, -1)
    z = mu + log_sigma.exp() * eps
    logits = decoder(z)
    pixels = F.binary_cross_entropy_with_logits(
        logits, x.expand_as(logits), reduction="none"
    )
    log_w = -pixels.sum(-1) + (0.5 * (eps**2 - z**2) + log_sigma).sum(-1)
    if len(log_w) == 1:
        return -log_w.mean()
    return -(log_w.logsumexp(0) - torch.tensor(len(log_w)).log()).mean()
