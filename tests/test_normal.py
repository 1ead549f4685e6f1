"""The normal distribution by log σ is torch's by σ."""

from __future__ import annotations

import pytest
import torch
from torch import distributions as td

from vaelib import noise
from vaelib.normal import LogScaleNormal

G = noise.stream(0, "normal")
LOC, LOG_SCALE = torch.randn(2, 5, 3, generator=G, dtype=torch.float64)
X = 4 * torch.randn(7, 5, 3, generator=G, dtype=torch.float64)


def pair(loc=LOC, log_scale=LOG_SCALE, **options):
    own = LogScaleNormal(loc, log_scale, **options)
    return own, td.Normal(loc, log_scale.exp(), **options)


@pytest.mark.parametrize("shape", [(5, 3), (7, 5, 3), (2, 7, 5, 3)])
def test_density_is_that_of_torch(shape):
    own, other = (q.expand(shape) for q in pair())
    assert type(own) is LogScaleNormal
    assert own.batch_shape == other.batch_shape == shape
    torch.testing.assert_close(own.log_prob(X), other.log_prob(X), rtol=1e-13, atol=0)
    for what in ("mean", "stddev", "variance"):
        assert torch.equal(getattr(own, what), getattr(other, what))
    torch.testing.assert_close(own.entropy(), other.entropy(), rtol=1e-13, atol=0)


def test_gradients_are_those_of_torch():
    leaves = [t.clone().requires_grad_() for t in (LOC, LOG_SCALE, X)]
    own, other = (
        torch.autograd.grad(q.log_prob(leaves[2]).sum(), leaves)
        for q in pair(*leaves[:2])
    )
    for one, two in zip(own, other, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)


def test_density_where_the_scale_squared_is_not_a_float():
    # σ² = exp(−120) is 0 in float32, and log σ of a rounded σ is not log σ.
    log_scale = torch.tensor(-60.0)
    density = LogScaleNormal(torch.tensor(0.0), log_scale).log_prob(torch.tensor(0.0))
    exact = 60 - 0.918938533204672741780329736406
    assert density.item() == pytest.approx(exact, rel=1e-7)


def test_kl_is_registered_as_for_torch():
    own, other = pair()
    standard = td.Normal(torch.zeros_like(LOC), torch.ones_like(LOC))
    assert torch.equal(
        td.kl_divergence(own, standard), td.kl_divergence(other, standard)
    )


@pytest.mark.parametrize("validate", [True, False])
def test_values_are_checked_only_if_asked(validate):
    own, _ = pair(validate_args=validate)
    for q in (own, own.expand(own.batch_shape)):
        if validate:
            with pytest.raises(ValueError, match="support"):
                q.log_prob(X * float("nan"))
        else:
            assert q.log_prob(X * float("nan")).isnan().all()


def test_a_scale_that_is_not_positive_is_named():
    with pytest.raises(ValueError, match="scale"):
        pair(log_scale=torch.full_like(LOC, -torch.inf), validate_args=True)
