"""The functions whose values *Variational inference or MCMC?* gives."""

from __future__ import annotations

TWINS = {}
