"""The identities of the chapter *Variational inference or MCMC?*."""

from __future__ import annotations

from vaelib.symbolic.ledger import Identity

DEFINITIONS: dict[str, str] = {}

IDENTITIES: list[Identity] = []
