"""What `vaelib` computes for the ledger's equations of *The Jensen bound*."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributions as td

from vaelib import bounds, divergences
from vaelib.models import FiniteModel


def _tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _weights(joint: list[float], guide: list[float]) -> tuple[Tensor, Tensor]:
    """log w at x = 0 for each state that the guide reaches, and q of these states."""
    table = _tensor(*joint).reshape(-1, 2)
    table = table / table.sum()
    prior = table.sum(1)
    model = FiniteModel(prior, table / prior.unsqueeze(1))
    missed = len(table) - len(guide)
    probs = torch.cat([_tensor(*guide), torch.zeros(missed, dtype=torch.float64)])
    q = td.Categorical(probs / probs.sum())
    z = torch.arange(len(guide)).unsqueeze(1)
    log_w = bounds.log_weights(model, q, torch.tensor([0]), z)
    return log_w, q.probs[: len(guide)]


def _mean_weight(c1, c2, c3, c4, c5, c6) -> float:
    guide = [0.3, 0.7]  # misses the third state; which q it is otherwise is no matter
    return float(bounds.importance_weighted(*_weights([c1, c2, c3, c4, c5, c6], guide)))


def _elbo(c1, c2, c3, c4, q1, q2) -> float:
    return float(bounds.elbo(*_weights([c1, c2, c3, c4], [q1, q2])))


def _gap(d, r) -> float:
    return float(divergences.kl(td.Normal(_tensor(d), r), td.Normal(_tensor(0.0), 1.0)))


TWINS = {
    "eq-mean-weight": _mean_weight,
    "eq-elbo-entropy": _elbo,
    "eq-gap-gaussian": _gap,
}
