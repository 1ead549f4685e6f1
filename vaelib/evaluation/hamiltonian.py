"""Hamiltonian moves over the densities between a guide and the posterior."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch import distributions as td

from vaelib.bounds import Model, log_joint
from vaelib.noise import draw


class State(NamedTuple):
    """Points z `(C, B, D)` with log q and log p(x, z) there, and both their slopes.

    With them every density of the path is known: f_β ∝ q(z|x)^(1 − β) p(x, z)^β.
    """

    z: Tensor
    log_q: Tensor
    log_p: Tensor
    slope_q: Tensor
    slope_p: Tensor

    def log_f(self, beta: Tensor) -> Tensor:
        """log f_β, up to a constant, `(C, B)`."""
        return (1 - beta) * self.log_q + beta * self.log_p

    def slope(self, beta: Tensor) -> Tensor:
        """The gradient of log f_β in z, `(C, B, D)`."""
        return (1 - beta) * self.slope_q + beta * self.slope_p

    @property
    def log_w(self) -> Tensor:
        """The log-weight log p(x, z) − log q(z|x), `(C, B)`, float64."""
        return self.log_p.double() - self.log_q.double()


@torch.enable_grad()
def look(model: Model, q: td.Distribution, x: Tensor, z: Tensor) -> State:
    """Both densities and their slopes at points z, `(C, B, D)`, without a graph."""
    z = z.detach().requires_grad_()
    log_q, log_p = q.log_prob(z), log_joint(model, x, z)
    (slope_q,) = torch.autograd.grad(log_q.sum(), z)
    (slope_p,) = torch.autograd.grad(log_p.sum(), z)
    return State(z.detach(), log_q.detach(), log_p.detach(), slope_q, slope_p)


def move(
    model: Model,
    q: td.Distribution,
    x: Tensor,
    state: State,
    beta: Tensor,
    step: Tensor,
    leapfrog: int,
    generator: torch.Generator,
) -> tuple[State, Tensor]:
    """One Hamiltonian move that leaves f_β invariant, whatever the step.

    Equation: eq-leapfrog

    Fresh momenta, leapfrog steps, and Metropolis' decision. A trajectory that runs away
    to where numbers are not finite is refused.

    Args:
        step: of each coordinate, `(B, D)`; must not depend on where the chains are.

    Returns:
        The new state, and which chains moved, `(C, B)`.

    References: duane1987, neal2011.
    """
    unit = td.Normal(torch.zeros_like(state.z[0]), 1.0)
    start = draw(unit, len(state.z), generator)
    new, momentum = state, start + step / 2 * state.slope(beta)
    lost = torch.zeros_like(state.log_q, dtype=torch.bool)
    for i in range(leapfrog):
        z = new.z + step * momentum
        lost |= ~z.isfinite().all(-1)
        new = look(model, q, x, torch.where(lost.unsqueeze(-1), state.z, z))
        half = 2 if i == leapfrog - 1 else 1
        momentum = momentum + step / half * new.slope(beta)
    kinetic = (momentum**2 - start**2).sum(-1) / 2
    gain = new.log_f(beta) - state.log_f(beta) - kinetic
    chance = gain.clamp_max(0).exp().nan_to_num(0.0).masked_fill(lost, 0.0)
    moved = draw(td.Bernoulli(chance), 1, generator)[0].bool()
    parts = (
        torch.where(moved if a.dim() == 2 else moved.unsqueeze(-1), a, b)
        for a, b in zip(new, state, strict=True)
    )
    return State(*parts), moved
