"""Expectations over q as sums over noise and as sums over z, for the estimators.

An estimator with S samples has an expectation over its noise: a sum over all tuples of
nodes of a quadrature, or of states. It must be the gradient of the expectation or bound
itself, which is written here as a sum over z with the probabilities q(z) and
differentiated under the sum sign. All to 1e-10 and without Monte Carlo.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch import distributions as td

from tests.exact import CLOSE, F64, normal
from vaelib import bounds
from vaelib.models import FiniteModel, LinearGaussian, ScalarModel
from vaelib.quadrature import gauss_hermite


@dataclass
class Problem:
    """An expectation over q, for one datum, and its sums over noise and over z."""

    leaves: dict[str, Tensor]  # parameters of q and of f
    guide: Callable[[], td.Distribution]  # batch shape (1,)
    f: Callable[[Tensor, td.Distribution], Tensor]
    nodes: Tensor  # noise (N, 1, *event), whose expectation is a sum with `weights`
    weights: Tensor
    points: Tensor  # z (M, 1, *event), over which ∫ dz is a sum with `areas`
    areas: Tensor


def parameters(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    return {
        name: (0.5 * normal(1, *shape, seed=31 + k)[0].tanh()).requires_grad_()
        for k, (name, shape) in enumerate(shapes.items())
    }


def line(low: float, high: float, n: int) -> tuple[Tensor, Tensor]:
    """The trapezoidal rule, geometrically convergent for what fades at the ends."""
    points = torch.linspace(low, high, n, dtype=F64)
    return points, torch.full((n,), (high - low) / (n - 1), dtype=F64)


def normal_line(n: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights for N(0, 1), for integrands that are no polynomials."""
    nodes, areas = line(-8.5, 8.5, n)
    return nodes, areas * td.Normal(0.0, 1.0).log_prob(nodes).exp()


def around(q: td.Normal, n: int) -> tuple[Tensor, Tensor]:
    loc, scale = q.loc.item(), q.scale.item()
    return line(loc - 10 * scale, loc + 10 * scale, n)


def square(n: int) -> Problem:
    """E[z² + a z] under N(θ, σ²)."""
    leaves = parameters(loc=(1,), log_scale=(1,), a=())

    def guide() -> td.Normal:
        return td.Normal(leaves["loc"], leaves["log_scale"].exp())

    def f(z: Tensor, q: td.Distribution) -> Tensor:
        return z.square() + leaves["a"] * z

    nodes, weights = normal_line(n)
    points, areas = around(guide(), n)
    return Problem(leaves, guide, f, nodes[:, None], weights, points[:, None], areas)


def cosine(n: int) -> Problem:
    """E[cos(ωz)] under N(θ, 1)."""
    problem = square(n)
    omega = problem.leaves.pop("a")
    problem.leaves["omega"] = omega
    problem.f = lambda z, q: torch.cos((1.5 + omega) * z)
    return problem


def linear_gaussian(n: int) -> Problem:
    leaves = parameters(loc=(1, 1), log_scale=(1, 1))
    model = LinearGaussian(0.5 * normal(3, 1, seed=41), normal(3, seed=42), 1.5)
    leaves |= dict(model.named_parameters(prefix="model"))
    x = normal(1, 3, seed=43)

    def guide() -> td.Independent:
        scale = (leaves["log_scale"] - 0.5).exp()  # not far from the posterior's
        return td.Independent(td.Normal(leaves["loc"], scale), 1)

    def f(z: Tensor, q: td.Distribution) -> Tensor:
        return bounds.log_weights(model, q, x, z)

    nodes, weights = normal_line(n)
    points, areas = around(guide().base_dist, n)
    nodes, points = nodes[:, None, None], points[:, None, None]
    return Problem(leaves, guide, f, nodes, weights, points, areas)


def full_gaussian(n: int) -> Problem:
    """Two latent dimensions and a guide of full covariance."""
    leaves = parameters(loc=(1, 2), tril=(1, 2, 2))
    model = LinearGaussian(normal(2, 2, seed=44), normal(2, seed=45), 0.9)
    leaves |= dict(model.named_parameters(prefix="model"))
    x = normal(1, 2, seed=46)

    def guide() -> td.MultivariateNormal:
        tril = leaves["tril"].tril(-1) + torch.diag_embed(
            leaves["tril"].diagonal(dim1=-2, dim2=-1).exp()
        )
        return td.MultivariateNormal(leaves["loc"], scale_tril=tril)

    def f(z: Tensor, q: td.Distribution) -> Tensor:
        return bounds.log_weights(model, q, x, z)

    nodes, weights = gauss_hermite(min(n, 5), 2)
    axis, step = line(-12, 12, 150)
    return Problem(
        leaves, guide, f, nodes.unsqueeze(1), weights,
        torch.cartesian_prod(axis, axis).unsqueeze(1),
        torch.cartesian_prod(step, step).prod(1),
    )  # fmt: skip


def scalar(family: str, n: int) -> Problem:
    leaves = parameters(loc=(1,), log_scale=(1,), a=(), b=())
    a, b = leaves["a"], leaves["b"]
    likelihoods = {
        "poisson": (lambda z: td.Poisson((a * z + b).exp()), 2.0),
        "bernoulli": (lambda z: td.Bernoulli(logits=a * z + b), 1.0),
    }
    likelihood, value = likelihoods[family]
    model, x = ScalarModel(likelihood), torch.tensor([value], dtype=F64)

    def guide() -> td.Normal:
        return td.Normal(leaves["loc"], leaves["log_scale"].exp())

    def f(z: Tensor, q: td.Distribution) -> Tensor:
        return bounds.log_weights(model, q, x, z)

    nodes, weights = normal_line(n)
    points, areas = around(guide(), n)
    return Problem(leaves, guide, f, nodes[:, None], weights, points[:, None], areas)


def finite(n: int) -> Problem:
    """Three states; the noise of a discrete guide is the state itself."""
    leaves = parameters(logits=(1, 3), prior=(3,), table=(3, 4))
    x = torch.tensor([2])

    def guide() -> td.Categorical:
        return td.Categorical(logits=leaves["logits"])

    def f(z: Tensor, q: td.Distribution) -> Tensor:
        tables = leaves["prior"].softmax(0), leaves["table"].softmax(1)
        return bounds.log_weights(FiniteModel(*tables), q, x, z)

    z = torch.arange(3).unsqueeze(1)
    return Problem(leaves, guide, f, z, guide().probs[0].detach(), z, torch.ones(3))


@dataclass
class Bits:
    """Two bits, and a normal observation of their weighted sum."""

    prior_logits: Tensor
    weight: Tensor

    def prior(self) -> td.Distribution:
        return td.Independent(td.Bernoulli(logits=self.prior_logits), 1)

    def likelihood(self, z: Tensor) -> td.Distribution:
        return td.Normal(z @ self.weight, 0.8)


def bits(n: int) -> Problem:
    leaves = parameters(logits=(1, 2), prior=(2,), weight=(2,))
    model, x = Bits(leaves["prior"], leaves["weight"]), torch.tensor([0.7], dtype=F64)

    def guide() -> td.Independent:
        return td.Independent(td.Bernoulli(logits=leaves["logits"]), 1)

    def f(z: Tensor, q: td.Distribution) -> Tensor:
        return bounds.log_weights(model, q, x, z)

    z = torch.cartesian_prod(*[torch.arange(2, dtype=F64)] * 2).unsqueeze(1)
    likely = guide().log_prob(z).exp()[:, 0].detach()
    return Problem(leaves, guide, f, z, likely, z, torch.ones(4))


PROBLEMS: dict[str, Callable[[int], Problem]] = {
    "square": square,
    "cosine": cosine,
    "linear-Gaussian": linear_gaussian,
    "full Gaussian": full_gaussian,
    "Poisson": partial(scalar, "poisson"),
    "Bernoulli": partial(scalar, "bernoulli"),
    "finite": finite,
    "bits": bits,
}
EXPECTATIONS, DISCRETE = ("square", "cosine"), ("finite", "bits")
SCALAR_BOUNDS = ("linear-Gaussian", "Poisson", "Bernoulli")
SMOOTH = ("cosine", *SCALAR_BOUNDS)  # log Σ exp z² bends too sharply for the nodes
CONTINUOUS = (*EXPECTATIONS, *SCALAR_BOUNDS, "full Gaussian")


def tuples(size: int, samples: int) -> Tensor:
    """All (samples,) tuples of indices, `(samples, size ** samples)`."""
    rows = torch.cartesian_prod(*([torch.arange(size)] * samples))
    return rows.reshape(-1, samples).T


def exact(problem: Problem, samples: int | None) -> Tensor:
    """E_q[f], or the expected bound with so many samples, as a sum over z."""
    q = problem.guide()
    log_q = q.log_prob(problem.points)[:, 0]
    values = problem.f(problem.points, q)[:, 0]
    mass = log_q.exp() * problem.areas
    if samples is None:
        return (mass * values).sum()
    rows = tuples(len(mass), samples)
    return (mass[rows].prod(0) * bounds.importance_weighted(values[rows])).sum()


def expected(estimator: Callable, problem: Problem, samples: int) -> Tensor:
    """The expectation of an estimator over its noise: tuples along the batch."""
    rows = tuples(len(problem.nodes), samples)
    q = problem.guide().expand((rows.shape[1],))
    values = estimator(problem.f, q, problem.nodes[:, 0][rows])
    return (problem.weights[rows].prod(0) * values).sum()


def check(found: Tensor, wanted: Tensor, leaves: dict[str, Tensor]) -> None:
    """Same value, and the same gradient in every parameter."""
    torch.testing.assert_close(found, wanted, **CLOSE)
    options = {
        "allow_unused": True, "materialize_grads": True, "retain_graph": True
    }  # fmt: skip
    slopes = torch.autograd.grad(found, list(leaves.values()), **options)
    rights = torch.autograd.grad(wanted, list(leaves.values()), **options)
    for name, slope, right in zip(leaves, slopes, rights, strict=True):
        torch.testing.assert_close(
            slope, right, **CLOSE, msg=lambda m, name=name: f"{name}: {m}"
        )


def check_expectation(estimator: Callable, name: str, samples: int) -> None:
    """An estimator of ∇E_q[f]."""
    size = {1: 120, 2: 90, 3: 56}[samples]
    problem = PROBLEMS[name](size)
    check(expected(estimator, problem, samples), exact(problem, None), problem.leaves)


def check_bound(estimator: Callable, name: str, samples: int) -> None:
    """An estimator of the gradient of the expected bound log (1/S) Σ w."""
    size = {1: 120, 2: 110, 3: 64}[samples]
    problem = PROBLEMS[name](size)
    check(
        expected(estimator, problem, samples), exact(problem, samples), problem.leaves
    )


def each_draw(estimator, f, parameters, family, noise: Tensor) -> Tensor:
    """The estimator's gradients, one row for each of the T draws of noise (S, T, ...).

    `parameters` are rows for one datum, by name, as `family` takes them.
    """
    draws = noise.shape[1]
    leaves = {
        k: v.detach().expand(draws, *v.shape[1:]).clone().requires_grad_()
        for k, v in parameters.items()
    }
    values = estimator(f, family(**leaves), noise)
    slopes = torch.autograd.grad(values.sum(), list(leaves.values()))
    return torch.cat([s.reshape(draws, -1) for s in slopes], 1)  # (T, parameters)


def variance(slopes, weights):
    """The sum of the variances of a gradient's entries."""
    mean = weights @ slopes
    return weights @ (slopes - mean).square().sum(1)


def at_the_posterior():
    """A linear-Gaussian model, a datum, and its posterior as a guide with leaves."""
    problem = PROBLEMS["full Gaussian"](5)
    model = LinearGaussian(normal(2, 2, seed=44), normal(2, seed=45), 0.9)
    x = normal(4, 2, seed=47)
    exact_q = model.posterior(x)
    loc = exact_q.loc.detach().requires_grad_()
    tril = exact_q.scale_tril.detach().clone().requires_grad_()
    q = td.MultivariateNormal(loc, scale_tril=tril)
    noise = problem.nodes.expand(-1, 4, -1)[::3]
    return (lambda z, q: bounds.log_weights(model, q, x, z)), q, noise, (loc, tril)


def check_landing(estimator) -> None:
    f, q, noise, leaves = at_the_posterior()
    for slope in torch.autograd.grad(estimator(f, q, noise).sum(), leaves):
        assert slope.abs().max() < 1e-10
