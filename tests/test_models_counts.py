"""The quick log-density of bits and counts, against that of torch."""

from __future__ import annotations

import pytest
import torch
from torch import distributions as td

from tests.exact import F64, normal
from vaelib import models, noise
from vaelib.divergences import kl
from vaelib.models.counts import Counts

LOGITS = 5 * normal(7, 3, 40, seed=50)  # (S, B, P)
FAMILIES = {
    "bits": (models.Bernoulli(), lambda **k: td.Bernoulli(**k), 1),
    "counts": (models.Binomial(16), lambda **k: td.Binomial(16, **k), 16),
}
each = pytest.mark.parametrize("name", FAMILIES)


def of(name: str, logits: torch.Tensor = LOGITS):
    """The family's distribution, torch's own, and data `(B, P)` for both."""
    family, plain, most = FAMILIES[name]
    x = torch.arange(3 * 40, dtype=F64).mul(7).remainder(most + 1).reshape(3, 40)
    return family(logits), td.Independent(plain(logits=logits), 1), x


@each
@pytest.mark.parametrize("shape", [(3, 40), (1, 40), (40,), (7, 3, 40)])
def test_the_log_density_is_that_of_torch(name, shape):
    found, expected, x = of(name)
    x = x.expand(shape) if len(shape) == 3 else x[: shape[0]].reshape(-1, 40)
    x = x[0] if len(shape) == 1 else x
    difference = found.log_prob(x) - expected.log_prob(x)
    assert difference.shape == (7, 3) and difference.abs().max() < 1e-10


@each
def test_logits_of_any_size_cost_no_digits(name):
    logits = torch.linspace(-700, 700, 40, dtype=F64).expand(3, 40)
    found, expected, x = of(name, logits)
    torch.testing.assert_close(
        found.log_prob(x), expected.log_prob(x), rtol=1e-14, atol=0
    )
    single = of(name, logits.float())[0].log_prob(x.float())
    torch.testing.assert_close(single.double(), expected.log_prob(x), rtol=1e-6, atol=0)
    near = torch.full((3, 40), 30.0, dtype=F64)  # where float32 would no longer care
    found, expected, _ = of(name, near)
    top = torch.full((3, 40), float(found.most), dtype=F64)
    difference = found.log_prob(top) - expected.log_prob(top)
    assert difference.abs().max() < 1e-11


@each
def test_the_gradient_is_x_less_the_mean(name):
    logits = LOGITS.clone().requires_grad_()
    found, _, x = of(name, logits)
    (slope,) = torch.autograd.grad(found.log_prob(x).sum(), logits)
    torch.testing.assert_close(slope, (x - found.mean).detach(), rtol=1e-12, atol=1e-12)


@each
def test_it_is_an_independent_in_all_else(name):
    found, expected, x = of(name)
    assert isinstance(found, td.Independent) and found.event_shape == (40,)
    assert found.batch_shape == (7, 3)
    assert torch.equal(found.mean, expected.mean)
    assert torch.equal(found.variance, expected.variance)
    draws = (noise.sample(q, 5, noise.stream(0)) for q in (found, expected))
    assert torch.equal(*draws)
    other = of(name, -LOGITS)
    assert torch.equal(kl(found, other[0]), kl(expected, other[1]))
    if name == "bits":
        assert torch.equal(found.entropy(), expected.entropy())
    wide = found.expand((2, 7, 3))
    assert isinstance(wide, Counts) and wide.batch_shape == (2, 7, 3)
    torch.testing.assert_close(wide.log_prob(x)[1], found.log_prob(x))


@each
def test_data_outside_the_support_are_refused_and_what_is_no_number_shows(name):
    found, _, x = of(name)
    with pytest.raises(ValueError, match="within the support"):
        found.log_prob(x - 0.5)
    with pytest.raises(ValueError, match="support"):
        found.expand((7, 3)).log_prob(x + found.most + 1)
    logits = LOGITS.clone()
    logits[2, 1, 5] = float("nan")
    bad = FAMILIES[name][0](logits).log_prob(x).isnan()
    assert bad[2, 1] and bad.sum() == 1


def test_grey_bits_that_are_let_in_are_taken_as_torch_takes_them():
    grey = torch.linspace(0, 1, 40, dtype=F64)
    base = td.Bernoulli(logits=LOGITS, validate_args=False)
    found = Counts(base, 1, validate_args=False)
    expected = td.Independent(base, 1).log_prob(grey)
    torch.testing.assert_close(found.log_prob(grey), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.expand((7, 3)).log_prob(grey), expected)


@each
def test_it_maps_over_models(name):
    family, _, most = FAMILIES[name]

    def log_prob(logits, x):
        base = family(logits).base_dist
        return Counts(base, most, validate_args=False).log_prob(x)

    x = of(name)[2]
    mapped = torch.func.vmap(log_prob, in_dims=(0, None))(LOGITS, x)
    torch.testing.assert_close(mapped, of(name)[0].log_prob(x))
    gradient = torch.func.grad(lambda logits: log_prob(logits, x).sum())
    mapped = torch.func.vmap(gradient)(LOGITS)
    torch.testing.assert_close(mapped, x - of(name)[0].mean)


@each
def test_what_autocast_narrows_is_summed_in_full(name):
    x = of(name)[2].float()
    weight = normal(40, 40, seed=51).float() / 6
    with torch.autocast("cpu", torch.bfloat16):
        narrow = normal(7, 3, 40, seed=52).float() @ weight
        found = FAMILIES[name][0](narrow).log_prob(x)
    assert narrow.dtype == torch.bfloat16 and found.dtype == torch.float32
    expected = of(name, narrow.double())[1].log_prob(x.double())
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("most", [0, -1, 2.5, None])
def test_the_largest_count_must_be_a_number(most):
    with pytest.raises(ValueError, match="total_count: expected a whole number"):
        models.Binomial(most)
