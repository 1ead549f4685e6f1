"""How `pytest --nbval book/` compares a chapter's stored outputs with fresh ones.

nbval alone passes a notebook whose outputs were cleared, does not look at pictures and
knows no tolerance. Here:

* a cell that was never run, or lost its outputs, fails;
* text must be the same, integers included;
* a decimal number may differ by one in its last printed digit, since two values that
  agree as closely as one likes can round to neighbouring digits. That allowance ends at
  1 % of the number, so it helps only where three significant digits or more are shown.
  Of a number with many digits only a millionth part must agree: about ten units in the
  last place of float32, less than what other summation orders change;
* numbers below 1e-12 are equal: the rounding noise of float64;
* in a cell with the tag `compare-roughly`, whose numbers come from training and are for
  the reader to look at, a number may differ by half of the larger one, by 0.2, or a
  whole number by one: enough for another machine, and not for another sign, another
  order of magnitude or another unit. What must hold is asserted. Of a figure in such a
  cell, as of draws that one rounding changes, only the shade of large areas must agree;
* a figure must have the same size and look the same (see `same_picture`);
* stderr (progress bars) is not compared;
* chapters run on the CPU, where the stored outputs are from: a GPU draws other noise,
  so that its trained pictures differ. What must hold there too are the chapters'
  assertions, and tests/test_book_cuda.py runs those.
"""

from __future__ import annotations

import base64
import io
import os
import re
from decimal import Decimal
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile
from scipy import ndimage

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # for the kernels, which inherit it

collect_ignore_glob = ["_build/*"]  # copies that a build can leave here

LAST_DIGIT = Decimal("0.01")  # at most this part of a number, for one in its last digit
RELATIVE = Decimal("1e-6")
NOISE = Decimal("1e-12")
ROUGHLY = "compare-roughly"  # a cell's tag
HALF, LITTLE, ONE = Decimal("0.5"), Decimal("0.2"), Decimal(1)

# Not a number: the digits of names such as float64 or x2.
NUMBER = re.compile(r"(?<![A-Za-z_\d.])\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?![A-Za-z_\d])")

REACH = 2  # pixels by which an edge may move: hinting, antialiasing, rounding of layout
CONTRAST = 0.25  # a pixel is wrong if a channel is further than this from its like
WRONG = 2e-4  # the part of all pixels that may be wrong
BLOCKS = 12  # an area's average colour, with so many areas along each side,
SHADE = 0.05  # may differ by this much in a channel
ROUGH_BLOCKS, ROUGH_SHADE = 6, 0.2  # the same where a cell is compared roughly


def same_text(stored: str, fresh: str, roughly: bool = False) -> bool:
    """Whether two printed texts say the same."""
    if stored == fresh:
        return True
    cut = [_numbers(s) for s in (stored, fresh)]
    if cut[0][0] != cut[1][0]:
        return False
    same = _about_the_same_number if roughly else _same_number
    return all(same(a, b) for a, b in zip(cut[0][1], cut[1][1], strict=True))


def _numbers(text: str) -> tuple[list[str], list[str]]:
    """What is between the numbers of a text, and the numbers with their signs."""
    between, numbers, start = [], [], 0
    for match in NUMBER.finditer(text):
        before = text[start : match.start()]
        sign = before[-1:] if before[-1:] in ("-", "+", "\u2212") else ""
        # A sign that follows a letter or digit is an operator or a hyphen: text.
        if sign and before[-2:-1].isalnum():
            sign = ""
        before = before[: len(before) - len(sign)]
        # A minus takes a column: rounding to -0.00 or 0.00 may move spaces.
        between.append(re.sub(r"[ ]+", " ", before))
        numbers.append(sign.replace("\u2212", "-") + match[0])
        start = match.end()
    return [*between, text[start:]], numbers


def _same_number(stored: str, fresh: str) -> bool:
    whole = [re.fullmatch(r"[-+]?\d+", s) for s in (stored, fresh)]
    a, b = Decimal(stored), Decimal(fresh)
    if any(whole):
        return all(whole) and a == b
    if abs(a) < NOISE and abs(b) < NOISE:
        return True
    allowed = RELATIVE * abs(a)
    places = {x.as_tuple().exponent for x in (a, b)}
    if len(places) == 1:
        digit = Decimal(1).scaleb(places.pop())
        allowed = max(allowed, min(digit, LAST_DIGIT * abs(a)))
    return abs(a - b) <= allowed


def _about_the_same_number(stored: str, fresh: str) -> bool:
    a, b = Decimal(stored), Decimal(fresh)
    whole = all(re.fullmatch(r"[-+]?\d+", s) for s in (stored, fresh))
    return abs(a - b) <= max(HALF * max(abs(a), abs(b)), ONE if whole else LITTLE)


def same_picture(stored: str, fresh: str, roughly: bool = False) -> bool:
    """Whether two PNGs, in base64, look the same.

    Each pixel of one must lie between the darkest and brightest of the pixels near it
    in the other, channel by channel, within `CONTRAST`: edges may move by `REACH`, and
    a line that is elsewhere, missing or of another colour is seen. Areas that change by
    less than that, as in an image, are seen in their average; where pictures are
    compared roughly, nothing but the averages of large areas is.
    """
    if stored == fresh:
        return True
    a, b = (_pixels(s) for s in (stored, fresh))
    if a.shape != b.shape:
        return False
    if (a == b).all():
        return True
    if roughly:
        return _shades_apart(a, b, ROUGH_BLOCKS) <= ROUGH_SHADE
    wrong = np.maximum(_unlike(a, b), _unlike(b, a)).max(axis=2) > CONTRAST
    return wrong.mean() <= WRONG and _shades_apart(a, b, BLOCKS) <= SHADE


def _shades_apart(a: np.ndarray, b: np.ndarray, blocks: int) -> float:
    """How far the average colours of areas are apart, at most, in a channel."""
    side = max(1, max(a.shape[:2]) // blocks)
    shades = (ndimage.uniform_filter(x, (side, side, 0)) for x in (a, b))
    return float(np.abs(np.subtract(*shades)).max())


def _pixels(png: str) -> np.ndarray:
    """The picture on white: height, width, three channels between 0 and 1."""
    raw = matplotlib.image.imread(io.BytesIO(base64.b64decode(png)), format="png")
    if raw.ndim == 2:
        raw = np.repeat(raw[:, :, None], 3, axis=2)
    if raw.shape[2] == 4:
        raw = raw[:, :, :3] * raw[:, :, 3:] + (1 - raw[:, :, 3:])
    return raw


def _unlike(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How far each pixel of `a` is from the range of `b` around it."""
    size = (2 * REACH + 1, 2 * REACH + 1, 1)
    low = ndimage.minimum_filter(b, size, mode="nearest")
    high = ndimage.maximum_filter(b, size, mode="nearest")
    return np.maximum(np.maximum(a - high, low - a), 0)


class Output(str):
    """An output's text, equal to another where a reader would call them the same."""

    __hash__ = str.__hash__
    roughly = False

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, str):
            return NotImplemented
        if self.startswith("iVBOR") and other.startswith("iVBOR"):
            return same_picture(str(self), str(other), self.roughly)
        return same_text(str(self), str(other), self.roughly)

    def __ne__(self, other: object) -> bool:
        return not self == other


_sanitize = IPyNbCell.sanitize


def _as_output(self: IPyNbCell, value: Any) -> Any:
    value = _sanitize(self, value)
    if isinstance(value, str):
        value = Output(value)
        value.roughly = ROUGHLY in self.cell.metadata.get("tags", [])
    return value


# nbval compares what this method returns; requirements.txt pins its version.
IPyNbCell.sanitize = _as_output


def pytest_collectstart(collector: pytest.Collector) -> None:
    if isinstance(collector, IPyNbFile):
        compared = {"image/png", "image/jpeg"}
        collector.skip_compare = (*set(collector.skip_compare) - compared, "stderr")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if isinstance(item, IPyNbCell) and item.cell.execution_count is None:
        pytest.fail("the stored cell was never run: nothing to compare with")
