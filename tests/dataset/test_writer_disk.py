"""Writing where it cannot be done: one message, whole shards stay, no temporary is left."""

import errno
import itertools
import os
from pathlib import Path

import fake_frames
import pytest
from written_sets import leftovers, make

from synthstudio.core.errors import DiskError
from synthstudio.dataset import durable, shards
from synthstudio.dataset.shards import hashed_files, verify_shard

FULL = OSError(errno.ENOSPC, "No space left on device")


def _fail_at(call, real, error):
    calls = itertools.count()

    def fake(*args, **kwargs):
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
            assert "the disk is full" in str(error) and "`resume`" in str(error)
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


def test_a_temporary_that_a_dying_worker_fills_is_still_removed(tmp_path, monkeypatch):
    folder = tmp_path / ".tmp-shard"
    folder.mkdir()
    real, calls = durable.shutil.rmtree, itertools.count()
    monkeypatch.setattr(
        durable.shutil, "rmtree", lambda path, **_: real(path) if next(calls) else None
    )
    durable.remove(folder)
    assert not folder.exists()
