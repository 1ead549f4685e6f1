"""Checkpoints: nothing is lost, whatever happens, and nothing wrong is taken in."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tests import kills
from tests.runs import DEVICES, lighten, run_small, same, small, state, train
from vaelib import bounds, checkpoint
from vaelib.models import mlp

ROOT = Path(__file__).parent.parent


# Resumed


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("at", [1, 7, 30, 59, 60])
def test_a_resumed_run_is_the_same_to_the_bit(tmp_path, at, device):
    path = tmp_path / "run.pt"
    whole, expected = run_small(device)
    run_small(device, steps=at, checkpoint=path, checkpoint_every=9)
    resumed, got = run_small(device, checkpoint=path, checkpoint_every=4)
    assert same(expected, got) and resumed == whole
    # Once more: nothing is left to do, and the result is there.
    again, got = run_small(device, checkpoint=path)
    assert same(expected, got) and again == whole
    # And on: longer than was planned at first.
    longer, expected = run_small(device, steps=75)
    extended, got = run_small(device, steps=75, checkpoint=path)
    assert same(expected, got) and extended == longer
    assert [f.name for f in tmp_path.iterdir()] == ["run.pt"]


def test_writing_checkpoints_changes_nothing(tmp_path):
    _, expected = run_small()
    _, got = run_small(checkpoint=str(tmp_path / "run.pt"), checkpoint_every=1)
    assert same(expected, got)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"seed": 1}, "seed"),
        ({"batch_size": 9}, "batch_size"),
        ({"lr": 0.02}, "lr"),
        ({"samples": 2}, "samples"),
        ({"report_every": 8}, "report_every"),
    ],
)
def test_a_checkpoint_of_another_configuration_is_refused(tmp_path, change, name):
    path = tmp_path / "run.pt"
    run_small(checkpoint=path)
    refused(path, small(), f"expected {name} = ", **change)


@pytest.mark.parametrize("what", ["bound", "data", "model", "fixed"])
def test_a_checkpoint_of_another_problem_is_refused(tmp_path, what):
    path = tmp_path / "run.pt"
    run_small(checkpoint=path)
    model, guide, data = small()
    bound = bounds.elbo
    if what == "bound":
        bound = bounds.importance_weighted
    elif what == "data":
        data[3, 2] = (data[3, 2] + 1) % 5
    elif what == "model":
        model.decoder = mlp(2, 9, 6)
    else:
        guide.encoder[0].bias.requires_grad_(False)
    what = {"model": "parameters", "fixed": "parameters"}.get(what, what)
    refused(path, (model, guide, data), f"expected {what} = ", bound=bound)


def foreign_files(whole):
    """Things that are no checkpoint of ours, made from the bytes of one."""

    def saved(thing):
        buffer = io.BytesIO()
        torch.save(thing, buffer)
        return buffer.getvalue()

    content = torch.load(io.BytesIO(whole), weights_only=True)
    return {
        "empty": b"",
        "one byte": whole[:1],
        "half": whole[: len(whole) // 2],
        "last byte missing": whole[:-1],
        "text": b"not a checkpoint",
        "zeros": bytes(1000),
        "a tensor": saved(torch.zeros(3)),
        "a state dictionary": saved(nn.Linear(2, 2).state_dict()),
        "an object": saved(Path("/")),
        "another version": saved(content | {"version": 2}),
    }


def test_a_foreign_or_damaged_file_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    run_small(checkpoint=path)
    for name, content in foreign_files(path.read_bytes()).items():
        path.write_bytes(content)
        refused(path, small(), "expected a file that vaelib.training.train wrote")
        assert path.read_bytes() == content, name


class Execute:
    """What a hostile file can hold: a call that is made when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_nothing_in_a_file_is_executed(tmp_path):
    path, folder = tmp_path / "run.pt", tmp_path / "executed"
    run_small(checkpoint=path)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"more": Execute(folder)}, path)
    refused(path, small(), "expected a file that vaelib.training.train wrote")
    assert not folder.exists()


def test_no_bit_of_a_checkpoint_changes_unnoticed(tmp_path):
    path = tmp_path / "run.pt"
    content = {"parts": {"weight": torch.arange(5.0)}, "optimizer": {}}
    content |= {"done": 3, "reports": [], "total": 0.0}
    checkpoint.write(path, {}, content)
    whole, refusals = path.read_bytes(), 0
    for position in range(0, len(whole), 3):
        path.write_bytes(
            whole[:position] + bytes([whole[position] ^ 16]) + whole[position + 1 :]
        )
        try:
            read = checkpoint.read(path, {})
        except ValueError:
            refusals += 1
        else:  # a byte that carries nothing, such as padding
            assert torch.equal(read["parts"]["weight"], torch.arange(5.0))
            assert read["done"] == 3
    assert refusals > 100


def refused(path, problem, message, bound=bounds.elbo, **change):
    """The checkpoint is refused in one clear error, and nothing is changed."""
    model, guide, data = problem
    settings = {"steps": 60, "batch_size": 8, "lr": 0.01, "report_every": 7} | change
    content, before = path.read_bytes(), state(model, guide)
    files = {*os.listdir(path.parent)}
    with pytest.raises(ValueError, match=f"^checkpoint: .*run.pt.*{message}"):
        train(model, guide, bound, data, checkpoint=path, **settings)
    assert path.read_bytes() == content
    assert same(before, state(model, guide))
    assert {*os.listdir(path.parent)} == files


def test_fewer_steps_than_the_checkpoint_has(tmp_path):
    run_small(checkpoint=tmp_path / "run.pt")
    with pytest.raises(
        ValueError, match="^steps: expected at least the 60 already done"
    ):
        run_small(steps=59, checkpoint=tmp_path / "run.pt")


@pytest.mark.parametrize("path", ["", "no such folder/run.pt"])
def test_a_checkpoint_that_cannot_be_written(tmp_path, path):
    with pytest.raises(ValueError, match="^checkpoint: expected a file in a folder"):
        run_small(checkpoint=tmp_path / path)


@pytest.mark.parametrize("device", DEVICES)
def test_a_resumed_run_transforms_alike(tmp_path, device):
    path = tmp_path / "run.pt"
    settings = {"transform": lighten, "device": device}
    whole, expected = run_small(**settings)
    assert not same(expected, run_small(device=device)[1])
    run_small(steps=17, checkpoint=path, **settings)
    resumed, got = run_small(checkpoint=path, **settings)
    assert same(expected, got) and resumed == whole
    refused(path, small(), "expected transform = None, got lighten")


# Killed and resumed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, so a Unix")
def test_killed_at_any_moment_and_resumed_it_ends_the_same(tmp_path):
    command = [sys.executable, "-m", "tests.kills", str(tmp_path)]
    settings = {"env": os.environ | {"OMP_NUM_THREADS": "1"}, "cwd": ROOT}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, **settings)
    result = json.loads(done.stdout)
    assert len(result["expected"]) == 64
    assert len(result["records"]) >= 60
    for where, found, _, digest in result["records"]:
        assert digest == result["expected"], f"killed at {where}, resumed at {found}"
    at_random = [found for where, found, *_ in result["records"] if where == "random"]
    assert len(at_random) >= kills.AT_RANDOM
    assert len({*at_random}) >= 6  # they struck all over the run
    # Each point of a writing was reached, and left on disk what it must.
    left = {where: (*on_disk,) for where, *on_disk, _ in result["records"]}
    for point, (*_, new, unfinished) in kills.POINTS.items():
        for writing in kills.WRITINGS:
            done = kills.EVERY * (writing if new else writing - 1)
            assert left[f"{point}, {writing}"] == (done, unfinished)
