"""Steps of gradient ascent on the mean bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch import distributions as td

from vaelib import checks, noise
from vaelib.bounds import Guide, Model, log_weights
from vaelib.checks import Bound
from vaelib.training.batches import Batches

PRECISIONS = "highest", "high", "medium", "bfloat16"


class Objective(nn.ModuleDict):
    """The mean bound over a batch, as a module of all that has parameters in it.

    Args:
        model, guide, bound: as for `train`.
        bfloat16: whether torch may make products in bfloat16 (`torch.autocast`).

    Attributes:
        terms: model, guide and bound.
    """

    def __init__(
        self, model: Model, guide: Guide, bound: Bound, bfloat16: bool = False
    ):
        owners = {"model": checks.module(model), "guide": checks.module(guide)}
        super().__init__(owners)
        self.terms = model, guide, bound  # in a tuple, so that none is a submodule
        self._bfloat16 = bfloat16

    def forward(self, x: Tensor, drawn: Tensor) -> Tensor:
        """The mean over x `(B, *event)` with noise `(S, B, *q's event)`; nats."""
        if not self._bfloat16:
            return self._mean(x, drawn)
        with torch.autocast(x.device.type, torch.bfloat16, cache_enabled=False):
            return self._mean(x, drawn)

    def _mean(self, x: Tensor, drawn: Tensor) -> Tensor:
        model, guide, bound = self.terms
        with checks.without_validation():  # what is not finite shows in the value
            q = guide(x)
            return bound(log_weights(model, q, x, noise.push(q, drawn))).mean()


class Ascent:
    """Steps of Adam on a mean bound, none of which is a bad one.

    Where the bound or the norm of its gradient is not finite, or the batch is outside
    of the likelihood's support, the parameters stay as they are.

    Args:
        objective: maps x and its noise to the mean bound.
        parameters: what to train.
        batches: what each step sees.
        lr: Adam's step size.
        support: where the data must be in every step; None if they are known to be.

    Attributes:
        done: how many good steps there were.
        total: the sum of their bounds; the caller may set it back.
        optimizer: Adam, with its state.
    """

    def __init__(
        self,
        objective: nn.Module,
        parameters: list[nn.Parameter],
        batches: Batches,
        lr: float,
        support: td.constraints.Constraint | None = None,
    ):
        self._objective, self._parameters = objective, parameters
        self._batches, self._support = batches, support
        self.done, self.total = 0, 0.0
        self.optimizer = self._adam(lr)

    def run(self, stop: int, tick: Callable[[int], object]) -> None:
        """Steps until `done` is `stop`, or until one is bad; `tick(1)` after each."""
        while self.done < stop:
            value, norm = self.gradient(*self._batches[self.done])
            if not math.isfinite(value.item() + norm.item()):
                return
            self.optimizer.step()
            self.total += value.item()
            self.done += 1
            tick(1)

    def gradient(self, x: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """The mean bound and the norm of its gradient, which is put, negated, in place.

        NaN in place of the bound for a batch outside of the support.
        """
        self.optimizer.zero_grad()
        value = self._objective(x, drawn)
        loss = -value
        loss.backward()
        value = value.detach()
        if self._support is not None:
            value = torch.where(self._support.check(x).all(), value, math.nan)
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        return value, nn.utils.get_total_norm(gradients)

    def _adam(self, lr: float) -> torch.optim.Adam:
        return torch.optim.Adam(self._parameters, lr=lr, fused=True)


def check_step_size(lr: float) -> None:
    """The step size is a positive number, or an error."""
    if not (isinstance(lr, int | float) and 0 < lr < math.inf):
        raise ValueError(f"lr: expected a positive number, got {lr!r}")


@contextmanager
def products(precision: str) -> Iterator[None]:
    """Float32 products of this one of `PRECISIONS` in here, for torch as a whole."""
    before = torch.get_float32_matmul_precision()
    own = "highest" if precision == "bfloat16" else precision
    torch.set_float32_matmul_precision(own)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
