"""What the tests share."""

from __future__ import annotations

import pytest
import torch

WITHOUT_CUDA = "needs a CUDA device; `pytest -m cuda` runs it where there is one"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if "cuda" in item.keywords:
            item.add_marker(pytest.mark.skip(reason=WITHOUT_CUDA))
