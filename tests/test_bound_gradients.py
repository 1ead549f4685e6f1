"""Gradients of the bounds in guide and model, against closed forms, by quadrature.

The derivative is taken by autograd through noise pushed into q, as in training; only
the noise is a grid. All to 1e-10 and without Monte Carlo.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch import distributions as td

from tests.exact import CASES, CLOSE, F64, SIZES, normal
from vaelib import bounds
from vaelib.guides import PriorGuide
from vaelib.models import FiniteModel, LinearGaussian, ScalarModel
from vaelib.noise import push
from vaelib.quadrature import gauss_hermite

sizes = pytest.mark.parametrize("p, d", SIZES)


def _linear(p: int, d: int):
    model = LinearGaussian(normal(p, d, seed=11), normal(p, seed=12), 0.9)
    return model, normal(4, p, seed=13)


def _grid(q: td.Distribution, n: int):
    nodes, weights = gauss_hermite(n, q.event_shape.numel())
    return push(q, nodes.reshape(-1, 1, *q.event_shape)), weights


@sizes
def test_elbo_of_the_linear_gaussian_model(p, d):
    model, x = _linear(p, d)
    loc = normal(4, d, seed=14).requires_grad_()
    log_scale = (0.3 * normal(4, d, seed=15)).requires_grad_()
    q = td.Independent(td.Normal(loc, log_scale.exp()), 1)
    z, weights = _grid(q, 3)
    elbo = bounds.elbo(bounds.log_weights(model, q, x, z), weights)
    with torch.no_grad():
        w, scale = model.weight, model.scale
        variance = (2 * log_scale).exp()
        error = x - model.loc - loc @ w.T
        gram = (w**2).sum(0)  # diagonal of WᵀW
        precision = 1 / scale**2
        square = (error**2).sum(1) + variance @ gram
        value = -p / 2 * torch.log(2 * torch.pi * scale**2) - precision * square / 2
        value = value + (1 + 2 * log_scale - loc**2 - variance).sum(1) / 2
        slopes = {
            "weight": precision * (error.T @ loc - w * variance.sum(0)),
            "mean": precision * error.sum(0),
            "log_scale": (precision * square - p).sum(),
            "q's loc": precision * error @ w - loc,
            "q's log_scale": 1 - variance * (1 + precision * gram),
        }
    torch.testing.assert_close(elbo, value, **CLOSE)
    leaves = (model.weight, model.loc, model.log_scale, loc, log_scale)
    found = torch.autograd.grad(elbo.sum(), leaves)
    for name, slope in zip(slopes, found, strict=True):
        torch.testing.assert_close(slope, slopes[name], **CLOSE, msg=name)


@sizes
def test_bad_bound_of_the_linear_gaussian_model(p, d):
    model, x = _linear(p, d)
    prior = PriorGuide(model)(x)
    z, weights = _grid(prior, 3)
    z = z.expand(len(z), len(x), d)
    bad = bounds.elbo(bounds.log_weights(model, prior, x, z), weights)
    with torch.no_grad():
        w, precision = model.weight, 1 / model.scale**2
        error = x - model.loc
        square = (error**2).sum(1) + (w**2).sum()
        value = -p / 2 * torch.log(2 * torch.pi / precision) - precision * square / 2
    torch.testing.assert_close(bad, value, **CLOSE)
    found = torch.autograd.grad(bad.sum(), (model.weight, model.loc, model.log_scale))
    expected = (
        -len(x) * precision * w,  # towards zero whatever the data: the collapse
        precision * error.sum(0),
        (precision * square - p).sum(),
    )
    for slope, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(slope, exact.detach(), **CLOSE)


@sizes
def test_exact_evidence_from_weights_has_the_gradient_of_the_evidence(p, d):
    case = CASES[f"linear-Gaussian P={p} D={d}"]
    model, x = case.model, case.x
    log_w = bounds.log_weights(model, case.q, x, case.z)
    value = bounds.importance_weighted(log_w, case.weights).sum()
    found = torch.autograd.grad(value, (model.weight, model.loc, model.log_scale))
    with torch.no_grad():
        w, eye = model.weight, torch.eye(p, dtype=F64)
        inverse = (w @ w.T + model.scale**2 * eye).inverse()
        scores = (x - model.loc) @ inverse
        core = scores.T @ scores - len(x) * inverse
        expected = (core @ w, scores.sum(0), model.scale**2 * core.trace())
    for slope, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(slope, exact, **CLOSE)
    direct = torch.autograd.grad(
        model.log_evidence(x).sum(), (model.weight, model.loc, model.log_scale)
    )
    for slope, exact in zip(direct, expected, strict=True):
        torch.testing.assert_close(slope, exact, **CLOSE)


@pytest.mark.parametrize("name", [n for n in CASES if n.startswith("finite")])
def test_elbo_of_a_finite_model(name):
    case = CASES[name]
    logits = case.q.logits.clone().requires_grad_()
    prior = case.model.prior_probs.clone().requires_grad_()
    table = case.model.likelihood_probs.clone().requires_grad_()
    q = td.Categorical(logits=logits)
    log_w = bounds.log_weights(FiniteModel(prior, table), q, case.x, case.z)
    elbo = bounds.elbo(log_w, q.probs.T).sum()
    found = torch.autograd.grad(elbo, (logits, prior, table))
    with torch.no_grad():
        probs, values = q.probs, log_w.T
        centred = values - (probs * values).sum(1, keepdim=True)
        expected = (
            probs * centred,
            (probs / prior - 1).sum(0),
            probs.T / table - probs.sum(0).unsqueeze(1),  # x runs over all outcomes
        )
    for slope, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(slope, exact, **CLOSE)


def _scalar_elbo(likelihood, x, loc, log_scale):
    """The ELBO of a scalar model at q = N(loc, scale²), by quadrature."""
    q = td.Normal(loc, log_scale.exp())
    z, weights = _grid(q, 64)
    model = ScalarModel(likelihood)
    return bounds.elbo(bounds.log_weights(model, q, x, z), weights).sum()


def _scalar_leaves():
    values = ([0.3, -0.2, 0.5], [-0.5, -0.2, -1.0], 0.7, 0.4)
    return [torch.tensor(v, dtype=F64, requires_grad=True) for v in values]


def test_elbo_of_the_poisson_model():
    loc, log_scale, a, b = leaves = _scalar_leaves()
    x = torch.tensor([0.0, 2.0, 7.0], dtype=F64)
    elbo = _scalar_elbo(lambda z: td.Poisson((a * z + b).exp()), x, loc, log_scale)
    found = torch.autograd.grad(elbo, leaves)
    with torch.no_grad():
        v = (2 * log_scale).exp()
        rate = (a * loc + b + a**2 * v / 2).exp()  # E_q of the Poisson mean
        value = x * (a * loc + b) - rate - torch.lgamma(x + 1)
        value = value + (1 + 2 * log_scale - loc**2 - v) / 2
        expected = (
            a * (x - rate) - loc,
            1 - v - a**2 * v * rate,
            (x * loc - rate * (loc + a * v)).sum(),
            (x - rate).sum(),
        )
    torch.testing.assert_close(elbo, value.sum(), **CLOSE)
    for slope, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(slope, exact, **CLOSE)


def test_elbo_of_the_bernoulli_model():
    loc, log_scale, a, b = leaves = _scalar_leaves()
    x = torch.tensor([0.0, 1.0, 1.0], dtype=F64)
    elbo = _scalar_elbo(lambda z: td.Bernoulli(logits=a * z + b), x, loc, log_scale)
    found = torch.autograd.grad(elbo, leaves)

    def mean(f, i):  # E_q[f(σ(az + b), z)] by SciPy
        m, s = loc[i].item(), log_scale[i].exp().item()
        return integrate.quad(
            lambda z: f(special.expit(0.7 * z + 0.4), z) * stats.norm.pdf(z, m, s),
            m - 10 * s, m + 10 * s, epsabs=1e-13, epsrel=1e-13, limit=200,
        )[0]  # fmt: skip

    slopes = np.zeros((4, 3))
    for i, (m, s, y) in enumerate(
        zip(loc.tolist(), log_scale.exp().tolist(), x.tolist(), strict=True)
    ):
        slopes[:, i] = (
            0.7 * (y - mean(lambda p, z: p, i)) - m,
            1 - s**2 - 0.49 * s**2 * mean(lambda p, z: p * (1 - p), i),
            mean(lambda p, z, y=y: (y - p) * z, i),
            y - mean(lambda p, z: p, i),
        )
    expected = (*slopes[:2], slopes[2].sum(), slopes[3].sum())
    for slope, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(slope, torch.as_tensor(exact, dtype=F64), **CLOSE)


def test_elbo_of_the_normal_model():
    loc, log_scale, a, b = leaves = _scalar_leaves()
    x = torch.tensor([-1.5, 0.2, 1.0], dtype=F64)
    elbo = _scalar_elbo(lambda z: td.Normal(a * z, b.exp()), x, loc, log_scale)
    found = torch.autograd.grad(elbo, leaves)
    with torch.no_grad():
        v, precision = (2 * log_scale).exp(), (-2 * b).exp()
        error = x - a * loc
        square = error**2 + a**2 * v
        expected = (
            precision * a * error - loc,
            1 - v * (1 + precision * a**2),
            (precision * (error * loc - a * v)).sum(),
            (precision * square - 1).sum(),
        )
    for slope, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(slope, exact, **CLOSE)


def test_importance_weighted_bound_of_a_finite_model():
    """d/dθ E[log (w₁ + w₂)/2] = E[Σ (wₛ / Σw) d log wₛ], by enumeration of pairs."""
    case = CASES["finite 3x4"]
    table = case.model.likelihood_probs.clone().requires_grad_()
    model = FiniteModel(case.model.prior_probs, table)
    pairs = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    probs = case.q.probs  # (B, K)
    total = torch.zeros((), dtype=F64)
    expected = torch.zeros_like(table)
    w = (case.model.prior_probs.unsqueeze(1) * table.detach()) / probs.T  # (K, B)
    for i, j in pairs.tolist():
        z = torch.tensor([[i], [j]]).expand(2, len(case.x))
        log_w = bounds.log_weights(model, case.q, case.x, z)
        likely = probs[:, i] * probs[:, j]
        total = total + (likely * bounds.importance_weighted(log_w)).sum()
        share = w[i] / (w[i] + w[j])
        # the model normalises the rows of its table: d log p_kx = (1[x] − p_kx) / p_kx
        for state, part in ((i, share), (j, 1 - share)):
            weight = likely * part
            expected[state] += weight / table.detach()[state] - weight.sum()
    (found,) = torch.autograd.grad(total, table)
    torch.testing.assert_close(found, expected, **CLOSE)
