"""Training a model and its guide: one function, one record; and many at once.

`train` is a loop around steps of Adam on the mean bound, with batches that are
functions of the step: the files `loop`, `ascent` and `batches`, to be read in this
order. Beside them stand three ways to take the same steps: recorded as a CUDA graph
(`recorded`), in several processes (`parallel`), and for many seeds at once
(`ensemble`). From a shell: `python -m vaelib.training --help`.
"""

from vaelib.training.ensemble import train_many
from vaelib.training.loop import Run, train

__all__ = ["Run", "train", "train_many"]
