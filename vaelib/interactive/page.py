"""An interactive figure as HTML: style, script, formulas and data in one piece."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources

import sympy as sp

from vaelib import figures
from vaelib.symbolic import ledger

COLOURS = {
    name: getattr(figures, name)
    for name in ("EVIDENCE BOUND BAD RESIDUAL POSTERIOR GUIDE PRIOR SECOND".split())
}


@dataclass(frozen=True)
class Interactive:
    """A figure drawn and driven by the page that shows it.

    Args:
        name: of the script in this package, and of the element in the page.
        caption: what the reader can do, in words.
        formulas: JavaScript functions by name, as `javascript` prints them.
        data: numbers, lists and dictionaries of these.
    """

    name: str
    caption: str
    formulas: dict[str, str] = field(default_factory=dict)
    data: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<interactive figure {self.name}: {self.caption}>"

    def _repr_html_(self) -> str:
        functions = ",\n".join(f"{k}: {v}" for k, v in self.formulas.items())
        script = "\n".join(
            [
                "(() => {",
                _file("core.js"),
                _file(f"{self.name}.js"),
                f"const formulas = {{{functions}}};",
                f"const data = {json.dumps(self.data)};",
                f"const colours = {json.dumps(COLOURS)};",
                f'const root = document.getElementById("interactive-{self.name}");',
                "widget(root, formulas, data, colours);",
                "})();",
            ]
        )
        caption = html.escape(self.caption)
        return (
            f"<style>{_file('style.css')}</style>"
            f'<div class="interactive" id="interactive-{self.name}" role="group" '
            f'aria-label="{caption}"></div><p class="interactive-caption">'
            f"<em>{caption}</em></p><script>\n{script}\n</script>"
        )


def javascript(
    expression: sp.Expr | str, arguments: Sequence[str], *, case: int = 0
) -> str:
    """A JavaScript function of these arguments.

    Args:
        expression: a formula, or the label of a ledger entry, of which the right-hand
            side is taken.
        arguments: the names of its symbols, in the order in which it will be called.
        case: which of the entry's cases.

    Raises:
        ValueError: if the ledger has no such label, or the formula has other symbols.

    Example:
        >>> print(javascript("eq-information-linear-gaussian", ["a", "s"]))
        (a, s) => (1/2)*Math.log(Math.pow(a, 2)/Math.pow(s, 2) + 1)
    """
    if isinstance(expression, str):
        entries = {i.label: i for i in ledger()}
        if expression not in entries:
            raise ValueError(f"expression: the ledger has no {expression!r}")
        expression = entries[expression].claim().cases[case][1]
    expression = sp.sympify(expression)
    unknown = {s.name for s in expression.free_symbols} - set(arguments)
    if unknown:
        raise ValueError(f"arguments: expected also {', '.join(sorted(unknown))}")
    return f"({', '.join(arguments)}) => {sp.jscode(expression)}"


def _file(name: str) -> str:
    return (resources.files("vaelib.interactive") / name).read_text("utf-8").strip()
