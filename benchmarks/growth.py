"""How the cost of a training step grows: time and memory of the public `train`.

    python -m benchmarks.growth

varies one size at a time about the model 784-400-20, B = 128, S = 1: the batch, the
samples K of the importance-weighted bound, the latent dimension and the data. Each
point is a process of its own, so that its greatest memory is its own, too. The curve
a + b nᶜ is fitted to the points of each size n. Writes results/growth.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import multiprocessing
import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from scipy import optimize

from benchmarks import common

# Few data: what checks them at the start takes memory, too.
MODEL = {"batch": 128, "samples": 1, "latent": 20, "rows": 2048}
POINTS = {
    "batch": (32, 64, 128, 256, 512, 1024, 2048),
    "samples": (1, 2, 4, 8, 16, 32),
    "latent": (2, 8, 32, 128, 512, 1024),
    "rows": (5_000, 10_000, 20_000, 40_000, 80_000, 160_000),
}
SECONDS = 0.3  # of the steps that are timed


def peak() -> float:
    """The greatest memory of this process since `forget_peak`, in MB."""
    try:
        with open("/proc/self/status", encoding="utf-8") as file:
            line = next(line for line in file if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    except OSError:  # not Linux: since the process began
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def forget_peak() -> None:
    """Let `peak` start from what is in use now, where the system can."""
    if os.path.exists("/proc/self/clear_refs"):
        with open("/proc/self/clear_refs", "w", encoding="utf-8") as file:
            file.write("5")


def measure(sizes: dict[str, int], threads: int) -> dict[str, float]:
    """Milliseconds a step and megabytes, of a process that has done nothing else."""
    import torch

    from benchmarks.contenders import task
    from benchmarks.contenders.ours import Train

    torch.set_num_threads(threads)
    small = task.Setting("", 2, 1, (400,), 2, torch.nn.ReLU, 0)
    setting = dataclasses.replace(
        small, batch=sizes["batch"], samples=sizes["samples"], latent=sizes["latent"]
    )
    Train(small, torch.zeros(2, task.PIXELS)).seconds(1)  # loads what is used
    forget_peak()
    before = peak()
    x = task.data(sizes["rows"])
    forget_peak()  # of making up the data
    training = Train(setting, x)
    steps = max(8, round(SECONDS / training.seconds(4)))
    return {"ms": 1000 * training.seconds(steps), "MB": peak() - before}


def fresh(sizes: dict[str, int], threads: int, into: list[dict[str, float]]) -> float:
    """`measure` in a process of its own; adds to a list and returns the time.

    The process is a copy of one that has imported all this and computed nothing: to
    start Python and import torch would take twice as long as what is measured.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.contenders.ours", __name__])
    with ProcessPoolExecutor(1, context) as pool:
        into.append(pool.submit(measure, sizes, threads).result())
    return into[-1]["ms"]


def power(n, a, b, c):
    """a + b nᶜ."""
    return a + b * n**c


def fit(n: list[int], y: list[float]) -> dict[str, float]:
    """a + b nᶜ by least squares of relative errors, c with its standard error.

    The fixed cost a ≥ 0 is what a step costs at any size. How uncertain c is, is judged
    by how far the points lie from the curve. Where y hardly grows, c says little, and
    what counts is `growth`, y at the largest n over y at the smallest, by the curve.
    """
    n, y = np.asarray(n, dtype=float), np.asarray(y, dtype=float)
    scale = n.max()
    start = (max(y.min(), 1e-9), max(y.max() - y.min(), 1e-9), 1.0)
    (a, b, c), covariance = optimize.curve_fit(
        power, n / scale, y, start, sigma=y, bounds=((0, 0, 0), (np.inf, np.inf, 4))
    )
    curve = power(n / scale, a, b, c)
    fitted = {
        "fixed": a,
        "per unit": b / scale**c,
        "exponent": c,
        "standard error": np.sqrt(covariance[2, 2]),
        "growth": curve[-1] / curve[0],
        "largest relative error": np.abs(curve / y - 1).max(),
    }
    return {
        name: common.significant(float(v), 4) if np.isfinite(v) else None
        for name, v in fitted.items()
    }


def run(options: argparse.Namespace) -> dict[str, object]:
    """The report."""
    import torch

    torch.set_num_threads(options.threads)
    described, start, axes = common.machine(), time.perf_counter(), {}
    most = options.rounds + (0 if options.quick else 2)
    for axis, points in POINTS.items():
        points = points[:: 2 if options.quick else 1]
        found: dict[int, list] = {n: [] for n in points}
        turns = {
            n: functools.partial(fresh, MODEL | {axis: n}, options.threads, found[n])
            for n in points
        }
        measured = common.take_turns(turns, options.rounds, most)
        ms = [common.summary(measured.values[n])["median"] for n in points]
        # Memory does not depend on who else is busy: every process counts.
        mb = [common.summary([p["MB"] for p in found[n]], 4)["median"] for n in points]
        axes[axis] = {
            "n": [*points],
            "ms": ms,
            "MB": mb,
            "ms of each round": [
                [common.significant(v, 4) for v in measured.values[n]] for n in points
            ],
            "clean rounds": measured.clean,
            "fit of ms": fit(points, ms),
            "fit of MB": fit(points, mb),
        }
        print(f"{axis}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return {
        "what": "time of a step of `train`, ms; peak memory it and its data add, MB",
        "date": common.today(),
        "machine": described,
        "seconds": round(time.perf_counter() - start),
        "rounds": options.rounds,
        "model": {"hidden": 400, **MODEL},
        "axes": axes,
    }


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="of each size")
    parser.add_argument("--threads", type=int, default=common.cores())
    parser.add_argument("--quick", action="store_true", help="few points; a trial")
    parser.add_argument("--out", type=Path, default=common.RESULTS / "growth.json")
    options = parser.parse_args(arguments)
    report = run(options)
    common.write(options.out, report)
    print(json.dumps(report["axes"], indent=2))


if __name__ == "__main__":
    main()
