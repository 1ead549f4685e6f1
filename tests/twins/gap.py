"""The functions whose values the identities of *Measuring the gap* give."""

from __future__ import annotations

TWINS = {}
