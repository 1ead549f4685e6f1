"""Training state on disk: whole or not at all, one run's alone, checked before use."""

from __future__ import annotations

import errno
import functools
import hashlib
import io
import os
import platform
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from vaelib import __version__

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows
    flock = None

FORMAT, VERSION = "vaelib training checkpoint", 2
IN_VERSION_1 = {"precision": "highest"}  # what runs did, and files did not say
STATE = ("done", "reports", "total", "parts", "optimizer")


@contextmanager
def held(path: str | os.PathLike | None) -> Iterator[Path | None]:
    """A checkpoint's path, for one run alone.

    Whoever else asks for this file, by whatever name, is refused: another process,
    another thread, or the same one again. What is held is the operating system's lock
    of a file beside it, `path` + ".lock". It ends with its process, however that ends;
    a ".lock" file that a killed run left is taken over by the next.

    Processes forked meanwhile share it. Over NFS it holds between machines, if the
    server has locks, as in version 4; a folder without any is refused. On Windows,
    which has no such lock, nobody is.

    Yields:
        The absolute path of the file itself, without symbolic links; None for None.

    Raises:
        TypeError, ValueError: it is no path of a file, or the folder is not there or
            cannot be written to or locked in.
        BlockingIOError: another run holds it. Names that run's process, if known.
    """
    if path is None:
        yield None
        return
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"checkpoint: expected a path, got {type(path).__name__}")
    path = Path(path).resolve()
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no file")
        beside = path.with_name(path.name + ".lock")
        file = _locked(beside)
    except BlockingIOError as error:
        message = f"checkpoint: {path} is in use by {error.strerror}"
        message += "; expected a file for this run alone"
        raise BlockingIOError(error.errno, message) from None
    except OSError as error:
        raise ValueError(
            f"checkpoint: expected a file in a folder to write to, got {path}: "
            f"{error.strerror or error}"
        ) from error
    try:
        yield path
    finally:
        with suppress(OSError):  # still locked, so that nobody has taken it over
            beside.unlink()
        os.close(file)


def holding(train: Callable) -> Callable:
    """`train`, with the file of its argument `checkpoint` held while it runs.

    Of the processes of a group, the first holds it for all.
    """

    @functools.wraps(train)
    def alone(*args: Any, checkpoint: str | os.PathLike | None = None, **others: Any):
        grouped = distributed.is_available() and distributed.is_initialized()
        if grouped and distributed.get_rank() > 0:
            path = checkpoint and Path(checkpoint).resolve()
            return train(*args, checkpoint=path, **others)
        with held(checkpoint) as path:
            return train(*args, checkpoint=path, **others)

    return alone


def write(path: Path, configuration: dict[str, Any], state: dict[str, Any]) -> None:
    """Put this state at `path` in one indivisible move.

    The bytes go to a file beside it, `path` + ".tmp", and reach the disk before that
    file takes the place of the old one. So, killed at whatever moment, `path` is the
    old state or the new one, whole. A ".tmp" file left behind is overwritten next time.

    Args:
        path: a file that is `held`.
        configuration: what a run must agree with to go on from this state.
        state: of `STATE`'s names; tensors, numbers, strings, lists and dictionaries.

    Raises:
        OSError: it cannot be written, as on a full disk. Says what is at `path` now.
    """
    device = next((str(t.device) for t in state["parts"].values()), "no device")
    written = f"vaelib {__version__}, torch {torch.__version__}, {device}"
    content = {"format": FORMAT, "version": VERSION, "written": written}
    content |= {"configuration": configuration, "state": state}
    whole = io.BytesIO()  # torch.save hides why it cannot write
    torch.save(content, whole)
    unfinished = path.with_name(path.name + ".tmp")
    try:
        with open(unfinished, "wb") as file:
            file.write(whole.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        raise OSError(
            error.errno,
            f"checkpoint: {path} was not written after {state['done']} steps: "
            f"{error.strerror or error}; {_standing(path)}",
        ) from error
    finally:
        with suppress(OSError):  # it is there if something went wrong
            unfinished.unlink()
    with suppress(OSError):  # some systems cannot; a power cut may bring back the old
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read(path: Path, configuration: dict[str, Any]) -> dict[str, Any] | None:
    """The state at `path`, on the CPU, if a run of this configuration wrote it.

    Nothing in the file is executed, and the file stays as it is. `configuration` is
    that of the run that wants to go on.

    Returns:
        The state, or None where there is no file yet.

    Raises:
        ValueError: the file cannot be read, is foreign, damaged, incomplete, of a later
            version, or from a run of another configuration.
    """
    if not path.exists():
        return None
    content = _content(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _refusal(path, "holds something else")
    version = content.get("version")
    origin = f"of version {version}, written by {content.get('written', 'some vaelib')}"
    if not isinstance(version, int) or version > VERSION:
        raise _refusal(path, f"is {origin}, and this is vaelib {__version__}")
    theirs, state = content.get("configuration", {}), content.get("state", {})
    if version == 1:
        theirs = IN_VERSION_1 | theirs
    missing = [key for key in STATE if key not in state]
    missing += [key for key in configuration if key not in theirs]
    if missing:
        raise _refusal(path, f"is {origin}, and lacks {', '.join(missing)}")
    for key, ours in configuration.items():
        if theirs[key] != ours:
            raise ValueError(
                f"checkpoint: {path} is from another run; expected {key} = {ours}, "
                f"got {theirs[key]}"
            )
    return state


def _locked(path: Path) -> int:
    """A descriptor of the file at `path`, locked, with its holder's name in it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if flock is not None:
            flock(file, LOCK_EX | LOCK_NB)
        if not os.path.samestat(os.fstat(file), os.stat(path)):
            raise FileNotFoundError
    except OSError as error:
        holder = os.read(file, 999).decode() or "another run"
        os.close(file)
        if isinstance(error, BlockingIOError | FileNotFoundError):  # or just removed
            raise BlockingIOError(errno.EAGAIN, holder) from None
        raise
    with suppress(OSError):  # a full disk: then nobody is told
        os.ftruncate(file, 0)
        os.write(file, f"process {os.getpid()} on {platform.node()}".encode())
    return file


def _content(path: Path) -> Any:
    """What is in the file, on the CPU."""
    try:
        whole = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise _refusal(path, f"cannot be read: {error.strerror}") from error
    try:
        with zipfile.ZipFile(whole) as file:
            if (part := file.testzip()) is not None:  # torch.load checks no checksum
                raise zipfile.BadZipFile(f"wrong checksum of {part}")
        whole.seek(0)
        return torch.load(whole, map_location="cpu", weights_only=True)
    except Exception as error:  # foreign bytes make the reader raise anything
        raise _refusal(path, "is damaged or no checkpoint") from error


def _refusal(path: Path, why: str) -> ValueError:
    return ValueError(
        f"checkpoint: {path} {why}; expected a file that vaelib.training.train wrote, "
        f"of a version up to {VERSION}"
    )


def _standing(path: Path) -> str:
    """What is at `path` after a write that failed, in words."""
    if not path.exists():
        return "there was none before"
    with suppress(ValueError, KeyError, TypeError):
        return f"that after {_content(path)['state']['done']} steps is there, whole"
    return "what was there is there"


def digest(data: Tensor) -> str:
    """The data's shape, dtype and SHA-256, in words."""
    sha256 = hashlib.sha256(data.cpu().contiguous().numpy()).hexdigest()
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
