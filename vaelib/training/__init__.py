"""Training a model and its guide: one function, one record."""

from vaelib.training.loop import Run, train

__all__ = ["Run", "train"]
