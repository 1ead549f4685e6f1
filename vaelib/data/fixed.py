"""The fixed binarisation of MNIST that the literature compares on."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaelib.data.mnist import mnist_folder

PACKED = "binarized_mnist_packed.npz"
# SHA-256 of each part, eight pixels to a byte, the first in the highest bit.
PARTS = {
    "train": (
        50_000,
        "727146c35424b019f3e350e1e69faa05644a0abaf787e3f4e1a9632220a13906",
    ),
    "valid": (
        10_000,
        "a256ac44ae26be720fad8616a05ed6ecfd1619930d9a208379bb2a4405df5b6d",
    ),
    "test": (
        10_000,
        "9fcd8da6f0fdf09b2ba30fe63a0bb784042a0de82563172530229b983e294ff2",
    ),
}


class BinarisedMnist(NamedTuple):
    """Bits of 28×28 pixels, uint8 `(N, 784)`: 50,000, 10,000 and 10,000 of them."""

    train_x: Tensor
    valid_x: Tensor
    test_x: Tensor


def binarised_mnist(folder: str | os.PathLike | None = None) -> BinarisedMnist:
    """The fixed binarisation of MNIST by Larochelle and Murray, from local files.

    Each pixel was drawn once, with its grey level as probability. Published results "on
    binarised MNIST" are mostly on these files. Their order is not that of `mnist`, so
    its labels do not belong to them.

    The folder holds the published text files `binarized_mnist_train.amat`, `…_valid…`
    and `…_test…` (55 million digits 0 and 1, not downloaded here), or all of it in
    `binarized_mnist_packed.npz`: for each part an array, its rows by `numpy.packbits`.

    Args:
        folder: None is `mnist_folder()`.

    Returns:
        `BinarisedMnist`, on the CPU.

    Raises:
        FileNotFoundError: neither kind of file is there.
        ValueError: a file holds something else than this binarisation.

    References: larochelle2011.
    """
    folder = mnist_folder() if folder is None else Path(folder)
    packed = folder / PACKED
    if packed.exists():
        parts = _unzipped(packed)
    else:
        parts = {name: _text(folder / f"binarized_mnist_{name}.amat") for name in PARTS}
    tensors = []
    for name, (rows, sha256) in PARTS.items():
        part = parts[name]
        found = hashlib.sha256(part.tobytes()).hexdigest()
        if part.size != rows * 98 or found != sha256:
            raise ValueError(
                f"{folder}: the part {name!r} of the fixed binarisation: expected "
                f"{rows * 98} packed bytes of SHA-256 {sha256}, got {part.size} of "
                f"{found}; get these files anew"
            )
        tensors.append(torch.from_numpy(np.unpackbits(part)).view(rows, 784))
    return BinarisedMnist(*tensors)


def _unzipped(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: np.ascontiguousarray(file[name], np.uint8) for name in PARTS}
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path}: expected a NumPy archive of the arrays {', '.join(PARTS)}, got "
            f"something else: {error}; get this file anew"
        ) from error


def _text(path: Path) -> np.ndarray:
    """The digits 0 and 1 in a text file, packed; whatever separates them."""
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is not there, nor {PACKED} beside it; the fixed binarisation is "
            "not downloaded: put one of the two there"
        )
    content = np.frombuffer(path.read_bytes(), np.uint8)
    return np.packbits(content[(content == 48) | (content == 49)] - 48)
