"""Real data that needs no network, and toy densities with known answers."""

from vaelib.data.bundled import DIGIT_LEVELS, Digits, Iris, digits, iris
from vaelib.data.toys import bimodal, correlated_gaussian

__all__ = [
    "DIGIT_LEVELS",
    "Digits",
    "Iris",
    "bimodal",
    "correlated_gaussian",
    "digits",
    "iris",
]
