"""MNIST from its original files, checked and cached, and bits drawn from its greys."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch import distributions as td

from vaelib import noise
from vaelib.data import cache, idx

MNIST_LEVELS = 255  # a pixel is a grey level from 0 to 255
FILES = {
    "train-images-idx3-ubyte.gz": cache.Known(
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        (60_000, 28, 28),
    ),
    "train-labels-idx1-ubyte.gz": cache.Known(
        28_881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        (60_000,),
    ),
    "t10k-images-idx3-ubyte.gz": cache.Known(
        1_648_877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        (10_000, 28, 28),
    ),
    "t10k-labels-idx1-ubyte.gz": cache.Known(
        4_542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        (10_000,),
    ),
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)


class Mnist(NamedTuple):
    """Digits of 28×28 pixels: grey levels 0 to 255, uint8 `(N, 784)`; labels `(N,)`."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


def mnist_folder() -> Path:
    """Where MNIST is looked for: $VAELIB_MNIST, else a folder of the user's cache."""
    import pooch

    named = os.environ.get("VAELIB_MNIST")
    return Path(named).expanduser() if named else pooch.os_cache("vaelib") / "mnist"


def mnist_cached(folder: str | os.PathLike | None = None) -> bool:
    """Whether the four files are in the folder, so that no network is needed."""
    folder = mnist_folder() if folder is None else Path(folder)
    return all((folder / name).is_file() for name in FILES)


def mnist_asked_for() -> bool:
    """Whether a chapter that can run on MNIST shall: if $VAELIB_DATA is "mnist".

    And if it can: the four files are here, or a CUDA device is, on which a download is
    worth while. Otherwise chapters run on the bundled digits, and need no network.

    Raises:
        ValueError: $VAELIB_DATA is neither "mnist" nor "digits" nor empty.
    """
    asked = os.environ.get("VAELIB_DATA", "")
    if asked not in ("mnist", "digits", ""):
        raise ValueError(f"VAELIB_DATA: expected mnist or digits, got {asked!r}")
    return asked == "mnist" and (mnist_cached() or torch.cuda.is_available())


def mnist(
    folder: str | os.PathLike | None = None,
    *,
    download: bool = True,
    mirrors: Sequence[str] = MIRRORS,
    progress: bool | None = None,
) -> Mnist:
    """MNIST: 60,000 digits for training and 10,000 for testing, from its four files.

    A file that is not in the folder is downloaded, once: into a partial file, continued
    if it breaks off, from several mirrors, and put in its place when its SHA-256 is
    right. Files that are there are checked in the same way and never changed, so the
    folder may be a read-only one. (Fashion-MNIST and others use the same file names.)

    Args:
        folder: of the four `.gz` files. None is `mnist_folder()`.
        download: whether files that are not there may be downloaded, 11.6 MB in all.
        mirrors: addresses of folders on the web with these files, tried in this order.
        progress: whether to show a bar, on stderr. None shows it to a human at a
            terminal or a notebook.

    Returns:
        `Mnist`, on the CPU.

    Raises:
        FileNotFoundError: a file is not there and `download` is False.
        ConnectionError: a file is not there and no mirror gave it.
        ValueError: a file is not that of MNIST; says what it is instead.
        OSError: the folder cannot be read or written, or its disk is full.

    References: lecun1998.
    """
    folder = mnist_folder() if folder is None else Path(folder)
    mirrors = mirrors if download else ()
    parts = []
    for name, known in FILES.items():
        inspect = functools.partial(idx.decode, shape=known.shape)
        parts.append(
            inspect(cache.read(folder / name, known, inspect, mirrors, progress))
        )
    train_x, train_y, test_x, test_y = parts
    return Mnist(train_x.flatten(1), train_y.long(), test_x.flatten(1), test_y.long())


def binarise(
    x: Tensor, generator: torch.Generator, levels: int = MNIST_LEVELS
) -> Tensor:
    """Bits b ~ Bernoulli(x / levels), pixel by pixel: grey read as "how often dark".

    Drawn once for all, with `noise.stream(seed, "binarise")`, this is a fixed
    binarisation, the same at every call (though not that of Larochelle and Murray, for
    which see `binarised_mnist`). Drawn anew for every batch, as `train(…,
    transform=data.binarise)` does, it is the stochastic binarisation of Salakhutdinov
    and Murray. Results on the two are on different data and must not be compared.

    Args:
        x: grey levels from 0 to `levels`, any shape and dtype.
        generator: the stream, on the device of x.
        levels: the level of a pixel that is always dark; 16 for `digits`.

    Returns:
        0 and 1, in the shape of x; in its dtype if that is floating, else float32.

    Raises:
        ValueError: x has other values.

    References: salakhutdinov2008.
    """
    if not ((x >= 0) & (x <= levels)).all():
        raise ValueError(
            f"x: expected grey levels from 0 to {levels}, got values from {x.min()} to "
            f"{x.max()}"
        )
    probs = (x if x.is_floating_point() else x.float()) / levels
    return noise.sample(td.Bernoulli(probs=probs), 1, generator)[0]
