"""Models against SciPy, scikit-learn, Bayes' rule written out, and enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from sklearn.decomposition import PCA
from torch import distributions as td
from torch import nn

from tests.exact import (
    CASES,
    CLOSE,
    F64,
    LIKELIHOODS,
    SIZES,
    normal,
    scalar_log_evidence,
)
from vaelib import models
from vaelib.models import FiniteModel, LinearGaussian, ScalarModel

FINITE = [n for n in CASES if n.startswith("finite")]
SCALAR = [n for n in CASES if n.startswith("scalar")]
sizes = pytest.mark.parametrize("p, d", SIZES)


def _linear(p: int, d: int) -> LinearGaussian:
    return LinearGaussian(normal(p, d, seed=41), normal(p, seed=42), 0.8)


@pytest.mark.parametrize("name", FINITE)
def test_finite_model_by_bayes_rule(name):
    case = CASES[name]
    model = case.model
    table = model.prior_probs.unsqueeze(1) * model.likelihood_probs
    assert float(model.log_evidence(case.x).exp().sum()) == pytest.approx(1)
    posterior = (table / table.sum(0)).T
    torch.testing.assert_close(model.posterior(case.x).probs, posterior, **CLOSE)
    torch.testing.assert_close(model.joint().probs, table.flatten(), **CLOSE)
    product = torch.outer(model.prior_probs, table.sum(0)).flatten()
    torch.testing.assert_close(model.product_of_marginals().probs, product, **CLOSE)
    z = torch.arange(len(table)).unsqueeze(1)
    found = model.likelihood(z).log_prob(case.x).exp() * model.prior().probs.unsqueeze(
        1
    )
    torch.testing.assert_close(found, table, **CLOSE)


PRIOR, TABLE = (
    torch.tensor([0.25, 0.75]),
    torch.tensor([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]]),
)


@pytest.mark.parametrize(
    "prior, table, message",
    [
        (PRIOR * 2, TABLE, "prior_probs: expected non-negative rows that sum to one"),
        (PRIOR - 0.3, TABLE, "prior_probs: expected non-negative"),
        (torch.tensor([-0.5, 1.5]), TABLE, "prior_probs: expected non-negative"),
        (PRIOR, TABLE / 2, "likelihood_probs: expected non-negative rows that sum"),
        (PRIOR, TABLE[[0, 1, 1]], r"expected shape \(K, X\) with K = 2, got \(3, 3\)"),
        (PRIOR, PRIOR, r"expected shape \(K, X\) with K = 2, got \(2,\)"),
    ],
)
def test_tables_that_are_no_probabilities_are_refused(prior, table, message):
    with pytest.raises(ValueError, match=message):
        FiniteModel(prior, table)


@sizes
def test_linear_gaussian_posterior_is_the_conditional_of_the_joint(p, d):
    model, x = _linear(p, d), normal(4, p, seed=43)
    with torch.no_grad():
        joint = model.joint()
        posterior = model.posterior(x)
    c = joint.covariance_matrix
    gain = c[p:, :p] @ c[:p, :p].inverse()
    torch.testing.assert_close(posterior.mean, (x - joint.mean[:p]) @ gain.T, **CLOSE)
    covariance = (c[p:, p:] - gain @ c[:p, p:]).expand(4, d, d)
    torch.testing.assert_close(posterior.covariance_matrix, covariance, **CLOSE)


@sizes
def test_linear_gaussian_joint_is_prior_times_likelihood(p, d):
    model, x, z = _linear(p, d), normal(4, p, seed=43), normal(4, d, seed=44)
    pair = torch.cat([x, z], 1)
    product = model.likelihood(z).log_prob(x) + model.prior().log_prob(z)
    torch.testing.assert_close(model.joint().log_prob(pair), product, **CLOSE)
    marginals = model.log_evidence(x) + model.prior().log_prob(z)
    torch.testing.assert_close(
        model.product_of_marginals().log_prob(pair), marginals, **CLOSE
    )


@sizes
def test_linear_gaussian_likelihood_and_prior_against_scipy(p, d):
    model, x, z = _linear(p, d), normal(4, p, seed=43), normal(4, d, seed=44)
    mean = (z @ model.weight.T + model.loc).detach().numpy()
    expected = stats.norm.logpdf(x.numpy(), mean, 0.8).sum(1)
    np.testing.assert_allclose(model.likelihood(z).log_prob(x).detach(), expected)
    np.testing.assert_allclose(
        model.prior().log_prob(z), stats.norm.logpdf(z.numpy()).sum(1)
    )
    evidence = stats.multivariate_normal(
        model.loc.detach().numpy(),
        (model.weight @ model.weight.T).detach().numpy() + 0.64 * np.eye(p),
    )
    np.testing.assert_allclose(
        model.log_evidence(x).detach(), evidence.logpdf(x.numpy())
    )
    assert model.scale.item() == pytest.approx(0.8)


DATA = normal(60, 5, seed=45) @ normal(5, 5, seed=46) + 3


def test_evidence_is_the_score_of_scikit_learns_pca():
    pca = PCA(2, svd_solver="full").fit(DATA.numpy())
    spread = np.sqrt(pca.explained_variance_ - pca.noise_variance_)
    model = LinearGaussian(
        torch.from_numpy(pca.components_.T * spread),
        torch.from_numpy(pca.mean_),
        float(np.sqrt(pca.noise_variance_)),
    )
    np.testing.assert_allclose(
        model.log_evidence(DATA).detach(), pca.score_samples(DATA.numpy()), rtol=1e-10
    )


@pytest.mark.parametrize("d", [0, 1, 2, 4])
def test_maximum_likelihood_is_stationary_and_scikit_learns_covariance(d):
    model = LinearGaussian.maximum_likelihood(DATA, d)
    value = model.log_evidence(DATA).mean()
    leaves = (model.loc, model.log_scale, *((model.weight,) if d else ()))
    for slope in torch.autograd.grad(value, leaves):
        torch.testing.assert_close(slope, torch.zeros_like(slope), **CLOSE)
    n = len(DATA)
    if d:
        covariance = PCA(d, svd_solver="full").fit(DATA.numpy()).get_covariance()
        found = model.evidence().covariance_matrix.detach()
        np.testing.assert_allclose(found, covariance * (n - 1) / n, atol=1e-10)
    assert model.weight.shape == (5, d)
    for seed in range(5):  # and nothing near it or far from it is better
        other = LinearGaussian(
            model.weight.detach() + normal(5, d, seed=50 + seed) / 4**seed,
            model.loc.detach() + normal(5, seed=60 + seed) / 4**seed,
            model.scale.detach(),
        )
        assert other.log_evidence(DATA).mean() < value


def test_maximum_likelihood_rises_with_the_dimension_of_the_latent():
    values = [
        LinearGaussian.maximum_likelihood(DATA, d).log_evidence(DATA).mean().item()
        for d in range(5)
    ]
    assert all(a < b for a, b in itertools.pairwise(values))


@pytest.mark.parametrize("d", [-1, 5, 6])
def test_maximum_likelihood_needs_room_for_the_noise(d):
    match = f"latent_dim: expected 0 to 4 for data of 5 dimensions, got {d}"
    with pytest.raises(ValueError, match=match):
        LinearGaussian.maximum_likelihood(DATA, d)


@pytest.mark.parametrize(
    "weight, loc, scale, message",
    [
        (
            torch.ones(3),
            torch.ones(3),
            1.0,
            r"expected shapes \(P, D\) and \(P,\), got",
        ),
        (torch.ones(3, 2), torch.ones(2), 1.0, r"got \(3, 2\) and \(2,\)"),
        (torch.ones(3, 2), torch.ones(3), 0.0, "scale: expected one positive number"),
        (torch.ones(3, 2), torch.ones(3), -1.0, "scale: expected one positive number"),
        (
            torch.ones(3, 2),
            torch.ones(3),
            torch.ones(3),
            "scale: expected one positive",
        ),
        (torch.ones(3, 2), torch.ones(3), float("nan"), "scale: expected one positive"),
    ],
)
def test_a_linear_gaussian_model_of_wrong_shape_is_refused(weight, loc, scale, message):
    with pytest.raises(ValueError, match=message):
        LinearGaussian(weight, loc, scale)


def test_a_model_does_not_share_memory_with_what_it_was_made_from():
    weight = torch.zeros(3, 2)
    model = LinearGaussian(weight, torch.zeros(3), 1.0)
    weight += 1
    assert not model.weight.any()


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_scalar_model_agrees_with_adaptive_quadrature(name):
    likelihood, data, log_lik = LIKELIHOODS[name]
    model, x = ScalarModel(likelihood), torch.tensor(data, dtype=F64)
    assert model.prior().log_prob(torch.tensor(0.7, dtype=F64)) == pytest.approx(
        stats.norm.logpdf(0.7)
    )
    posterior = model.posterior(x)
    found = torch.stack([model.log_evidence(x), posterior.mean, posterior.variance], 1)
    for row, value in zip(found, data, strict=True):
        evidence = scalar_log_evidence(name, value)
        moments = [
            integrate.quad(
                lambda z, k=k, v=value, e=evidence: z**k
                * np.exp(log_lik(v, z) + stats.norm.logpdf(z) - e),
                -12, 12, epsabs=1e-13, limit=500, points=[-2, 0, 2],
            )[0]
            for k in (1, 2)
        ]  # fmt: skip
        expected = (evidence, moments[0], moments[1] - moments[0] ** 2)
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-10)


def test_scalar_posterior_is_a_density_and_knows_its_expectations():
    model = ScalarModel(lambda z: td.Normal(1.5 * z, 0.5))
    x = torch.tensor([-1.0, 2.0], dtype=F64)
    posterior = model.posterior(x)
    assert posterior.batch_shape == (2,) and posterior.event_shape == ()
    precision = 1 + 1.5**2 / 0.5**2
    exact = td.Normal(x * 1.5 / 0.5**2 / precision, precision**-0.5)
    z = normal(6, 2, seed=47)
    torch.testing.assert_close(posterior.log_prob(z), exact.log_prob(z), **CLOSE)
    torch.testing.assert_close(posterior.mean, exact.mean, **CLOSE)
    torch.testing.assert_close(posterior.variance, exact.variance, **CLOSE)
    one = posterior.expect(torch.ones_like)
    torch.testing.assert_close(one, torch.ones(2, dtype=F64), **CLOSE)
    narrow = ScalarModel(lambda z: td.Normal(1.5 * z, 0.5), low=0.0, high=1.0, n=50)
    assert (narrow.log_evidence(x) < model.log_evidence(x)).all()


LOGITS = torch.tensor([[-1.0, 0.3], [2.0, -0.5]], dtype=F64)


def test_families_against_scipy():
    probs = torch.sigmoid(LOGITS).numpy()
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=F64)
    found = models.Bernoulli()(LOGITS).log_prob(x)
    np.testing.assert_allclose(found, stats.bernoulli.logpmf(x, probs).sum(1))
    counts = torch.tensor([[0.0, 16.0], [7.0, 9.0]], dtype=F64)
    found = models.Binomial(16)(LOGITS).log_prob(counts)
    np.testing.assert_allclose(found, stats.binom.logpmf(counts, 16, probs).sum(1))
    family = models.Gaussian(0.5).double()
    found = family(LOGITS).log_prob(x).detach()
    expected = stats.norm.logpdf(x, LOGITS, 0.5).sum(1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_likelihoods_of_counts_and_bits_sum_to_one():
    for family, top in ((models.Bernoulli(), 1), (models.Binomial(4), 4)):
        values = torch.arange(top + 1.0, dtype=F64)
        x = torch.cartesian_prod(values, values)
        total = family(LOGITS).expand((len(x), 2)).log_prob(x.unsqueeze(1)).exp().sum(0)
        torch.testing.assert_close(total, torch.ones(2, dtype=F64), **CLOSE)
        with pytest.raises(ValueError, match="support"):
            family(LOGITS).log_prob(x.unsqueeze(1) + 0.5)


def test_the_scale_of_a_gaussian_likelihood_is_a_standard_deviation():
    assert models.Gaussian(0.3)(LOGITS).stddev[0, 0].item() == pytest.approx(0.3)
    assert models.Gaussian().log_scale.requires_grad
    assert not models.Gaussian(learned=False).log_scale.requires_grad
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="scale: expected a positive number, got"):
            models.Gaussian(bad)


def test_a_deep_model_is_its_decoder_and_its_family():
    decoder = models.mlp(2, 3, 4).double()
    model = models.DeepModel(decoder, models.Binomial(16), 2).double()
    z = normal(5, 3, 2, seed=48)
    likelihood = model.likelihood(z)
    assert likelihood.batch_shape == (5, 3) and likelihood.event_shape == (4,)
    torch.testing.assert_close(likelihood.base_dist.logits, decoder(z))
    prior = model.prior()
    assert prior.event_shape == (2,) and prior.mean.dtype == F64
    np.testing.assert_allclose(
        prior.log_prob(z), stats.norm.logpdf(z.numpy()).sum(-1), rtol=1e-12
    )
    assert model.float().prior().mean.dtype == torch.float32
    assert "_zero" not in model.state_dict()


def test_standard_normal_follows_dtype_and_device():
    q = models.standard_normal(3, torch.zeros(1, dtype=F64))
    assert q.event_shape == (3,) and q.batch_shape == () and q.mean.dtype == F64
    assert torch.equal(q.stddev, torch.ones(3, dtype=F64))


def test_an_mlp_is_linear_in_its_last_layer():
    kinds = [type(layer) for layer in models.mlp(5, 7, 7, 2)]
    assert kinds == [nn.Linear, nn.Tanh, nn.Linear, nn.Tanh, nn.Linear]
    relu = models.mlp(5, 7, 2, activation=nn.ReLU)
    assert [type(layer) for layer in relu] == [nn.Linear, nn.ReLU, nn.Linear]
    widths = [(m.in_features, m.out_features) for m in relu if isinstance(m, nn.Linear)]
    assert widths == [(5, 7), (7, 2)]


def test_the_factorised_density_is_the_maximum_likelihood_one():
    x = torch.tensor([[0.0, 3.0], [2.0, 16.0], [7.0, 1.0]], dtype=F64)
    best = models.factorised_binomial(x, 16, pseudo_count=0)
    assert best.event_shape == (2,)
    torch.testing.assert_close(best.mean, x.mean(0))
    logits = best.base_dist.logits.clone().requires_grad_()
    value = models.Binomial(16)(logits).log_prob(x).mean()
    torch.testing.assert_close(value, best.log_prob(x).mean())
    (slope,) = torch.autograd.grad(value, logits)
    torch.testing.assert_close(slope, torch.zeros(2, dtype=F64), **CLOSE)
    for change in (-0.1, 0.1):
        assert models.Binomial(16)(logits + change).log_prob(x).mean() < value


def test_the_pseudo_count_is_added_on_both_sides():
    x = torch.zeros(3, 1, dtype=F64)
    smooth = models.factorised_binomial(x, 16, pseudo_count=0.5)
    assert float(smooth.base_dist.probs) == pytest.approx(0.5 / 49)
    default = models.factorised_binomial(x, 16)
    assert torch.equal(default.base_dist.probs, smooth.base_dist.probs)
    assert torch.isfinite(smooth.log_prob(x + 16)).all()
    flipped = models.factorised_binomial(16 - x, 16)
    torch.testing.assert_close(flipped.base_dist.probs, 1 - smooth.base_dist.probs)
