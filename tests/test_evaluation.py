"""Estimates of the evidence against models that know it, and their standard errors."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from torch import distributions as td

from tests.exact import CLOSE, F64, normal
from tests.statistics import assert_mean
from vaelib.bounds import importance_weighted, log_weights
from vaelib.evaluation import (
    decoder_spread,
    evidence,
    log_evidence,
    mutual_information,
)
from vaelib.guides import Amortized, DiagonalGaussian, Free
from vaelib.models import Bernoulli, Binomial, DeepModel, LinearGaussian, mlp
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


@pytest.mark.parametrize("dtype, error", [(torch.float32, 2e-7), (F64, 1e-13)])
@pytest.mark.parametrize("family, most", [(Bernoulli(), 1), (Binomial(16), 16)])
def test_a_deep_model_gets_what_the_formula_gives_written_out(
    family, most, dtype, error
):
    torch.manual_seed(0)
    model = DeepModel(mlp(4, 30, 784), family, 4).to(dtype)
    guide = Amortized(mlp(784, 30, 8)).to(dtype)
    x = torch.arange(3 * 784).remainder(most + 1).reshape(3, 784).to(dtype)
    found = log_evidence(model, guide, x, samples=50, seed=4, max_rows=60)
    z = sample(guide(x), 50, stream(4, "evidence", 0, 0))
    base = td.Binomial(most, logits=model.decoder(z))
    log_lik = base.log_prob(x.expand(50, 3, 784)).sum(-1)
    log_w = log_lik + model.prior().log_prob(z) - guide(x).log_prob(z)
    expected = log_w.double().logsumexp(0) - math.log(50)
    # some 500 nats of bits and 4,000 of counts: 1e-4 and 8e-4 in float32
    torch.testing.assert_close(found.value, expected.detach(), rtol=error, atol=0)


@pytest.mark.parametrize("max_rows", [1, 3, 8, 21, 1000])
def test_how_much_is_decoded_at_once_changes_nothing(monkeypatch, max_rows):
    monkeypatch.setattr(evidence, "DRAWN", 60)  # portions of 12, 12 and 6 codes
    expected = log_evidence(MODEL, wide, X, samples=30)
    found = log_evidence(MODEL, wide, X, samples=30, max_rows=max_rows)
    torch.testing.assert_close(found.value, expected.value, **CLOSE)
    torch.testing.assert_close(found.standard_error, expected.standard_error, **CLOSE)


def test_portions_and_parts_use_different_noise(monkeypatch):
    monkeypatch.setattr(evidence, "SEEN", 2)
    monkeypatch.setattr(evidence, "DRAWN", 2)
    seen = []

    def guide(x):
        seen.append(len(x))
        return wide(x)

    together = log_evidence(MODEL, guide, X[:1].expand(5, 3), samples=40)
    assert len(set(together.value.tolist())) == 5 and seen == [2, 2, 1]
    narrow = log_evidence(MODEL, wide, X[:1], samples=40)
    assert narrow.standard_error.item() > 1e-3


def test_a_guide_with_parameters_for_each_datum_sees_them_all():
    table = torch.cat([X[:, :2], torch.zeros(5, 2)], 1)
    guide = Free(table, DiagonalGaussian(2)).double()
    assert log_evidence(MODEL, guide, X, samples=3, max_rows=1).value.shape == (5,)


GROWTH = """
import resource, torch
from vaelib import evaluation, guides, models

def peak(samples, data):
    x = torch.zeros(data, 200)
    evaluation.log_evidence(model, guide, x, samples=samples)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

torch.set_num_threads(1)
model = models.DeepModel(models.mlp(20, 8, 200), models.Bernoulli(), 20)
guide = guides.Amortized(models.mlp(200, 8, 40))
print(peak(20, 50), peak(2000, 50), peak(20_000, 50), peak(50, 20_000))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory in kilobytes")
def test_memory_is_set_neither_by_the_number_of_samples_nor_of_data():
    done = subprocess.run(
        [sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True
    )
    few, portion, samples, data = map(float, done.stdout.split())  # in MB
    assert portion < few + 150  # all logits of a portion at once would be 80 each
    assert samples < portion + 60 and data < portion + 60 + 2 * 16  # x itself is 16


def test_a_bar_is_shown_where_asked_for(capsys):
    log_evidence(MODEL, wide, X, samples=7, progress=True)
    assert "35.0/35.0" in capsys.readouterr().err
    for hidden in (None, False):  # None: there is no terminal here
        log_evidence(MODEL, wide, X, samples=7, progress=hidden)
        assert capsys.readouterr().err == ""
    mutual_information(MODEL, MODEL.posterior, pairs=3, samples=2)
    assert capsys.readouterr().err == ""


def test_weights_that_are_no_numbers_are_named():
    model = DeepModel(mlp(2, 3), Bernoulli(), 2).double()
    torch.nn.init.constant_(model.decoder[0].bias, float("inf"))
    bits = torch.tensor([[1.0, 1, 1], [1, 0, 1], [0, 0, 0]], dtype=F64)
    guide = Amortized(mlp(3, 4)).double()
    with pytest.raises(FloatingPointError, match="log p.x.: .* for 3 of the data, fir"):
        log_evidence(model, guide, bits, samples=3)
    with pytest.raises(ValueError, match="support"):
        log_evidence(model, guide, bits / 2, samples=3)


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
    with pytest.raises(ValueError, match=r"x: expected at least 1 datum.*\(0, 3\)"):
        log_evidence(MODEL, wide, X[:0])


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
