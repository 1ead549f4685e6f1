"""Many runs as one end where each run alone ends."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from torch import distributions as td
from torch import nn

from benchmarks import ensemble
from tests.runs import DEVICES
from vaelib import bounds, checks, data, noise
from vaelib.guides import (
    Amortized,
    Chained,
    CouplingFlow,
    FullGaussian,
    PriorGuide,
)
from vaelib.models import (
    Bernoulli,
    Binomial,
    DeepModel,
    Gaussian,
    LinearGaussian,
    TwoLayerModel,
    mlp,
)
from vaelib.training import train, train_many

SEEDS = [3, 11]
P, D = 6, 2


def drawn(seed, *modules):
    """The same modules with parameters of this seed, in float64."""
    generator = noise.stream(seed, "start")
    for module in modules:
        module.double()
        for parameter in module.parameters():
            nn.init.normal_(parameter, 0, 0.3, generator=generator)
    return modules


def amortized(likelihood, family=None):
    def build(seed):
        size = family.size if family else 2 * D
        model = DeepModel(mlp(D, 8, P), likelihood(), D)
        return drawn(seed, model, Amortized(mlp(P, 8, size), family))

    return build


def chained(seed):
    def above(size_in, size_out):
        return Amortized(mlp(size_in, 5, 2 * size_out))

    model = TwoLayerModel(mlp(D, 8, P), Bernoulli(), above(3, D), (D, 3))
    return drawn(seed, model, Chained(above(P, D), above(D, 3), 3))


def exact(seed):
    """A guide that is a method of its model, whose parameters it shares."""
    (model,) = drawn(seed, LinearGaussian(torch.zeros(P, D), torch.zeros(P), 1.0))
    return model, model.posterior


def bad(seed):
    """A guide that holds its model where no module is looked for."""
    model, _ = amortized(Bernoulli)(seed)
    return model, PriorGuide(model)


GREY = torch.randint(0, 17, (50, P), generator=noise.stream(0, "grey")).double()
BITS = (GREY > 8).double()


def sixteenths(x, generator):
    return data.binarise(x, generator, 16)


CASES = {
    "Bernoulli": (amortized(Bernoulli), bounds.elbo, BITS, {}),
    "several draws": (amortized(Bernoulli), bounds.elbo, BITS, {"samples": 4}),
    "importance": (
        amortized(Bernoulli),
        bounds.importance_weighted,
        BITS,
        {"samples": 5},
    ),
    "binomial": (amortized(lambda: Binomial(16)), bounds.elbo, GREY, {}),
    "learned scale": (amortized(Gaussian), bounds.elbo, GREY / 16, {}),
    "full covariance": (amortized(Bernoulli, FullGaussian(D)), bounds.elbo, BITS, {}),
    "flow": (amortized(Bernoulli, CouplingFlow(D, 2)), bounds.elbo, BITS, {}),
    "chain": (chained, bounds.importance_weighted, BITS, {"samples": 3}),
    "exact": (exact, bounds.elbo, GREY / 16, {}),
    "bad bound": (bad, bounds.elbo, BITS, {}),
    "all data": (amortized(Bernoulli), bounds.elbo, BITS, {"batch_size": None}),
    "binarised anew": (
        amortized(Bernoulli),
        bounds.elbo,
        GREY,
        {"transform": sixteenths},
    ),
    "all data binarised anew": (
        amortized(Bernoulli),
        bounds.elbo,
        GREY,
        {"transform": sixteenths, "batch_size": None},
    ),
}
USUAL = {"steps": 100, "batch_size": 8, "lr": 0.01, "report_every": 30}


def values(*parts):
    """All parameters as one vector."""
    owners = nn.ModuleList(checks.module(part) for part in parts)
    return nn.utils.parameters_to_vector(owners.parameters()).detach().cpu()


def farthest(build, bound, x, device="cpu", **settings):
    """How far the runs end from those alone, and from where they began; and records."""
    many = train_many(build, bound, x, seeds=SEEDS, device=device, **settings)
    apart, moved = [], []
    for seed, (model, guide, run) in zip(SEEDS, many, strict=True):
        alone = build(seed)
        start = values(*alone)
        record = train(*alone, bound, x, seed=seed, device=device, **settings)
        end = values(*alone)
        apart.append((values(model, guide) - end).abs().max().item())
        moved.append((start - end).abs().max().item())
        assert run.steps == record.steps == (30, 60, 90, 100)
        assert run.bounds == pytest.approx(record.bounds, rel=1e-3)
        assert run.device == record.device
    return max(apart), min(moved)


@pytest.mark.parametrize("case", CASES)
def test_each_run_ends_where_it_ends_alone(case):
    build, bound, x, more = CASES[case]
    apart, moved = farthest(build, bound, x, **(USUAL | more))
    assert moved > 0.1
    assert apart < 1e-8


@pytest.mark.parametrize("device", DEVICES)
def test_so_in_single_precision_up_to_its_rounding(device):
    def build(seed):
        return tuple(part.float() for part in amortized(Bernoulli)(seed))

    torch.backends.cuda.matmul.allow_tf32 = False
    apart, moved = farthest(build, bounds.elbo, BITS, device=device, **USUAL)
    assert apart < 1e-3 < 0.1 < moved


def test_one_run_is_as_good_as_many_and_no_step_is_a_start():
    build = amortized(Bernoulli)
    ((model, guide, run),) = train_many(
        build, bounds.elbo, BITS, seeds=[5], steps=0, device="cpu"
    )
    assert torch.equal(values(model, guide), values(*build(5)))
    assert run.steps == run.bounds == ()


def test_the_records_seconds_are_those_of_all():
    many = train_many(
        amortized(Bernoulli), bounds.elbo, BITS, seeds=[1, 2], steps=2, device="cpu"
    )
    assert len({run.seconds for *_, run in many}) == 1 and many[0][2].seconds > 0


# What goes wrong, and is said


def test_the_run_that_is_not_finite_is_named():
    """One run of two starts with a scale that no datum fits: its step is infinite."""

    def build(seed):
        model, guide = amortized(Gaussian)(1)
        nn.init.constant_(model.family.log_scale, -400.0 if seed == 7 else 0.0)
        return model, guide

    with pytest.raises(
        FloatingPointError,
        match=r"^step 0, seed 7: log p\(x\|z\) is not finite for rows .* of the data; "
        "the parameters are those after 0 steps",
    ):
        train_many(
            build, bounds.elbo, GREY, seeds=[2, 7], steps=5, batch_size=8, device="cpu"
        )


def test_after_a_failure_all_have_the_parameters_before_the_step():
    built = {}

    def build(seed):
        built[seed] = amortized(Bernoulli)(seed)
        return built[seed]

    def spoiled(x, generator):
        spoiled.calls += 1  # one to look at, then one for each seed and step
        return x * (torch.inf if spoiled.calls == 1 + 2 * 3 + 2 else 1.0)

    spoiled.calls = 0
    settings = {"batch_size": 8, "lr": 0.01, "device": "cpu"}
    with pytest.raises(
        FloatingPointError, match="^step 3, seed 1: x is not finite, or"
    ):
        train_many(
            build,
            bounds.elbo,
            BITS,
            seeds=[0, 1],
            steps=9,
            transform=spoiled,
            **settings,
        )
    for seed in (0, 1):
        alone = amortized(Bernoulli)(seed)
        train(*alone, bounds.elbo, BITS, seed=seed, steps=3, **settings)
        assert (values(*built[seed]) - values(*alone)).abs().max() < 1e-12


def test_data_outside_of_the_support_are_named():
    def halved(x, generator):
        halved.calls += 1
        return x / 2 if halved.calls == 1 + 2 * 1 + 2 else x

    halved.calls = 0
    with pytest.raises(
        FloatingPointError, match="^step 1, seed 9: .* the likelihood's"
    ):
        train_many(
            amortized(Bernoulli),
            bounds.elbo,
            BITS,
            seeds=[4, 9],
            steps=3,
            batch_size=8,
            transform=halved,
            device="cpu",
        )


class Halting(nn.Module):
    """A network with an `if` about a value."""

    def __init__(self):
        super().__init__()
        self.net = mlp(P, 8, 2 * D)

    def forward(self, x):
        return self.net(x) if x.sum() > 0 else self.net(-x)


def halting(seed):
    return drawn(seed, DeepModel(mlp(D, 8, P), Bernoulli(), D), Amortized(Halting()))


def growing(seed):
    model = DeepModel(mlp(D, 8 + seed, P), Bernoulli(), D)
    return drawn(seed, model, Amortized(mlp(P, 8, 2 * D)))


SHARED = amortized(Bernoulli)(0)


def tied(seed):
    model, guide = amortized(Bernoulli)(seed)
    guide.encoder[0].bias = model.decoder[0].bias
    return model, guide


@pytest.mark.parametrize(
    "error, match, wrong",
    [
        (
            ValueError,
            "^seeds: expected at least one, each once, got \\[\\]",
            {"seeds": []},
        ),
        (ValueError, "^seeds: .* got \\[1, 1\\]", {"seeds": [1, 1]}),
        (TypeError, "^seed and path: expected int, got 1.5", {"seeds": [1.5]}),
        (
            ValueError,
            "^build: .* one kind, .* seeds 0 and 1 differ",
            {"build": growing},
        ),
        (ValueError, "^build: .* no parameter in two", {"build": lambda seed: SHARED}),
        (ValueError, "^build: .* no parameter in two", {"build": tied}),
        (ValueError, "^build: .* torch.vmap can batch", {"build": halting}),
        (ValueError, "^lr: expected a positive number", {"lr": 0}),
        (ValueError, "^steps: expected a whole number", {"steps": -1}),
        (ValueError, "^batch_size: expected at most the 50 rows", {"batch_size": 51}),
        (ValueError, "^device: ", {"device": "nowhere"}),
        (ValueError, "^data: expected values in the", {"data": BITS + 0.5}),
    ],
)
def test_one_clear_error(error, match, wrong):
    settings = {
        "build": amortized(Bernoulli),
        "bound": bounds.elbo,
        "data": BITS,
        "seeds": [0, 1],
        "steps": 1,
        "device": "cpu",
    } | wrong
    with pytest.raises(error, match=match):
        train_many(**settings)


def test_validation_is_as_before():
    before = td.Distribution._validate_args
    train_many(
        amortized(Bernoulli), bounds.elbo, BITS, seeds=[0], steps=1, device="cpu"
    )
    assert td.Distribution._validate_args is before


# The benchmark


def test_the_benchmark_takes_off_what_precedes(monkeypatch):
    """One run: five seconds, then 10 ms a step. Three at once: three, then 20 ms."""

    def one(*args, steps, **settings):
        return SimpleNamespace(seconds=5 + 0.01 * steps)

    def many(*args, steps, **settings):
        return [(None, None, SimpleNamespace(seconds=3 + 0.02 * steps))]

    monkeypatch.setattr(ensemble, "train", one)
    monkeypatch.setattr(ensemble, "train_many", many)
    found = dict(ensemble.turns("64-32-4, batch 50", 3, 0.5, "cpu"))
    assert found["one"]() == pytest.approx(0.01)
    assert found["many"]() == pytest.approx(0.02)
    assert ensemble.enough(lambda n: one(steps=n).seconds, 0.5) == 64


def test_the_benchmark_runs_in_small(tmp_path, capsys):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    small = ["--cases", "64-32-4, batch 50", "--runs", "1", "3", "--seconds", "0"]
    ensemble.main([*small, "--rounds", "1", "--out", str(tmp_path / "out.json")])
    torch.set_num_threads(threads)
    torch.set_rng_state(state)
    report = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [m["runs"] for m in report["measured"]] == [1, 3]
    assert len(capsys.readouterr().out.splitlines()) == 2
