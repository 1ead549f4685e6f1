"""What `vaelib` computes for the ledger's equations of *A bad bound*."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import distributions as td

from vaelib import bounds, divergences
from vaelib.models import FiniteModel, LinearGaussian
from vaelib.quadrature import gauss_hermite


def _tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _table(c1: float, c2: float, c3: float, c4: float) -> FiniteModel:
    table = _tensor(c1, c2, c3, c4).reshape(2, 2)
    table = table / table.sum()
    prior = table.sum(1)
    return FiniteModel(prior, table / prior.unsqueeze(1))


def _residual(**c: float) -> float:
    model = _table(**c)
    return float(divergences.kl(model.prior(), model.posterior(torch.tensor(0))))


def _bad_bound(p1: float, p2: float, f1: float, f2: float) -> float:
    prior = _tensor(p1, p2)
    log_w = _tensor(f1, f2).log().unsqueeze(1)
    return float(bounds.elbo(log_w, prior / prior.sum()))


def _log_weight(f: float) -> float:
    density = td.Normal(_tensor(0), 1 / (f * (2 * torch.pi) ** 0.5))  # its mode is f
    prior = td.Normal(_tensor(0), 1.0)
    model = SimpleNamespace(prior=lambda: prior, likelihood=lambda z: density)
    zeros = torch.zeros(1, 1, dtype=torch.float64)
    return float(bounds.log_weights(model, prior, zeros, zeros + 0.3))


def _line(a: float, s: float) -> LinearGaussian:
    return LinearGaussian(_tensor(a).reshape(1, 1), _tensor(0.0), s)


def _plane(x1, x2, m1, m2, w11, w12, w21, w22, s) -> float:
    weight = _tensor(w11, w12, w21, w22).reshape(2, 2)
    model = LinearGaussian(weight, _tensor(m1, m2), s)
    nodes, weights = gauss_hermite(8, 2)
    z = nodes.unsqueeze(1)
    log_w = bounds.log_weights(model, model.prior(), _tensor(x1, x2).unsqueeze(0), z)
    return float(bounds.elbo(log_w.detach(), weights))


TWINS = {
    "eq-bad-bound": _bad_bound,
    "eq-bad-residual": _residual,
    "eq-bad-elbo": _log_weight,
    "eq-bad-averaged": lambda **c: float(divergences.lautum_information(_table(**c))),
    "eq-mutual-averaged": lambda **c: float(
        divergences.mutual_information(_table(**c))
    ),
    "eq-lautum-terms": lambda **c: float(divergences.lautum_information(_table(**c))),
    "eq-bad-linear-gaussian": _plane,
    "eq-lautum-linear-gaussian": lambda **p: float(
        divergences.lautum_information(_line(**p))
    ),
    "eq-information-linear-gaussian": lambda **p: float(
        divergences.mutual_information(_line(**p))
    ),
}
