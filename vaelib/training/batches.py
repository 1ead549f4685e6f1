"""What each step sees: rows of the data, the batch made of them, and the noise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vaelib import noise


class Batches:
    """The batches of a run, each a function of the seed and its step alone.

    Each epoch is a fresh permutation of the data; its last N mod B rows are left out,
    so that every step averages over equally many.

    Args:
        data: `(N, *event)`, on the device of the run.
        size: B ≤ N; with B = N the data are taken whole, in order.
        noise_shape: S and q's event shape, of the noise `(S, B, *event)`.
        seed: names the order, the noise and what `transform` draws.
        transform: as for `train`.
        part: of each batch, that is this process's own.
    """

    def __init__(
        self,
        data: Tensor,
        size: int,
        noise_shape: tuple[int, ...],
        seed: int,
        transform: Callable[[Tensor, torch.Generator], Tensor] | None = None,
        part: slice = slice(None),
    ):
        self._data, self._size, self._seed = data, size, seed
        self._transform, self._part = transform, part
        self._noise_shape = (noise_shape[0], size, *noise_shape[1:])
        self._epoch, self._order = -1, torch.arange(len(data), device=data.device)

    def rows(self, step: int) -> Tensor:
        """The rows of the data in this process's part of a step's batch, `(B,)`."""
        return self._rows(step)[self._part]

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch x `(B, *event)` and standard normal noise `(S, B, *q's event)`.

        What is drawn is drawn for the whole batch, so that how many processes share it
        makes no difference.
        """
        data, place = self._data, self._data.device
        x = data
        if self._size < len(data):
            x = data.index_select(0, self._rows(step))
        if self._transform is not None:
            generator = noise.stream(self._seed, "data", step, device=place)
            x = self._transform(x, generator).to(data.dtype)
        generator = noise.stream(self._seed, "noise", step, device=place)
        drawn = noise.standard_normal(self._noise_shape, generator, data.dtype)
        return x[self._part], drawn[:, self._part]

    def _rows(self, step: int) -> Tensor:
        n, size = len(self._data), self._size
        epoch, place = divmod(step, n // size)
        if size < n and epoch != self._epoch:
            order = noise.permutation(n, noise.stream(self._seed, "order", epoch))
            self._epoch, self._order = epoch, order.to(self._data.device)
        return self._order[place * size : (place + 1) * size]


def rows_a_step(data: Tensor, batch_size: int | None) -> int:
    """B, which is `batch_size`, or N where that is None; at most N, or an error."""
    size = len(data) if batch_size is None else batch_size
    if size > len(data):
        raise ValueError(
            f"batch_size: expected at most the {len(data)} rows of data, got {size}"
        )
    return size
