"""Sphinx extension of the book: links that nobody has to type.

Each numbered equation that the ledger proves gets a small mark that leads to its row
there; each name of the package that a chapter writes as code leads to its entry in the
package reference; and a term of the glossary leads there where a page first uses it.
The index lists the terms and the places that their explanations name, the package, and
the concepts, with the theorems about them, that the header of its own page names.

An entry of the ledger says the number of its equation, where a notebook can only link
to it. And an equation in the text stays on one line with the signs that touch it.
"""

from __future__ import annotations

import html
import re
import unicodedata
from pathlib import Path
from typing import Any

import yaml
from bs4 import BeautifulSoup, NavigableString
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

from vaelib.symbolic import ledger

logger = logging.getLogger(__name__)

CHAPTERS = ("bounds/", "inference/", "gradients/", "autoencoder/")
LEDGER = "back/ledger-*.md"
CHAPTER = re.compile(r'^chapter\("(\w+)", ', re.M)  # a cell of a ledger page
EQUATION = re.compile(r'<a class="headerlink" href="#equation-([\w-]+)"[^>]*>#?</a>')
CODE = re.compile(
    r'(<code class="docutils literal notranslate"><span class="pre">'
    r"([\w.]+)(?:\(\))?</span></code>)"
)
OBJECTS = ("function", "class", "module")  # that a bare name can mean
CITATIONS = '<div class="citation-list">'  # a list may hold nothing but its items
STATED = re.compile(r'(<a [^>]*#equation-([\w-]+)"[^>]*>)where the book states it</a>')
# An equation in the text, and the signs that touch it: a line does not break between.
TOUCHED = re.compile(
    r'([(\[“‘]*)(<span class="math notranslate nohighlight">[^<]*</span>)'
    r"([.,:;!?)\]”’\-–—]*)"
)
LINKED = re.compile(r"<a [^>]*>.*?</a>", re.S)
# Terms that the text also uses in their everyday sense.
EVERYDAY = {"flow", "information", "rate", "temperature", "variational"}
EVERYDAY |= {"signal-to-noise ratio"}  # of a latent, not of a gradient
VARIABLES = {"kl"}  # bare names that are a variable's in the text
GLOSSARY, API, INDEX = "notation", "back/api", "genindex"  # pages


def rows(book: Path) -> dict[str, str]:
    """Of each identity's label, the page of the ledger that holds its row."""
    found = {}
    for page in sorted(book.glob(LEDGER)):
        name = page.relative_to(book).with_suffix("").as_posix()
        for chapter in CHAPTER.findall(page.read_text(encoding="utf-8")):
            found |= {identity.label: name for identity in ledger(chapter)}
    return found


def names(env: BuildEnvironment) -> dict[str, tuple[str, str]]:
    """Page and anchor of each documented name: in full, without the package's own, and
    alone if it means one thing only.
    """
    found = {"vaelib": {(API, "package-reference")}}
    for name, entry in env.domaindata["py"]["objects"].items():
        keys = {name, name.removeprefix("vaelib.")}
        if entry.objtype in OBJECTS:
            keys.add(name.rpartition(".")[2])
        for key in keys - VARIABLES:
            found.setdefault(key, set()).add((entry.docname, entry.node_id))
    return {key: places.pop() for key, places in found.items() if len(places) == 1}


def explain(body: str, terms: dict[str, str]) -> str:
    """Link each term to its explanation where a paragraph of the text first has it.

    Args:
        body: the page's HTML.
        terms: the address of each term, by its name.
    """
    soup = BeautifulSoup(body, "html.parser")
    linked = {a["href"] for a in soup.select("a[href]")}
    waiting = {k.lower(): v for k, v in terms.items() if v not in linked}
    for paragraph in soup.select("section > p"):
        for text in paragraph.find_all(string=True, recursive=False):
            while waiting and isinstance(text, NavigableString):
                either = "|".join(map(re.escape, sorted(waiting, key=len)[::-1]))
                found = re.search(rf"(?<![\w-])({either})(?![\w-])", text, re.I)
                if not found:
                    break
                link = soup.new_tag(
                    "a",
                    href=waiting.pop(found[1].lower()),
                    attrs={"class": "reference internal term"},
                )
                link.string = found[1]
                rest = NavigableString(text[found.end() :])
                before = NavigableString(text[: found.start()])
                text.replace_with(before, link, rest)
                text = rest
    return soup.decode(formatter="minimal")


def keep_together(body: str) -> str:
    """Each equation in the text in one piece with the signs that touch it."""

    def piece(found: re.Match[str]) -> str:
        before, equation, after = found.groups()
        if not before + after:
            return equation
        return f'<span class="together">{before}{equation}{after}</span>'

    return TOUCHED.sub(piece, body)


def add(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any):
    """Put the marks and links into the page's HTML."""
    if tree is None or "body" not in context:
        return

    def url(target: str, anchor: str) -> str:
        return f"{app.builder.get_relative_uri(page, target)}#{anchor}"

    def mark(found: re.Match[str]) -> str:
        label = found[1]
        if label not in app.book_rows:
            return found[0]
        target = url(app.book_rows[label], f"ledger-{label}")
        return (
            f'{found[0]}<a class="ledger-mark" href="{html.escape(target)}" '
            'title="Proved in the ledger" aria-label="Proved in the ledger">✓</a>'
        )

    def link(found: re.Match[str]) -> str:
        name = found[2]
        if name not in known or known[name][0] == page:
            return found[0]
        target = html.escape(url(*known[name]))
        return f'<a class="reference internal" href="{target}">{found[1]}</a>'

    def number(found: re.Match[str]) -> str:
        place, _ = app.env.domaindata["math"]["objects"][found[2]]
        numbers = app.env.toc_fignumbers[place]["displaymath"]
        return f"{found[1]}({numbers[f'equation-{found[2]}'][0]})</a>"

    known = names(app.env)
    body = EQUATION.sub(mark, context["body"])
    body = STATED.sub(number, body)
    body = body.replace('<div role="list" class="citation-list">', CITATIONS)
    pieces, end = [], 0
    for anchor in LINKED.finditer(body):  # a link inside a link is none
        pieces += [CODE.sub(link, body[end : anchor.start()]), anchor[0]]
        end = anchor.end()
    body = "".join([*pieces, CODE.sub(link, body[end:])])
    if page.startswith(CHAPTERS):
        terms = {
            name: url(entry[0], entry[1])
            for (kind, name), entry in app.env.domaindata["std"]["objects"].items()
            if kind == "term" and name not in EVERYDAY
        }
        body = explain(body, terms)
    context["body"] = keep_together(body)


def place(env: BuildEnvironment, kind: str, target: str) -> tuple[str, str] | None:
    """Page and anchor of what a reference, or the index's header, names."""
    if kind == "doc":
        return target.lstrip("/"), ""
    equations = env.domaindata["math"]["objects"]
    if target in equations:
        return equations[target][0], f"equation-{target}"
    if target in env.proof_list:
        return env.proof_list[target]["docname"], target
    return env.domaindata["std"]["anonlabels"].get(target)


def greek(text: str) -> str | None:
    """The first letter of the name of the Greek letter that a text begins with."""
    kind, _, name = unicodedata.name(text[0], "").partition(" SMALL LETTER ")
    return name[0] if kind == "GREEK" else None


def index(app: Sphinx, builder: Builder) -> None:
    """Add to the index what Sphinx does not: it has the terms and the package."""
    env = app.env
    entries = env.domaindata["index"]["entries"]
    if INDEX not in env.found_docs:
        return
    for page, found in entries.items():  # a Greek letter is under its name's first one
        entries[page] = [
            (kind, text, *rest, greek(text) or key) for kind, text, *rest, key in found
        ]

    def add(entry: str, kind: str, target: str) -> None:
        found = place(env, kind, target)
        if found is None:
            logger.warning(f"the index names {target}, which is nowhere")
            return
        page, anchor = found
        if page != GLOSSARY:  # there a term has an entry already
            entry = f"{entry}; {env.titles[page].astext()}"
            row = ("single", entry, anchor, "", greek(entry))
            if row not in entries.setdefault(page, []):  # by a term and by the header
                entries[page].append(row)

    for item in env.get_doctree(GLOSSARY).findall(nodes.definition_list_item):
        for term in item.findall(nodes.term):
            for link in item.findall(pending_xref):
                if link["reftype"] != "term":
                    add(term.astext(), link["reftype"], link["reftarget"])
    source = Path(env.doc2path(INDEX)).read_text(encoding="utf-8")
    for entry, targets in yaml.safe_load(source.split("---")[1])["index"].items():
        if isinstance(targets, str):
            see = ("see", f"{entry}; {targets}", "", "", None)
            entries.setdefault(INDEX, []).append(see)
            continue
        for target in targets:
            add(entry, "ref", target)


def start(app: Sphinx) -> None:
    app.book_rows = rows(Path(app.srcdir))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", start)
    app.connect("write-started", index)
    app.connect("html-page-context", add)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
