"""What the tests share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from filelock import FileLock

import book_build

WITHOUT_CUDA = "needs a CUDA device; `pytest -m cuda` runs it where there is one"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if "cuda" in item.keywords:
            item.add_marker(pytest.mark.skip(reason=WITHOUT_CUDA))


@pytest.fixture(scope="session")
def site() -> Path:
    """The built site, made anew if it is older than what it is made of."""
    folder = book_build.ROOT / "_build" / "html"
    stamp = folder / book_build.DIGEST
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):  # of several workers, one builds
        if not stamp.exists() or stamp.read_text() != book_build.digest():
            command = [*book_build.JUPYTER_BOOK, "build", *book_build.AS_IN_MAKE_BOOK]
            command.append(str(book_build.ROOT / "book"))
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    return folder
