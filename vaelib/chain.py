"""A distribution in two parts, the second given the first."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch import distributions as td


class Chain(td.Distribution):
    """p(a, b) = p(a) p(b|a) over the concatenation of two vectors.

        log p(z) = log p(a) + log p(b|a),   z = (a, b), or (b, a) with `first_last`

    Drawn by `noise.sample`, first a, then b; reparameterisable where both parts are.
    `then` may give a chain again, so that there can be more than two parts.

    Args:
        first: p(a), event shape (A,).
        then: maps a `(..., A)` to p(b|a), batch shape (...) and event shape (B,).
        then_dim: B, the dimension of the second part.
        first_last: whether a stands last in z, not first.

    Example:
        >>> unit = td.Independent(td.Normal(torch.zeros(1), 1.0), 1)
        >>> walk = Chain(unit, lambda a: td.Independent(td.Normal(a, 1.0), 1), 1)
        >>> step = unit.log_prob(torch.ones(1))
        >>> torch.equal(walk.log_prob(torch.tensor([1.0, 2.0])), 2 * step)
        True
    """

    arg_constraints: dict = {}
    support = td.constraints.real_vector

    def __init__(
        self,
        first: td.Distribution,
        then: Callable[[Tensor], td.Distribution],
        then_dim: int,
        first_last: bool = False,
    ):
        if len(first.event_shape) != 1:
            raise ValueError(
                "first: expected a distribution over vectors, of one event axis, got "
                f"event shape {tuple(first.event_shape)}"
            )
        self.first, self.then = first, then
        self.then_dim, self.first_last = then_dim, first_last
        self.has_rsample = first.has_rsample
        event = torch.Size([first.event_shape[0] + then_dim])
        super().__init__(first.batch_shape, event, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(a) + log p(b|a), shape of `value` without its last axis."""
        a, b = self.split(value)
        return self.first.log_prob(a) + self.then(a).log_prob(b)

    def split(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """The parts a and b of z `(..., A + B)`, or of its noise.

        Raises:
            ValueError: if the last axis is not A + B long.
        """
        if value.shape[-1:] != self.event_shape:
            raise ValueError(
                f"value: expected a last axis of {self.event_shape[0]}, got shape "
                f"{tuple(value.shape)}"
            )
        sizes = [self.first.event_shape[0], self.then_dim]
        if self.first_last:
            b, a = value.split(sizes[::-1], -1)
            return a, b
        return tuple(value.split(sizes, -1))

    def join(self, a: Tensor, b: Tensor) -> Tensor:
        """z from its parts a `(..., A)` and b `(..., B)`; undoes `split`."""
        return torch.cat([b, a] if self.first_last else [a, b], -1)

    def expand(self, batch_shape: torch.Size, _instance: None = None) -> Chain:
        """The same distribution for every entry of a batch."""
        first = self.first.expand(batch_shape)
        return Chain(first, self.then, self.then_dim, self.first_last)
