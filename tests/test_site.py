"""The built site, page by page, in a browser without a network.

Uses the site in _build/html; it is built as `make book` does if its sources changed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

import browser
import chapters as tool
from vaelib.symbolic import ledger

SOURCES = [str(p.relative_to(tool.BOOK).with_suffix(".html")) for p in tool.pages()]
MADE = ["genindex.html", "prf-prf.html", "search.html"]  # by Sphinx
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
    broken: list[str]  # equations with an error
    pictures: list[dict]
    too_wide: dict[int, list[str]]  # elements that stick out, by the window's width
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
        broken: all('mjx-merror, mjx-container [data-mml-node="merror"]')
            .map((e) => e.closest('.math, p').textContent),
        pictures: all('article img').map((e) => ({
            source: e.getAttribute('src'), alt: e.alt, width: e.naturalWidth,
            shown: e.getBoundingClientRect().width,
        })),
        links: all('a[href]').map((e) => e.href),
    };
}"""

# Typeset equations carry their own speech and are slow to walk through.
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
    page.evaluate(AXE)
    facts["barriers"] = page.evaluate(BARRIERS)
    too_wide = {}
    for size in (width, DESKTOP + PHONE - width):
        page.set_viewport_size({"width": size, "height": browser.WIDTHS[size]})
        too_wide[size] = page.evaluate(TOO_WIDE)
    opened.close()
    outside = [r for r in requests if not re.match("(file|data|blob):", r)]
    return Visit(requests=outside, errors=errors, too_wide=too_wide, **facts)


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
        assert seen.broken == []


def test_there_are_equations(visits: Look) -> None:
    assert all(sum(v[i].equations for v in map(visits, SOURCES)) > 0 for i in (0, 1))


@each_page
def test_nothing_is_too_wide(visits: Look, name: str) -> None:
    for seen in visits(name):
        assert seen.too_wide == {DESKTOP: [], PHONE: []}


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


def test_names_of_the_package_lead_to_its_reference(site: Path) -> None:
    text = "".join((site / name).read_text(encoding="utf-8") for name in SOURCES)
    names = re.findall(r'href="[^"]*back/api.html#(vaelib[\w.]+)"><code', text)
    assert len(names) >= 1


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
        assert "colab" not in html and "mybinder" not in html, name
