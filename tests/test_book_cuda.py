"""Every chapter's assertions hold on a GPU, and what trains, trains there."""

from __future__ import annotations

import nbformat
import pytest

import chapters as tool

pytestmark = pytest.mark.cuda
USED = "import torch; print(torch.cuda.max_memory_allocated())"


@pytest.mark.parametrize("source", tool.chapters(), ids=lambda p: p.stem)
def test_chapter_on_cuda(source):
    notebook = tool.read_source(source)
    trains = any(
        cell.cell_type == "code" and "train(" in cell.source for cell in notebook.cells
    )
    notebook.cells.append(nbformat.v4.new_code_cell(USED))
    outcome = tool.execute(notebook)
    assert not outcome.problem
    if trains:
        assert int(outcome.notebook.cells[-1].outputs[0].text) > 0
