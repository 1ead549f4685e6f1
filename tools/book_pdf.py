"""The whole book as one PDF, printed from the built site by a headless Chromium.

    tools/book_pdf.py [FILE]      needs `make book` first; writes _build/pdf/book.pdf

The pages' articles are put into one document, so that links between pages become links
inside the PDF. What answers to a reader on the site is printed as it first appears,
without its controls; solutions are unfolded; code that the site folds away is left out.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag

import yaml
from bs4 import BeautifulSoup, Tag
from pypdf import PdfReader

import chapters
from book_build import DIGEST, ROOT, digest
from browser import open_browser

SITE = ROOT / "_build" / "html"
INDEX = "genindex--"  # its places are named nowhere
FIXED = "interactive-"  # identifiers that a script looks for
STYLE = """
@page { size: A4; margin: 20mm 18mm 22mm; }
html { font-size: 10.5pt; }
body { display: block; min-height: 0; background: #fff; color: #111; }
article { break-before: page; line-height: 1.45; padding: 0 1px; }
.cover { text-align: center; padding-top: 60mm; }
.part { break-before: page; text-align: center; padding-top: 90mm; }
h1 { font-size: 22pt; }
h2 { font-size: 16pt; margin: 1.4rem 0 .5rem; }
h3, h4 { font-size: 13pt; margin: 1.1rem 0 .4rem; }

/* What only the site can do. */
.headerlink, .copybtn, .toggle-button, .cell details.hide, .ledger-mark,
.viewcode-link, .site-only, article[id^="back-ledger-"] .cell_input { display: none; }
.interactive :is(button, input, label:not(:has(:checked))) { display: none; }
details.hide[open] { display: block; }
summary { list-style: none; }

/* What stays on one page, and what may go over to the next. */
figure, img, .interactive, .proof, .ledger > div, tr, h1, h2, h3, h4, dt, p.caption,
mjx-container[display="true"], div.math { break-inside: avoid; }
h1, h2, h3, h4, dt, p.rubric, .admonition-title, .interactive, .cell_input,
.exercise.admonition { break-after: avoid; }
.interactive-caption, .cell_output { break-before: avoid; }
/* The last row of an entry would hold on to the next entry, and so all together. */
.ledger dt, article[id^="back-ledger-"] .cell_output {
  break-before: auto; break-after: auto; }
.solution.admonition, div.highlight, div[class*="highlight-"], .indextable tr {
  display: block; break-inside: auto; overflow: visible; }
p, li, dd { orphans: 2; widows: 2; }
pre { orphans: 4; widows: 4; }

.bd-article pre {
  white-space: pre-wrap; overflow: visible; font-size: 7.6pt; line-height: 1.3; }
img { max-width: 100%; }
/* For Chromium's outline: it would hold a heading at the top of a page twice, and one
   of two lines without the space between them. */
h1, h2, h3, h4 { padding-top: 1px; white-space: pre-wrap; }
a, article td a { color: #0b4f8a; text-decoration: none; }
.admonition, div.proof {
  border: .5pt solid #bbb; border-left-width: 2pt; box-shadow: none !important; }
.bd-article table.table { display: table; width: 100%; border: 0; }
.bd-article table.table:has(th:nth-child(6)) { font-size: 8pt; line-height: 1.3; }
nav { break-before: page; }
nav ol { list-style: none; margin: 0; }
nav li { margin: .2rem 0; }
nav li:has(.page) { display: flex; gap: .5em; }
nav .leader { flex: 1; border-bottom: 1px dotted #777; margin-bottom: .3em; }
mjx-container > svg { max-width: 100%; height: auto; }
td mjx-container > svg { max-width: none; }
mjx-container[display="true"] { overflow: visible; }
.ledger mjx-container[display="true"] { padding-block: 3pt; }
.ledger > div { border-bottom: .5pt solid #bbb; padding: .35rem 0; }
div.math:has(> .eqno) { flex-wrap: nowrap; }
dl.field-list { display: block !important; }
dl.py { margin-bottom: .6rem !important; }
.citation .label { display: none; }
table.indextable td { width: 50%; }
.indextable a[data-page]::after { content: " " attr(data-page); }
.genindex-jumpbox { display: none; }
"""


def articles(site: Path) -> dict[str, tuple[Tag, BeautifulSoup]]:
    """The text of each page, by its name, in reading order."""
    found = {}
    for file in chapters.toc_files():
        name = file.removesuffix(".ipynb")
        page = BeautifulSoup((site / f"{name}.html").read_text("utf-8"), "html.parser")
        found[name] = (page.select_one("article.bd-article"), page)
    return found


def anchor(page: str, identifier: str = "") -> str:
    """The name, in the one document, of a place on a page."""
    if identifier.startswith(FIXED):
        return identifier
    return "--".join(filter(None, [page.replace("/", "-"), identifier]))


def rewrite(article: Tag, page: str, site: Path, pages: set[str]) -> None:
    """Give identifiers their page's name, and links and pictures their new targets."""
    folder = (site / page).parent
    for element in article.find_all(id=True):
        element["id"] = anchor(page, element["id"])
    for element in article.find_all(href=True):
        target, fragment = urldefrag(element["href"])
        if "://" in target or target.startswith("mailto:"):
            continue
        name = page
        if target:
            path = Path(os.path.normpath(folder / unquote(target)))
            name = path.relative_to(site).with_suffix("").as_posix()
        if name in pages:
            element["href"] = f"#{anchor(name, fragment)}"
        else:  # the site's own index, sources of modules
            del element["href"]
    for entry in article.select(".ledger details[open]"):  # which may be split anywhere
        entry.name, entry.summary.name = "div", "p"
    for element in article.find_all(src=True):
        element["src"] = (folder / unquote(element["src"])).resolve().as_uri()


def assemble(site: Path) -> str:
    """One HTML document of the whole book."""
    found = articles(site)
    first = next(iter(found.values()))[1]
    toc = chapters.table_of_contents()
    body = BeautifulSoup("", "html.parser")
    contents = body.new_tag("nav")
    contents.append(heading := body.new_tag("h1"))
    heading.string = "Contents"
    contents.append(listed := body.new_tag("ol"))
    for caption, names in toc:
        if caption:
            part = body.new_tag("section", attrs={"class": "part"})
            part.append(title := body.new_tag("h1"))
            title.string = caption
            body.append(part)
            listed.append(entry := body.new_tag("li"))
            entry.append(strong := body.new_tag("strong"))
            strong.string = caption
        for name in (file.removesuffix(".ipynb") for file in names):
            article, _ = found[name]
            rewrite(article, name, site, set(found))
            article["id"] = anchor(name)
            body.append(article)
            listed.append(entry := body.new_tag("li"))
            link = body.new_tag("a", href=f"#{anchor(name)}")
            link.string = article.h1.find(string=True)
            entry.append(link)
            entry.append(body.new_tag("span", attrs={"class": "leader"}))
            entry.append(body.new_tag("span", attrs={"class": "page"}))
    sheets = (e["href"].split("?")[0] for e in first.select('link[rel="stylesheet"]'))
    styles = [f'<link rel="stylesheet" href="{(site / s).as_uri()}">' for s in sheets]
    scripts = [str(s) for s in first.select("script") if "MathJax" in (s.string or "")]
    mathjax = first.select_one('script[src*="mathjax"]')["src"].split("?")[0]
    title = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["title"]
    return "\n".join(
        [
            "<!doctype html><html data-theme='light'><head><meta charset='utf-8'>",
            f"<title>{title}</title>",
            *styles,
            f"<style>{STYLE}</style>",
            *scripts,
            f'<script defer src="{(site / mathjax).as_uri()}"></script>',
            "</head><body>",
            f"<div class='cover'><h1>{title}</h1></div>",
            str(contents),
            str(body),
            "</body></html>",
        ]
    )


def pages_of_places(file: Path) -> dict[str, int]:
    """The page, counted from one, of each place in the PDF that a link leads to."""
    reader = PdfReader(file)
    number = reader.get_destination_page_number
    places = reader.named_destinations.items()
    return {name.removeprefix("/"): number(place) + 1 for name, place in places}


# A still does not ask to be moved.
STILL = """() => {
    for (const text of document.querySelectorAll('.interactive svg text'))
        text.textContent = text.textContent.replace(/:[^:]*\\bdrag\\b.*$/, '');
}"""

# Contents and index are filled in once the first printing has told where everything is.
NUMBER = """(pages) => {
    const page = (link) => pages[decodeURIComponent(link.hash.slice(1))] ?? '000';
    for (const entry of document.querySelectorAll('.indextable li')) {
        const links = [...entry.querySelectorAll(':scope > a[href^="#"]')];
        links.slice(1).forEach((link) => (link.textContent = ''));
        const found = new Map(links.map((link) => [page(link), link.hash]));
        const sorted = [...found.keys()].sort((a, b) => a - b);
        links.forEach((link, i) => {
            if (found.has('000')) {
                link.dataset.page = '000';
            } else if (i < sorted.length) {
                link.dataset.page = sorted[i];
                link.hash = found.get(sorted[i]);
            } else {
                link.previousSibling.remove();  // the comma
                link.remove();
            }
        });
    }
    for (const entry of document.querySelectorAll('nav li:has(.page)'))
        entry.querySelector('.page').textContent =
            pages[entry.querySelector('a').getAttribute('href').slice(1)];
}"""


def write(file: Path, site: Path = SITE) -> list[str]:
    """Print the book to `file`; returns what the browser complained about."""
    file.parent.mkdir(parents=True, exist_ok=True)
    document = file.with_suffix(".html")
    document.write_text(assemble(site), encoding="utf-8")
    complaints: list[str] = []
    with open_browser() as browser:
        page = browser.new_page()
        page.set_default_timeout(600_000)
        page.on("console", lambda m: complaints.append(m.text))
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.goto(document.as_uri())
        page.wait_for_load_state("load")
        page.evaluate("window.MathJax?.startup?.promise")
        page.evaluate(STILL)
        unfinished = file.with_suffix(".tmp")
        places: dict[str, int] = {}
        for final in (False, True):
            page.evaluate(NUMBER, places)
            page.pdf(
                path=unfinished,
                prefer_css_page_size=True,
                display_header_footer=True,
                header_template="<span></span>",
                footer_template=(
                    "<div style='font-size:8pt;width:100%;text-align:center'>"
                    "<span class='pageNumber'></span></div>"
                ),
                outline=final,
                tagged=final,
            )
            before, places = places, pages_of_places(unfinished)
    told = {name for name in places if not name.startswith(INDEX)}
    if any(places[name] != before[name] for name in told):
        complaints.append("the pages moved when the contents got their numbers")
    os.replace(unfinished, file)
    return complaints


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--site", type=Path, default=SITE)
    args = parser.parse_args()
    stamp = args.site / DIGEST
    if not stamp.exists() or stamp.read_text() != digest():
        print("the site is missing or older than its sources: run `make book`")
        return 1
    complaints = write(args.file or ROOT / "_build" / "pdf" / "book.pdf", args.site)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
