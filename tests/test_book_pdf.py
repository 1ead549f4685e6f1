"""The one document that is printed as PDF: whole, with links that lead somewhere."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

import book_pdf
import chapters


@pytest.fixture(scope="module")
def document(site: Path) -> BeautifulSoup:
    return BeautifulSoup(book_pdf.assemble(site), "html.parser")


def test_every_page_is_there_once(document: BeautifulSoup) -> None:
    names = [file.removesuffix(".ipynb") for file in chapters.toc_files()]
    found = [a["id"] for a in document.select("article")]
    assert found == [book_pdf.anchor(name) for name in names]
    listed = [a["href"] for a in document.select("nav a")]
    assert listed == [f"#{name}" for name in found]


def test_links_lead_to_one_place(document: BeautifulSoup) -> None:
    identifiers = Counter(e["id"] for e in document.find_all(id=True))
    links = {a["href"] for a in document.select("a[href]")}
    inside = {unquote(link[1:]) for link in links if link.startswith("#")}
    assert inside
    assert {i for i in inside if identifiers[i] != 1} == set()
    schemes = {urlsplit(link).scheme for link in links if not link.startswith("#")}
    assert schemes <= {"http", "https", "mailto"}


def test_pictures_are_files(document: BeautifulSoup) -> None:
    sources = [e["src"] for e in document.select("article [src]")]
    assert sources
    for source in sources:
        assert Path(unquote(urlsplit(source).path)).is_file(), source


def test_solutions_are_in_it(document: BeautifulSoup) -> None:
    assert len(document.select("div.solution")) >= 30
