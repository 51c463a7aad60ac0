"""One run at a time at a URL: refused while the other lives, taken over when it is dead."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path

import fake_frames
import pytest
from s3_server import S3, at, downloaded, faults
from waiting import PATIENCE_S, wait_for
from written_sets import drive, make, start, write

from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.core.places import Url
from synthstudio.dataset import lease
from synthstudio.dataset.cache import ENTRIES
from synthstudio.dataset.lease import hold_lease
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.shards import hashed_files
from synthstudio.dataset.store import Store
from synthstudio.dataset.writer import open_or_create

TERM_S = 8.0  # shorter, and a busy machine renews a lease too late
nightly = pytest.mark.nightly("waits for terms of seconds, with runs in processes of their own")


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "TERM_S", TERM_S)


@pytest.fixture
def store(s3: S3) -> Store:
    return Store(Url("s3", f"{s3.bucket}/set"))


def test_numbers_only_rise(store: Store, s3: S3) -> None:
    for number in (1, 2, 3):
        with hold_lease(store) as held:
            assert held.number == number
            held.check()
        assert store.names(lease.LEASES) == [f"{number:08d}"]
    said = json.loads(s3.objects()["run.lease/00000003"])
    assert said["released"] and said["owner"].startswith(f"process {os.getpid()} on ")


def test_a_second_run_is_refused_while_the_first_lives(s3: S3) -> None:
    with open_or_create(at(s3), fake_frames.identity()) as session:
        staged = write(session, 0)
        with pytest.raises(DatasetError, match=rf"another run .*got process {os.getpid()} on "):
            open_or_create(at(s3), fake_frames.identity(), resume=True).__enter__()
        session.publish(staged)
        s3.put("set/shards/00001.tar", b"of somebody without a lease")
        with pytest.raises(DatasetError, match="another shard is already in this one's place"):
            session.publish(write(session, 1))
    assert s3.objects()["shards/00001.tar"] == b"of somebody without a lease"
    assert "shards/00000.tar" in s3.objects()


def test_a_run_whose_lease_is_gone_writes_nothing_more(s3: S3, store: Store) -> None:
    with hold_lease(store) as held:
        s3.delete("set/run.lease/00000001")
        with pytest.raises(DatasetError, match="taken this data set over"):
            held.check()


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("blind", DatasetError, "cannot make an object only if it is absent"),
        ("403", DiskError, "the store refuses this"),
    ],
)
def test_a_store_without_conditions_is_refused_and_left_as_it_was(
    kind: str, error: type[Exception], words: str, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(method: str, name: str, n: int) -> str | None:
        return kind if kind == "blind" or (method, n) == ("PUT", 2) else None

    with faults(s3, fault, monkeypatch), pytest.raises(error, match=words):
        hold_lease(Store(Url("s3", f"{s3.bucket}/set"))).__enter__()
    assert s3.objects() == {}


def test_a_store_that_names_no_condition(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    with faults(s3, lambda method, name, n: "bare", monkeypatch):
        make(at(s3), fake_frames.identity())
        with hold_lease(Store(Url("s3", f"{s3.bucket}/set"))) as held:
            assert held.number == 2
    assert "index.json" in s3.objects()


@nightly
def test_a_killed_run_is_resumed_after_the_term(s3: S3, tmp_path: Path) -> None:
    kill = {"at": "after-rename", "nth": 1, "who": "group"}
    code, _ = drive(at(s3), workers=1, kill=kill, term_s=TERM_S)
    assert code == -9 and "index.json" not in s3.objects()
    code, errors = drive(at(s3), workers=2, resume=True, term_s=TERM_S)
    assert (code, errors) == (0, "")
    make(tmp_path / "disk", fake_frames.identity())
    assert hashed_files(downloaded(s3, tmp_path / "down")) == hashed_files(tmp_path / "disk")
    assert json.loads(s3.objects()["run.lease/00000002"])["released"]
    scratch = tmp_path / "cache" / ENTRIES
    assert len(list(scratch.glob(".tmp-run-*"))) == 1  # of the killed one
    assert Dataset(s3.url()).frames == 10
    assert not list(scratch.glob(".tmp-*"))


@nightly
def test_a_run_that_lost_its_lease_changes_nothing(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as late:
        with monkeypatch.context() as patch:
            patch.setattr(lease, "_beat", lambda held, ended: None)  # as if it was stopped
            session = late.enter_context(open_or_create(at(s3), fake_frames.identity()))
        staged = [write(session, shard) for shard in session.todo]
        session.publish(staged[0])
        assert drive(at(s3), workers=1, resume=True, term_s=TERM_S) == (0, "")
        before = s3.objects()
        with pytest.raises(DatasetError, match=r"taken this data set over.*got process \d+ on "):
            session.publish(staged[1])
        with pytest.raises(DatasetError, match="taken this data set over"):
            session.log("something")
        session.destination._lease.renew()  # type: ignore[attr-defined]  # a late one
    after = s3.objects()
    assert {k: v for k, v in after.items() if "lease" not in k} == {
        k: v for k, v in before.items() if "lease" not in k
    }


@nightly
def test_a_lease_that_is_no_json_grows_old_too(s3: S3, store: Store) -> None:
    s3.put("set/run.lease/00000007", b"\xff")
    s3.put("set/run.lease/notes", b"")
    with hold_lease(store) as held:
        assert held.number == 8


@nightly
def test_a_run_that_is_alive_keeps_its_lease_for_many_terms(s3: S3, store: Store) -> None:
    with start(at(s3), pause_s=2.0, workers=1, term_s=TERM_S) as running:
        wait_for(lambda: "run.log" in s3.objects(), "the run has begun")
        with pytest.raises(DatasetError, match="another run is writing"):
            hold_lease(store).__enter__()
        _, errors = running.communicate(timeout=PATIENCE_S)
    assert (running.returncode, errors) == (0, "") and "index.json" in s3.objects()
