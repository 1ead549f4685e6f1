"""The distribution of counts, bits among them, behind the likelihoods of pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch import distributions as td
from torch.nn.functional import softplus


class Counts(td.Independent):
    """Independent counts x_p ∈ {0, …, n} in a vector, with a quick log-density.

        log p(x) = Σ_p x_p l_p − n log(1 + exp(l_p)) + log n! / (x_p! (n − x_p)!)

    The same distribution as `td.Independent(base, 1)`. Of that formula the logits l,
    one set for each code, have only the first two terms to go through: the third is of
    x and n alone, and that l is not NaN shows in the result.

    Args:
        base: a `td.Bernoulli` or `td.Binomial`, whose last axis becomes that of events.
        most: n, the same for all of them.
        validate_args: whether `log_prob` checks that x is within the support; None is
            torch's default.
    """

    def __init__(
        self,
        base: td.Bernoulli | td.Binomial,
        most: int,
        validate_args: bool | None = None,
    ):
        super().__init__(base, 1, validate_args)
        self.most = most

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x), in nats, for x `(..., P)` that broadcasts against the batch."""
        if self._validate_args:
            self._validate_sample(value)
        logits = self.base_dist.logits
        wide = torch.promote_types(value.dtype, logits.dtype)  # not what autocast left
        value, logits = value.to(wide), logits.to(wide)
        # beyond 40, log(1 + exp(l)) is l even in float64
        normalizer = softplus(logits, threshold=40)
        log_prob = (value * logits).sub_(normalizer, alpha=self.most).sum(-1)
        if self.most == 1:
            return log_prob
        orders = (value + 1).lgamma() + (self.most - value + 1).lgamma()
        return log_prob + (math.lgamma(self.most + 1) - orders).sum(-1)

    def expand(self, batch_shape: torch.Size, _instance: None = None) -> Counts:
        """The same distribution for every entry of a batch."""
        base = self.base_dist.expand(torch.Size(batch_shape) + self.event_shape)
        return Counts(base, self.most, self._validate_args)
