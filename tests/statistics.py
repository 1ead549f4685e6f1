"""Monte Carlo checks with both error rates stated.

One look at |mean − expected| ≤ a·SE. Correct code fails with probability at most
`FALSE_FAIL` over all entries of one look together; code whose mean is wrong by `error`
in an entry passes with probability at most `MISS`. A sample too small for that is
refused.
"""

from __future__ import annotations

from scipy.stats import norm
from torch import Tensor

FALSE_FAIL = 1e-6
MISS = 1e-3


class TooFewSamples(AssertionError):
    """The sample cannot detect the stated error: looking at it would prove nothing."""


def assert_mean(values: Tensor, expected: Tensor | float, *, error: float) -> None:
    """The mean of `values` `(n, ...)` over its first axis is `expected`.

    Args:
        values: independent draws, n along the first axis.
        expected: the exact mean, broadcast against `values[0]`.
        error: the smallest error of an entry's mean that must not pass.
    """
    values = values.double()
    allowed = float(norm.isf(FALSE_FAIL / 2 / values[0].numel()))
    standard_error = values.std(0) / len(values) ** 0.5
    detectable = float(standard_error.max()) * (allowed + float(norm.isf(MISS)))
    if not detectable <= error:
        raise TooFewSamples(
            f"{len(values)} samples detect an error of {detectable:.3g}, "
            f"not {error:.3g}"
        )
    distance = (values.mean(0) - expected).abs()
    limit = allowed * standard_error + 1e-12  # constants have no spread but rounding
    assert bool((distance <= limit).all()), (
        f"mean {values.mean(0)} is not {expected}: off by {distance}, limit {limit}"
    )
