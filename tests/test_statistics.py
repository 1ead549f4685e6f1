"""The Monte Carlo helper passes right means and no others; it refuses small samples."""

from __future__ import annotations

import pytest
import torch

from tests.statistics import TooFewSamples, assert_mean
from vaelib.noise import stream


def _sample(n: int) -> torch.Tensor:
    return torch.randn(n, 3, generator=stream(0, n), dtype=torch.float64)


def test_a_right_mean_passes_and_one_wrong_by_the_stated_error_fails():
    values = _sample(20_000)
    assert_mean(values, 0.0, error=0.1)
    with pytest.raises(AssertionError, match="is not"):
        assert_mean(values, torch.tensor([0.0, 0.1, 0.0]), error=0.1)


def test_a_sample_that_cannot_detect_the_error_is_refused():
    with pytest.raises(TooFewSamples, match="100 samples detect an error of"):
        assert_mean(_sample(100), 0.0, error=0.1)


def test_values_that_are_no_numbers_never_pass():
    with pytest.raises(TooFewSamples):
        assert_mean(torch.full((100,), float("nan")), 0.0, error=0.1)
