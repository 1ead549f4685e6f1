"""The restricted Boltzmann machine: exact where it is small, and its CD gradient."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch import distributions as td

from vaelib.noise import sample

MAX_BITS = 20  # 2 ** 20 states take a second; each further bit doubles it


def bit_states(n: int, like: Tensor | None = None) -> Tensor:
    """All 2ⁿ vectors of n bits, `(2 ** n, n)`, counting upwards.

    Args:
        n: how many bits, 0 to 20.
        like: a tensor whose dtype and device they get; float64 on the CPU otherwise.

    Raises:
        ValueError: if n is out of range.

    Example:
        >>> bit_states(2).tolist()
        [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    if not 0 <= n <= MAX_BITS:
        raise ValueError(f"n: expected 0 to {MAX_BITS} bits to enumerate, got {n}")
    like = torch.empty((), dtype=torch.float64) if like is None else like
    numbers = torch.arange(2**n, device=like.device).unsqueeze(1)
    places = torch.arange(n - 1, -1, -1, device=like.device)
    return ((numbers >> places) & 1).to(like.dtype)


class RBM(nn.Module):
    """p(x, z) = exp(xᵀWz + bᵀx + cᵀz) / Z for bits x ∈ {0,1}^P and z ∈ {0,1}^D.

    Equation: eq-rbm

    Given the one layer, the units of the other are independent, so `posterior` is
    exact; but neither p(z) nor p(x) can be normalised without a sum over 2^min(P, D)
    states. It is a model of another kind than the book's others: it has no `prior` that
    one could draw from.

    Args:
        weight: W, `(P, D)`.
        visible_bias: b, `(P,)`.
        hidden_bias: c, `(D,)`.

    Raises:
        ValueError: if the shapes disagree.

    References: smolensky1986, hinton2002.
    """

    def __init__(self, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor):
        super().__init__()
        if weight.shape != (*visible_bias.shape, *hidden_bias.shape):
            raise ValueError(
                "weight, visible_bias, hidden_bias: expected shapes (P, D), (P,) and "
                f"(D,), got {tuple(weight.shape)}, {tuple(visible_bias.shape)} and "
                f"{tuple(hidden_bias.shape)}"
            )
        self.weight = nn.Parameter(weight.clone())
        self.visible_bias = nn.Parameter(visible_bias.clone())
        self.hidden_bias = nn.Parameter(hidden_bias.clone())

    def posterior(self, x: Tensor) -> td.Independent:
        """p(z|x): independent bits with logits c + Wᵀx; exact."""
        logits = x @ self.weight + self.hidden_bias
        return td.Independent(td.Bernoulli(logits=logits), 1)

    def likelihood(self, z: Tensor) -> td.Independent:
        """p(x|z): independent bits with logits b + Wz."""
        logits = z @ self.weight.T + self.visible_bias
        return td.Independent(td.Bernoulli(logits=logits), 1)

    def free_energy(self, x: Tensor) -> Tensor:
        """The free energy F(x) = −bᵀx − Σ_j log(1 + exp(c_j + (Wᵀx)_j)), in nats.

        Equation: eq-rbm-free-energy

        p(x) = exp(−F(x)) / Z: the hidden bits are summed out, Z is not.

        Returns:
            The shape of x without its last axis.
        """
        logits = x @ self.weight + self.hidden_bias
        return -x @ self.visible_bias - nn.functional.softplus(logits).sum(-1)

    def log_partition(self) -> Tensor:
        """log Z by enumeration of the smaller layer, whose other layer is summed out.

        Raises:
            ValueError: if both layers have more than 20 units.
        """
        p, d = self.weight.shape
        if p <= d:
            return (-self.free_energy(bit_states(p, self.weight))).logsumexp(0)
        z = bit_states(d, self.weight)
        logits = z @ self.weight.T + self.visible_bias
        log_terms = z @ self.hidden_bias + nn.functional.softplus(logits).sum(-1)
        return log_terms.logsumexp(0)

    def log_evidence(self, x: Tensor) -> Tensor:
        """log p(x) = −F(x) − log Z, by enumeration; differentiable, so exact gradients.

        Equation: eq-rbm-gradient

        Args:
            x: bits, `(B, P)`.

        Returns:
            `(B,)`, in nats; exact.
        """
        return -self.free_energy(x) - self.log_partition()

    @torch.no_grad()
    def gibbs(self, x: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        """x after `steps` rounds of z ~ p(z|x), x ~ p(x|z): a chain that keeps p(x).

        Args:
            x: bits, `(B, P)`, where the chains start.
            steps: k ≥ 0.
            generator: of the noise.

        Returns:
            Bits, `(B, P)`, without gradient.
        """
        _count(steps)
        for _ in range(steps):
            z = sample(self.posterior(x), 1, generator)[0]
            x = sample(self.likelihood(z), 1, generator)[0]
        return x

    def contrastive_divergence(
        self, x: Tensor, steps: int, generator: torch.Generator
    ) -> Tensor:
        """A surrogate F(x_k) − F(x) whose gradient is the CD-k update, x_k held fixed.

        Equation: eq-cd

        x_k is `gibbs(x, steps)`. To be *ascended*, like a log-likelihood; its value is
        no bound and no estimate of one. In expectation its gradient falls short of that
        of log p(x) by the expected gradient of log p(x_k).

        Args:
            x: bits, `(B, P)`.
            steps: k ≥ 0, the rounds of Gibbs sampling from each datum.
            generator: of their noise.

        Returns:
            `(B,)`: a surrogate, one per datum.

        References: hinton2002.
        """
        return self.free_energy(self.gibbs(x, steps, generator)) - self.free_energy(x)

    def transition(self) -> Tensor:
        """The probabilities of one round of `gibbs`, between all 2^P states of x.

        Entry (i, j) is Σ_z p(z|x_i) p(x_j|z), in the order of `bit_states(P)`. Needs
        memory for 2^(P + max(P, D)) numbers.

        Returns:
            `(2 ** P, 2 ** P)`, rows that sum to one.
        """
        p, d = self.weight.shape
        x, z = bit_states(p, self.weight), bit_states(d, self.weight)
        up = self.posterior(x).log_prob(z.unsqueeze(1)).exp()  # (2^D, 2^P)
        down = self.likelihood(z).log_prob(x.unsqueeze(1)).exp()  # (2^P, 2^D)
        return (down @ up).T

    def expected_contrastive_divergence(self, x: Tensor, steps: int) -> Tensor:
        """The exact expectation of `contrastive_divergence`, by enumeration.

        Equation: eq-cd-bias

        The chain's distribution is held fixed, as its sample is there: the gradient is
        the expected CD-k update, not the derivative of the value.

        Args:
            x: bits, `(B, P)`.
            steps: k ≥ 0.

        Returns:
            `(B,)`: a surrogate, one per datum.
        """
        _count(steps)
        states = bit_states(self.weight.shape[0], self.weight)
        with torch.no_grad():
            place = (x.unsqueeze(1) == states).all(-1).to(states)  # (B, 2^P)
            chain = self.transition()
            for _ in range(steps):
                place = place @ chain
        return place @ self.free_energy(states) - self.free_energy(x)


def _count(steps: int) -> None:
    if not isinstance(steps, int) or steps < 0:
        raise ValueError(f"steps: expected an integer of at least 0, got {steps!r}")
