"""What the benchmarks share: the machine in words, clean rounds, whole files."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

RESULTS = Path(__file__).parent / "results"
QUIET = 0.05  # cores that other programs may use in a round that counts


def machine(device: str = "cpu") -> dict[str, object]:
    """What ran it, in words: no names of hosts or folders."""
    import torch

    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            named = [line for line in file if line.startswith("model name")]
        model = named[0].split(":")[1].strip() if named else model
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load before": load and round(load, 1),
        "gpu": torch.cuda.get_device_name() if device.startswith("cuda") else None,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def versions(*packages: str) -> dict[str, str]:
    """The installed version of each package."""
    return {name: importlib.metadata.version(name) for name in packages}


def today() -> str:
    """The date, as 2026-11-21."""
    return datetime.date.today().isoformat()


def write(path: Path, content: Mapping[str, object] | list | str) -> None:
    """Put a text, or a report as JSON, at `path` whole or not at all."""
    if not isinstance(content, str):
        content = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_text(content, encoding="utf-8")
    os.replace(unfinished, path)


class Others:
    """How many cores other programs used while the block ran, on average.

    All busy time of the machine, and what its host took from it, less that of this
    process and its descendants:

        with Others() as others:
            ...
        others.cores
    """

    def __enter__(self) -> Others:
        self._start = time.perf_counter(), _busy(), _own()
        self.cores = float("nan")
        return self

    def __exit__(self, *_) -> None:
        wall, busy, own = self._start
        wall = time.perf_counter() - wall
        self.cores = max(0.0, (_busy() - busy - (_own() - own)) / wall)


def _busy() -> float:
    """Processor seconds that are not idle; the host's steal counts as busy."""
    used = psutil.cpu_times()._asdict()
    # "guest" is part of "user"
    return sum(
        t for k, t in used.items() if not k.startswith(("idle", "iowait", "gue"))
    )


def _own() -> float:
    """Processor seconds of this process, its children that ended, and those alive."""
    me = psutil.Process()
    used = me.cpu_times()
    total = used.user + used.system
    total += getattr(used, "children_user", 0) + getattr(used, "children_system", 0)
    for child in me.children(recursive=True):
        try:
            used = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += used.user + used.system
        total += getattr(used, "children_user", 0) + getattr(used, "children_system", 0)
    return total


@dataclass(frozen=True)
class Rounds:
    """Measurements that took turns.

    Attributes:
        values: one value of each round for each name, in the order of the rounds.
        clean: how many of these rounds no other program disturbed.
        left_out: how many further rounds were measured, disturbed, and left out.
        others: the largest number of cores that others used in a round that counts.
    """

    values: dict[str, list[float]]
    clean: int
    left_out: int
    others: float


def take_turns(
    turns: Mapping[str, Callable[[], float]],
    rounds: int = 9,
    at_most: int | None = None,
) -> Rounds:
    """Call each in turn, in round after round, until enough rounds were clean.

    A round is clean if other programs used at most `QUIET` cores in it. Every second
    round goes backwards, so that none always follows the same one. If `at_most` rounds
    (None: twice as many as wanted) do not hold enough clean ones, the least disturbed
    of the others fill up, and `clean` says how many were.
    """
    done: list[tuple[float, dict[str, float]]] = []
    most = 2 * rounds if at_most is None else max(at_most, rounds)
    while len(done) < most and sum(o <= QUIET for o, _ in done) < rounds:
        names = list(turns)[:: -1 if len(done) % 2 else 1]
        with Others() as others:
            measured = {name: turns[name]() for name in names}
        done.append((others.cores, measured))
    least = sorted(range(len(done)), key=lambda i: done[i][0])[:rounds]
    kept = [done[i] for i in sorted(least)]
    return Rounds(
        values={name: [measured[name] for _, measured in kept] for name in turns},
        clean=sum(o <= QUIET for o, _ in kept),
        left_out=len(done) - len(kept),
        others=max(o for o, _ in kept),
    )


def summary(values: list[float], digits: int = 3) -> dict[str, float]:
    """Median, quartiles and least of a list, to so many significant digits."""
    low, middle, high = (
        statistics.quantiles(values, n=4, method="inclusive")
        if len(values) > 1
        else values * 3
    )
    parts = {"median": middle, "lower": low, "upper": high, "least": min(values)}
    return {name: significant(value, digits) for name, value in parts.items()}


def significant(value: float, digits: int = 3) -> float:
    """The number rounded to so many significant digits."""
    return float(f"{value:.{digits}g}")
