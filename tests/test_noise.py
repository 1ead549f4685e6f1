"""Streams depend on seed and path alone; noise pushed through q is distributed as q."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch import distributions as td

from tests.statistics import assert_mean
from vaelib import noise

F64 = torch.float64
LOC = torch.tensor([[0.5, -1.0], [2.0, 0.0], [-0.3, 1.5]], dtype=F64)
SCALE = torch.tensor([[1.0, 0.5], [0.2, 2.0], [1.5, 0.7]], dtype=F64)
TRIL = torch.tensor([[1.0, 0.0], [-0.8, 0.6]], dtype=F64)
PROBS = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]], dtype=F64)

GAUSSIAN = {
    "normal": td.Normal(LOC, SCALE),
    "independent": td.Independent(td.Normal(LOC, SCALE), 1),
    "twice independent": td.Independent(td.Independent(td.Normal(LOC, SCALE), 1), 1),
    "multivariate": td.MultivariateNormal(LOC, scale_tril=TRIL),
}
TRANSFORMED = {
    "log-normal": td.LogNormal(0.3 * LOC, 0.3 * SCALE),
    "transformed vector": td.TransformedDistribution(
        td.Independent(td.Normal(LOC, SCALE), 1),
        [td.AffineTransform(1.0, SCALE, event_dim=1), td.AffineTransform(LOC, 2.0)],
    ),
}
MIXTURES = {
    "scalar mixture": td.MixtureSameFamily(
        td.Categorical(PROBS), td.Normal(LOC.T.contiguous(), SCALE.T.contiguous())
    ),
    "vector mixture": td.MixtureSameFamily(
        td.Categorical(PROBS[0]), td.Independent(td.Normal(LOC, SCALE), 1)
    ),
    "full mixture": td.MixtureSameFamily(
        td.Categorical(PROBS[0]), td.MultivariateNormal(LOC, scale_tril=TRIL)
    ),
}
DISCRETE = {
    "categorical": td.Categorical(PROBS),
    "bernoulli": td.Bernoulli(PROBS),
    "independent bernoulli": td.Independent(td.Bernoulli(PROBS), 1),
    "binomial": td.Binomial(16, PROBS),
    "independent binomial": td.Independent(td.Binomial(16, PROBS), 1),
}


def _numbers(generator: torch.Generator) -> torch.Tensor:
    return torch.randn(4, generator=generator)


def test_a_stream_depends_on_nothing_that_ran_before():
    first = _numbers(noise.stream(3, "noise", 7))
    torch.manual_seed(99)
    _numbers(noise.stream(3, "noise", 6))
    torch.randn(10)
    assert torch.equal(_numbers(noise.stream(3, "noise", 7)), first)


def test_a_stream_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    generator = noise.stream(0, "x")
    for q in (GAUSSIAN | TRANSFORMED | MIXTURES | DISCRETE).values():
        noise.sample(q, 5, generator)
    noise.permutation(5, generator)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_different_seeds_and_paths_give_different_streams():
    paths = [(s, *p) for s in (-1, 0, 1) for p in ((), (0,), ("0",), (0, 1), ("0, 1",))]
    paths += [(0, "noise", step) for step in range(1000)] + [
        (0, "order", 1),
        (0, "", 1),
    ]
    seeds = {noise.stream(*path).initial_seed() for path in paths}
    assert len(seeds) == len(paths)


def test_the_seed_of_a_stream_is_the_documented_hash():
    digest = hashlib.blake2b(b"(3, 'noise', 7)", digest_size=8).digest()
    expected = int.from_bytes(digest, "little") >> 1
    assert noise.stream(3, "noise", 7).initial_seed() == expected


@pytest.mark.parametrize("path", [(1.0,), ("0",), (True,), (None,)])
def test_a_seed_must_be_an_integer(path):
    with pytest.raises(TypeError, match=r"seed and path: expected int, got"):
        noise.stream(*path)


@pytest.mark.parametrize("part", [1.5, None, False, b"x"])
def test_a_part_of_a_path_must_be_an_integer_or_a_string(part):
    with pytest.raises(TypeError, match=r"seed and path: expected int or str, got"):
        noise.stream(0, "noise", part)


def test_a_permutation_holds_each_item_once_and_repeats():
    order = noise.permutation(50, noise.stream(0, "order"))
    assert torch.equal(order.sort().values, torch.arange(50))
    assert torch.equal(order, noise.permutation(50, noise.stream(0, "order")))
    assert not torch.equal(order, noise.permutation(50, noise.stream(1, "order")))


@pytest.mark.parametrize("name", GAUSSIAN | TRANSFORMED | MIXTURES | DISCRETE)
def test_noise_and_sample_have_the_axes_of_the_distribution(name):
    q = (GAUSSIAN | TRANSFORMED | MIXTURES | DISCRETE)[name]
    eps = noise.draw(q, 7, noise.stream(0))
    assert eps.shape == (7, *q.batch_shape, *q.event_shape)
    assert not eps.requires_grad
    z = noise.push(q, eps)
    assert z.shape == eps.shape
    assert torch.equal(z, noise.sample(q, 7, noise.stream(0)))
    assert q.support.check(z).all()


@pytest.mark.parametrize("name", ["normal", "independent", "twice independent"])
def test_the_map_of_a_diagonal_gaussian_is_loc_plus_scale_times_noise(name):
    eps = torch.linspace(-3, 3, 5, dtype=F64).reshape(5, 1, 1).expand(5, 3, 2)
    assert torch.equal(noise.push(GAUSSIAN[name], eps), LOC + SCALE * eps)


def test_the_map_of_a_full_gaussian_is_loc_plus_the_cholesky_factor_times_noise():
    eps = noise.draw(GAUSSIAN["multivariate"], 5, noise.stream(0))
    expected = LOC + torch.einsum("de,sbe->sbd", TRIL, eps)
    torch.testing.assert_close(
        noise.push(GAUSSIAN["multivariate"], eps), expected, rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("name", GAUSSIAN)
def test_the_density_of_a_sample_is_the_density_of_its_noise_over_the_volume(name):
    q = GAUSSIAN[name]
    eps = noise.draw(q, 6, noise.stream(1))
    dims = tuple(range(-len(q.event_shape), 0))
    log_eps = td.Normal(0.0, 1.0).log_prob(eps)
    volume = (
        SCALE.log() if name != "multivariate" else TRIL.diagonal().log().expand(3, 2)
    )
    if dims:
        log_eps, volume = log_eps.sum(dims), volume.sum(dims)
    torch.testing.assert_close(
        q.log_prob(noise.push(q, eps)), log_eps - volume, rtol=0, atol=1e-12
    )


def test_a_sample_is_differentiable_in_the_distribution_and_its_noise_is_not():
    loc, scale = LOC.clone().requires_grad_(), SCALE.clone().requires_grad_()
    q = td.Normal(loc, scale)
    eps = noise.draw(q, 4, noise.stream(0))
    slopes = torch.autograd.grad(noise.push(q, eps).sum(), (loc, scale))
    torch.testing.assert_close(slopes[0], torch.full_like(LOC, 4.0))
    torch.testing.assert_close(slopes[1], eps.sum(0))


@pytest.mark.parametrize("name", DISCRETE | MIXTURES)
def test_without_a_smooth_map_the_noise_is_the_sample(name):
    q = (DISCRETE | MIXTURES)[name]
    eps = noise.draw(q, 4, noise.stream(0))
    assert torch.equal(noise.push(q, eps), eps)


@pytest.mark.parametrize("name", TRANSFORMED)
def test_a_transformed_sample_is_its_bases_sample_through_the_transforms(name):
    q = TRANSFORMED[name]
    eps = noise.draw(q, 6, noise.stream(1))
    assert torch.equal(eps, noise.draw(q.base_dist, 6, noise.stream(1)))
    z = noise.push(q, eps)
    base = LOC + SCALE * eps
    expected = (
        (0.3 * base).exp() if name == "log-normal" else LOC + 2 * (1 + SCALE * base)
    )
    torch.testing.assert_close(z, expected, rtol=0, atol=1e-12)
    values = noise.sample(q, 40_000, noise.stream(0, name))
    if name == "log-normal":
        assert_mean(values, q.mean, error=0.2)


def test_noise_without_batch_axes_is_shared_by_the_batch():
    eps = torch.tensor([-1.0, 1.0], dtype=F64).reshape(2, 1, 1)
    assert noise.push(GAUSSIAN["independent"], eps).shape == (2, 3, 2)


@pytest.mark.parametrize(
    "name", GAUSSIAN | MIXTURES | {k: DISCRETE[k] for k in DISCRETE}
)
def test_samples_have_the_mean_and_variance_of_the_distribution(name):
    q = (GAUSSIAN | MIXTURES | DISCRETE)[name]
    mean, variance = (
        (q.mean, q.variance) if name != "categorical" else _moments(q.probs)
    )
    values = noise.sample(q, 40_000, noise.stream(0, name)).to(F64)
    error = 0.1 * float(variance.max().sqrt())
    assert_mean(values, mean, error=error)
    assert_mean((values - mean) ** 2, variance, error=0.3 * float(variance.max()))


def _moments(probs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    states = torch.arange(probs.shape[-1], dtype=F64)
    mean = probs @ states
    return mean, probs @ states**2 - mean**2


@pytest.mark.parametrize("name", ["multivariate", "full mixture"])
def test_samples_of_a_full_gaussian_have_its_covariance(name):
    q = (GAUSSIAN | MIXTURES)[name]
    z = noise.sample(q, 40_000, noise.stream(0, "covariance"))
    centred = z - q.mean
    if name == "multivariate":
        expected = torch.tensor([TRIL[0] @ TRIL[1]]).expand(3)
    else:
        within = TRIL[0] @ TRIL[1]
        means = LOC - q.mean
        expected = within + PROBS[0] @ means.prod(-1)
    assert_mean(centred.prod(-1), expected, error=0.15)


def test_states_of_a_categorical_come_with_their_probabilities():
    z = noise.sample(DISCRETE["categorical"], 40_000, noise.stream(0, "states"))
    assert_mean(torch.nn.functional.one_hot(z, 3).to(F64), PROBS, error=0.025)


def test_a_family_without_a_rule_is_named():
    with pytest.raises(
        TypeError, match="q: no rule to draw from Gamma; expected"
    ):
        noise.draw(td.Gamma(1.0, 1.0), 3, noise.stream(0))


def test_innermost_unwraps_every_independent():
    q = GAUSSIAN["twice independent"]
    assert isinstance(noise.innermost(q), td.Normal)
    assert noise.innermost(DISCRETE["bernoulli"]) is DISCRETE["bernoulli"]


def test_gumbel_noise_has_its_distribution_and_its_argmax_is_a_sample():
    q = td.Categorical(PROBS)
    g = noise.draw_gumbel(q, 40_000, noise.stream(0, "gumbel"))
    assert g.shape == (40_000, 2, 3) and g.dtype == F64 and not g.requires_grad
    assert bool(g.isfinite().all())
    for at in (-1.0, 0.0, 2.0):
        below = torch.exp(-torch.exp(torch.tensor(-at, dtype=F64)))
        assert_mean((g <= at).double(), below, error=0.03)
    winner = (q.logits + g).argmax(-1)
    chosen = torch.nn.functional.one_hot(winner, 3)
    assert_mean(chosen.double(), PROBS, error=0.03)
    again = noise.draw_gumbel(q, 40_000, noise.stream(0, "gumbel"))
    assert torch.equal(g, again)


def test_gumbel_noise_has_the_axes_of_the_relaxed_sample():
    q = td.Independent(td.Categorical(torch.ones(4, 2, 5)), 1)
    assert noise.draw_gumbel(q, 3, noise.stream(0)).shape == (3, 4, 2, 5)
    with pytest.raises(TypeError, match="q: expected a Categorical, got Bernoulli"):
        noise.draw_gumbel(td.Bernoulli(PROBS), 3, noise.stream(0))
