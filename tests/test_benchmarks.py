"""The benchmarks compare equal things, count rounds as stated, record what they say.

Of the other libraries only Pyro is in the tested environment: `benchmarks.speed` makes
the same comparison of first steps whenever it runs, and stops where they differ.
"""

from __future__ import annotations

import json
import math
import re
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import common, contenders, growth, page, speed
from benchmarks.contenders import CONTENDERS, task

ROOT = Path(__file__).parents[1]
SPEED = json.loads((common.RESULTS / "speed.json").read_text(encoding="utf-8"))
GROWTH = json.loads((common.RESULTS / "growth.json").read_text(encoding="utf-8"))
HERE = "train", "minimal", "handwritten", "autocast", "loader", "transforms", "pyro"

each_setting = pytest.mark.parametrize("setting", task.SETTINGS)


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Few data; and torch's global generator, which some contenders use, as it was."""
    few = task.data(500)
    monkeypatch.setattr(task, "ROWS", 500)
    monkeypatch.setattr(task, "data", lambda rows=500: few[:rows])
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


# Contenders


@each_setting
@pytest.mark.parametrize("name", HERE)
def test_contenders_train_the_same(name, setting):
    """The bound at the first steps shows bound, gradient and Adam."""
    if setting not in CONTENDERS[name].settings:
        assert setting in ("importance-50", "nothing")
        return
    made = contenders.load(name)(task.SETTINGS[setting])
    values, expected = made.bounds(3), task.reference(task.SETTINGS[setting], 3)
    assert values == pytest.approx(expected, rel=1e-3 if name == "autocast" else 1e-5)
    assert expected[2] > expected[0] + 0.1  # they do train
    assert made.seconds(2) > 0


def test_the_few_data_are_the_first_of_all(monkeypatch):
    few = task.data()
    monkeypatch.undo()
    assert torch.equal(task.data()[:500], few)


def test_the_kl_in_closed_form_is_another_estimate_of_the_same():
    setting = task.SETTINGS["elbo-128"]
    sampled, closed = (
        task.reference(setting, 2),
        task.reference(setting, 2, closed=True),
    )
    assert sampled != closed and sampled == pytest.approx(closed, rel=1e-3)


def test_gradients_by_hand_are_those_of_autograd():
    setting = task.SETTINGS["elbo-20"]
    made = contenders.load("handwritten")(setting)
    networks = task.networks(setting)
    x, eps = task.data()[:20], task.epsilon(setting, 0)
    loss = task.negative_bound(*networks, x, eps)
    loss.backward()
    assert made.step(x, eps[0]).item() == pytest.approx(loss.item(), rel=1e-6)
    parameters = [p for network in networks for p in network.parameters()]
    for mine, p in zip(made.gradients, parameters, strict=True):
        assert (mine - p.grad).norm() < 1e-5 * p.grad.norm()


def test_the_floor_has_the_products_that_cannot_be_avoided():
    calls = contenders.load("floor")(task.SETTINGS["elbo-128"]).calls
    wide, narrow, code = 784 * 400, 400 * 40, 20 * 400
    count = sum(a.shape[0] * a.shape[1] * b.shape[1] for a, b, _ in calls)
    assert len(calls) == 11
    assert count == 128 * (2 * wide + 3 * narrow + 3 * code + 3 * wide)
    calls = contenders.load("floor")(task.SETTINGS["importance-50"]).calls
    count = sum(a.shape[0] * a.shape[1] * b.shape[1] for a, b, _ in calls)
    encoder = 20 * (2 * 784 * 200 + 3 * 200 * 200 + 3 * 200 * 100)
    assert count == encoder + 1000 * 3 * (50 * 200 + 200 * 200 + 200 * 784)
    assert contenders.load("floor-adam")(task.SETTINGS["elbo-20"]).seconds(2) > 0


@pytest.mark.parametrize("wrong", [lambda v: -v, lambda v: v * 1.001, lambda v: v / 20])
def test_a_contender_that_trains_something_else_is_refused(wrong):
    right = task.reference(task.SETTINGS["elbo-20"], speed.CHECKED)
    worker = SimpleNamespace(ask=lambda *_: right)
    assert speed.agree("jax", worker, "elbo-20") == pytest.approx(right, rel=1e-6)
    worker = SimpleNamespace(ask=lambda *_: [*right[:2], wrong(right[2])])
    with pytest.raises(SystemExit, match="^jax trains something else in elbo-20"):
        speed.agree("jax", worker, "elbo-20")


def test_a_contender_that_does_not_run_is_no_gap_in_the_table():
    worker = speed.Worker("floor", 1)
    try:
        with pytest.raises(
            SystemExit, match="(?s)^floor ended, asked for dust.*'dust'"
        ):
            worker.ask("elbo-20", "dust", 1)
    finally:
        worker.close()


def test_a_comparison_from_end_to_end(tmp_path, capsys):
    out = tmp_path / "new" / "speed.json"
    command = "--quick --rounds 2 --threads 1 --settings nothing --only minimal"
    speed.main([*command.split(), "--out", str(out)])
    report = json.loads(out.read_text(encoding="utf-8"))
    entry = report["settings"]["nothing"]
    assert {name: len(ms) for name, ms in entry["ms"].items()} == {
        "floor": 2,
        "minimal": 2,
    }
    assert min(speed.multiples(entry, "minimal")) > 1
    shown = out.with_suffix(".md").read_text(encoding="utf-8")
    assert shown == speed.table(report) and shown in capsys.readouterr().out
    assert not out.with_name("speed-runs.json").exists()  # of whole runs


def test_medians_of_every_run_are_kept(tmp_path, monkeypatch):
    reports = iter(
        {
            "date": f"2026-01-0{day}",
            "seconds": 9,
            "machine": dict.fromkeys(("cpu", "cores", "threads", "system"), 1),
            "contenders": {"floor": {"label": "floor"}, "train": {"label": "train"}},
            "settings": {
                "a": {
                    "what": "a",
                    "clean rounds": 3,
                    "ms": {"floor": [1, 2, 4], "train": [2 * day, 2 * day, 40]},
                }
            },
        }
        for day in (1, 2)
    )
    monkeypatch.setattr(speed, "run", lambda options: next(reports))
    for _ in range(2):
        speed.main(["--out", str(tmp_path / "speed.json")])
    kept = json.loads((tmp_path / "speed-runs.json").read_text(encoding="utf-8"))
    assert [run["date"] for run in kept] == ["2026-01-01", "2026-01-02"]
    found = [run["multiples"]["a"] for run in kept]
    assert found == [{"floor": 1, "train": 2}, {"floor": 1, "train": 4}]


# Rounds and statistics


def test_summary_of_known_numbers():
    found = common.summary([4.0, 1.0, 3.0, 2.0, 5.0])
    assert found == {"median": 3.0, "lower": 2.0, "upper": 4.0, "least": 1.0}
    assert common.summary([7.0])["upper"] == 7.0
    assert common.significant(0.0123456) == 0.0123
    assert common.significant(98765.4) == 98800.0


def test_rounds_take_turns_and_disturbed_ones_are_left_out(monkeypatch):
    used = iter([0.0, 0.5, 0.04, 0.06, 0.0])
    called = []

    class Others:
        def __enter__(self):
            self.cores = next(used)
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(common, "Others", Others)
    turns = {
        name: lambda name=name: called.append(name) or len(called) for name in "abc"
    }
    found = common.take_turns(turns, 3)
    assert "".join(called) == "abccbaabccbaabc"
    assert found.values == {"a": [1, 7, 13], "b": [2, 8, 14], "c": [3, 9, 15]}
    assert (found.clean, found.left_out, found.others) == (3, 2, 0.04)
    # Never quiet: the least disturbed rounds, and how many were clean.
    used = iter([0.3, 0.01, 0.9, 0.2])
    called.clear()
    found = common.take_turns(turns, 2)
    assert found.values["a"] == [6, 12] and (found.clean, found.left_out) == (1, 2)
    assert found.others == 0.2


def test_who_used_the_processor(monkeypatch):
    clock = {"busy": iter([100.0, 103.0]), "own": iter([10.0, 12.0])}
    wall = iter([0.0, 2.0])
    monkeypatch.setattr(common, "_busy", lambda: next(clock["busy"]))
    monkeypatch.setattr(common, "_own", lambda: next(clock["own"]))
    monkeypatch.setattr(common, "time", SimpleNamespace(perf_counter=wall.__next__))
    with common.Others() as others:
        pass
    assert others.cores == 0.5


def test_own_time_is_this_process_and_its_children():
    def used() -> float:
        return common._own() - before

    before, start = common._own(), time.process_time()
    while time.process_time() < start + 0.2:
        pass
    assert 0.15 < used() < 0.4
    assert common._busy() > common._own()


def test_a_report_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "report.json"
    common.write(path, {"a": 1})
    with pytest.raises(TypeError):
        common.write(path, {"a": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1}
    assert [*tmp_path.iterdir()] == [path]


# How cost grows


@pytest.mark.parametrize("a, b, c", [(3.0, 0.02, 1.0), (0.5, 1e-4, 2.0), (40, 1, 0.5)])
def test_a_curve_is_found_again(a, b, c):
    n = [32, 64, 128, 256, 512, 1024, 2048]
    found = growth.fit(n, [a + b * m**c for m in n])
    assert found["exponent"] == pytest.approx(c, rel=1e-3)
    assert found["fixed"] == pytest.approx(a, rel=1e-2)
    assert found["per unit"] == pytest.approx(b, rel=1e-2)
    assert found["largest relative error"] < 1e-3


def test_noise_shows_in_the_exponents_error():
    n = np.array([32, 64, 128, 256, 512, 1024, 2048])
    g = np.random.default_rng(0)
    found = [
        growth.fit(n, (3 + 0.02 * n) * np.exp(0.03 * g.normal(size=7)))
        for _ in range(40)
    ]
    off = [(f["exponent"] - 1) / f["standard error"] for f in found]
    assert np.abs(off).max() < 6 and 0.5 < np.std(off) < 2
    flat = growth.fit(n, 5 * np.exp(0.01 * g.normal(size=7)))
    assert flat["growth"] == pytest.approx(1, abs=0.03)


def test_a_point_of_growth():
    found = growth.measure({"batch": 16, "samples": 2, "latent": 3, "rows": 100}, 1)
    assert found["ms"] > 0 and found["MB"] >= 0


def test_points_of_growth_know_nothing_of_each_other():
    """In one process the second point would find the first one's data and memory."""
    sizes, found = {"batch": 16, "samples": 2, "latent": 3, "rows": 40_000}, []
    for _ in range(2):
        assert growth.fresh(sizes, 1, found) == found[-1]["ms"] > 0
    data = 4 * task.PIXELS * sizes["rows"] / 2**20  # MB
    assert all(point["MB"] > data for point in found)


# What is recorded


def test_the_recorded_comparison_is_of_these_settings():
    assert SPEED["settings"].keys() == task.SETTINGS.keys()
    assert SPEED["contenders"].keys() == CONTENDERS.keys()
    for name, entry in SPEED["settings"].items():
        setting = task.SETTINGS[name]
        assert (entry["batch"], entry["samples"]) == (setting.batch, setting.samples)
        assert (entry["hidden"], entry["latent"]) == ([*setting.hidden], setting.latent)
        taking_part = {k for k, c in CONTENDERS.items() if name in c.settings}
        assert entry["ms"].keys() == taking_part
        assert {len(ms) for ms in entry["ms"].values()} == {len(entry["ms"]["floor"])}
        assert len(entry["ms"]["floor"]) >= 9
        sampled = task.reference(setting, 3)
        for contender, values in entry["bounds"].items():
            closed = contender == "pythae"
            expected = task.reference(setting, 3, closed=True) if closed else sampled
            tolerance = 1e-3 if CONTENDERS[contender].kind == "other" else 1e-4
            for value, right in zip(values, expected, strict=True):
                assert math.isclose(value, right, rel_tol=tolerance), contender


def test_the_recorded_versions_are_those_that_are_pinned():
    text = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "requirements.txt", ROOT / "benchmarks/requirements.txt")
    )
    pins = dict(re.findall(r"^([\w-]+)(?:\[\w+\])?==([\w.]+)", text, re.M))
    for name, version in SPEED["versions"].items():
        assert version.split("+")[0] == pins[name], name


def test_the_recorded_run_is_the_last_of_those_that_are_kept():
    path = common.RESULTS / "speed-runs.json"
    runs = json.loads(path.read_text(encoding="utf-8"))
    assert runs[-1] == speed.medians(SPEED)
    dates = [run["date"] for run in runs]
    assert dates == sorted(dates) and len(runs) >= 3


def test_the_recorded_table_is_of_the_recorded_rounds():
    shown = (common.RESULTS / "speed.md").read_text(encoding="utf-8")
    assert shown == speed.table(SPEED)


def test_the_recorded_growth_is_of_these_sizes():
    assert GROWTH["model"] == {"hidden": 400, **growth.MODEL}
    for axis, points in growth.POINTS.items():
        found = GROWTH["axes"][axis]
        assert found["n"] == [*points]
        for unit in ("ms", "MB"):
            again = growth.fit(found["n"], found[unit])
            assert again["growth"] == pytest.approx(
                found[f"fit of {unit}"]["growth"], rel=1e-2
            )


def test_the_recorded_figures_are_the_pages():
    figures = page.figures()
    assert figures.keys() == set(page.PICTURES.values())
    for name, content in figures.items():
        assert (common.RESULTS / name).read_bytes() == content
