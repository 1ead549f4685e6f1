"""One step of gradient ascent on the mean bound, and many of them recorded."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch import distributions as td

from vaelib import checks, noise
from vaelib.bounds import Guide, Model, log_weights
from vaelib.checks import Bound


class Objective(nn.ModuleDict):
    """The mean bound over a batch, as a module of all that has parameters in it.

    Args:
        model, guide, bound: as for `train`.

    Attributes:
        terms: these three.
    """

    def __init__(self, model: Model, guide: Guide, bound: Bound):
        owners = {"model": checks.module(model), "guide": checks.module(guide)}
        super().__init__(owners)
        self.terms = model, guide, bound  # in a tuple, so that none is a submodule

    def forward(self, x: Tensor, drawn: Tensor) -> Tensor:
        """The mean over x `(B, *event)` with noise `(S, B, *q's event)`; nats."""
        model, guide, bound = self.terms
        with checks.without_validation():  # what is not finite shows in the value
            q = guide(x)
            return bound(log_weights(model, q, x, noise.push(q, drawn))).mean()


class Ascent:
    """Steps of Adam that never look at a result, and never take a bad one.

    What a step finds out stays on the device: the sum of the bounds, how many steps
    were good, and whether one failed. A step whose bound or gradient is not finite, or
    whose batch is outside of the likelihood's support, changes no parameter, and
    neither does any later one. So the caller may look as seldom as it likes, and a
    device need not wait for the processor in between.

    Args:
        objective: maps x and its noise to the mean bound.
        parameters: what to train.
        lr: Adam's step size.
        device: of the run.
        support: where the data must be in every step; None if it is known that they
            are.
    """

    def __init__(
        self,
        objective: nn.Module,
        parameters: list[nn.Parameter],
        lr: float,
        device: torch.device,
        support: td.constraints.Constraint | None = None,
    ):
        self._objective, self._parameters = objective, parameters
        self._support = support
        on_gpu = device.type == "cuda"
        self.optimizer = torch.optim.Adam(
            parameters, lr=lr, fused=True, capturable=on_gpu
        )
        self.total = torch.zeros((), dtype=torch.float64, device=device)
        self.good = torch.zeros((), dtype=torch.int64, device=device)
        self.failed = torch.zeros((), device=device)
        self.optimizer.found_inf = self.failed  # Adam's own way to leave out a step

    def __call__(self, x: Tensor, drawn: Tensor) -> None:
        """One step on the batch x `(B, *event)` with this noise."""
        self.optimizer.zero_grad()
        value = self._objective(x, drawn)
        loss = -value
        loss.backward()
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        value = value.detach()
        good = (value + nn.utils.get_total_norm(gradients)).isfinite()
        if self._support is not None:
            good = good & self._support.check(x).all()
        good = good & (self.failed == 0)
        self.failed.copy_(~good)
        self.good += good
        self.total += torch.where(good, value, 0.0)
        self.optimizer.step()
