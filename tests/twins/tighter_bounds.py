"""What `vaelib` computes for the ledger's equations of *Tighter bounds*."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor
from torch import distributions as td

from vaelib import bounds, divergences, estimators
from vaelib.quadrature import gauss_legendre


def _tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _probs(*values: float) -> Tensor:
    return _tensor(*values) / sum(values)


def _bound(q: Tensor, log_w: Tensor, size: int) -> Tensor:
    """The mean of the importance-weighted bound over all tuples of K states."""
    tuples = torch.tensor(list(product(range(len(q)), repeat=size))).T  # (K, tuples)
    values = bounds.importance_weighted(log_w[tuples])
    return (q[tuples].prod(0) * values).sum()


def _gain(q1, q2, w1, w2) -> float:
    q, log_w = _probs(q1, q2), _tensor(w1, w2).log()
    return float(_bound(q, log_w, 2) - _bound(q, log_w, 1))


def _pairs(c1, c2, q1, q2) -> tuple[td.Categorical, td.Categorical]:
    """Two draws from the guide, and the same pairs with one from the posterior."""
    q, posterior = _probs(q1, q2), _probs(c1, c2)
    guide = torch.outer(q, q)
    copies = (torch.outer(posterior, q) + torch.outer(q, posterior)) / 2
    return td.Categorical(guide.flatten()), td.Categorical(copies.flatten())


def _gap(**p) -> float:
    return float(divergences.kl(*_pairs(**p)))


def _upper(**p) -> float:
    return float(divergences.kl(*_pairs(**p)[::-1]))


def _weights(c1, c2, q1, q2) -> tuple[Tensor, Tensor]:
    q = _probs(q1, q2)
    return (_tensor(c1, c2) / q).log().unsqueeze(1), q


def _renyi(a, **p) -> float:
    log_w, q = _weights(**p)
    return float(bounds.renyi(log_w, a / (1 + a), q))


def _slope(q1, q2, l1, l2, t) -> float:
    q = td.Categorical(_probs(q1, q2))
    tilted = td.Categorical(logits=q.logits + t * _tensor(l1, l2))
    return -float(divergences.kl(tilted, q)) / t**2


def _renyi_gaussian(d, a, b) -> float:
    alpha, r = (1 + a) / 5, (1 + b) / 2
    q = td.Normal(_tensor(d), r)
    z, steps = gauss_legendre(600, d - 14 * max(r, 1), d + 14 * max(r, 1))
    z = z.unsqueeze(1)
    log_w = td.Normal(_tensor(0.0), 1.0).log_prob(z) - q.log_prob(z)
    weights = steps * q.log_prob(z).exp()[:, 0]
    return float(bounds.renyi(log_w, alpha, weights))


def _cubo(**p) -> float:
    log_w, q = _weights(**p)
    return float(bounds.cubo(log_w, 2, q))


def _eubo(c1, c2, q1, q2) -> float:
    log_w, _ = _weights(c1, c2, q1, q2)
    return float(bounds.eubo(log_w, _probs(c1, c2)))


def _two_draws(estimator, m, s, e1, e2) -> float:
    """The derivative in m for the posterior N(0, 1), the guide N(m, s²), two draws."""
    loc = _tensor(m).requires_grad_()
    target, q = td.Normal(_tensor(0.0), 1.0), td.Normal(loc, _tensor(s))
    noise = _tensor(e1, e2).unsqueeze(1)
    with torch.enable_grad():
        value = estimator(lambda z, q: target.log_prob(z) - q.log_prob(z), q, noise)
        (slope,) = torch.autograd.grad(value.sum(), loc)
    return float(slope)


TWINS = {
    "eq-iw-gain": _gain,
    "eq-iw-gap": _gap,
    "eq-iw-upper": _upper,
    "eq-renyi-residual": _renyi,
    "eq-renyi-slope": _slope,
    "eq-renyi-gaussian": _renyi_gaussian,
    "eq-cubo-chi": _cubo,
    "eq-eubo-residual": _eubo,
    "eq-iw-gradient": lambda **p: _two_draws(
        estimators.importance_weighted_pathwise, **p
    ),
    "eq-dreg": lambda **p: _two_draws(estimators.doubly_reparameterised, **p),
}
