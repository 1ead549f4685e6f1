"""What `vaelib` computes for the equations of *The reparameterization trick*."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributions as td

from vaelib import estimators
from vaelib.quadrature import gauss_hermite


def _tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _scale_gradient(estimator, sigma, mu, a, *, joint=False) -> float:
    """The gradient in the scale, with the nodes of a quadrature for noise."""
    nodes, weights = gauss_hermite(16)
    scale = _tensor(sigma).requires_grad_()
    q = td.Normal(_tensor(mu), scale)

    def f(z, q):
        quartic = sum(c * z**k for k, c in enumerate(a))
        return quartic - q.log_prob(z) if joint else quartic

    with torch.enable_grad():
        value = getattr(estimators, estimator)(f, q, nodes, weights=weights)
        return float(torch.autograd.grad(value.sum(), scale)[0])


def _score(mu, sigma, a0, a1, a2, a3, a4) -> float:
    return _scale_gradient("score_function", sigma, mu, (a0, a1, a2, a3, a4))


def _pathwise(mu, sigma, a2, a3, a4) -> float:
    a = (0.7, -0.3, a2, a3, a4)  # the first two have no part in it
    return _scale_gradient("pathwise", sigma, mu, a)


def _stl(mu, sigma, a2, a3, a4) -> float:
    a = (0.7, -0.3, a2, a3, a4)
    return _scale_gradient("sticking_the_landing", sigma, mu, a, joint=True)


def _optimal(q1, q2, q3, f1, f2, f3) -> float:
    logits = _tensor(q1, q2, q3).log().unsqueeze(0).requires_grad_()
    with torch.enable_grad():
        q = td.Categorical(logits=logits)
    values, states = _tensor(f1, f2, f3), torch.arange(3).unsqueeze(1)
    best = estimators.optimal_baseline(
        lambda z, q: values[z], q, states, weights=q.probs[0]
    )
    return float(best)


TWINS = {
    "eq-score": _score,
    "eq-pathwise": _pathwise,
    "eq-baseline-optimal": _optimal,
    "eq-stl": _stl,
}
