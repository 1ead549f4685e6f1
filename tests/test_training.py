"""The trainer: right answers, the same every time, and no damage by a mistake."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
import torch
from torch import distributions as td
from torch import nn

from tests import runs
from tests.runs import DEVICES, lighten, run_small, same, small, state, train
from vaelib import bounds, noise
from vaelib.guides import Amortized, DiagonalGaussian, Free, PriorGuide
from vaelib.models import Bernoulli, Binomial, DeepModel, Gaussian, LinearGaussian, mlp
from vaelib.training.batches import Batches


def linear_data(n=500, p=5, d=2):
    """Data from a linear-Gaussian model, float64."""
    g = noise.stream(1, "linear data")
    weight = torch.randn(p, d, generator=g, dtype=torch.float64)
    z = torch.randn(n, d, generator=g, dtype=torch.float64)
    x = torch.randn(n, p, generator=g, dtype=torch.float64)
    return z @ weight.T + 0.5 * x + 1


def linear_model(p=5, d=2):
    g = noise.stream(2, "start")
    weight = torch.randn(p, d, generator=g, dtype=torch.float64)
    return LinearGaussian(weight, torch.zeros(p, dtype=torch.float64), 1.0)


# What it reaches


@pytest.mark.parametrize("device", DEVICES)
def test_exact_posterior_as_guide_reaches_maximum_likelihood(device):
    x = linear_data()
    best = LinearGaussian.maximum_likelihood(x, 2).log_evidence(x).mean()
    model = linear_model()
    before = model.log_evidence(x).mean()
    run = train(
        model, model.posterior, bounds.elbo, x, steps=250, lr=0.05, device=device
    )
    model.cpu()
    reached = model.log_evidence(x).mean()
    assert before < best - 1  # there was something to gain
    assert best - 0.02 <= reached <= best + 1e-9
    # With the posterior as guide the bound is the evidence itself.
    assert run.bounds[-1] == pytest.approx(reached.item(), abs=0.02)
    assert run.steps == (100, 200, 250)


@pytest.mark.parametrize("device", DEVICES)
def test_amortized_guide_in_batches_reaches_maximum_likelihood(device):
    x = linear_data()
    best = LinearGaussian.maximum_likelihood(x, 2).log_evidence(x).mean()
    model = linear_model()
    guide = Amortized(nn.Linear(5, 4)).double()
    nn.init.zeros_(guide.encoder.weight)
    nn.init.zeros_(guide.encoder.bias)
    settings = {"batch_size": 100, "samples": 4, "device": device}
    train(model, guide, bounds.elbo, x, steps=500, lr=0.02, **settings)
    train(model, guide, bounds.elbo, x, steps=200, lr=0.002, seed=1, **settings)
    reached = model.cpu().log_evidence(x).mean()
    assert best - 0.02 <= reached <= best + 1e-9


def test_free_guide_trains_on_all_data_in_order():
    # With the model fixed, the best q_n is the exact posterior's mean for datum n.
    x = linear_data(20)
    model = LinearGaussian.maximum_likelihood(x, 2).requires_grad_(False)
    guide = Free(DiagonalGaussian(2).standard(20).double(), DiagonalGaussian(2))
    before = state(model)
    train(model, guide, bounds.elbo, x, steps=500, lr=0.02, samples=16)
    assert same(before, state(model))
    assert (guide(x).mean - model.posterior(x).mean).abs().max() < 0.1


@pytest.mark.parametrize("bound", [bounds.elbo, bounds.importance_weighted])
def test_training_raises_the_bound(bound):
    model, guide, data = small()
    run = train(model, guide, bound, data, steps=300, lr=0.01, samples=3)
    assert run.bounds[-1] > run.bounds[0] + 1
    assert run.bounds[-1] < 0  # a log-probability of counts: the bound, not the loss


def test_shared_parameters_are_trained_once():
    # One step of Adam moves a parameter by lr; an optimiser given it twice, by 2 lr.
    model, _, data = small()
    before = state(model)
    train(model, PriorGuide(model), bounds.elbo, data, steps=1, lr=1e-3)
    moved = max((a - b).abs().max() for a, b in zip(before, state(model), strict=True))
    assert moved == pytest.approx(1e-3, rel=1e-2)


def test_parameters_held_by_a_plain_object_are_trained():
    class Plain:
        def __init__(self):
            self.net = DeepModel(mlp(2, 6), Binomial(4), 2)

        def prior(self):
            return self.net.prior()

        def likelihood(self, z):
            return self.net.likelihood(z)

    model, (_, guide, data) = Plain(), small()
    before = state(model.net)
    train(model, guide, bounds.elbo, data, steps=1)
    assert not same(before, state(model.net))


def test_report_is_the_mean_bound_of_each_interval():
    model, guide, data = small()
    seen = []

    def bound(log_w):
        values = bounds.elbo(log_w)
        seen.append(values.mean().item())
        return values

    run = train(model, guide, bound, data, steps=25, report_every=10, batch_size=8)
    seen = seen[1:]  # the first was the trial before the first step
    assert run.steps == (10, 20, 25)
    means = [sum(part) / len(part) for part in (seen[:10], seen[10:20], seen[20:])]
    assert run.bounds == pytest.approx(means, rel=1e-6)
    assert run.device == "cpu" and run.seconds > 0


def test_an_epoch_is_a_permutation():
    per_epoch, data = 50 // 8, torch.zeros(50, 1)
    batches = Batches(data, 8, (1, 1), seed=0)
    rows = [batches.rows(step) for step in range(3 * per_epoch)]
    epochs = torch.stack(rows).reshape(3, -1)
    for epoch in epochs:
        assert len(epoch.unique()) == 48
        assert 0 <= epoch.min() and epoch.max() < 50
    assert not torch.equal(epochs[0], epochs[1])
    # Asked for in whatever order, a step's batch is the same.
    again = Batches(data, 8, (1, 1), seed=0)
    for step in (9, 17, 0, 9):
        assert torch.equal(again.rows(step), rows[step])
    whole = Batches(data, 50, (1, 1), seed=0)
    assert all(torch.equal(whole.rows(step), torch.arange(50)) for step in range(2))


def test_a_share_of_a_batch_is_a_part_of_the_whole():
    data = torch.arange(50.0).unsqueeze(1)
    settings = {"noise_shape": (3, 2), "seed": 1, "transform": lighten}
    x, drawn = Batches(data, 8, **settings)[5]
    assert x.shape == (8, 1) and drawn.shape == (3, 8, 2)
    for part in (slice(0, 4), slice(4, 8)):
        shares = Batches(data, 8, **settings, part=part)[5]
        assert torch.equal(shares[0], x[part])
        assert torch.equal(shares[1], drawn[:, part])


@pytest.mark.parametrize("device", DEVICES)
def test_the_device_is_found_unasked(device):
    if device == "cpu" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here, and it is to be found")
    model, guide, data = small()
    run = train(model, guide, bounds.elbo, data, steps=2, device="auto")
    assert run.device == device
    for parameter in (*model.parameters(), *guide.parameters()):
        assert parameter.device.type == device


def test_no_steps():
    model, guide, data = small()
    before = state(model, guide)
    run = train(model, guide, bounds.elbo, data, steps=0)
    assert run.steps == run.bounds == () and same(before, state(model, guide))


# The same every time


@pytest.mark.parametrize("device", DEVICES)
def test_two_runs_are_equal_whatever_ran_before(device):
    first, a = run_small(device)
    torch.manual_seed(12345)
    torch.randn(1000, device=device)
    second, b = run_small(device)
    assert first == second and same(a, b)
    assert not same(a, run_small(device, seed=1)[1])


@pytest.mark.parametrize("device", DEVICES)
def test_global_generators_are_neither_used_nor_changed(device):
    def states():
        cuda = torch.cuda.get_rng_state() if device == "cuda" else torch.zeros(1)
        return [torch.get_rng_state(), cuda, torch.tensor(torch.get_num_threads())]

    model, guide, data = small()
    before = states()
    settings = {"steps": 20, "batch_size": 8, "device": device}
    train(model, guide, bounds.elbo, data, **settings)
    assert same(before, states())


def test_under_no_grad_and_with_old_gradients():
    model, guide, data = small()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 1e3)
    with torch.no_grad():
        train(model, guide, bounds.elbo, data, steps=60, batch_size=8, lr=0.01)
    assert same(state(model, guide), run_small()[1])
    assert all(p.grad is None for p in (*model.parameters(), *guide.parameters()))


# Data drawn anew for every batch


def test_a_transform_that_changes_nothing_changes_nothing():
    assert same(run_small()[1], run_small(transform=lambda x, generator: x)[1])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("batch_size", [8, None])
def test_each_step_is_transformed_by_its_own_stream(device, batch_size):
    seen, places, (model, guide, data) = [], [], small()

    def transform(x, generator):
        places.append((x.device.type, generator.device.type))
        x = lighten(x, generator)
        if len(places) > 1:  # the first was the trial of all data
            seen.append(x.clone().cpu())
        return x

    settings = {"batch_size": batch_size, "seed": 5, "device": device}
    copy = data.clone()
    train(model, guide, bounds.elbo, data, steps=9, transform=transform, **settings)
    assert torch.equal(data, copy) and {*places} == {(device, device)}
    size, place = batch_size or 50, torch.device(device)
    batches = Batches(data.to(place), size, (1, 2), seed=5)
    for step in range(9):
        rows = batches.rows(step)
        generator = noise.stream(5, "data", step, device=device)
        expected = lighten(data.to(device)[rows], generator).cpu()
        assert torch.equal(seen[step], expected)
    assert len(seen) == 9 and not torch.equal(seen[0], seen[1])


def test_support_is_asked_of_what_the_transform_returns():
    model, guide, data = small()
    train(model, guide, bounds.elbo, data / 4, steps=2, transform=lambda x, g: 4 * x)
    rejected(ValueError, r"^data: .* row 7$", transform=raised)


def at_step(step, change):
    """A transform that changes the batch of one step, by its stream, and no other."""
    stream = noise.stream(0, "data", step).initial_seed()
    return lambda x, g: change(x) if g.initial_seed() == stream else x


@pytest.mark.parametrize("graph", [False, True])
def test_a_transform_that_leaves_the_support_later_is_named(graph):
    model, guide, data = small()
    transform = at_step(19, lambda x: x.index_fill(0, torch.tensor([3]), 5.0))
    settings = {"batch_size": 25, "transform": transform, "graph": graph}
    message = r"^step 19: transform: expected values in .* not so in row (\d+)$"
    with pytest.raises(ValueError, match=message) as caught:
        train(model, guide, bounds.elbo, data, steps=60, **settings)
    rows = Batches(data, 25, (1, 2), seed=0).rows(19)
    assert str(caught.value).endswith(f" {rows[3]}")
    expected, (other, clean, _) = state(model, guide), small()
    train(other, clean, bounds.elbo, data, steps=19, batch_size=25, graph=graph)
    assert same(expected, state(other, clean))


def raised(x, generator):
    """Outside of the support in one row of all."""
    x = x.clone()
    if len(x) > 8:
        x[7, 0] = 5
    return x


def test_a_transform_may_return_whole_numbers():
    _, expected = run_small(transform=lighten)
    _, got = run_small(transform=lambda x, g: lighten(x, g).to(torch.uint8))
    assert same(expected, got)


# Bad input


def nan_row(data):
    data[3, 1] = math.nan


def inf_row(data):
    data[3, 1] = math.inf


def outside(data):
    data[7, 0] = 5.0


def fraction(data):
    data[7, 0] = 0.5


BAD_DATA = [
    (
        nan_row,
        "^data: expected finite numbers that fit torch.float32; not so in row 3$",
    ),
    (
        inf_row,
        "^data: expected finite numbers that fit torch.float32; not so in row 3$",
    ),
    (
        outside,
        r"^data: .* IntegerInterval\(lower_bound 0, upper_bound 4\); .* row 7$",
    ),
    (fraction, "^data: .* support, IntegerInterval.* row 7$"),
]


@pytest.mark.parametrize(("spoil", "message"), BAD_DATA)
@pytest.mark.parametrize("batch_size", [None, 2])
def test_bad_data(spoil, message, batch_size):
    _, _, data = small()
    spoil(data)
    rejected(ValueError, message, data=data, batch_size=batch_size)


def test_grey_pixels_are_outside_the_support_of_a_bernoulli():
    model, _, data = small()
    model.family = Bernoulli()
    message = (
        r"^data: .* support, Boolean\(\); not so in rows 0, 1, 2, 3, 4 and 45 more$"
    )
    rejected(ValueError, message, model=model, data=data / 4 + 0.01)


BAD = [
    ({"data": [[1.0]]}, TypeError, "^data: expected a tensor, got list$"),
    ({"data": torch.zeros(())}, ValueError, r"^data: expected shape \(N, \*event\)"),
    ({"data": torch.zeros(0, 6)}, ValueError, r"^data: expected shape \(N, \*event\)"),
    (
        {"data": torch.full((9, 6), 1e300, dtype=torch.float64)},
        ValueError,
        "^data: expected finite numbers .* torch.float32; .* rows 0, 1, 2, 3, 4",
    ),
    (
        {"data": torch.zeros(9, 7)},
        ValueError,
        r"^data: rows: expected shape \(6,\), of the likelihood, got \(7,\)$",
    ),
    ({"data": torch.zeros(9)}, ValueError, r"^data: rows: expected shape \(6,\)"),
    ({"model": nn.Linear(2, 2)}, TypeError, "^model: expected a method `prior`"),
    ({"guide": 3}, TypeError, "^guide: expected a callable, got int$"),
    ({"guide": nn.Linear(6, 2)}, TypeError, "^guide: expected a reparameterisable"),
    (
        {"guide": lambda x: td.Bernoulli(torch.full((len(x),), 0.5))},
        TypeError,
        "^guide: expected a reparameterisable",
    ),
    (
        {"guide": Amortized(nn.Linear(7, 4))},
        ValueError,
        r"^guide: expected it to take data of shape \(8, 6\)",
    ),
    (
        {"guide": Amortized(nn.Linear(6, 6))},
        ValueError,
        r"^guide: q's events: expected shape \(2,\), of the prior, got \(3,\)$",
    ),
    (
        {"guide": Free(torch.zeros(50, 4), DiagonalGaussian(2))},
        ValueError,
        r"^guide: .* \(8, 6\): x: expected all 50 data",
    ),
    (
        {"guide": lambda x: td.Normal(torch.zeros(len(x), 2), 1.0)},
        ValueError,
        r"^guide: q's batch: expected shape \(8,\), one for each datum, got \(8, 2\)$",
    ),
    ({"bound": "elbo"}, TypeError, "^bound: expected a callable, got str$"),
    (
        {"bound": lambda log_w: log_w.mean()},
        ValueError,
        r"^bound: values: expected shape \(8,\), one for each datum, got \(\)$",
    ),
    ({"bound": lambda log_w: log_w}, ValueError, r"^bound: .* \(8,\).* got \(3, 8\)$"),
    ({"bound": lambda log_w: 1.0}, TypeError, "^bound: expected it to return a tensor"),
    (
        {"bound": lambda log_w: log_w.detach()[0]},
        ValueError,
        "^bound: expected it to depend on a parameter to train$",
    ),
    ({"transform": 3}, TypeError, "^transform: expected a callable, got int$"),
    (
        {"transform": lambda x, g: x[1:]},
        ValueError,
        r"^transform: expected a tensor of 50 rows, as the data, got \(49, 6\)$",
    ),
    (
        {"transform": lambda x, g: None},
        ValueError,
        "^transform: expected a tensor of 50 rows, as the data, got NoneType$",
    ),
    (
        {"transform": lambda x, g: x / 0},
        ValueError,
        "^data: expected finite numbers .* torch.float32; .* rows 0, 1, 2, 3, 4",
    ),
    (
        {"steps": -1},
        ValueError,
        "^steps: expected a whole number of at least 0, got -1$",
    ),
    ({"steps": 1.0}, ValueError, "^steps: expected a whole number"),
    ({"samples": 0}, ValueError, "^samples: expected a whole number of at least 1"),
    ({"batch_size": 0}, ValueError, "^batch_size: expected a whole number"),
    ({"batch_size": True}, ValueError, "^batch_size: expected a whole number"),
    (
        {"batch_size": 51},
        ValueError,
        "^batch_size: expected at most the 50 rows of data, got 51$",
    ),
    ({"report_every": 0}, ValueError, "^report_every: expected a whole number"),
    ({"checkpoint_every": 0}, ValueError, "^checkpoint_every: expected a whole number"),
    ({"lr": 0.0}, ValueError, "^lr: expected a positive number, got 0.0$"),
    ({"lr": math.nan}, ValueError, "^lr: expected a positive number, got nan$"),
    ({"lr": "fast"}, ValueError, "^lr: expected a positive number, got 'fast'$"),
    ({"precision": "low"}, ValueError, "^precision: expected one of .*, got 'low'$"),
    ({"seed": 0.5}, TypeError, "^seed and path: expected int, got 0.5$"),
    (
        {"device": "gpu"},
        ValueError,
        '^device: expected "auto", "cpu", "cuda" .*\'gpu\'$',
    ),
    ({"device": "cuda:99"}, ValueError, "^device: .*'cuda:99'$"),
    ({"device": "meta"}, ValueError, "^device: .*'meta'$"),
    ({"device": 1.5}, ValueError, "^device: .*'1.5'$"),
]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    BAD,
    ids=[next(iter(c)) + f"-{m}" for c, _, m in BAD],
)
def test_bad_arguments(change, error, message, tmp_path):
    path = tmp_path / "run.pt"
    rejected(error, message, checkpoint=path, **change)
    assert not list(tmp_path.iterdir())


def rejected(error, message, **change):
    """One clear error; parameters and global generator stay as they are."""
    model, guide, data = small()
    modules = (model, guide)
    everything = {"model": model, "guide": guide, "bound": bounds.elbo, "data": data}
    settings = {"steps": 3, "batch_size": 8, "samples": 3, "device": "cpu"}
    settings |= everything | change
    arguments = [settings.pop(name) for name in everything]
    before, generator = state(*modules), torch.get_rng_state()
    with pytest.raises(error, match=message):
        train(*arguments, **settings)
    assert same(before, state(*modules))
    assert torch.equal(generator, torch.get_rng_state())
    assert td.Distribution._validate_args  # switched off for a look, and on again


def test_nothing_to_train():
    model, guide, data = small()
    model.requires_grad_(False)
    with pytest.raises(
        ValueError, match="^model, guide: expected a parameter to train"
    ):
        train(model, PriorGuide(model), bounds.elbo, data, steps=3)


def test_parameters_that_are_not_finite_to_begin_with():
    model, guide, data = small()
    with torch.no_grad():
        guide.encoder[0].bias[2] = math.nan
    message = r"^guide\.encoder\.0\.bias: expected finite values to start from$"
    with pytest.raises(ValueError, match=message):
        train(model, guide, bounds.elbo, data, steps=3)


# Recorded steps, and cheaper products


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("transform", [None, lighten])
def test_recorded_steps_are_the_same_steps(transform, device, tmp_path):
    settings = {"steps": 77, "batch_size": 8, "transform": transform, "device": device}
    settings |= {"report_every": 30, "checkpoint_every": 45}
    plain, expected = run_small(**settings)
    recorded, got = run_small(graph=True, checkpoint=tmp_path / "run.pt", **settings)
    assert recorded.steps == plain.steps
    for a, b in zip(expected, got, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert recorded.bounds == pytest.approx(plain.bounds, rel=1e-6)
    if device == "cpu":  # where nothing is recorded, to the bit
        assert same(expected, got)
    resumed = {**settings, "steps": 50, "checkpoint": tmp_path / "other.pt"}
    run_small(graph=True, **resumed)
    again, got_again = run_small(graph=True, **{**resumed, "steps": 77})
    assert same(got, got_again) and again == recorded


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("at", [0, 3, 16, 37, 59])
def test_a_recorded_step_that_fails_is_found_and_undone(at, device):
    model, guide, data = small()
    settings = {"batch_size": 25, "graph": True, "device": device}
    spoil = at_step(at, lambda x: x + 1e38)  # a real number still
    loose = DeepModel(model.decoder, Gaussian(1.0), 2)
    message = rf"^step {at}: log p\(x\|z\) is not finite for rows \d+"
    with pytest.raises(FloatingPointError, match=message):
        train(loose, guide, bounds.elbo, data, steps=60, transform=spoil, **settings)
    expected, (other, clean, _) = state(loose, guide), small()
    other = DeepModel(other.decoder, Gaussian(1.0), 2)
    same_data = at_step(at, lambda x: x)
    train(other, clean, bounds.elbo, data, steps=at, transform=same_data, **settings)
    assert same(expected, state(other, clean))


@pytest.mark.parametrize("precision", ["high", "medium", "bfloat16"])
def test_products_of_a_lower_precision_move_the_bound_a_little(precision):
    before = torch.get_float32_matmul_precision()
    exact, _ = run_small(steps=60)
    rough, _ = run_small(steps=60, precision=precision)
    assert torch.get_float32_matmul_precision() == before
    assert rough.bounds == pytest.approx(exact.bounds, rel=0.02)
    assert precision != "bfloat16" or rough.bounds != exact.bounds


# Values that stop being finite on the way


class Sabotage(nn.Module):
    """A guide that spoils one of its quantities from its n-th call in training on."""

    def __init__(self, guide, after, spoil):
        super().__init__()
        self.guide, self.left, self.spoil = guide, after + 1, spoil  # one for the trial

    def forward(self, x):
        self.left -= 1
        q = self.guide(x).base_dist
        loc, scale = q.loc, q.scale
        if self.left < 0:
            hit = torch.zeros_like(loc)
            hit[x[:, 0] == 4] = 1  # the rows whose first count is 4
            loc, scale = self.spoil(loc, scale, hit)
        return td.Independent(td.Normal(loc, scale), 1)


def nan_loc(loc, scale, hit):
    return torch.where(hit > 0, math.nan, loc), scale


def zero_scale(loc, scale, hit):
    return loc, scale * (1 - hit)


def inf_scale(loc, scale, hit):
    return loc, torch.where(hit > 0, math.inf, scale)


def far_loc(loc, scale, hit):
    return loc + 1e30 * hit, scale


def nan_gradient(loc, scale, hit):
    return loc + ((hit - 1) * 0).sqrt() * loc.detach() * 0 + (loc * 0).sqrt() * 0, scale


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (nan_loc, "q's loc is not finite for row"),
        (zero_scale, "q's log scale is not finite for row"),
        (inf_scale, "q's log scale is not finite for row"),
        (far_loc, r"log p\(z\) is not finite for row"),
        (
            nan_gradient,
            r"the gradient of guide\.guide\.encoder\.0\.weight is not finite",
        ),
    ],
)
def test_values_that_are_not_finite_stop_the_run(spoil, what, device):
    model, guide, data = small()
    settings = {"batch_size": 8, "lr": 0.01, "device": device}
    bad = Sabotage(guide, 20, spoil)
    with pytest.raises(FloatingPointError, match=f"^step 20: {what}") as caught:
        train(model, bad, bounds.elbo, data, steps=60, **settings)
    assert "the parameters are those after 20 steps" in str(caught.value)
    assert td.Distribution._validate_args
    if "row" in what:
        words = str(caught.value).split(" of the data")[0].split(" row")[1]
        named = [
            int(w) for w in words.strip("s ").replace(",", "").split() if w.isdigit()
        ]
        assert named and all(data[row, 0] == 4 for row in named)
    # The parameters were not touched by the step that failed.
    expected, (other, clean, _) = state(model, guide), small()
    unspoilt = Sabotage(clean, 1000, spoil)
    train(other, unspoilt, bounds.elbo, data, steps=20, **settings)
    assert same(expected, state(other, unspoilt))


def test_a_bound_that_is_not_finite_is_named():
    model, guide, data = small()
    calls = []

    def bound(log_w):
        calls.append(1)
        return bounds.elbo(log_w) * (math.inf if len(calls) > 5 else 1)

    with pytest.raises(FloatingPointError, match="^step 4: the bound is not finite"):
        train(model, guide, bound, data, steps=60, batch_size=8)


def test_a_parameter_that_is_not_finite_is_named():
    # Adam's own step can overflow; the next step must find out.
    model, guide, data = small()
    calls = []

    def bound(log_w):
        calls.append(1)
        if len(calls) == 5:
            model.decoder[2].bias.data[1] = math.inf
        return bounds.elbo(log_w)

    message = r"^step 4: the parameter model\.decoder\.2\.bias is not finite"
    with pytest.raises(FloatingPointError, match=message):
        train(model, guide, bound, data, steps=60, batch_size=8)


def test_a_matrix_without_a_decomposition_is_named():
    x = linear_data()
    model = linear_model()

    def guide(x):
        guide.calls += 1
        q = model.posterior(x)
        covariance = q.covariance_matrix * (-1 if guide.calls > 5 else 1)
        return td.MultivariateNormal(q.mean, covariance)

    guide.calls = 0
    with pytest.raises(
        FloatingPointError, match="^step 4: a matrix has no decomposition"
    ):
        train(model, guide, bounds.elbo, x, steps=60)


def test_an_error_of_the_callers_own_is_passed_on():
    model, guide, data = small()
    calls = []

    def bound(log_w):
        calls.append(1)
        if len(calls) == 6:
            raise ValueError("the caller's own")
        return bounds.elbo(log_w)

    with pytest.raises(ValueError, match="^the caller's own$"):
        train(model, guide, bound, data, steps=60, batch_size=8)


def test_a_learned_scale_that_collapses_stops_the_run():
    # Constant data: σ → 0 and the bound has no maximum. It must not end in silence.
    model = DeepModel(mlp(1, 2), Gaussian(1.0, learned=True), 1)
    guide = Amortized(mlp(2, 2))
    data = torch.ones(10, 2)
    with pytest.raises(FloatingPointError, match=r"^step \d+: "):
        train(model, guide, bounds.elbo, data, steps=3000, lr=10.0)
    for parameter in (*model.parameters(), *guide.parameters()):
        assert parameter.isfinite().all()


# Progress


def test_silent_where_nobody_looks(capfd):
    run_small()
    out, err = capfd.readouterr()
    assert out == "" and err == ""


def test_shown_on_request(capfd):
    run_small(progress=True)
    out, err = capfd.readouterr()
    assert out == "" and "60/60" in err and "bound -" in err


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_shown_at_a_terminal():
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 80))
    command = [sys.executable, runs.__file__]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.write(theirs, b"end")
    shown = b""
    while not shown.endswith(b"end"):
        shown += os.read(ours, 4096)
    os.close(ours)
    os.close(theirs)
    assert done.stdout == b"done 60\n"
    assert b"60/60" in shown and b"bound -" in shown


def test_hidden_on_request(capfd, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run_small(progress=False)
    assert capfd.readouterr() == ("", "")
    run_small()
    assert "60/60" in capfd.readouterr().err


def test_shown_in_a_notebook_to_a_human_only():
    # A front end lets the kernel ask its user for input; nbclient and nbval do not.
    import nbformat
    from nbclient import NotebookClient

    source = f"import runpy\nrunpy.run_path({runs.__file__!r})['show']()"
    cells = [nbformat.v4.new_code_cell(source) for _ in range(2)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(notebook, kernel_name="python3", timeout=120)
    with client.setup_kernel():
        client.execute_cell(notebook.cells[0], 0)
        client.kc.allow_stdin = True
        client.execute_cell(notebook.cells[1], 1)

    def text(cell, stream):
        return "".join(o.text for o in cell.outputs if o.name == stream)

    executed, human = notebook.cells
    assert [o.name for o in executed.outputs] == ["stdout"]
    assert text(executed, "stdout") == text(human, "stdout") == "done 60\n"
    assert "60/60" in text(human, "stderr")
