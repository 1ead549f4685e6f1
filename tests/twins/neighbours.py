"""The functions whose values the identities of *The neighbours* give."""

from __future__ import annotations

TWINS = {}
