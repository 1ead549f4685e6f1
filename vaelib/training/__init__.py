"""Training a model and its guide: one function, one record; and many at once."""

from vaelib.training.ensemble import train_many
from vaelib.training.loop import Run, train

__all__ = ["Run", "train", "train_many"]
