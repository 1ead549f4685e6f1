"""Two stochastic layers against an exact linear-Gaussian chain."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import distributions as td
from torch import nn

from tests.exact import CLOSE, F64, normal
from tests.statistics import assert_mean
from vaelib import bounds, estimators, noise
from vaelib.chain import Chain
from vaelib.evaluation import (
    active_units,
    aggregate_kl,
    decoder_spread,
    log_evidence,
    mutual_information,
)
from vaelib.guides import (
    Amortized,
    Chained,
    CouplingFlow,
    FullGaussian,
    PriorGuide,
)
from vaelib.models import Bernoulli, LinearGaussian, TwoLayerModel, mlp
from vaelib.training import train

D1, D2, P = 3, 2, 4
A, SHIFT, S1 = normal(D1, D2, seed=1), normal(D1, seed=2), 0.7
W, LOC, S0 = normal(P, D1, seed=3), normal(P, seed=4), 0.5


class Linear:
    """p(y|z) = N(Wz + μ, σ²I), and p(z|y) where z ~ N(0, I)."""

    def __init__(self, weight, loc, scale):
        self.model = LinearGaussian(weight, loc, scale).requires_grad_(False)

    def __call__(self, z):
        return self.model.likelihood(z)


class Exact:
    """The two-layer linear-Gaussian model, its evidence and its posterior."""

    def __init__(self):
        self.conditional = Linear(A, SHIFT, S1)
        self.emission = Linear(W, LOC, S0)

    def prior(self):
        unit = td.Independent(td.Normal(torch.zeros(D2, dtype=F64), 1.0), 1)
        return Chain(unit, self.conditional, D1, first_last=True)

    def likelihood(self, z):
        return self.emission(z[..., :D1])

    def log_evidence(self, x):
        c = A @ A.T + S1**2 * torch.eye(D1, dtype=F64)
        c = W @ c @ W.T + S0**2 * torch.eye(P, dtype=F64)
        mean = W @ SHIFT + LOC
        return torch.from_numpy(
            stats.multivariate_normal(mean.numpy(), c.numpy()).logpdf(x.numpy())
        )

    def posterior(self, x):
        """p(z₁|x) p(z₂|z₁), by conditioning a joint Gaussian."""
        c = A @ A.T + S1**2 * torch.eye(D1, dtype=F64)
        gain = c @ W.T @ (W @ c @ W.T + S0**2 * torch.eye(P, dtype=F64)).inverse()
        mean = SHIFT + (x - W @ SHIFT - LOC) @ gain.T
        first = td.MultivariateNormal(mean, c - gain @ W @ c)
        return Chain(first, self.conditional.model.posterior, D2)


MODEL = Exact()
X = LOC + W @ SHIFT + 2 * normal(5, P, seed=5)


def test_with_the_exact_chain_every_log_weight_is_the_evidence():
    q = MODEL.posterior(X)
    assert q.batch_shape == (5,) and q.event_shape == (D1 + D2,)
    expected = MODEL.log_evidence(X)
    z = 3 * normal(7, 5, D1 + D2, seed=6)
    log_w = bounds.log_weights(MODEL, q, X, z)
    torch.testing.assert_close(log_w, expected.expand(7, 5), **CLOSE)
    found = log_evidence(MODEL, MODEL.posterior, X, samples=10, max_rows=20)
    torch.testing.assert_close(found.value, expected, **CLOSE)
    rough = log_evidence(MODEL, PriorGuide(MODEL), X[:1], samples=200_000)
    distance = (rough.value - expected[:1]).abs()  # 5.5 SE: a false alarm in 3e7
    assert distance < 5.5 * rough.standard_error < 1


def test_samples_have_the_moments_of_the_joint_gaussian():
    loc = torch.cat([SHIFT, torch.zeros(D2, dtype=F64)])
    top = torch.cat([A @ A.T + S1**2 * torch.eye(D1, dtype=F64), A], 1)
    covariance = torch.cat([top, torch.cat([A.T, torch.eye(D2, dtype=F64)], 1)])
    prior = MODEL.prior()
    z = noise.sample(prior, 40_000, noise.stream(0, "chain"))
    assert_mean(z, loc, error=0.1)
    products = (z - loc).unsqueeze(-1) * (z - loc).unsqueeze(-2)
    assert_mean(products, covariance, error=0.5)
    joint = td.MultivariateNormal(loc, covariance)
    torch.testing.assert_close(prior.log_prob(z[:9]), joint.log_prob(z[:9]), **CLOSE)


def test_a_sample_is_its_noise_pushed_through_one_part_after_the_other():
    q = MODEL.posterior(X)
    eps = noise.draw(q, 6, noise.stream(3))
    assert eps.shape == (6, 5, D1 + D2) and not eps.requires_grad
    z1 = noise.push(q.first, eps[..., :D1])
    then = MODEL.conditional.model.posterior(z1)
    z2 = then.mean + (then.scale_tril @ eps[..., D1:, None])[..., 0]
    z = noise.push(q, eps)
    torch.testing.assert_close(z, torch.cat([z1, z2], -1), **CLOSE)
    assert torch.equal(z, noise.sample(q, 6, noise.stream(3)))
    torch.testing.assert_close(
        noise.push(q, eps[:, :1]), noise.push(q, eps[:, :1].expand(6, 5, -1)), **CLOSE
    )
    prior = MODEL.prior().expand((5,))  # here what is drawn first stands last
    z = noise.push(prior, eps)
    expected = eps[..., D1:] @ A.T + SHIFT + S1 * eps[..., :D1]
    torch.testing.assert_close(z, torch.cat([expected, eps[..., D1:]], -1), **CLOSE)
    # the density of the sample, over the volume that a unit of noise takes up
    log_eps = stats.norm.logpdf(eps.numpy()).sum(-1)
    expected = torch.from_numpy(log_eps) - D1 * math.log(S1)
    torch.testing.assert_close(prior.log_prob(z), expected, **CLOSE)


def test_a_chain_of_three_is_a_chain_in_a_chain():
    def step(a):
        return td.Independent(td.Normal(0.5 * a, 1.0), 1)

    start = td.Independent(td.Normal(torch.zeros(1, dtype=F64), 1.0), 1)
    walk = Chain(start, lambda a: Chain(step(a), step, 1), 2)
    assert walk.event_shape == (3,) and walk.batch_shape == ()
    eps = normal(4, 3, seed=7)
    z = noise.push(walk, eps)
    expected = [eps[:, 0]]
    for i in (1, 2):
        expected.append(0.5 * expected[-1] + eps[:, i])
    torch.testing.assert_close(z, torch.stack(expected, 1), **CLOSE)
    log_prob = stats.norm.logpdf(eps.numpy()).sum(1)
    np.testing.assert_allclose(walk.log_prob(z), log_prob, rtol=1e-12)
    assert noise.sample(walk, 4, noise.stream(0)).shape == (4, 3)


def test_discrete_parts_are_drawn_with_their_probabilities():
    coin = td.Independent(td.Bernoulli(torch.tensor([0.3], dtype=F64)), 1)
    copy = Chain(coin, coin_too, 1)
    assert not copy.has_rsample
    z = noise.sample(copy, 40_000, noise.stream(0, "coins"))
    assert_mean(z, torch.tensor([0.3, 0.38], dtype=F64), error=0.05)
    assert_mean(z.prod(-1), 0.3 * 0.8, error=0.05)


def test_the_pathwise_gradient_goes_through_both_parts():
    guide = small()[1].double()
    x, eps = normal(2, 6, seed=9), normal(3, 2, D1 + D2, seed=10)
    value = estimators.pathwise(lambda z, q: z.square().sum(-1), guide(x), eps)
    torch.testing.assert_close(
        value, noise.push(guide(x), eps).square().sum(-1).mean(0), **CLOSE
    )
    value.sum().backward()
    assert all(p.grad.abs().max() > 0 for p in guide.parameters())
    with pytest.raises(TypeError, match="q: expected one of Normal, .* got Chain"):
        estimators.sticking_the_landing(lambda z, q: q.log_prob(z), guide(x), eps)
    coin = Chain(td.Independent(td.Bernoulli(torch.ones(2, 1) / 2), 1), coin_too, 1)
    with pytest.raises(TypeError, match="q: Chain has no differentiable path"):
        estimators.pathwise(lambda z, q: z.sum(-1), coin, eps[..., :2])


def coin_too(a):
    return td.Independent(td.Bernoulli(0.2 + 0.6 * a), 1)


def test_bad_chains_are_named():
    with pytest.raises(ValueError, match=r"first: .* one event axis, got .* \(\)"):
        Chain(td.Normal(0.0, 1.0), lambda a: a, 1)
    with pytest.raises(ValueError, match=r"a last axis of 5, got shape \(7, 4\)"):
        MODEL.prior().log_prob(torch.zeros(7, 4))


def small(seed=0):
    """A deep model of two layers for bits, and its guide, as Burda et al. draw it."""
    model = TwoLayerModel(
        mlp(D1, 8, 6), Bernoulli(), Amortized(mlp(D2, 8, 2 * D1)), (D1, D2)
    )
    guide = Chained(
        Amortized(mlp(6, 8, 2 * D1)), Amortized(mlp(D1, 8, 2 * D2)), D2
    )
    for i, p in enumerate([*model.parameters(), *guide.parameters()]):
        nn.init.normal_(p, 0, 0.3, generator=noise.stream(seed, i))
    probs = torch.tensor([[0.9, 0.9, 0.9, 0.1, 0.1, 0.5], [0.1] * 3 + [0.9] * 3])
    data = noise.sample(td.Bernoulli(probs), 40, noise.stream(1)).flatten(0, 1)
    return model, guide, data


def test_densities_of_the_layers_add_up():
    model, guide, data = small()
    x, z = data[:4], normal(7, 4, D1 + D2, seed=8).float()
    z1, z2 = z[..., :D1], z[..., D1:]
    unit = td.Normal(0.0, 1.0)
    prior = unit.log_prob(z2).sum(-1) + model.conditional(z2).log_prob(z1)
    torch.testing.assert_close(model.prior().log_prob(z), prior)
    q = guide.first(x).log_prob(z1) + guide.then(z1).log_prob(z2)
    torch.testing.assert_close(guide(x).log_prob(z), q)
    likelihood = Bernoulli()(model.decoder(z1))
    torch.testing.assert_close(model.likelihood(z).log_prob(x), likelihood.log_prob(x))
    assert model.double().prior().first.mean.dtype == F64


@pytest.mark.parametrize("bound", [bounds.elbo, bounds.importance_weighted])
def test_two_layers_train(bound):
    model, guide, data = small()
    before = [p.clone() for m in (model, guide) for p in m.parameters()]
    run = train(model, guide, bound, data, steps=150, batch_size=40, lr=0.01,
                samples=3, report_every=50, device="cpu")
    assert run.bounds[-1] > run.bounds[0] + 0.5
    after = [p for m in (model, guide) for p in m.parameters()]
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    found = log_evidence(model, guide, data, samples=100)
    independent = td.Bernoulli(data.mean(0)).log_prob(data).sum(1).mean()
    assert found.value.mean() > independent  # the pixels are not independent
    assert decoder_spread(model).shape == (6,)
    assert mutual_information(model, guide, pairs=50, samples=50).value > 0


def test_training_reaches_the_exact_chain():
    """With the model given, the guide's bound comes near the evidence."""
    guide = Chained(
        Amortized(nn.Linear(P, FullGaussian(D1).size), FullGaussian(D1)),
        Amortized(nn.Linear(D1, FullGaussian(D2).size), FullGaussian(D2)),
        D2,
    ).double()
    for p in guide.parameters():
        nn.init.zeros_(p)
    x = X - X.mean(0)
    model = Exact()
    model.emission = Linear(W, LOC - X.mean(0), S0)
    first, last = (
        train(model, guide, bounds.elbo, x, steps=steps, lr=lr, samples=16,
              report_every=100, device="cpu").bounds
        for steps, lr in ((400, 0.03), (100, 0.003))
    )
    exact = MODEL.log_evidence(X).mean().item()
    assert first[0] < exact - 0.5 and abs(last[-1] - exact) < 0.05


def test_a_part_that_is_not_finite_is_named():
    model, guide, data = small()
    encoder = guide.first.encoder

    class Broken(nn.Module):
        def __init__(self, at):
            super().__init__()
            self.net, self.at = encoder, at

        def forward(self, x):
            out = self.net(x).clone()
            out[2, self.at] = math.nan
            return out

    for at, what in ((0, "q's loc"), (D1, "q's log scale")):
        guide.first.encoder = Broken(at)
        with pytest.raises(FloatingPointError, match=f"{what} is not finite"):
            train(model, guide, bounds.elbo, data, steps=1, device="cpu")


def test_a_flow_can_stand_on_top():
    model, _, data = small()
    family = CouplingFlow(D2, layers=2, hidden=4)
    guide = Chained(
        Amortized(mlp(6, 8, 2 * D1)),
        Amortized(mlp(D1, 8, family.size), family),
        D2,
    )
    run = train(model, guide, bounds.elbo, data, steps=30, batch_size=40, lr=0.01,
                report_every=10, device="cpu")
    assert run.bounds[-1] > run.bounds[0]


@pytest.mark.cuda
def test_two_layers_train_on_the_gpu():
    model, guide, data = small()
    run = train(model, guide, bounds.elbo, data, steps=100, batch_size=40, lr=0.01,
                report_every=50, device="cuda")
    assert run.bounds[-1] > run.bounds[0]
    x = data.cuda()
    assert log_evidence(model, guide, x, samples=20).value.is_cuda
    assert active_units(guide, x).is_cuda
    assert aggregate_kl(guide, model.prior(), x).value.is_cuda
