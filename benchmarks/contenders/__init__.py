"""Programs that train the same model, and the floor below them.

Each runs in a process of its own, `python -m benchmarks.contenders NAME`, which waits
for its turn: see `__main__.py`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

ELBO = "elbo-128", "elbo-20"
BOTH = *ELBO, "importance-50"
HAND = *ELBO, "nothing"
JAX = "jax", "optax"
ALL = *BOTH, "nothing"  # where all that is left is the cost of calling


@dataclass(frozen=True)
class Entry:
    """Where a contender is, and what the tables say of it.

    Attributes:
        label: in tables and figures.
        where: module and class in this folder.
        settings: which it takes part in.
        packages: whose versions are recorded.
        kind: "floor", "ours", "torch" for a loop in PyTorch, "library", "jax", or
            "other" for a loop whose arithmetic differs.
    """

    label: str
    where: str
    settings: tuple[str, ...]
    kind: str
    packages: tuple[str, ...] = ()


CONTENDERS = {
    "floor": Entry("products alone: the floor", "floor.Floor", ALL, "floor"),
    "floor-adam": Entry("floor and Adam", "floor.FloorAdam", BOTH, "floor"),
    "floor-jax": Entry("products alone, JAX", "jax_loops.JaxFloor", BOTH, "floor", JAX),
    "train": Entry("vaelib", "ours.Train", ALL, "ours"),
    "train-medium": Entry("vaelib, medium", "ours.TrainMedium", BOTH, "other"),
    "minimal": Entry("PyTorch, minimal loop", "loops.Minimal", ALL, "torch"),
    "compiled": Entry("PyTorch, torch.compile", "loops.Compiled", BOTH, "torch"),
    "handwritten": Entry(
        "PyTorch, gradients by hand", "handwritten.Handwritten", HAND, "torch"
    ),
    "autocast": Entry("PyTorch, bfloat16 autocast", "loops.Autocast", BOTH, "other"),
    "loader": Entry("PyTorch, DataLoader", "loops.Loader", ELBO, "torch"),
    "transforms": Entry(
        "PyTorch, DataLoader, transforms", "loops.Transforms", ELBO, "torch"
    ),
    "pythae": Entry("pythae", "pythae_vae.Pythae", ELBO, "library", ("pythae",)),
    "pyro": Entry("Pyro", "pyro_svi.Pyro", ELBO, "library", ("pyro-ppl",)),
    "pyro-jit": Entry("Pyro, JIT", "pyro_svi.PyroJit", ELBO, "library", ("pyro-ppl",)),
    "lightning": Entry(
        "Lightning", "lightning_fit.Lightning", ELBO, "library", ("lightning",)
    ),
    "jax": Entry("JAX, a call per step", "jax_loops.Jax", ALL, "jax", JAX),
    "jax-scan": Entry("JAX, scan", "jax_loops.JaxScan", BOTH, "jax", JAX),
}


def load(name: str) -> type:
    """The class of this contender; it is called with a `task.Setting`."""
    module, kind = CONTENDERS[name].where.split(".")
    return getattr(importlib.import_module(f"benchmarks.contenders.{module}"), kind)
