"""A contender in a process of its own; it does what the lines of its input say.

    python -m benchmarks.contenders NAME THREADS

A line is `SETTING bounds STEPS` or `SETTING seconds STEPS`; the answer is one line of
JSON. Whatever libraries print goes to the other stream.
"""

from __future__ import annotations

import json
import os
import sys

import torch

from benchmarks import contenders
from benchmarks.contenders import task


def main() -> None:
    """Answer each line of standard input."""
    name, threads = sys.argv[1], int(sys.argv[2])
    if hasattr(os, "sched_setaffinity"):  # for those who count cores themselves
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    torch.set_num_threads(threads)
    answers, sys.stdout = sys.stdout, sys.stderr
    kind, made = contenders.load(name), {}
    for line in sys.stdin:
        setting, what, steps = line.split()
        if setting not in made:
            made[setting] = kind(task.SETTINGS[setting])
        answer = getattr(made[setting], what)(int(steps))
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
