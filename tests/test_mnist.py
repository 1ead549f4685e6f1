"""MNIST: the files are read right, wrong ones are named, and the cache stays whole.

Most tests use small generated files in the same format, served by a local web server.
The original files are tested where they are: in the folder that $VAELIB_MNIST names, in
a folder `shared/data` beside the checkout, where CI puts them, or in the user's cache.
"""

from __future__ import annotations

import errno
import functools
import gzip
import hashlib
import http.server
import importlib
import json
import os
import runpy
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributions as td

from tests.statistics import assert_mean
from vaelib import data, noise
from vaelib.data import cache, fixed, idx

mnist = importlib.import_module("vaelib.data.mnist")
ROOT = Path(__file__).parents[1]
PLACES = (ROOT.parent / "shared" / "data", mnist.mnist_folder())
REAL = next((p for p in PLACES[::-1] if data.mnist_cached(p)), None)
needs_mnist = pytest.mark.skipif(
    REAL is None,
    reason="the files of MNIST are not here; runs where $VAELIB_MNIST names their "
    "folder, or they are in ../shared/data beside the checkout, or cached",
)
FIXED = next((p for p in PLACES[::-1] if (p / fixed.PACKED).exists()), None)
needs_fixed = pytest.mark.skipif(
    FIXED is None,
    reason=f"{fixed.PACKED} is not here; runs where $VAELIB_MNIST names its folder, or "
    "it is in ../shared/data beside the checkout",
)


# Small files in the same format


def idx_file(array, magic=None):
    """A gzipped IDX file of an array of bytes, the same bytes every time."""
    magic = (2048 + array.ndim) if magic is None else magic
    head = struct.pack(f">{1 + array.ndim}I", magic, *array.shape)
    return gzip.compress(head + array.astype(np.uint8).tobytes(), mtime=0)


def arrays(kind=0):
    """Pictures and labels of 60 and 20 digits; another kind is another data set."""
    g = np.random.default_rng(kind)
    return [
        a
        for n in (60, 20)
        for a in (g.integers(0, 256, (n, 28, 28)), np.arange(n) % 10)
    ]


NAMES = list(mnist.FILES)
ARRAYS = arrays()
GOOD = {name: idx_file(array) for name, array in zip(NAMES, ARRAYS, strict=True)}
SMALL = {
    name: cache.Known(len(content), hashlib.sha256(content).hexdigest(), array.shape)
    for (name, content), array in zip(GOOD.items(), ARRAYS, strict=True)
}
IMAGES, LABELS = NAMES[0], NAMES[1]


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Small files for MNIST's, no proxy, and a user's cache that is empty."""
    monkeypatch.setattr(mnist, "FILES", SMALL)
    monkeypatch.setattr(mnist, "MIRRORS", ())  # no test asks the real ones
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "*")
    monkeypatch.setenv("VAELIB_MNIST", str(tmp_path / "unused"))


def put(folder, **changed):
    """Write the small files to a folder, some of them changed."""
    folder.mkdir(exist_ok=True)
    for name, content in (GOOD | changed).items():
        (folder / name).write_bytes(content)
    return folder


def is_right(loaded):
    train_x, train_y, test_x, test_y = (torch.from_numpy(a) for a in ARRAYS)
    assert torch.equal(loaded.train_x, train_x.to(torch.uint8).view(60, 784))
    assert torch.equal(loaded.test_x, test_x.to(torch.uint8).view(20, 784))
    assert torch.equal(loaded.train_y, train_y)
    assert torch.equal(loaded.test_y, test_y)
    assert loaded.train_y.dtype == torch.int64


# A web server that misbehaves on request


class Server(http.server.ThreadingHTTPServer):
    """Serves the small files; `how` maps a name to its next requests' ways to fail."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.how, self.requests = dict(GOOD), {}, []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"


KEPT = len(GOOD[IMAGES]) // 2 // cache.CHUNK * cache.CHUNK  # what breaking off leaves
assert KEPT > 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.strip("/")
        left, content = self.server.how.get(name), self.server.files[name]
        how = left.pop(0) if left else None
        wanted = self.headers.get("Range")
        self.server.requests.append((name, wanted))
        if how == "missing":
            self.send_error(404)
            return
        start = int(wanted.split("=")[1].strip("-")) if wanted else 0
        if how == "ignores ranges":
            start = 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = len(content) // 2 if how == "breaks off" else len(content)
        self.wfile.write(content[start:stop])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    running = Server()
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def closed_port():
    running = Server()
    running.server_close()
    return running.url


# What comes back


def test_files_are_read_and_not_changed(tmp_path):
    folder = put(tmp_path / "files")
    before = {p: p.stat() for p in folder.iterdir()}
    is_right(data.mnist(folder, download=False))
    is_right(data.mnist(str(folder)))
    assert {p: p.stat() for p in folder.iterdir()} == before


def test_the_folder_is_named_by_the_environment_or_in_the_users_cache(
    tmp_path, monkeypatch
):
    put(tmp_path / "files")
    assert not data.mnist_cached()
    monkeypatch.setenv("VAELIB_MNIST", str(tmp_path / "files"))
    assert data.mnist_cached() and data.mnist_folder() == tmp_path / "files"
    is_right(data.mnist(download=False))
    (tmp_path / "files" / IMAGES).unlink()
    assert not data.mnist_cached()
    monkeypatch.setenv("VAELIB_MNIST", "")
    assert data.mnist_folder().parts[-2:] == ("vaelib", "mnist")


def test_chapters_run_on_mnist_when_asked_and_when_they_can(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("VAELIB_DATA", "mnist")
    assert not data.mnist_asked_for()  # asked, but it is not here
    monkeypatch.setenv("VAELIB_MNIST", str(put(tmp_path / "files")))
    assert data.mnist_asked_for()
    for other in ("digits", ""):
        monkeypatch.setenv("VAELIB_DATA", other)
        assert not data.mnist_asked_for()
    monkeypatch.delenv("VAELIB_DATA")
    assert not data.mnist_asked_for()  # here, but nobody asked
    monkeypatch.setenv("VAELIB_DATA", "MNIST?")
    with pytest.raises(ValueError, match="^VAELIB_DATA: expected mnist or digits, got"):
        data.mnist_asked_for()
    monkeypatch.setenv("VAELIB_MNIST", str(tmp_path / "nowhere"))
    monkeypatch.setenv("VAELIB_DATA", "mnist")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert data.mnist_asked_for()  # a download is worth while


@pytest.mark.parametrize("array", [*ARRAYS[:2], np.zeros((3, 2, 5)), np.arange(1)])
def test_decoding_is_the_inverse_of_encoding(array):
    decoded = idx.decode(idx_file(array), array.shape)
    assert decoded.dtype == torch.uint8
    assert np.array_equal(decoded.numpy(), array)


@needs_mnist
def test_the_original_files(monkeypatch):
    monkeypatch.undo()
    digits = data.mnist(REAL, download=False)
    assert digits.train_x.shape == (60_000, 784) and digits.test_x.shape == (
        10_000,
        784,
    )
    counts = [digits.train_y.bincount().tolist(), digits.test_y.bincount().tolist()]
    assert counts[0] == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert counts[1] == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    sums = [x.sum(dtype=torch.int64).item() for x in (digits.train_x, digits.test_x)]
    assert sums == [1_567_298_545, 264_923_200]
    assert digits.train_y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    # The other checksums that are published for these files.
    md5 = [hashlib.md5((REAL / name).read_bytes()).hexdigest() for name in NAMES]
    assert md5 == [
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ]


# Downloads


def test_a_download_is_made_once(tmp_path, server, capfd):
    folder = tmp_path / "new" / "cache"
    is_right(data.mnist(folder, mirrors=[server.url]))
    assert [name for name, _ in server.requests] == NAMES
    assert sorted(p.name for p in folder.iterdir()) == sorted(NAMES)
    is_right(data.mnist(folder, mirrors=[server.url]))
    assert len(server.requests) == 4
    (folder / LABELS).unlink()
    is_right(data.mnist(folder, mirrors=[server.url]))
    assert server.requests[4:] == [(LABELS, None)]
    assert capfd.readouterr() == ("", "")  # nobody looks


def test_progress_is_shown_on_request(tmp_path, server, capfd):
    data.mnist(tmp_path, mirrors=[server.url], progress=True)
    out, err = capfd.readouterr()
    assert out == "" and all(name in err for name in NAMES) and "100%" in err


@pytest.mark.parametrize("how", ["missing", "breaks off"])
def test_the_next_mirror_is_asked(tmp_path, server, how):
    server.how = {IMAGES: [how]}
    is_right(data.mnist(tmp_path, mirrors=[closed_port(), server.url, server.url]))
    asked = [wanted for name, wanted in server.requests if name == IMAGES]
    assert asked == [None, None if how == "missing" else f"bytes={KEPT}-"]


@pytest.mark.parametrize("then", [None, "ignores ranges"])
def test_a_download_that_broke_off_goes_on_in_the_next_call(tmp_path, server, then):
    server.how = {IMAGES: ["breaks off"]}
    with pytest.raises(ConnectionError, match="broke off"):
        data.mnist(tmp_path, mirrors=[server.url])
    part = tmp_path / (IMAGES + ".part")
    assert [*tmp_path.iterdir()] == [part] and part.stat().st_size == KEPT
    assert not data.mnist_cached(tmp_path)
    server.how = {IMAGES: [then]}
    is_right(data.mnist(tmp_path, mirrors=[server.url]))
    assert server.requests[1] == (IMAGES, f"bytes={KEPT}-")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("part", ["whole", "of something else", "longer"])
def test_whatever_an_interrupted_download_left_does_no_harm(tmp_path, server, part):
    content = {
        "whole": GOOD[IMAGES],
        "of something else": bytes(1000),
        "longer": GOOD[IMAGES] + b"more",
    }[part]
    (tmp_path / (IMAGES + ".part")).write_bytes(content)
    is_right(data.mnist(tmp_path, mirrors=[server.url] * 2))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(NAMES)
    asked = [r for r in server.requests if r[0] == IMAGES]
    assert (
        asked
        == {
            "whole": [],
            "of something else": [(IMAGES, "bytes=1000-"), (IMAGES, None)],
            "longer": [(IMAGES, None)],
        }[part]
    )


# Ten ways to fail: one clear error each, and the cache is usable afterwards

PAGE = b"<!DOCTYPE html><html><title>404 Not Found</title></html>"
FLIPPED = GOOD[IMAGES][:5000] + bytes([GOOD[IMAGES][5000] ^ 8]) + GOOD[IMAGES][5001:]
OTHERS = idx_file(arrays(kind=1)[0])  # as Fashion-MNIST: the same names and shapes
LONG = gzip.compress(gzip.decompress(GOOD[IMAGES]) + b"\0", mtime=0)
WRONG = {
    "truncated": (GOOD[IMAGES][:2000], "got one cut short, of 2000 bytes"),
    "wrong magic": (idx_file(ARRAYS[0], 9999), "got magic number 9999"),
    "swapped": (GOOD[LABELS], r"got one of labels \(magic number 2049\)"),
    "wrong count": (idx_file(ARRAYS[2]), r"of shape \(60, 28, 28\), got .*\(20, 28"),
    "web page": (PAGE, "got a web page, perhaps an error page"),
    "empty": (b"", "got an empty file"),
    "damaged": (FLIPPED, "got a damaged one: "),
    "not gzipped": (gzip.decompress(GOOD[IMAGES]), "got a file that is not gzipped"),
    "too long": (LONG, "of 47040 numbers, got 47041"),
    "checksum": (
        OTHERS,
        r"expected SHA-256 \w{64}, got \w{64}: other data of the same",
    ),
}
each_wrong = pytest.mark.parametrize("what", WRONG)


@each_wrong
@pytest.mark.parametrize("download", [True, False])
def test_a_wrong_file_in_the_folder(tmp_path, server, what, download):
    content, words = WRONG[what]
    folder = put(tmp_path / "files", **{IMAGES: content})
    load = functools.partial(data.mnist, folder, mirrors=[server.url])
    message = f"^{folder / IMAGES}: .*{words}.*; delete or move this file and"
    with pytest.raises(ValueError, match=message) as caught:
        load(download=download)
    assert "\n" not in str(caught.value)
    expected = "SHA-256" if what == "checksum" else "a gzipped IDX file of 60 images"
    assert f"{IMAGES}: expected {expected}" in str(caught.value)
    assert (folder / IMAGES).read_bytes() == content  # never overwritten
    assert not server.requests
    (folder / IMAGES).unlink()  # what the message says
    is_right(load())
    assert server.requests == [(IMAGES, None)]


@each_wrong
def test_a_wrong_file_on_the_web(tmp_path, server, what):
    server.files[IMAGES], words = WRONG[what]
    message = f"^{IMAGES} could not be downloaded. {server.url}{IMAGES}: .*{words}.*"
    with pytest.raises(ConnectionError, match=message + "by hand$"):
        data.mnist(tmp_path, mirrors=[server.url])
    assert not [*tmp_path.iterdir()]  # nothing wrong is kept
    server.files = dict(GOOD)
    is_right(data.mnist(tmp_path, mirrors=[server.url]))


def test_labels_where_images_belong_and_the_reverse(tmp_path):
    folder = put(tmp_path / "files", **{LABELS: GOOD[IMAGES]})
    with pytest.raises(ValueError, match=r"60 labels, got one of images \(magic"):
        data.mnist(folder)


@pytest.mark.parametrize("how", ["no network", "missing", "breaks off", "no answer"])
def test_no_network(tmp_path, server, how, monkeypatch):
    words = {
        "no network": "no connection",
        "missing": "answered 404 Not Found",
        "breaks off": "the connection broke off",
        "no answer": "no answer in time",
    }[how]
    url = closed_port() if how == "no network" else server.url
    server.how = {IMAGES: [how]}
    if how == "no answer":
        import requests

        def late(*args, **settings):
            assert settings["timeout"] == cache.TIMEOUT
            raise requests.ReadTimeout

        monkeypatch.setattr(requests, "get", late)
    expected = f"^{IMAGES} could not be downloaded. {url}{IMAGES}: {words}. Try again "
    with pytest.raises(ConnectionError, match=expected + "with a network") as caught:
        data.mnist(tmp_path, mirrors=[url])
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.undo()
    monkeypatch.setattr(mnist, "FILES", SMALL)
    is_right(data.mnist(tmp_path, mirrors=[server.url]))


def test_no_download_asked_for(tmp_path, server):
    for settings in ({"download": False, "mirrors": [server.url]}, {"mirrors": []}):
        with pytest.raises(FileNotFoundError, match=f"{IMAGES} is not in {tmp_path}"):
            data.mnist(tmp_path, **settings)
    assert not server.requests and not [*tmp_path.iterdir()]


def full(file):
    """A file on a disk that is full after some bytes."""
    write = file.write

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            file.close()

        def write(self, chunk):
            write(chunk[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return Full()


def refuse(*_):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


FAILING = {
    "no space": (lambda *a: full(open(*a)), OSError, "No space left on device"),
    "no permission": (refuse, PermissionError, "Permission denied"),
}


@pytest.mark.parametrize("what", FAILING)
def test_a_folder_that_takes_no_file(tmp_path, server, what, monkeypatch):
    opens, error, words = FAILING[what]
    load = functools.partial(data.mnist, tmp_path, mirrors=[server.url] * 2)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "open", opens, raising=False)
        expected = (
            f"{tmp_path / IMAGES} cannot be written: {words}; expected a folder to "
            f"write to with {SMALL[IMAGES].size} free bytes"
        )
        with pytest.raises(error, match=expected):
            load()
    assert not [*tmp_path.iterdir()] and len(server.requests) == 1
    is_right(load())


def test_no_permission_to_make_the_folder(tmp_path, server, monkeypatch):
    import pooch

    def make(path, env=None):  # as pooch itself: without a number
        raise PermissionError("a message of another library's")

    with monkeypatch.context() as patch:
        patch.setattr(pooch.core, "make_local_storage", make)
        with pytest.raises(
            PermissionError, match="cannot be written: Permission denied"
        ):
            data.mnist(tmp_path / "new", mirrors=[server.url])
    is_right(data.mnist(tmp_path / "new", mirrors=[server.url]))


def test_no_permission_to_read(tmp_path, monkeypatch):
    folder = put(tmp_path / "files")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        with pytest.raises(
            PermissionError, match=f"{IMAGES} cannot be read: Permission"
        ):
            data.mnist(folder)
    is_right(data.mnist(folder))


def test_a_file_where_the_folder_belongs(tmp_path, server):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        OSError, match="cannot be written: (Not a directory|File exists)"
    ):
        data.mnist(tmp_path / "file", mirrors=[server.url])
    with pytest.raises(IsADirectoryError, match="cannot be read"):
        (tmp_path / IMAGES).mkdir()
        data.mnist(tmp_path, mirrors=[server.url])


# Bits from grey levels


def test_bits_are_drawn_with_the_grey_level_as_probability():
    x = torch.tensor([0, 51, 128, 254, 255], dtype=torch.uint8).expand(200_000, 5)
    bits = data.binarise(x, noise.stream(0, "bits"))
    assert bits.dtype == torch.float32 and bits.shape == x.shape
    assert set(bits.unique().tolist()) == {0.0, 1.0}
    assert not bits[:, 0].any() and bits[:, 4].all()
    for column in (1, 2, 3):
        expected = x[0, column].item() / 255
        assert_mean(bits[:, column], expected, error=0.01)
    # Independent of one another: a pair is dark as often as the product says.
    assert_mean(bits[:, 1] * bits[:, 2], 51 * 128 / 255**2, error=0.01)


def test_bits_are_a_function_of_the_stream():
    x = data.digits().train_x
    first, again = (
        data.binarise(x, noise.stream(3, "bits"), levels=16) for _ in range(2)
    )
    other = data.binarise(x, noise.stream(4, "bits"), levels=16)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert td.Bernoulli(0.5).support.check(first).all()
    assert data.binarise(x.double(), noise.stream(0), 16).dtype == torch.float64


@pytest.mark.parametrize("bad", [-1.0, 256.0, float("nan")])
def test_what_is_no_grey_level(bad):
    x = torch.tensor([0.0, bad])
    with pytest.raises(ValueError, match="^x: expected grey levels from 0 to 255, got"):
        data.binarise(x, noise.stream(0))


# The fixed binarisation

ROWS = {"train": 5, "valid": 2, "test": 3}
BITS = {
    name: np.random.default_rng(n).integers(0, 2, (n, 784), dtype=np.uint8)
    for name, n in ROWS.items()
}
PACKED = {name: np.packbits(bits, axis=1) for name, bits in BITS.items()}


@pytest.fixture
def few(monkeypatch):
    parts = {
        name: (len(bits), hashlib.sha256(bits.tobytes()).hexdigest())
        for name, bits in PACKED.items()
    }
    monkeypatch.setattr(fixed, "PARTS", parts)


def write_text(folder, **changed):
    for name, bits in (BITS | changed).items():
        lines = "".join(" ".join(map(str, row)) + " \n" for row in bits)
        (folder / f"binarized_mnist_{name}.amat").write_text(lines)


@pytest.mark.parametrize("kind", ["packed", "text"])
def test_the_fixed_binarisation_from_either_kind_of_file(tmp_path, few, kind):
    if kind == "packed":
        np.savez(tmp_path / fixed.PACKED, **PACKED)
    else:
        write_text(tmp_path)
    loaded = data.binarised_mnist(tmp_path)
    for bits, expected in zip(loaded, BITS.values(), strict=True):
        assert bits.dtype == torch.uint8
        assert np.array_equal(bits.numpy(), expected)


def test_a_wrong_fixed_binarisation(tmp_path, few):
    with pytest.raises(
        FileNotFoundError, match="amat is not there, nor binarized_mnis"
    ):
        data.binarised_mnist(tmp_path)
    flipped = BITS["valid"].copy()
    flipped[1, 5] ^= 1
    for valid in (flipped, BITS["valid"][:1], BITS["test"]):
        write_text(tmp_path, valid=valid)
        with pytest.raises(ValueError, match="'valid' .* expected 196 packed bytes"):
            data.binarised_mnist(tmp_path)
    packed = tmp_path / fixed.PACKED
    for content in (b"", b"PK", PAGE):
        packed.write_bytes(content)
        with pytest.raises(ValueError, match="expected a NumPy archive of the arrays"):
            data.binarised_mnist(tmp_path)
    np.savez(packed, train=PACKED["train"])
    with pytest.raises(ValueError, match="expected a NumPy archive of the arrays"):
        data.binarised_mnist(tmp_path)
    np.savez(packed, **(PACKED | {"test": np.array([object()])}))
    with pytest.raises(ValueError, match="expected a NumPy archive of the arrays"):
        data.binarised_mnist(tmp_path)


@needs_fixed
def test_the_original_fixed_binarisation(monkeypatch):
    monkeypatch.undo()
    loaded = data.binarised_mnist(FIXED)
    assert [len(x) for x in loaded] == [50_000, 10_000, 10_000]
    dark = [x.sum(dtype=torch.int64).item() for x in loaded]
    assert dark == [5_118_041, 1_028_036, 1_038_896]
    # These are bits of the same digits: as dark on average as MNIST's grey levels.
    expected = (1_567_298_545 + 264_923_200) / 255
    assert sum(dark) == pytest.approx(expected, rel=1e-3)


# The benchmark runs


def test_the_short_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VAELIB_MNIST", str(put(tmp_path / "files")))
    main = runpy.run_path(str(ROOT / "benchmarks" / "mnist_short.py"))["main"]
    threads, generator = torch.get_num_threads(), torch.get_rng_state()
    out = tmp_path / "results" / "short.json"
    small = "--epochs 2 --batch-size 20 --elbo-samples 2 --rows 5 --samples 20"
    main([*small.split(), "--out", str(out)])
    torch.set_num_threads(threads)
    torch.set_rng_state(generator)
    report = json.loads(out.read_text(encoding="utf-8"))
    assert json.loads(capsys.readouterr().out) == report
    assert report["settings"]["steps"] == 6
    first, last = report["training"]["ELBO by epoch"]
    assert last > first
    assert report["test ELBO"]["data"] == 20 and report["test ELBO"]["se"] > 0
    evidence = report["test log p(x), importance sampling"]
    assert evidence["mean"] > evidence["ELBO of the same data"]["mean"]


def test_the_recorded_run_is_of_these_settings():
    path = ROOT / "benchmarks" / "results" / "mnist_short.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    settings = report["settings"]
    assert (settings["epochs"], settings["batch size"]) == (10, 128)
    assert settings["steps"] == 10 * (60_000 // 128) and settings["device"] == "cpu"
    assert report["test ELBO"]["data"] == 10_000
    # Where this model and so many steps are known to arrive.
    assert -110 < report["test ELBO"]["mean"] < -95
    evidence = report["test log p(x), importance sampling"]
    assert evidence["mean"] > evidence["ELBO of the same data"]["mean"]
