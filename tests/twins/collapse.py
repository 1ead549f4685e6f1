"""The functions whose values the identities of *Posterior collapse* give."""

from __future__ import annotations

TWINS = {}
