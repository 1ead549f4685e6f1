"""Figures that answer to the reader in the page itself, with no kernel and no network.

Each is a few lines of JavaScript of our own, put into the page with its data; the
functions it evaluates are printed from the ledger's entries, so that page, algebra and
code cannot drift apart. Sliders and buttons are the browser's own and answer to the
keyboard.
"""

from vaelib.interactive.page import Interactive, javascript
from vaelib.interactive.parts import (
    correlation,
    elbo,
    gradients,
    latent,
    residual,
)

__all__ = [
    "Interactive",
    "correlation",
    "elbo",
    "gradients",
    "javascript",
    "latent",
    "residual",
]
