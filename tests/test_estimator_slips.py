"""Slips in the estimators: each wrong one fails the check that the right one passes."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import distributions as td

from tests.exact import CLOSE, F64, normal
from tests.expectations import (
    DISCRETE,
    PROBLEMS,
    SCALAR_BOUNDS,
    check,
    check_bound,
    check_expectation,
    check_landing,
    each_draw,
    exact,
    expected,
    tuples,
    variance,
)
from vaelib import bounds, estimators
from vaelib.estimators.common import detached
from vaelib.noise import push
from vaelib.quadrature import gauss_hermite


def average(values, slopes):
    """Value of one, gradient of the other, both averaged over samples."""
    return values.mean(0).detach() + slopes.mean(0) - slopes.mean(0).detach()


def path_detached(f, q, noise):
    return f(push(q, noise).detach(), q).mean(0)


def path_of_the_mean_alone(f, q, noise):
    return f(push(td.Normal(q.loc, q.scale.detach()), noise), q).mean(0)


def path_and_score(f, q, noise):
    z = push(q, noise)  # the detach is missing
    values = f(z, q)
    return average(values, values + values.detach() * q.log_prob(z))


def path_flipped(f, q, noise):
    values = f(push(q, noise), q)
    return average(values, -values)


def score_of(change, **wrong):
    """The score function with one thing changed."""

    def estimator(f, q, noise):
        z = push(q, noise).detach()
        values = f(z, q)
        return average(values, change(values, values.detach(), q, z))

    return estimator


SCORES = {
    "the weight of the score not detached": score_of(
        lambda values, known, q, z: values + values * q.log_prob(z)
    ),
    "f detached as well": score_of(
        lambda values, known, q, z: known + known * q.log_prob(z)
    ),
    "the score detached": score_of(
        lambda values, known, q, z: values + known * q.log_prob(z).detach()
    ),
    "the score's sign flipped": score_of(
        lambda values, known, q, z: values - known * q.log_prob(z)
    ),
    "the score of another density": score_of(
        lambda values, known, q, z: (
            values + known * td.Normal(q.loc, 2 * q.scale).log_prob(z)
        )
    ),
    "the density in place of its log": score_of(
        lambda values, known, q, z: values + known * q.log_prob(z).exp()
    ),
    "a baseline that depends on its own sample": score_of(
        lambda values, known, q, z: values + (known - 0.5 * known) * q.log_prob(z)
    ),
}


@pytest.mark.parametrize("name", SCORES)
def test_a_slip_in_the_score_function_is_caught(name):
    with pytest.raises(AssertionError, match="not close"):
        check_expectation(SCORES[name], "Poisson", 1)


@pytest.mark.parametrize(
    "slip", [path_detached, path_of_the_mean_alone, path_and_score, path_flipped]
)
def test_a_slip_in_the_path_is_caught(slip):
    with pytest.raises(AssertionError, match="not close"):
        check_expectation(slip, "Poisson", 1)


def test_a_flipped_baseline_is_caught_by_its_variance():
    """It is as unbiased as any other, so only the variance can tell."""
    nodes, weights = gauss_hermite(8)
    rows, unit = {"loc": torch.tensor([1.0], dtype=F64)}, torch.ones((), dtype=F64)

    def spread(baseline):
        slopes = each_draw(
            partial(estimators.score_function, baseline=baseline),
            lambda z, q: z.square(), rows, partial(td.Normal, scale=unit), nodes.T,
        )  # fmt: skip
        torch.testing.assert_close(weights @ slopes, 2 * rows["loc"], **CLOSE)
        return variance(slopes, weights).item()

    assert [round(spread(b), 9) for b in (4.0, 0.0, -4.0)] == [14.0, 30.0, 78.0]


def leave_one_out_with(others):
    """The leave-one-out estimator with another baseline."""

    def estimator(f, q, noise):
        z = push(q, noise).detach()
        values = f(z, q)
        known = values.detach()
        return average(values, values + (known - others(known)) * q.log_prob(z))

    return estimator


@pytest.mark.parametrize(
    "others",
    [
        lambda f: f.mean(0),  # its own sample left in: too small by (S − 1) / S
        lambda f: f - (f.sum(0) - f) / (len(f) - 1),
        lambda f: (f.sum(0) - f) / len(f) + f / len(f),
    ],
    ids=["itself left in", "the difference taken twice", "itself added again"],
)
@pytest.mark.parametrize("problem", ["linear-Gaussian", "finite"])
def test_a_slip_in_leaving_one_out_is_caught(others, problem):
    with pytest.raises(AssertionError, match="not close"):
        check_expectation(leave_one_out_with(others), problem, 2)


def test_leaving_nothing_out_shrinks_the_gradient_by_the_share_of_one():
    """The size of the slip: S samples give (S − 1) / S of the guide's gradient."""
    problem = PROBLEMS["finite"](0)
    options = {"allow_unused": True, "materialize_grads": True}
    leaf = problem.leaves["logits"]
    wrong = leave_one_out_with(lambda f: f.mean(0))
    f, problem.f = problem.f, lambda z, q: f(z, detached(q))
    for samples in (2, 3):
        found = expected(wrong, problem, samples)
        (slope,) = torch.autograd.grad(found, leaf, **options)
        (right,) = torch.autograd.grad(
            expected(estimators.score_function, problem, 1), leaf, **options
        )
        torch.testing.assert_close(slope, right * (samples - 1) / samples, **CLOSE)


def check_draws(estimator, again) -> None:
    """The same gradients from each draw: what a mean cannot tell, as in a baseline."""
    for name, samples in (("Poisson", 3), ("finite", 3), ("finite", 2)):
        problem = PROBLEMS[name](6)
        rows = tuples(len(problem.nodes), samples)
        q, noise = problem.guide(), problem.nodes[:, 0][rows]
        leaf = next(iter(problem.leaves.values()))
        for i in range(0, rows.shape[1], 5):
            values = [e(problem.f, q, noise[:, i : i + 1]) for e in (estimator, again)]
            slopes = [
                torch.autograd.grad(v.sum(), leaf, retain_graph=True)[0] for v in values
            ]
            torch.testing.assert_close(*slopes, **CLOSE)


def mean_of_others(f):
    return torch.stack([torch.cat([f[:s], f[s + 1 :]]).mean(0) for s in range(len(f))])


def test_leaving_one_out_written_again_agrees_draw_by_draw():
    again = leave_one_out_with(mean_of_others)
    check_draws(estimators.score_function_leave_one_out, again)


@pytest.mark.parametrize(
    "others",
    [lambda f: -mean_of_others(f), lambda f: 0 * f, lambda f: 2 * mean_of_others(f)],
    ids=["flipped", "none", "doubled"],
)
def test_a_baseline_unbiased_but_wrong_is_caught_draw_by_draw(others):
    check_expectation(leave_one_out_with(others), "finite", 2)
    with pytest.raises(AssertionError, match="not close"):
        check_draws(estimators.score_function_leave_one_out, leave_one_out_with(others))


def leaving_one_out_on_the_path(f, q, noise):
    z = push(q, noise)  # the detach is missing
    values = f(z, q)
    known = values.detach()
    signal = known - mean_of_others(known)
    return average(values, values + signal * q.log_prob(z))


def test_a_missing_detach_in_leaving_one_out_is_caught_draw_by_draw():
    """It makes the pathwise estimator of a normal guide: unbiased, but another one."""
    check_expectation(leaving_one_out_on_the_path, "Poisson", 2)
    with pytest.raises(AssertionError, match="not close"):
        check_draws(
            estimators.score_function_leave_one_out, leaving_one_out_on_the_path
        )


def landing_without_detach(f, q, noise):
    return f(push(q, noise), q).mean(0)


def landing_detached_wholly(f, q, noise):
    return f(push(q, noise).detach(), detached(q)).mean(0)


def landing_flipped(f, q, noise):
    z, fixed = push(q, noise), detached(q)
    values = f(z, fixed)
    return average(values, values + 2 * fixed.log_prob(z))


def landing_on_the_path_of_the_score(f, q, noise):
    return f(push(q, noise).detach(), q).mean(0)


def test_a_missing_detach_in_sticking_the_landing_is_caught_at_the_posterior():
    """Unbiased like the plain path, it keeps the variance that it should lose."""
    check_expectation(landing_without_detach, "Poisson", 1)
    with pytest.raises(AssertionError):
        check_landing(landing_without_detach)


@pytest.mark.parametrize(
    "slip",
    [landing_detached_wholly, landing_flipped, landing_on_the_path_of_the_score],
)
def test_a_slip_in_sticking_the_landing_is_caught(slip):
    with pytest.raises(AssertionError, match="not close"):
        check_expectation(slip, "Poisson", 1)


def bound_of(log_w, slopes):
    value = bounds.importance_weighted(log_w).detach()
    return value + slopes - slopes.detach()


def weights_from_the_joint(f, q, noise):
    """The shares of p(x, z) in place of p(x, z) / q(z)."""
    z = push(q, noise)
    log_w = f(z, q)
    share = (log_w + q.log_prob(z)).detach().softmax(0)
    return bound_of(log_w, (share * log_w).sum(0))


def never_divided_by_q(f, q, noise):
    z = push(q, noise)
    return bounds.importance_weighted(f(z, q) + q.log_prob(z))


def mean_of_logs(f, q, noise):
    return f(push(q, noise), q).mean(0)


def shares_not_normalised(f, q, noise):
    log_w = f(push(q, noise), q)
    return bound_of(log_w, (log_w.exp().detach() * log_w).mean(0))


@pytest.mark.parametrize(
    "slip",
    [weights_from_the_joint, never_divided_by_q, mean_of_logs, shares_not_normalised],
)
def test_a_slip_in_the_importance_weighted_path_is_caught(slip):
    with pytest.raises(AssertionError, match="not close"):
        check_bound(slip, "Poisson", 2)


def doubly(power=2, model_power=1, *, fixed=detached, sign=1, joint=False):
    """Double reparameterisation with other powers of the weights, or a detach less."""

    def estimator(f, q, noise):
        z = push(q, noise)
        at_rest = f(z.detach(), detached(q))  # the model's part
        along = f(z, fixed(q)) - at_rest  # the guide's part
        share = (at_rest + joint * q.log_prob(z)).detach().softmax(0)
        slopes = sign * share**power * along + share**model_power * at_rest
        return bound_of(at_rest, slopes.sum(0))

    return estimator


DOUBLY = {
    "weights not squared": doubly(power=1),
    "the model's weights squared too": doubly(model_power=2),
    "a missing detach of q": doubly(fixed=lambda q: q),
    "a flipped sign": doubly(sign=-1),
    "the path detached": doubly(sign=0),
    "weights of the joint density": doubly(joint=True),
}


@pytest.mark.parametrize("problem", SCALAR_BOUNDS)
def test_double_reparameterisation_written_again_is_unbiased(problem):
    check_bound(doubly(), problem, 2)


@pytest.mark.parametrize("name", DOUBLY)
def test_a_slip_in_double_reparameterisation_is_caught(name):
    with pytest.raises(AssertionError, match="not close"):
        check_bound(DOUBLY[name], "Poisson", 2)


def vimco_with(
    *, sign=1, live=False, own=False, model=True, path=False, other=False, added=False
):
    """VIMCO with one thing changed."""

    def estimator(f, q, noise):
        z = push(q, noise) if path else push(q, noise).detach()
        log_w = f(z, q)
        known = log_w if live else log_w.detach()
        count = len(log_w)
        rows = []
        for s in range(count):
            rest = torch.cat([known[:s], known[s + 1 :]])
            mean = (known if own else rest).mean(0, keepdim=True)
            rows.append(bounds.importance_weighted(torch.cat([rest, mean])))
        without = -torch.stack(rows) if added else torch.stack(rows)
        signal = bounds.importance_weighted(known) - without
        score = (detached(q) if other else q).log_prob(z)
        value = bounds.importance_weighted(log_w)
        slopes = sign * (signal * score).sum(0) + (value if model else 0)
        return bound_of(log_w, slopes)

    return estimator


VIMCO = {
    "a flipped sign": vimco_with(sign=-1),
    "the signal not detached": vimco_with(live=True),
    "its own weight in the mean": vimco_with(own=True),
    "the weights' own gradient detached": vimco_with(model=False),
    "the score detached": vimco_with(other=True),
}


@pytest.mark.parametrize("problem", ["linear-Gaussian", *DISCRETE])
def test_vimco_written_again_is_unbiased(problem):
    check_bound(vimco_with(), problem, 2)


def test_vimco_written_again_agrees_draw_by_draw():
    check_draws(estimators.vimco, vimco_with())


def test_a_baseline_of_vimco_unbiased_but_wrong_is_caught_draw_by_draw():
    check_bound(vimco_with(added=True), "finite", 2)
    with pytest.raises(AssertionError, match="not close"):
        check_draws(estimators.vimco, vimco_with(added=True))


@pytest.mark.parametrize("samples", [2, 3])
@pytest.mark.parametrize("name", VIMCO)
def test_a_slip_in_vimco_is_caught(name, samples):
    with pytest.raises(AssertionError, match="not close"):
        check_bound(VIMCO[name], "finite", samples)


def test_a_missing_detach_of_the_samples_in_vimco_is_caught():
    with pytest.raises(AssertionError, match="not close"):
        check_bound(vimco_with(path=True), "Poisson", 2)


def check_enumeration(estimator) -> None:
    problem = PROBLEMS["finite"](0)
    found = estimator(problem.f, problem.guide(), problem.points).sum()
    check(found, exact(problem, None), problem.leaves)


ENUMERATIONS = {
    "probabilities detached": lambda f, q, z: (
        q.log_prob(z).exp().detach() * f(z, q)
    ).sum(0),
    "values detached": lambda f, q, z: (q.log_prob(z).exp() * f(z, q).detach()).sum(0),
    "no probabilities": lambda f, q, z: f(z, q).mean(0),
    "logs for probabilities": lambda f, q, z: (q.log_prob(z) * f(z, q)).sum(0),
}


@pytest.mark.parametrize("name", ENUMERATIONS)
def test_a_slip_in_enumeration_is_caught(name):
    check_enumeration(estimators.enumerate_exact)
    with pytest.raises(AssertionError, match="not close"):
        check_enumeration(ENUMERATIONS[name])


def check_relaxed(estimator, straight_through: bool) -> None:
    """Against torch's relaxed samples from the same uniform numbers, draw by draw."""
    leaf, temperature = normal(3, 4, seed=52).requires_grad_(), 0.6
    table = normal(3, 4, seed=53)
    like = td.RelaxedOneHotCategorical(
        torch.tensor(temperature, dtype=F64), logits=leaf
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        z = like.rsample((50,))
        torch.manual_seed(5)
        noise = -(-torch.rand(50, 3, 4, dtype=F64).log()).log()
    if straight_through:
        winner = F.one_hot(z.argmax(-1), 4)
        z = winner.to(z) - z.detach() + z

    def f(z, q):
        return (z * table).sum(-1) ** 3

    found = estimator(f, td.Categorical(logits=leaf), noise, temperature)
    check(found.sum(), f(z, None).mean(0).sum(), {"logits": leaf})


def gumbel(straight_through: bool):
    return lambda f, q, noise, temperature: estimators.gumbel_softmax(
        f, q, noise, temperature=temperature, straight_through=straight_through
    )


@pytest.mark.parametrize("straight_through", [False, True])
def test_relaxed_samples_agree_with_torch_draw_by_draw(straight_through):
    check_relaxed(gumbel(straight_through), straight_through)


RELAXED = {
    "noise subtracted": lambda f, q, g, t: f(((q.logits - g) / t).softmax(-1), q),
    "temperature multiplied": lambda f, q, g, t: f(((q.logits + g) * t).softmax(-1), q),
    "noise not tempered": lambda f, q, g, t: f((q.logits / t + g).softmax(-1), q),
    "probabilities for logits": lambda f, q, g, t: f(
        ((q.probs + g) / t).softmax(-1), q
    ),
    "normal noise": lambda f, q, g, t: f(
        ((q.logits + td.Normal(0.0, 1.0).icdf((-(-g).exp()).exp())) / t).softmax(-1), q
    ),
    "logits detached": lambda f, q, g, t: f(
        ((q.logits.detach() + g) / t).softmax(-1), q
    ) + 0 * q.logits.sum(),
}  # fmt: skip


@pytest.mark.parametrize("name", RELAXED)
def test_a_slip_in_relaxed_samples_is_caught(name):
    with pytest.raises(AssertionError, match="not close"):
        check_relaxed(lambda f, q, g, t: RELAXED[name](f, q, g, t).mean(0), False)


@pytest.mark.parametrize("slip", ["missing detach", "detach too many"])
def test_a_slip_in_straight_through_is_caught(slip):
    def estimator(f, q, noise, temperature):
        soft = ((q.logits + noise) / temperature).softmax(-1)
        hard = F.one_hot(soft.argmax(-1), 4).to(soft)
        z = hard + soft if slip == "missing detach" else hard + 0 * soft
        return f(z, q).mean(0)

    with pytest.raises(AssertionError, match="not close"):
        check_relaxed(estimator, True)
