"""Estimates of the evidence against models that know it, and their standard errors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import distributions as td

from tests.exact import CLOSE, F64, normal
from tests.statistics import assert_mean
from vaelib.bounds import importance_weighted, log_weights
from vaelib.evaluation import decoder_spread, log_evidence, mutual_information
from vaelib.models import LinearGaussian
from vaelib.noise import sample, stream

MODEL = LinearGaussian(normal(3, 2, seed=71), normal(3, seed=72), 0.7).requires_grad_(
    False
)
X = MODEL.loc + 1.5 * normal(5, 3, seed=73)
EXACT = MODEL.log_evidence(X)


def wide(x):
    """A guide twice as wide as the posterior and beside it: the weights are bounded."""
    p = MODEL.posterior(x)
    return td.MultivariateNormal(p.mean + 0.3, scale_tril=2 * p.scale_tril)


class Recorder:
    """A model that notes how many rows its decoder has seen at once."""

    def __init__(self):
        self.rows = []

    def prior(self):
        return MODEL.prior()

    def likelihood(self, z):
        self.rows.append(z.shape[:-1].numel())
        return MODEL.likelihood(z)


def test_with_the_posterior_as_guide_the_evidence_is_exact_and_has_no_error():
    found = log_evidence(MODEL, MODEL.posterior, X, samples=10)
    torch.testing.assert_close(found.value, EXACT, **CLOSE)
    assert found.value.shape == (5,) and (found.standard_error < 1e-6).all()


def test_the_weights_average_to_the_evidence():
    z = sample(wide(X), 40_000, stream(0, "weights"))
    ratio = (log_weights(MODEL, wide(X), X, z) - EXACT).exp()
    assert_mean(ratio, 1.0, error=0.1)
    found = log_evidence(MODEL, wide, X, samples=40_000)
    assert ((found.value - EXACT).abs() < 5.5 * found.standard_error).all()
    assert (found.standard_error < 0.02).all()  # 5.5 SE: a false alarm in 5e6 runs


def test_it_is_the_importance_weighted_bound_of_its_samples():
    found = log_evidence(MODEL, wide, X, samples=50, seed=3, max_rows=1000)
    z = sample(wide(X), 50, stream(3, "evidence", 0, 0))
    log_w = log_weights(MODEL, wide(X), X, z)
    torch.testing.assert_close(found.value, importance_weighted(log_w), **CLOSE)
    w = log_w.exp()  # the delta method: the standard error of the mean over the mean
    expected = w.std(0) / 50**0.5 / w.mean(0)
    torch.testing.assert_close(found.standard_error, expected, **CLOSE)


def test_the_standard_error_is_the_spread_over_seeds():
    runs = [log_evidence(MODEL, wide, X, samples=500, seed=s) for s in range(400)]
    values = torch.stack([r.value for r in runs])
    stated = torch.stack([r.standard_error for r in runs]).mean(0)
    squares = ((values - values.mean(0)) / stated) ** 2
    assert_mean(squares, 1.0, error=0.8)


@pytest.mark.parametrize("max_rows", [1, 3, 7, 16, 1000])
def test_memory_is_bounded_and_every_sample_is_used(max_rows):
    model = Recorder()
    found = log_evidence(model, MODEL.posterior, X, samples=11, max_rows=max_rows)
    assert max(model.rows) <= max_rows and sum(model.rows) == 11 * len(X)
    torch.testing.assert_close(found.value, EXACT, **CLOSE)


def test_portions_use_different_noise():
    together = log_evidence(MODEL, wide, X[:1].expand(4, 3), samples=40, max_rows=2)
    assert len(set(together.value.tolist())) == 4
    narrow = log_evidence(MODEL, wide, X[:1], samples=40, max_rows=1)
    assert narrow.standard_error.item() > 1e-3


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    a, b, c = (log_evidence(MODEL, wide, X, samples=20, seed=s) for s in (1, 1, 2))
    assert torch.equal(a.value, b.value)
    assert torch.equal(a.standard_error, b.standard_error)
    assert not torch.equal(a.value, c.value)


def test_no_graph_is_kept():
    model = LinearGaussian(normal(3, 2, seed=71), normal(3, seed=72), 0.7)
    assert not log_evidence(model, wide, X, samples=5).value.requires_grad


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match="samples: expected at least 2, got 1"):
        log_evidence(MODEL, wide, X, samples=1)
    with pytest.raises(ValueError, match="max_rows: expected at least 1, got 0"):
        log_evidence(MODEL, wide, X, max_rows=0)


def test_the_spread_of_a_linear_decoder_is_the_length_of_its_rows():
    found = decoder_spread(MODEL, samples=20_000)
    expected = MODEL.weight.norm(dim=1)
    means = MODEL.likelihood(sample(MODEL.prior(), 20_000, stream(0, "decoder"))).mean
    assert_mean((means - MODEL.loc) ** 2, expected**2, error=0.5)
    torch.testing.assert_close(found, means.std(0))
    flat = LinearGaussian(torch.zeros(3, 2), torch.ones(3), 1.0)
    assert torch.equal(decoder_spread(flat), torch.zeros(3))


def test_mutual_information_of_a_linear_gaussian_model():
    ratio = MODEL.weight @ MODEL.weight.T / MODEL.scale**2
    exact = torch.logdet(torch.eye(3, dtype=F64) + ratio).item() / 2
    found = mutual_information(MODEL, MODEL.posterior, pairs=20_000, samples=2)
    assert abs(found.value.item() - exact) < 5 * found.standard_error.item()
    # the pairs' log-ratios have the variance below, so the error stated is the true one
    rho = torch.linalg.eigvalsh(ratio)
    variance = (rho / (1 + rho)).sum().item()
    expected = math.sqrt(variance / 20_000)
    assert found.standard_error.item() == pytest.approx(expected, rel=0.05)
    assert 5 * found.standard_error.item() < exact / 10
