"""The benchmark of log p(x): it compares like with like, and reports what it says."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import evidence
from tests.exact import normal
from vaelib.data import Mnist
from vaelib.evaluation import log_evidence

GREY = (255 * normal(200, 784, seed=90).sigmoid()).to(torch.uint8)
DIGITS = Mnist(GREY, GREY[:, 0], GREY[:9], GREY[:9, 0])


@pytest.fixture(autouse=True)
def small(monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setattr(evidence.data, "mnist", lambda: DIGITS)
    monkeypatch.setattr(evidence, "MEMORY", ((20, 10),))
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(threads)


def test_a_small_run(tmp_path, capsys):
    out = tmp_path / "evidence.json"
    small = "--rounds 2 --at-most 2 --images 2 --samples 50 --steps 3 --full"
    evidence.main([*small.split(), "--threads", "1", "--out", str(out)])
    report = json.loads(out.read_text(encoding="utf-8"))
    assert json.loads(capsys.readouterr().out) == report
    for name in evidence.BUILDS:
        part = report[name]
        assert set(part["times the floor"]) == {"written out", "log_evidence"}
        assert part["ms for each digit"]["floor"]["least"] > 0
        assert part["seconds for all test digits"] >= 0
    (memory,) = report["memory beyond the data and the model, 784-400-20"]
    assert memory["samples"] == 20 and memory["data"] == 10 and memory["MB"] < 200


@pytest.mark.parametrize("name", evidence.BUILDS)
def test_both_ways_estimate_the_same(name):
    model, guide = evidence.BUILDS[name](0)
    x = torch.bernoulli(DIGITS.test_x[:2] / 255)
    found = log_evidence(model, guide, x, samples=2000)
    other = evidence.written_out(model, guide, x, 2000, seed=1)
    # each has this error: 5 of the difference, a false alarm in two million runs
    assert ((found.value - other).abs() < 5 * 2**0.5 * found.standard_error).all()
    assert (found.standard_error < 1).all()


def test_the_floor_multiplies_as_many_rows_as_are_asked_for(monkeypatch):
    decoder = evidence.mnist_short.build(0)[0].decoder
    shapes, mm = [], torch.mm
    monkeypatch.setattr(
        torch, "mm", lambda a, b, out: (shapes.append((*a.shape, b.shape[1])), out)[1]
    )
    evidence.floor(decoder, 3 * evidence.ROWS)()
    monkeypatch.setattr(torch, "mm", mm)
    rows = evidence.ROWS
    assert shapes == 3 * [(rows, 20, 400), (rows, 400, 784)]
