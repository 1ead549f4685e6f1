"""Runs that are killed and resumed. As a program, kill them, and print what came of it.

`python -m tests.kills FOLDER` imports torch once, and each run is a fork.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from torch import nn

from tests.runs import run_small, state
from vaelib import bounds, checkpoint, noise, training
from vaelib.guides import Amortized
from vaelib.models import Binomial, DeepModel, mlp

STEPS, EVERY = 36, 2
WRITINGS = (1, 9, 18)  # the first, one between, and the last
AT_RANDOM, IN_A_ROW = 30, 3  # kills at random moments; how many of one run


def job(path, tick):
    """The run that is killed; returns a digest of its results."""
    g = noise.stream(3, "kill")
    model = DeepModel(mlp(2, 16, 8), Binomial(4), 2)
    guide = Amortized(mlp(8, 16, 4))
    for parameter in (*model.parameters(), *guide.parameters()):
        nn.init.normal_(parameter, 0, 0.3, generator=g)
    data = torch.randint(0, 5, (40, 8), generator=g).float()

    def bound(log_w):
        tick()
        return bounds.elbo(log_w)

    settings = {"batch_size": 8, "lr": 0.01, "report_every": 7, "device": "cpu"}
    settings |= {"checkpoint": path, "checkpoint_every": EVERY}
    run = training.train(model, guide, bound, data, steps=STEPS, **settings)
    digest = hashlib.sha256(repr((run.steps, run.bounds)).encode())
    for value in state(model, guide):
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def before(call):
    return lambda *args: die()


def after(call):
    def then(*args):
        call(*args)
        die()

    return then


def cut_short(stop):
    """An `open` whose file takes the bytes up to `stop` of what it is to take."""

    def opening(call):
        def opened(*args):
            file = call(*args)

            def write(whole):
                type(file).write(file, whole[: stop(len(whole))])
                file.flush()
                die()

            file.write = write
            return file

        return opened

    return opening


# Points in the writing of a checkpoint: what dies of which of its calls, and whether it
# then is the new file that is there, or an unfinished one beside the old.
POINTS = {
    "before the new file is there": ("open", before, 0, False, False),
    "the new file is empty": ("open", after, 0, False, True),
    "a byte of it": ("open", cut_short(lambda n: 1), 0, False, True),
    "half of its bytes": ("open", cut_short(lambda n: n // 2), 0, False, True),
    "all of its bytes but one": ("open", cut_short(lambda n: n - 1), 0, False, True),
    "before it reaches the disk": ("fsync", before, 0, False, True),
    "after it has reached the disk": ("fsync", after, 0, False, True),
    "before it takes the old one's place": ("replace", before, 0, False, True),
    "after it has taken the old one's place": ("replace", after, 0, True, False),
    "after its name has reached the disk": ("fsync", after, 1, True, False),
}


def sabotage(point, writing):
    """Make this process die at this point of its n-th writing of a checkpoint."""
    name, how, which, *_ = POINTS[point]
    owner = checkpoint if name == "open" else os
    call, calls = getattr(owner, name, open), [0]
    fatal = {"open": 1, "fsync": 2, "replace": 1}[name] * (writing - 1) + which

    def counted(*args):
        calls[0] += 1
        return (how(call) if calls[0] == fatal + 1 else call)(*args)

    setattr(owner, name, counted)


def child(path, prepare=lambda: None):
    """Fork a run; returns its process id and a pipe: a dot per step, then a digest."""
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            prepare()
            os.write(send, job(path, lambda: os.write(send, b".")).encode())
        finally:
            os._exit(0)
    os.close(send)
    return pid, receive


def end(pid, receive):
    """Whether the run was killed, and else its digest."""
    text = b""
    while part := os.read(receive, 4096):
        text += part
    os.close(receive)
    status = os.waitpid(pid, 0)[1]
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return killed, text.decode().strip(".")


def found(path):
    """After how many steps the checkpoint is, and whether another is unfinished."""
    done = torch.load(path)["state"]["done"] if path.exists() else 0
    return done, path.with_name(path.name + ".tmp").exists()


def main(folder):
    """The digest of a run that is not killed, and for each kill a record.

    A record says where it struck, what `found` on disk, and the digest of the run that
    went on from there to the end (of a run killed repeatedly, after the last kill).
    """
    torch.set_num_threads(1)
    run_small(steps=1)  # imports what torch imports late
    expected = end(*child(folder / "whole.pt"))[1]
    chance, records = random.Random(0), []
    while len(records) < AT_RANDOM:
        path, struck = folder / f"random{len(records)}.pt", []
        while len(struck) < IN_A_ROW:
            pid, receive = child(path)
            left = STEPS - found(path)[0]
            for _ in range(chance.randrange(max(1, left))):
                os.read(receive, 1)
            time.sleep(chance.uniform(0, 0.004))
            os.kill(pid, signal.SIGKILL)
            if not end(pid, receive)[0]:
                break  # it had ended already
            struck.append(["random", *found(path)])
        digest = end(*child(path))[1]
        records += [[*where, digest] for where in struck]
    for point in POINTS:
        for writing in WRITINGS:
            path = folder / f"{point}, {writing}.pt"
            killed, _ = end(*child(path, lambda p=point, w=writing: sabotage(p, w)))
            assert killed, path
            records.append([f"{point}, {writing}", *found(path), end(*child(path))[1]])
    return {"expected": expected, "records": records}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
