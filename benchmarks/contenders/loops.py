"""Loops that people write by hand in PyTorch, from the simplest to the quickest."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from benchmarks.contenders import task


class Minimal:
    """The data in memory, a fused Adam, no number taken off the device in the loop."""

    def __init__(self, setting: task.Setting):
        self.setting = setting
        self.encoder, self.decoder = task.networks(setting)
        self.loss = task.negative_bound
        parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimizer = self.adam(parameters)
        self.data = self.read()
        self.total = 0.0

    def adam(self, parameters: list[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=task.LR, fused=True)

    def read(self) -> Iterator[Tensor]:
        """Batches, without end."""
        for rows in task.batches(self.setting):
            yield task.data().index_select(0, rows)

    def step(self, x: Tensor, eps: Tensor) -> Tensor:
        loss = self.loss(self.encoder, self.decoder, x, eps)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def log(self, loss: Tensor) -> None:
        self.total += loss

    def bounds(self, steps: int) -> list[float]:
        x = task.data()[: self.setting.batch]
        eps = (task.epsilon(self.setting, step) for step in range(steps))
        return [-self.step(x, e).item() for e in eps]

    def seconds(self, steps: int) -> float:
        s = self.setting
        start = time.perf_counter()
        for x in itertools.islice(self.data, steps):
            self.log(self.step(x, torch.randn(s.samples, s.batch, s.latent)))
        return (time.perf_counter() - start) / steps


class Compiled(Minimal):
    """The same with the loss through torch.compile."""

    def __init__(self, setting: task.Setting):
        super().__init__(setting)
        self.loss = torch.compile(task.negative_bound, fullgraph=True, dynamic=False)


class Autocast(Minimal):
    """The same with products in bfloat16: no longer the same arithmetic."""

    def step(self, x: Tensor, eps: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.loss(self.encoder, self.decoder, x, eps)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()


class Loader(Minimal):
    """As examples do it: a DataLoader, Adam by its default, `.item()` in every step."""

    def adam(self, parameters: list[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=task.LR)

    def dataset(self) -> Dataset:
        return TensorDataset(task.data())

    def read(self) -> Iterator[Tensor]:
        loader = DataLoader(
            self.dataset(), self.setting.batch, shuffle=True, drop_last=True
        )
        while True:
            for (x,) in loader:
                yield x

    def log(self, loss: Tensor) -> None:
        self.total += loss.item()


class Pictures(Dataset):
    """Grey pictures, made a tensor, scaled, flattened and cut, one at a time."""

    def __init__(self):
        self.grey = task.data().numpy().astype(np.uint8).reshape(-1, 28, 28) * 255

    def __len__(self) -> int:
        return len(self.grey)

    def __getitem__(self, index: int) -> tuple[Tensor]:
        x = torch.from_numpy(self.grey[index]).unsqueeze(0).float().div(255)
        return ((x.view(-1) > 0.5).float(),)


class Transforms(Loader):
    """The same with a transform of each picture, as torchvision's data sets have."""

    def dataset(self) -> Dataset:
        return Pictures()
