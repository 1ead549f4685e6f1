"""The floor: the matrix products that a step cannot avoid, and nothing else.

A linear layer from n to m features costs one product forward, `(rows, n) × (n, m)`; one
backward for its weights; and one backward for its input, unless that is the data. The
encoder sees B rows, the decoder S·B. Outputs go to memory that is already there.
"""

from __future__ import annotations

import itertools
import time

import torch

from benchmarks.contenders import task


class Floor:
    """The products alone."""

    def __init__(self, setting: task.Setting):
        encoder, decoder = task.networks(setting)
        layers = [(setting.batch, m) for m in encoder if hasattr(m, "weight")]
        rows = setting.batch * setting.samples
        layers += [(rows, m) for m in decoder if hasattr(m, "weight")]
        self.calls = []
        for i, (rows, layer) in enumerate(layers):
            weight = layer.weight.detach()
            x, y = (torch.randn(rows, n) for n in weight.shape[::-1])
            self.calls.append((x, weight.T, torch.empty_like(y)))
            self.calls.append((y.T, x, torch.empty_like(weight)))
            if i:
                self.calls.append((y, weight, torch.empty_like(x)))

    def step(self) -> None:
        for a, b, out in self.calls:
            torch.mm(a, b, out=out)

    @torch.inference_mode()
    def seconds(self, steps: int) -> float:
        start = time.perf_counter()
        for _ in itertools.repeat(None, steps):
            self.step()
        return (time.perf_counter() - start) / steps


class FloorAdam(Floor):
    """The products, and Adam's update of as many parameters in one vector."""

    def __init__(self, setting: task.Setting):
        super().__init__(setting)
        parts = [p for net in task.networks(setting) for p in net.parameters()]
        flat = torch.nn.Parameter(torch.cat([p.detach().flatten() for p in parts]))
        flat.grad = torch.full_like(flat, 1e-3)
        self.optimizer = torch.optim.Adam([flat], lr=task.LR, fused=True)

    def step(self) -> None:
        super().step()
        self.optimizer.step()
