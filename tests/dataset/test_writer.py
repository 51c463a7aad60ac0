"""Writing: the same bytes whoever writes; whose folder it is; what a set, part, shard holds."""

import errno
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import fake_frames
import pytest
from written_sets import drive, leftovers, make, write

from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.dataset import shards
from synthstudio.dataset.durable import hold_lock
from synthstudio.dataset.shards import FailedFrame, hashed_files, verify_shard, write_shard
from synthstudio.dataset.writer import open_or_create, shards_of


def test_workers_and_processes_do_not_change_a_byte(unbroken, tmp_path):
    assert drive(tmp_path / "two", workers=2) == (0, "")
    make(tmp_path / "here", fake_frames.identity())
    assert hashed_files(tmp_path / "two") == hashed_files(unbroken)
    assert hashed_files(tmp_path / "here") == hashed_files(unbroken)
    assert drive(tmp_path / "other", seed=2) == (0, "")
    assert hashed_files(tmp_path / "other") != hashed_files(unbroken)


def test_no_hashed_file_says_where_when_or_by_whom(unbroken):
    names = set(hashed_files(unbroken))
    assert "run.log" not in names and "run.lock" not in names
    for name in names:
        data = (unbroken / name).read_bytes()
        for secret in (str(unbroken), unbroken.parent.name, os.uname().nodename, ".tmp-"):
            assert secret.encode() not in data, name


OTHER = [({"recipe": {"people": 9}}, "recipe.people"), ({"seed": 2}, "seed: had 1, wants 2")]
OTHER += [({"machine": {"cpu": "other", "flags": "avx2", "device": "cpu"}}, "machine.cpu")]
OTHER += [({"versions": {"synthstudio": "9"}}, "versions.synthstudio: had '0.1.0'")]


@pytest.mark.parametrize(("change", "line"), OTHER)
def test_another_identity_is_refused_or_written_down(begun, change, line):
    before = hashed_files(begun)
    other = fake_frames.identity(**change)
    with pytest.raises(DatasetError) as caught:
        make(begun, other, resume=True)
    assert line in str(caught.value) and "`allow_mixed`" in str(caught.value)
    assert hashed_files(begun) == before
    make(begun, other, resume=True, allow_mixed=True)
    index = json.loads((begun / "index.json").read_text())
    assert any(line in text for note in index["mixed"] for text in note["differences"])
    assert hashed_files(begun)["dataset.json"] == before["dataset.json"]
    assert len(index["mixed"]) == 1


def test_what_would_not_fit_is_never_mixed_and_nothing_written_over(begun):
    before = hashed_files(begun)
    for change in ({"frames_per_shard": 8}, {"skeleton": "coco23"}, {"frames": 5}):
        with pytest.raises(DatasetError, match=next(iter(change))):
            make(begun, fake_frames.identity(**change), resume=True, allow_mixed=True)
    with pytest.raises(DatasetError, match=r"already exists here.*`resume`"):
        make(begun, fake_frames.identity())
    assert hashed_files(begun) == before and not (begun / "mixed.json").exists()


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("words")
    for resume in (False, True):
        with pytest.raises(DiskError, match=r"new or empty.*thesis\.tex"):
            make(tmp_path, fake_frames.identity(), resume=resume)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    (tmp_path / "dangling").symlink_to(tmp_path / "absent")
    for name, says in (("thesis.tex", r"output folder.*got a file"), ("dangling", "leads nowhere")):
        with pytest.raises(DiskError, match=says):
            make(tmp_path / name, fake_frames.identity())


def test_parts_own_every_shard_once_and_may_become_the_whole(unbroken, tmp_path):
    out = tmp_path / "a"
    make(out, fake_frames.identity(), part=(1, 2))
    with pytest.raises(DatasetError, match="shards of another part"):
        make(out, fake_frames.identity(), part=(2, 2), resume=True)
    make(out, fake_frames.identity(), resume=True)
    assert hashed_files(out) == hashed_files(unbroken)
    whole = fake_frames.identity(frames=30)
    owned = [s for k in (1, 2, 3) for s in shards_of(whole, (k, 3))]
    assert sorted(owned) == list(range(whole.shards))
    assert list(shards_of(whole, (3, 3))) == [2, 5]
    for part in ((0, 3), (4, 3)):
        with pytest.raises(DatasetError, match="no such part"):
            make(tmp_path / "b", whole, part=part)
    assert not (tmp_path / "b").exists()


def test_an_unfinished_run_has_no_index_and_wrong_frames_are_refused(tmp_path):
    with open_or_create(tmp_path / "a", fake_frames.identity()) as session:
        short = write_shard(session.folder, 0, [fake_frames.frame(0)])
        with pytest.raises(DatasetError, match="expected frames 0 to 3 in shard 0; got 1 frames"):
            session.publish(short)
        with pytest.raises(DatasetError, match="follow one another"):
            write_shard(session.folder, 1, [fake_frames.frame(5), fake_frames.frame(4)])
        with pytest.raises(DatasetError, match="at least one frame"):
            write_shard(session.folder, 1, [])
        session.publish(write(session, 1))
        assert session.todo == (0, 2)
        with pytest.raises(DatasetError, match="2 of 3 not made"):
            session.finish()
    assert not (tmp_path / "a" / "index.json").exists()
    assert not leftovers(tmp_path)


def test_errors_of_frames_and_layers_leave_nothing(tmp_path):
    def frames():
        yield fake_frames.frame(0)
        raise OSError(errno.EIO, "an asset could not be read")

    outside = fake_frames.frame(0)
    outside.layers["../up"] = b"x"
    with open_or_create(tmp_path / "a", fake_frames.identity()) as session:
        with pytest.raises(OSError, match="asset"):
            write_shard(session.folder, 0, frames())
        with pytest.raises(DatasetError, match="not a layer's name"):
            write_shard(session.folder, 0, [outside])
        assert not leftovers(tmp_path)


def test_a_second_run_is_kept_out_and_clears_nothing(tmp_path):
    out = tmp_path / "set"
    with open_or_create(out, fake_frames.identity()) as session:
        staged = write(session, 0)
        code, errors = drive(out, resume=True)
        assert code == 1 and f"process {os.getpid()}" in errors
        session.publish(staged)
    assert verify_shard(out / "shards" / "00000") == []


def test_frames_that_failed_are_recorded(tmp_path):
    out = tmp_path / "a"
    with open_or_create(out, fake_frames.identity(frames=3)) as session:
        frames = [fake_frames.frame(0), FailedFrame(index=1, error="GeometryError")]
        session.publish(write_shard(out, 0, [*frames, fake_frames.frame(2)]))
        session.finish()
    index = json.loads((out / "index.json").read_text())
    assert index["failed"] == 1 and index["frames"] == 3
    table = json.loads((out / "shards" / "00000" / "shard.json").read_text())
    assert table["failed"] == [{"index": 1, "error": "GeometryError"}]
    assert make(out, fake_frames.identity(frames=3), resume=True).set_aside == []


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


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path, monkeypatch):
    out, says = tmp_path / "set", {errno.EROFS: "read-only", errno.EACCES: "no permission"}
    for number, message in {**says, errno.EIO: "the disk failed"}.items():
        with monkeypatch.context() as patch:
            fault = OSError(number, "no", str(out))
            patch.setattr(Path, "mkdir", _fail_at(0, Path.mkdir, fault))
            with pytest.raises(DiskError, match=f"{out}: .*{message}"):
                make(out, fake_frames.identity())
        assert not out.exists()


def test_one_run_holds_the_lock_and_none_after_it(tmp_path):
    refused = pytest.raises(DatasetError, match=str(os.getpid()))
    with hold_lock(tmp_path), refused, hold_lock(tmp_path):
        pass
    with pytest.raises(ZeroDivisionError), hold_lock(tmp_path):
        raise ZeroDivisionError
    command = [sys.executable, "-c", "input()"]
    with hold_lock(tmp_path):
        child = subprocess.Popen(command, stdin=subprocess.PIPE, close_fds=False)
    with child:
        with hold_lock(tmp_path):  # children do not keep it
            pass
        child.kill()
    with pytest.raises(DiskError), hold_lock(tmp_path / "absent"):
        pass
    (tmp_path / "run.lock").unlink()
    (tmp_path / "run.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DiskError), hold_lock(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()
