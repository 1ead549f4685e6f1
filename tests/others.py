"""What other processes do to a checkpoint's path, in the tests of `checkpoint`."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from pathlib import Path

import torch

from tests.runs import run_small, same, small, state, train
from vaelib import bounds, checkpoint

# Processes that are forks of one that has imported all this, and runs no thread.
fork = multiprocessing.get_context("forkserver")
fork.set_forkserver_preload([__name__])


def hold(path, send):
    """Hold the path until killed."""
    with checkpoint.held(path):
        send.send("held")
        multiprocessing.Event().wait()


def attempt(path, send):
    """Train with this checkpoint; sends the error, in words, or what was reached."""
    try:
        send.send(run_small(checkpoint=path)[0].steps[-1])
    except Exception as error:
        send.send(f"{type(error).__name__}: {error}")


def contend(path, times, send):
    """Hold the path again and again; how often it was had, and how often in company."""
    inside, had, together = Path(f"{path}.inside"), 0, 0
    while had < times:
        try:
            with checkpoint.held(path):
                had += 1
                try:
                    os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    together += 1
                inside.unlink(missing_ok=True)
        except BlockingIOError:
            pass
    send.send((had, together))


def as_nobody(path, send):
    """As `attempt`, by a user without rights."""
    if os.geteuid() == 0:
        os.setresuid(65534, 65534, 65534)
    attempt(path, send)


def fill(folder, spare):
    """Train on a disk that runs full: with so much left when the second is written.

    Returns the error, in words, its cause, the files that are there, and whether all is
    as it was after ten steps and, resumed with more room, as without any of this.
    """
    path, filler = folder / "run.pt", folder / "filler"
    model, guide, data = small()
    settings = {"batch_size": 8, "lr": 0.01, "report_every": 7, "checkpoint_every": 10}
    settings |= {"checkpoint": path}
    train(model, guide, bounds.elbo, data, steps=10, **settings)
    before = path.read_bytes()
    disk = os.statvfs(folder)
    filler.write_bytes(bytes(disk.f_bavail * disk.f_frsize - spare))
    try:
        train(model, guide, bounds.elbo, data, steps=60, **settings)
        raise AssertionError("the disk is not full")
    except OSError as error:
        words, cause = f"{type(error).__name__}: {error}", repr(error.__cause__)
    trained = same(state(model, guide), run_small(steps=20)[1])
    whole = path.read_bytes() == before
    files = sorted(os.listdir(folder))
    filler.unlink()
    resumed = same(run_small(checkpoint=path)[1], run_small()[1])
    path.unlink()
    return words, cause, files, trained, whole, resumed


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps([fill(Path(sys.argv[1]), int(n)) for n in sys.argv[2:]]))
