"""Writing where it cannot be done: one message, whole shards stay, no temporary is left."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_frames
import pytest
from written_sets import drive, leftovers, make

from synthstudio.core.errors import DiskError
from synthstudio.dataset import durable, shards
from synthstudio.dataset.shards import hashed_files, verify_shard

FULL = OSError(errno.ENOSPC, "No space left on device")


def _fail_at(call: int, real: Callable[..., Any], error: OSError) -> Callable[..., Any]:
    calls = iter(range(10_000))

    def fake(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == call:
            raise error
        return real(*args, **kwargs)

    return fake


@pytest.mark.parametrize("call", [0, 1, 9])
@pytest.mark.parametrize(
    ("owner", "name"),
    [(Path, "write_bytes"), (os, "fsync"), (Path, "rename"), (shards, "write_parquet")],
)
def test_a_full_disk_is_one_message_and_keeps_whole_shards(
    owner, name, call, unbroken, begun, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _fail_at(call, getattr(owner, name), FULL))
        try:
            make(begun, fake_frames.identity(), resume=True)
        except DiskError as error:
            assert "the disk is full" in str(error) and "--resume" in str(error)
            assert not (begun / "index.json").exists()
        else:
            assert call == 9 and name in ("rename", "write_parquet")  # not called so often
    assert verify_shard(begun / "shards" / "00000") == []
    assert not leftovers(begun)
    make(begun, fake_frames.identity(), resume=True)
    assert hashed_files(begun) == hashed_files(unbroken)


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.EROFS, "read-only"), (errno.EACCES, "no permission"), (errno.EIO, "the disk failed")],
)
def test_a_folder_that_cannot_be_written_is_one_message(number, message, tmp_path, monkeypatch):
    out = tmp_path / "set"
    monkeypatch.setattr(Path, "mkdir", _fail_at(0, Path.mkdir, OSError(number, "no", str(out))))
    with pytest.raises(DiskError, match=f"{out}: .*{message}"):
        make(out, fake_frames.identity())
    assert not out.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 512 KiB, or skip where none may be mounted."""
    where = tmp_path / "disk"
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(where)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no right to mount a small file system here")
    yield where
    subprocess.run(["umount", str(where)], check=True)


@pytest.mark.nightly("mounts a small disk; a full disk is told by errno in quick")
def test_a_truly_full_and_a_truly_read_only_disk(small_disk, unbroken):
    out = small_disk / "set"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(320 * 1024))
    code, errors = drive(out, workers=2, frames=40)
    assert code == 1 and errors.startswith("DiskError: ") and "the disk is full" in errors
    assert "Traceback" not in errors and not leftovers(out)
    kept = list((out / "shards").iterdir())
    assert 0 < len(kept) < 10 and all(verify_shard(path) == [] for path in kept)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    code, errors = drive(out, frames=40, resume=True)
    assert code == 1 and errors.startswith("DiskError: ") and "read-only" in errors
    subprocess.run(["mount", "-o", "remount,rw,size=4m", str(small_disk)], check=True)
    assert drive(out, frames=40, resume=True) == (0, "")
    assert drive(small_disk / "again", frames=40) == (0, "")
    assert hashed_files(out) == hashed_files(small_disk / "again")


def test_a_temporary_that_a_dying_worker_fills_is_still_removed(tmp_path, monkeypatch):
    folder = tmp_path / ".tmp-shard"
    folder.mkdir()
    real = durable.shutil.rmtree
    calls = iter(range(2))

    def once_not(path: Path, ignore_errors: bool = False) -> None:
        if next(calls) > 0:
            real(path)

    monkeypatch.setattr(durable.shutil, "rmtree", once_not)
    durable.remove(folder)
    assert not folder.exists()
