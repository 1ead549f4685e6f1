"""One run in several processes, each with a share of every batch."""

from __future__ import annotations

import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from vaelib.training.ascent import Ascent


def world() -> tuple[int, int]:
    """This process's rank and how many there are: (0, 1) outside of a group."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def share(size: int) -> slice:
    """This process's part of a batch of `size` data.

    Raises:
        ValueError: if the processes cannot have equally many.
    """
    rank, n = world()
    if size % n:
        raise ValueError(
            f"batch_size: expected a multiple of the {n} processes, got {size}"
        )
    return slice(rank * size // n, (rank + 1) * size // n)


class SharedAscent(Ascent):
    """`Ascent` by several processes: the gradient is the mean of theirs.

    With equal shares that is the gradient of the whole batch, up to the order of a sum.
    Every process sees the same bound and the same norm, and so ends in the same state.

    Args:
        As for `Ascent`. All processes start from the parameters of the first.
    """

    def __init__(self, objective: torch.nn.Module, *args, **settings):
        super().__init__(DistributedDataParallel(objective), *args, **settings)

    def gradient(self, x: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """As `Ascent.gradient`, of the whole batch."""
        value, norm = super().gradient(x, drawn)
        value = value.clone()
        distributed.all_reduce(value)
        return value / world()[1], norm
