"""Chapters are pairs: `x.md` (MyST, what people write) and `x.ipynb` (made from it).

    tools/chapters.py                        bring every pair in step, run what changed
    tools/chapters.py book/bounds/jensen.md  one chapter only
    tools/chapters.py --force                run also what did not change
    tools/chapters.py --check                run nothing; fail where a pair disagrees
    tools/chapters.py --from-notebook x.md   take x.ipynb's text, edited in Jupyter
    tools/chapters.py --first-cell           print the first code cell of every chapter

A chapter runs again when its code cells, vaelib or the environment differ from those of
its last run on this machine; otherwise its stored outputs are kept. The notebook is
written so that equal content gives equal bytes: cell ids are made from the cells' text,
streams are joined, stderr and times are dropped, metadata is reduced.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import itertools
import json
import os
import re
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import jupytext
import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
CACHE = ROOT / "_build" / "chapters.json"  # what each chapter last ran with
COVER = BOOK / "_static" / "cover.png"  # made from a chapter's figure
COVER_FIGURE = "fig-bad-samples"
LIMIT = 60  # seconds of processor time that a chapter may take
PROCESSES = 2
CLOCK = "import time; print(time.process_time())"  # run after a chapter's last cell
SOURCE = "source_sha256"  # in a notebook's metadata: the cells that it was made from

HEADER = {
    "jupytext": {
        "formats": "ipynb,md:myst",
        "text_representation": {"extension": ".md", "format_name": "myst"},
    },
    "kernelspec": {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    },
}

WITHOUT_ADDRESS = """\
try:
    import vaelib
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "The chapters use the package vaelib, which lies beside the book: clone the "
        "repository and run `pip install -e .[book]` in its top folder."
    ) from missing
"""
WITH_ADDRESS = """\
try:
    import vaelib
except ModuleNotFoundError:  # on Colab or Kaggle
    %pip install --quiet "vaelib[book] @ git+{url}"
    import vaelib
"""
THREADS = """\
import torch

torch.set_num_threads(1)  # small models: more threads cost more than they save"""


class PairError(Exception):
    """A chapter that cannot be brought in step without losing something."""


class Outcome(NamedTuple):
    notebook: NotebookNode
    seconds: float
    problem: str = ""


def first_cell() -> str:
    """The first code cell of every chapter."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    url = config.get("repository", {}).get("url")
    head = WITH_ADDRESS.format(url=url) if url else WITHOUT_ADDRESS
    return head + THREADS


def chapters() -> list[Path]:
    """The MyST source of every chapter: the pages whose header names jupytext."""
    pages = (p for p in BOOK.rglob("*.md") if "_build" not in p.parts)
    return sorted(p for p in pages if is_chapter(p))


def is_chapter(source: Path) -> bool:
    head = re.match(r"---\n(.*?)\n---\n", source.read_text(encoding="utf-8"), re.DOTALL)
    return bool(head) and "jupytext" in (yaml.safe_load(head[1]) or {})


def table_of_contents() -> list[tuple[str, list[str]]]:
    """The parts of the book: the caption and the pages of each, in reading order."""
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    parts = [
        (part.get("caption", ""), [chapter["file"] for chapter in part["chapters"]])
        for part in toc["parts"]
    ]
    return [("", [toc["root"]]), *parts]


def toc_files() -> list[str]:
    """The files of the book in reading order, as its table of contents names them."""
    return list(itertools.chain.from_iterable(f for _, f in table_of_contents()))


def pages() -> list[Path]:
    """The source of every page of the book, in reading order."""
    return [BOOK / (file.removesuffix(".ipynb") + ".md") for file in toc_files()]


def read_source(source: Path) -> NotebookNode:
    """The notebook, without outputs, that a MyST source describes."""
    return reduce(jupytext.read(source, fmt="md:myst"))


def read_notebook(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def reduce(notebook: NotebookNode) -> NotebookNode:
    """The same cells with fixed notebook metadata, content ids and plain outputs."""
    seen: dict[str, int] = {}
    cells = []
    for cell in notebook.cells:
        new = NotebookNode(
            cell_type=cell.cell_type,
            metadata=plain_metadata(cell.metadata),
            source=cell.source.strip("\n"),
        )
        name = hashlib.sha256(f"{cell.cell_type}\n{new.source}".encode()).hexdigest()
        name = name[:12]
        seen[name] = seen.get(name, 0) + 1
        new.id = name if seen[name] == 1 else f"{name}-{seen[name]}"
        if cell.cell_type == "code":
            new.execution_count = cell.get("execution_count")
            new.outputs = plain_outputs(cell.get("outputs", []))
        cells.append(new)
    metadata = {**HEADER, "language_info": {"name": "python"}}
    metadata[SOURCE] = source_digest(cells)
    return nbformat.from_dict(
        {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    )


def plain_metadata(metadata: dict) -> dict:
    """A cell's metadata without what Jupyter adds on its own."""
    return {k: v for k, v in metadata.items() if k in ("tags", "mystnb", "mystnb_alt")}


def plain_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs without stderr and times, and neighbouring pieces of a stream joined.

    How a stream is cut into messages depends on the clock.
    """
    plain: list[NotebookNode] = []
    for output in outputs:
        output = nbformat.from_dict(dict(output))
        if output.output_type == "stream":
            if output.name == "stderr":
                continue
            if plain and plain[-1].get("name") == output.name:
                plain[-1].text += output.text
                continue
        if "metadata" in output:  # of it, the size at which a picture is shown
            sizes = output.metadata.get("image/png")
            output.metadata = NotebookNode({"image/png": sizes} if sizes else {})
        plain.append(output)
    return plain


def source_digest(cells: list[NotebookNode]) -> str:
    content = [[c.cell_type, plain_metadata(c.metadata), c.source] for c in cells]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def run_digest(notebook: NotebookNode) -> str:
    """What a chapter's outputs depend on: code cells, vaelib, environment.

    And the recorded results of the benchmarks, if its code reads them.
    """
    code = json.dumps([c.source for c in notebook.cells if c.cell_type == "code"])
    total = hashlib.sha256(code.encode())
    read = [ROOT / "requirements.txt"]
    package = sorted((ROOT / "vaelib").rglob("*"))
    read += [p for p in package if p.is_file() and p.parent.name != "__pycache__"]
    if "benchmarks/results" in code:
        read += sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    for path in read:
        total.update(path.read_bytes())
    return total.hexdigest()


def output_digest(notebook: NotebookNode) -> str:
    content = [c.get("outputs", []) for c in notebook.cells]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def carry_over(new: NotebookNode, old: NotebookNode | None) -> bool:
    """Give `new` the stored outputs of `old` if their code cells are the same."""
    if old is None:
        return False
    now = [c for c in new.cells if c.cell_type == "code"]
    was = [c for c in old.cells if c.cell_type == "code"]
    if [c.source for c in now] != [c.source for c in was]:
        return False
    if any(c.execution_count is None for c in was):
        return False
    for to, cell in zip(now, was, strict=True):
        to.outputs, to.execution_count = cell.outputs, cell.execution_count
    return True


def execute(notebook: NotebookNode) -> Outcome:
    """Run a notebook's cells in a fresh kernel and store what they put out.

    The kernel starts in an empty folder, so that a chapter that reads a file beside it
    fails here, and must leave the folder empty.
    """
    with tempfile.TemporaryDirectory() as folder:
        outcome = execute_in(notebook, folder)
        left = ", ".join(sorted(os.listdir(folder)))
    if left and not outcome.problem:
        return outcome._replace(problem=f"leaves files behind: {left}")
    return outcome


def execute_in(notebook: NotebookNode, folder: str) -> Outcome:
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # this environment's kernel
    client = NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": folder}},
    )
    try:
        with client.setup_kernel():
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
            notebook.cells.append(nbformat.v4.new_code_cell(CLOCK))
            client.execute_cell(notebook.cells[-1], len(notebook.cells) - 1)
    except (CellExecutionError, CellTimeoutError) as error:
        return Outcome(notebook, 0.0, str(error))
    seconds = float(notebook.cells.pop().outputs[0].text)
    said = [
        output.text
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr"
    ]
    warned = [text for text in said if re.search(r"\w*(Warning|Error)\b", text)]
    if warned:
        return Outcome(notebook, seconds, "a cell warns:\n" + "".join(warned))
    if seconds > LIMIT:
        return Outcome(notebook, seconds, f"takes more than {LIMIT} s")
    return Outcome(notebook, seconds)


def text_of(notebook: NotebookNode) -> str:
    """The notebook file's content."""
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"


def write(path: Path, text: str) -> None:
    """Replace a file at once, or not at all."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8"
    ) as part:
        part.write(text)
    os.chmod(part.name, 0o644)
    os.replace(part.name, path)


def cover(notebook: NotebookNode) -> bytes | None:
    """The picture on the README and the landing page, if this chapter draws it."""
    for cell in notebook.cells:
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if cell.cell_type == "code" and figure.get("name") == COVER_FIGURE:
            images = (o.get("data", {}).get("image/png") for o in cell.outputs)
            return base64.b64decode(next(i for i in images if i))
    return None


def disagreement(source: Path) -> str:
    """How a committed pair differs from what this tool would write; empty if not."""
    path = source.with_suffix(".ipynb")
    if not path.exists():
        return f"{path.name} is missing"
    new, old = read_source(source), read_notebook(path)
    if new.metadata[SOURCE] != source_digest(old.cells):
        return f"{source.name} and {path.name} have different cells"
    if text_of(reduce(old)) != path.read_text(encoding="utf-8"):
        return f"{path.name} is not normalised"
    if not carry_over(new, old):
        return f"{path.name} has cells that were never run"
    return ""


def prepare(source: Path) -> tuple[NotebookNode, NotebookNode | None]:
    """The chapter's notebook and the one stored, if syncing loses nothing."""
    path = source.with_suffix(".ipynb")
    new = read_source(source)
    if not path.exists():
        return new, None
    old = read_notebook(path)
    written, now = old.metadata.get(SOURCE), source_digest(old.cells)
    if now != written and now != new.metadata[SOURCE]:
        both = "Both it and" if new.metadata[SOURCE] != written else "It was edited;"
        raise PairError(
            f"{path.name} holds an edit that {source.name} does not have. "
            f"{both} {source.name} "
            + ("were edited." if both.startswith("Both") else "was not.")
            + " To take the notebook's text: tools/chapters.py --from-notebook "
            f"{source.relative_to(ROOT) if source.is_relative_to(ROOT) else source}."
            f" To drop it: delete {path.name}."
        )
    return new, old


def from_notebook(source: Path) -> None:
    """Rewrite a chapter's MyST source from its notebook."""
    notebook = reduce(read_notebook(source.with_suffix(".ipynb")))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata = nbformat.from_dict(HEADER)
    write(source, jupytext.writes(notebook, fmt="md:myst"))


def sync(sources: list[Path], force: bool) -> int:
    """Bring pairs in step; the number of chapters that failed."""
    cache = json.loads(CACHE.read_text()) if CACHE.exists() else {}
    failed, waiting = 0, []
    with ProcessPoolExecutor(PROCESSES) as pool:
        for source in sources:
            name = str(source.relative_to(ROOT) if ROOT in source.parents else source)
            try:
                new, old = prepare(source)
            except PairError as error:
                print(f"{name}: {error}", file=sys.stderr)
                failed += 1
                continue
            kept = carry_over(new, old)
            stamp = [run_digest(new), output_digest(new)]
            if kept and not force and cache.get(name) == stamp:
                write(source.with_suffix(".ipynb"), text_of(reduce(new)))
                print(f"{name}: not run, nothing changed")
                continue
            job = pool.submit(execute, read_source(source))
            waiting.append((source, name, stamp[0], job))
        for source, name, digest, job in waiting:
            outcome = job.result()
            if outcome.problem:
                print(f"{name}: {outcome.problem}", file=sys.stderr)
                failed += 1
                continue
            notebook = reduce(outcome.notebook)
            write(source.with_suffix(".ipynb"), text_of(notebook))
            if picture := cover(notebook):
                COVER.write_bytes(picture)
            cache[name] = [digest, output_digest(notebook)]
            print(f"{name}: {outcome.seconds:.1f} s of processor time", flush=True)
    CACHE.parent.mkdir(exist_ok=True)
    write(CACHE, json.dumps(cache, indent=1, sort_keys=True) + "\n")
    return failed


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="*", type=Path, metavar="chapter.md")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--force", action="store_true")
    action.add_argument("--check", action="store_true")
    action.add_argument("--from-notebook", action="store_true")
    action.add_argument("--first-cell", action="store_true")
    args = parser.parse_args(argv)
    # What is stored is the CPU's: a GPU draws other noise, so its pictures differ.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if args.first_cell:
        print(first_cell())
        return 0
    sources = [p.resolve().with_suffix(".md") for p in args.sources] or chapters()
    for source in sources:
        if not source.exists() or not is_chapter(source):
            parser.error(f"{source} is not a chapter: its header must name jupytext")
    if args.check:
        wrong = [f"{p}: {why}" for p in sources if (why := disagreement(p))]
        print("\n".join(wrong), file=sys.stderr)
        return bool(wrong)
    if args.from_notebook:
        if not args.sources:
            parser.error("--from-notebook needs the chapters by name")
        for source in sources:
            from_notebook(source)
    return bool(sync(sources, args.force))


if __name__ == "__main__":
    sys.exit(main())
