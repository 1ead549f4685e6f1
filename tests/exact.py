"""Exact models with guides whose expectations are finite sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import integrate, stats
from torch import Tensor
from torch import distributions as td

from vaelib.models import FiniteModel, LinearGaussian, ScalarModel
from vaelib.noise import push, stream
from vaelib.quadrature import gauss_hermite

F64 = torch.float64
CLOSE = {"rtol": 1e-10, "atol": 1e-10}  # the project's accuracy for exact models


@dataclass
class Case:
    """A model, data, a guide beside the posterior, and its expectations as sums."""

    model: FiniteModel | LinearGaussian | ScalarModel
    x: Tensor  # (B, *event)
    q: td.Distribution
    z: Tensor  # (S, B, *event), over which weights · f(z) sums to E_q[f]
    weights: Tensor  # (S,) or (S, B)
    prior_z: Tensor  # the same for the prior
    prior_weights: Tensor
    log_evidence: Tensor  # (B,), from another library

    def mean(self, values: Tensor) -> Tensor:
        """E_q of values (S, B)."""
        w = self.weights if self.weights.dim() == 2 else self.weights.unsqueeze(1)
        return (w * values).sum(0)


def normal(*shape: int, seed: int) -> Tensor:
    """Standard normal numbers that depend on the seed alone, float64."""
    return torch.randn(*shape, generator=stream(seed, *shape), dtype=F64)


def _finite(states: int, outcomes: int) -> Case:
    tables = normal(states, outcomes + 2, seed=1).softmax(0)
    prior = tables[:, 0]
    likelihood = tables[:, 1:-1] / tables[:, 1:-1].sum(1, keepdim=True)
    x = torch.arange(outcomes)
    q = td.Categorical(normal(outcomes, states, seed=2).softmax(1))
    z = torch.arange(states).unsqueeze(1).expand(states, outcomes)
    evidence = np.log(np.einsum("k,kx->x", prior.numpy(), likelihood.numpy()))
    return Case(
        FiniteModel(prior, likelihood), x, q, z, q.probs.T, z, prior,
        torch.from_numpy(evidence),
    )  # fmt: skip


def linear_gaussian(p: int, d: int, n: int = 3) -> Case:
    """A guide a little wider than the posterior and beside it: w has all moments."""
    weight, loc, scale = normal(p, d, seed=3), normal(p, seed=4), 0.9
    model = LinearGaussian(weight, loc, scale)
    x = loc + 2 * normal(n, p, seed=5)
    w, m = weight.numpy(), loc.numpy()
    evidence = stats.multivariate_normal(m, w @ w.T + scale**2 * np.eye(p))
    with torch.no_grad():
        posterior = model.posterior(x)
    q = td.MultivariateNormal(
        posterior.loc + 0.3, scale_tril=1.1 * posterior.scale_tril
    )
    nodes, weights = gauss_hermite({1: 40, 2: 16, 3: 16}[d], d)
    z = push(q, nodes.unsqueeze(1))
    prior_z = push(model.prior(), nodes.unsqueeze(1)).expand_as(z)
    log_evidence = torch.from_numpy(np.atleast_1d(evidence.logpdf(x.numpy())))
    return Case(model, x, q, z, weights, prior_z, weights, log_evidence)


LIKELIHOODS = {  # maps z to p(x|z); data; log p(x|z) by SciPy
    "poisson": (
        lambda z: td.Poisson((0.7 * z + 0.4).exp()),
        [0.0, 2.0, 7.0],
        lambda x, z: stats.poisson.logpmf(x, np.exp(0.7 * z + 0.4)),
    ),
    "bernoulli": (
        lambda z: td.Bernoulli(logits=2.0 * z - 0.5),
        [0.0, 1.0],
        lambda x, z: stats.bernoulli.logpmf(x, 1 / (1 + np.exp(0.5 - 2.0 * z))),
    ),
    "normal": (
        lambda z: td.Normal(torch.sin(2 * z) + z, 0.6),
        [-1.5, 0.2, 1.0],
        lambda x, z: stats.norm.logpdf(x, np.sin(2 * z) + z, 0.6),
    ),
}


def scalar_log_evidence(name: str, x: float) -> float:
    """log p(x) of a scalar model by SciPy's adaptive quadrature."""
    log_lik = LIKELIHOODS[name][2]
    value, _ = integrate.quad(
        lambda z: np.exp(log_lik(x, z)) * stats.norm.pdf(z),
        -12, 12, epsabs=0, epsrel=1e-13, limit=500, points=[-2, 0, 2],
    )  # fmt: skip
    return float(np.log(value))


def scalar(name: str) -> Case:
    """A normal guide; its expectations by the quadrature over the latent's range."""
    likelihood, data, _ = LIKELIHOODS[name]
    model, x = ScalarModel(likelihood), torch.tensor(data, dtype=F64)
    q = td.Normal(0.2 * x - 0.1, 0.8 * torch.ones_like(x))
    z = model.nodes.unsqueeze(1).expand(-1, len(x))
    area = model.node_weights
    return Case(
        model, x, q, z, q.log_prob(z).exp() * area.unsqueeze(1),
        z, model.prior().log_prob(model.nodes).exp() * area,
        torch.tensor([scalar_log_evidence(name, v) for v in data], dtype=F64),
    )  # fmt: skip


SIZES = ((1, 1), (3, 1), (2, 2), (1, 3), (2, 3), (4, 2))  # (P, D)
CASES = (
    {f"finite {k}x{x}": _finite(k, x) for k, x in ((2, 2), (3, 4), (5, 3))}
    | {f"linear-Gaussian P={p} D={d}": linear_gaussian(p, d) for p, d in SIZES}
    | {f"scalar {name}": scalar(name) for name in LIKELIHOODS}
)
