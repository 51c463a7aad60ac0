"""Writing that was broken off, damaged or is to grow: resumed, it has the unbroken bytes."""

import signal

import fake_frames
import pytest
from written_sets import drive, leftovers, make

from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.dataset.destination import FolderDestination
from synthstudio.dataset.shards import hashed_files, verify_shard
from synthstudio.dataset.writer import open_or_create

KILLS = [
    {"at": "frame-written", "nth": 3},  # the worker
    {"at": "before-rename", "nth": 3, "who": "group"},
    {"at": "before-first-shard"},
    {"at": "frame-written", "nth": 2, "who": "parent"},
    {"at": "frame-written", "nth": 2, "who": "group"},
    {"at": "shard-written"},
    {"at": "shard-written", "who": "parent"},
    {"at": "shard-written", "who": "group"},
    {"at": "before-rename", "nth": 2},
    {"at": "after-rename", "nth": 1, "who": "group"},
    {"at": "after-rename", "nth": 3},
    {"at": "before-index"},
]
NIGHT = pytest.mark.nightly("a kill at every step; two of them in quick")


@pytest.mark.parametrize(
    "kill",
    [pytest.param(kill, marks=NIGHT if k > 1 else ()) for k, kill in enumerate(KILLS)],
    ids=lambda kill: "-".join(map(str, kill.values())),
)
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


GROWING = [pytest.param({"at": at}, marks=NIGHT) for at in ("replacing", "before-first-shard")]


@pytest.mark.parametrize("kill", [None, *GROWING])
def test_a_run_that_grows_has_the_bytes_of_a_longer_one(kill, unbroken, tmp_path):
    out = tmp_path / "set"
    make(out, fake_frames.identity(frames=6))
    if kill is not None:
        code, _ = drive(out, frames=10, resume=True, kill=kill)
        assert code == -signal.SIGKILL and not (out / "index.json").exists()
    session = make(out, fake_frames.identity(frames=10), resume=True)
    assert hashed_files(out) == hashed_files(unbroken)
    assert session.set_aside == [] and not leftovers(out)
    with pytest.raises(DatasetError, match="frames: had 10, wants 9"):
        make(out, fake_frames.identity(frames=9), resume=True)
    assert hashed_files(out) == hashed_files(unbroken)


def _changed(name, change):
    def damage(shard):
        path = shard / name
        path.write_bytes(change(path.read_bytes()))

    return damage


def test_a_finished_set_resumed_is_left_alone(tmp_path):
    make(tmp_path / "set", fake_frames.identity())
    index = tmp_path / "set" / "index.json"
    before = (hashed_files(tmp_path / "set"), index.stat().st_mtime_ns)
    session = make(tmp_path / "set", fake_frames.identity(), resume=True)
    assert session.todo == () and sorted(session.done) == [0, 1, 2]
    assert (hashed_files(tmp_path / "set"), index.stat().st_mtime_ns) == before


def _link(shard):
    path = shard / "images" / "000001.jpg"
    path.rename(shard.parent.parent / "moved.jpg")
    path.symlink_to(shard.parent.parent / "moved.jpg")


DAMAGES = {
    "truncated": _changed("images/000001.jpg", lambda data: data[:10]),
    "flipped bit": _changed("frames.parquet", lambda d: d[:999] + bytes([d[999] ^ 1]) + d[1000:]),
    "deleted": lambda shard: (shard / "layers" / "depth" / "000002.png").unlink(),
    "added": lambda shard: (shard / "images" / "extra.jpg").write_bytes(b""),
    "link": _link,
    "empty table": _changed("shard.json", lambda data: b""),
    "count": _changed("shard.json", lambda data: data.replace(b'"people": 3', b'"people": 2')),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_is_set_aside_and_made_again(damage, unbroken, tmp_path):
    out = tmp_path / "set"
    make(out, fake_frames.identity())
    DAMAGES[damage](out / "shards" / "00000")
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
    (tmp_path / "empty").mkdir()
    for new in (tmp_path / "deep" / "set", tmp_path / "empty"):  # nothing is there: it starts
        make(new, fake_frames.identity(), resume=True)
        assert hashed_files(new) == hashed_files(out) == hashed_files(unbroken)


def test_a_set_that_is_being_changed_is_never_called_finished(tmp_path, monkeypatch):
    def full(*_):
        raise DiskError("full")

    part, damaged, grown = tmp_path / "part", tmp_path / "damaged", tmp_path / "grown"
    make(part, fake_frames.identity(), part=(1, 2))
    make(damaged, fake_frames.identity())
    DAMAGES["truncated"](damaged / "shards" / "00000")
    for folder in (part, damaged):
        with open_or_create(folder, fake_frames.identity(), resume=True):
            assert not (folder / "index.json").exists()
    make(grown, fake_frames.identity(frames=8))
    monkeypatch.setattr(FolderDestination, "replace", full)
    with pytest.raises(DiskError):
        make(grown, fake_frames.identity(frames=9), resume=True)
    assert not (grown / "index.json").exists()
