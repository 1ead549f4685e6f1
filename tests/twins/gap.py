"""The functions whose values the identities of *Measuring the gap* give."""

from __future__ import annotations

import torch
from torch import distributions as td

from vaelib import bounds, divergences, evaluation
from vaelib.models import FiniteModel, LinearGaussian


def _tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _split(*, c1, c2, c3, c4, q1, q2, b1, b2) -> float:
    table = _tensor(c1, c2, c3, c4).reshape(2, 2) / (c1 + c2 + c3 + c4)
    prior = table.sum(1)
    model, x = FiniteModel(prior, table / prior.unsqueeze(1)), torch.tensor([0])
    z = torch.arange(2).unsqueeze(1)
    q, best = (td.Categorical(_tensor(*v).unsqueeze(0)) for v in ((q1, q2), (b1, b2)))
    elbo, best_elbo = (
        bounds.elbo(bounds.log_weights(model, g, x, z), g.probs[0]) for g in (q, best)
    )
    family = divergences.kl(best, model.posterior(x))
    return (family + best_elbo - elbo).item()


def _effective(*, w1, w2, w3) -> float:
    log_w = _tensor(w1, w2, w3).log().unsqueeze(1)
    return evaluation.lower_bound(log_w).standard_error.item() ** 2


def _rebuilt(*, k, sigma) -> float:
    """W = (√k, 0): the model's variance of u·x̂ is its gain squared times k + σ²."""
    model = LinearGaussian(_tensor(k**0.5, 0.0).reshape(2, 1), _tensor(0.0, 0.0), sigma)
    gain = model.weight @ model.posterior(_tensor(1.0, 0.0).unsqueeze(0)).mean.T
    return (gain[0, 0] ** 2 * model.evidence().covariance_matrix[0, 0]).item()


TWINS = {
    "eq-gap-split": _split,
    "eq-effective-samples": _effective,
    "eq-ppca-blur": _rebuilt,
}
