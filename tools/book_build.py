"""Sphinx extension of the book: any warning fails the build, however it was started.

`jupyter-book build -W` does that too, but readers type the plain command. Failing at
the end, inside the build, also makes Sphinx forget what it has read, so that the next
build reads the faulty page again instead of passing over it.

A build of everything without a warning leaves the digest of what it was made from, by
which tests/test_site.py knows whether a site is fresh.
"""

from __future__ import annotations

import functools
import hashlib
import re
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import SphinxError

ROOT = Path(__file__).resolve().parent.parent
DIGEST = ".built-from"

# The command jupyter-book of this environment, and its options in `make book`.
JUPYTER_BOOK = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
AS_IN_MAKE_BOOK = ["--all", "-W", "--keep-going", "-n"]


class WarningsFail(SphinxError):
    category = "Build failed"


def sources() -> list[Path]:
    """Every file that a page of the book can depend on."""
    found = [ROOT / "_config.yml", ROOT / "requirements.txt", Path(__file__)]
    for folder in ("book", "vaelib"):
        for path in (ROOT / folder).rglob("*"):
            hidden = {"__pycache__", ".ipynb_checkpoints", "_build"} & set(path.parts)
            if path.is_file() and not hidden:
                found.append(path)
    return sorted(found)


def digest() -> str:
    """One number for the content of all sources."""
    total = hashlib.sha256()
    for path in sources():
        total.update(str(path.relative_to(ROOT)).encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def buttons(app: Sphinx, config: Config) -> None:
    """Repository and launch buttons, once the repository has a public address."""
    options = config.html_theme_options
    if options.get("repository_url"):
        options["use_repository_button"] = True
        options["launch_buttons"] = {"colab_url": "https://colab.research.google.com"}


def link(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]):
    """Turn a docstring's `Equation:` and `References:` lines into links."""
    if lines and lines[0].startswith("Alias for field number"):  # of a named tuple
        lines.clear()
    for number, line in enumerate(lines):
        head, colon, rest = line.strip().partition(": ")
        if colon and head in ("Equation", "Equations"):
            known = functools.partial(equation, pages(app))
            rest = re.sub(r"eq-[\w-]+", known, rest)
        elif colon and head == "References":
            rest = re.sub(r"\b[a-z]+\d{4}[a-z]?\b", r":cite:t:`\g<0>`", rest)
        else:
            continue
        lines[number] = f"*{head}*: {rest}"


def pages(app: Sphinx) -> str:
    """The text of all pages of the book."""
    files = (Path(app.env.doc2path(d)).with_suffix(".md") for d in app.env.found_docs)
    return "".join(file.read_text(encoding="utf-8") for file in files if file.exists())


def equation(text: str, label: re.Match[str]) -> str:
    return f":eq:`{label[0]}`" if f"({label[0]})" in text else label[0]


def start(app: Sphinx) -> None:
    app.book_digest = digest()
    (Path(app.outdir) / DIGEST).unlink(missing_ok=True)
    if app.fresh_env_used:  # everything is written anew; pages that are gone must go
        for page in Path(app.outdir).rglob("*.html"):
            page.unlink()


def finish(app: Sphinx, error: Exception | None) -> None:
    if error is not None:
        return
    if app._warncount:
        raise WarningsFail(f"{app._warncount} warning(s), see above")
    # An incremental build does not run the chapters that it does not read again.
    if app.fresh_env_used:
        (Path(app.outdir) / DIGEST).write_text(app.book_digest)


def setup(app: Sphinx) -> dict[str, bool]:
    app.set_html_assets_policy("always")  # a page can have equations in outputs only
    app.connect("config-inited", buttons, priority=100)
    app.connect("builder-inited", start)
    app.connect("autodoc-process-docstring", link, priority=100)
    app.connect("build-finished", finish, priority=999)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
