"""A build with these settings fails where a page would be wrong."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest

from book_build import AS_IN_MAKE_BOOK, DIGEST, JUPYTER_BOOK, ROOT


def tiny_book(folder: Path, text: str = "", code: str = "") -> Path:
    """A book of one page with the settings of this one."""
    book = folder / "book"
    book.mkdir()
    shutil.copy(ROOT / "book" / "references.bib", book)
    (book / "_toc.yml").write_text("format: jb-book\nroot: index.ipynb\n")
    page = nbformat.v4.new_notebook()
    page.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    page.cells.append(nbformat.v4.new_markdown_cell(f"# A page\n\n{text}"))
    if code:
        page.cells.append(nbformat.v4.new_code_cell(code))
    nbformat.write(page, book / "index.ipynb")
    return book


def build(book: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*JUPYTER_BOOK, "build", str(book), "--path-output", str(book.parent)]
    command += ["--config", str(ROOT / "_config.yml"), *options]
    return subprocess.run(command, capture_output=True, text=True)


def test_good_book(tmp_path: Path) -> None:
    """Without this, the failures below could be those of a build that never works."""
    book = tiny_book(tmp_path, "Right: $\\E[x]$.", "print('right')")
    done = build(book, *AS_IN_MAKE_BOOK)
    assert done.returncode == 0, done.stderr
    assert "right" in (tmp_path / "_build/html/index.html").read_text()
    links = build(book, "--all", "--builder", "linkcheck")
    assert links.returncode == 0, links.stderr
    site = {path.name for path in (tmp_path / "_build/html").iterdir()}
    assert {"index.html", DIGEST} <= site, "looking at links took the site away"
    again = build(book)
    assert again.returncode == 0, again.stderr


def test_raising_cell(tmp_path: Path) -> None:
    done = build(tiny_book(tmp_path, code="raise RuntimeError('a wrong claim')"))
    assert done.returncode != 0
    assert "a wrong claim" in done.stderr


@pytest.mark.parametrize("options", [[], AS_IN_MAKE_BOOK], ids=["plain", "make"])
def test_warning(tmp_path: Path, options: list[str]) -> None:
    """Any warning fails the build, also the second time and the plain command."""
    book = tiny_book(tmp_path, "A reference to {eq}`eq-missing`.")
    for _ in range(1 if options else 2):
        done = build(book, *options)
        assert done.returncode != 0
        assert "eq-missing" in done.stderr


def test_buttons_once_there_is_an_address(tmp_path: Path) -> None:
    """One setting turns on the repository's button and those that launch a chapter."""
    settings = (ROOT / "_config.yml").read_text(encoding="utf-8")
    settings = settings.replace('  url: ""', '  url: "https://github.com/us/book"')
    settings = settings.replace('hub_url: ""', 'hub_url: "https://hub.us.org"')
    tools = str(ROOT / "tools")
    settings = settings.replace("_build: tools ", f"_build: {tools} ")
    settings = settings.replace("_links: tools ", f"_links: {tools} ")
    (tmp_path / "_config.yml").write_text(settings, encoding="utf-8")
    book = tiny_book(tmp_path, code="print('right')")
    command = [*JUPYTER_BOOK, "build", str(book), "--path-output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "_build/html/index.html").read_text(encoding="utf-8")
    places = ("colab.research", "mybinder.org", "hub.us.org/hub/user-redirect")
    for address in ("github.com/us/book", *places):
        assert address in page, address
