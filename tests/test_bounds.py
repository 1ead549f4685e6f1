"""The bounds on exact models, all to 1e-10 and without Monte Carlo; their errors."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions as td

from tests.exact import CASES, CLOSE, F64, Case, normal
from vaelib import bounds
from vaelib.guides import PriorGuide

each_case = pytest.mark.parametrize("name", CASES)


def log_weights(case: Case) -> torch.Tensor:
    return bounds.log_weights(case.model, case.q, case.x, case.z)


def divergence_to_posterior(case: Case) -> torch.Tensor:
    """KL(q‖p(z|x)) as a sum over the guide's nodes."""
    posterior = case.model.posterior(case.x)
    return case.mean(case.q.log_prob(case.z) - posterior.log_prob(case.z))


@each_case
def test_log_evidence_is_elbo_plus_divergence(name):
    case = CASES[name]
    elbo = bounds.elbo(log_weights(case), case.weights)
    gap = divergence_to_posterior(case)
    assert (gap > 1e-3).all()
    torch.testing.assert_close(elbo + gap, case.log_evidence, **CLOSE)
    torch.testing.assert_close(
        case.model.log_evidence(case.x), case.log_evidence, **CLOSE
    )


@each_case
def test_log_weights_are_constant_at_the_posterior(name):
    case = CASES[name]
    log_w = bounds.log_weights(case.model, case.model.posterior(case.x), case.x, case.z)
    torch.testing.assert_close(log_w, case.log_evidence.expand_as(log_w), **CLOSE)


@each_case
def test_a_log_weight_is_its_three_terms(name):
    case = CASES[name]
    prior = case.model.prior().log_prob(case.z)
    likelihood = case.model.likelihood(case.z).log_prob(case.x)
    joint = bounds.log_joint(case.model, case.x, case.z)
    torch.testing.assert_close(joint, prior + likelihood, **CLOSE)
    assert (prior < 0).any() and joint.shape == log_weights(case).shape
    torch.testing.assert_close(
        log_weights(case), prior + likelihood - case.q.log_prob(case.z), **CLOSE
    )


@each_case
def test_the_exact_mean_of_the_weights_is_the_evidence(name):
    case = CASES[name]
    found = bounds.importance_weighted(log_weights(case), case.weights)
    torch.testing.assert_close(found, case.log_evidence, **CLOSE)


@each_case
def test_bad_bound_elbo_importance_weighted_evidence_stand_in_order(name):
    case = CASES[name]
    prior = PriorGuide(case.model)(case.x)
    log_w = bounds.log_weights(case.model, prior, case.x, case.prior_z)
    log_lik = case.model.likelihood(case.prior_z).log_prob(case.x)
    torch.testing.assert_close(log_w, log_lik, **CLOSE)
    bad = bounds.elbo(log_w, case.prior_weights)
    elbo = bounds.elbo(log_weights(case), case.weights)
    tighter = importance_weighted_mean(case, 2)
    assert (elbo < tighter).all() and (tighter < case.log_evidence).all()
    gap_of_prior = bad_gap(case)
    torch.testing.assert_close(case.log_evidence - bad, gap_of_prior, **CLOSE)
    nearer = divergence_to_posterior(case) < gap_of_prior
    assert torch.equal(bad < elbo, nearer)
    assert (bad < case.log_evidence).all()


def bad_gap(case: Case) -> torch.Tensor:
    """KL(p(z)‖p(z|x)) as a sum over the prior's nodes."""
    w = case.prior_weights.unsqueeze(1)
    posterior = case.model.posterior(case.x)
    prior = case.model.prior().log_prob(case.prior_z)
    return (w * (prior - posterior.log_prob(case.prior_z))).sum(0)


def importance_weighted_mean(
    case: Case, samples: int, bound=bounds.importance_weighted
) -> torch.Tensor:
    """The expectation of a bound with this many samples, over all tuples of nodes."""
    log_w = log_weights(case)
    weights = case.weights
    weights = weights if weights.dim() == 2 else weights.unsqueeze(1).expand_as(log_w)
    rows = torch.cartesian_prod(*([torch.arange(len(log_w))] * samples))
    rows = rows.reshape(len(rows), samples).T
    chosen, likely = log_w[rows], weights[rows].prod(0)  # (samples, tuples, B)
    values = bound(chosen.flatten(1)).unflatten(0, likely.shape)
    return (likely * values).sum(0)


@pytest.mark.parametrize("name", [n for n in CASES if n.startswith("finite")])
def test_the_importance_weighted_bound_rises_with_its_samples(name):
    case = CASES[name]
    values = [importance_weighted_mean(case, s) for s in (1, 2, 3, 4)]
    torch.testing.assert_close(
        values[0], bounds.elbo(log_weights(case), case.weights), **CLOSE
    )
    for lower, higher in itertools.pairwise([*values, case.log_evidence]):
        assert (lower < higher - 1e-6).all()


@each_case
def test_the_divergence_in_closed_form_gives_the_same_elbo(name):
    case = CASES[name]
    log_lik = case.model.likelihood(case.z).log_prob(case.x)
    log_q, log_prior = case.q.log_prob(case.z), case.model.prior().log_prob(case.z)
    kl = case.mean(log_q - log_prior)
    found = bounds.elbo_from_kl(log_lik, kl, case.weights)
    torch.testing.assert_close(
        found, bounds.elbo(log_weights(case), case.weights), **CLOSE
    )


def test_averages_of_given_log_weights():
    log_w = torch.tensor([[-1.0, 0.0], [-3.0, 0.5]], dtype=F64)
    torch.testing.assert_close(
        bounds.elbo(log_w), torch.tensor([-2.0, 0.25], dtype=F64)
    )
    torch.testing.assert_close(
        bounds.importance_weighted(log_w), (log_w.exp().sum(0) / 2).log()
    )
    kl = torch.tensor([0.5, 1.0], dtype=F64)
    torch.testing.assert_close(bounds.elbo_from_kl(log_w, kl), log_w.mean(0) - kl)
    weights = torch.tensor([0.25, 0.75], dtype=F64)
    torch.testing.assert_close(
        bounds.elbo(log_w, weights), torch.tensor([-2.5, 0.375], dtype=F64)
    )
    expected = (0.25 * log_w[0].exp() + 0.75 * log_w[1].exp()).log()
    torch.testing.assert_close(bounds.importance_weighted(log_w, weights), expected)
    table = torch.stack([weights, weights.flip(0)], 1)
    torch.testing.assert_close(
        bounds.elbo(log_w, table), torch.tensor([-2.5, 0.125], dtype=F64)
    )
    assert bounds.elbo(log_w.float(), weights).dtype == torch.float32


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=8), st.floats(-800, 800))
def test_bounds_shift_with_the_log_weights_and_keep_their_order(values, shift):
    log_w = torch.tensor(values, dtype=F64).unsqueeze(1)
    elbo, tighter = bounds.elbo(log_w), bounds.importance_weighted(log_w)
    assert log_w.min() - 1e-9 <= elbo <= tighter + 1e-9 <= log_w.max() + 2e-9
    for bound in (bounds.elbo, bounds.importance_weighted):
        torch.testing.assert_close(
            bound(log_w + shift), bound(log_w) + shift, rtol=1e-12, atol=1e-11
        )
        torch.testing.assert_close(bound(log_w.flip(0)), bound(log_w), **CLOSE)


def test_tiny_weights_do_not_underflow():
    log_w = torch.tensor([[-5000.0], [-5001.0]], dtype=F64)
    found = bounds.importance_weighted(log_w)
    expected = -5000 + torch.log(torch.tensor([(1 + torch.e**-1) / 2], dtype=F64))
    torch.testing.assert_close(found, expected)
    weights = torch.tensor([1.0, 0.0], dtype=F64)
    assert float(bounds.importance_weighted(log_w, weights)) == -5000


@pytest.mark.parametrize("bound", [bounds.elbo, bounds.importance_weighted])
@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (), (0, 3)])
def test_log_weights_need_two_axes_and_a_sample(bound, shape):
    with pytest.raises(
        ValueError, match="log_w: expected two axes .*at least one"
    ):
        bound(torch.zeros(shape))


@pytest.mark.parametrize("bound", [bounds.elbo, bounds.importance_weighted])
@pytest.mark.parametrize("shape", [(3,), (1,), (2, 1), (3, 2), ()])
def test_weights_must_match_the_samples(bound, shape):
    match = r"weights: expected shape \(2,\) or \(2, 3\), got "
    with pytest.raises(ValueError, match=match):
        bound(torch.zeros(2, 3), torch.ones(shape))


@pytest.mark.parametrize("shape", [(), (1,), (2,), (2, 3)])
def test_a_divergence_must_be_one_per_datum(shape):
    with pytest.raises(ValueError, match=r"kl: expected shape \(3,\), one per datum"):
        bounds.elbo_from_kl(torch.zeros(2, 3), torch.zeros(shape))


def test_one_latent_per_sample_may_serve_the_whole_batch():
    case = CASES["linear-Gaussian P=2 D=2"]
    z = normal(5, 1, 2, seed=9)
    wide = bounds.log_joint(case.model, case.x, z.expand(5, 3, 2))
    torch.testing.assert_close(bounds.log_joint(case.model, case.x, z), wide, **CLOSE)
    assert isinstance(case.q, td.MultivariateNormal)


ORDERS = (-2.0, -1.0, -0.5, 0.0, 0.3, 0.5, 1.0, 1.5, 2.0)


def order_of(case: Case, alpha: float) -> torch.Tensor:
    return bounds.renyi(log_weights(case), alpha, case.weights)


FINITE = [n for n in CASES if n.startswith("finite")]
each_finite = pytest.mark.parametrize("name", FINITE)


@each_case
def test_the_renyi_bound_at_its_two_known_orders(name):
    case = CASES[name]
    torch.testing.assert_close(order_of(case, 0.0), case.log_evidence, **CLOSE)
    elbo = bounds.elbo(log_weights(case), case.weights)
    torch.testing.assert_close(order_of(case, 1.0), elbo, **CLOSE)
    near = (order_of(case, 1 - 1e-5) + order_of(case, 1 + 1e-5)) / 2
    torch.testing.assert_close(near, elbo, rtol=1e-8, atol=1e-8)


@each_case
def test_the_renyi_bound_falls_with_its_order_and_changes_side_at_zero(name):
    case = CASES[name]
    values = torch.stack([order_of(case, a) for a in ORDERS])
    assert (values[:-1] > values[1:] + 1e-6).all()
    assert (values[:3] > case.log_evidence).all()
    assert (values[4:] < case.log_evidence).all()


@pytest.mark.parametrize("alpha", [-1.0, -0.4, 0.5, 2.0])
@pytest.mark.parametrize("p, d", [(1, 1), (3, 1)])
def test_the_renyi_bound_of_gaussians_in_closed_form(p, d, alpha):
    """log p(x) less the Rényi divergence of the guide from the posterior."""
    case = CASES[f"linear-Gaussian P={p} D={d}"]
    with torch.no_grad():
        posterior = case.model.posterior(case.x)
    v, u = case.q.variance[:, 0], posterior.variance[:, 0]
    mixed = alpha * u + (1 - alpha) * v
    far = (case.q.mean - posterior.mean)[:, 0] ** 2
    divergence = alpha * far / mixed / 2
    power = mixed.log() - (1 - alpha) * v.log() - alpha * u.log()
    divergence = divergence + power / (2 * (1 - alpha))
    nodes = torch.linspace(-15, 15, 3001, dtype=F64)
    z = case.q.mean + case.q.stddev * nodes[:, None, None]
    weights = torch.exp(-(nodes**2) / 2) * 0.01 / (2 * torch.pi) ** 0.5
    log_w = bounds.log_weights(case.model, case.q, case.x, z)
    found = bounds.renyi(log_w, alpha, weights)
    torch.testing.assert_close(found, case.log_evidence - divergence, **CLOSE)


@each_finite
def test_the_upper_bounds_by_their_divergences(name):
    """CUBO by the χ² divergence and EUBO by the KL, both of posterior from guide."""
    case = CASES[name]
    posterior, q = case.model.posterior(case.x).probs, case.q.probs  # (B, K)
    chi = ((posterior - q) ** 2 / q).sum(1)
    found = bounds.cubo(log_weights(case), 2, case.weights)
    expected = case.log_evidence + torch.log1p(chi) / 2
    torch.testing.assert_close(found, expected, **CLOSE)
    kl = (posterior * (posterior / q).log()).sum(1)
    found = bounds.eubo(log_weights(case), posterior.T)
    torch.testing.assert_close(found, case.log_evidence + kl, **CLOSE)


@each_case
def test_the_evidence_lies_between_lower_and_upper_bounds(name):
    case = CASES[name]
    log_w = log_weights(case)
    share = (log_w - case.log_evidence).exp() * (
        case.weights if case.weights.dim() == 2 else case.weights.unsqueeze(1)
    )  # the posterior's probabilities of the guide's nodes
    upper = bounds.eubo(log_w, share)
    assert (upper > case.log_evidence + 1e-4).all()
    for n in (1.5, 2, 3):
        cubo = bounds.cubo(log_w, n, case.weights)
        torch.testing.assert_close(cubo, order_of(case, 1 - n), **CLOSE)
        assert (cubo > case.log_evidence + 1e-5).all()
    torch.testing.assert_close(
        bounds.cubo(log_w, 1, case.weights), case.log_evidence, **CLOSE
    )


def renyi_mean(case: Case, alpha: float, samples: int) -> torch.Tensor:
    """The expectation of the estimate with so many samples, over all tuples."""
    return importance_weighted_mean(case, samples, partial(bounds.renyi, alpha=alpha))


@each_finite
@pytest.mark.parametrize("alpha", [-1.0, 0.5, 2.0])
def test_estimates_move_from_the_elbo_to_the_renyi_bound(name, alpha):
    case = CASES[name]
    means = [renyi_mean(case, alpha, s) for s in (1, 2, 3, 4)]
    elbo = bounds.elbo(log_weights(case), case.weights)
    torch.testing.assert_close(means[0], elbo, **CLOSE)
    sign = 1 if alpha < 1 else -1
    for before, after in itertools.pairwise([*means, order_of(case, alpha)]):
        assert (sign * before < sign * after - 1e-6).all()
    if alpha >= 0:
        assert all((m < case.log_evidence).all() for m in means)


@each_finite
def test_one_sample_of_the_upper_bound_lies_below_the_evidence(name):
    """Biased downward: at S = 1 the mean of the CUBO's estimate is the ELBO."""
    case = CASES[name]
    estimate = bounds.cubo(log_weights(case)[:1])
    torch.testing.assert_close(estimate, log_weights(case)[0], **CLOSE)
    assert (renyi_mean(case, -1.0, 1) < case.log_evidence - 1e-4).all()


@settings(deadline=None, max_examples=50, derandomize=True)
@given(
    st.lists(st.floats(-50, 50), min_size=1, max_size=8),
    st.floats(-5, 5),
    st.floats(-800, 800),
)
def test_renyi_bounds_shift_and_stay_within_the_log_weights(values, alpha, shift):
    if 0 < abs(alpha - 1) < 1e-3:
        return  # rounding errors grow as 1/|1 − α|
    log_w = torch.tensor(values, dtype=F64).unsqueeze(1)
    found = bounds.renyi(log_w, alpha)
    assert log_w.min() - 1e-7 <= found <= log_w.max() + 1e-7
    moved = bounds.renyi(log_w + shift, alpha)
    torch.testing.assert_close(moved, found + shift, rtol=1e-9, atol=1e-7)


def test_orders_that_make_no_bound_are_refused():
    log_w = torch.zeros(2, 3)
    for alpha in (float("inf"), float("-inf"), float("nan")):
        with pytest.raises(ValueError, match="^alpha: expected a finite number, got"):
            bounds.renyi(log_w, alpha)
    for n in (0.99, 0, -2, float("nan")):
        with pytest.raises(ValueError, match="^n: expected an order of at least 1"):
            bounds.cubo(log_w, n)
    for bound in (bounds.cubo, bounds.eubo, lambda w: bounds.renyi(w, 0.5)):
        with pytest.raises(ValueError, match="log_w: expected two axes"):
            bound(torch.zeros(3))
