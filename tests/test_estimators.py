"""Every estimator is unbiased for what its docstring says, and refuses what it must."""

from __future__ import annotations

import re
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import distributions as td

from tests.exact import CLOSE, F64, normal
from tests.expectations import (
    CONTINUOUS,
    DISCRETE,
    PROBLEMS,
    SCALAR_BOUNDS,
    SMOOTH,
    at_the_posterior,
    check,
    check_bound,
    check_expectation,
    check_landing,
    each_draw,
    exact,
    line,
    variance,
)
from tests.statistics import assert_mean
from vaelib import bounds, estimators, guides
from vaelib.estimators import common
from vaelib.models import LinearGaussian
from vaelib.noise import draw, draw_gumbel, push, stream
from vaelib.quadrature import gauss_hermite

# ---- unbiasedness

SINGLE = {
    "pathwise": (estimators.pathwise, CONTINUOUS),
    "score function": (estimators.score_function, tuple(PROBLEMS)),
    "score function with a baseline": (
        partial(estimators.score_function, baseline=-1.7),
        tuple(PROBLEMS),
    ),
    "sticking the landing": (
        estimators.sticking_the_landing,
        CONTINUOUS,
    ),
}
PAIRS = [(e, p) for e, (_, problems) in SINGLE.items() for p in problems]


@pytest.mark.parametrize("name, problem", PAIRS)
def test_one_sample_is_unbiased(name, problem):
    check_expectation(SINGLE[name][0], problem, 1)


@pytest.mark.parametrize("name, problem", PAIRS)
def test_weights_make_an_estimator_its_own_expectation(name, problem):
    case = PROBLEMS[problem](120)
    found = SINGLE[name][0](case.f, case.guide(), case.nodes, weights=case.weights)
    check(found.sum(), exact(case, None), case.leaves)
    table = case.weights.unsqueeze(1)
    again = SINGLE[name][0](case.f, case.guide(), case.nodes, weights=table)
    check(again.sum(), exact(case, None), case.leaves)


def test_weights_count_as_constants():
    """An enumeration's weights, made from q's leaf, pass no gradient of their own."""
    case = PROBLEMS["finite"](0)
    q = case.guide()
    found = estimators.score_function(case.f, q, case.nodes, weights=q.probs.T)
    check(found.sum(), exact(case, None), case.leaves)
    for path in (estimators.pathwise, estimators.sticking_the_landing):
        weights = torch.ones(3, dtype=F64).requires_grad_()
        loc = torch.zeros(1, dtype=F64, requires_grad=True)
        value = path(
            lambda z, q: z, td.Normal(loc, 1.0), normal(3, 1, seed=55), weights=weights
        )
        used = torch.autograd.grad(value.sum(), [loc, weights], allow_unused=True)
        assert used[0] == 3 and used[1] is None
    best = estimators.optimal_baseline(case.f, q, case.nodes, weights=q.probs.T)
    assert not best.requires_grad
    noise, leaf = normal(5, 1, 3, seed=54), case.leaves["logits"]
    slopes = []
    share = leaf.softmax(1)[:, 0].expand(5)
    for weights in (share, share.detach()):
        value = estimators.gumbel_softmax(
            lambda z, q: z[..., 0], td.Categorical(logits=leaf), noise,
            weights=weights, temperature=1.0,
        )  # fmt: skip
        slopes.append(torch.autograd.grad(value.sum(), leaf)[0])
    torch.testing.assert_close(*slopes, **CLOSE)


def test_a_baseline_counts_as_a_constant():
    case = PROBLEMS["finite"](0)
    baseline = case.leaves["logits"].sum(1)
    found = estimators.score_function(
        case.f, case.guide(), case.nodes,
        weights=case.weights, baseline=baseline,
    )  # fmt: skip
    check(found.sum(), exact(case, None), case.leaves)
    one = estimators.score_function(
        case.f, case.guide(), case.nodes[:1], baseline=baseline.requires_grad_()
    )
    (slope,) = torch.autograd.grad(one.sum(), baseline, allow_unused=True)
    assert slope is None


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("problem", ["linear-Gaussian", "full Gaussian"])
def test_the_mean_of_two_samples_is_unbiased(name, problem):
    check_expectation(SINGLE[name][0], problem, 2)


@pytest.mark.parametrize("samples", [2, 3])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_leaving_one_out_is_unbiased(problem, samples):
    if problem == "full Gaussian" and samples == 3:
        samples = 2  # 25 nodes: three samples add nothing but time
    check_expectation(estimators.score_function_leave_one_out, problem, samples)


@pytest.mark.parametrize("problem", DISCRETE)
def test_enumeration_is_exact(problem):
    case = PROBLEMS[problem](0)
    found = estimators.enumerate_exact(case.f, case.guide())
    check(found.sum(), exact(case, None), case.leaves)


@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize("problem", SMOOTH)
def test_the_importance_weighted_path_is_unbiased(problem, samples):
    check_bound(estimators.importance_weighted_pathwise, problem, samples)


@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize("problem", SCALAR_BOUNDS)
def test_double_reparameterisation_is_unbiased(problem, samples):
    check_bound(estimators.doubly_reparameterised, problem, samples)


@pytest.mark.parametrize("samples", [2, 3])
@pytest.mark.parametrize("problem", [*SMOOTH, *DISCRETE])
def test_vimco_is_unbiased(problem, samples):
    check_bound(estimators.vimco, problem, samples)


# ---- what each estimator is for


@pytest.mark.parametrize("theta", [-1.5, 0.0, 0.3, 2.0])
def test_the_variances_of_the_teaching_problem(theta):
    nodes, weights = gauss_hermite(8)
    rows = {"loc": torch.tensor([theta], dtype=F64)}
    unit = torch.ones((), dtype=F64)

    def spread(estimator):
        slopes = each_draw(
            estimator, lambda z, q: z.square(), rows, partial(td.Normal, scale=unit),
            nodes.T,
        )  # fmt: skip
        torch.testing.assert_close(weights @ slopes, 2 * rows["loc"], **CLOSE)
        return variance(slopes, weights)

    wanted = {
        estimators.score_function: theta**4 + 14 * theta**2 + 15,
        partial(estimators.score_function, baseline=theta**2 + 3): 8 * theta**2 + 6,
        estimators.pathwise: 4,
    }
    for estimator, value in wanted.items():
        value = torch.tensor(float(value), dtype=F64)
        torch.testing.assert_close(spread(estimator), value, **CLOSE)


GUIDES = {  # names and values of the parameters of q for one datum; the family
    "square": (("loc", "scale"), td.Normal),
    "cosine": (("loc", "scale"), td.Normal),
    "Poisson": (("loc", "scale"), td.Normal),
    "full Gaussian": (("loc", "scale_tril"), td.MultivariateNormal),
    "finite": (("logits",), lambda logits: td.Categorical(logits=logits)),
    "bits": (
        ("logits",),
        lambda logits: td.Independent(td.Bernoulli(logits=logits), 1),
    ),
}


@pytest.mark.parametrize("name", GUIDES)
def test_no_constant_has_less_variance_than_the_optimal_baseline(name):
    problem, (names, family) = PROBLEMS[name](80), GUIDES[name]
    q = problem.guide()
    best = estimators.optimal_baseline(
        problem.f, q, problem.nodes, weights=problem.weights
    )
    assert best.shape == (1,) and not best.requires_grad
    base = q.base_dist if isinstance(q, td.Independent) else q
    rows = {k: getattr(base, k) for k in names}

    def spread(baseline):
        estimator = partial(estimators.score_function, baseline=float(baseline))
        slopes = each_draw(
            estimator, problem.f, rows, family, problem.nodes.transpose(0, 1)
        )
        return variance(slopes, problem.weights)

    low, least, high = (spread(best + h) for h in (-0.5, 0.0, 0.5))
    assert least < 0.99 * low and least < 0.999 * spread(0.0)
    torch.testing.assert_close(low, high, rtol=1e-9, atol=1e-9)


def test_the_optimal_baseline_counts_the_parameters_that_carry_a_gradient():
    theta = torch.tensor([0.5, -1.0], dtype=F64)
    nodes, weights = gauss_hermite(6)

    def best(*carry):
        loc, scale = theta.clone(), torch.ones(2, dtype=F64)
        for name, leaf in (("loc", loc), ("scale", scale)):
            leaf.requires_grad_(name in carry)
        return estimators.optimal_baseline(
            lambda z, q: z.square(), td.Normal(loc, scale), nodes, weights=weights
        )

    torch.testing.assert_close(best("loc"), theta**2 + 3, **CLOSE)
    # for the scale E[z² (ε² − 1)²] / E[(ε² − 1)²], with E[ε² (ε² − 1)²] = 10
    torch.testing.assert_close(best("scale"), theta**2 + 5, **CLOSE)
    torch.testing.assert_close(best("loc", "scale"), theta**2 + 13 / 3, **CLOSE)


@pytest.mark.parametrize("name", ["sticking_the_landing", "doubly_reparameterised"])
def test_the_gradient_vanishes_at_the_posterior_for_every_noise(name):
    check_landing(getattr(estimators, name))


@pytest.mark.parametrize("name", ["pathwise", "importance_weighted_pathwise"])
def test_the_plain_path_keeps_its_noise_at_the_posterior(name):
    with pytest.raises(AssertionError):
        check_landing(getattr(estimators, name))


def test_one_sample_of_a_bound_is_the_elbo():
    f, q, noise, _ = at_the_posterior()
    leaves = [(1.1 * p.detach()).requires_grad_() for p in (q.loc, q.scale_tril)]
    moved = td.MultivariateNormal(leaves[0], scale_tril=leaves[1])
    for many, one in (
        (estimators.importance_weighted_pathwise, estimators.pathwise),
        (estimators.doubly_reparameterised, estimators.sticking_the_landing),
    ):
        found, wanted = (e(f, moved, noise[:1]) for e in (many, one))
        torch.testing.assert_close(found, wanted, **CLOSE)
        for a, b in zip(
            torch.autograd.grad(found.sum(), leaves, retain_graph=True),
            torch.autograd.grad(wanted.sum(), leaves, retain_graph=True),
            strict=True,
        ):
            torch.testing.assert_close(a, b, **CLOSE)


ALL = {
    **{name: (e, "linear-Gaussian") for name, (e, _) in SINGLE.items()},
    "leaving one out": (estimators.score_function_leave_one_out, "linear-Gaussian"),
    "importance-weighted": (estimators.importance_weighted_pathwise, "linear-Gaussian"),
    "doubly reparameterised": (estimators.doubly_reparameterised, "linear-Gaussian"),
    "vimco": (estimators.vimco, "finite"),
    "enumeration": (estimators.enumerate_exact, "finite"),
    "gumbel": (partial(estimators.gumbel_softmax, temperature=0.7), "relaxed"),
}


def batch_of(kind: str, device: str = "cpu"):
    """f for some of the data, the leaf of q (B, ...), its family, and noise."""
    generator = stream(3, kind)
    if kind == "linear-Gaussian":
        model = LinearGaussian(normal(3, 2, seed=41), normal(3, seed=42), 1.5)
        model, x = model.to(device), normal(4, 3, seed=48).to(device)
        leaf, draw_noise = normal(4, 2, seed=49), draw

        def family(leaf):
            return td.Independent(td.Normal(leaf, torch.ones_like(leaf)), 1)

        def f(rows):
            return lambda z, q: bounds.log_weights(model, q, x[rows], z)
    else:
        leaf, table = normal(4, 3, seed=50), normal(4, 3, seed=51).to(device)
        draw_noise = draw if kind == "finite" else draw_gumbel

        def family(leaf):
            return td.Categorical(logits=leaf)

        def f(rows):
            if kind == "relaxed":
                return lambda z, q: (z * table[rows]).sum(-1) ** 2
            states = table[rows].T  # (K, B)
            return lambda z, q: states.gather(0, z.expand(-1, states.shape[1])) * 1.0

    noise = draw_noise(family(leaf), 3, generator).to(device)
    return f, leaf.to(device).requires_grad_(), family, noise


@pytest.mark.parametrize("name", ALL)
def test_each_datum_stands_by_itself(name):
    estimator, kind = ALL[name]
    f, leaf, family, noise = batch_of(kind)
    together = estimator(f(slice(None)), family(leaf), noise)
    assert together.shape == (4,)
    (slope,) = torch.autograd.grad(together.sum(), leaf)
    for i in range(4):
        rows = slice(i, i + 1)
        part = leaf[rows].detach().requires_grad_()
        alone = estimator(f(rows), family(part), noise[:, rows])
        torch.testing.assert_close(alone, together[rows], **CLOSE)
        (found,) = torch.autograd.grad(alone.sum(), part)
        torch.testing.assert_close(found, slope[rows], **CLOSE)


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("enumeration", "gumbel")])
def test_the_value_is_that_of_the_bound(name):
    estimator, kind = ALL[name]
    f, leaf, family, noise = batch_of(kind)
    q = family(leaf)
    log_w = f(slice(None))(push(q, noise), q)
    multi = name in ("importance-weighted", "doubly reparameterised", "vimco")
    bound = bounds.importance_weighted if multi else bounds.elbo
    found = estimator(f(slice(None)), q, noise)
    torch.testing.assert_close(found, bound(log_w), rtol=1e-14, atol=1e-14)


@pytest.mark.cuda
@pytest.mark.parametrize("name", ALL)
def test_the_gpu_gives_what_the_cpu_gives(name):
    estimator, kind = ALL[name]
    found = []
    for device in ("cpu", "cuda"):
        f, leaf, family, noise = batch_of(kind, device)
        value = estimator(f(slice(None)), family(leaf), noise)
        assert value.device.type == device
        found.append((value.cpu(), torch.autograd.grad(value.sum(), leaf)[0].cpu()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


# ---- relaxed samples


START = torch.tensor([[0.4, -0.3]], dtype=F64)


def logistic(n: int = 1600) -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes g (N, 1, 2) and weights: of two states only g₁ − g₂ matters.

    The point where one state begins to win lies halfway between two nodes.
    """
    middle = (START[0, 1] - START[0, 0]).item()
    nodes, areas = line(middle - 42.0, middle + 42.0, n)
    weights = areas * (F.logsigmoid(nodes) + F.logsigmoid(-nodes)).exp()
    return torch.stack([nodes, torch.zeros_like(nodes)], 1).unsqueeze(1), weights


CURVED = {  # f on the simplex of two states, (…, 2)
    "linear": lambda z, q: z @ z.new_tensor([1.0, -0.5]),
    "square": lambda z, q: (z @ z.new_tensor([1.0, -0.5])).square(),
    "cube": lambda z, q: z[..., 0] ** 3,
}


def relaxed_by_density(f, logits, temperature: float):
    """E[f(z)] of a relaxed sample by torch's density of it, over a line t = logit z."""
    t, areas = line(-42.0 / temperature, 42.0 / temperature, 4001)
    log_z = torch.stack([F.logsigmoid(t), F.logsigmoid(-t)], 1).unsqueeze(1)
    q = td.RelaxedOneHotCategorical(torch.tensor(temperature, dtype=F64), logits=logits)
    density = q.log_prob(log_z.exp()).exp() * log_z.sum(-1).exp()  # dz₁ = z₁ z₂ dt
    return (areas.unsqueeze(1) * density * f(log_z.exp(), None)).sum(0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("name", CURVED)
def test_relaxed_samples_have_the_density_that_torch_gives(name, temperature):
    logits = START.clone().requires_grad_()
    noise, weights = logistic()
    found = estimators.gumbel_softmax(
        CURVED[name], td.Categorical(logits=logits), noise,
        weights=weights, temperature=temperature,
    )  # fmt: skip
    wanted = relaxed_by_density(CURVED[name], logits, temperature)
    check(found.sum(), wanted.sum(), {"logits": logits})


def test_relaxed_samples_have_the_mean_and_variance_of_torchs_own():
    """Torch's draws against sums over noise; one look each, in units of the exact."""
    noise, weights = logistic()
    slopes = each_draw(
        partial(estimators.gumbel_softmax, temperature=0.8),
        CURVED["cube"], {"logits": START}, lambda logits: td.Categorical(logits=logits),
        noise.transpose(0, 1),
    )[:, :1]  # fmt: skip
    mean, spread = weights @ slopes, variance(slopes, weights)
    leaf = START.expand(100_000, 2).clone().requires_grad_()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        z = td.RelaxedOneHotCategorical(torch.tensor(0.8, dtype=F64), logits=leaf)
        value = CURVED["cube"](z.rsample(), None)
    scaled = (torch.autograd.grad(value.sum(), leaf)[0][:, :1] - mean) / spread.sqrt()
    assert_mean(scaled, 0.0, error=0.03)
    assert_mean(scaled.square(), 1.0, error=0.1)


def relaxed_moments(name, temperature, straight_through=False):
    """Bias and variance of the relaxed gradient in the first logit, by quadrature."""
    leaf = START.clone().requires_grad_()
    corners = torch.eye(2, dtype=F64)
    true = estimators.enumerate_exact(
        lambda z, q: CURVED[name](corners[z], q), td.Categorical(logits=leaf)
    )
    (right,) = torch.autograd.grad(true.sum(), leaf)
    noise, weights = logistic(20_000)
    estimator = partial(
        estimators.gumbel_softmax,
        temperature=temperature,
        straight_through=straight_through,
    )
    slopes = each_draw(
        estimator, CURVED[name], {"logits": START},
        lambda logits: td.Categorical(logits=logits),
        noise.transpose(0, 1),
    )[:, :1]  # fmt: skip
    bias = weights @ slopes - right[0, :1]
    return bias.item(), variance(slopes, weights).item()


def test_the_bias_of_relaxed_samples_falls_with_the_temperature_as_variance_rises():
    moments = [relaxed_moments("linear", t) for t in (1, 1 / 2, 1 / 4, 1 / 8, 1 / 16)]
    biases, variances = zip(*moments, strict=True)
    right = torch.tensor(0.7, dtype=F64).sigmoid().item()
    right *= 1.5 * (1 - right)  # the exact gradient
    assert biases[0] / right == pytest.approx(-0.284, abs=1e-3)
    for k in range(4):
        assert abs(biases[k + 1]) < abs(biases[k]) / 2
        assert variances[k + 1] > 2 * variances[k]
    assert abs(biases[-2] / biases[-1]) == pytest.approx(4, abs=0.1)  # as T²
    assert variances[-1] / variances[-2] == pytest.approx(2, abs=0.25)  # as 1/T


def test_the_bias_of_relaxed_samples_may_be_least_at_a_temperature_above_zero():
    warm, cool = (relaxed_moments("square", t)[0] for t in (1.0, 0.5))
    assert abs(warm) < abs(cool) / 5


def test_straight_through_can_stay_biased_at_every_temperature():
    """The mean slope at the two corners is no difference of f between them."""
    slope = torch.tensor(0.7, dtype=F64).sigmoid().item()
    slope *= 1 - slope  # the exact gradient
    warm, cold, relaxed = (
        relaxed_moments("cube", temperature, straight_through)[0] / slope
        for temperature, straight_through in (
            (1 / 8, True),
            (1 / 64, True),
            (1 / 64, False),
        )
    )
    assert warm > 0.5 and cold == pytest.approx((3 + 0) / 2 - 1, abs=0.02)
    assert abs(relaxed) < 0.02


# ---- where an estimator does not apply


NORMAL = td.Normal(torch.zeros(2), torch.ones(2))
GAUSSIANS = {
    "Normal": NORMAL,
    "Independent(Normal)": td.Independent(td.Normal(torch.zeros(2, 3), 1.0), 1),
    "MultivariateNormal": td.MultivariateNormal(torch.zeros(2, 3), torch.eye(3)),
}
WITHOUT_PATH = {
    "Categorical": td.Categorical(torch.ones(2, 3)),
    "Bernoulli": td.Bernoulli(torch.full((2,), 0.5)),
    "Independent(Bernoulli)": td.Independent(td.Bernoulli(torch.full((2, 3), 0.5)), 1),
    "Gamma": td.Gamma(torch.ones(2), torch.ones(2)),
}
PATHS = (
    "pathwise",
    "sticking_the_landing",
    "importance_weighted_pathwise",
    "doubly_reparameterised",
)


def never(z, q):
    raise AssertionError("f was called before q was checked")


@pytest.mark.parametrize("guide", WITHOUT_PATH)
@pytest.mark.parametrize("name", PATHS)
def test_no_path_through_a_guide_without_one(name, guide):
    match = (
        rf"^q: {re.escape(guide)} has no differentiable path .*"
        "score_function_leave_one_out.*vimco.*enumerate_exact"
    )
    with pytest.raises(TypeError, match=match):
        getattr(estimators, name)(never, WITHOUT_PATH[guide], torch.zeros(2, 2))


@pytest.mark.parametrize("guide", [*GAUSSIANS, "Gamma"])
def test_no_enumeration_of_a_continuous_guide(guide):
    q = (GAUSSIANS | WITHOUT_PATH)[guide]
    match = rf"^q: {re.escape(guide)} has no finite support to enumerate; .*pathwise"
    with pytest.raises(TypeError, match=match):
        estimators.enumerate_exact(never, q)


@pytest.mark.parametrize(
    "guide, fitting",
    [
        ("Normal", "use pathwise"),
        ("MultivariateNormal", "use pathwise"),
        ("Independent(Bernoulli)", "enumerate_exact or score_function_leave_one_out"),
        ("Gamma", "else score_function"),
    ],
)
def test_no_relaxation_of_a_guide_that_is_not_categorical(guide, fitting):
    q = (GAUSSIANS | WITHOUT_PATH)[guide]
    match = rf"^q: expected a Categorical, got {re.escape(guide)}; .*{fitting}"
    with pytest.raises(TypeError, match=match):
        estimators.gumbel_softmax(never, q, torch.zeros(1, 2), temperature=1.0)


@pytest.mark.parametrize("family", ["DiagonalGaussian", "FullGaussian"])
def test_the_guides_of_the_package_can_be_held_fixed(family):
    """Doubly reparameterised gradients take q with constant parameters."""
    family = getattr(guides, family)(2)
    parameters = torch.linspace(-0.5, 0.5, family.size).repeat(3, 1).requires_grad_()
    q = family(parameters)
    fixed = common.detached(q)
    z = torch.linspace(-1, 1, 6).reshape(3, 2)
    assert torch.equal(fixed.log_prob(z), q.log_prob(z))
    assert q.log_prob(z).requires_grad and not fixed.log_prob(z).requires_grad


def test_no_optimal_baseline_of_an_unknown_guide_or_of_one_without_parameters():
    with pytest.raises(TypeError, match="^q: expected one of Normal, .* got Gamma"):
        estimators.optimal_baseline(never, WITHOUT_PATH["Gamma"], torch.ones(2, 2))
    with pytest.raises(ValueError, match="^q: expected parameters that carry"):
        estimators.optimal_baseline(never, NORMAL, torch.ones(2, 2))


@pytest.mark.parametrize("name", ["score_function_leave_one_out", "vimco"])
def test_leaving_one_out_needs_two(name):
    with pytest.raises(ValueError, match="^noise: expected at least 2 samples.* got 1"):
        getattr(estimators, name)(never, NORMAL, torch.zeros(1, 2))


EVERY = {
    name: getattr(estimators, name)
    for name in (*PATHS, "score_function", "score_function_leave_one_out", "vimco")
}


@pytest.mark.parametrize("name", EVERY)
def test_noise_and_values_must_have_the_samples_and_data_as_axes(name):
    vector = GAUSSIANS["Independent(Normal)"]
    for q, shape in (
        (NORMAL, (4,)), (NORMAL, (4, 3)), (NORMAL, (4, 2, 1)), (NORMAL, (0, 2)),
        (vector, (4, 2)), (vector, (4, 2, 1)), (vector, (4, 2, 2)),
    ):  # fmt: skip
        message = "at least 2 samples" if len(q.batch_shape) > len(shape) else "noise: "
        with pytest.raises(ValueError, match=message):
            EVERY[name](never, q, torch.zeros(shape))
    for values in (torch.zeros(4), torch.zeros(4, 2, 3), torch.zeros(2, 4)):
        match = r"^f: expected values of shape \(S, B\) = \(4, 2\), got"
        with pytest.raises(ValueError, match=match):
            EVERY[name](lambda z, q, v=values: v, vector, torch.zeros(4, 2, 3))
    lone = td.Normal(torch.tensor(0.0), 1.0)
    with pytest.raises(ValueError, match=r"^q: expected batch shape \(B,\)"):
        EVERY[name](never, lone, torch.zeros(4))


@pytest.mark.parametrize("shape", [(1,), (3,), (4, 2)])
def test_a_baseline_is_a_number_or_one_per_datum(shape):
    with pytest.raises(ValueError, match=r"^baseline: expected a number or shape \(2,"):
        estimators.score_function(
            lambda z, q: z, NORMAL, torch.zeros(4, 2), baseline=torch.zeros(shape)
        )


def test_relaxed_samples_need_a_temperature_and_noise_for_each_state():
    q = WITHOUT_PATH["Categorical"]
    for temperature in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="^temperature: expected a positive"):
            estimators.gumbel_softmax(
                never, q, torch.zeros(4, 2, 3), temperature=temperature
            )
    for shape in ((4, 2), (4, 2, 4), (4, 3, 3), (2, 3)):
        with pytest.raises(ValueError, match=r"^noise: expected shape \(S, 2, 3\)"):
            estimators.gumbel_softmax(never, q, torch.zeros(shape), temperature=1.0)


@pytest.mark.parametrize("name", ["score_function_leave_one_out", "vimco", *PATHS[2:]])
def test_samples_that_depend_on_one_another_take_no_weights(name):
    with pytest.raises(TypeError, match="weights"):
        EVERY[name](never, NORMAL, torch.zeros(2, 2), weights=torch.ones(2) / 2)


def test_enumeration_takes_all_combinations():
    q = td.Independent(td.Categorical(torch.tensor([[[0.2, 0.8], [0.5, 0.5]]])), 1)
    seen = []

    def f(z, q):
        seen.append(z)
        return (2 * z[..., 0] + z[..., 1]) * 1.0

    value = estimators.enumerate_exact(f, q)
    assert seen[0][:, 0].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    torch.testing.assert_close(value, torch.tensor([2 * 0.8 + 0.5]))


def test_enumeration_of_a_binomial_guide_has_the_gradient_of_its_closed_form():
    leaf = torch.tensor([0.25, 0.5], dtype=F64, requires_grad=True)
    q = td.Binomial(3, leaf)
    value = estimators.enumerate_exact(lambda z, q: z.square(), q)
    wanted = q.variance + q.mean**2
    for weight in (torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])):
        check((weight * value).sum(), (weight * wanted).sum(), {"probs": leaf})
