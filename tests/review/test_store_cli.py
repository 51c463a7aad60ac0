"""The commands of the review store, as they are typed."""

import json
import shutil
import sqlite3
from contextlib import closing
from unittest.mock import Mock

import pytest
from command_line import refusal, run, run_json
from own_skeleton_sets import VIEWER
from review_ops import Desk, seen
from sqlalchemy import exc

from synthstudio.api.review import opened
from synthstudio.core.errors import ArgumentError, DiskError, Refused, ReviewError
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.skeleton_file import write_skeleton
from synthstudio.review import history
from synthstudio.review import store as review_store
from synthstudio.review.store import default_url, open_store


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv("SYNTHSTUDIO_DB", raising=False)


@pytest.fixture
def place(small_set, tmp_path):
    folder = tmp_path / "sets" / "sticks"
    shutil.copytree(small_set.folder, folder)
    desk = Desk(open_store(default_url(folder.parent)), Dataset(folder))
    desk.do("edit", 0, joints={"nose": seen(50, 60)})
    desk.do("status", 0, status="approved", text="ok\x1b[31m")
    desk.store.close()
    return folder


def found(*arguments, code=0):
    return run_json("review", *arguments, code=code)


def test_stats_and_history(place):
    counts = found("stats", place)
    assert counts["status"] == {"approved": 1, "pending": 9} and counts["joints"] == 1
    assert counts["reviewers"] == {"anna": {"edit": 1, "status": 1}}
    rows = found("history", place)["events"]
    found_rows = [(r["kind"], r["who"], r["revision"]) for r in rows]
    assert found_rows == [("edit", "anna", 1), ("status", "anna", 2)]
    assert rows[0]["after"]["joints"]["nose"]["x_px"] == 50
    assert len(found("history", place, "--limit", 1)["events"]) == 1
    assert found("history", place, "--frame", 3)["events"] == []
    assert found("history", place, "--who", "ben")["events"] == []
    assert found("history", place, "--check") == {"problems": []}
    text = run("review", "history", place).stdout
    assert "edit nose" in text and "\x1b" not in text  # no escape gets to a terminal
    with closing(open_store(default_url(place.parent))) as store, store.session() as session:
        session.connection().exec_driver_sql("UPDATE item SET status = 'rejected'")
    assert len(found("history", place, "--check", code=1)["problems"]) == 1


def test_export_then_import(place, tmp_path):
    made = found("export", place, "--out", tmp_path / "coco", "--only", "all")
    write_skeleton(tmp_path / "own.yaml", VIEWER)
    own = ("--out", tmp_path / "own", "--skeleton", tmp_path / "own.yaml")
    assert made["images"] == found("export", place, *own, "--only", "all")["images"] == 5
    as_set = ("export", place, "--out", tmp_path / "set", "--format", "dataset")
    assert found(*as_set)["frames"] == 1
    assert Dataset(tmp_path / "set").identity.derived["only"] == "approved"
    assert refusal("review", *as_set).endswith("here. Choose another location.")
    path = tmp_path / "coco" / "annotations/person_keypoints_train.json"
    assert found("import", place, path, "--by", "ben")["edited"] == 0
    data = json.loads(path.read_text())
    data["annotations"][0]["keypoints"][:3] = [70.5, 60.5, 2]
    path.write_text(json.dumps(data))
    assert found("import", place, path, "--by", "ben")["edited"] == 1
    (event,) = found("history", place, "--who", "ben")["events"]
    assert event["after"]["joints"].keys() == {"nose"}
    run("review", *as_set, "--skeleton", "mpii16", code=2)


def test_import_into_a_new_store(small_set, tmp_path):
    url = f"sqlite:///{tmp_path / 'new.db'}"
    for what in (["stats", small_set.folder], ["backup", "--out", tmp_path / "copy"]):
        with pytest.raises(ReviewError, match="no review store here"):
            run("review", *what, "--db", url)
    assert not (tmp_path / "new.db").exists()  # looking makes nothing
    open_store(url).close()
    with pytest.raises(ReviewError, match="is not in the store"):
        run("review", "stats", small_set.folder, "--db", url)
    found("export", small_set.folder, "--out", tmp_path / "coco", "--only", "all", "--db", url)
    path = tmp_path / "coco" / "annotations/person_keypoints_train.json"
    assert found("import", small_set.folder, path, "--by", "ben", "--db", url)["frames"] == 5
    assert found("stats", small_set.folder, "--db", url)["events"] == 0


def test_backup_and_members(place, tmp_path):
    url = default_url(place.parent)
    made = found("backup", "--db", url, "--out", tmp_path / "copy.db")
    assert made["bytes"] == (tmp_path / "copy.db").stat().st_size
    with closing(open_store(f"sqlite:///{tmp_path / 'copy.db'}")) as copy:
        (key,) = history.datasets(copy)
        assert len(history.events(copy, key)) == 2 and history.check_replay(copy, key) == []
    assert found("members", "--db", url) == {"members": {}}
    made = found("members", "--db", url, "--set", "anna", "--role", "admin")
    assert made == {"members": {"anna": "admin"}}
    run("review", "members", "--db", url, "--set", "ben", code=2)
    with pytest.raises(Refused):  # the last admin stays
        run("review", "members", "--db", url, "--remove", "anna")
    found("members", "--db", url, "--set", "ada", "--role", "admin")
    assert found("members", "--db", url, "--remove", "anna") == {"members": {"ada": "admin"}}


def test_the_studios_own_store_is_found(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = place.parent / "review.db"
    copy = shutil.copytree(place, tmp_path / "alone" / "set")
    with opened(copy, None, make=True):
        pass  # as `review check` does
    assert (tmp_path / "alone" / "studio" / "review.db").is_file()
    for folder in (place.parent, place.parent.parent, tmp_path / "exports"):
        (folder / "studio").mkdir(parents=True)
        file = file.rename(folder / "studio" / "review.db")
        open_store(default_url(place.parent)).close()  # a store that knows nothing of the set
        assert found("stats", place)["reviewers"] == {"anna": {"edit": 1, "status": 1}}
    shutil.copy(file, place.parent / "review.db")
    with pytest.raises(ArgumentError, match="several stores"):
        run("review", "stats", place)


def test_a_backup_that_fails_says_what_helps(place, tmp_path, monkeypatch):
    url = default_url(place.parent)
    for fault, message in (
        ("database or disk is full", r"the disk is full.*is unchanged\. Free some space or choose"),
        ("database is locked", r"could not be made.*is unchanged\..*not being written"),
    ):
        error = exc.OperationalError("BACKUP", {}, sqlite3.OperationalError(fault))
        monkeypatch.setattr(review_store, "_copy_sqlite", Mock(side_effect=error))
        with pytest.raises(DiskError, match=message):
            run("review", "backup", "--db", url, "--out", tmp_path / "copy.db")
        assert not list(tmp_path.glob("copy*"))
