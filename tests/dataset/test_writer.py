"""Writing: the same bytes whatever happens on the way, one message for what cannot be."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_frames
import pytest

from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.core.rng import stream
from synthstudio.dataset import durable, shards, writer
from synthstudio.dataset.manifest import Identity
from synthstudio.dataset.shards import FailedFrame, hashed_files, verify_shard, write_shard
from synthstudio.dataset.writer import Session, open_or_create, shards_of

DRIVER = Path(__file__).with_name("driver.py")


def start(out: Path, **options: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(DRIVER), str(out), json.dumps(options)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def drive(out: Path, **options: Any) -> tuple[int, str]:
    with start(out, **options) as process:
        _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def make(out: Path, identity: Identity, **options: Any) -> Session:
    """Write a data set in this process."""
    with open_or_create(out, identity, **options) as session:
        for shard in session.todo:
            session.publish(write(session, shard))
        session.finish()
    return session


def write(session: Session, shard: int) -> shards.StagedShard:
    seed = session.identity.seed
    frames = (fake_frames.frame(i, seed=seed) for i in session.identity.frames_of(shard))
    return write_shard(session.folder, shard, frames)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken") / "set"
    assert drive(out, workers=1) == (0, "")
    return out


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """Return a data set of which one shard is made."""
    out = tmp_path / "begun"
    with open_or_create(out, fake_frames.identity()) as session:
        session.publish(write(session, 0))
    return out


def leftovers(out: Path) -> list[str]:
    return [p.name for p in out.rglob(".tmp-*")]


def test_workers_and_processes_do_not_change_a_byte(unbroken: Path, tmp_path: Path) -> None:
    assert drive(tmp_path / "two", workers=2) == (0, "")
    make(tmp_path / "here", fake_frames.identity())
    assert hashed_files(tmp_path / "two") == hashed_files(unbroken)
    assert hashed_files(tmp_path / "here") == hashed_files(unbroken)
    assert drive(tmp_path / "other", seed=2) == (0, "")
    assert hashed_files(tmp_path / "other") != hashed_files(unbroken)


def test_no_hashed_file_says_where_when_or_by_whom(unbroken: Path) -> None:
    names = set(hashed_files(unbroken))
    assert "run.log" not in names and "run.lock" not in names
    for name in names:
        data = (unbroken / name).read_bytes()
        for secret in (str(unbroken), unbroken.parent.name, os.uname().nodename, ".tmp-"):
            assert secret.encode() not in data, name


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
def test_killed_and_resumed_gives_the_unbroken_bytes(
    kill: dict[str, Any], unbroken: Path, tmp_path: Path
) -> None:
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
def test_killed_at_any_moment_and_resumed(moment: int, unbroken: Path, tmp_path: Path) -> None:
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
def test_a_run_that_grows_has_the_bytes_of_a_longer_one(
    kill: dict[str, Any] | None, unbroken: Path, tmp_path: Path
) -> None:
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


def test_a_finished_set_resumed_is_left_alone(tmp_path: Path) -> None:
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


def test_resuming_what_is_not_there_simply_starts(unbroken: Path, tmp_path: Path) -> None:
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
def test_a_damaged_shard_is_set_aside_and_made_again(
    damage: Callable[[Path], None], unbroken: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    make(out, fake_frames.identity())
    damage(out / "shards" / "00000")
    assert len(verify_shard(out / "shards" / "00000")) == 1
    session = make(out, fake_frames.identity(), resume=True)
    assert session.set_aside == ["00000"]
    assert len(list((out / "set-aside").iterdir())) == 1
    assert hashed_files(out) == hashed_files(unbroken)
    assert "set-aside" in (out / "run.log").read_text()


def test_what_is_no_shard_is_set_aside_too(unbroken: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    make(out, fake_frames.identity())
    (out / "shards" / "00001").rename(out / "shards" / "00007")
    (out / "shards" / "notes.txt").write_text("mine")
    session = make(out, fake_frames.identity(), resume=True)
    assert session.set_aside == ["00007", "notes.txt"]
    assert hashed_files(out) == hashed_files(unbroken)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"recipe": {"people": 9}}, "recipe.people"),
        ({"versions": {"synthstudio": "9", "numpy": "2.0"}}, "versions.synthstudio: had '0.1.0'"),
        ({"machine": {"cpu": "other", "flags": "avx2", "device": "cpu"}}, "machine.cpu"),
        ({"seed": 2}, "seed: had 1, wants 2"),
    ],
)
def test_another_identity_is_refused_or_written_down(
    begun: Path, change: dict[str, Any], line: str
) -> None:
    before = hashed_files(begun)
    other = fake_frames.identity(**change)
    with pytest.raises(DatasetError) as caught:
        make(begun, other, resume=True)
    assert line in str(caught.value) and "--allow-mixed" in str(caught.value)
    assert hashed_files(begun) == before
    make(begun, other, resume=True, allow_mixed=True)
    index = json.loads((begun / "index.json").read_text())
    assert any(line in text for note in index["mixed"] for text in note["differences"])
    assert hashed_files(begun)["dataset.json"] == before["dataset.json"]
    assert len(index["mixed"]) == 1


@pytest.mark.parametrize("change", [{"frames_per_shard": 8}, {"skeleton": "coco23"}, {"frames": 5}])
def test_what_would_not_fit_is_never_mixed(begun: Path, change: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match=next(iter(change))):
        make(begun, fake_frames.identity(**change), resume=True, allow_mixed=True)
    assert not (begun / "mixed.json").exists()


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("words")
    for resume in (False, True):
        with pytest.raises(DatasetError, match=r"not empty.*thesis\.tex"):
            make(tmp_path, fake_frames.identity(), resume=resume)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(DatasetError, match="must be a folder"):
        make(tmp_path / "thesis.tex", fake_frames.identity())
    (tmp_path / "dangling").symlink_to(tmp_path / "absent")
    with pytest.raises(DatasetError, match="broken link"):
        make(tmp_path / "dangling", fake_frames.identity())


def test_a_data_set_is_not_written_over(begun: Path) -> None:
    before = hashed_files(begun)
    with pytest.raises(DatasetError, match=r"already here.*--resume"):
        make(begun, fake_frames.identity())
    assert hashed_files(begun) == before


def test_a_second_run_is_kept_out_and_clears_nothing(tmp_path: Path) -> None:
    out = tmp_path / "set"
    with open_or_create(out, fake_frames.identity()) as session:
        staged = write(session, 0)
        code, errors = drive(out, resume=True)
        assert code == 1 and f"process {os.getpid()}" in errors
        session.publish(staged)
    assert verify_shard(out / "shards" / "00000") == []


def test_parts_own_every_shard_once_and_stay_apart(tmp_path: Path) -> None:
    whole = fake_frames.identity(frames=30)
    owned = [s for k in (1, 2, 3) for s in shards_of(whole, (k, 3))]
    assert sorted(owned) == list(range(whole.shards))
    assert list(shards_of(whole, (3, 3))) == [2, 5]
    make(tmp_path / "a", whole, part=(1, 3))
    with pytest.raises(DatasetError, match="shards of another part"):
        make(tmp_path / "a", whole, part=(2, 3), resume=True)
    for part in ((0, 3), (4, 3)):
        with pytest.raises(DatasetError, match="no such part"):
            make(tmp_path / "b", whole, part=part)
    assert not (tmp_path / "b").exists()


def test_a_part_may_become_the_whole(unbroken: Path, tmp_path: Path) -> None:
    make(tmp_path / "a", fake_frames.identity(), part=(1, 2))
    make(tmp_path / "a", fake_frames.identity(), resume=True)
    assert hashed_files(tmp_path / "a") == hashed_files(unbroken)


def test_an_unfinished_run_has_no_index(tmp_path: Path) -> None:
    with open_or_create(tmp_path / "a", fake_frames.identity()) as session:
        session.publish(write(session, 1))
        assert session.todo == (0, 2)
        with pytest.raises(DatasetError, match="2 of 3 not made"):
            session.finish()
    assert not (tmp_path / "a" / "index.json").exists()


def test_shards_with_wrong_frames_are_refused(tmp_path: Path) -> None:
    with open_or_create(tmp_path / "a", fake_frames.identity()) as session:
        short = write_shard(session.folder, 0, [fake_frames.frame(0)])
        with pytest.raises(DatasetError, match="expected frames 0 to 3 in shard 0; got 1 frames"):
            session.publish(short)
        with pytest.raises(DatasetError, match="follow one another"):
            write_shard(session.folder, 1, [fake_frames.frame(5), fake_frames.frame(4)])
        with pytest.raises(DatasetError, match="at least one frame"):
            write_shard(session.folder, 1, [])
    assert not leftovers(tmp_path)


def test_frames_that_failed_are_recorded(tmp_path: Path) -> None:
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


def test_an_error_of_a_frame_passes_through_and_leaves_nothing(tmp_path: Path) -> None:
    def frames() -> Iterator[Any]:
        yield fake_frames.frame(0)
        raise OSError(errno.EIO, "an asset could not be read")

    with open_or_create(tmp_path / "a", fake_frames.identity()) as session:
        with pytest.raises(OSError, match="asset"):
            write_shard(session.folder, 0, frames())
        assert not leftovers(tmp_path)


def test_a_layer_cannot_leave_its_folder(tmp_path: Path) -> None:
    made = fake_frames.frame(0)
    made.layers["../up"] = b"x"
    with pytest.raises(DatasetError, match="not a layer's name"):
        write_shard(tmp_path, 0, [made])
    assert not leftovers(tmp_path)


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
    [(Path, "write_bytes"), (os, "fsync"), (Path, "rename"), (shards.rows, "write_parquet")],
)
def test_a_full_disk_is_one_message_and_keeps_whole_shards(
    owner: Any, name: str, call: int, unbroken: Path, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    [(errno.EROFS, "read-only"), (errno.EACCES, "no permission"), (errno.EIO, "writing failed")],
)
def test_a_folder_that_cannot_be_written_is_one_message(
    number: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_truly_full_and_a_truly_read_only_disk(small_disk: Path, unbroken: Path) -> None:
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


def test_a_temporary_that_a_dying_worker_fills_is_still_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_set_that_is_being_changed_is_never_called_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    monkeypatch.setattr(writer, "write_identity", full)
    with pytest.raises(DiskError):
        make(grown, fake_frames.identity(frames=9), resume=True)
    assert not (grown / "index.json").exists()
