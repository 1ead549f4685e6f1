"""The functions whose values *Variational inference or MCMC?* gives."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributions as td

from vaelib import bounds, divergences


def _probs(*masses: float) -> Tensor:
    masses = torch.tensor(masses, dtype=torch.float64)
    return masses / masses.sum()


def one_mode(*, p1, p2, p3, p4, q1, q2) -> float:
    q = td.Categorical(torch.cat([_probs(q1, q2), torch.zeros(2).double()]))
    return divergences.kl(q, td.Categorical(_probs(p1, p2, p3, p4))).item()


def modes_elbo(*, c1, c2, c3, c4, q1, q2, r1, r2, w1, w2) -> float:
    weights = _probs(w1, w2)
    q = torch.cat([weights[0] * _probs(q1, q2), weights[1] * _probs(r1, r2)])
    joint = torch.tensor([c1, c2, c3, c4], dtype=torch.float64)
    return bounds.elbo((joint.log() - q.log()).unsqueeze(1), q).item()


TWINS = {"eq-one-mode": one_mode, "eq-modes-elbo": modes_elbo}
