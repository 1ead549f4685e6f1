"""Several steps at a time, recorded once as a CUDA graph and then replayed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vaelib.training.ascent import Ascent

AT_ONCE = 16  # steps in a graph: enough that starting it costs nothing


class RecordedAscent(Ascent):
    """`Ascent` without a word from the processor within a step.

    A small model's step is some hundred operations of a few microseconds each, and to
    start one takes as long. A CUDA graph starts them all at once: forward, backward,
    the check of what came out, and Adam, `AT_ONCE` times over. What the batches need is
    put into the graph's own memory before each replay, and results are looked at only
    where the caller stops. A step that finds something not finite sets a flag on the
    device, with which Adam leaves out this step and every later one.

    On another device the same steps are taken one by one, for tests.

    Args:
        As for `Ascent`.
    """

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        place = self._parameters[0].device
        self._sum = torch.zeros((), dtype=torch.float64, device=place)
        self._good = torch.zeros((), dtype=torch.int64, device=place)
        self._failed = torch.zeros((), device=place)
        self.optimizer.found_inf = self._failed  # Adam's own way to leave out a step
        self._memory: list[list[Tensor]] = []
        self._replay: Callable[[], object] | None = None

    def run(self, stop: int, tick: Callable[[int], object]) -> None:
        """As `Ascent.run`; `tick` gets the number of steps that were started."""
        self._sum.zero_()
        self._good.zero_()
        step = self.done
        while step < stop:
            if step % AT_ONCE or step + AT_ONCE > stop:
                self._step(*self._batches[step])
                n = 1
            else:
                if self._replay is None:
                    self._replay = self._record(*self._batches[step])
                for i in range(AT_ONCE):
                    self._put(i, *self._batches[step + i])
                self._replay()
                n = AT_ONCE
            step += n
            tick(n)
        self.done += int(self._good.item())  # waits for the device
        self.total += self._sum.item()
        if self.done < stop:
            self.gradient(*self._batches[self.done])  # in place, to be looked at

    def _adam(self, lr: float) -> torch.optim.Adam:
        on_gpu = self._parameters[0].is_cuda
        settings = {"lr": lr, "fused": True, "capturable": on_gpu}
        return torch.optim.Adam(self._parameters, **settings)

    def _step(self, x: Tensor, drawn: Tensor) -> None:
        """One step of which nothing is known outside of the device."""
        value, norm = self.gradient(x, drawn)
        good = (value + norm).isfinite() & (self._failed == 0)
        self._failed.copy_(~good)
        self._good += good
        self._sum += torch.where(good, value, 0.0)
        self.optimizer.step()

    def _put(self, i: int, *new: Tensor) -> None:
        for memory, values in zip(self._memory[i], new, strict=True):
            memory.copy_(values)

    def _record(self, *first: Tensor) -> Callable[[], object]:
        """The steps on what is in the graph's memory, as one call."""
        self._memory = [[t.clone() for t in first] for _ in range(AT_ONCE)]

        def steps() -> None:
            for batch in self._memory:
                self._step(*batch)

        if not first[0].is_cuda:
            return steps
        # Torch asks for a rehearsal; with the flag set it changes nothing.
        self._failed.fill_(1)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._step(*first)
        torch.cuda.current_stream().wait_stream(side)
        self.optimizer.zero_grad()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            steps()
        self._failed.zero_()
        return graph.replay
