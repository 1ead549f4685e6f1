"""Divergences against closed forms written out here, SciPy, sums and quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import rel_entr
from torch import distributions as td

from tests.exact import CLOSE, F64, SIZES, normal
from tests.statistics import TooFewSamples, assert_mean
from vaelib import divergences
from vaelib.models import FiniteModel, LinearGaussian
from vaelib.noise import sample, stream

Q = td.Normal(torch.tensor([0.3, -1.0], dtype=F64), torch.tensor([0.5, 2.0], dtype=F64))
P = td.Normal(torch.tensor([1.0, 0.5], dtype=F64), torch.tensor([1.5, 0.7], dtype=F64))
TABLE = normal(3, 4, seed=21).softmax(1)
OTHER = normal(3, 4, seed=22).softmax(1)
DIAGONAL = td.Independent(td.Normal(normal(3, seed=23), normal(3, seed=24).exp()), 1)
ROOT = torch.eye(3, dtype=F64) + 0.4 * normal(3, 3, seed=25)
FULL = td.MultivariateNormal(normal(3, seed=26), ROOT @ ROOT.T)
LOW_RANK = td.LowRankMultivariateNormal(
    normal(3, seed=27), normal(3, 1, seed=28), torch.ones(3, dtype=F64)
)
MIXTURE = td.MixtureSameFamily(
    td.Categorical(torch.tensor([0.3, 0.7], dtype=F64)),
    td.Normal(
        torch.tensor([-1.0, 1.5], dtype=F64), torch.tensor([0.8, 0.6], dtype=F64)
    ),
)


def gaussian_kl(q, p) -> float:
    """KL between Gaussians from means and covariances, in NumPy."""
    mq, mp = q.mean.numpy(), p.mean.numpy()
    cq, cp = (getattr(d, "covariance_matrix", None) for d in (q, p))
    cq = np.diag(q.variance.numpy()) if cq is None else cq.numpy()
    cp = np.diag(p.variance.numpy()) if cp is None else cp.numpy()
    inverse, shift = np.linalg.inv(cp), mp - mq
    log_det = np.linalg.slogdet(cp)[1] - np.linalg.slogdet(cq)[1]
    trace = np.trace(inverse @ cq) + shift @ inverse @ shift - len(mq)
    return 0.5 * (trace + log_det)


def test_information_and_entropy():
    p = td.Categorical(TABLE)
    x = torch.tensor([3, 0, 2])
    expected = -torch.log(TABLE[torch.arange(3), x])
    torch.testing.assert_close(divergences.information(p, x), expected, **CLOSE)
    assert (divergences.information(p, x) > 0).all()
    narrow = td.Normal(torch.tensor(0.0, dtype=F64), 0.1)
    peak = divergences.information(narrow, torch.tensor(0.0, dtype=F64))
    assert float(peak) == pytest.approx(math.log(0.1) + math.log(2 * math.pi) / 2)
    entropy = torch.from_numpy(stats.entropy(TABLE.numpy(), axis=1))
    torch.testing.assert_close(divergences.entropy(p), entropy, **CLOSE)
    entropy = torch.from_numpy(stats.norm.entropy(Q.loc, Q.scale))
    torch.testing.assert_close(divergences.entropy(Q), entropy, **CLOSE)


def test_kl_of_finite_distributions_is_a_sum():
    found = divergences.kl(td.Categorical(TABLE), td.Categorical(OTHER))
    expected = rel_entr(TABLE.numpy(), OTHER.numpy()).sum(1)
    torch.testing.assert_close(found, torch.from_numpy(expected), **CLOSE)


def test_kl_of_normals():
    found = divergences.kl(Q, P)
    ratio, shift = Q.scale / P.scale, (P.loc - Q.loc) / P.scale
    expected = (ratio**2 + shift**2 - 1) / 2 - ratio.log()
    torch.testing.assert_close(found, expected, **CLOSE)
    torch.testing.assert_close(found, divergences.kl_quadrature(Q, P), **CLOSE)


@pytest.mark.parametrize("q", [DIAGONAL, FULL, LOW_RANK], ids=["diag", "full", "low"])
@pytest.mark.parametrize("p", [DIAGONAL, FULL, LOW_RANK], ids=["diag", "full", "low"])
def test_kl_of_gaussian_vectors_in_every_pairing(q, p):
    found = divergences.kl(q, p)
    assert float(found) == pytest.approx(gaussian_kl(q, p), rel=1e-10, abs=1e-10)
    assert (float(found) > 1e-3) == (q is not p)


def test_batches_of_diagonals_against_one_full_gaussian():
    loc, scale = normal(5, 3, seed=29), normal(5, 3, seed=30).exp()
    q = td.Independent(td.Normal(loc, scale), 1)
    found = divergences.kl(q, FULL)
    rows = [td.Independent(td.Normal(m, s), 1) for m, s in zip(loc, scale, strict=True)]
    expected = torch.tensor([gaussian_kl(row, FULL) for row in rows], dtype=F64)
    torch.testing.assert_close(found, expected, **CLOSE)


def test_kl_is_not_symmetric_and_zero_only_between_equals():
    assert (divergences.kl(Q, P) - divergences.kl(P, Q)).abs().min() > 0.1
    torch.testing.assert_close(divergences.kl(Q, Q), torch.zeros(2, dtype=F64), **CLOSE)
    assert (divergences.kl(Q, P) > 0).all()


def test_kl_where_a_probability_vanishes():
    zero = td.Categorical(torch.tensor([0.5, 0.5, 0.0], dtype=F64))
    full = td.Categorical(torch.tensor([0.25, 0.25, 0.5], dtype=F64))
    assert float(divergences.kl(zero, full)) == pytest.approx(math.log(2))
    assert divergences.kl(full, zero) == math.inf
    assert divergences.cross_entropy(full, zero) == math.inf


def test_kl_without_a_closed_form_says_so():
    with pytest.raises(NotImplementedError):
        divergences.kl(MIXTURE, P)
    # a Normal in two axes is no vector: it must not be taken for one
    with pytest.raises(NotImplementedError):
        divergences.kl(FULL, td.Normal(torch.zeros(3), torch.ones(3)))
    with pytest.raises(NotImplementedError):
        divergences.kl(td.Independent(td.Bernoulli(torch.ones(3) / 2), 1), FULL)


def test_cross_entropy_is_entropy_plus_divergence():
    found = divergences.cross_entropy(td.Categorical(TABLE), td.Categorical(OTHER))
    torch.testing.assert_close(found, -(TABLE * OTHER.log()).sum(1), **CLOSE)
    found = divergences.cross_entropy(Q, P)
    square = Q.scale**2 + (Q.loc - P.loc) ** 2
    expected = torch.log(2 * torch.pi * P.scale**2) / 2 + square / (2 * P.scale**2)
    torch.testing.assert_close(found, expected, **CLOSE)


def test_cross_entropy_without_a_closed_form_is_by_quadrature():
    p = td.Normal(torch.tensor(1.0, dtype=F64), torch.tensor(1.5, dtype=F64))
    square = MIXTURE.variance + (MIXTURE.mean - p.loc) ** 2
    expected = torch.log(2 * torch.pi * p.scale**2) / 2 + square / (2 * p.scale**2)
    torch.testing.assert_close(divergences.cross_entropy(MIXTURE, p), expected, **CLOSE)


@pytest.mark.parametrize("q, p", [(DIAGONAL, FULL), (FULL, DIAGONAL)])
def test_quadrature_agrees_with_the_closed_form(q, p):
    found = divergences.kl_quadrature(q, p, n=5)
    torch.testing.assert_close(found, divergences.kl(q, p), **CLOSE)


def test_quadrature_enumerates_finite_distributions():
    q, p = td.Categorical(TABLE), td.Categorical(OTHER)
    torch.testing.assert_close(
        divergences.kl_quadrature(q, p), divergences.kl(q, p), **CLOSE
    )


def test_monte_carlo_agrees_within_its_standard_error():
    n = 20_000
    value, error = divergences.kl_monte_carlo(Q, P, n, stream(0, "kl"))
    z = sample(Q, n, stream(0, "kl"))
    differences = Q.log_prob(z) - P.log_prob(z)
    assert_mean(differences, divergences.kl(Q, P), error=0.5)
    assert_mean(differences.abs() / differences.abs(), 1.0, error=0.1)
    torch.testing.assert_close(value, differences.mean(0))
    torch.testing.assert_close(error, differences.std(0) / n**0.5)
    with pytest.raises(TooFewSamples):
        assert_mean(differences[:100], divergences.kl(Q, P), error=0.5)


def test_a_standard_error_is_the_unbiased_one():
    values = normal(7, 2, seed=31)
    found = divergences.mean_and_error(values)
    assert isinstance(found, divergences.Estimate)
    np.testing.assert_allclose(found.value, values.numpy().mean(0))
    np.testing.assert_allclose(found.standard_error, stats.sem(values.numpy(), axis=0))


def test_a_standard_error_needs_two_samples():
    with pytest.raises(ValueError, match="n: expected at least 2 samples, got 1"):
        divergences.kl_monte_carlo(Q, P, 1, stream(0))
    divergences.kl_monte_carlo(Q, P, 2, stream(0))


def test_both_informations_of_a_finite_model_are_sums():
    prior = normal(3, seed=32).softmax(0)
    model = FiniteModel(prior, TABLE)
    joint = prior.unsqueeze(1) * TABLE
    product = torch.outer(prior, joint.sum(0))
    mutual = (joint * (joint / product).log()).sum()
    lautum = (product * (product / joint).log()).sum()
    assert float(mutual) > 0.01 and abs(float(mutual - lautum)) > 1e-4
    torch.testing.assert_close(divergences.mutual_information(model), mutual, **CLOSE)
    torch.testing.assert_close(divergences.lautum_information(model), lautum, **CLOSE)


def test_independent_parts_inform_of_nothing():
    model = FiniteModel(TABLE[0], TABLE[:1].expand(4, 4))
    for information in (divergences.mutual_information, divergences.lautum_information):
        assert float(information(model)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("p, d", SIZES)
def test_both_informations_of_a_linear_gaussian_model(p, d):
    weight, scale = normal(p, d, seed=33), 0.8
    model = LinearGaussian(weight, normal(p, seed=34), scale)
    ratio = weight @ weight.T / scale**2
    mutual = torch.logdet(torch.eye(p, dtype=F64) + ratio) / 2
    found = divergences.mutual_information(model)
    torch.testing.assert_close(found, mutual, **CLOSE)
    found = divergences.lautum_information(model)  # the two add up to tr WWᵀ / σ²
    torch.testing.assert_close(found, ratio.trace() - mutual, **CLOSE)
