"""Mean field for the Gaussian mixture, against SciPy, scikit-learn and enumeration."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import digamma
from sklearn.cluster import KMeans
from sklearn.mixture import BayesianGaussianMixture

from tests.exact import normal
from tests.statistics import assert_mean
from vaelib import data, meanfield
from vaelib.meanfield import Mixture

F64 = torch.float64
SHAPES = [(1, 1), (2, 1), (1, 3), (3, 2), (2, 4)]  # (K, P)
each_shape = pytest.mark.parametrize("k, p", SHAPES)


def some_mixture(k: int, p: int, seed: int) -> Mixture:
    """Any admissible parameters."""
    root = normal(k, p, p + 2, seed=seed)
    return Mixture(
        normal(k, seed=seed).exp(),
        normal(k, p, seed=seed + 1),
        normal(k, seed=seed + 2).exp(),
        p - 1 + normal(k, seed=seed + 3).exp(),
        root @ root.mT / p,
    )


def some_responsibilities(*shape: int, seed: int = 0) -> torch.Tensor:
    return normal(*shape, seed=seed).softmax(-1)


def wishart(q: Mixture, k: int):
    scale = np.linalg.inv(q.scatter[k].numpy())
    return stats.wishart(float(q.dof[k]), scale)


def log_density(q: Mixture, weights, means, precisions) -> np.ndarray:
    """log of the Dirichlet–Normal–Wishart density of each draw, by SciPy."""
    total = stats.dirichlet.logpdf(weights.T, q.concentration.numpy())
    for k in range(len(q.dof)):
        matrices = np.moveaxis(precisions[:, k], 0, -1)
        total = total + wishart(q, k).logpdf(matrices)
        d = means[:, k] - q.loc[k].numpy()
        square = np.einsum("si,sij,sj->s", d, precisions[:, k], d)
        log_det = np.linalg.slogdet(precisions[:, k])[1]
        beta, p = float(q.strength[k]), q.loc.shape[1]
        total = total + (p * np.log(beta / (2 * np.pi)) + log_det - beta * square) / 2
    return total


def draws(q: Mixture, n: int):
    """Draws of weights, means and precision matrices, by SciPy."""
    rng = np.random.default_rng(0)
    k, p = q.loc.shape
    weights = rng.dirichlet(q.concentration.numpy(), n)
    precisions = np.stack(
        [wishart(q, j).rvs(n, random_state=rng).reshape(n, p, p) for j in range(k)], 1
    )
    root = np.linalg.cholesky(np.linalg.inv(precisions))
    noise = rng.standard_normal((n, k, p))
    shift = np.einsum("skij,skj->ski", root, noise)
    means = q.loc.numpy() + shift / np.sqrt(q.strength.numpy())[:, None]
    return weights, means, precisions


def test_elbo_is_the_mean_of_the_log_weight():
    """Draws of q(π, μ, Λ), densities by SciPy; z is summed out."""
    k, p, n = 2, 2, 4
    prior, q = some_mixture(k, p, 10), some_mixture(k, p, 20)
    q = q._replace(dof=q.dof + 3, strength=q.strength + 1)
    x, r = normal(n, p, seed=5), some_responsibilities(n, k)
    theta = draws(q, 10_000)
    log_w = log_density(prior, *theta) - log_density(q, *theta)
    weights, means, precisions = theta
    d = x.numpy()[:, None] - means[:, None]  # (S, N, K, P)
    square = np.einsum("snki,skij,snkj->snk", d, precisions, d)
    log_det = np.linalg.slogdet(precisions)[1]
    log_x = (log_det - p * np.log(2 * np.pi))[:, None] / 2 - square / 2
    joint = np.log(weights)[:, None] + log_x - r.log().numpy()
    log_w = log_w + (r.numpy() * joint).sum((1, 2))
    value = meanfield.elbo(prior, q, x, r)
    assert_mean(torch.from_numpy(log_w), value, error=1.0)


@each_shape
def test_divergence_from_entropies(k, p):
    """KL(q‖p) = −H[q] − E_q[log p], with SciPy's entropies of the factors."""
    prior, q = some_mixture(k, p, 30), some_mixture(k, p, 40)
    a, a0 = q.concentration.numpy(), prior.concentration.numpy()
    entropy = stats.dirichlet.entropy(a) if k > 1 else 0.0
    log_pi = digamma(a) - digamma(a.sum())
    expected = 0.0
    if k > 1:
        middle = np.full(k, 1 / k)
        constant = stats.dirichlet.logpdf(middle, a0) - ((a0 - 1) * np.log(1 / k)).sum()
        expected = constant + ((a0 - 1) * log_pi).sum()
    for j in range(k):
        w = np.linalg.inv(q.scatter[j].numpy())
        nu, beta = float(q.dof[j]), float(q.strength[j])
        nu0, beta0 = float(prior.dof[j]), float(prior.strength[j])
        log_det = digamma((nu - np.arange(p)) / 2).sum() + p * np.log(2)
        log_det += np.linalg.slogdet(w)[1]
        entropy += wishart(q, j).entropy() + p / 2 * (1 + np.log(2 * np.pi / beta))
        entropy -= log_det / 2
        s0 = prior.scatter[j].numpy()
        constant = wishart(prior, j).logpdf(np.eye(p)) + np.trace(s0) / 2
        expected += constant + (nu0 - p - 1) / 2 * log_det - nu * np.trace(s0 @ w) / 2
        d = (q.loc[j] - prior.loc[j]).numpy()
        square = beta0 * (p / beta + nu * d @ w @ d)
        expected += (p * np.log(beta0 / (2 * np.pi)) + log_det - square) / 2
    value = meanfield.kl_to_prior(q, prior)
    torch.testing.assert_close(value.item(), -entropy - expected, rtol=1e-9, atol=1e-9)
    assert value > 0
    torch.testing.assert_close(
        meanfield.kl_to_prior(q, q), torch.zeros((), dtype=F64), rtol=0, atol=1e-9
    )


@each_shape
def test_expected_log_det_is_the_derivative_of_the_normaliser(k, p):
    q = some_mixture(k, p, 50)
    dof = q.dof.clone().requires_grad_()
    total = meanfield.log_normaliser(q._replace(dof=dof))
    (slope,) = torch.autograd.grad(total, dof)
    torch.testing.assert_close(meanfield.expected_log_det(q), 2 * slope)


@each_shape
def test_both_updates_are_stationary_and_nothing_near_is_higher(k, p):
    prior, x = some_mixture(k, p, 60), normal(7, p, seed=6)
    r = some_responsibilities(7, k)
    q = meanfield.update(prior, x, r)
    free = Mixture(*(part.clone().requires_grad_() for part in q))
    slopes = torch.autograd.grad(meanfield.elbo(prior, free, x, r), free)
    for slope in slopes:
        torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-9)
    top = meanfield.elbo(prior, q, x, r)
    for seed in range(5):
        other = some_mixture(k, p, 70 + seed)
        assert meanfield.elbo(prior, other, x, r) < top
        assert meanfield.elbo(prior, meanfield.blend(q, other, 0.01), x, r) < top
    r = meanfield.responsibilities(q, x)
    torch.testing.assert_close(r.sum(-1), torch.ones(7, dtype=F64))
    top = meanfield.elbo(prior, q, x, r)
    for seed in range(5 * (k > 1)):
        nearby = 0.9 * r + 0.1 * some_responsibilities(7, k, seed=seed)
        assert meanfield.elbo(prior, q, x, nearby) < top


def chain_rule(prior: Mixture, x: np.ndarray) -> float:
    """log p(x): over all assignments, one Student's t after the other, by SciPy."""
    k, (n, p) = len(prior.dof), x.shape
    terms = []
    for z in itertools.product(range(k), repeat=n):
        total, counts = 0.0, prior.concentration.numpy().copy()
        parts = [
            [float(prior.strength[j]), prior.loc[j].numpy(), float(prior.dof[j]),
             prior.scatter[j].numpy()]
            for j in range(k)
        ]  # fmt: skip
        for value, j in zip(x, z, strict=True):
            beta, m, nu, s = parts[j]
            total += np.log(counts[j] / counts.sum())
            counts[j] += 1
            dof = nu + 1 - p
            shape = (beta + 1) / (beta * dof) * s
            total += stats.multivariate_t(m, shape, df=dof).logpdf(value)
            d = value - m
            parts[j] = [beta + 1, m + d / (beta + 1), nu + 1,
                        s + beta / (beta + 1) * np.outer(d, d)]  # fmt: skip
        terms.append(total)
    return float(np.logaddexp.reduce(terms))


@each_shape
def test_evidence_by_enumeration_and_chain_rule(k, p):
    prior, x = some_mixture(k, p, 80), 2 * normal(4, p, seed=8)
    exact = meanfield.log_evidence(prior, x)
    assert exact.item() == pytest.approx(chain_rule(prior, x.numpy()), rel=1e-10)


@each_shape
def test_elbo_is_below_the_evidence(k, p):
    """For all q and r at hand; with one component the best guide is exact."""
    prior, x = some_mixture(k, p, 90), 2 * normal(5, p, seed=9)
    exact = meanfield.log_evidence(prior, x)
    for seed in range(10):
        r = some_responsibilities(5, k, seed=seed)
        q = meanfield.update(prior, x, r)
        assert meanfield.elbo(prior, q, x, r) <= exact + 1e-9
        assert meanfield.elbo(prior, some_mixture(k, p, seed), x, r) <= exact
    best = meanfield.fit(prior, x, meanfield.starts(x, k, 5, 0)).elbo[-1].max()
    if k == 1:
        torch.testing.assert_close(best, exact, rtol=1e-10, atol=1e-10)
    else:
        assert best < exact


def test_too_many_assignments_are_refused():
    with pytest.raises(ValueError, match=r"x: expected at most 100,000 .* 2\^17"):
        meanfield.log_evidence(some_mixture(2, 1, 0), normal(17, 1, seed=0))


@each_shape
def test_predictive_density_is_scipys_student(k, p):
    q, x = some_mixture(k, p, 100), 2 * normal(6, p, seed=10)
    expected = np.zeros(6)
    for j in range(k):
        dof = float(q.dof[j]) + 1 - p
        beta = float(q.strength[j])
        shape = (beta + 1) / (beta * dof) * q.scatter[j].numpy()
        share = float(q.concentration[j] / q.concentration.sum())
        expected += share * stats.multivariate_t(q.loc[j].numpy(), shape, df=dof).pdf(x)
    value = meanfield.log_predictive(q, x).exp()
    torch.testing.assert_close(value, torch.from_numpy(expected))


def test_one_component_predicts_with_ratios_of_evidences():
    prior, x = some_mixture(1, 3, 110), normal(5, 3, seed=11)
    ones = torch.ones(4, 1, dtype=F64)
    ratio = meanfield.log_evidence(prior, x) - meanfield.log_evidence(prior, x[:4])
    q = meanfield.update(prior, x[:4], ones)
    torch.testing.assert_close(meanfield.log_predictive(q, x[4:])[0], ratio)


# --- scikit-learn --------------------------------------------------------------------


def oracle(x: np.ndarray, k: int, sweeps: int, concentration: float):
    """scikit-learn's fit on matched priors, and the responsibilities it began with."""
    model = BayesianGaussianMixture(
        n_components=k, weight_concentration_prior=concentration, reg_covar=0.0,
        weight_concentration_prior_type="dirichlet_distribution", tol=0.0,
        max_iter=sweeps, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x)
    labels = KMeans(k, n_init=1, random_state=np.random.RandomState(0)).fit(x).labels_
    return model, torch.nn.functional.one_hot(
        torch.from_numpy(labels).long(), k
    ).double()


def assert_same_parameters(model, q: Mixture, atol: float) -> None:
    pairs = [
        (model.weight_concentration_, q.concentration),
        (model.means_, q.loc),
        (model.mean_precision_, q.strength),
        (model.degrees_of_freedom_, q.dof),
        (model.covariances_, q.scatter / q.dof[:, None, None]),
    ]
    for theirs, ours in pairs:
        torch.testing.assert_close(ours, torch.from_numpy(theirs), rtol=0, atol=atol)


@pytest.mark.parametrize("k, columns, concentration", [(2, 4, 1.0), (3, 2, 0.5)])
def test_scikit_learn_takes_the_same_path(k, columns, concentration):
    """Each bound on the way, with the constants that scikit-learn leaves out."""
    x = data.iris().x[:, -columns:]
    n, p = x.shape
    model, r = oracle(x.numpy(), k, 12, concentration)
    prior = meanfield.prior_like(x, k, concentration)
    half_log_2pi = math.log(2 * math.pi) / 2
    constant = (k - n) * p * half_log_2pi - meanfield.log_normaliser(prior)
    constant = constant + k * p * (p - 1) / 4 * math.log(math.pi)
    q = meanfield.update(prior, x, r)
    for theirs in model.lower_bounds_:
        r = meanfield.responsibilities(q, x)
        q = meanfield.update(prior, x, r)
        ours = meanfield.elbo(prior, q, x, r)
        torch.testing.assert_close(ours, theirs + constant, rtol=1e-11, atol=1e-8)
    assert_same_parameters(model, q, 1e-8)


@pytest.mark.parametrize("k, sweeps", [(2, 100), (3, 800), (5, 500)])
def test_scikit_learn_converges_to_the_same(k, sweeps):
    x = data.iris().x
    model, r = oracle(x.numpy(), k, sweeps, 0.5)
    prior = meanfield.prior_like(x, k, 0.5)
    q, r, bounds = meanfield.fit(prior, x, r, tol=0.0, sweeps=2000)
    assert len(bounds) < 2000
    # stopped where the bound is flat to rounding; now to where the parameters are
    for _ in range(sweeps):
        q = meanfield.update(prior, x, r)
        r = meanfield.responsibilities(q, x)
    assert_same_parameters(model, q, 1e-6)
    constant = (k - 150) * 4 * math.log(2 * math.pi) / 2 + k * 3 * math.log(math.pi)
    constant = constant - meanfield.log_normaliser(prior)
    assert model.lower_bound_ + constant.item() == pytest.approx(
        bounds[-1].item(), abs=1e-6
    )


# --- ascent --------------------------------------------------------------------------


def test_the_bound_never_falls_and_runs_do_not_mix():
    x = data.iris().x
    prior = meanfield.prior_like(x, 3, 0.3)
    r = torch.cat([meanfield.starts(x, 3, 5, 0), some_responsibilities(3, 150, 3)])
    together = meanfield.fit(prior, x, r, tol=0.0, sweeps=60)
    assert together.elbo.shape == (60, 8)
    assert together.elbo.diff(dim=0).min() > -1e-10
    alone = meanfield.fit(prior, x, r[2], tol=0.0, sweeps=60)
    torch.testing.assert_close(alone.elbo, together.elbo[:, 2])
    for one, many in zip(alone.q, together.q, strict=True):
        torch.testing.assert_close(one, many[2], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(
        meanfield.elbo(prior, *together[:1], x, together.r), together.elbo[-1]
    )


def test_fit_stops_by_its_tolerance():
    x = data.iris().x
    r = meanfield.starts(x, 3, 1, 0)
    rises = meanfield.fit(meanfield.prior_like(x, 3), x, r, tol=0.1).elbo.diff(dim=0)
    assert (rises[:-1] > 0.1).all() and rises[-1] <= 0.1


def test_other_units_and_origins_change_nothing_but_the_unit():
    """x → xA + b: the evidence of N data changes by −N log|det A|, r not at all."""
    x = data.iris().x
    a = torch.eye(4, dtype=F64) + 0.3 * normal(4, 4, seed=12)
    y = x @ a + 1e4
    first, second = (
        meanfield.fit(meanfield.prior_like(v, 3), v, meanfield.starts(x, 3, 1, 0))
        for v in (x, y)
    )
    torch.testing.assert_close(first.r, second.r, rtol=0, atol=1e-6)
    change = -150 * torch.linalg.slogdet(a)[1]
    torch.testing.assert_close(second.elbo[-1] - first.elbo[-1], change[None])


def test_labels_do_not_matter():
    x = data.iris().x
    prior, r = meanfield.prior_like(x, 3), some_responsibilities(150, 3)
    order = [2, 0, 1]
    one, other = (meanfield.fit(prior, x, v, sweeps=20) for v in (r, r[:, order]))
    torch.testing.assert_close(one.elbo, other.elbo)
    torch.testing.assert_close(one.q.loc[order], other.q.loc)


def test_a_component_without_data_is_the_prior():
    prior, x = some_mixture(3, 2, 120), normal(6, 2, seed=12)
    r = some_responsibilities(6, 3)
    r[:, 1] = 0
    q = meanfield.update(prior, x, r)
    for part, before in zip(q, prior, strict=True):
        torch.testing.assert_close(part[1], before[1])


def test_starts_depend_on_seed_and_run_alone():
    x = data.iris().x
    many, few = meanfield.starts(x, 3, 6, 1), meanfield.starts(x, 3, 2, 1)
    assert torch.equal(many[:2], few) and not torch.equal(many[0], many[1])
    assert not torch.equal(few, meanfield.starts(x, 3, 2, 2))
    assert torch.equal(many.sum(-1), torch.ones(6, 150, dtype=F64))
    assert (many.sum(1) >= 1).all()


def test_prior_like_is_scikit_learns_default():
    x = data.iris().x
    prior = meanfield.prior_like(x, 2, 0.7)
    model, _ = oracle(x.numpy(), 2, 1, 0.7)
    torch.testing.assert_close(prior.loc[0], torch.from_numpy(model.mean_prior_))
    torch.testing.assert_close(
        prior.scatter[1], torch.from_numpy(model.covariance_prior_)
    )
    assert prior.dof[0] == model.degrees_of_freedom_prior_
    assert prior.strength[0] == model.mean_precision_prior_
    assert prior.concentration[0] == model.weight_concentration_prior_


# --- stochastic ----------------------------------------------------------------------


def natural(q: Mixture) -> list[torch.Tensor]:
    m = q.loc.unsqueeze(-1)
    second = q.scatter + q.strength[:, None, None] * m @ m.mT
    return [q.concentration, q.strength.unsqueeze(1) * q.loc, q.strength, q.dof, second]


@each_shape
def test_blend_is_linear_in_natural_parameters(k, p):
    q, target = some_mixture(k, p, 130), some_mixture(k, p, 140)
    mixed = natural(meanfield.blend(q, target, 0.3))
    parts = zip(mixed, natural(q), natural(target), strict=True)
    for part, a, b in parts:
        torch.testing.assert_close(part, 0.7 * a + 0.3 * b)
    for rate, expected in ((0, q), (1, target)):
        for part, v in zip(meanfield.blend(q, target, rate), expected, strict=True):
            assert torch.equal(part, v)


def test_a_first_step_on_all_data_is_a_sweep():
    x = data.iris().x
    prior = meanfield.prior_like(x, 3)
    q = meanfield.update(prior, x, meanfield.starts(x, 3, 1, 0)[0])
    step = next(meanfield.svi(prior, q, x, batch=150, seed=0))
    sweep = meanfield.update(prior, x, meanfield.responsibilities(q, x))
    for a, b in zip(step, sweep, strict=True):
        torch.testing.assert_close(a, b)


def test_svi_comes_near_what_coordinate_ascent_finds():
    x = data.iris().x
    prior = meanfield.prior_like(x, 2)
    fitted = meanfield.fit(prior, x, meanfield.starts(x, 2, 1, 0)[0])
    q = meanfield.update(prior, x, meanfield.starts(x, 2, 1, 0)[0])
    steps = meanfield.svi(prior, q, x, batch=30, seed=0, delay=5.0)
    q = next(itertools.islice(steps, 800, None))
    bound = meanfield.elbo(prior, q, x, meanfield.responsibilities(q, x))
    assert 0 <= fitted.elbo[-1] - bound < 0.5


def test_a_pass_of_svi_takes_each_datum_once(monkeypatch):
    x = normal(10, 1, seed=14)
    prior, seen = meanfield.prior_like(x, 1), []

    def spy(q, part):
        seen.append(part)
        return torch.ones(len(part), 1, dtype=F64)

    monkeypatch.setattr("vaelib.meanfield.ascent.responsibilities", spy)
    for _ in itertools.islice(meanfield.svi(prior, prior, x, batch=3, seed=0), 6):
        pass
    rows = torch.cat(seen)[:, 0]
    passes = rows[:9], rows[9:]
    assert all(len(set(rows.tolist())) == 9 for rows in passes)
    assert not torch.equal(*passes)


# --- errors --------------------------------------------------------------------------


def changed(**parts) -> Mixture:
    return meanfield.prior_like(data.iris().x, 2)._replace(**parts)


BAD = {
    "x: expected finite floats": lambda x, r: meanfield.fit(changed(), x[0], r),
    "k: expected 1 to N = 150": lambda x, r: meanfield.starts(x, 151, 1, 0),
    "r: expected shape": lambda x, r: meanfield.fit(changed(), x, r[:9]),
    "prior: its parts do not fit": lambda x, r: meanfield.fit(changed(), x[:, :2], r),
    "prior.concentration: expected numbers above 0": lambda x, r: meanfield.prior_like(
        x, 2, 0.0
    ),
    "prior.dof: expected numbers above 3": lambda x, r: meanfield.fit(
        changed(dof=torch.tensor([3.0, 4.0])), x, r
    ),
    "prior.scatter: expected positive definite": lambda x, r: meanfield.fit(
        changed(scatter=-changed().scatter), x, r
    ),
    "rate: expected": lambda x, r: meanfield.blend(changed(), changed(), 1.5),
    "batch: expected 1 to 150": lambda x, r: meanfield.svi(
        changed(), changed(), x, batch=151, seed=0
    ),
    "forgetting, delay": lambda x, r: meanfield.svi(
        changed(), changed(), x, batch=5, seed=0, forgetting=0.5
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_gets_one_clear_error(message):
    x = data.iris().x
    with pytest.raises(ValueError, match=f"^{message}"):
        BAD[message](x, meanfield.starts(x, 2, 1, 0)[0])
