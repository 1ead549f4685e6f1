"""The figures show what they are given, and say no to a bound above what it bounds."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from vaelib import figures

THETA = np.linspace(-2, 2, 41)


@pytest.fixture
def ax():
    with matplotlib.rc_context():
        figures.use_style()
        figure, axes = plt.subplots()
        yield axes
        plt.close(figure)


def test_the_style_has_a_white_ground_and_fits_the_column(ax):
    assert matplotlib.rcParams["figure.facecolor"] == "white"
    assert matplotlib.rcParams["savefig.facecolor"] == "white"
    assert matplotlib.rcParams["figure.figsize"][0] <= 7


def test_a_colour_has_one_meaning():
    names = "EVIDENCE BOUND BAD RESIDUAL POSTERIOR GUIDE PRIOR SECOND".split()
    colours = [getattr(figures, name) for name in names]
    assert len(set(colours)) == len(colours)


def luminance(colour):
    """Relative luminance, as WCAG 2 defines it."""
    share = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(share <= 0.03928, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_words_can_be_read_on_white():
    """A contrast of 4.5 at least: the colours too pale for it have an ink."""
    names = "EVIDENCE BOUND BAD RESIDUAL POSTERIOR GUIDE PRIOR SECOND".split()
    inks = [getattr(figures, f"{n}_INK", getattr(figures, n)) for n in names]
    assert len(set(inks)) == len(inks)
    for ink in inks:
        assert 1.05 / (luminance(ink) + 0.05) >= 4.5, ink


def test_a_bound_is_drawn_below_with_both_maximisers(ax):
    evidence = -((THETA - 1) ** 2)
    bound = evidence - 1 - THETA**2
    assert figures.draw_bound(ax, THETA, evidence, bound) == pytest.approx((1.0, 0.5))
    curves = [line.get_ydata() for line in ax.lines if len(line.get_xdata()) == 41]
    np.testing.assert_array_equal(curves[0], evidence)
    np.testing.assert_array_equal(curves[1], bound)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["log-evidence", "lower bound"]


def test_the_legend_can_be_left_out(ax):
    figures.draw_bound(ax, THETA, THETA, THETA - 1, legend=False)
    assert ax.get_legend() is None


def test_a_bound_above_is_refused(ax):
    with pytest.raises(ValueError, match="bound: expected values at or below evidence"):
        figures.draw_bound(ax, THETA, THETA, THETA + (THETA > 1.9))


def test_digits_stand_in_a_grid_row_by_row(ax):
    images = np.arange(1, 6)[:, None] * np.ones(4)
    figures.draw_digits(ax, images, columns=3, side=2, top=5)
    canvas = ax.images[0].get_array()
    assert canvas.shape == (5, 8) and ax.images[0].get_clim() == (0, 5)
    corners = [canvas[r, c] for r in (0, 3) for c in (0, 3, 6)]
    assert corners == [1, 2, 3, 4, 5, 0]
    assert canvas[2].max() == 0 and canvas[:, 2].max() == 0
