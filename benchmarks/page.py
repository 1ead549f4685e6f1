"""Run the book's page of the recorded speed again, and keep its figures as pictures.

python -m benchmarks.page
"""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import nbformat

from benchmarks import common

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "book" / "back" / "cost.md"
PICTURES = {"fig-cost-speed": "speed.png", "fig-cost-growth": "growth.png"}


def figures() -> dict[str, bytes]:
    """The page's figures by their file's name."""
    found = {}
    for cell in nbformat.read(PAGE.with_suffix(".ipynb"), as_version=4).cells:
        name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        if name in PICTURES:
            images = (o.get("data", {}).get("image/png") for o in cell.outputs)
            found[PICTURES[name]] = base64.b64decode(next(i for i in images if i))
    return found


def main() -> None:
    """Run the page, which reads the results, and write its figures beside these."""
    command = [sys.executable, ROOT / "tools" / "chapters.py", "--force", PAGE]
    subprocess.run(command, check=True)
    for name, content in figures().items():
        (common.RESULTS / name).write_bytes(content)


if __name__ == "__main__":
    main()
