"""One run at a time at a URL: a second one is refused, a dead one of this machine is no bar."""

import json
import os

import fake_frames
import pytest
from s3_server import at, downloaded, faults
from written_sets import drive, make, write

from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.dataset import destination
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.shards import hashed_files
from synthstudio.dataset.source import ENTRIES
from synthstudio.dataset.writer import open_or_create

MARKER = "run.lock"


def test_a_second_run_is_refused_while_the_first_lives(s3):
    with open_or_create(at(s3), fake_frames.identity()) as session:
        staged = write(session, 0)
        with pytest.raises(DatasetError, match=rf"another run .*got process {os.getpid()} on "):
            open_or_create(at(s3), fake_frames.identity(), resume=True).__enter__()
        session.publish(staged)
        s3.put("set/shards/00001.tar", b"of somebody without a marker")
        with pytest.raises(DatasetError, match="another shard already exists here"):
            session.publish(write(session, 1))
    assert s3.objects()["shards/00001.tar"] == b"of somebody without a marker"
    assert "shards/00000.tar" in s3.objects() and MARKER not in s3.objects()


def test_only_a_run_known_to_be_dead_is_taken_over(s3, monkeypatch):
    with open_or_create(at(s3), fake_frames.identity()) as session:
        session.publish(write(session, 0))
        own = json.loads(s3.objects()[MARKER]) | {"process": [0, 0.0]}
    (name, boot, _), host, container = own["machine"], "pid:[4026531836]", "pid:[1]"
    monkeypatch.setattr(destination, "_machine", lambda: [name, boot, host])
    machines = [name, boot, container], [name, "0", container], ["another", "0", host], "another"
    unknown = [json.dumps(own | {"machine": machine}) for machine in machines]
    for left in (*unknown, json.dumps(own | {"process": "?"}), "?"):
        s3.put(f"set/{MARKER}", left.encode())
        with pytest.raises(DatasetError, match=f"delete the object {s3.url()}/{MARKER}"):
            make(at(s3), fake_frames.identity(), resume=True)
    for machine in ([name, "0", host], ["another", boot, host]):
        s3.put(f"set/{MARKER}", json.dumps(own | {"machine": machine}).encode())
        make(at(s3), fake_frames.identity(), resume=True)


@pytest.mark.parametrize("taken_over", [False, True])
def test_a_run_whose_marker_is_gone_writes_nothing_more(s3, taken_over):
    with open_or_create(at(s3), fake_frames.identity()) as session:
        staged = write(session, 0)
        s3.delete(f"set/{MARKER}")
        if taken_over:
            assert drive(at(s3), workers=1, resume=True) == (0, "")
            s3.put(f"set/{MARKER}", b'{"owner": "somebody"}')
        before = s3.objects()
        for act in (lambda: session.publish(staged), lambda: session.log("something")):
            with pytest.raises(DatasetError, match="took over this data set"):
                act()
    assert s3.objects() == before


def test_a_store_without_conditions_is_refused_and_left_as_it_was(s3, monkeypatch):
    for fault, error, words in (
        (lambda *_: "blind", DatasetError, "does not support conditional writes"),
        (lambda method, name, n: "403" if (method, n) == ("PUT", 2) else None,
         DiskError, "the store denied access"),
    ):  # fmt: skip
        with faults(s3, fault, monkeypatch), pytest.raises(error, match=words):
            make(at(s3), fake_frames.identity())
        assert s3.objects() == {}
        s3.asked.clear()


def test_a_killed_run_is_resumed_at_once(s3, tmp_path):
    kill = {"at": "after-rename", "nth": 1, "who": "group"}
    code, _ = drive(at(s3), workers=1, kill=kill)
    assert code == -9 and MARKER in s3.objects() and "index.json" not in s3.objects()
    assert drive(at(s3), workers=2, resume=True) == (0, "")
    make(tmp_path / "disk", fake_frames.identity())
    assert hashed_files(downloaded(s3, tmp_path / "down")) == hashed_files(tmp_path / "disk")
    scratch = tmp_path / "cache" / ENTRIES
    assert len(list(scratch.glob(".tmp-run-*"))) == 1  # of the killed one
    assert Dataset(s3.url()).frames == 10
    assert not list(scratch.glob(".tmp-*"))
