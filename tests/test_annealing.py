"""Annealed importance sampling both ways, against models that know their evidence."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import norm
from torch import Tensor
from torch import distributions as td

from tests.exact import CLOSE, F64, normal
from tests.statistics import FALSE_FAIL, assert_mean
from vaelib.bounds import importance_weighted, log_weights
from vaelib.evaluation import (
    Annealed,
    anneal,
    anneal_back,
    effective_samples,
    log_evidence,
    lower_bound,
    resample,
    temperatures,
    tune,
    upper_bound,
)
from vaelib.evaluation.hamiltonian import State, look, move
from vaelib.guides import PriorGuide
from vaelib.models import Binomial, DeepModel, LinearGaussian, mlp
from vaelib.noise import sample, stream
from vaelib.quadrature import gauss_legendre

MODEL = LinearGaussian(normal(3, 2, seed=71), normal(3, seed=72), 0.7).requires_grad_(
    False
)
X = MODEL.loc + 1.5 * normal(4, 3, seed=73)
EXACT = MODEL.log_evidence(X)


def beside(posterior: td.MultivariateNormal, wider: float = 1.1):
    """A Gaussian a little wider than the posterior and beside it.

    So little that p/q and q/p both have the moments which an error bar rests on.
    """
    shift = 0.3 * posterior.variance.sqrt()
    return td.MultivariateNormal(
        posterior.mean + shift, scale_tril=wider * posterior.scale_tril
    )


def wide(x):
    return beside(MODEL.posterior(x))


class Batch:
    """A different linear-Gaussian model for each datum: W `(B, P, D)`, σ `(B, 1)`."""

    def __init__(self, weight: Tensor, scale: Tensor):
        self.weight, self.scale = weight, scale

    def prior(self):
        zeros = torch.zeros(self.weight.shape[-1], dtype=F64)
        return td.Independent(td.Normal(zeros, torch.ones_like(zeros)), 1)

    def likelihood(self, z):
        loc = torch.einsum("bpd,...bd->...bp", self.weight, z)
        return td.Independent(td.Normal(loc, self.scale), 1)

    def singles(self):
        for weight, scale in zip(self.weight, self.scale, strict=True):
            loc = torch.zeros(len(weight), dtype=F64)
            yield LinearGaussian(weight, loc, scale[0]).requires_grad_(False)


def random_models(n: int, p: int, d: int):
    """n random models with P = p and D = d, a datum of each, and their posteriors."""
    generator = stream(0, "models", p, d)
    weight = torch.randn(n, p, d, generator=generator, dtype=F64)
    scale = 0.5 + torch.rand(n, 1, generator=generator, dtype=F64)
    batch = Batch(weight, scale)
    z = sample(batch.prior().expand((n,)), 1, generator)
    x = sample(batch.likelihood(z[0]), 1, generator)[0]
    exact = [m.log_evidence(v[None])[0] for m, v in zip(batch.singles(), x)]  # noqa: B905
    alone = [m.posterior(v[None]) for m, v in zip(batch.singles(), x)]  # noqa: B905
    posterior = td.MultivariateNormal(
        torch.cat([q.loc for q in alone]),
        scale_tril=torch.cat([q.scale_tril for q in alone]),
    )
    return batch, x, torch.stack(exact), posterior


@pytest.fixture(scope="module")
def two_hundred():
    """For 200 random models: log-weights of three kinds minus log p(x), `(C, 200)`."""
    chains, found = 3000, {"importance": [], "forward": [], "reverse": []}
    for p in range(1, 6):
        for d in range(1, 5):
            model, x, exact, posterior = random_models(10, p, d)
            q = beside(posterior)

            def guide(_, q=q):
                return q

            z = sample(q, 10 * chains, stream(0, "importance", p, d))
            found["importance"].append(log_weights(model, q, x, z) - exact)
            schedule = tune(model, guide, x, temperatures(4), leapfrog=2)
            forward = anneal(model, guide, x, schedule, chains=chains)
            found["forward"].append(forward.log_w - exact)
            z = sample(posterior, chains, stream(0, "posterior", p, d))
            reverse = anneal_back(model, guide, x, z, schedule)
            found["reverse"].append(reverse.log_w - exact)
    return {name: torch.cat(parts, 1) for name, parts in found.items()}


@pytest.mark.parametrize("kind", ["importance", "forward", "reverse"])
def test_the_weights_of_200_random_models_are_unbiased(two_hundred, kind):
    excess = two_hundred[kind]
    assert excess.shape[1] == 200
    assert_mean((-excess if kind == "reverse" else excess).exp(), 1.0, error=0.25)


@pytest.mark.parametrize("kind", ["importance", "forward", "reverse"])
def test_200_of_200_bounds_hold_the_exact_value_inside_their_stated_error(
    two_hundred, kind
):
    bound = upper_bound if kind == "reverse" else lower_bound
    found = bound(two_hundred[kind])
    allowed = norm.isf(FALSE_FAIL / 2 / 200)
    inside = found.value.abs() <= allowed * found.standard_error
    assert int(inside.sum()) == 200
    assert (found.standard_error < 0.03).all()  # an error of 0.25 nats is not inside


def test_annealing_narrows_the_gap_of_importance_sampling(two_hundred):
    spread = {name: (excess**2).mean() for name, excess in two_hundred.items()}
    assert spread["forward"] < 0.75 * spread["importance"]


def test_with_the_posterior_as_guide_every_chain_carries_the_evidence():
    guide = MODEL.posterior
    schedule = tune(MODEL, guide, X, temperatures(3), chains=4)
    forward = anneal(MODEL, guide, X, schedule, chains=5)
    torch.testing.assert_close(forward.log_w, EXACT.expand(5, 4), **CLOSE)
    z = sample(guide(X), 5, stream(0, "z"))
    back = anneal_back(MODEL, guide, X, z, schedule)
    torch.testing.assert_close(back.log_w, EXACT.expand(5, 4), **CLOSE)


def test_both_directions_are_unbiased():
    schedule = tune(MODEL, wide, X, temperatures(12))
    forward = anneal(MODEL, wide, X, schedule, chains=5000)
    assert_mean((forward.log_w - EXACT).exp(), 1.0, error=0.1)
    z = sample(MODEL.posterior(X), 5000, stream(0, "posterior"))
    back = anneal_back(MODEL, wide, X, z, schedule)
    assert_mean((EXACT - back.log_w).exp(), 1.0, error=0.1)


def test_few_chains_from_the_prior_press_the_evidence_between_them():
    guide = PriorGuide(MODEL)
    schedule = tune(MODEL, guide, X, temperatures(12, 3.0))
    exact = EXACT.repeat(500)
    forward = anneal(MODEL, guide, X, schedule, chains=1000).log_w
    z = sample(MODEL.posterior(X), 1000, stream(0, "posterior"))
    back = anneal_back(MODEL, guide, X, z, schedule).log_w
    below = lower_bound(forward.reshape(2, -1)).value - exact
    above = upper_bound(back.reshape(2, -1)).value - exact
    assert below.mean() < -5 * below.std() / 2000**0.5  # so many pairs of chains
    assert above.mean() > 5 * above.std() / 2000**0.5
    assert below.mean() > -2 and above.mean() < 2


def test_more_temperatures_close_in():
    gaps = []
    for n in (3, 12, 48):
        guide = PriorGuide(MODEL)
        schedule = tune(MODEL, guide, X, temperatures(n, 3.0))
        forward = anneal(MODEL, guide, X, schedule, chains=500)
        gaps.append((EXACT - forward.log_w.mean(0)).mean().item())
    assert gaps[0] > 2.5 * gaps[1] > 6 * gaps[2] > 0


def test_a_network_in_single_precision_with_posterior_samples_from_the_model():
    hidden, steps = 8, 8
    torch.manual_seed(hidden)
    model = DeepModel(mlp(1, hidden, 6), Binomial(5), 1).requires_grad_(False)
    n = 3000
    z = sample(model.prior(), n, stream(0, "z"))
    x = sample(model.likelihood(z), 1, stream(0, "x"))[0]
    nodes, weights = gauss_legendre(400, -8.0, 8.0)
    grid = nodes.float().reshape(-1, 1, 1)
    log_p = log_weights(model, td.Independent(td.Uniform(-8.0, torch.tensor([8.0])), 1),
                        x, grid).double() - math.log(16)  # fmt: skip
    exact = (log_p + weights.log().unsqueeze(1)).logsumexp(0)

    def guide(x):
        loc = torch.zeros(len(x), 1)
        return td.Independent(td.Normal(loc, 1.05), 1)

    schedule = tune(model, guide, x, temperatures(steps), leapfrog=3)
    assert schedule.steps.dtype == torch.float32
    forward = anneal(model, guide, x, schedule, chains=2)
    assert forward.log_w.dtype == F64 and forward.z.dtype == torch.float32
    assert_mean((forward.log_w[0] - exact).exp(), 1.0, error=0.2)
    back = anneal_back(model, guide, x, z.unsqueeze(0), schedule)
    assert_mean((exact - back.log_w[0]).exp(), 1.0, error=0.2)


def test_a_start_that_is_no_posterior_sample_bounds_nothing():
    schedule = tune(MODEL, wide, X, temperatures(6))
    z = sample(PriorGuide(MODEL)(X), 4000, stream(0, "z"))
    found = upper_bound(anneal_back(MODEL, wide, X, z, schedule).log_w)
    assert (found.value + 5 * found.standard_error < EXACT).any()


# --- moves ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0.05, 0.4, 1.2])
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_a_move_leaves_the_path_as_it_is(size, beta):
    q, p = wide(X), MODEL.posterior(X)
    precision = (1 - beta) * q.precision_matrix + beta * p.precision_matrix
    pull = (1 - beta) * q.precision_matrix @ q.loc.unsqueeze(-1)
    pull = pull + beta * p.precision_matrix @ p.loc.unsqueeze(-1)
    between = td.MultivariateNormal(
        torch.linalg.solve(precision, pull).squeeze(-1), precision_matrix=precision
    )
    z = sample(between, 20_000, stream(0, "start"))
    state = look(MODEL, q, X, z)
    step = size * between.variance.sqrt()
    args = torch.tensor(beta, dtype=F64), step, 3, stream(1, "move")
    state, moved = move(MODEL, q, X, state, *args)
    assert moved.double().mean() > 0.02
    centred = state.z - between.mean
    assert_mean(centred, torch.zeros_like(between.mean), error=0.1)
    squares = centred.unsqueeze(-1) * centred.unsqueeze(-2)
    assert_mean(squares, between.covariance_matrix, error=0.1)
    again = look(MODEL, q, X, state.z)  # what a state carries belongs to its z
    for kept, fresh in zip(state, again, strict=True):
        torch.testing.assert_close(kept, fresh, **CLOSE)


def test_the_slopes_are_those_of_the_path():
    q = wide(X)
    z = sample(q, 3, stream(0, "z"))
    beta = torch.tensor(0.3, dtype=F64)
    state, change = look(MODEL, q, X, z), 1e-5 * normal(3, 4, 2, seed=1)
    rise = look(MODEL, q, X, z + change).log_f(beta)
    fall = look(MODEL, q, X, z - change).log_f(beta)
    expected = 2 * (state.slope(beta) * change).sum(-1)
    torch.testing.assert_close(rise - fall, expected, rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(state.log_w, log_weights(MODEL, q, X, z), **CLOSE)


def test_the_energy_error_is_of_second_order():
    q, beta = wide(X), torch.tensor(1.0, dtype=F64)
    state = look(MODEL, q, X, sample(q, 2000, stream(0, "z")))
    refused = []
    for halvings in range(3):  # the same way in more steps
        size, leapfrog = 0.8 / 2**halvings, 2 * 2**halvings
        step = size * MODEL.posterior(X).variance.sqrt()
        _, moved = move(MODEL, q, X, state, beta, step, leapfrog, stream(0, "m"))
        refused.append(1 - moved.double().mean().item())
    ratios = [a / b for a, b in zip(refused[:-1], refused[1:], strict=True)]
    assert all(2.5 < r < 7 for r in ratios), refused


def test_a_trajectory_that_runs_away_is_refused():
    q = wide(X)
    state = look(MODEL, q, X, sample(q, 6, stream(0, "z")))
    step = torch.full((4, 2), 1e200, dtype=F64)
    one = torch.tensor(1.0, dtype=F64)
    new, moved = move(MODEL, q, X, state, one, step, 5, stream(0, "m"))
    assert not moved.any() and torch.equal(new.z, state.z)
    assert isinstance(new, State)
    # where the slope is zero a lost trajectory keeps its energy, and must not count
    flat = LinearGaussian(torch.zeros(3, 2, dtype=F64), MODEL.loc, 1.0)
    q = PriorGuide(flat)(X)
    state = look(flat, q, X, torch.zeros(50, 4, 2, dtype=F64))
    step = torch.full((4, 2), 1.7e308, dtype=F64)
    _, moved = move(flat, q, X, state, one, step, 1, stream(0, "m"))
    assert not moved.any()


# --- the pilot -----------------------------------------------------------------------


@pytest.mark.parametrize("target", [0.6, 0.9])
def test_the_pilot_finds_steps_of_the_wanted_acceptance(target):
    schedule = tune(MODEL, wide, X, temperatures(30), chains=100, target=target)
    assert schedule.steps.shape == (30, 4, 2) and schedule.acceptance.shape == (30, 4)
    assert (schedule.steps > 0).all() and schedule.leapfrog == 4
    assert schedule.acceptance.mean().item() == pytest.approx(target, abs=0.06)


def test_each_coordinate_has_a_step_of_its_own_scale():
    model = LinearGaussian(torch.diag(torch.tensor([0.1, 40.0])).double(),
                           torch.zeros(2, dtype=F64), 1.0)  # fmt: skip
    x = torch.zeros(3, 2, dtype=F64)
    steps = tune(model, model.posterior, x, temperatures(4)).steps
    ratio = (steps[..., 0] / steps[..., 1]).mean().item()
    assert ratio == pytest.approx(40, rel=0.4)


def test_a_run_depends_on_its_seed_alone_and_leaves_no_graph():
    model = LinearGaussian(
        MODEL.weight, MODEL.loc, 0.7
    )  # its parameters need gradients
    schedule = tune(model, wide, X, temperatures(3), seed=5)
    again = tune(model, wide, X, temperatures(3), seed=5)
    assert torch.equal(schedule.steps, again.steps)
    a, b, c = (anneal(model, wide, X, schedule, chains=3, seed=s) for s in (1, 1, 2))
    assert torch.equal(a.log_w, b.log_w) and not torch.equal(a.log_w, c.log_w)
    d, e, f = (anneal_back(model, wide, X, a.z, schedule, seed=s) for s in (1, 1, 2))
    assert torch.equal(d.log_w, e.log_w) and not torch.equal(d.log_w, f.log_w)
    assert not a.log_w.requires_grad and not a.z.requires_grad
    assert not d.log_w.requires_grad and not schedule.steps.requires_grad
    assert all(p.grad is None for p in model.parameters())


def test_temperatures():
    assert temperatures(4).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert temperatures(2, 3.0).tolist() == [0, 0.125, 1]


# --- from weights to bounds ----------------------------------------------------------


def test_bounds_are_logs_of_means_with_the_delta_methods_error():
    log_w = normal(50, 3, seed=4)
    low, high = lower_bound(log_w), upper_bound(log_w)
    torch.testing.assert_close(low.value, importance_weighted(log_w), **CLOSE)
    torch.testing.assert_close(high.value, -importance_weighted(-log_w), **CLOSE)
    for found, w in ((low, log_w.exp()), (high, (-log_w).exp())):
        expected = w.std(0) / 50**0.5 / w.mean(0)
        torch.testing.assert_close(found.standard_error, expected, **CLOSE)


def test_a_lower_bound_is_what_log_evidence_gives():
    found = log_evidence(MODEL, wide, X, samples=30, seed=2)
    z = sample(wide(X), 30, stream(2, "evidence", 0, 0))
    mine = lower_bound(log_weights(MODEL, wide(X), X, z))
    torch.testing.assert_close(mine.value, found.value, **CLOSE)
    torch.testing.assert_close(mine.standard_error, found.standard_error, **CLOSE)


def test_effective_samples():
    equal = torch.full((7, 2), -300.0, dtype=F64)
    torch.testing.assert_close(
        effective_samples(equal), torch.tensor([7.0, 7.0]).double()
    )
    assert (lower_bound(equal).standard_error < 1e-6).all()
    one = torch.tensor([[0.0], [-1e3], [-1e3]], dtype=F64)
    torch.testing.assert_close(effective_samples(one), torch.ones(1, dtype=F64))
    log_w = normal(20, 3, seed=5)
    w = log_w.exp()
    expected = w.sum(0) ** 2 / (w**2).sum(0)
    torch.testing.assert_close(effective_samples(log_w), expected, **CLOSE)


def test_resampling_draws_ends_in_proportion_to_their_weights():
    n = 3000
    values = torch.arange(3, dtype=F64).repeat(n)
    log_w = torch.tensor([0.2, 0.3, 0.5], dtype=F64).log().repeat(n)
    run = Annealed(log_w.unsqueeze(1), values.reshape(-1, 1, 1))
    drawn = resample(run)
    assert drawn.shape == (3 * n, 1, 1)
    shares = torch.stack([drawn[:, 0, 0] == k for k in range(3)], 1).double()
    assert_mean(shares, torch.tensor([0.2, 0.3, 0.5], dtype=F64), error=0.06)
    pairs = Annealed(torch.tensor([[0.0, -99.0], [-99.0, 0.0]]),
                     torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]]))  # fmt: skip
    assert resample(pairs)[..., 0].tolist() == [[1, 4], [1, 4]]
    assert torch.equal(resample(run, seed=1), resample(run, seed=1))


@pytest.mark.parametrize(
    "betas",
    [[0.1, 1.0], [0.0, 0.5], [0.0, 0.6, 0.4, 1.0], [0.0, 0.5, 0.5, 1.0], [0.0]],
)
def test_temperatures_must_rise_from_zero_to_one(betas):
    with pytest.raises(ValueError, match="betas: expected to rise from 0 to 1, got"):
        tune(MODEL, wide, X, torch.tensor(betas))


def test_wrong_numbers_are_named():
    betas = temperatures(2)
    with pytest.raises(ValueError, match="at least 1, got 0 and 16"):
        tune(MODEL, wide, X, betas, leapfrog=0)
    with pytest.raises(ValueError, match="at least 1, got 4 and 0"):
        tune(MODEL, wide, X, betas, chains=0)
    for target in (0.0, 1.0):
        with pytest.raises(ValueError, match=f"between 0 and 1, got {target}"):
            tune(MODEL, wide, X, betas, target=target)
    schedule = tune(MODEL, wide, X, betas, chains=2)
    with pytest.raises(ValueError, match=r"got \(2, 3, 2\) and \(2, 4, 2\)"):
        anneal_back(MODEL, wide, X[:3], torch.zeros(2, 3, 2).double(), schedule)
    with pytest.raises(ValueError, match=r"chains of shape \(C, B, D\)"):
        anneal(MODEL, wide, X[:3], schedule)
    with pytest.raises(ValueError, match="at least 2 chains, got 1"):
        lower_bound(torch.zeros(1, 4))
