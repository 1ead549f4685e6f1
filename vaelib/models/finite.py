"""Models of finite latent and observation: every quantity is a finite sum."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributions as td


class FiniteModel:
    """A latent with K states and an observation with X states, given by tables.

    p(z = k) = `prior_probs[k]`,  p(x = j | z = k) = `likelihood_probs[k, j]`.

    Everything about it is a finite sum. z and x are integer tensors, z of shape
    `(S, B)` and x of shape `(B,)`.

    Args:
        prior_probs: `(K,)`, non-negative, summing to one.
        likelihood_probs: `(K, X)`, non-negative, each row summing to one.

    Raises:
        ValueError: if a table is not made of probabilities, or the shapes disagree.
    """

    def __init__(self, prior_probs: Tensor, likelihood_probs: Tensor):
        for name, table in (
            ("prior_probs", prior_probs),
            ("likelihood_probs", likelihood_probs),
        ):
            sums = table.sum(-1)
            if bool((table < 0).any()) or not torch.allclose(
                sums, torch.ones_like(sums), atol=1e-6
            ):
                raise ValueError(
                    f"{name}: expected non-negative rows that sum to one, got {table}"
                )
        rows = likelihood_probs.shape[:1]
        if likelihood_probs.dim() != 2 or rows != prior_probs.shape:
            raise ValueError(
                "likelihood_probs: expected shape (K, X) with K = "
                f"{prior_probs.numel()}, got {tuple(likelihood_probs.shape)}"
            )
        self.prior_probs = prior_probs
        self.likelihood_probs = likelihood_probs

    def prior(self) -> td.Categorical:
        """p(z), K states."""
        return td.Categorical(self.prior_probs)

    def likelihood(self, z: Tensor) -> td.Categorical:
        """p(x|z), batch shape of z."""
        return td.Categorical(self.likelihood_probs[z.long()])

    def joint(self) -> td.Categorical:
        """p(x, z) over the K·X pairs, z running slowest."""
        table = self.prior_probs.unsqueeze(1) * self.likelihood_probs
        return td.Categorical(table.flatten())

    def product_of_marginals(self) -> td.Categorical:
        """p(x) p(z) over the same pairs as `joint`."""
        evidence = self.prior_probs @ self.likelihood_probs
        return td.Categorical(torch.outer(self.prior_probs, evidence).flatten())

    def log_evidence(self, x: Tensor) -> Tensor:
        """log p(x) = log Σ_z p(x|z) p(z), shape of x, in nats."""
        return (self.prior_probs @ self.likelihood_probs).log()[x.long()]

    def posterior(self, x: Tensor) -> td.Categorical:
        """p(z|x) by Bayes' rule, batch shape of x."""
        return td.Categorical(self.prior_probs * self.likelihood_probs.T[x.long()])
