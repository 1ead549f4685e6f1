"""Every chapter keeps the rules that make its pages true."""

from __future__ import annotations

import ast
import base64
import io
import re
from decimal import Decimal
from pathlib import Path

import matplotlib.image
import pytest
from nbformat import NotebookNode

import chapters as tool
from vaelib import figures as palette

ROOT = tool.ROOT
BOOK = tool.BOOK
CHAPTERS = tool.chapters()
NAMES = [str(p.relative_to(BOOK).with_suffix("")) for p in CHAPTERS]

each_chapter = pytest.mark.parametrize("source", CHAPTERS, ids=NAMES)


def notebook(source: Path) -> NotebookNode:
    return tool.read_notebook(source.with_suffix(".ipynb"))


def code_cells(source: Path) -> list[NotebookNode]:
    return [c for c in notebook(source).cells if c.cell_type == "code"]


def tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def compared(cell: NotebookNode) -> bool:
    """Whether nbval compares the cell's outputs, and not only roughly."""
    marks = "nbval-ignore-output", "nbval-skip", "nbval-raises-exception"
    marks += ("compare-roughly",)
    marks += ("raises-exception", "skip-execution")
    comment = re.search(r"^\s*#\s*(NBVAL|PYTEST_VALIDATE)_\w+", cell.source, re.M)
    return not comment and not tags(cell) & set(marks)


def figures(cell: NotebookNode) -> list[NotebookNode]:
    kinds = ("image/png", "image/svg+xml", "image/jpeg")
    return [o for o in cell.outputs if any(k in o.get("data", {}) for k in kinds)]


def printed(cell: NotebookNode) -> str:
    """What a cell put out as text, but for the programs of interactive figures."""
    texts = []
    for output in cell.outputs:
        texts.append(output.get("text", ""))
        for kind, content in output.get("data", {}).items():
            if not kind.startswith("image/") and 'class="interactive"' not in content:
                texts.append(content)
    return "\n".join(texts)


def test_toc() -> None:
    """Both tables of contents agree, and name every page of the book once."""
    top = ROOT / "_toc.yml"
    if top.is_symlink():
        assert top.resolve() == BOOK / "_toc.yml"
    else:  # a clone without symlinks
        assert top.read_text() in ("book/_toc.yml", (BOOK / "_toc.yml").read_text())
    listed = tool.toc_files()
    assert len(listed) == len(set(listed))
    pages = {str(p.relative_to(BOOK).with_suffix("")) for p in BOOK.rglob("*.md")}
    assert {f.removesuffix(".ipynb") for f in listed} == pages
    with_suffix = {f for f in listed if f.endswith(".ipynb")}
    assert with_suffix == {f"{name}.ipynb" for name in NAMES}


def test_no_notebook_without_source() -> None:
    notebooks = set(BOOK.rglob("*.ipynb"))
    notebooks -= set(BOOK.rglob(".ipynb_checkpoints/*"))
    assert notebooks == {p.with_suffix(".ipynb") for p in CHAPTERS}


@each_chapter
def test_pair_in_step(source: Path) -> None:
    """The committed notebook is what tools/chapters.py makes of the source."""
    assert tool.disagreement(source) == ""


@each_chapter
def test_executed_in_order(source: Path) -> None:
    cells = code_cells(source)
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))


@each_chapter
def test_first_cell(source: Path) -> None:
    first = code_cells(source)[0]
    assert first.source == tool.first_cell()
    assert "hide-input" in tags(first)


@each_chapter
def test_outputs(source: Path) -> None:
    """No errors, no stderr, nothing that differs between two runs."""
    for cell in code_cells(source):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
            kinds = set(output.get("data", {}))
            assert not {k for k in kinds if "widget" in k or "javascript" in k}
        text = printed(cell)
        assert not re.search(r"0x[0-9a-f]{6,}", text), "an object's address"
        assert not re.search(r"\bit/s\b|\d%\|", text), "a progress bar"
        assert "Traceback (most recent call last)" not in text


@each_chapter
def test_code(source: Path) -> None:
    """Nothing that works in one of book, nbval and Jupyter, but not in all."""
    for cell in code_cells(source):
        lines = cell.source.rstrip().splitlines()
        assert lines, "an empty cell"
        assert not lines[-1].rstrip().endswith(";"), "`;` silences nothing in nbval"
        assert not re.search(r"\b(Out|In)\[|\b_i?\d+\b", cell.source)
        for line in lines:
            assert not re.match(r"\s*(%%?\w|!)", line) or cell is first(source)
        for word in ("clear_output", "display_id", "ipywidgets", "tqdm.notebook"):
            assert word not in cell.source
        for word in ("time.time", "perf_counter", "datetime.now"):
            assert word not in printed(cell)


def first(source: Path) -> NotebookNode:
    return code_cells(source)[0]


def test_nearly_all_outputs_are_compared() -> None:
    """At least 90 % of the cells that put something out; others say why and assert."""
    speaking = [(s, c) for s in CHAPTERS for c in code_cells(s) if c.outputs]
    left_out = [(s, c) for s, c in speaking if not compared(c)]
    assert len(left_out) <= 0.1 * len(speaking)
    for source, cell in left_out:
        allowed = {"nbval-ignore-output"} | {t for t in tags(cell) if "nbval" not in t}
        assert tags(cell) <= allowed, f"{source.name}: only nbval-ignore-output"
        reason = r"^\s*# (Not compared|Compared roughly): \S"
        assert re.search(reason, cell.source, re.M), source.name
        assert re.search(r"^\s*assert ", cell.source, re.M), source.name


@each_chapter
def test_every_chapter_prints(source: Path) -> None:
    """A chapter without one compared output claims nothing."""
    assert any(printed(c).strip() and compared(c) for c in code_cells(source))


@each_chapter
def test_no_cell_escapes_execution(source: Path) -> None:
    for cell in code_cells(source):
        assert not tags(cell) & {"nbval-skip", "raises-exception", "skip-execution"}
        assert not tags(cell) & {"nbval-raises-exception", "remove-cell"}


@each_chapter
def test_figures(source: Path) -> None:
    """A figure is one PNG to a cell, with alternative text, caption and name."""
    for cell in code_cells(source):
        shown = figures(cell)
        if not shown:
            continue
        assert len(shown) == 1, "one figure to a cell"
        assert "image/png" in shown[0].data, "PNG: an SVG holds the date"

        settings = cell.metadata.get("mystnb", {})
        figure, image = settings.get("figure", {}), settings.get("image", {})
        assert re.fullmatch(r"fig-[a-z0-9-]+", figure.get("name", "")), cell.source
        assert len(figure.get("caption", "").split()) >= 4, cell.source
        alt = image.get("alt", "")
        assert len(alt.split()) >= 5, cell.source
        assert not re.search(r"[$`{}\\]", alt), "alternative text is plain text"
        assert alt.strip().rstrip(".") != figure["caption"].strip().rstrip(".")
        size = matplotlib.image.imread(png_file(shown[0])).shape
        shown_at = shown[0].metadata.get("image/png", {}).get("width")
        assert shown_at == size[1] // 2, "two pixels where one is shown: use_style()"
        assert shown_at >= 300, "a figure narrower than 300 pixels"


def png_file(output: NotebookNode) -> io.BytesIO:
    return io.BytesIO(base64.b64decode(output.data["image/png"]))


# --- measured numbers in prose -------------------------------------------------------

FENCE = re.compile(r"^(`{3,}|~{3,})(?!\{)[^\n]*\n.*?^\1[ \t]*$", re.M | re.S)
DISPLAY = re.compile(r"\$\$.*?\$\$", re.S)
BARE = re.compile(r"(?:\\(?:approx|%|,|;|!|ldots|simeq)|[-+~\s.,\d{}])*")
UNIT = r"(?:\s|\\,)*(?:nats?\b|bits?\b|\\?%|per\s+cent|percent|times\b|seconds?\b|s\b)"
DECIMAL = r"\d+\.\d+"
SHOWN = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w|\.\d)")
MEASURED = re.compile(rf"(?<![\w.])(?:{DECIMAL}(?![\w.]*\w)|\d+(?={UNIT}))")


def prose(text: str) -> str:
    """The words of a Markdown text: no code, TeX, targets or options of directives.

    An inline formula that is only a number stays: `$-98.3$` is prose.
    """
    text = FENCE.sub(" ", text)
    text = DISPLAY.sub(" ", text)
    text = re.sub(r"^:[\w-]+:[^\n]*$", " ", text, flags=re.M)
    text = re.sub(r"\{[\w:-]+\}`[^`]*`", " ", text)
    text = re.sub(r"`[^`]*`", " ", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.sub(r"\$([^$]*)\$", _unless_number, text)


def _unless_number(formula: re.Match[str]) -> str:
    if BARE.fullmatch(formula[1]):
        return formula[1].replace("{", "").replace("}", "")
    return " "


def untied(text: str, outputs: str) -> list[str]:
    """The measured numbers of a text that no output of the chapter shows.

    An output shows a number if it rounds to it; of a percentage also as a fraction.
    Signs do not count: "falls by 98.3".
    """
    shown = [Decimal(n) for n in SHOWN.findall(outputs)]
    missing = []
    words = prose(text)
    for match in MEASURED.finditer(words):
        number = Decimal(match[0])
        half = Decimal(1).scaleb(number.as_tuple().exponent) / 2
        percent = re.match(r"(?:\s|\\,)*(?:\\?%|per\s*cent)", words[match.end() :])
        scales = (1, 100) if percent else (1,)
        if not any(abs(n * k - number) <= half for n in shown for k in scales):
            missing.append(match[0])
    return missing


@pytest.mark.parametrize(
    "text, outputs, missing",
    [
        ("The bound is −98.3 nats.", "bound -98.31", []),
        ("The bound is −98.3 nats.", "bound -98.61", ["98.3"]),
        ("The bound is $-98.3$ nats.", "", ["98.3"]),
        ("It loses $\\approx 160$ nats.", "", ["160"]),
        ("It loses 160 nats.", "loss 160.2", []),
        ("It is 12 % higher.", "ratio 0.12", []),
        ("It is 12 % higher.", "ratio 0.13", ["12"]),
        ("It is three times, or 3 times, higher.", "", ["3"]),
        ("With $\\sigma = 0.5$ and `rtol=0.25` in 2014, chapter 5.", "", []),
        ("$$ 0.5 + 0.5 $$ (eq-half)", "", []),
        ("See {cite:t}`a1.5` and [that](page-1.5.html) in 200 epochs.", "", []),
    ],
)
def test_measured_numbers_are_found(
    text: str, outputs: str, missing: list[str]
) -> None:
    assert untied(text, outputs) == missing


@each_chapter
def test_no_measured_number_is_only_typed(source: Path) -> None:
    """A decimal, or an integer with a unit, in the text is in a compared output."""
    cells = notebook(source).cells
    outputs = "\n".join(
        printed(c) for c in cells if c.cell_type == "code" and compared(c)
    )
    texts = [c.source for c in cells if c.cell_type == "markdown"]
    for cell in cells:
        settings = cell.metadata.get("mystnb", {})
        texts.append(settings.get("figure", {}).get("caption", ""))
        texts.append(settings.get("image", {}).get("alt", ""))
    assert untied("\n\n".join(texts), outputs) == []


# --- what each chapter has -----------------------------------------------------------

PARTS = ("bounds", "inference", "gradients", "autoencoder")
OF_PARTS = [p for p in CHAPTERS if p.parent.name in PARTS]

each_of_a_part = pytest.mark.parametrize(
    "source", OF_PARTS, ids=[f"{p.parent.name}/{p.stem}" for p in OF_PARTS]
)


@each_of_a_part
def test_starts_with_what_it_gives_and_asks(source: Path) -> None:
    start = notebook(source).cells[0].source
    box = r":::\{admonition\} Before you start\n:class: start\n"
    assert re.match(rf"# .+\n+{box}", start)
    for line in ("- **Afterwards you can** ", "- **You need** ", "- **Time**: "):
        assert f"\n{line}" in start


@each_of_a_part
def test_ends_with_a_summary_and_cited_reading(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    last = re.split(r"^## ", text, flags=re.M)[-1]
    assert last.startswith("Summary")
    assert len(re.findall(r"^- ", last, re.M)) >= 3
    assert re.search(r"\{cite:t\}`", last)


@pytest.mark.parametrize("source", OF_PARTS + [BOOK / "back/gallery.md"], ids=str)
def test_each_exercise_has_a_folded_solution_that_computes(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    exercises = re.findall(r"\{exercise\}[^\n]*\n:label: (ex-[\w-]+)", text)
    solutions = re.findall(
        r"^(:+)\{solution-start\} (ex-[\w-]+)\n:label: sol-[\w-]+\n:class: dropdown\n"
        r"\1\n(.*?)^\1\{solution-end\}",
        text,
        re.M | re.S,
    )
    assert len(exercises) >= 3
    assert exercises == [name for _, name, _ in solutions]
    for _, name, body in solutions:
        assert "```{code-cell}" in body, name


# --- references ----------------------------------------------------------------------


def bibliography() -> dict[str, str]:
    """The entries of the bibliography: key to text."""
    text = (BOOK / "references.bib").read_text(encoding="utf-8")
    found = re.findall(r"^@\w+\{([^,]+),(.*?)^\}", text, re.M | re.S)
    keys = [key for key, _ in found]
    assert len(keys) == len(set(keys))
    return dict(found)


def test_citations() -> None:
    entries = bibliography()
    for page in tool.pages():
        text = page.read_text(encoding="utf-8")
        for keys in re.findall(r"\{cite[:a-z]*\}`([^`]+)`", text):
            for key in keys.split(","):
                assert key.strip() in entries, f"{page.name} cites {key}"


def test_docstring_references() -> None:
    """What vaelib's docstrings cite is in the bibliography."""
    entries = bibliography()
    for path in (ROOT / "vaelib").rglob("*.py"):
        for line in re.findall(r"References: ([^\n]+)", path.read_text()):
            for key in re.findall(r"\b[a-z]+\d{4}[a-z]?\b", line):
                assert key in entries, f"{path.name} cites {key}"


# Works without an address of their own.
ON_PAPER = {"alpaydin1998", "bishop2006", "geyer1991", "kaynak1995", "smolensky1986"}


@pytest.mark.parametrize("key", bibliography())
def test_bibliography_is_complete(key: str) -> None:
    entry = bibliography()[key]
    for field in ("author", "title", "year"):
        assert re.search(rf"^\s*{field}\s*=", entry, re.M), field
    if key not in ON_PAPER:
        assert re.search(r"^\s*(doi|eprint|url)\s*=", entry, re.M), "no link"


def test_cover_is_the_chapters_figure():
    pictures = [tool.cover(notebook(source)) for source in CHAPTERS]
    assert [p for p in pictures if p] == [tool.COVER.read_bytes()]


@each_chapter
def test_words_in_figures_are_dark_enough(source: Path) -> None:
    """A colour of the palette that is too pale for words has an ink for them."""
    for cell in code_cells(source):
        for call in ast.walk(ast.parse(cell.source)):
            if getattr(getattr(call, "func", None), "attr", "") in ("text", "annotate"):
                colours = [k.value for k in call.keywords if k.arg in ("c", "color")]
                for name in (getattr(colour, "attr", "") for colour in colours):
                    assert not hasattr(palette, f"{name}_INK"), ast.unparse(call)
