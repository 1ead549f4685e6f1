"""The estimators against Pyro's on the same models, in gradient mean and variance.

Pyro draws its own samples, one independent gradient for each of many copies of a datum.
Their mean and variance must be the exact mean and variance of the estimator here, which
are sums over its noise. In units of the exact standard deviation and variance, one look
each: correct code fails with probability 1e-6, and a mean off by `MEAN` standard
deviations, or a variance off by the share `SPREAD`, passes with probability 1e-3 at
most. With the same samples, the gradients are the same numbers.

Pyro has no leave-one-out, VIMCO, sticking-the-landing or doubly reparameterised
estimator to compare with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.distributions.testing.fakes import NonreparameterizedNormal
from pyro.infer import RenyiELBO, Trace_ELBO, TraceGraph_ELBO
from torch import Tensor
from torch import distributions as td

from tests.exact import CLOSE, F64, normal
from tests.expectations import each_draw, normal_line, tuples
from tests.statistics import assert_mean
from vaelib import bounds, estimators
from vaelib.estimators.common import detached
from vaelib.models import FiniteModel, ScalarModel
from vaelib.noise import draw, push, stream

DRAWS = 200_000
MEAN, SPREAD = 0.02, 0.25


@pytest.fixture(autouse=True)
def own_numbers() -> Iterator[None]:
    """Pyro draws from the global generator and keeps its parameters in a global."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pyro.clear_param_store()
        yield
        pyro.clear_param_store()


@dataclass
class Pair:
    """One model, datum and guide, in Pyro's words and in this project's."""

    rows: dict[str, Tensor]  # q's parameters, for one datum
    family: Callable[..., td.Distribution]
    f: Callable[[Tensor, td.Distribution], Tensor]
    nodes: Tensor  # noise (N, *event), with
    weights: Tensor
    model: Callable[[], None]  # Pyro's
    guide: Callable[..., dist.TorchDistribution]


def poisson() -> Pair:
    x = torch.tensor([3.0], dtype=F64)
    model = ScalarModel(lambda z: td.Poisson((0.7 * z + 0.4).exp()))

    def pyro_model() -> None:
        z = pyro.sample("z", dist.Normal(torch.zeros((), dtype=F64), 1.0))
        pyro.sample("x", dist.Poisson((0.7 * z + 0.4).exp()), obs=x)

    rows = {
        "loc": torch.tensor([0.7], dtype=F64), "scale": torch.tensor([0.6], dtype=F64)
    }  # fmt: skip
    nodes, weights = normal_line(100)
    return Pair(
        rows, td.Normal, lambda z, q: bounds.log_weights(model, q, x, z),
        nodes, weights, pyro_model, dist.Normal,
    )  # fmt: skip


def logistic() -> Pair:
    x = torch.tensor([1.0], dtype=F64)
    model = ScalarModel(lambda z: td.Bernoulli(logits=2.0 * z - 0.5))

    def pyro_model() -> None:
        z = pyro.sample("z", dist.Normal(torch.zeros((), dtype=F64), 1.0))
        pyro.sample("x", dist.Bernoulli(logits=2.0 * z - 0.5), obs=x)

    rows = {
        "loc": torch.tensor([0.4], dtype=F64), "scale": torch.tensor([0.7], dtype=F64)
    }  # fmt: skip
    nodes, weights = normal_line(100)
    return Pair(
        rows, td.Normal, lambda z, q: bounds.log_weights(model, q, x, z),
        nodes, weights, pyro_model, dist.Normal,
    )  # fmt: skip


def finite() -> Pair:
    prior, table = normal(4, seed=71).softmax(0), normal(4, 3, seed=72).softmax(1)
    x, model = torch.tensor([1]), FiniteModel(prior, table)

    def pyro_model() -> None:
        z = pyro.sample("z", dist.Categorical(prior))
        pyro.sample("x", dist.Categorical(table[z]), obs=x)

    rows = {"logits": normal(1, 4, seed=73)}
    return Pair(
        rows, lambda logits: td.Categorical(logits=logits),
        lambda z, q: bounds.log_weights(model, q, x, z),
        torch.arange(4), rows["logits"].softmax(1)[0],
        pyro_model, lambda logits: dist.Categorical(logits=logits),
    )  # fmt: skip


def fixed(q: dist.TorchDistribution, z: Tensor) -> dist.TorchDistribution:
    """q, whose samples are z from now on."""

    class Fixed(type(q)):
        def rsample(self, sample_shape=()):
            return z

        def sample(self, sample_shape=()):
            return z.detach()

    q = q.expand(z.shape)
    q.__class__ = Fixed
    return q


def pyro_gradients(
    pair: Pair, objective, draws: int, samples: int = 1, baseline=None, noise=None
) -> tuple[Tensor, float]:
    """The gradient of each draw, and the mean of the bound over the draws."""
    infer = {} if baseline is None else {"baseline": {"baseline_value": baseline}}

    def model() -> None:
        with pyro.plate("data", draws):
            pair.model()

    def guide() -> None:
        leaves = {
            name: pyro.param(name, value.expand(draws, *value.shape[1:]).clone())
            for name, value in pair.rows.items()
        }
        q = pair.guide(**leaves)
        if noise is not None:
            z = push(pair.family(**leaves), noise)
            q = fixed(q, z if samples > 1 else z[0])
        with pyro.plate("data", draws):
            pyro.sample("z", q, infer=infer)

    loss = objective(
        num_particles=samples, vectorize_particles=samples > 1, max_plate_nesting=1
    ).loss_and_grads(model, guide)
    slopes = [pyro.param(name).grad for name in pair.rows]
    pyro.clear_param_store()
    return torch.cat([-s.reshape(draws, -1) for s in slopes], 1), -loss / draws


def compare(pair: Pair, estimator, objective, samples: int = 1, baseline=None):
    """Pyro's mean and variance by its draws, this project's by sums over noise."""
    rows = tuples(len(pair.nodes), samples)
    likely = pair.weights[rows].prod(0)
    slopes = each_draw(estimator, pair.f, pair.rows, pair.family, pair.nodes[rows])
    mean = likely @ slopes
    spread = likely @ (slopes - mean).square()
    if baseline is not None:
        baseline = torch.full((DRAWS,), baseline, dtype=F64)
    found, _ = pyro_gradients(pair, objective, DRAWS, samples, baseline)
    scaled = (found - mean) / spread.sqrt()
    assert_mean(scaled, 0.0, error=MEAN)
    assert_mean(scaled.square(), 1.0, error=SPREAD)


def compare_numbers(pair: Pair, estimator, objective, samples: int = 1, baseline=None):
    """The same noise gives the same gradient and the same bound, to 1e-10."""
    q = pair.family(**{k: v.expand(7, *v.shape[1:]) for k, v in pair.rows.items()})
    noise = draw(q, samples, stream(1, "pyro"))
    wanted = each_draw(estimator, pair.f, pair.rows, pair.family, noise)
    value = estimator(pair.f, q, noise).mean().item()
    if baseline is not None:
        baseline = torch.full((7,), baseline, dtype=F64)
    found, bound = pyro_gradients(pair, objective, 7, samples, baseline, noise)
    torch.testing.assert_close(found, wanted, **CLOSE)
    assert bound == pytest.approx(value, abs=1e-10)


def of_constant_guide(estimator):
    """The same with log q(z) in f as a constant: Pyro leaves out that zero mean."""

    def changed(f, q, noise):
        return estimator(lambda z, q: f(z, detached(q)), q, noise)

    return changed


def renyi_pathwise(alpha):
    """The pathwise gradient of a Rényi bound."""

    def estimator(f, q, noise):
        return bounds.renyi(f(push(q, noise), q), alpha)

    return estimator


def without_path(pair: Pair) -> Pair:
    pair.guide = NonreparameterizedNormal
    return pair


SCORE = of_constant_guide(estimators.score_function)
BASELINE = of_constant_guide(partial(estimators.score_function, baseline=1.0))
CASES = {
    "path, Poisson": (poisson, estimators.pathwise, Trace_ELBO, 1, None),
    "path, logistic": (logistic, estimators.pathwise, Trace_ELBO, 1, None),
    "score, Poisson": (lambda: without_path(poisson()), SCORE, Trace_ELBO, 1, None),
    "score, logistic": (lambda: without_path(logistic()), SCORE, Trace_ELBO, 1, None),
    "score, finite": (finite, SCORE, Trace_ELBO, 1, None),
    "score, finite, graph": (finite, SCORE, TraceGraph_ELBO, 1, None),
    "baseline, finite, graph": (finite, BASELINE, TraceGraph_ELBO, 1, 1.0),
    "baseline, Poisson, graph": (
        lambda: without_path(poisson()), BASELINE, TraceGraph_ELBO, 1, 1.0,
    ),
    **{
        f"importance-weighted, {name}, S={samples}": (
            pair, estimators.importance_weighted_pathwise, RenyiELBO, samples, None,
        )
        for name, pair in (("Poisson", poisson), ("logistic", logistic))
        for samples in (2, 3)
    },
    **{
        f"Rényi, order {alpha}": (
            poisson, renyi_pathwise(alpha), partial(RenyiELBO, alpha=alpha), 2, None,
        )
        for alpha in (-1.0, 0.5, 2.0)
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_pyro_gives_the_same_numbers_from_the_same_samples(name):
    make, estimator, objective, samples, baseline = CASES[name]
    compare_numbers(make(), estimator, objective, samples, baseline)


@pytest.mark.parametrize("name", CASES)
def test_pyro_has_the_same_mean_and_variance(name):
    make, estimator, objective, samples, baseline = CASES[name]
    compare(make(), estimator, objective, samples, baseline)


def flipped(f, q, noise):
    value = estimators.pathwise(f, q, noise)
    return 2 * value.detach() - value


@pytest.mark.parametrize(
    "estimator, expected",
    [(estimators.score_function, "1.0"), (flipped, "0.0")],
    ids=["another variance", "a flipped sign"],
)
def test_the_comparison_sees(estimator, expected):
    """The score function has the mean of Pyro's path but not its variance."""
    with pytest.raises(AssertionError, match=f" is not {expected}: "):
        compare(logistic(), estimator, Trace_ELBO)
