"""The identities of the chapter *Living in the latent space*."""

from __future__ import annotations

from vaelib.symbolic.ledger import Identity

DEFINITIONS: dict[str, str] = {}

IDENTITIES: list[Identity] = []
