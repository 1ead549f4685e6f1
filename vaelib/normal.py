"""The normal distribution, given by the logarithm of its scale."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch import distributions as td

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class LogScaleNormal(td.Normal):
    """N(μ, σ²) by μ and log σ, whose density needs neither a logarithm nor σ².

    The same distribution as `td.Normal(loc, log_scale.exp())`, in half as many
    operations, which is what a training step of a small model is made of.

    Args:
        loc: μ.
        log_scale: log σ, of the same shape.
        validate_args: as for every distribution of torch.
    """

    def __init__(
        self, loc: Tensor, log_scale: Tensor, validate_args: bool | None = None
    ):
        self.log_scale = log_scale
        super().__init__(loc, log_scale.exp(), validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        """log N(value; μ, σ²), elementwise."""
        if self._validate_args:
            self._validate_sample(value)
        standard = (value - self.loc) / self.scale
        return -0.5 * standard.square() - (self.log_scale + HALF_LOG_2PI)

    def expand(self, batch_shape: torch.Size, _instance: None = None) -> LogScaleNormal:
        """The same distribution for every entry of a batch."""
        parts = (part.expand(batch_shape) for part in (self.loc, self.log_scale))
        return LogScaleNormal(*parts, self._validate_args)
