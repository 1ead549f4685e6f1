"""The use of the latent space against closed forms, quadrature and enumeration."""

from __future__ import annotations

import math

import pytest
import torch
from torch import distributions as td

from tests.exact import CLOSE, F64, normal
from tests.statistics import assert_mean
from vaelib import noise
from vaelib.divergences import kl
from vaelib.evaluation import active_units, aggregate_kl, index_code_information
from vaelib.guides import (
    Amortized,
    Chained,
    CouplingFlow,
    DiagonalGaussian,
    Free,
    FullGaussian,
)
from vaelib.models import FiniteModel, LinearGaussian, standard_normal
from vaelib.quadrature import gauss_legendre


def free(family, n, seed=1, spread=0.7):
    rows = family.standard(n).double()
    return Free(rows + spread * normal(*rows.shape, seed=seed), family)


def prior(d):
    """A prior that is not quite the standard normal."""
    return td.Independent(td.Normal(torch.full((d,), 0.3, dtype=F64), 1.4), 1)


def same(found, expected, most=0.05):
    """Within 5.5 standard errors (a false alarm in 3e7), which are at most `most`."""
    assert found.value.shape == found.standard_error.shape == ()
    assert 5.5 * found.standard_error < most
    assert (found.value - expected).abs() <= 5.5 * found.standard_error + 1e-12


CASES = {
    "one dimension": (DiagonalGaussian(1), 4),
    "diagonal": (DiagonalGaussian(2), 3),
    "full": (FullGaussian(2), 3),
    "flow": (CouplingFlow(2, layers=2, hidden=4), 3),
}


@pytest.mark.parametrize("name", CASES)
def test_both_parts_of_the_rate_against_quadrature(name):
    family, n = CASES[name]
    d, x = family.latent_dim, torch.zeros(n, 1)
    guide = free(family, n, spread=0.7 if name != "flow" else 0.3)
    nodes, weights = gauss_legendre(400, -14, 14)
    grid = torch.cartesian_prod(*[nodes] * d).reshape(-1, 1, d)
    area = weights
    for _ in range(d - 1):
        area = torch.outer(area, weights).flatten()
    with torch.no_grad():
        log_q = guide(x).log_prob(grid)  # (nodes, N)
    log_aggregate = log_q.logsumexp(1) - math.log(n)
    log_p = prior(d).log_prob(grid[:, 0])
    mismatch = area @ (log_aggregate.exp() * (log_aggregate - log_p))
    shared = area @ (log_q.exp() * (log_q - log_aggregate.unsqueeze(1))).mean(1)
    assert mismatch > 0.1 and 0.1 < shared < math.log(n)
    settings = {"samples": 20_000, "max_pairs": 100_000}
    same(aggregate_kl(guide, prior(d), x, **settings), mismatch)
    same(index_code_information(guide, x, **settings), shared)


@pytest.mark.parametrize("name", CASES)
def test_the_two_parts_add_up_to_the_mean_rate(name):
    family, n = CASES[name]
    guide, x, p = free(family, n), torch.zeros(n, 1), prior(family.latent_dim)
    mismatch = aggregate_kl(guide, p, x, samples=50, seed=3)
    shared = index_code_information(guide, x, samples=50, seed=3)
    with torch.no_grad():
        z = noise.sample(guide(x), 50, noise.stream(3, "aggregate"))
        rate = (guide(x).log_prob(z) - p.log_prob(z)).mean()
    torch.testing.assert_close(mismatch.value + shared.value, rate, **CLOSE)
    if name != "flow":
        exact = kl(guide(x), p).mean().item()
        settings = {"samples": 20_000, "max_pairs": 100_000}
        mismatch = aggregate_kl(guide, p, x, **settings)
        shared = index_code_information(guide, x, **settings)
        error = mismatch.standard_error + shared.standard_error
        assert abs(mismatch.value + shared.value - exact) < 5.5 * error < 0.15


def test_codes_that_are_all_the_same_tell_nothing():
    rows = DiagonalGaussian(2).from_diagonal(
        torch.tensor([[0.5, -1.0]], dtype=F64).expand(6, 2),
        torch.tensor([[0.2, -0.4]], dtype=F64).expand(6, 2),
    )
    guide, x = Free(rows, DiagonalGaussian(2)), torch.zeros(6, 1)
    shared = index_code_information(guide, x)
    assert abs(shared.value) < 1e-12 and shared.standard_error < 1e-12
    # then the aggregate is one Gaussian, whose divergence has a closed form
    same(aggregate_kl(guide, prior(2), x, samples=20_000), kl(guide(x), prior(2))[0])
    assert torch.equal(active_units(guide, x), torch.zeros(2, dtype=F64))


def test_codes_that_do_not_overlap_tell_all():
    """N narrow codes far apart: the information is log N, and the rest is mismatch."""
    n = 5
    loc = 10 * torch.arange(n, dtype=F64).unsqueeze(1)
    rows = DiagonalGaussian(1).from_diagonal(loc, torch.full_like(loc, -1.0))
    guide, x = Free(rows, DiagonalGaussian(1)), torch.zeros(n, 1)
    shared = index_code_information(guide, x)
    assert shared.value.item() == pytest.approx(math.log(n), abs=1e-12)
    wide = td.Independent(td.Normal(torch.tensor([20.0], dtype=F64), 15.0), 1)
    expected = kl(guide(x), wide).mean() - math.log(n)
    same(aggregate_kl(guide, wide, x, samples=20_000), expected)


def test_an_enumerable_code_is_estimated_too():
    model = FiniteModel(
        torch.tensor([0.2, 0.3, 0.5], dtype=F64),
        torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4]], dtype=F64),
    )
    x = torch.tensor([0, 1, 2, 2, 0])
    probs = model.posterior(x).probs
    aggregate = td.Categorical(probs.mean(0))
    uniform = td.Categorical(torch.ones(3, dtype=F64))
    shared = kl(td.Categorical(probs), aggregate).mean()
    same(index_code_information(model.posterior, x, samples=20_000), shared)
    found = aggregate_kl(model.posterior, uniform, x, samples=20_000)
    same(found, kl(aggregate, uniform))


def test_the_error_is_the_spread_over_seeds():
    guide, x = free(DiagonalGaussian(2), 4, spread=1.0), torch.zeros(4, 1)
    for measure in (
        lambda s: aggregate_kl(guide, prior(2), x, samples=20, seed=s),
        lambda s: index_code_information(guide, x, samples=20, seed=s),
    ):
        runs = [measure(s) for s in range(300)]
        values = torch.stack([r.value for r in runs])
        stated = torch.stack([r.standard_error for r in runs])
        squares = (values - values.mean()) ** 2 / stated.square().mean()
        assert_mean(squares, 1.0, error=1)


def test_memory_is_bounded_and_the_result_does_not_depend_on_it():
    seen = []

    class Watched(td.Independent):
        def log_prob(self, value):
            seen.append(value.shape[0] * 7)
            return super().log_prob(value)

    loc = normal(7, 2, seed=4)

    def guide(x):
        return Watched(td.Normal(loc, 0.5), 1)

    x = torch.zeros(7, 1)
    whole = aggregate_kl(guide, prior(2), x, samples=5)
    for max_pairs in (1, 20, 70):
        seen.clear()
        found = aggregate_kl(guide, prior(2), x, samples=5, max_pairs=max_pairs)
        torch.testing.assert_close(found, whole, **CLOSE)
        assert max(seen[:-1]) <= max(7, max_pairs) and sum(seen[:-1]) == 5 * 7 * 7
    assert not whole.value.requires_grad
    again = aggregate_kl(guide, prior(2), x, samples=5)
    other = aggregate_kl(guide, prior(2), x, samples=5, seed=1)
    assert torch.equal(again.value, whole.value) and other.value != whole.value


def test_the_aggregate_of_data_from_the_model_is_near_its_prior():
    """Averaged over x ~ p(x), the exact posterior is the prior."""
    model = LinearGaussian(normal(3, 2, seed=5), normal(3, seed=6), 0.8)
    model.requires_grad_(False)
    gaps = []
    for n in (10, 100, 1000):
        x = noise.sample(model.evidence(), n, noise.stream(0, "x"))
        found = aggregate_kl(model.posterior, model.prior(), x, samples=5)
        gaps.append(found.value.item())
        shared = index_code_information(model.posterior, x, samples=5).value.item()
    assert gaps[0] > 3 * gaps[1] > 9 * gaps[2] > 0
    ratio = model.weight @ model.weight.T / model.scale**2
    information = torch.logdet(torch.eye(3, dtype=F64) + ratio).item() / 2
    assert shared == pytest.approx(information, abs=0.1)


# Active units


def test_a_unit_is_as_active_as_its_mean_varies():
    loc, log_scale = normal(50, 3, seed=7), normal(50, 3, seed=8)
    loc[:, 1] = 0.05 * loc[:, 1]
    centred = loc - loc.mean(0)
    expected = (centred**2).sum(0) / 49
    for family in (DiagonalGaussian(3), FullGaussian(3)):
        guide = Free(family.from_diagonal(loc, log_scale), family)
        found = active_units(guide, torch.zeros(50, 1))
        torch.testing.assert_close(found, expected, **CLOSE)
        assert not found.requires_grad
    assert (found > 0.01).tolist() == [True, False, True]


def test_a_collapsed_unit_of_a_trained_model_is_not_active():
    weight = torch.tensor([[1.0, 0.0], [0.5, 0.0], [-1.0, 0.0]], dtype=F64)
    model = LinearGaussian(weight, torch.zeros(3, dtype=F64), 0.5)
    found = active_units(model.posterior, normal(30, 3, seed=9))
    assert found[0] > 0.1 and found[1] == 0


def test_without_a_mean_in_closed_form_the_scatter_of_samples_is_taken_off():
    loc, log_scale = normal(50, 2, seed=10), torch.zeros(50, 2, dtype=F64)
    loc[:, 1] = 0.0
    family = CouplingFlow(2)  # equal to the diagonal Gaussian, but it does not know
    guide, x = Free(family.from_diagonal(loc, log_scale), family), torch.zeros(50, 1)
    runs = torch.stack([active_units(guide, x, samples=4, seed=s) for s in range(200)])
    expected = active_units(
        Free(torch.cat([loc, log_scale], 1), DiagonalGaussian(2)), x
    )
    assert expected[1] == 0
    assert_mean(runs, expected, error=0.1)  # left on, the scatter would add 1/4
    chained = Chained(
        Free(torch.cat([loc, log_scale], 1), DiagonalGaussian(2)),
        Amortized(torch.nn.Linear(2, 2).double()),
        1,
    )
    assert active_units(chained, x).shape == (3,)
    many = active_units(chained, x, samples=4000)
    torch.testing.assert_close(many[:2], expected, rtol=0, atol=0.05)


def test_wrong_sizes_are_named():
    guide, x = free(DiagonalGaussian(2), 4), torch.zeros(4, 1)
    with pytest.raises(ValueError, match="x: expected at least 2 data, got 1"):
        active_units(guide, x[:1])
    for call in (
        lambda **k: active_units(guide, x, **k),
        lambda **k: aggregate_kl(guide, standard_normal(2, x), x, **k),
        lambda **k: index_code_information(guide, x, **k),
    ):
        with pytest.raises(ValueError, match="samples: expected at least 2, got 1"):
            call(samples=1)
    with pytest.raises(ValueError, match="max_pairs: expected at least 1, got 0"):
        index_code_information(guide, x, max_pairs=0)
