"""Guides give one distribution per datum; the prior as guide makes the bad bound."""

from __future__ import annotations

import pytest
import torch
from torch import distributions as td
from torch import nn

from tests.exact import CASES, CLOSE, F64, normal
from vaelib import bounds
from vaelib.guides import AmortizedGaussian, FreeGaussian, PriorGuide
from vaelib.models import Binomial, DeepModel, LinearGaussian, mlp


def test_a_free_guide_has_parameters_of_its_own_for_each_datum():
    guide, x = FreeGaussian(4, 2).double(), normal(4, 7, seed=1)
    q = guide(x)
    assert q.batch_shape == (4,) and q.event_shape == (2,)
    assert torch.equal(q.mean, torch.zeros(4, 2, dtype=F64))
    assert torch.equal(q.stddev, torch.ones(4, 2, dtype=F64))
    with torch.no_grad():
        guide.log_scale[1, 0] = -1.0
        guide.loc[2, 1] = 3.0
    assert guide(x).stddev[1, 0].item() == pytest.approx(torch.e**-1)
    assert guide(x).mean[2, 1] == 3 and guide(x).mean.sum() == 3


@pytest.mark.parametrize("rows", [1, 3, 5])
def test_a_free_guide_takes_the_whole_data_set(rows):
    match = f"x: expected all 4 data that this guide has parameters for, got {rows}"
    with pytest.raises(ValueError, match=match):
        FreeGaussian(4, 2)(torch.zeros(rows, 7))


def test_an_encoder_gives_loc_and_log_scale_in_this_order():
    encoder = nn.Linear(3, 4).double()
    x = normal(5, 3, seed=2)
    q = AmortizedGaussian(encoder)(x)
    assert q.batch_shape == (5,) and q.event_shape == (2,)
    torch.testing.assert_close(q.mean, encoder(x)[:, :2])
    torch.testing.assert_close(q.stddev, encoder(x)[:, 2:].exp())


@pytest.mark.parametrize("name", CASES)
def test_with_the_prior_as_guide_a_log_weight_is_the_log_likelihood(name):
    case = CASES[name]
    guide = PriorGuide(case.model)
    q = guide(case.x)
    assert q.batch_shape == (len(case.x),)
    assert q.event_shape == case.model.prior().event_shape
    log_w = bounds.log_weights(case.model, q, case.x, case.z)
    expected = case.model.likelihood(case.z).log_prob(case.x)
    torch.testing.assert_close(log_w, expected, **CLOSE)


def test_the_prior_guide_owns_no_parameter_and_follows_its_model():
    model = DeepModel(mlp(2, 3, 4), Binomial(16), 2)
    guide = PriorGuide(model)
    assert not list(guide.parameters()) and not guide.state_dict()
    assert guide(torch.zeros(3, 4)).mean.dtype == torch.float32
    model.double()
    assert guide(torch.zeros(3, 4)).mean.dtype == F64


def test_an_exact_posterior_is_a_guide():
    model = LinearGaussian(normal(3, 2, seed=3), normal(3, seed=4), 0.5)
    q = model.posterior(normal(6, 3, seed=5))
    assert isinstance(q, td.Distribution)
    assert q.batch_shape == (6,) and q.event_shape == (2,)
