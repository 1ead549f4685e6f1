"""The book's drawing style: one meaning for each colour, legible in light and dark."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

# Okabe and Ito's palette, which the colour-blind can tell apart. One meaning each.
EVIDENCE = "#000000"  # log p(x) and other exact answers
BOUND = "#0072B2"  # the ELBO, and models trained with it
BAD = "#D55E00"  # the bad bound, and models trained with it
RESIDUAL = "#E69F00"  # the gap between the two
POSTERIOR = "#009E73"  # the exact posterior p(z|x)
GUIDE = "#CC79A7"  # the guide q(z|x)
PRIOR = "#777777"  # the prior p(z) and other baselines
SECOND = "#56B4E9"  # a second line where no meaning above fits

# The same, darker: for words, which need a contrast of 4.5 to white.
BAD_INK = "#B34F00"
RESIDUAL_INK = "#946400"
POSTERIOR_INK = "#007A59"
GUIDE_INK = "#A34D7E"
PRIOR_INK = "#6B6B6B"
SECOND_INK = "#21759F"


def use_style() -> None:
    """Set matplotlib's defaults for the book, on white: the dark site frames it.

    In a notebook a figure gets twice the pixels and keeps its size, so that it is sharp
    on fine screens and in print.
    """
    mpl.rcParams.update(
        {
            "figure.figsize": (7.0, 3.2),
            "figure.dpi": 110,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "savefig.bbox": "tight",
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 10,
            "axes.labelsize": 10,
            "legend.frameon": False,
            "legend.fontsize": 9,
            "lines.linewidth": 1.8,
            "image.cmap": "gray_r",
        }
    )
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if hasattr(shell, "kernel"):
        shell.run_line_magic("config", "InlineBackend.figure_formats = ['retina']")


def draw_bound(
    ax: Axes,
    theta: np.ndarray,
    evidence: np.ndarray,
    bound: np.ndarray,
    *,
    colour: str = BOUND,
    legend: bool = True,
) -> tuple[float, float]:
    """Draw a function, a lower bound of it, the residual between, and both maxima.

    Args:
        ax: where to draw.
        theta, evidence, bound: equally long one-dimensional arrays, bound ≤ evidence.
        colour: of the bound.
        legend: whether to name the two curves in a legend.

    Returns:
        The two maximisers on the grid, of the function and of the bound.
    """
    if not np.all(bound <= evidence + 1e-12):
        raise ValueError("bound: expected values at or below evidence everywhere")
    ax.fill_between(theta, bound, evidence, color=RESIDUAL, alpha=0.35, lw=0)
    ax.plot(theta, evidence, color=EVIDENCE, label="log-evidence")
    ax.plot(theta, bound, color=colour, ls="--", label="lower bound")
    tops = []
    for values, line, marker in ((evidence, EVIDENCE, "o"), (bound, colour, "s")):
        top = int(np.argmax(values))
        ax.plot(theta[top], values[top], marker, color=line, ms=6, zorder=3)
        ax.axvline(theta[top], color=line, lw=0.8, ls=":", zorder=0)
        tops.append(float(theta[top]))
    ax.set(xlabel=r"$\theta$", yticks=[])
    if legend:
        ax.legend(loc="lower center", frameon=True, framealpha=1, edgecolor="white")
    return tops[0], tops[1]


def draw_digits(
    ax: Axes, images: Sequence | np.ndarray, *, columns: int, side: int = 8, top: float
) -> None:
    """Draw images `(n, side²)` with values 0 to `top` as one grid, dark on light."""
    images = np.asarray(images, dtype=float).reshape(-1, side, side)
    rows = -(-len(images) // columns)
    pad = 1
    canvas = np.zeros((rows * (side + pad) - pad, columns * (side + pad) - pad))
    for i, image in enumerate(images):
        r, c = divmod(i, columns)
        r, c = r * (side + pad), c * (side + pad)
        canvas[r : r + side, c : c + side] = image
    ax.imshow(canvas, vmin=0, vmax=top, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
