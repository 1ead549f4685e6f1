"""Guides: variational families q(z|x). Calling a guide returns a distribution.

A family maps parameters `(B, size)` to distributions of batch shape `(B,)` and event
shape `(D,)`; a guide says where the parameters of a datum come from: from an encoder
(`Amortized`), or from a table of its own (`Free`). An exact model's `posterior` is a
guide too, the best there is.
"""

from vaelib.guides.families import DiagonalGaussian, Family, FullGaussian
from vaelib.guides.flow import CouplingFlow
from vaelib.guides.parameters import (
    Amortized,
    Chained,
    Free,
    PriorGuide,
)

__all__ = [
    "Amortized",
    "Chained",
    "CouplingFlow",
    "DiagonalGaussian",
    "Family",
    "Free",
    "FullGaussian",
    "PriorGuide",
]
