"""The built site, page by page, in a browser without a network.

Uses the site in _build/html; it is built as `make book` does if its sources changed.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import axe_playwright_python
import nbformat
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, BrowserContext, Page

import book_build
import book_links
import browser
import chapters as tool
from vaelib.symbolic import ledger

SOURCES = [str(p.relative_to(tool.BOOK).with_suffix(".html")) for p in tool.pages()]
MADE = ["search.html"]  # by Sphinx
DESKTOP, PHONE = browser.WIDTHS

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text("utf-8")

each_page = pytest.mark.parametrize("name", SOURCES + MADE)

SEARCHES = {
    "lautum": "bounds/bad-bound",
    "surgery": "bounds/decomposition",
    "jensen": "bounds/jensen",
    "entropy": "bounds/information",
    "eubo": "bounds/tighter-bounds",
    "wishart": "inference/mean-field",
    "metropolis": "inference/vi-or-mcmc",
    "streetlight": "gradients/reparameterization",
    "gumbel": "gradients/discrete",
    "amortization": "autoencoder/vae",
    "interpolation": "autoencoder/latent-space",
    "annealed": "autoencoder/gap",
    "collapse": "autoencoder/collapse",
    "contrastive": "autoencoder/neighbours",
}


class Visit(NamedTuple):
    """What was seen of a page in one theme."""

    requests: list[str]  # to anything but the site's own files
    errors: list[str]  # in the console
    theme: str
    equations: int
    bare: list[str]  # equations that were not typeset
    mute: list[str]  # equations without MathML for those who listen
    broken: list[str]  # equations with an error
    pictures: list[dict]
    astray: dict[int, list[str]]  # what sticks out or wraps, by the window's width
    links: list[str]
    barriers: list[str]  # serious ones, to readers who do not see or use a mouse


Look = Callable[[str], list[Visit]]

LOOK = """() => {
    const all = (selector) => [...document.querySelectorAll(selector)];
    const math = all('.math');
    return {
        theme: document.documentElement.dataset.theme,
        equations: math.length,
        bare: [...math.filter((e) => !e.querySelector('mjx-container')),
            ...all('.text_html').filter((e) => /\\\\[(\\[]/.test(e.innerText))]
            .map((e) => e.textContent),
        mute: all('mjx-container').filter((e) => !e.querySelector('svg')
            || !e.querySelector('mjx-assistive-mml math')).map((e) => e.textContent),
        broken: all('mjx-merror, mjx-container [data-mml-node="merror"]')
            .map((e) => e.closest('.math, p').textContent),
        pictures: all('article img').map((e) => ({
            source: e.getAttribute('src'), alt: e.alt, width: e.naturalWidth,
            shown: e.getBoundingClientRect().width,
        })),
        links: all('a[href]').map((e) => e.href),
    };
}"""

# The time that axe takes grows fast with the number of elements. Equations carry their
# own speech; boxes of their size stand in for them here. Of code, one word of each look
# is enough: what is checked there is the contrast.
THIN = """() => {
    const all = (selector) => [...document.querySelectorAll(selector)];
    window.replaced = all('mjx-container').map((e) => {
        const {width, height} = e.getBoundingClientRect();
        const box = document.createElement('span');
        box.role = 'img';
        box.ariaLabel = 'equation';
        box.style = `display: inline-block; width: ${width}px; height: ${height}px`;
        return [e, box];
    });
    replaced.forEach(([e, box], i) => {
        replaced[i][1] = [...e.childNodes];
        e.replaceChildren(box);
    });
    const seen = new Set();
    const words = all('pre span, code span, .sig span').map((e) => {
        const own = getComputedStyle(e);
        const plate = getComputedStyle(e.closest('pre, code, .sig')).backgroundColor;
        const inside = ['a', 'article .admonition, article .proof, article .solution']
            .map((box) => e.closest(box)?.className);
        const look = [own.color, own.backgroundColor, own.font, plate, ...inside];
        return [e, look.join()];
    });
    for (const [e, look] of words) {
        if (seen.has(look) && !e.id) e.replaceWith(...e.childNodes);
        seen.add(look);
    }
}"""
RESTORE = "() => replaced.forEach(([e, children]) => e.replaceChildren(...children))"

BARRIERS = """() => axe.run(
    {exclude: ['mjx-container']}, {resultTypes: ['violations'], preload: false},
).then((found) => found.violations
    .filter((v) => ['serious', 'critical'].includes(v.impact))
    .flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html.slice(0, 200)}`)))"""

# Elements of the text that end right of the window, unless a box around them scrolls,
# and the document itself if it is wider than the window.
TOO_WIDE = """() => {
    const limit = document.documentElement.clientWidth + 1;
    const scrolls = (e) => {
        for (let box = e.parentElement; box; box = box.parentElement) {
            if (box.matches('article')) return false;
            if (/auto|scroll/.test(getComputedStyle(box).overflowX)) return true;
        }
        return false;
    };
    const out = [...document.querySelectorAll('article *')].filter((e) => {
        const box = e.getBoundingClientRect();
        return box.width && box.right > limit && !scrolls(e) && e.checkVisibility()
            && !e.closest('mjx-assistive-mml');
    }).map((e) => `${e.tagName}.${e.className}: ${e.textContent.slice(0, 60)}`);
    const whole = document.documentElement.scrollWidth;
    return whole > limit ? [`the page is ${whole} wide`, ...out] : out;
}"""

# Signs that begin a line because the equation that they follow ends the one before.
ALONE = """() => [...document.querySelectorAll('article span.math')].filter((e) => {
    const text = e.nextSibling;
    if (text?.nodeType !== 3 || !/^[.,;:!?)]/.test(text.data)) return false;
    const sign = document.createRange();
    sign.setStart(text, 0);
    sign.setEnd(text, 1);
    const right = e.getBoundingClientRect().right;
    return e.checkVisibility() && sign.getBoundingClientRect().right < right;
}).map((e) => `begins a line: ${e.nextSibling.data.slice(0, 30)}`)"""


@pytest.fixture(scope="session")
def chromium(site: Path) -> Iterator[Browser]:
    if browser.find_browser() is None and not os.environ.get("CI"):
        pytest.skip(
            "no Chromium to look at the site with: install it (Debian: apt-get install "
            "chromium) or name it in the environment variable CHROMIUM"
        )
    with browser.open_browser() as found:
        yield found


@pytest.fixture(scope="session")
def tab(chromium: Browser) -> Iterator[Page]:
    with_desktop = context(chromium, "light", DESKTOP)
    yield with_desktop.new_page()
    with_desktop.close()


def context(chromium: Browser, theme: str, width: int) -> BrowserContext:
    size = {"width": width, "height": browser.WIDTHS[width]}
    return chromium.new_context(viewport=size, color_scheme=theme, offline=True)


@pytest.fixture(scope="session")
def visits(site: Path, chromium: Browser) -> Look:
    """Every page is opened twice: light at the desk, dark on the phone."""
    seen: dict[str, list[Visit]] = {}

    def look(name: str) -> list[Visit]:
        if name not in seen:
            views = zip(browser.THEMES, (DESKTOP, PHONE), strict=True)
            seen[name] = [visit(chromium, site / name, *view) for view in views]
        return seen[name]

    return look


def visit(chromium: Browser, path: Path, theme: str, width: int) -> Visit:
    requests, errors = [], []
    opened = context(chromium, theme, width)
    page = opened.new_page()
    page.on("request", lambda r: requests.append(r.url))
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.goto(path.as_uri())
    browser.ready(page)
    facts = page.evaluate(LOOK)
    astray = {width: page.evaluate(TOO_WIDE) + page.evaluate(ALONE)}
    page.evaluate(THIN)
    page.evaluate(AXE)
    facts["barriers"] = page.evaluate(BARRIERS)
    page.evaluate(RESTORE)
    other = DESKTOP + PHONE - width
    page.set_viewport_size({"width": other, "height": browser.WIDTHS[other]})
    astray[other] = page.evaluate(TOO_WIDE) + page.evaluate(ALONE)
    opened.close()
    outside = [r for r in requests if not re.match("(file|data|blob):", r)]
    return Visit(requests=outside, errors=errors, astray=astray, **facts)


def test_every_page_was_built(site: Path) -> None:
    html = {str(p.relative_to(site)) for p in site.rglob("*.html")}
    assert {name for name in html if not name.startswith("_static")} >= set(SOURCES)
    others = {n for n in html - set(SOURCES + MADE)}
    assert not {n for n in others if not n.startswith(("_static", "_modules"))}


@each_page
def test_offline_and_without_errors(visits: Look, name: str) -> None:
    for seen in visits(name):
        assert seen.requests == []
        assert seen.errors == []


@each_page
def test_themes(visits: Look, name: str) -> None:
    assert [seen.theme for seen in visits(name)] == list(browser.THEMES)


@each_page
def test_equations(visits: Look, name: str) -> None:
    for seen in visits(name):
        assert seen.bare == []
        assert seen.mute == []
        assert seen.broken == []


def test_there_are_equations(visits: Look) -> None:
    assert all(sum(v[i].equations for v in map(visits, SOURCES)) > 0 for i in (0, 1))


@each_page
def test_nothing_is_too_wide_or_wraps_alone(visits: Look, name: str) -> None:
    for seen in visits(name):
        assert seen.astray == {DESKTOP: [], PHONE: []}


@each_page
def test_no_barriers(visits: Look, name: str) -> None:
    """axe-core finds nothing serious, in light and in dark."""
    for seen in visits(name):
        assert seen.barriers == []


def test_interactive_figures_answer(site: Path, tab: Page) -> None:
    """In its page, each of them follows a key; tests/test_interactive.py reads more."""
    found = []
    for name in SOURCES:
        path = site / name
        if 'class="interactive"' not in path.read_text(encoding="utf-8"):
            continue
        tab.goto(path.as_uri())
        browser.ready(tab)
        figure = tab.locator(".interactive")
        shown = figure.locator("dl").inner_text()
        sliders = figure.locator("input[type=range]").all()
        (sliders or figure.locator("circle[tabindex]").all()[::-1])[0].focus()
        for _ in range(3):
            tab.keyboard.press("ArrowUp")
        assert figure.locator("dl").inner_text() != shown, name
        found.append(figure.get_attribute("id"))
    parts = ["correlation", "elbo", "gradients", "latent", "residual"]
    assert sorted(found) == [f"interactive-{part}" for part in parts]


@each_page
def test_pictures(visits: Look, name: str) -> None:
    for seen in visits(name):
        for picture in seen.pictures:
            assert len(picture["alt"].split()) >= 5, picture
            assert picture["width"] > 0, picture
            assert picture["shown"] >= 200, picture


def test_each_proved_equation_leads_to_its_proof(site: Path) -> None:
    """Every identity has one mark, on its page; where it leads, `test_links` checks."""
    text = "".join((site / name).read_text(encoding="utf-8") for name in SOURCES)
    marks = re.findall(r'class="ledger-mark" href="[^"]*#ledger-([\w-]+)"', text)
    assert sorted(marks) == sorted(i.label for i in ledger())


def test_the_ledger_says_the_numbers_of_its_equations(site: Path) -> None:
    pages = {name: parsed(site, name) for name in SOURCES}
    seen = set()
    for name in SOURCES:
        for link in pages[name].select(".ledger dl a[href*='#equation-']"):
            target, label = link["href"].split("#")
            place = os.path.normpath(os.path.join(os.path.dirname(name), target))
            number = pages[place if target else name].find(id=label).select_one(".eqno")
            assert number.find(string=True) == link.string, (name, label)
            seen.add(label.removeprefix("equation-"))
    assert seen == {identity.label for identity in ledger()}


def test_mathjax_is_the_one_that_was_released(site: Path) -> None:
    folder = site / "_static" / "mathjax"
    found = hashlib.sha256((folder / "tex-svg.js").read_bytes()).hexdigest()
    readme = (book_build.ROOT / "README.md").read_text(encoding="utf-8")
    assert f"`{found}`" in readme
    assert "Apache License" in (folder / "LICENSE").read_text(encoding="utf-8")


def parsed(site: Path, name: str) -> BeautifulSoup:
    return BeautifulSoup((site / name).read_text(encoding="utf-8"), "html.parser")


def test_names_of_the_package_lead_to_its_reference(site: Path) -> None:
    """In the text of every page, all that is written as code and is in the package."""
    entries = {e["id"] for e in parsed(site, "back/api.html").select(".sig[id]")}
    entries |= {e.removeprefix("vaelib.") for e in entries} | {"vaelib"}
    found = set()
    for name in set(SOURCES) - {"back/api.html"}:
        page = (site / name).read_text(encoding="utf-8")
        for link, code in re.findall(
            r'(<a [^>]*>)?<code class="docutils literal notranslate">(.*?)</code>', page
        ):
            text = re.sub(r"<.*?>", "", code).removesuffix("()")
            alone = [e for e in entries if e.endswith(f".{text}")]
            if text in entries or (alone and text not in book_links.VARIABLES):
                assert "api.html#" in link, (name, text)
                found.add(text)
    assert {"importance_weighted", "vaelib.divergences.kl"} <= found


def test_index(site: Path) -> None:
    """Each term, theorem and name of the package; `test_links` follows the links."""
    listed = parsed(site, "genindex.html").select("table.indextable a")
    leads = {a["href"] for a in listed}
    for entry in parsed(site, "genindex.html").select("table.indextable li"):
        links = [a["href"] for a in entry.find_all("a") if a.find_parent("li") is entry]
        assert len(links) == len(set(links)), entry
    notation = parsed(site, "notation.html")
    terms = {f"notation.html#{e['id']}" for e in notation.select("dt[id^=term]")}
    api = parsed(site, "back/api.html")
    names = {f"back/api.html#{e['id']}" for e in api.select("dt.sig[id]")}
    theorems = {
        f"{name}#{title.parent['id']}"
        for name in SOURCES
        for title in parsed(site, name).select("div.proof[id] > .admonition-title")
        if title.get_text(strip=True).endswith(")")
    }
    assert len(terms) >= 50 and len(names) >= 150 and len(theorems) >= 40
    assert terms | names | theorems <= leads
    words = parsed(site, "genindex.html").select("table.indextable")
    text = " ".join(table.get_text(" ") for table in words)
    for concept in ("EM algorithm", "Hamiltonian Monte Carlo", "score function"):
        assert concept in text
    assert parsed(site, "index.html").select('.bd-sidebar a[href="genindex.html"]')


@pytest.mark.parametrize("source", tool.chapters(), ids=lambda p: p.stem)
def test_each_chapter_can_be_taken_along(site: Path, source: Path) -> None:
    """As a notebook, by the button of its page; it is the one of the book."""
    page = str(source.relative_to(tool.BOOK).with_suffix(".html"))
    button = parsed(site, page).select_one("a.btn-download-source-button")
    file = (site / page).parent / button["href"]
    assert file.read_bytes() == source.with_suffix(".ipynb").read_bytes()
    nbformat.validate(nbformat.read(file, as_version=4))


def test_symbols_lead_to_where_they_are_met(site: Path) -> None:
    rows = parsed(site, "notation.html").select("section table tbody tr")
    assert len(rows) >= 25
    for row in rows:
        assert row.select("td:last-child a[href]"), row.get_text()


def test_terms_lead_to_the_glossary(site: Path) -> None:
    """Where a chapter first uses a term; each chapter has some."""
    chapters = [n for n in SOURCES if "/" in n and not n.startswith("back/")]
    for name in chapters:
        text = (site / name).read_text(encoding="utf-8")
        terms = re.findall(r'notation\.html#term-([^"]+)"', text)
        assert len(set(terms)) >= 3, name


def identifiers(path: Path) -> set[str]:
    html = path.read_text(encoding="utf-8")
    return set(re.findall(r'\s(?:id|name)="([^"]+)"', html))


@each_page
def test_links(site: Path, visits: Look, name: str) -> None:
    """Every link inside the site leads to a file, and to a place in it."""
    known: dict[Path, set[str]] = {}
    for link in sorted(set(visits(name)[0].links)):
        parts = urlsplit(link)
        if parts.scheme != "file":
            assert parts.scheme in ("https", "http", "mailto"), link
            continue
        path = Path(unquote(parts.path))
        assert path.is_relative_to(site) and path.is_file(), link
        if parts.fragment:
            known.setdefault(path, identifiers(path))
            assert unquote(parts.fragment) in known[path], link


@pytest.mark.parametrize(
    "name",
    [
        s
        for s in SOURCES
        if "solution" in (tool.BOOK / s).with_suffix(".md").read_text(encoding="utf-8")
    ],
)
def test_solutions_are_folded(site: Path, tab: Page, name: str) -> None:
    """A solution, cells in it included, is hidden until it is asked for."""
    tab.goto((site / name).as_uri())
    browser.ready(tab)
    for solution in tab.locator("div.solution.dropdown").all():
        inside = solution.locator("section, p, .cell").last
        assert not inside.is_visible()
        solution.locator("button.toggle-button, summary").first.click()
        assert inside.is_visible()


@pytest.mark.parametrize(("term", "page"), SEARCHES.items())
def test_search(site: Path, tab: Page, term: str, page: str) -> None:
    """The search finds a term, without a server, on the page that explains it."""
    tab.goto((site / "search.html").as_uri() + f"?q={term}")
    found = tab.locator(f'#search-results li a[href*="{page}"]').first
    found.wait_for(state="attached", timeout=20_000)


def test_no_dead_buttons(site: Path) -> None:
    """Without a public address there is nothing to launch or to link to."""
    for name in SOURCES:
        html = (site / name).read_text(encoding="utf-8")
        for place in ("colab", "mybinder", "user-redirect"):
            assert place not in html, name
