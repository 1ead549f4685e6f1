"""One run in several processes.

Run as a program, by `torchrun`, this file is one of the processes (see the end).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vaelib import bounds, checkpoint
from vaelib.guides import Amortized
from vaelib.models import Bernoulli, DeepModel, mlp
from vaelib.training import __main__ as command
from vaelib.training import parallel, train

RUN = "--device cpu --batch-size 64 --samples 2 --hidden 16".split()


def launch(*arguments):
    """A program in two processes of a group."""
    start = [sys.executable, *"-m torch.distributed.run --standalone".split()]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*start, "--nproc-per-node=2", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(command.__file__).parents[2],
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(path, steps, capsys=None):
    """The report of the command line's training, here if this captures what it prints.

    Otherwise in two processes.
    """
    arguments = [*RUN, "--steps", str(steps), "--checkpoint", str(path)]
    if capsys is None:
        printed = launch("-m", "vaelib.training", *arguments)
        assert printed.count("norm of the parameters") == 1  # one speaks for all
    else:
        command.main(arguments)
        printed = capsys.readouterr().out
    return json.loads(printed.strip().splitlines()[-1])


def parts(path):
    return checkpoint._content(path)["state"]["parts"]


def furthest(a, b):
    return max((a[name] - b[name]).abs().max().item() for name in a)


def test_two_processes_are_one_run(tmp_path, capsys):
    alone, two, turns = (tmp_path / f"{name}.pt" for name in ("alone", "two", "turns"))
    expected, got = run(alone, 100, capsys), run(two, 100)
    assert got["bounds"] == pytest.approx(expected["bounds"], rel=1e-6)
    assert furthest(parts(two), parts(alone)) < 1e-5
    # Not for want of training: the parameters are far from where they started.
    model = command.build("digits", 16, 8, 0)[0]
    start = {f"model.{name}": value for name, value in model.state_dict().items()}
    assert furthest(start, parts(two)) > 1e-2
    # What one process began, two can go on with, and one can end.
    run(turns, 20, capsys), run(turns, 60)
    assert furthest(parts(turns), parts(alone)) > 1e-3
    run(turns, 100, capsys)
    assert furthest(parts(turns), parts(alone)) < 1e-5


def test_only_the_first_writes_and_all_end_alike(tmp_path):
    launch(__file__, tmp_path)
    notes = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert [note["writes"] for note in notes] == [3, 0]
    assert notes[0]["digest"] == notes[1]["digest"]
    assert notes[0]["bounds"] == notes[1]["bounds"]
    # A value that is not finite in one process's share stops them all, before the step.
    assert notes[0]["failure"].startswith("step 7: ")
    assert notes[1]["failure"].startswith("step 7: q's loc is not finite for rows")
    assert notes[0]["after failure"] == notes[1]["after failure"]
    # Refused before anything starts.
    for note in notes:
        odd = "batch_size: expected a multiple of the 2 processes, got 7"
        assert note["refused"] == [odd, "graph: expected no group of processes"]


def test_alone_there_is_one_process():
    assert parallel.world() == (0, 1)
    assert parallel.share(7) == slice(0, 7)


def test_the_command_line(capsys):
    command.main("--steps 3 --bound iwae --samples 4 --device cpu".split())
    printed = json.loads(capsys.readouterr().out)
    assert printed["steps done"] == [3] and printed["bound"] == "iwae"
    with pytest.raises(SystemExit):
        command.main("--steps 3 --bound best".split())
    assert "invalid choice: 'best'" in capsys.readouterr().err
    with pytest.raises(ValueError, match="^batch_size: "):
        command.main("--steps 3 --batch-size 0 --device cpu".split())


def process(folder):
    """What each process of the test above does; what it saw goes to a file."""
    torch.distributed.init_process_group("gloo")
    rank, writes, write = torch.distributed.get_rank(), [], checkpoint.write

    def counted(*arguments):
        writes.append(1)
        write(*arguments)

    checkpoint.write = counted
    x = torch.rand(40, 6, generator=torch.Generator().manual_seed(0)).round()

    def small():
        torch.manual_seed(rank)  # not alike: all take the first one's
        return DeepModel(mlp(2, 8, 6), Bernoulli(), 2), Amortized(mlp(6, 8, 4))

    def digest(*modules):
        return [p.detach().flatten().tolist() for m in modules for p in m.parameters()]

    settings = {"steps": 25, "batch_size": 8, "device": "cpu", "progress": False}
    model, guide = small()
    file = folder / "run.pt"
    saved = {"checkpoint": file, "checkpoint_every": 10}
    run = train(model, guide, bounds.elbo, x, **settings, **saved)
    note = {"writes": len(writes), "bounds": run.bounds, "digest": digest(model, guide)}

    model, guide = small()

    def spoilt(x):
        spoilt.calls += 1
        q = guide(x)
        if rank == 1 and spoilt.calls > 1 + 7:  # a trial, then steps 0 to 6
            q.base_dist.loc = q.base_dist.loc * torch.nan
        return q

    spoilt.calls, spoilt.guide = 0, guide  # its parameters are found there
    try:
        train(model, spoilt, bounds.elbo, x, **settings)
    except FloatingPointError as error:
        note["failure"] = str(error)
    note["after failure"] = digest(model, guide)
    note["refused"] = []
    for change in ({"batch_size": 7}, {"graph": True}):
        try:
            train(*small(), bounds.elbo, x, **{**settings, **change})
        except ValueError as error:
            note["refused"].append(str(error))
    (folder / f"{rank}.json").write_text(json.dumps(note))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    process(Path(sys.argv[1]))
