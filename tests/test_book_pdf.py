"""The one document that is printed as PDF: whole, with links that lead somewhere."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from pypdf import PdfReader

import book_pdf
import chapters
from browser import find_browser


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


SOME = ["index", "notation", "bounds/jensen.ipynb", "back/bibliography", "genindex"]


@pytest.fixture(scope="module")
def printed(site: Path, tmp_path_factory: pytest.TempPathFactory) -> PdfReader:
    """Some pages of the site on paper; all of them take minutes."""
    if find_browser() is None:
        pytest.skip("no Chromium to print with")
    file = tmp_path_factory.mktemp("pdf") / "some.pdf"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chapters, "table_of_contents", lambda: [("A part", SOME)])
        assert book_pdf.write(file, site) == []
    return PdfReader(file)


def titles(outline: list) -> list[str]:
    nested = (titles(o) if isinstance(o, list) else [o["/Title"]] for o in outline)
    return [title for part in nested for title in part]


def test_contents_tell_the_page(printed: PdfReader) -> None:
    contents = printed.pages[1].extract_text()
    for title in ("Notation", "The Jensen bound"):
        number = int(re.search(rf"^{title} (\d+)$", contents, re.M)[1])
        assert printed.pages[number - 1].extract_text().startswith(title)


def test_index_tells_each_page_once_and_in_order(printed: PdfReader) -> None:
    text = "".join(page.extract_text() for page in printed.pages[-12:])
    text = text[text.index("\nactive unit") :]
    lists = re.findall(r"\d+(?:,\s\d+)+", text)
    assert lists and text.count("The Jensen bound") >= 4 and "000" not in text
    for found in lists:
        numbers = [int(number) for number in found.split(",")]
        assert numbers == sorted(set(numbers)), found


def test_outline_has_each_heading_once(printed: PdfReader) -> None:
    found = titles(printed.outline)
    for title in ("Contents", "Notation", "Glossary", "The Jensen bound", "Summary"):
        assert found.count(title) == 1
    assert not [t for t in found if t[: len(t) // 2] == t[len(t) // 2 :]]


def test_no_page_is_empty_and_each_has_its_number(printed: PdfReader) -> None:
    texts = [page.extract_text().strip() for page in printed.pages]
    assert len(texts) >= 15
    for number, text in enumerate(texts, 1):
        assert text.endswith(str(number)) or text.startswith(str(number))
        assert len(text) > len(str(number)) or printed.pages[number - 1].images


def test_links_are_inside_the_file(printed: PdfReader) -> None:
    links = [
        note.get_object()
        for page in printed.pages
        for note in page.get("/Annots", [])
        if note.get_object()["/Subtype"] == "/Link"
    ]
    addresses = [k["/A"]["/URI"] for k in links if "/A" in k and "/URI" in k["/A"]]
    assert len(addresses) >= 50 and len(links) - len(addresses) >= 50
    assert all(a.startswith(("http:", "https:")) for a in addresses)
