"""The residual in two parts, on models where each part has a closed form."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.exact import CLOSE, F64, normal
from tests.statistics import assert_mean
from vaelib.bounds import log_weights
from vaelib.divergences import Estimate, kl
from vaelib.evaluation import gaps, log_evidence, optimise_guide
from vaelib.guides import Amortized, CouplingFlow, DiagonalGaussian, Free, FullGaussian
from vaelib.models import LinearGaussian
from vaelib.noise import sample, stream

Z_LIMIT = 6.0  # of about a hundred looks, correct code fails one in 5e6


def model_of(seed: int, p: int = 3, d: int = 2) -> LinearGaussian:
    return LinearGaussian(normal(p, d, seed=seed), normal(p, seed=seed + 1), 0.7)


def least(model: LinearGaussian, x: torch.Tensor) -> torch.Tensor:
    """The smallest divergence of a diagonal Gaussian from the posterior, (B,)."""
    precision = model.posterior(x).precision_matrix.detach()
    diagonal = precision.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return (diagonal - torch.logdet(precision)) / 2


MODEL = model_of(11)
X = MODEL.loc.detach() + normal(6, 3, seed=13)
EXACT = Estimate(MODEL.log_evidence(X).detach(), torch.zeros(6, dtype=F64))


def exact_gap(guide, x=X, model=MODEL):
    with torch.no_grad():
        return kl(guide(x), model.posterior(x))


@pytest.fixture(scope="module")
def fitted():
    """For each family: a poor encoder's guide, and each datum's best member."""
    found = {}
    for family in (DiagonalGaussian(2), FullGaussian(2)):
        encoder = nn.Linear(3, family.size, dtype=F64)
        with torch.no_grad():
            encoder.weight.copy_(0.3 * normal(family.size, 3, seed=14))
            encoder.bias.zero_()
        guide = Amortized(encoder, family)
        best = optimise_guide(MODEL, X, family, encoder(X), steps=450, samples=32)
        found[type(family).__name__] = guide, best
    return found


def test_the_best_diagonal_guide_leaves_the_closed_forms_gap(fitted):
    _, best = fitted["DiagonalGaussian"]
    floor, left = least(MODEL, X), exact_gap(best)
    assert (left >= floor - 1e-12).all()
    torch.testing.assert_close(left, floor, rtol=0, atol=5e-3)
    assert (floor > 0.05).all()  # ten times the tolerance


def test_the_best_full_guide_leaves_none(fitted):
    _, best = fitted["FullGaussian"]
    torch.testing.assert_close(exact_gap(best), EXACT.standard_error, rtol=0, atol=5e-3)


@pytest.mark.parametrize("name", ["DiagonalGaussian", "FullGaussian"])
def test_each_part_is_its_exact_value_inside_its_stated_error(fitted, name):
    guide, best = fitted[name]
    found = gaps(MODEL, X, guide, best, EXACT, samples=4000)
    left, whole = exact_gap(best), exact_gap(guide)
    pairs = [
        (found.elbo, EXACT.value - whole),
        (found.best_elbo, EXACT.value - left),
        (found.residual, whole),
        (found.family, left),
        (found.amortization, whole - left),
    ]
    for estimate, expected in pairs:
        limit = Z_LIMIT * estimate.standard_error + 1e-9
        assert ((estimate.value - expected).abs() <= limit).all()
        assert (estimate.standard_error < 0.1 * whole.max()).all()
    assert (whole - left > 0.3).all()


def test_the_parts_add_up_and_are_not_negative_for_random_models():
    for seed in range(100, 120):
        model = model_of(seed)
        x = model.loc.detach() + normal(4, 3, seed=seed + 50)
        family = DiagonalGaussian(2)
        start = 0.5 * normal(4, 4, seed=seed + 70)
        guide = Free(start, family)
        best = optimise_guide(model, x, family, start, steps=60, lr=0.1)
        known = Estimate(model.log_evidence(x).detach(), torch.zeros(4, dtype=F64))
        found = gaps(model, x, guide, best, known, samples=500)
        total = found.family.value + found.amortization.value
        torch.testing.assert_close(found.residual.value, total, **CLOSE)
        for part in (found.residual, found.family, found.amortization):
            assert (part.value >= -Z_LIMIT * part.standard_error).all()
        left, whole = exact_gap(best, x, model), exact_gap(guide, x, model)
        assert (left <= whole + 1e-9).all() and (left >= 0).all()


def test_a_richer_family_leaves_a_smaller_gap():
    family = CouplingFlow(2, layers=2, hidden=4)
    loc, log_scale = torch.zeros(2, 6, 2, dtype=F64)
    start = family.from_diagonal(loc, log_scale)
    best = optimise_guide(MODEL, X, family, start, steps=450)
    found = gaps(MODEL, X, Free(start, family), best, EXACT, samples=4000)
    assert (found.family.value < 0.2 * least(MODEL, X)).all()
    assert (found.family.value >= -Z_LIMIT * found.family.standard_error).all()


def test_the_error_of_a_part_is_its_spread_over_seeds(fitted):
    guide, best = fitted["DiagonalGaussian"]
    noisy = log_evidence(MODEL, best, X, samples=400)
    runs = [gaps(MODEL, X, guide, best, noisy, samples=100, seed=s) for s in range(300)]
    for name in ("elbo", "amortization"):
        values = torch.stack([getattr(r, name).value for r in runs])
        stated = torch.stack([getattr(r, name).standard_error for r in runs])
        squares = ((values - values.mean(0)) / stated.mean(0)) ** 2
        assert_mean(squares, 1.0, error=0.8)
    one = runs[0]
    for part, bound in ((one.residual, one.elbo), (one.family, one.best_elbo)):
        expected = (noisy.standard_error**2 + bound.standard_error**2).sqrt()
        torch.testing.assert_close(part.standard_error, expected, **CLOSE)


def test_both_guides_get_the_same_noise(fitted):
    guide, best = fitted["DiagonalGaussian"]
    found = gaps(MODEL, X, guide, guide, EXACT, samples=50)
    assert torch.equal(found.amortization.value, torch.zeros(6, dtype=F64))
    assert torch.equal(found.amortization.standard_error, torch.zeros(6, dtype=F64))
    found = gaps(MODEL, X, guide, best, EXACT, samples=50, seed=4)
    z = sample(guide(X), 50, stream(4, "gaps", 0))
    expected = log_weights(MODEL, guide(X), X, z).mean(0)
    torch.testing.assert_close(found.elbo.value, expected, **CLOSE)


def test_a_datum_keeps_its_start_where_that_is_better():
    family, posterior = FullGaussian(2), MODEL.posterior(X)
    factor = posterior.scale_tril.detach()
    scale = factor.diagonal(dim1=-2, dim2=-1)
    shape = factor[:, 1, :1] / scale[:, 1:]
    start = torch.cat([posterior.mean.detach(), scale.log(), shape], 1)
    torch.testing.assert_close(exact_gap(Free(start, family)), torch.zeros(6).double())
    start[0] = 0
    best = optimise_guide(MODEL, X, family, start, steps=3, lr=0.3, samples=1)
    assert torch.equal(best.table[1:], start[1:])
    assert not torch.equal(best.table[0], start[0])
    assert exact_gap(best)[0] < exact_gap(Free(start, family))[0]


def test_only_the_new_guide_is_trained():
    family = DiagonalGaussian(2)
    before = [p.clone() for p in MODEL.parameters()]
    MODEL.loc.requires_grad_(False)
    start = torch.zeros(6, 4, dtype=F64, requires_grad=True)
    best = optimise_guide(MODEL, X, family, start, steps=6)
    assert not torch.equal(best.table, start) and start.grad is None
    for p, old in zip(MODEL.parameters(), before, strict=True):
        assert torch.equal(p, old) and p.grad is None
    assert [p.requires_grad for p in MODEL.parameters()] == [True, False, True]
    MODEL.loc.requires_grad_(True)
    again = optimise_guide(MODEL, X, family, start, steps=6)
    assert torch.equal(best.table, again.table)
    other = optimise_guide(MODEL, X, family, start, steps=6, seed=1)
    assert not torch.equal(best.table, other.table)
    result = gaps(MODEL, X, best, best, EXACT, samples=3)
    assert not any(v.requires_grad for part in result for v in part)


def test_the_model_is_thawed_after_an_error():
    with pytest.raises(ValueError, match="data: rows"):
        optimise_guide(MODEL, X[:, :2], DiagonalGaussian(2), torch.zeros(6, 4).double())
    assert all(p.requires_grad for p in MODEL.parameters())


def test_memory_is_bounded_and_every_sample_counts(fitted):
    guide, best = fitted["DiagonalGaussian"]
    rows = []

    class Recorder:
        prior = MODEL.prior

        def likelihood(self, z):
            rows.append(z.shape[:-1].numel())
            return MODEL.likelihood(z)

    found = gaps(Recorder(), X, MODEL.posterior, best, EXACT, samples=7, max_rows=20)
    assert max(rows) <= 20 and sum(rows) == 2 * 7 * 6
    torch.testing.assert_close(found.elbo.value, EXACT.value, **CLOSE)


def test_wrong_numbers_are_named(fitted):
    guide, best = fitted["DiagonalGaussian"]
    with pytest.raises(ValueError, match="samples: expected .* at least 2, got 1"):
        gaps(MODEL, X, guide, best, EXACT, samples=1)
    with pytest.raises(ValueError, match="max_rows: expected .* at least 1, got 0"):
        gaps(MODEL, X, guide, best, EXACT, max_rows=0)
    with pytest.raises(ValueError, match="steps: expected .* at least 3, got 2"):
        optimise_guide(MODEL, X, best.family, best.table, steps=2)
