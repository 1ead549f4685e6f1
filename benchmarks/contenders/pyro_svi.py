"""Pyro's stochastic variational inference."""

from __future__ import annotations

import time

import pyro
import torch
from pyro import distributions as dist
from pyro.infer import SVI, JitTrace_ELBO, Trace_ELBO
from torch import Tensor

from benchmarks.contenders import task


class Pyro:
    """`SVI.step` on batches from memory, with Pyro's own settings."""

    elbo = Trace_ELBO

    def __init__(self, setting: task.Setting):
        self.setting = setting
        encoder, decoder = self.networks = task.networks(setting)
        zero, one = torch.zeros(setting.latent), torch.ones(setting.latent)

        def model(x: Tensor) -> None:
            pyro.module(f"decoder, {setting.what}", decoder)
            with pyro.plate("data", len(x)):
                z = pyro.sample("z", dist.Normal(zero, one).to_event(1))
                q = dist.Bernoulli(logits=decoder(z)).to_event(1)
                pyro.sample("x", q, obs=x)

        def guide(x: Tensor) -> None:
            pyro.module(f"encoder, {setting.what}", encoder)
            with pyro.plate("data", len(x)):
                mu, log_sigma = encoder(x).chunk(2, -1)
                pyro.sample("z", dist.Normal(mu, log_sigma.exp()).to_event(1))

        optimizer = pyro.optim.Adam({"lr": task.LR})
        self.svi = SVI(model, guide, optimizer, self.elbo())
        self.rows = task.batches(setting)
        self.total = 0.0

    def bounds(self, steps: int) -> list[float]:
        values, x = [], task.data()[: self.setting.batch]
        self.svi.loss_and_grads(
            self.svi.model, self.svi.guide, x
        )  # draws, if it traces
        for network in self.networks:
            network.zero_grad()
        for step in range(steps):
            torch.set_rng_state(task.stream(step).get_state())
            values.append(-self.svi.step(x) / len(x))
        return values

    def seconds(self, steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            x = task.data().index_select(0, next(self.rows))
            self.total += self.svi.step(x)
        return (time.perf_counter() - start) / steps


class PyroJit(Pyro):
    """The same with the objective through torch.jit."""

    elbo = JitTrace_ELBO
