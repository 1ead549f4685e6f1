"""Checkpoints: nothing is lost, whatever happens, and nothing wrong is taken in."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import vaelib
from tests import kills, others
from tests.runs import DEVICES, lighten, run_small, same, small, state, train
from vaelib import bounds, checkpoint, noise
from vaelib.models import mlp
from vaelib.training.batches import Batches

ROOT = Path(__file__).parent.parent


# Resumed


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("at", [1, 7, 30, 59, 60])
def test_a_resumed_run_is_the_same_to_the_bit(tmp_path, at, device):
    path = tmp_path / "run.pt"
    whole, expected = run_small(device)
    run_small(device, steps=at, checkpoint=path, checkpoint_every=9)
    resumed, got = run_small(device, checkpoint=path, checkpoint_every=4)
    assert same(expected, got) and resumed == whole
    # Once more: nothing is left to do, and the result is there.
    again, got = run_small(device, checkpoint=path)
    assert same(expected, got) and again == whole
    # And on: longer than was planned at first.
    longer, expected = run_small(device, steps=75)
    extended, got = run_small(device, steps=75, checkpoint=path)
    assert same(expected, got) and extended == longer
    assert [f.name for f in tmp_path.iterdir()] == ["run.pt"]


def test_writing_checkpoints_changes_nothing(tmp_path):
    _, expected = run_small()
    _, got = run_small(checkpoint=str(tmp_path / "run.pt"), checkpoint_every=1)
    assert same(expected, got)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"seed": 1}, "seed"),
        ({"batch_size": 9}, "batch_size"),
        ({"lr": 0.02}, "lr"),
        ({"samples": 2}, "samples"),
        ({"report_every": 8}, "report_every"),
    ],
)
def test_a_checkpoint_of_another_configuration_is_refused(tmp_path, change, name):
    path = tmp_path / "run.pt"
    run_small(checkpoint=path)
    refused(path, small(), f"expected {name} = ", **change)


@pytest.mark.parametrize("what", ["bound", "data", "model", "fixed"])
def test_a_checkpoint_of_another_problem_is_refused(tmp_path, what):
    path = tmp_path / "run.pt"
    run_small(checkpoint=path)
    model, guide, data = small()
    bound = bounds.elbo
    if what == "bound":
        bound = bounds.importance_weighted
    elif what == "data":
        data[3, 2] = (data[3, 2] + 1) % 5
    elif what == "model":
        model.decoder = mlp(2, 9, 6)
    else:
        guide.encoder[0].bias.requires_grad_(False)
    what = {"model": "parameters", "fixed": "parameters"}.get(what, what)
    refused(path, (model, guide, data), f"expected {what} = ", bound=bound)


def foreign_files(whole):
    """Things that are no checkpoint of ours, made from the bytes of one."""

    def saved(thing):
        buffer = io.BytesIO()
        torch.save(thing, buffer)
        return buffer.getvalue()

    content = torch.load(io.BytesIO(whole), weights_only=True)
    return {
        "empty": b"",
        "one byte": whole[:1],
        "half": whole[: len(whole) // 2],
        "last byte missing": whole[:-1],
        "text": b"not a checkpoint",
        "zeros": bytes(1000),
        "a tensor": saved(torch.zeros(3)),
        "a state dictionary": saved(nn.Linear(2, 2).state_dict()),
        "an object": saved(Path("/")),
        "another version": saved(content | {"version": checkpoint.VERSION + 1}),
    }


def test_a_foreign_or_damaged_file_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    run_small(checkpoint=path)
    for name, content in foreign_files(path.read_bytes()).items():
        path.write_bytes(content)
        refused(path, small(), "expected a file that vaelib.training.train wrote")
        assert path.read_bytes() == content, name


class Execute:
    """What a hostile file can hold: a call that is made when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_nothing_in_a_file_is_executed(tmp_path):
    path, folder = tmp_path / "run.pt", tmp_path / "executed"
    run_small(checkpoint=path)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"more": Execute(folder)}, path)
    refused(path, small(), "expected a file that vaelib.training.train wrote")
    assert not folder.exists()


def test_no_bit_of_a_checkpoint_changes_unnoticed(tmp_path):
    path = tmp_path / "run.pt"
    content = {"parts": {"weight": torch.arange(5.0)}, "optimizer": {}}
    content |= {"done": 3, "reports": [], "total": 0.0}
    checkpoint.write(path, {}, content)
    whole, refusals = path.read_bytes(), 0
    for position in range(0, len(whole), 3):
        path.write_bytes(
            whole[:position] + bytes([whole[position] ^ 16]) + whole[position + 1 :]
        )
        try:
            read = checkpoint.read(path, {})
        except ValueError:
            refusals += 1
        else:  # a byte that carries nothing, such as padding
            assert torch.equal(read["parts"]["weight"], torch.arange(5.0))
            assert read["done"] == 3
    assert refusals > 100


def refused(path, problem, message, bound=bounds.elbo, error=ValueError, **change):
    """The checkpoint is refused in one clear error, and nothing is changed."""
    model, guide, data = problem
    settings = {"steps": 60, "batch_size": 8, "lr": 0.01, "report_every": 7} | change
    content, before = path.read_bytes(), state(model, guide)
    files = {*os.listdir(path.parent)}
    message = rf"^(\[Errno 11\] )?checkpoint: .*run\.pt.*{message}"
    with pytest.raises(error, match=message):
        train(model, guide, bound, data, checkpoint=path, **settings)
    assert path.read_bytes() == content
    assert same(before, state(model, guide))
    assert {*os.listdir(path.parent)} == files


def test_fewer_steps_than_the_checkpoint_has(tmp_path):
    run_small(checkpoint=tmp_path / "run.pt")
    with pytest.raises(
        ValueError, match="^steps: expected at least the 60 already done"
    ):
        run_small(steps=59, checkpoint=tmp_path / "run.pt")


@pytest.mark.parametrize("path", ["", "no such folder/run.pt"])
def test_a_checkpoint_that_cannot_be_written(tmp_path, path):
    with pytest.raises(ValueError, match="^checkpoint: expected a file in a folder"):
        run_small(checkpoint=tmp_path / path)


@pytest.mark.parametrize("device", DEVICES)
def test_a_resumed_run_transforms_alike(tmp_path, device):
    path = tmp_path / "run.pt"
    settings = {"transform": lighten, "device": device}
    whole, expected = run_small(**settings)
    assert not same(expected, run_small(device=device)[1])
    run_small(steps=17, checkpoint=path, **settings)
    resumed, got = run_small(checkpoint=path, **settings)
    assert same(expected, got) and resumed == whole
    refused(path, small(), "expected transform = None, got lighten")


# The same, whatever else


def test_a_run_is_the_same_with_as_many_threads_and_close_with_others(tmp_path):
    # With another number of threads, torch may add in another order. (With one and two
    # it did not, where this was written, for models as small as those of the book.)
    def run(threads, **settings):
        torch.set_num_threads(threads)
        return run_small(**settings)

    threads, path = torch.get_num_threads(), tmp_path / "run.pt"
    try:
        runs = [run(n) for n in (1, 2, 2, 1)]
        run(2, steps=30, checkpoint=path)
        resumed = run(1, checkpoint=path)
    finally:
        torch.set_num_threads(threads)
    for first, again in ((0, 3), (1, 2)):
        assert runs[first][0] == runs[again][0] and same(runs[first][1], runs[again][1])
    for one, other in zip(runs[0][1], runs[1][1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    for one, other in zip(runs[0][1], resumed[1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.cuda
def test_a_checkpoint_of_one_kind_of_device_goes_on_with_another(tmp_path):
    path = tmp_path / "run.pt"
    assert run_small("cpu", steps=20, checkpoint=path)[0].device == "cpu"
    run, reached = run_small("cuda", steps=40, checkpoint=path)
    assert run.device == "cuda" and run.steps[:2] == (7, 14)
    assert "cuda" in torch.load(path, map_location="cpu")["written"]
    # Nothing is left to do: what was reached is there, on whichever kind.
    assert same(run_small("cpu", steps=40, checkpoint=path)[1], reached)
    run_small("cpu", steps=50, checkpoint=path)
    assert run_small("cuda", checkpoint=path)[0].steps[-1] == 60


def test_a_checkpoint_of_a_device_that_is_not_here(tmp_path, monkeypatch):
    # As a CUDA run writes it: its tensors and its Adam are marked as of that device.
    path = tmp_path / "run.pt"
    _, expected = run_small()
    run_small(steps=17, checkpoint=path)
    content = torch.load(path)
    content["state"]["optimizer"]["param_groups"][0]["capturable"] = True
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(content, path)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(path)
    run, got = run_small(checkpoint=path)
    assert run.device == "cpu" and same(got, expected)
    group = torch.load(path)["state"]["optimizer"]["param_groups"][0]
    assert not group["capturable"]  # Adam's settings are those of this device


# Files of other versions, foreign and damaged ones


def version_1(path):
    """A file of version 1 as it was first written, with all of its names by hand."""
    model, guide, data = small()
    parts = {f"model.{k}": v for k, v in model.state_dict().items()}
    parts |= {f"guide.{k}": v for k, v in guide.state_dict().items()}
    parts = {k: torch.full_like(v, 0.25) for k, v in parts.items()}
    moments = {"step": torch.tensor(14.0), "exp_avg": 0.01, "exp_avg_sq": 1e-4}
    adam = {
        i: {k: v if k == "step" else torch.full_like(p, v) for k, v in moments.items()}
        for i, p in enumerate(parts.values())
    }
    group = torch.optim.Adam(model.parameters(), lr=0.01, fused=True).state_dict()
    group = group["param_groups"][0] | {"params": [*range(len(parts))]}
    shape = "(50, 6) torch.float32 "
    configuration = {
        "seed": 0,
        "batch_size": 8,
        "lr": 0.01,
        "samples": 1,
        "report_every": 7,
        "bound": "elbo",
        "transform": None,
        "data": shape + hashlib.sha256(data.numpy().tobytes()).hexdigest(),
        "parameters": [
            f"{k} {tuple(v.shape)} torch.float32 trained" for k, v in parts.items()
        ],
    }
    content = {
        "format": "vaelib training checkpoint",
        "version": 1,
        "configuration": configuration,
        "state": {
            "done": 14,
            "reports": [(7, -12.5), (14, -10.25)],
            "total": 0.0,
            "parts": parts,
            "optimizer": {"state": adam, "param_groups": [group]},
        },
    }
    torch.save(content, path)
    return content


def test_a_file_of_version_1_is_read(tmp_path):
    path = tmp_path / "run.pt"
    version_1(path)
    run, got = run_small(steps=14, checkpoint=path)
    assert (run.steps, run.bounds) == ((7, 14), (-12.5, -10.25))
    assert all((value == 0.25).all() for value in got)
    run, got = run_small(steps=15, checkpoint=path)
    # Adam remembers its moments: whatever the gradient, it moves by less than 0.6 lr.
    # One that has forgotten them moves by lr.
    moved = [(0.25 - value).abs().max() for value in got]
    assert 0 < max(moved) < 0.006 and run.steps == (7, 14, 15)


def test_a_file_of_the_future_says_so(tmp_path):
    path = tmp_path / "run.pt"
    content = version_1(path)
    newer = {"version": checkpoint.VERSION + 1, "written": "vaelib 9.8, torch 7.6, tpu"}
    del content["state"]["total"]  # who knows what it will be called
    torch.save(content | newer, path)
    refused(path, small(), r"written by vaelib 9\.8.*, and this is vaelib ")


@pytest.mark.parametrize("part", ["state", "configuration"])
def test_a_file_without_something_says_what_is_missing(tmp_path, part):
    path = tmp_path / "run.pt"
    for key in version_1(path)[part]:
        content = version_1(path)
        del content[part][key]
        torch.save(content, path)
        refused(path, small(), f"is of version 1, .* lacks {key}; expected a file that")
    torch.save(version_1(path) | {"version": 2}, path)
    refused(path, small(), "is of version 2, .* lacks precision; ")
    del content[part]
    torch.save(content, path)
    refused(path, small(), "is of version 1, .* lacks .*, ")
    del content["version"]
    torch.save(content, path)
    refused(path, small(), "is of version None, written by some vaelib, ")


def test_what_wrote_a_file_is_in_it(tmp_path):
    path = tmp_path / "run.pt"
    run_small(checkpoint=path)
    written = torch.load(path)["written"]
    assert written == f"vaelib {vaelib.__version__}, torch {torch.__version__}, cpu"


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    run_small(checkpoint=path, steps=9)
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 97), *range(len(whole) - 99, len(whole))]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="^checkpoint: .*run.pt is damaged or no"):
            checkpoint.read(path, {})
    path.write_bytes(whole)
    assert checkpoint.read(path, {})["done"] == 9


# A disk that takes no more


def unwritten(path, error, code, done, before):
    """The one error of a checkpoint that could not be written, with all it must say."""
    assert type(error) is type(OSError(code, "")) and error.errno == code
    standing = "there was none before"
    if before:
        standing = f"that after {before} steps is there, whole"
    assert str(error) == (
        f"[Errno {code}] checkpoint: {path} was not written after {done} steps: "
        f"{os.strerror(code)}; {standing}"
    )
    assert isinstance(error.__cause__, OSError) and error.__cause__.errno == code
    assert os.listdir(path.parent) == ["run.pt"] * bool(before)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_write_that_fails_loses_nothing(tmp_path, monkeypatch, call, first, code):
    path = tmp_path / "run.pt"
    settings = {"checkpoint_every": 10, "checkpoint": path}
    if not first:
        run_small(steps=10, checkpoint=path)
    old = first or path.read_bytes()

    def fails(*arguments):
        raise OSError(code, os.strerror(code))

    model, guide, data = small()
    usual = {"batch_size": 8, "lr": 0.01, "report_every": 7}
    with monkeypatch.context() as patch:
        owner = checkpoint if call == "open" else os
        patch.setattr(owner, call, fails, raising=False)
        with pytest.raises(OSError) as caught:
            train(model, guide, bounds.elbo, data, steps=60, **usual, **settings)
    done = 10 if first else 20
    unwritten(path, caught.value, code, done, 0 if first else 10)
    assert first or path.read_bytes() == old
    assert same(state(model, guide), run_small(steps=done)[1])
    # And on from what stands there, to where an undisturbed run ends.
    resumed, got = run_small(checkpoint=path)
    whole, expected = run_small()
    assert same(got, expected) and resumed == whole


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits, so a Unix")
def test_a_file_that_may_not_grow_past_any_byte(tmp_path):
    import resource

    path = tmp_path / "run.pt"
    run_small(steps=10, checkpoint=path)
    old, configuration = path.read_bytes(), torch.load(path)["configuration"]
    content = checkpoint.read(path, configuration) | {"done": 20}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for most in [*range(0, len(old), 501), len(old) - 1]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        try:
            with pytest.raises(OSError) as caught:
                checkpoint.write(path, configuration, content)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        unwritten(path, caught.value, errno.EFBIG, 20, 10)
        assert path.read_bytes() == old
    checkpoint.write(path, configuration, content)
    assert checkpoint.read(path, configuration)["done"] == 20


OWN_DISK = ["unshare", "--map-root-user", "--mount"]


def can_mount():
    try:
        command = [*OWN_DISK, "mount", "-t", "tmpfs", "none", "/mnt"]
        return not subprocess.run(command, capture_output=True).returncode
    except OSError:
        return False


@pytest.mark.skipif(not can_mount(), reason="needs Linux, to mount a small disk")
def test_a_disk_that_is_full(tmp_path):
    spares = range(0, 12 << 10, 4 << 10)  # a disk gives out pages of 4 KiB
    run = f"mount -t tmpfs -o size=64k none {tmp_path} && exec {sys.executable}"
    run += f" -m tests.others {tmp_path} {' '.join(map(str, spares))}"
    settings = {"env": os.environ | {"OMP_NUM_THREADS": "1"}, "cwd": ROOT}
    command = [*OWN_DISK, "sh", "-c", run]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, **settings)
    results = json.loads(done.stdout)
    assert len(results) == len(spares)
    for words, cause, files, *kept in results:
        assert words == (
            f"OSError: [Errno 28] checkpoint: {tmp_path}/run.pt was not written after "
            "20 steps: No space left on device; that after 10 steps is there, whole"
        )
        assert cause == "OSError(28, 'No space left on device')"
        assert files == ["filler", "run.pt"] and kept == [True, True, True]


def test_a_folder_that_cannot_be_synchronised_is_no_reason_to_stop(
    tmp_path, monkeypatch
):
    real = os.fsync

    def fsync(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "as on some network drives")
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    path = tmp_path / "run.pt"
    _, expected = run_small(checkpoint=path)
    assert same(run_small(checkpoint=path)[1], expected)


# Held by one run


def told(target, *arguments):
    """Another process that runs this, and what it sends first."""
    receive, send = others.fork.Pipe(duplex=False)
    process = others.fork.Process(target=target, args=(*arguments, send), daemon=True)
    process.start()
    send.close()
    return process, receive.recv()


def test_another_process_is_refused_until_this_one_ends_however(tmp_path):
    path = tmp_path / "run.pt"
    run_small(steps=10, checkpoint=path)
    process, _ = told(others.hold, path)
    refused(
        path,
        small(),
        f"is in use by process {process.pid} on .*; expected a file for this run alone",
        error=BlockingIOError,
    )
    assert told(others.attempt, path)[1].startswith("BlockingIOError: ")
    process.kill()  # SIGKILL
    process.join()
    assert (tmp_path / "run.pt.lock").exists()
    assert run_small(checkpoint=path)[0].steps[-1] == 60
    assert os.listdir(tmp_path) == ["run.pt"]


def test_no_two_processes_ever_hold_it_together(tmp_path):
    started, path = [], tmp_path / "run.pt"
    for _ in range(3):
        receive, send = others.fork.Pipe(duplex=False)
        process = others.fork.Process(
            target=others.contend, args=(path, 300, send), daemon=True
        )
        process.start()
        started.append((process, receive))
    for process, receive in started:
        assert receive.recv() == (300, 0)
        process.join()
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "name", ["itself", "relative", "link", "linked folder", "dots"]
)
def test_the_same_process_is_refused_by_whatever_name(tmp_path, monkeypatch, name):
    path = tmp_path / "folder" / "run.pt"
    path.parent.mkdir()
    (tmp_path / "link.pt").symlink_to(path)
    (tmp_path / "linked").symlink_to(path.parent)
    monkeypatch.chdir(path.parent)
    other = {
        "itself": path,
        "relative": "run.pt",
        "link": tmp_path / "link.pt",
        "linked folder": str(tmp_path / "linked" / "run.pt"),
        "dots": path.parent / ".." / "folder" / "run.pt",
    }[name]
    refusals, (model, guide, data) = [], small()

    def bound(log_w):
        with pytest.raises(BlockingIOError, match=f"{path} is in use by process "):
            run_small(checkpoint=other)
        refusals.append(1)
        return bounds.elbo(log_w)

    train(model, guide, bound, data, steps=2, checkpoint=path)
    assert refusals
    # It is free again; and a link is written through, not replaced.
    run_small(checkpoint=other, lr=0.02) if not path.exists() else path.unlink()
    run_small(checkpoint=other)
    assert path.exists() and (tmp_path / "link.pt").is_symlink()
    assert os.listdir(path.parent) == ["run.pt"]


def test_another_thread_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    with ThreadPoolExecutor(1) as pool, checkpoint.held(path):
        with pytest.raises(BlockingIOError, match=f"by process {os.getpid()} on "):
            pool.submit(run_small, checkpoint=path).result()
    assert run_small(checkpoint=path)[0].steps[-1] == 60


def test_other_files_in_the_folder_are_free(tmp_path):
    with checkpoint.held(tmp_path / "a.pt"), checkpoint.held(tmp_path / "b.pt"):
        pass
    with checkpoint.held(None) as path:
        assert path is None


def test_it_is_free_after_an_error(tmp_path):
    path = tmp_path / "run.pt"
    for _ in range(2):
        with pytest.raises(ValueError, match="^steps: "):
            run_small(steps=-1, checkpoint=path)
        assert not os.listdir(tmp_path)


def test_a_folder_without_locks_is_refused(tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(checkpoint, "flock", flock)
    with pytest.raises(ValueError, match="in a folder to write to, .*: No locks avail"):
        run_small(checkpoint=tmp_path / "run.pt")


def test_a_full_disk_may_leave_no_room_for_the_holders_name(tmp_path, monkeypatch):
    def write(file, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "run.pt"
    monkeypatch.setattr(os, "write", write)
    with checkpoint.held(path):
        with pytest.raises(BlockingIOError, match="is in use by another run; expected"):
            run_small(checkpoint=path)


# A path that cannot be a checkpoint's


def socket(folder):
    os.mknod(folder / "run.pt", stat.S_IFSOCK | 0o600)


def directory(folder):
    (folder / "run.pt").mkdir()


def no_folder(folder):
    folder.rmdir()


def folder_is_a_file(folder):
    folder.rmdir()
    folder.write_text("")


UNUSABLE = {
    directory: "it is no file",
    socket: "it is no file",
    no_folder: "No such file or directory",
    folder_is_a_file: "Not a directory",
}


@pytest.mark.parametrize("how", UNUSABLE, ids=lambda how: how.__name__)
def test_a_path_that_cannot_be_written(tmp_path, how):
    folder = tmp_path / "folder"
    folder.mkdir()
    how(folder)
    model, guide, data = small()
    before = state(model, guide)
    message = f"^checkpoint: expected a file in a folder .*run.pt: {UNUSABLE[how]}$"
    with pytest.raises(ValueError, match=message):
        train(model, guide, bounds.elbo, data, steps=3, checkpoint=folder / "run.pt")
    assert same(before, state(model, guide))


@pytest.mark.parametrize("path", [3, b"run.pt", Path])
def test_a_path_that_is_none(path):
    with pytest.raises(
        TypeError, match="^checkpoint: expected a path, got (int|byt|ty)"
    ):
        run_small(checkpoint=path)


def test_a_folder_without_permission():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder).resolve()
        run_small(steps=9, checkpoint=folder / "run.pt")
        folder.chmod(0o555)
        process, words = told(others.as_nobody, folder / "run.pt")
        assert words == (
            "ValueError: checkpoint: expected a file in a folder to write to, got "
            f"{folder}/run.pt: Permission denied"
        )
        folder.chmod(0o777)
        (folder / "run.pt").chmod(0)
        process, words = told(others.as_nobody, folder / "run.pt")
        assert words.startswith(
            f"ValueError: checkpoint: {folder}/run.pt cannot be read: Permission denied"
        )
        assert os.listdir(folder) == ["run.pt"]


# Stopped by a value that is not finite


def spoilt(kind, at, j):
    """A bound and a transform that go wrong at step `at` in the batch's j-th datum."""
    calls = []

    def bound(log_w):
        calls.append(1)
        values = bounds.elbo(log_w)
        if len(calls) <= at + 1:  # the first call is the trial
            return values
        if kind == "bound":
            return torch.where(torch.arange(len(values)) == j, math.inf, values)
        if kind == "gradient":
            return values + (0 * log_w).sum().sqrt()  # 0, with the slope 0/0
        return values

    def transform(x, generator):
        there = noise.stream(0, "data", at).initial_seed()
        if generator.initial_seed() == there and kind in ("data", "support"):
            x = x.clone()
            x[j, 2] = math.nan if kind == "data" else 5  # of 4 dots
        return x

    return {"bound": bound, "transform": transform}


OUTSIDE = (
    "step {at}: transform: expected values in the likelihood's support, "
    "IntegerInterval(lower_bound 0, upper_bound 4); not so in row {row}"
)
AFTER = "; the parameters are those after {at} steps"
WORDS = {
    "data": OUTSIDE,
    "support": OUTSIDE,
    "bound": "step {at}: the bound is not finite for row {row} of the data" + AFTER,
    "gradient": "step {at}: the gradient of model.decoder.0.weight is not finite"
    + AFTER,
}


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=16, deadline=None, derandomize=True, database=None)
@given(
    kind=st.sampled_from(sorted(WORDS)),
    at=st.integers(0, 39),
    j=st.integers(0, 7),
    every=st.integers(1, 15),
)
def test_a_bad_value_at_any_step_damages_nothing(device, kind, at, j, every):
    def run(at, **others):
        model, guide, data = small()
        usual = {"batch_size": 8, "lr": 0.01, "report_every": 7, "device": device}
        everything = usual | spoilt(kind, at, j) | others
        try:
            train(model, guide, data=data, **everything)
        except (FloatingPointError, ValueError) as error:
            return str(error), state(model, guide)
        return None, state(model, guide)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.pt"
        words, got = run(at, steps=40, checkpoint=path, checkpoint_every=every)
        row = Batches(small()[2], 8, (1, 2), 0).rows(at)[j]
        assert words == WORDS[kind].format(at=at, row=row)
        never = 1000
        assert same(got, run(never, steps=at)[1])
        # The last good checkpoint stands, and a run goes on from it as if from itself.
        assert path.exists() == (at >= every)
        if path.exists():
            assert torch.load(path)["state"]["done"] == at // every * every
        words, got = run(never, steps=40, checkpoint=path)
        assert words is None and same(got, run(never, steps=40)[1])


# Killed and resumed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, so a Unix")
def test_killed_at_any_moment_and_resumed_it_ends_the_same(tmp_path):
    command = [sys.executable, "-m", "tests.kills", str(tmp_path)]
    settings = {"env": os.environ | {"OMP_NUM_THREADS": "1"}, "cwd": ROOT}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, **settings)
    result = json.loads(done.stdout)
    assert len(result["expected"]) == 64
    assert len(result["records"]) >= 60
    for where, found, _, digest in result["records"]:
        assert digest == result["expected"], f"killed at {where}, resumed at {found}"
    at_random = [found for where, found, *_ in result["records"] if where == "random"]
    assert len(at_random) >= kills.AT_RANDOM
    assert len({*at_random}) >= 6  # they struck all over the run
    # Each point of a writing was reached, and left on disk what it must.
    left = {where: (*on_disk,) for where, *on_disk, _ in result["records"]}
    for point, (*_, new, unfinished) in kills.POINTS.items():
        for writing in kills.WRITINGS:
            done = kills.EVERY * (writing if new else writing - 1)
            assert left[f"{point}, {writing}"] == (done, unfinished)
