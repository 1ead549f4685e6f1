"""The public `vaelib.training.train`."""

from __future__ import annotations

import time

from benchmarks.contenders import task
from vaelib.training import train

WARM = 10  # steps of a call that is timed only to be subtracted


class Train:
    """A call takes time before its first step; two calls tell it from the steps'."""

    def __init__(self, setting: task.Setting):
        self.setting = setting
        self.settings = {
            "batch_size": setting.batch,
            "samples": setting.samples,
            "lr": task.LR,
            "device": "cpu",
            "progress": False,
        }
        self.parts = *task.build(setting), task.objective(setting)

    def bounds(self, steps: int) -> list[float]:
        parts = *task.build(self.setting), task.objective(self.setting)
        x = task.data()[: self.setting.batch]
        return [*train(*parts, x, steps=steps, report_every=1, **self.settings).bounds]

    def seconds(self, steps: int) -> float:
        def call(n: int) -> float:
            start = time.perf_counter()
            train(*self.parts, task.data(), steps=n, **self.settings)
            return time.perf_counter() - start

        return (call(WARM + steps) - call(WARM)) / steps
