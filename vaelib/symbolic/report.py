"""The ledger as a reader sees it: in a chapter, on its page, and in a terminal."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from vaelib.symbolic.ledger import Check, ledger
from vaelib.symbolic.proofs import Verdict


class Report:
    """The outcome of a set of checks: a table in a notebook, text elsewhere.

    Times are left out of both, so that the same ledger gives the same text.
    """

    def __init__(
        self, checks: Sequence[Check], *, unfold: bool = False, page: str = ""
    ):
        self.checks = list(checks)
        self._unfold, self._page = unfold, page

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

    def unfolded(self, page: str = "") -> Report:
        """The same report with its entries open, and equations linked to a page."""
        return Report(self.checks, unfold=True, page=page)

    def _repr_html_(self) -> str:
        entries = "".join(_entry(c, self._unfold, self._page) for c in self.checks)
        return f'<div class="ledger">{entries}</div>'


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


def _words(text: str) -> str:
    """Words with x_1 and y^k in them, as HTML."""
    text = re.sub(r"(?<=\S)_(\w+)", r"<sub>\1</sub>", html.escape(text))
    return re.sub(r"\^(?:(\w+)|\((.*?)\))", r"<sup>\1\2</sup>", text)


def _entry(c: Check, unfold: bool, page: str) -> str:
    i = c.identity
    facts = [("Assuming", i.assumptions), ("Method", i.method)]
    if i.scope != "general":
        facts.append(("Checked for", i.scope))
    facts += [(v.value.capitalize(), name) for name, v in c.variants.items()]
    rows = [f"<dt>{name}</dt><dd>{_words(fact)}</dd>" for name, fact in facts]
    place = f'<a href="{page}#equation-{i.label}">where the book states it</a>'
    rows.insert(0, f"<dt>Equation</dt><dd>{place}</dd>")
    if i.computes:
        name = re.sub("([._])", r"\1<wbr>", html.escape(f"vaelib.{i.computes}"))
        rows.append(f"<dt>Computed by</dt><dd><code>{name}</code></dd>")
    row = f' id="ledger-{i.label}" open' if unfold else ""
    return (
        f"<details{row}><summary>"
        f"<code>{i.label}</code> "
        f"<strong>{c.verdict.value}</strong>, "
        f"{_refuted(c)} of {len(c.variants)} wrong variants refuted</summary>"
        f"<div>\\[{html.escape(i.statement)}\\]</div><dl>{''.join(rows)}</dl></details>"
    )
