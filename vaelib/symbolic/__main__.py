"""`python -m vaelib.symbolic`: check and print the ledger; fail if it does not hold."""

from __future__ import annotations

import sys

from vaelib.symbolic.ledger import ledger
from vaelib.symbolic.report import Report


def main() -> int:
    checks = []
    for identity in ledger():
        checks.append(identity.check())
        print(f"{Report(checks[-1:])!r}  ({checks[-1].seconds:.2f} s)", flush=True)
        for name, verdict in checks[-1].variants.items():
            print(f"    {verdict.value}: {name}")
    bad = [c.identity.label for c in checks if not c.accepted]
    variants = sum(len(c.variants) for c in checks)
    print(
        f"{len(checks)} identities, {variants} wrong variants, {len(bad)} not accepted"
    )
    for label in bad:
        print(f"NOT ACCEPTED: {label}")
    return 1 if bad or not checks else 0


if __name__ == "__main__":
    sys.exit(main())
