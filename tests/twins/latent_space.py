"""The functions whose values the identities of *Living in the latent space* give."""

from __future__ import annotations

TWINS = {}
