"""Files in the IDX format of the original MNIST: how to read one, and what is wrong."""

from __future__ import annotations

import gzip
import math
import zlib

import torch
from torch import Tensor

IMAGES, LABELS = 2051, 2049  # the first four bytes of such a file, as one number
_KINDS = {IMAGES: ("images", 3), LABELS: ("labels", 1)}


def decode(content: bytes, shape: tuple[int, ...]) -> Tensor:
    """The numbers in a gzipped IDX file of images or labels, of exactly this shape.

    An IDX file is a magic number (2051: unsigned bytes with three axes, images; 2049:
    with one axis, labels), the length of each axis, both as big-endian numbers of four
    bytes, and then the bytes themselves.

    Args:
        content: of the file.
        shape: (N, rows, columns) of images, (N,) of labels.

    Returns:
        A uint8 tensor of this shape.

    Raises:
        ValueError: the content is something else; says what it is and what was
            expected.
    """
    wanted = {axes: f"{shape[0]} {name}" for name, axes in _KINDS.values()}[len(shape)]
    wanted = f"expected a gzipped IDX file of {wanted}"
    if not content:
        raise ValueError(f"{wanted}, got an empty file")
    if content[:200].lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ValueError(f"{wanted}, got a web page, perhaps an error page")
    if not content.startswith(b"\x1f\x8b"):
        raise ValueError(f"{wanted}, got a file that is not gzipped")
    try:
        raw = gzip.decompress(content)
    except EOFError:
        raise ValueError(
            f"{wanted}, got one cut short, of {len(content)} bytes"
        ) from None
    except (OSError, zlib.error) as error:
        raise ValueError(f"{wanted}, got a damaged one: {error}") from None
    magic = int.from_bytes(raw[:4], "big")
    if magic not in _KINDS:
        raise ValueError(f"{wanted}, got magic number {magic}, of another format")
    name, axes = _KINDS[magic]
    if axes != len(shape):
        raise ValueError(f"{wanted}, got one of {name} (magic number {magic})")
    start = 4 + 4 * axes
    found = tuple(int.from_bytes(raw[i : i + 4], "big") for i in range(4, start, 4))
    if found != shape:
        raise ValueError(f"{wanted}, of shape {shape}, got shape {found}")
    if len(raw) != start + math.prod(shape):
        raise ValueError(
            f"{wanted}, of {math.prod(shape)} numbers, got {len(raw) - start}"
        )
    return torch.frombuffer(bytearray(raw[start:]), dtype=torch.uint8).view(shape)
