"""The published table's program: its networks, its cells and its arithmetic."""

from __future__ import annotations

import json
import math

import pytest
import torch
from scipy import stats
from torch import nn

from benchmarks import burda, burda_table, common
from vaelib import bounds, noise
from vaelib.data import Mnist

GREY = torch.randint(0, 256, (60, 784), generator=noise.stream(0, "grey"))
DIGITS = Mnist(GREY.to(torch.uint8), GREY[:, 0], GREY[:9].to(torch.uint8), GREY[:9, 0])
TINY = burda.Schedule(
    digits=50, stages=((2, 1e-3), (4, 1e-4)), test=3, draws=10, keep=1
)


# What is trained


def linear(module):
    return [m for m in module.modules() if isinstance(m, nn.Linear)]


SIZES = {
    1: [[(784, 200), (200, 200), (200, 2 * 50)], [(50, 200), (200, 200), (200, 784)]],
    2: [
        [(784, 200), (200, 200), (200, 2 * 100)]
        + [(100, 100), (100, 100), (100, 2 * 50)],
        [(100, 200), (200, 200), (200, 784)] + [(50, 100), (100, 100), (100, 2 * 100)],
    ],
}


@pytest.mark.parametrize("layers", [1, 2])
def test_the_networks_are_the_published_ones(layers):
    mean = torch.linspace(0, 1, 784)
    model, guide = burda.build(layers, 0, mean)
    for part, sizes in zip((guide, model), SIZES[layers], strict=True):
        found = [(m.in_features, m.out_features) for m in linear(part)]
        assert found == sizes
        activations = [m for m in part.modules() if not list(m.children())]
        kinds = {type(m) for m in activations if not isinstance(m, nn.Linear)}
        assert kinds <= {nn.Tanh, type(model.family)}
    for layer in [*linear(guide), *linear(model)]:
        heads = (
            2
            if layer.out_features in (2 * 50, 2 * 100) and layer in last(model, guide)
            else 1
        )
        for weight in layer.weight.chunk(heads):
            most = math.sqrt(6 / sum(weight.shape))
            # Uniform in ±most: n draws all stay below 0.99 of it with chance 0.99^n.
            assert 0.99 * most < weight.abs().max() <= most
            scatter = weight.square().mean() / (most**2 / 3)
            assert abs(scatter - 1) < 6 * math.sqrt(0.8 / weight.numel())
        if layer is not model.decoder[-1]:
            assert not layer.bias.any()
    expected = mean.clamp(0.001, 0.999).logit()
    torch.testing.assert_close(model.decoder[-1].bias.detach(), expected)
    q = guide(GREY[:4] / 255)
    assert q.event_shape == model.prior().event_shape == ((50,), (150,))[layers - 1]


def last(model, guide):
    """The layers that give a mean and a log sd."""
    if isinstance(model, burda.models.DeepModel):
        return [guide.encoder[-1]]
    parts = guide.first, guide.then, model.conditional
    return [part.encoder[-1] for part in parts]


def test_the_start_is_the_seeds_alone():
    def flat(layers, seed):
        parts = nn.ModuleList(burda.build(layers, seed, torch.full((784,), 0.5)))
        return nn.utils.parameters_to_vector(parts.parameters())

    assert torch.equal(flat(2, 1), flat(2, 1))
    assert not torch.equal(flat(1, 1), flat(1, 2))


def test_the_full_schedule_is_the_published_one():
    full = burda.SCHEDULES["full"]
    assert sum(steps for steps, _ in full.stages) == 3280 * 2980
    assert [round(1e4 * lr, 1) for _, lr in full.stages] == [
        round(10 ** (1 - i / 7), 1) for i in range(8)
    ]
    assert (full.digits, full.test, full.draws) == (59_600, 10_000, 5000)


def test_ten_cells_fill_the_table():
    assert {str(cell) for cell in burda.CELLS} == set(burda_table.PUBLISHED)
    assert burda.OBJECTIVES == {
        "VAE": bounds.elbo,
        "IWAE": bounds.importance_weighted,
    }


# Running it


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few digits, a schedule of six steps, and torch's threads as they were."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(burda.data, "mnist", lambda: DIGITS)
    monkeypatch.setitem(burda.SCHEDULES, "short", TINY)
    yield
    torch.set_num_threads(threads)


def start(folder, *more):
    options = ["--seeds", "1", "--processes", "1", "--folder", str(folder), *more]
    burda.main([*options, "--out", str(folder / "out" / "table.json")])
    return json.loads((folder / "out" / "table.json").read_text(encoding="utf-8"))


def test_all_cells_and_the_table(tmp_path, capsys):
    report = start(tmp_path)
    assert "SHORTENED" in report["what"] and report["seeds"] == [0]
    assert report["schedule"]["stages"] == [[2, 1e-3], [4, 1e-4]]
    assert list(report["cells"]) == list(burda_table.PUBLISHED)
    for name, cell in report["cells"].items():
        single = json.loads((tmp_path / f"{name}-0.json").read_text())
        assert cell["NLL"]["by seed"] == [round(single["NLL"], 4)]
        assert 0 < single["NLL"] < 784  # 543 nats are a fair coin for each pixel
        assert len(cell["active units"]) == single["cell"]["layers"]
    assert {claim["verdict"] for claim in report["claims"]} == {"not decided"}
    assert len(capsys.readouterr().out.splitlines()) == 10
    stages = [p.name for p in tmp_path.glob("*.stage?")]
    assert sorted(stages) == sorted(f"{c}-0.stage1" for c in burda.CELLS)

    again = start(tmp_path)  # nothing is left to do
    assert capsys.readouterr().out == ""
    assert again["cells"] == report["cells"]
    monkey = burda.Schedule(**{**burda.asdict(TINY), "draws": 11})
    burda.SCHEDULES["short"] = monkey
    with pytest.raises(ValueError, match="^folder: .* runs of another schedule"):
        start(tmp_path, "--table")


@pytest.mark.parametrize("cell", [burda.Cell(1, "VAE", 5), burda.Cell(2, "IWAE", 5)])
def test_a_run_that_was_stopped_ends_where_an_undisturbed_one_does(
    cell, tmp_path, monkeypatch
):
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole = burda.run(cell, 0, TINY, DIGITS, tmp_path / "whole", "cpu")
    train = burda.train

    def stopped(*arguments, **settings):
        """The second stage ends after three steps, and not by itself."""
        if settings["steps"] == 4:
            train(*arguments, **{**settings, "steps": 3})
            raise KeyboardInterrupt
        return train(*arguments, **settings)

    monkeypatch.setattr(burda, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        burda.run(cell, 0, TINY, DIGITS, tmp_path / "broken", "cpu")
    monkeypatch.setattr(burda, "train", train)
    resumed = burda.run(cell, 0, TINY, DIGITS, tmp_path / "broken", "cpu")
    for report in (whole, resumed):
        del report["seconds of training, last start"]
    assert resumed == whole


def test_every_stage_has_noise_of_its_own(tmp_path, monkeypatch):
    train, seeds = burda.train, []

    def noted(*arguments, **settings):
        seeds.append(settings["seed"])
        return train(*arguments, **settings)

    monkeypatch.setattr(burda, "train", noted)
    for seed in (0, 1):
        burda.run(burda.Cell(1, "VAE", 1), seed, TINY, DIGITS, tmp_path, "cpu")
    assert len(set(seeds)) == len(seeds) == 4


def test_a_cell_in_work_is_left_to_who_has_it(tmp_path, capsys):
    cell = burda.CELLS[3]
    with burda.locked(tmp_path / f"{cell}-0.lock") as ours:
        assert ours
        with burda.locked(tmp_path / f"{cell}-0.lock") as theirs:
            assert not theirs
        burda.work(TINY, 1, tmp_path, "cpu", "highest")
    done = {p.stem for p in tmp_path.glob("*.json")}
    assert done == {f"{c}-0" for c in burda.CELLS if c != cell}
    burda.work(TINY, 1, tmp_path, "cpu", "highest")
    assert (tmp_path / f"{cell}-0.json").exists()
    assert len(capsys.readouterr().out.splitlines()) == 10


# The arithmetic


def results(nll, seeds=(0, 1, 2), units=lambda cell, seed: 20):
    return [
        {
            "cell": burda.asdict(cell),
            "seed": seed,
            "NLL": nll(cell, seed),
            "NLL too high by about": 0.1,
            "active units": [units(cell, seed)] * cell.layers,
        }
        for cell in burda.CELLS
        for seed in seeds
    ]


def by_name(report, better, worse, claim=None):
    return [
        c
        for c in report["claims"]
        if (c["better"], c["worse"]) == (better, worse)
        and (claim is None or c["claim"] == claim)
    ][0]


def test_the_published_order_holds_in_the_published_numbers():
    """Seeds far apart, differences the same for each: pairs decide all of it."""
    table = burda_table.table(
        results(
            lambda cell, seed: burda_table.PUBLISHED[str(cell)] + 30 * seed,
            units=lambda cell, seed: 10 + cell.k + seed,
        )
    )
    assert {c["verdict"] for c in table["claims"]} == {"holds"}
    assert len(table["claims"]) == 4 + 4 + 4 + 5 + 4
    for claim in table["claims"]:
        if claim["published"] is not None:
            difference = claim["difference"]
            assert difference["mean"] == pytest.approx(claim["published"], abs=1e-9)
            assert claim["published"] < 0
    first = by_name(table, "1-IWAE-5", "1-VAE-1")
    assert first["published"] == -1.22
    assert table["cells"]["2-IWAE-50"]["minus VAE 1"]["mean"] == pytest.approx(-2.43)
    assert table["cells"]["2-IWAE-50"]["NLL"]["mean"] == pytest.approx(112.90)
    assert table["cells"]["2-IWAE-50"]["NLL"]["se"] == pytest.approx(
        30 / 3**0.5, abs=1e-4
    )


def test_verdicts_by_the_interval_of_the_differences():
    shift = {"1-VAE-5": (-1.0, -1.1, -0.9), "1-IWAE-5": (1.0, 1.1, 0.9)}
    shift["2-VAE-5"] = (-1.0, 1.1, -0.2)
    table = burda_table.table(
        results(lambda c, s: 100 + 7 * s + shift.get(str(c), (0, 0, 0))[s])
    )
    verdicts = {
        (better, "VAE-1"): by_name(table, better, f"{better[0]}-VAE-1")["verdict"]
        for better in shift
    }
    assert list(verdicts.values()) == ["holds", "reversed", "not decided"]
    interval = by_name(table, "1-VAE-5", "1-VAE-1")["difference"]["interval"]
    expected = stats.t.interval(0.95, 2, -1.0, stats.sem(shift["1-VAE-5"]))
    assert interval == pytest.approx(list(expected), abs=1e-4)


def test_only_seeds_that_all_cells_have():
    some = results(lambda cell, seed: 100.0 + seed)
    without = [r for r in some if r["seed"] != 1 or r["cell"]["k"] != 50]
    assert burda_table.table(without)["seeds"] == [0, 2]
    with pytest.raises(ValueError, match="^results: expected at least one seed"):
        burda_table.table([r for r in some if r["cell"]["k"] != 50])


def test_the_recorded_run_is_of_these_settings(monkeypatch):
    monkeypatch.undo()
    path = common.RESULTS / "burda_short.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    schedule = json.loads(json.dumps(burda.asdict(burda.SCHEDULES["short"])))
    assert report["schedule"] == {"name": "short", **schedule}
    assert "SHORTENED" in report["what"] and len(report["seeds"]) >= 3
    for claim in report["claims"]:
        assert claim["verdict"] == burda_table.verdict(claim["difference"])
    # Where these models and so many steps are known to arrive.
    assert all(97 < c["NLL"]["mean"] < 115 for c in report["cells"].values())
