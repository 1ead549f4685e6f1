"""Gradients worked out on paper: what PyTorch can do without autograd.

One flat parameter vector, one flat gradient, one buffer for each array of the step.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from benchmarks.contenders import task


class Handwritten:
    """The ELBO of one hidden layer each way, ReLU, S = 1."""

    def __init__(self, setting: task.Setting):
        self.setting = setting
        parts = [p for net in task.networks(setting) for p in net.parameters()]
        self.flat = torch.cat([p.detach().flatten() for p in parts])
        self.flat.grad = torch.zeros_like(self.flat)
        sizes = [p.numel() for p in parts]

        def views(flat: Tensor) -> list[Tensor]:
            pieces = zip(flat.split(sizes), parts, strict=True)
            return [piece.view(p.shape) for piece, p in pieces]

        self.parameters, self.gradients = views(self.flat), views(self.flat.grad)
        b, d, hidden = setting.batch, setting.latent, setting.hidden[0]
        widths = {"h": hidden, "k": hidden, "code": 2 * d, "z": d, "logits": 784}
        widths |= {"dh": hidden, "dk": hidden, "dcode": 2 * d, "dz": d, "x": 784}
        widths |= {"scratch": 784}
        self.buffers = {k: torch.empty(b, width) for k, width in widths.items()}
        self.optimizer = torch.optim.Adam([self.flat], lr=task.LR, fused=True)
        self.rows = task.batches(setting)
        self.total = torch.zeros(())

    @torch.inference_mode()
    def step(self, x: Tensor, eps: Tensor) -> Tensor:
        """One step; the negative bound before it."""
        w1, b1, w2, b2, w3, b3, w4, b4 = self.parameters
        gw1, gb1, gw2, gb2, gw3, gb3, gw4, gb4 = self.gradients
        h, k, code, z, logits, dh, dk, dcode, dz, _, scratch = self.buffers.values()
        n, d = z.shape
        mu, log_sigma = code[:, :d], code[:, d:]
        # Forward.
        torch.addmm(b1, x, w1.T, out=h).relu_()
        torch.addmm(b2, h, w2.T, out=code)
        noise = log_sigma.exp().mul_(eps)  # σε
        torch.add(mu, noise, out=z)
        torch.addmm(b3, z, w3.T, out=k).relu_()
        torch.addmm(b4, k, w4.T, out=logits)
        loss = torch.nn.functional.softplus(logits).sum()
        loss -= torch.dot(x.view(-1), logits.view(-1))
        loss += 0.5 * (z.square().sum() - eps.square().sum()) - log_sigma.sum()
        # Backward, of the mean over the batch.
        torch.sigmoid(logits, out=scratch).sub_(x).div_(n)
        torch.mm(scratch.T, k, out=gw4)
        torch.sum(scratch, 0, out=gb4)
        torch.mm(scratch, w4, out=dk)
        torch.ops.aten.threshold_backward.grad_input(dk, k, 0, grad_input=dk)
        torch.mm(dk.T, z, out=gw3)
        torch.sum(dk, 0, out=gb3)
        torch.addmm(z, dk, w3, beta=1 / n, out=dz)
        dcode[:, :d] = dz
        torch.mul(dz, noise, out=dcode[:, d:]).sub_(1 / n)
        torch.mm(dcode.T, h, out=gw2)
        torch.sum(dcode, 0, out=gb2)
        torch.mm(dcode, w2, out=dh)
        torch.ops.aten.threshold_backward.grad_input(dh, h, 0, grad_input=dh)
        torch.mm(dh.T, x, out=gw1)
        torch.sum(dh, 0, out=gb1)
        self.optimizer.step()
        return loss / n

    def bounds(self, steps: int) -> list[float]:
        x = task.data()[: self.setting.batch]
        eps = (task.epsilon(self.setting, step)[0] for step in range(steps))
        return [-self.step(x, e).item() for e in eps]

    def seconds(self, steps: int) -> float:
        x, eps = self.buffers["x"], torch.empty_like(self.buffers["z"])
        start = time.perf_counter()
        for _ in range(steps):
            torch.index_select(task.data(), 0, next(self.rows), out=x)
            self.total += self.step(x, eps.normal_())
        return (time.perf_counter() - start) / steps
