"""Training state on disk: written whole or not at all, and checked before use."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

FORMAT, VERSION = "vaelib training checkpoint", 1


def write(path: Path, configuration: dict[str, Any], state: dict[str, Any]) -> None:
    """Put this state at `path` in one indivisible move.

    The bytes go to a file beside it, `path` + ".tmp", and reach the disk before that
    file takes the place of the old one. So, killed at whatever moment, `path` is the
    old state or the new one, whole. A ".tmp" file left behind is overwritten next time.

    Args:
        path: a file; its folder exists.
        configuration: what a run must agree with to go on from this state.
        state: tensors, numbers, strings, and lists and dictionaries of these.
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "configuration": configuration,
        "state": state,
    }
    unfinished = path.with_name(path.name + ".tmp")
    with open(unfinished, "wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read(path: Path, configuration: dict[str, Any]) -> dict[str, Any] | None:
    """The state at `path`, on the CPU, if a run of this configuration wrote it.

    Nothing in the file is executed, and the file stays as it is.

    Args:
        path: a file that `write` made, or none yet.
        configuration: of the run that wants to go on.

    Returns:
        The state, or None where there is no file yet.

    Raises:
        ValueError: the file is foreign, damaged, of another version, or from a run of
            another configuration; or it could not be written later.
    """
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ValueError(
            f"checkpoint: expected a file in a folder to write to, got {path}"
        )
    if not path.exists():
        return None
    expected = f"expected a file that vaelib.training.train wrote, of version {VERSION}"
    try:
        with zipfile.ZipFile(path) as file:
            if (part := file.testzip()) is not None:  # torch.load checks no checksum
                raise zipfile.BadZipFile(f"wrong checksum of {part}")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # foreign bytes make the reader raise anything
        raise ValueError(
            f"checkpoint: {path} is damaged or no checkpoint; {expected}"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"checkpoint: {path} holds something else; {expected}")
    if content["version"] != VERSION:
        raise ValueError(
            f"checkpoint: {path} is of version {content['version']}; {expected}"
        )
    theirs = content["configuration"]
    for key in configuration:
        if theirs.get(key) != configuration[key]:
            raise ValueError(
                f"checkpoint: {path} is from another run; expected {key} = "
                f"{configuration[key]}, got {theirs.get(key)}"
            )
    return content["state"]


def digest(data: Tensor) -> str:
    """The data's shape, dtype and SHA-256, in words."""
    numbers = data.cpu().contiguous().numpy()
    sha256 = hashlib.sha256(numbers).hexdigest()
    return f"{tuple(data.shape)} {data.dtype} {sha256}"


def layout(parts: nn.Module) -> list[str]:
    """Name, shape and dtype of each tensor in a module, and whether it is trained."""
    return [
        f"{name} {tuple(value.shape)} {value.dtype}{' trained' * value.requires_grad}"
        for name, value in parts.state_dict(keep_vars=True).items()
    ]


def name(function: object) -> str:
    """What a function, or an object that is called like one, is called."""
    return getattr(function, "__qualname__", type(function).__qualname__)
