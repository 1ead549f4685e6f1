"""The functions whose values the identities of *Mean field* give."""

from __future__ import annotations

TWINS = {}
