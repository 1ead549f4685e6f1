"""The identities of the chapter *Posterior collapse*."""

from __future__ import annotations

from vaelib.symbolic.ledger import Identity

DEFINITIONS: dict[str, str] = {}

IDENTITIES: list[Identity] = []
