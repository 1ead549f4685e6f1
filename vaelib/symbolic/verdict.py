"""The three outcomes of a check."""

from __future__ import annotations

from enum import Enum

import sympy as sp

Case = tuple[sp.Expr, sp.Expr]  # left and right side


class Verdict(Enum):
    """Proved, refuted, or unknown, which nobody may count as a success."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNKNOWN = "unknown"


def proved_if(condition: bool) -> Verdict:
    """PROVED or UNKNOWN: that a proof failed refutes nothing."""
    return Verdict.PROVED if condition else Verdict.UNKNOWN
