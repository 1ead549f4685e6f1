"""The digits are scikit-learn's, split for good; the toy densities are as stated."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from tests.exact import CLOSE, F64
from vaelib import data
from vaelib.models import Binomial
from vaelib.quadrature import gauss_legendre


def test_digits_are_counts_and_each_is_used_once():
    d = data.digits()
    x, y = torch.cat([d.train_x, d.test_x]), torch.cat([d.train_y, d.test_y])
    assert x.shape == (1797, 64) and len(d.test_x) == 297 and x.dtype == torch.float32
    assert torch.equal(x, x.round()) and x.min() == 0 and x.max() == data.DIGIT_LEVELS
    assert Binomial(data.DIGIT_LEVELS)(torch.zeros(64)).support.check(x).all()
    original = np.column_stack(load_digits(return_X_y=True))
    ours = np.column_stack([x, y])
    assert sorted(map(tuple, ours)) == sorted(map(tuple, original))


def test_the_split_is_stratified():
    d = data.digits()
    train, test = d.train_y.bincount(), d.test_y.bincount()
    share = test / (train + test)
    assert (share - 297 / 1797).abs().max() < 0.006  # one digit in 174 to 183


def test_the_split_never_changes():
    first = data.digits().test_x.to(torch.uint8).numpy().tobytes()
    assert hashlib.sha256(first).hexdigest()[:16] == "4a5af014b67bc9c1"
    assert data.digits().test_y[:10].tolist() == [7, 3, 1, 3, 0, 3, 4, 7, 3, 5]
    assert data.digits(F64).test_x.dtype == F64


def test_the_bimodal_density_integrates_to_one_and_has_its_moments():
    q = data.bimodal(gap=3.0, scale=0.5)
    z, w = gauss_legendre(200, -8, 8)
    density = q.log_prob(z).exp()
    one = torch.tensor(1.0, dtype=F64)
    torch.testing.assert_close(w @ density, one, **CLOSE)
    torch.testing.assert_close(w @ (density * z), 0 * one, **CLOSE)
    torch.testing.assert_close(w @ (density * z**2), (0.25 + 9 / 4) * one, **CLOSE)
    torch.testing.assert_close(q.variance, 2.5 * one)
    assert q.log_prob(0 * one) < q.log_prob(1.5 * one) == q.log_prob(-1.5 * one)


def test_the_correlated_gaussian_has_its_correlation():
    q = data.correlated_gaussian(-0.8)
    expected = torch.tensor([[1.0, -0.8], [-0.8, 1.0]], dtype=F64)
    torch.testing.assert_close(q.covariance_matrix, expected)
    assert torch.equal(q.mean, torch.zeros(2, dtype=F64))


@pytest.mark.parametrize("rho", [-1, 1, 1.5, float("nan")])
def test_a_correlation_is_between_minus_one_and_one(rho):
    with pytest.raises(
        ValueError, match="rho: expected a correlation between -1"
    ):
        data.correlated_gaussian(rho)
