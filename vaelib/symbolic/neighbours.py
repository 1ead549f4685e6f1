"""The identities of the chapter *The neighbours*."""

from __future__ import annotations

from vaelib.symbolic.ledger import Identity

DEFINITIONS: dict[str, str] = {}

IDENTITIES: list[Identity] = []
