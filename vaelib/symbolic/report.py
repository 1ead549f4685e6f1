"""The ledger as a reader sees it: in a chapter, on its page, and in a terminal."""

from __future__ import annotations

import html
from collections.abc import Sequence

from vaelib.symbolic.ledger import Check, ledger
from vaelib.symbolic.proofs import Verdict


class Report:
    """The outcome of a set of checks: a table in a notebook, text elsewhere.

    Times are left out of both, so that the same ledger gives the same text.
    """

    def __init__(self, checks: Sequence[Check]):
        self.checks = list(checks)

    @property
    def accepted(self) -> bool:
        """There is an identity, all are proved and all wrong variants refuted."""
        return bool(self.checks) and all(c.accepted for c in self.checks)

    def __repr__(self) -> str:
        rows = [
            (
                c.identity.label,
                c.verdict.value,
                f"{_refuted(c)} of {len(c.variants)} wrong variants refuted",
                c.identity.method,
            )
            for c in self.checks
        ]
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
        return "\n".join(
            "  ".join([*(row[i].ljust(widths[i]) for i in range(3)), row[3]])
            for row in rows
        )

    def _repr_html_(self) -> str:
        head = "<tr><th>Equation</th><th>Statement</th><th>Checked</th></tr>"
        body = "".join(_row(c) for c in self.checks)
        return (
            '<div class="ledger"><table><thead>'
            f"{head}</thead><tbody>{body}</tbody></table></div>"
        )


def verify(*labels: str, chapter: str | None = None) -> Report:
    """Check these labels, a chapter, or with no argument the whole ledger.

    Raises:
        AssertionError: if an identity is not proved or a wrong variant not refuted; the
            message holds the table.
        KeyError: if a label is not in the ledger.
    """
    entries = {i.label: i for i in ledger(chapter)}
    missing = [label for label in labels if label not in entries]
    if missing:
        raise KeyError(f"labels: the ledger has no {', '.join(missing)}")
    report = Report([entries[label].check() for label in labels or entries])
    if not report.accepted:
        raise AssertionError(f"the ledger does not hold:\n{report!r}")
    return report


def _refuted(c: Check) -> int:
    return sum(v is Verdict.REFUTED for v in c.variants.values())


def _row(c: Check) -> str:
    i = c.identity
    variants = "".join(
        f"<li>{html.escape(name)}: {v.value}</li>" for name, v in c.variants.items()
    )
    facts = [f"<strong>{c.verdict.value}</strong>: {html.escape(i.method)}"]
    if i.scope != "general":
        facts.append(f"instances: {html.escape(i.scope)}")
    facts.append(f"assuming {html.escape(i.assumptions)}")
    if i.computes:
        facts.append(f"computed by <code>vaelib.{html.escape(i.computes)}</code>")
    return (
        f'<tr><td><a href="#{i.label}">{i.label}</a></td>'
        f"<td>\\({html.escape(i.statement)}\\)</td>"
        f"<td>{'<br>'.join(facts)}<ul>{variants}</ul></td></tr>"
    )
