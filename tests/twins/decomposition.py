"""What `vaelib` computes for the ledger's equations of *The KL decomposition*."""

from __future__ import annotations

import torch
from torch import distributions as td

from vaelib import bounds, divergences
from vaelib.models import FiniteModel, LinearGaussian
from vaelib.quadrature import gauss_hermite


def _tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _shares(*values: float) -> torch.Tensor:
    return _tensor(*values) / sum(values)


def _model(*cells: float) -> FiniteModel:
    table = _shares(*cells).reshape(2, -1)
    prior = table.sum(1)
    return FiniteModel(prior, table / prior.unsqueeze(1))


def _log_evidence(c1, c2, c3, c4, q1, q2) -> float:
    return float(_model(c1, c2, c3, c4).log_evidence(torch.tensor(0)))


def _gain(c1, c2, c3, c4, d1, d2, d3, d4) -> float:
    x = torch.tensor(0)
    old, new = _model(c1, c2, c3, c4), _model(d1, d2, d3, d4)
    return float(new.log_evidence(x) - old.log_evidence(x))


def _reconstruction(c1, c2, c3, c4, q1, q2) -> float:
    model, q = _model(c1, c2, c3, c4), _shares(q1, q2)
    log_lik = model.likelihood_probs[:, :1].log()
    rate = divergences.kl(td.Categorical(q), model.prior()).unsqueeze(0)
    return float(bounds.elbo_from_kl(log_lik, rate, q))


def _free_energy(b1, b2, q1, q2) -> float:
    q = _shares(q1, q2)
    log_w = _tensor(b1, b2).log() - q.log()
    return float(bounds.elbo(log_w.unsqueeze(1), q))


def _surgery(p2, q1_2, q2_2, l1_1, l1_2, l2_1, l2_2) -> float:
    q = torch.stack([_shares(1.0, q1_2), _shares(1.0, q2_2)], 1)  # (S, B)
    log_lik = torch.stack([_tensor(l1_1, l1_2), _tensor(l2_1, l2_2)], 1).log()
    log_w = log_lik + _shares(1.0, p2).log().unsqueeze(1) - q.log()
    return float(bounds.elbo(log_w, q).mean())


def _posterior(w00, w10, x0, x1, z0, sigma) -> float:
    model = LinearGaussian(_tensor(w00, w10).reshape(2, 1), _tensor(0.0, 0.0), sigma)
    posterior = model.posterior(_tensor(x0, x1).unsqueeze(0))
    return float(posterior.log_prob(_tensor(z0)).detach())


def _mean_field(l00, l10, l11) -> float:
    lower = torch.stack([_tensor(l00, 0.0), _tensor(l10, l11)])
    precision = lower @ lower.T
    p = td.MultivariateNormal(_tensor(0.0, 0.0), precision_matrix=precision)
    scales = precision.diagonal() ** -0.5
    return float(divergences.kl(td.Independent(td.Normal(p.mean, scales), 1), p))


def _two_causes(theta, sigma, x) -> float:
    model = LinearGaussian(_tensor(theta, theta).reshape(1, 2), _tensor(0.0), sigma)
    observed = _tensor(x).unsqueeze(0)
    exact = model.posterior(observed)
    scales = exact.precision_matrix.diagonal(dim1=-2, dim2=-1) ** -0.5
    q = td.Independent(td.Normal(exact.mean, scales), 1)
    nodes, weights = gauss_hermite(4, 2)
    z = exact.mean + scales * nodes.unsqueeze(1)
    log_w = bounds.log_weights(model, q, observed, z)
    return float(bounds.elbo(log_w, weights).detach())


TWINS = {
    "eq-decomposition": _log_evidence,
    "eq-elbo-reconstruction": _reconstruction,
    "eq-elbo-free-energy": _free_energy,
    "eq-elbo-surgery": _surgery,
    "eq-em-step": _gain,
    "eq-linear-gaussian-posterior": _posterior,
    "eq-mean-field-gap": _mean_field,
    "eq-two-causes-bound": _two_causes,
}
