"""What the package computes for the equations of *Information and divergence*.

Each function takes the numbers of the ledger's symbols, by name, and returns a float.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributions as td

from vaelib import divergences


def _numbers(values: dict[str, float], prefix: str) -> Tensor:
    """The values whose names start so, in the order of their names."""
    names = sorted(name for name in values if name.startswith(prefix))
    return torch.tensor([values[name] for name in names], dtype=torch.float64)


def _finite(values: dict[str, float], prefix: str) -> td.Categorical:
    return td.Categorical(_numbers(values, prefix))


def _information(**c: float) -> float:
    joint = _finite(c, "c")  # the pair (z, x) = (0, 0) is its first state
    return divergences.information(joint, torch.tensor(0)).item()


def _cross_entropy(**values: float) -> float:
    return divergences.cross_entropy(_finite(values, "q"), _finite(values, "p")).item()


def _kl(**values: float) -> float:
    return divergences.kl(_finite(values, "q"), _finite(values, "p")).item()


def _normal(loc: float, scale: float) -> td.Normal:
    return td.Normal(*torch.tensor([loc, scale], dtype=torch.float64))


def _entropy_gaussian(s1: float) -> float:
    return divergences.entropy(_normal(0.0, s1)).item()


def _kl_gaussian(m1: float, s1: float, m2: float, s2: float) -> float:
    return divergences.kl(_normal(m1, s1), _normal(m2, s2)).item()


def _kl_gaussian_diagonal(**values: float) -> float:
    q, p = (
        td.Independent(
            td.Normal(_numbers(values, f"m{i}_"), _numbers(values, f"s{i}_")), 1
        )
        for i in (1, 2)
    )
    return divergences.kl(q, p).item()


def _kl_gaussian_full(**values: float) -> float:
    q, p = (
        td.MultivariateNormal(
            _numbers(values, f"m{i}_"), scale_tril=_lower(_numbers(values, name))
        )
        for i, name in ((1, "l"), (2, "k"))
    )
    return divergences.kl(q, p).item()


def _lower(entries: Tensor) -> Tensor:
    factor = torch.zeros(2, 2, dtype=torch.float64)
    factor[torch.tril_indices(2, 2).unbind()] = entries
    return factor


TWINS = {
    "eq-information-chain": _information,
    "eq-kl-excess": _cross_entropy,
    "eq-kl-nonnegative": _kl,
    "eq-entropy-gaussian": _entropy_gaussian,
    "eq-kl-gaussian": _kl_gaussian,
    "eq-kl-gaussian-diagonal": _kl_gaussian_diagonal,
    "eq-kl-gaussian-full": _kl_gaussian_full,
}
