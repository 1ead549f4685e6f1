"""How long a training step takes: `train`, other libraries, and the floor below all.

    python -m benchmarks.speed

lets programs that train the same model (`benchmarks/contenders`) take turns, each in a
process of its own, and writes what they took to results/speed.json and, as a table, to
results/speed.md. A run of everything adds its medians to those of earlier runs, in
results/speed-runs.json. `make bench` installs the other libraries first.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import common
from benchmarks.contenders import CONTENDERS, task

ROOT = Path(__file__).parents[1]
TOLERANCE = 1e-4  # relative, of the bound at the first steps
CHECKED = 3  # steps


class Worker:
    """A contender's process, which waits for its turn."""

    def __init__(self, name: str, threads: int):
        self.name = name
        self.log = tempfile.TemporaryFile("w+")
        variables = {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.contenders", name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=os.environ | variables,
            text=True,
        )

    def ask(self, setting: str, what: str, steps: int):
        """Its answer: see `benchmarks/contenders/__main__.py`."""
        try:
            print(setting, what, steps, file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self.log.seek(0)
            last = "".join(self.log.readlines()[-15:])
            raise SystemExit(
                f"{self.name} ended, asked for {what} of {setting}:\n{last}"
            )
        return json.loads(answer)

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


def agree(name: str, worker: Worker, setting: str) -> list[float]:
    """The bound at the first steps, if it is the one that the task states."""
    values = worker.ask(setting, "bounds", CHECKED)
    expected = task.reference(task.SETTINGS[setting], CHECKED, closed=name == "pythae")
    # Half precision is not the same arithmetic; it is told from another objective.
    tolerance = 1e-3 if CONTENDERS[name].kind == "other" else TOLERANCE
    for value, right in zip(values, expected, strict=True):
        if not math.isclose(value, right, rel_tol=tolerance):
            raise SystemExit(
                f"{name} trains something else in {setting}: the bound at the first "
                f"steps is {values}, expected {expected}"
            )
    return [common.significant(value, 7) for value in values]


def compare(
    workers: dict[str, Worker], setting: str, rounds: int, quick: bool
) -> dict[str, object]:
    """All contenders of a setting in turn; a quick trial need not be clean."""
    sizes = task.SETTINGS[setting]
    steps = max(12, sizes.steps // 10) if quick else sizes.steps
    names = [name for name in workers if setting in CONTENDERS[name].settings]
    agreed = {
        name: agree(name, workers[name], setting)
        for name in names
        if CONTENDERS[name].kind != "floor"
    }
    turns = {
        name: functools.partial(workers[name].ask, setting, "seconds", steps)
        for name in names
    }
    for turn in turns.values():
        turn()  # compiles, faults pages in
    measured = common.take_turns(turns, rounds, rounds + (0 if quick else 5))
    model, guide = task.build(sizes)
    parameters = [*model.parameters(), *guide.parameters()]
    return {
        **dataclasses.asdict(sizes),
        "activation": sizes.activation.__name__,
        "parameters": sum(p.numel() for p in parameters),
        "steps": steps,
        "clean rounds": measured.clean,
        "rounds left out": measured.left_out,
        "cores that others used, at most": round(measured.others, 3),
        "ms": {
            name: [common.significant(1000 * value, 4) for value in values]
            for name, values in measured.values.items()
        },
        "bounds": agreed,
    }


def multiples(entry: dict, name: str) -> list[float]:
    """A contender's time in each round, in multiples of the floor's in that round."""
    pairs = zip(entry["ms"][name], entry["ms"]["floor"], strict=True)
    return [ms / floor for ms, floor in pairs]


def table(report: dict) -> str:
    """The report as Markdown."""
    machine = report["machine"]
    lines = [
        "# What a training step costs",
        "",
        f"{report['date']}, {machine['cpu']}, {machine['threads']} threads of "
        f"{machine['cores']} cores, {machine['system']}. Made by `make bench`; "
        "`speed.json` holds every round.",
    ]
    for entry in report["settings"].values():
        ms = entry["ms"]
        lines += [
            "",
            f"## {entry['what'][0].upper()}{entry['what'][1:]}",
            "",
            f"Medians and quartiles of {len(ms['floor'])} rounds, of which "
            f"{entry['clean rounds']} were clean.",
            "",
            "| | ms per step | multiple of the floor | quartiles |",
            "|---|---:|---:|---:|",
        ]
        for name in sorted(ms, key=lambda n: statistics.median(multiples(entry, n))):
            s = common.summary(multiples(entry, name))
            lines.append(
                f"| {report['contenders'][name]['label']} "
                f"| {common.significant(statistics.median(ms[name]))} "
                f"| {s['median']} | {s['lower']} to {s['upper']} |"
            )
    return "\n".join(lines) + "\n"


def medians(report: dict) -> dict:
    """What is kept of a run: its date and machine, and the median multiples."""
    return {
        "date": report["date"],
        "seconds": report["seconds"],
        "machine": report["machine"],
        "multiples": {
            key: {
                name: common.significant(statistics.median(multiples(entry, name)))
                for name in entry["ms"]
            }
            for key, entry in report["settings"].items()
        },
    }


def remember(report: dict, path: Path) -> None:
    """Add a run's medians to those of earlier runs."""
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    common.write(path, [*earlier, medians(report)])


def run(options: argparse.Namespace) -> dict[str, object]:
    """The report."""
    import torch

    start = time.perf_counter()
    torch.set_num_threads(options.threads)  # as the contenders will have it
    described = common.machine()
    names = [n for n in CONTENDERS if n in {"floor", *(options.only or CONTENDERS)}]
    workers = {name: Worker(name, options.threads) for name in names}
    try:
        settings = {}
        for setting in options.settings or task.SETTINGS:
            settings[setting] = compare(workers, setting, options.rounds, options.quick)
            print(f"{setting}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    finally:
        for worker in workers.values():
            worker.close()
    packages = {"numpy", *(p for n in names for p in CONTENDERS[n].packages)}
    return {
        "what": "time of a training step on the CPU, float32, Adam; ms",
        "date": common.today(),
        "machine": described,
        "versions": common.versions("torch", *sorted(packages)),
        "seconds": round(time.perf_counter() - start),
        "contenders": {
            name: {"label": CONTENDERS[name].label, "kind": CONTENDERS[name].kind}
            for name in names
        },
        "settings": settings,
    }


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="of each setting")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, metavar="NAME")
    parser.add_argument("--settings", nargs="+", choices=task.SETTINGS)
    parser.add_argument("--threads", type=int, default=common.cores())
    parser.add_argument("--quick", action="store_true", help="short turns; a trial")
    parser.add_argument("--out", type=Path, default=common.RESULTS / "speed.json")
    options = parser.parse_args(arguments)
    report = run(options)
    common.write(options.out, report)
    common.write(options.out.with_suffix(".md"), table(report))
    if not (options.quick or options.only or options.settings):
        remember(report, options.out.with_name(options.out.stem + "-runs.json"))
    print(table(report))


if __name__ == "__main__":
    main()
