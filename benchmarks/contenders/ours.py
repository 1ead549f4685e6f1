"""The public `vaelib.training.train`."""

from __future__ import annotations

import time

from torch import Tensor

from benchmarks.contenders import task
from vaelib.training import train

WARM = 10  # first steps that are not timed


class Train:
    """A call of `train` for each turn; its bound looks at the clock in every step."""

    precision = "highest"

    def __init__(self, setting: task.Setting, x: Tensor | None = None):
        self.setting = setting
        self.parts = task.build(setting)
        self.x = task.data() if x is None else x

    def call(self, parts, bound, x: Tensor, steps: int, **more):
        """What `train` returns."""
        s = self.setting
        sizes = {"batch_size": s.batch, "samples": s.samples, "steps": steps}
        more |= {"lr": task.LR, "device": "cpu", "progress": False}
        more |= {"precision": self.precision}
        return train(*parts, bound, x, **sizes, **more)

    def bounds(self, steps: int) -> list[float]:
        x, parts = self.x[: self.setting.batch], task.build(self.setting)
        record = self.call(
            parts, task.objective(self.setting), x, steps, report_every=1
        )
        return [*record.bounds]

    def seconds(self, steps: int) -> float:
        bound, times = task.objective(self.setting), []

        def noted(log_w: Tensor) -> Tensor:
            times.append(time.perf_counter())
            return bound(log_w)

        self.call(self.parts, noted, self.x, WARM + steps + 1)
        if not WARM + steps < len(times) < WARM + steps + 5:  # it is tried out before
            raise RuntimeError(f"the bound was not called once a step: {len(times)}")
        return (times[-1] - times[-1 - steps]) / steps


class TrainMedium(Train):
    """With the products that torch likes best, of whatever precision they are."""

    precision = "medium"
