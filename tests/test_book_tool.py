"""tools/chapters.py loses no edit, writes equal bytes, and refuses a bad chapter."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbformat
import pytest

import chapters as tool

HEADER = """---
jupytext:
  formats: ipynb,md:myst
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

"""
CHAPTER = (
    HEADER
    + """# A chapter

```{code-cell} python3
import sys

for piece in "ab":
    print(piece, flush=True)
    print("progress", file=sys.stderr)
```

```{code-cell} python3
:tags: [a-tag]

6 * 7
```

```{code-cell} python3
6 * 7
```
"""
)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tool, "CACHE", tmp_path / "cache" / "chapters.json")
    path = tmp_path / "chapter.md"
    path.write_text(CHAPTER)
    return path


@pytest.fixture
def synced(source: Path) -> Path:
    assert tool.main([str(source)]) == 0
    return source


def notebook(source: Path) -> Path:
    return source.with_suffix(".ipynb")


def edit(source: Path, old: str, new: str) -> None:
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new))


def test_written_notebook(synced: Path) -> None:
    """Content alone decides its bytes; a second run changes nothing."""
    first = notebook(synced).read_bytes()
    cells = tool.read_notebook(notebook(synced)).cells
    assert [c.get("execution_count") for c in cells] == [None, 1, 2, 3]
    assert cells[1].outputs == [
        {"output_type": "stream", "name": "stdout", "text": "a\nb\n"}
    ]
    assert len({c.id for c in cells}) == len(cells)  # also of equal cells
    assert cells[2].metadata == {"tags": ["a-tag"]}
    assert not any("execution" in c.metadata for c in cells)
    nbformat.validate(tool.read_notebook(notebook(synced)))
    assert tool.main([str(synced), "--force"]) == 0
    assert notebook(synced).read_bytes() == first
    assert tool.main([str(synced), "--check"]) == 0


def test_text_alone_runs_nothing(
    synced: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(synced, "# A chapter", "# A better chapter")
    assert tool.main([str(synced), "--check"]) == 1
    assert "different cells" in capsys.readouterr().err
    assert tool.main([str(synced)]) == 0
    assert "not run" in capsys.readouterr().out
    cells = tool.read_notebook(notebook(synced)).cells
    assert cells[0].source == "# A better chapter"
    assert cells[2].outputs


def test_a_change_of_code_or_package_runs(
    synced: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(synced, "6 * 7", "6 * 8")
    assert tool.main([str(synced)]) == 0
    assert "processor time" in capsys.readouterr().out
    assert "48" in notebook(synced).read_text()
    monkeypatch.setattr(tool, "run_digest", lambda notebook: "another vaelib")
    assert tool.main([str(synced)]) == 0
    assert "processor time" in capsys.readouterr().out


def test_every_file_of_the_package_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    files = "requirements.txt", "vaelib/part.py", "vaelib/part.js", "vaelib/data/a.csv"
    compiled = "vaelib/__pycache__/part.pyc"
    digests = []
    for name in (*files, compiled):  # they appear one after the other
        for known in (*files, compiled):
            path = tmp_path / known
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        (tmp_path / name).write_text("new")
        digests.append(tool.run_digest(nbformat.v4.new_notebook()))
    assert len(set(digests)) == 4 and digests[-1] == digests[-2]


def test_an_edit_in_jupyter_is_not_lost(
    synced: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = notebook(synced)
    book = tool.read_notebook(path)
    book.cells[2].source = "6 * 9"
    nbformat.write(book, path)
    before = path.read_bytes()
    assert tool.main([str(synced)]) == 1
    assert "--from-notebook" in capsys.readouterr().err
    edit(synced, "# A chapter", "# Another chapter")
    assert tool.main([str(synced)]) == 1
    assert path.read_bytes() == before
    assert tool.main([str(synced), "--from-notebook"]) == 0
    assert "6 * 9" in synced.read_text() and "# A chapter" in synced.read_text()
    assert tool.main([str(synced), "--check"]) == 0


def test_from_notebook_keeps_the_source(synced: Path) -> None:
    """A source that is already what jupytext writes stays as it is."""
    tool.from_notebook(synced)
    once = synced.read_text()
    tool.from_notebook(synced)
    assert synced.read_text() == once
    assert jupytext.reads(once, fmt="md:myst").cells[2].metadata.tags == ["a-tag"]


@pytest.mark.parametrize(
    "code, complaint",
    [
        ("raise RuntimeError('wrong')", "wrong"),
        ("import warnings; warnings.warn('old')", "warns"),
        ("open('left.txt', 'w').close()", "left.txt"),
        ("open('chapter.md')", "FileNotFoundError"),
    ],
)
def test_a_bad_chapter_is_refused(
    synced: Path, code: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = notebook(synced).read_bytes()
    edit(synced, "import sys", f"import sys\n{code}")
    assert tool.main([str(synced)]) == 1
    assert complaint in capsys.readouterr().err
    assert notebook(synced).read_bytes() == before


def test_a_slow_chapter_is_refused(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tool, "LIMIT", 0)
    assert tool.main([str(source)]) == 1
    assert "takes" in capsys.readouterr().err


@pytest.mark.parametrize(
    "damage, complaint",
    [
        (lambda b: b.cells[1].update(outputs=[], execution_count=None), "never run"),
        (lambda b: b.cells[1].metadata.update(collapsed=True), "not normalised"),
        (lambda b: b.metadata.update(widgets={}), "not normalised"),
        (lambda b: b.cells.reverse(), "different cells"),
        (lambda b: b.cells.pop(), "different cells"),
    ],
)
def test_check_sees_damage(synced: Path, damage, complaint: str) -> None:
    book = tool.read_notebook(notebook(synced))
    damage(book)
    notebook(synced).write_text(tool.text_of(book))
    assert complaint in tool.disagreement(synced)
    notebook(synced).unlink()
    assert "missing" in tool.disagreement(synced)
