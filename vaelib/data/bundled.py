"""Real data that comes with scikit-learn and so needs no network."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

DIGIT_LEVELS = 16  # a pixel counts the dark dots of a 4×4 block


class Digits(NamedTuple):
    """Digits of 8×8 pixels: counts 0 to 16 as floats, `(N, 64)`, and labels `(N,)`."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


def digits(dtype: torch.dtype = torch.float32) -> Digits:
    """The 1,797 digits bundled with scikit-learn, split 1,500 to 297.

    The original bitmaps of 32×32 were divided into 4×4 blocks and the dark dots of each
    counted, so that a pixel is an exact count between 0 and 16. The split is fixed and
    stratified: every digit is in both parts in equal proportion.

    Returns:
        `Digits`, on the CPU.

    References: kaynak1995, alpaydin1998.

    Example:
        >>> data = digits()
        >>> tuple(data.train_x.shape), tuple(data.test_x.shape)
        ((1500, 64), (297, 64))
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    parts = train_test_split(x, y, test_size=297, stratify=y, random_state=0)
    train_x, test_x, train_y, test_y = map(torch.from_numpy, parts)
    return Digits(train_x.to(dtype), train_y, test_x.to(dtype), test_y)


class Iris(NamedTuple):
    """Four lengths of 150 flowers in centimetres, `(150, 4)`, and their species."""

    x: Tensor
    species: Tensor
    names: tuple[str, ...]


def iris(dtype: torch.dtype = torch.float64) -> Iris:
    """The 150 irises of three species bundled with scikit-learn.

    Columns: length and width of the sepal, length and width of the petal.

    References: fisher1936.

    Example:
        >>> flowers = iris()
        >>> tuple(flowers.x.shape), flowers.names
        ((150, 4), ('setosa', 'versicolor', 'virginica'))
    """
    from sklearn.datasets import load_iris

    bundle = load_iris()
    names = tuple(str(name) for name in bundle.target_names)
    x, species = torch.from_numpy(bundle.data), torch.from_numpy(bundle.target)
    return Iris(x.to(dtype), species, names)
