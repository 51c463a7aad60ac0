"""Writing that was broken off, damaged or is to grow: resumed, it has the unbroken bytes."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import fake_frames
import pytest
from written_sets import drive, leftovers, make, start

from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.core.rng import stream
from synthstudio.dataset.destination import FolderDestination
from synthstudio.dataset.shards import hashed_files, verify_shard
from synthstudio.dataset.writer import open_or_create

KILLS = [
    {"at": "before-first-shard"},
    {"at": "frame-written", "nth": 3},  # the worker
    {"at": "frame-written", "nth": 2, "who": "parent"},
    {"at": "frame-written", "nth": 2, "who": "group"},
    {"at": "shard-written"},
    {"at": "shard-written", "who": "parent"},
    {"at": "shard-written", "who": "group"},
    {"at": "before-rename", "nth": 2},
    {"at": "before-rename", "nth": 3, "who": "group"},
    {"at": "after-rename", "nth": 1, "who": "group"},
    {"at": "after-rename", "nth": 3},
    {"at": "before-index"},
]


@pytest.mark.parametrize("kill", KILLS, ids=lambda k: "-".join(map(str, k.values())))
def test_killed_and_resumed_gives_the_unbroken_bytes(kill, unbroken, tmp_path):
    out = tmp_path / "set"
    of_worker = kill["at"] in ("frame-written", "shard-written")
    code, errors = drive(out, workers=2, kill=kill, kill_shard=1)
    if of_worker and "who" not in kill:
        assert code == 1 and "shard 1" in errors and "SIGKILL" in errors
        assert not leftovers(out)
    else:
        assert code == -signal.SIGKILL
    assert not (out / "index.json").exists()
    assert drive(out, workers=2, resume=True) == (0, "")
    assert hashed_files(out) == hashed_files(unbroken)
    assert not leftovers(out) and not (out / "set-aside").exists()


@pytest.mark.parametrize("moment", range(4))
def test_killed_at_any_moment_and_resumed(moment, unbroken, tmp_path):
    out = tmp_path / "set"
    delay_s = float(stream(5, "kill", moment).uniform(0.1, 0.6))
    with start(out, workers=2, pause_s=0.03) as process:
        try:
            process.wait(delay_s)
        except subprocess.TimeoutExpired:
            victim = process.pid if moment % 2 else -process.pid
            os.kill(victim, signal.SIGKILL)
        process.communicate()
    assert drive(out, workers=2, resume=True) == (0, "")
    assert hashed_files(out) == hashed_files(unbroken)
    assert not leftovers(out)


@pytest.mark.parametrize("kill", [None, {"at": "replacing"}, {"at": "before-first-shard"}])
def test_a_run_that_grows_has_the_bytes_of_a_longer_one(kill, unbroken, tmp_path):
    out, long = tmp_path / "set", tmp_path / "long"
    make(out, fake_frames.identity(frames=6))
    if kill is not None:
        code, _ = drive(out, frames=10, resume=True, kill=kill)
        assert code == -signal.SIGKILL and not (out / "index.json").exists()
    session = make(out, fake_frames.identity(frames=10), resume=True)
    assert hashed_files(out) == hashed_files(unbroken)
    assert session.set_aside == [] and not leftovers(out)
    make(long, fake_frames.identity(frames=10), part=(1, 2))
    with pytest.raises(DatasetError, match="frames: had 10, wants 9"):
        make(out, fake_frames.identity(frames=9), resume=True)
    assert hashed_files(out) == hashed_files(unbroken)


def test_a_finished_set_resumed_is_left_alone(tmp_path):
    make(tmp_path / "set", fake_frames.identity())
    index = tmp_path / "set" / "index.json"
    before = (hashed_files(tmp_path / "set"), index.stat().st_mtime_ns)
    checked: list[tuple[int, int]] = []
    session = make(
        tmp_path / "set",
        fake_frames.identity(),
        resume=True,
        on_check=lambda done, total: checked.append((done, total)),
    )
    assert session.todo == () and checked == [(1, 3), (2, 3), (3, 3)]
    assert (hashed_files(tmp_path / "set"), index.stat().st_mtime_ns) == before


def test_resuming_what_is_not_there_simply_starts(unbroken, tmp_path):
    make(tmp_path / "deep" / "set", fake_frames.identity(), resume=True)
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty", fake_frames.identity(), resume=True)
    assert hashed_files(tmp_path / "deep" / "set") == hashed_files(unbroken)
    assert hashed_files(tmp_path / "empty") == hashed_files(unbroken)


def _truncate(shard: Path) -> None:
    os.truncate(shard / "images" / "000001.jpg", 10)


def _flip(shard: Path) -> None:
    path = shard / "frames.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _delete(shard: Path) -> None:
    (shard / "layers" / "depth" / "000002.png").unlink()


def _add(shard: Path) -> None:
    (shard / "images" / "extra.jpg").write_bytes(b"")


def _link(shard: Path) -> None:
    path = shard / "images" / "000001.jpg"
    path.rename(shard.parent.parent / "moved.jpg")
    path.symlink_to(shard.parent.parent / "moved.jpg")


def _empty_table(shard: Path) -> None:
    (shard / "shard.json").write_bytes(b"")


def _count(shard: Path) -> None:
    path = shard / "shard.json"
    path.write_text(path.read_text().replace('"people": 3', '"people": 2'))


@pytest.mark.parametrize("damage", [_truncate, _flip, _delete, _add, _link, _empty_table, _count])
def test_a_damaged_shard_is_set_aside_and_made_again(damage, unbroken, tmp_path):
    out = tmp_path / "set"
    make(out, fake_frames.identity())
    damage(out / "shards" / "00000")
    assert len(verify_shard(out / "shards" / "00000")) == 1
    session = make(out, fake_frames.identity(), resume=True)
    assert session.set_aside == ["00000"]
    assert len(list((out / "set-aside").iterdir())) == 1
    assert hashed_files(out) == hashed_files(unbroken)
    assert "set-aside" in (out / "run.log").read_text()


def test_what_is_no_shard_is_set_aside_too(unbroken, tmp_path):
    out = tmp_path / "set"
    make(out, fake_frames.identity())
    (out / "shards" / "00001").rename(out / "shards" / "00007")
    (out / "shards" / "notes.txt").write_text("mine")
    session = make(out, fake_frames.identity(), resume=True)
    assert session.set_aside == ["00007", "notes.txt"]
    assert hashed_files(out) == hashed_files(unbroken)


def test_a_set_that_is_being_changed_is_never_called_finished(tmp_path, monkeypatch):
    def full(*_: Any) -> None:
        raise DiskError("full")

    part, damaged, grown = tmp_path / "part", tmp_path / "damaged", tmp_path / "grown"
    make(part, fake_frames.identity(), part=(1, 2))
    with open_or_create(part, fake_frames.identity(), resume=True):
        assert not (part / "index.json").exists()
    make(damaged, fake_frames.identity())
    _truncate(damaged / "shards" / "00000")
    with open_or_create(damaged, fake_frames.identity(), resume=True):
        assert not (damaged / "index.json").exists()
    make(grown, fake_frames.identity(frames=8))
    monkeypatch.setattr(FolderDestination, "replace", full)
    with pytest.raises(DiskError):
        make(grown, fake_frames.identity(frames=9), resume=True)
    assert not (grown / "index.json").exists()
