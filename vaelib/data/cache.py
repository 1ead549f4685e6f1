"""Known files: in a folder already, or downloaded into it whole and checked."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from vaelib import progress

TIMEOUT = 20  # seconds without an answer, or without a further byte
CHUNK = 1 << 14  # bytes that are received at a time


class Known(NamedTuple):
    """What a file must be: its size in bytes, SHA-256 and what is in it."""

    size: int
    sha256: str
    shape: tuple[int, ...]


Inspect = Callable[[bytes], object]


def read(
    path: Path,
    known: Known,
    inspect: Inspect,
    mirrors: Sequence[str],
    show: bool | None,
) -> bytes:
    """The content of a known file, downloaded first if it is not there.

    A file that is there is never overwritten, whatever it is.

    Args:
        path: where it is, or will be.
        known: what it must be.
        inspect: raises ValueError with words on what a wrong content is.
        mirrors: folders on the web, with a slash at the end, to try in this order; none
            forbids a download.
        show: as for `progress.bar`.

    Raises:
        FileNotFoundError: it is not there, and there is no mirror to ask.
        ConnectionError: no mirror gave it.
        ValueError: what is there is something else.
        OSError: the folder cannot be read or written, or is full.
    """
    if not path.exists():
        if not mirrors:
            raise FileNotFoundError(
                errno.ENOENT,
                f"{path.name} is not in {path.parent}, and no download was asked for; "
                "allow it, or put the file there by hand",
            )
        download(path, known, inspect, mirrors, show)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OSError(
            error.errno,
            f"{path} cannot be read: {error.strerror}; expected a file of "
            f"{known.size} bytes with permission to read it",
        ) from error
    if (wrong := _wrong(content, known, inspect)) is not None:
        raise ValueError(
            f"{path}: {wrong}; delete or move this file and try again: a file that is "
            "not there is downloaded"
        )
    return content


def download(
    path: Path,
    known: Known,
    inspect: Inspect,
    mirrors: Sequence[str],
    show: bool | None,
) -> None:
    """Put a known file at `path`, from the first mirror that has it.

    It arrives in `path` + ".part" and is moved to `path` only when it is whole and its
    checksum right. A download that broke off, or was interrupted, is continued by the
    next mirror or the next call where it ended.

    Raises:
        ConnectionError: no mirror gave it. Names what came from each.
        OSError: the folder cannot be written, or is full.
    """
    import pooch
    import requests

    logger, reasons = pooch.get_logger(), []
    level = logger.level
    settings = {"path": path, "known": known, "inspect": inspect, "show": show}
    fetch = functools.partial(_fetch, **settings)
    logger.setLevel("WARNING")  # the bar says the rest
    try:
        for mirror in mirrors:
            url = mirror + path.name
            try:
                pooch.retrieve(url, known.sha256, path.name, path.parent, None, fetch)
                return
            except requests.RequestException as error:
                reasons.append(f"{url}: {_words(error)}")
            except ValueError as error:
                reasons.append(f"{url}: {error}")
    except OSError as error:
        with suppress(OSError):
            _part(path).unlink()
        number = error.errno or errno.EACCES
        raise OSError(
            number,
            f"{path} cannot be written: {os.strerror(number)}; expected a folder to "
            f"write to with {known.size} free bytes; make room, or name another folder",
        ) from error
    finally:
        logger.setLevel(level)
    raise ConnectionError(
        f"{path.name} could not be downloaded. {'. '.join(reasons)}. Try again with a "
        f"network, or put the file into {path.parent} by hand"
    )


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _fetch(
    url: str,
    target: str,
    _: object,
    *,
    path: Path,
    known: Known,
    inspect: Inspect,
    show: bool | None,
) -> None:
    """What pooch calls to fill its temporary file `target` from the web."""
    import requests

    part = _part(path)
    done = part.stat().st_size if part.exists() else 0
    if done >= known.size and _wrong(part.read_bytes(), known, inspect):
        done = 0
    if done < known.size:
        headers = {"Accept-Encoding": "identity"}
        if done:
            headers["Range"] = f"bytes={done}-"
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            answer.raise_for_status()
            if answer.status_code != requests.codes.partial:  # it sends the whole file
                done = 0
            settings = {"unit": "B", "unit_scale": True, "desc": path.name}
            with (
                progress.bar(show, known.size, done, **settings) as bar,
                open(part, "ab" if done else "wb") as file,
            ):
                for chunk in answer.iter_content(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
                    if file.tell() > known.size:
                        break
    wrong = _wrong(part.read_bytes(), known, inspect)
    if wrong is not None:
        part.unlink()
        raise ValueError(wrong)
    os.replace(part, target)


def _wrong(content: bytes, known: Known, inspect: Inspect) -> str | None:
    """What is wrong with a content, in words, or None."""
    found = hashlib.sha256(content).hexdigest()
    if found == known.sha256:
        return None
    try:
        inspect(content)
    except ValueError as error:
        return str(error)
    return f"expected SHA-256 {known.sha256}, got {found}: other data of the same kind"


def _words(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError):
        return f"answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error)
