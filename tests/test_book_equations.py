"""Every numbered equation of the book is checked or a definition, and the reverse."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

import chapters as tool
from vaelib import symbolic

LABELLED = re.compile(r"\$\$[ \t]*\(([^)\s]+)\)")  # closing $$ (label)
DIRECTIVE = re.compile(r"^(`{3,}|:{3,})\{math\}.*?^\1[ \t]*$", re.M | re.S)
FENCED = re.compile(r"^(`{3,}|~{3,})[^\n]*\n.*?^\1[ \t]*$", re.M | re.S)


def text_of(page: Path) -> str:
    """A page without code."""
    return FENCED.sub(" ", page.read_text(encoding="utf-8"))


PAGES = {str(p.relative_to(tool.BOOK)): text_of(p) for p in tool.pages()}
LABELS = Counter(label for text in PAGES.values() for label in LABELLED.findall(text))


DISPLAYED = {
    label: tex
    for text in PAGES.values()
    for tex, label in re.findall(r"\$\$((?:(?!\$\$).)*)\$\$[ \t]*\((\S+)\)", text, re.S)
}


def plain(tex: str) -> str:
    """TeX without what changes only its layout: spaces, line breaks, a full stop."""
    tex = re.sub(r"\\(begin|end)\{(aligned|gathered|split)\}", "", tex)
    tex = re.sub(r"\\(?:quad|qquad)\b", "", tex)
    tex = re.sub(r"\\\\(\[\w+\])?|&|\s|~", "", tex)
    tex = re.sub(r"\\[,;!:]", "", tex)
    return tex.strip(".,;")


def declared() -> list[str]:
    return [i.label for i in symbolic.ledger()] + list(symbolic.definitions())


def test_declared_once() -> None:
    """A label is in the ledger or a definition, and only once."""
    assert [k for k, n in Counter(declared()).items() if n > 1] == []


def test_every_numbered_equation_is_declared() -> None:
    assert sorted(set(LABELS) - set(declared())) == []


@pytest.mark.parametrize("label", declared())
def test_every_declared_equation_is_in_the_book(label: str) -> None:
    assert LABELS[label] == 1


@pytest.mark.parametrize("identity", list(symbolic.ledger()), ids=lambda i: i.label)
def test_the_ledger_states_what_the_book_shows(identity: symbolic.Identity) -> None:
    assert plain(identity.statement) == plain(DISPLAYED[identity.label])


def named_in_docstrings() -> set[str]:
    lines = (
        line
        for path in sorted((tool.ROOT / "vaelib").rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith(("Equation:", "Equations:"))
    )
    return {label for line in lines for label in re.findall(r"eq-[\w-]+", line)}


@pytest.mark.parametrize("label", sorted(named_in_docstrings()))
def test_docstrings_name_equations_of_the_book(label: str) -> None:
    assert label in LABELS


@pytest.mark.parametrize("name, text", PAGES.items(), ids=PAGES)
def test_no_other_way_to_number_an_equation(name: str, text: str) -> None:
    """Equations are numbered by `$$ ... $$ (eq-label)` alone: these tests read it."""
    assert not DIRECTIVE.search(text)
    assert "\\label{" not in text and "\\tag{" not in text
    outside = re.sub(r"\$\$.*?\$\$", "", text, flags=re.S)
    assert "\\begin{" not in outside, "an environment outside of $$"
    assert not re.search(r"\{math:numref\}|\{numref\}`eq", text)


@pytest.mark.parametrize("name, text", PAGES.items(), ids=PAGES)
def test_references_to_equations(name: str, text: str) -> None:
    """`{eq}` refers to an equation that the book has."""
    for label in re.findall(r"\{eq\}`(?:[^`<]*<)?([^`>]+)>?`", text):
        assert label in LABELS, f"{name} refers to {label}"


def test_labels_are_equation_labels() -> None:
    assert [label for label in LABELS if not label.startswith("eq-")] == []
