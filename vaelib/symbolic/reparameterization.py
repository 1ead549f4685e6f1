"""The identities of the chapter *The reparameterization trick*."""

from __future__ import annotations

from vaelib.symbolic.ledger import Identity

DEFINITIONS: dict[str, str] = {}

IDENTITIES: list[Identity] = []
