"""The ledger: the book's equations proved by algebra, their wrong variants refuted.

Needs sympy only. `python -m vaelib.symbolic` checks everything and prints a table.
"""

from vaelib.symbolic.ledger import Check, Identity, check, definitions, ledger
from vaelib.symbolic.proofs import Verdict
from vaelib.symbolic.report import Report, verify

__all__ = [
    "Check",
    "Identity",
    "Report",
    "Verdict",
    "check",
    "definitions",
    "ledger",
    "verify",
]
