"""Sphinx extension of the book: any warning fails the build, however it was started.

It also runs the chapters, all afresh and several at a time; Jupyter Book alone would
run them one after the other.

`jupyter-book build -W` does that too, but readers type the plain command. Failing at
the end, inside the build, also makes Sphinx forget what it has read, so that the next
build reads the faulty page again instead of passing over it.

A build of everything without a warning leaves the digest of what it was made from, by
which tests/test_site.py knows whether a site is fresh.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution
from myst_nb.core.config import NbParserConfig
from nbformat import read
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import SphinxError
from sphinx.util import logging

ROOT = Path(__file__).resolve().parent.parent
DIGEST = ".built-from"

# The command jupyter-book of this environment, and its options in `make book`.
JUPYTER_BOOK = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
AS_IN_MAKE_BOOK = ["--all", "-W", "--keep-going", "-n"]
MATHJAX = ("tex-svg.js", "a11y", "input", "output", "sre")  # a page's, its menu's
AT_ONCE = min(4, os.cpu_count() or 1)  # kernels; each uses one thread and a GPU's share


class WarningsFail(SphinxError):
    category = "Build failed"


def sources() -> list[Path]:
    """Every file that a page of the book can depend on."""
    found = [ROOT / "_config.yml", ROOT / "requirements.txt", Path(__file__)]
    found.append(Path(__file__).with_name("book_links.py"))
    for folder in ("book", "vaelib", "benchmarks/results"):
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
        options["launch_buttons"] = {
            "colab_url": "https://colab.research.google.com",
            "binderhub_url": "https://mybinder.org",
            # and what _config.yml names under launch_buttons, such as a JupyterHub
            **{k: v for k, v in options.get("launch_buttons", {}).items() if v},
        }


def link(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]):
    """Turn a docstring's `Equation:` and `References:` lines into links."""
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


def skip(app: Sphinx, what: str, name: str, obj: Any, skipped: bool, options: Any):
    """Leave out the fields of a named tuple: the text of the tuple explains them."""
    alias = (getattr(obj, "__doc__", "") or "").startswith("Alias for field number")
    return True if what == "class" and alias else None


def pages(app: Sphinx) -> str:
    """The text of all pages of the book."""
    files = (Path(app.env.doc2path(d)).with_suffix(".md") for d in app.env.found_docs)
    return "".join(file.read_text(encoding="utf-8") for file in files if file.exists())


def equation(text: str, label: re.Match[str]) -> str:
    return f":eq:`{label[0]}`" if f"({label[0]})" in text else label[0]


def start(app: Sphinx) -> None:
    if app.builder.format != "html":  # `make links` writes no page, and takes none away
        return
    app.book_digest = digest()
    (Path(app.outdir) / DIGEST).unlink(missing_ok=True)
    if app.fresh_env_used:  # everything is written anew; pages that are gone must go
        for page in Path(app.outdir).rglob("*.html"):
            page.unlink()


def execute(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Run the notebooks that are about to be read, and leave them where myst-nb looks.

    The cache is emptied first, so nothing in it is older than this build: its keys
    would not notice a change in vaelib. A notebook that fails is not put there; myst-nb
    runs it again, and stops the build with its error.
    """
    if app.builder.name == "linkcheck":  # looks at links only: older results will do
        return
    settings: NbParserConfig = app.env.mystnb_config
    folder = Path(settings.execution_cache_path)
    shutil.rmtree(folder, ignore_errors=True)
    cache = get_cache(folder)
    paths = [Path(env.doc2path(name)) for name in docnames]
    paths = [path for path in paths if path.suffix == ".ipynb"]

    def run(path: Path) -> ExecutionResult:
        return single_nb_execution(
            read(path, as_version=4),
            cwd=str(path.parent),
            timeout=settings.execution_timeout,
            allow_errors=False,
        )

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for path, result in zip(paths, pool.map(run, paths), strict=True):
            if result.err is None:
                took = {"execution_seconds": result.time}
                bundle = CacheBundleIn(result.nb, str(path), data=took)
                cache.cache_notebook_bundle(bundle, check_validity=False)
                logging.getLogger(__name__).info(f"{path.stem}: {result.time:.1f} s")


def typesetting(app: Sphinx, error: Exception | None) -> None:
    """Put MathJax's SVG build beside the pages, out of the package that brings it."""
    if error is not None or app.builder.format != "html":
        return
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    source = Path(package.origin).parent / "static" / "mathjax"
    target = Path(app.outdir) / "_static" / "mathjax"
    target.mkdir(exist_ok=True)
    for name in MATHJAX:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        else:
            shutil.copy2(source / name, target / name)


def finish(app: Sphinx, error: Exception | None) -> None:
    if error is not None:
        return
    if app._warncount:
        raise WarningsFail(f"{app._warncount} warning(s), see above")
    # An incremental build does not run the chapters that it does not read again.
    if app.builder.format == "html" and app.fresh_env_used:
        (Path(app.outdir) / DIGEST).write_text(app.book_digest)


def setup(app: Sphinx) -> dict[str, bool]:
    app.set_html_assets_policy("always")  # a page can have equations in outputs only
    app.connect("config-inited", buttons, priority=100)
    app.connect("builder-inited", start)
    app.connect("env-before-read-docs", execute)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", link, priority=100)
    app.connect("build-finished", typesetting)
    app.connect("build-finished", finish, priority=999)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
