"""The linear VAE against probabilistic PCA: what is trained, and what is foretold."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.autograd import functional

from vaelib import bounds, data, divergences
from vaelib.guides import Amortized
from vaelib.models import DeepModel, Gaussian, LinearGaussian
from vaelib.training import train

P, D = 64, 8
GREY = data.digits(torch.float64).train_x / data.DIGIT_LEVELS
X = GREY - GREY.mean(0)
COVARIANCE = X.T @ X / len(X)
SPECTRUM, VECTORS = (v.flip(-1) for v in torch.linalg.eigh(COVARIANCE))


def log_lik(weight, variance):
    """The average log-likelihood of the digits."""
    model = LinearGaussian(weight, torch.zeros(P).double(), variance**0.5)
    return model.log_evidence(X).mean().item()


def at(kept, variance, latents=D):
    """W with these eigenvectors, its other columns zero."""
    weight = torch.zeros(P, latents, dtype=torch.float64)
    for column, j in enumerate(kept):
        weight[:, column] = VECTORS[:, j] * (SPECTRUM[j] - variance).sqrt()
    return weight


class LinearEncoder(nn.Module):
    """μ linear in x, and the same scales for every x."""

    def __init__(self):
        super().__init__()
        self.loc = nn.Linear(P, D)
        self.log_scale = nn.Parameter(torch.zeros(D))

    def forward(self, x):
        loc = self.loc(x)
        return torch.cat([loc, self.log_scale.expand_as(loc)], -1)


def fit(noise, learned, seed):
    """A linear VAE trained by the public trainer; as an exact model, and its guide."""
    torch.manual_seed(seed)
    family = Gaussian(noise**0.5, learned=learned)
    model = DeepModel(nn.Linear(D, P), family, D).double()
    guide = Amortized(LinearEncoder()).double()
    for stage, (lr, steps) in enumerate([(0.02, 400), (0.005, 300), (0.001, 300)]):
        settings = {"lr": lr, "steps": steps, "batch_size": 500, "device": "cpu"}
        train(model, guide, bounds.elbo, X, seed=10 * seed + stage, **settings)
    scale = family.log_scale.detach().exp()
    weight, loc = model.decoder.weight.detach(), model.decoder.bias.detach()
    return LinearGaussian(weight, loc, scale), guide


@torch.no_grad()
def active(guide):
    return int((guide(X).mean.var(0, correction=0) > 0.01).sum())


def test_learned_noise_reaches_the_likelihood_of_probabilistic_pca():
    best = LinearGaussian.maximum_likelihood(X, D)
    model, guide = fit(1.0, learned=True, seed=1)
    with torch.no_grad():
        gap = (best.log_evidence(X) - model.log_evidence(X)).mean().item()
    assert 0 <= gap < 0.05  # nats per datum
    assert active(guide) == active(best.posterior) == D


@pytest.mark.parametrize("noise, foretold", [(0.5, 3), (0.3, 4)])
def test_fixed_noise_keeps_as_many_dimensions_as_eigenvalues_above_it(noise, foretold):
    assert int((SPECTRUM > noise).sum()) == foretold
    model, guide = fit(noise, learned=False, seed=2)
    best = log_lik(at(range(foretold), noise), noise)
    with torch.no_grad():
        gap = best - model.log_evidence(X).mean().item()
    assert 0 <= gap < 0.05
    assert active(guide) == foretold


@pytest.mark.parametrize("kept", [(), (0,), (2,), (0, 3), (1, 2, 3)])
def test_any_subset_of_eigenvectors_is_stationary_with_the_height_foretold(kept):
    noise = 0.3
    weight = at(kept, noise)
    ratio = SPECTRUM[list(kept)] / noise
    gain = (ratio - 1 - ratio.log()).sum().item() / 2
    found = log_lik(weight, noise) - log_lik(torch.zeros_like(weight), noise)
    assert found == pytest.approx(gain, abs=1e-10)

    def value(weight):
        covariance = weight @ weight.T + noise * torch.eye(P, dtype=weight.dtype)
        inverse = torch.linalg.inv(covariance)
        return -(torch.logdet(covariance) + (inverse * COVARIANCE).sum()) / 2

    assert functional.jacobian(value, weight).abs().max() < 1e-10


def test_only_the_largest_eigenvalues_above_the_noise_make_a_maximum():
    noise, small = 0.3, 0.01
    best = at((0, 1, 2, 3), noise)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        step = torch.randn(P, D, generator=generator, dtype=torch.float64)
        assert log_lik(best + small * step, noise) < log_lik(best, noise)
    # One left out: it wants in. A worse one kept in its place: it wants to turn.
    missing = at((0, 1, 2), noise)
    grown = missing.clone()
    grown[:, -1] = small * VECTORS[:, 3]
    curvature = 2 * (log_lik(grown, noise) - log_lik(missing, noise)) / small**2
    expected = (SPECTRUM[3] - noise).item() / noise**2
    assert curvature == pytest.approx(expected, rel=1e-3)
    grown[:, -1] = small * VECTORS[:, 4]  # its eigenvalue is below the noise
    assert log_lik(grown, noise) < log_lik(missing, noise)


@pytest.mark.parametrize("beta", [0.25, 1.0, 3.0])
def test_beta_makes_its_thresholds_rates_and_errors(beta):
    """The optimum found by Newton's method on one direction's β-ELBO."""
    noise = 0.1
    for value in SPECTRUM[[0, 3, 8]].tolist():
        x = torch.tensor([[value**0.5], [-(value**0.5)]], dtype=torch.float64)
        prior = torch.distributions.Normal(torch.zeros(1).double(), 1.0)

        def parts(point, x=x, prior=prior):
            w, v, log_s = point
            q = torch.distributions.Normal(v * x, log_s.exp().expand_as(x))
            error = (x - w * q.mean).square() + (w * q.scale) ** 2
            return error.mean(), divergences.kl(q, prior).mean()

        def objective(point, parts=parts):
            error, rate = parts(point)
            return -error / (2 * noise) - beta * rate

        level = beta * noise
        active = value > level
        point = torch.tensor([0.4, 0.4, -0.1] if active else [0.1, 0.1, 0.1]).double()
        point.requires_grad_()
        optimizer = torch.optim.LBFGS(
            [point],
            max_iter=500,
            tolerance_grad=1e-12,
            tolerance_change=1e-16,
            line_search_fn="strong_wolfe",
        )

        def closure(optimizer=optimizer, point=point, objective=objective):
            optimizer.zero_grad()
            loss = -objective(point)
            loss.backward()
            return loss

        optimizer.step(closure)
        error, rate = (t.item() for t in parts(point.detach()))
        assert point[0].item() ** 2 == pytest.approx(max(value - level, 0), abs=1e-6)
        assert error == pytest.approx(min(value, level), abs=1e-6)
        assert rate == pytest.approx(max(math.log(value / level), 0) / 2, abs=1e-6)
