"""Nothing that was acknowledged is lost: crowds of writers, kills, locks, full disks, backups."""

import contextlib
import dataclasses
import itertools
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from postgres_programs import programs
from review_ops import ANNA, BEN, KEY, ON_DISK, PERSON, hidden, op, refused, seen
from sqlalchemy import create_engine, event, make_url, text

from synthstudio.core.errors import DiskError, Refused
from synthstudio.review import batch_edits, edits, history
from synthstudio.review import store as store_module
from synthstudio.review.leases import claim
from synthstudio.review.models import DatasetRow, utc_now
from synthstudio.review.store import backup, open_store

REVIEWERS, EACH = 4, 15
SECOND = dataclasses.replace(PERSON, instance=2)
TESTS = Path(__file__).resolve().parents[1]
crowded = pytest.mark.nightly("several processes or threads write at once, or are killed")


def send(store, output, who=ANNA):
    """Send as the studio does: what was busy (on a slow machine) is sent again."""
    while True:
        try:
            return edits.apply(store, output, who=who, base=ON_DISK)
        except Refused as busy:
            if busy.reason != "busy":
                raise


def with_a_set(store):
    with store.session() as session:
        row = {"name": "a", "skeleton": "coco17", "people": 2, "added_at": utc_now()}
        session.add(DatasetRow(key=KEY, **row))
    return store


def check_whole(store, *, accepted=None):
    found = list(history.iter_events(store, KEY))
    revisions = {}
    for entry in found:
        assert entry.revision == revisions.get(entry.person, 0) + 1
        revisions[entry.person] = entry.revision
    assert history.check_replay(store, KEY) == []
    for person, revision in revisions.items():
        assert history.state(store, person).revision == revision
    assert accepted is None or len(found) == accepted
    return found


@pytest.mark.postgres
def test_postgresql_holds_edits_leases_and_refusals(postgres_url):
    """The smoke test; nightly runs ask PostgreSQL all that is asked of SQLite."""
    store = with_a_set(open_store(postgres_url))
    send(store, op("edit", 0, joints={"nose": seen(1.25, 2), "left_eye": hidden()}))
    second = send(store, op("status", 1, status="approved", text="\u00e9 'x'"))
    send(store, op("revert", 2, event=second.id), BEN)
    assert claim(store, [PERSON, SECOND], who=BEN, count=2) == [PERSON, SECOND]
    for revision in (3, 1):
        with refused("lease"):
            send(store, op("edit", revision))
    with refused("revision"):
        send(store, op("edit", 1), BEN)
    assert history.state(store, PERSON).joints["nose"] == seen(1.25, 2)
    check_whole(store, accepted=3)
    store.close()
    again = open_store(postgres_url)
    check_whole(again, accepted=3)
    again.close()


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from review_ops import ON_DISK, PERSON, op
from synthstudio.core.errors import Refused
from synthstudio.review import edits, history
from synthstudio.review.store import open_store
from synthstudio.review.values import User
store, who = open_store({url!r}), User(name="writer {number}", role="reviewer")
for seq in range(10**6):
    try:
        revision = history.state(store, PERSON).revision
        said = op("edit", revision, seq=seq, client="writer {number}")
        print(edits.apply(store, said, who=who, base=ON_DISK).id, flush=True)
    except Refused as refused:
        print(refused.reason, flush=True)
"""


@contextlib.contextmanager
def writer(url, number):
    code = WRITER.format(tests=str(TESTS), url=url, number=number)
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE) as started:
        try:
            yield started
        finally:
            started.kill()


@crowded
def test_a_crowd_that_is_killed_while_writing_keeps_all_that_was_acknowledged(store, store_url):
    """Also who reads events after the last id that it saw misses none."""
    output, seen_ids = [], []
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(writer(store_url, number)) for number in range(REVIEWERS)]
        stored = set()  # until two of them stored something
        for turn, process in enumerate(itertools.cycle(writers)):
            if turn >= EACH * REVIEWERS and len(stored) > 1:
                break
            output.append(process.stdout.readline().strip())
            stored |= {process.pid} if output[-1].isdigit() else set()
            page = history.events(store, KEY, after_id=max(seen_ids, default=0))
            seen_ids.extend(entry.id for entry in page)
        for process in writers:
            process.kill()
        output += [line.strip() for process in writers for line in process.stdout.readlines()]
    found = check_whole(store)
    ids, heard = [entry.id for entry in found], {int(line) for line in output if line.isdigit()}
    assert seen_ids == ids[: len(seen_ids)]
    assert heard <= set(ids) and len(ids) - len(heard) <= REVIEWERS
    assert "revision" in output  # they met: some came too late
    assert {line for line in output if line.isalpha()} <= {"revision", "busy"}
    if make_url(store_url).get_backend_name() == "sqlite":
        with contextlib.closing(sqlite3.connect(make_url(store_url).database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@contextlib.contextmanager
def locked(url):
    """Hold the lock that a writer needs, from another connection."""
    engine = create_engine(url)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.connection.dbapi_connection.isolation_level = None
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text("LOCK TABLE event IN ACCESS EXCLUSIVE MODE"))
        yield
        connection.rollback()
    engine.dispose()


def test_locked_for_too_long_is_busy_and_may_be_sent_again(store_url, store, monkeypatch):
    monkeypatch.setattr(store_module, "BUSY_S", 0.05)
    hasty = open_store(store_url)
    output = [op("edit", 0), op("edit", 1, joints={"left_eye": hidden()})]
    with locked(store_url):
        reported = batch_edits.apply_all(hasty, output, ANNA, lambda person: ON_DISK)
    assert [entry.reason for entry in reported] == ["busy", "busy"]
    assert history.events(store, KEY) == []
    again = batch_edits.apply_all(hasty, output, ANNA, lambda person: ON_DISK)
    assert [entry.revision for entry in again] == [1, 2]
    check_whole(store, accepted=2)
    hasty.close()


@pytest.fixture
def sqlite(made_store, tmp_path):
    (tmp_path / "r.db").write_bytes(made_store.read_bytes())
    with contextlib.closing(open_store(f"sqlite:///{tmp_path / 'r.db'}")) as store:
        yield with_a_set(store)


def test_full_disk_changes_nothing_and_may_be_sent_again(sqlite):
    """SQLite says "database or disk is full" for a file that may not grow just as for a disk."""
    with sqlite.reading() as session:
        limits = {"pages": session.execute(text("PRAGMA page_count")).scalar() + 3}

    @event.listens_for(sqlite.engine, "checkout")
    def small(connection, *_):
        connection.execute(f"PRAGMA max_page_count={limits['pages']}")

    done = 0
    with pytest.raises(Refused) as caught:
        for done in range(1000):
            send_once = op("comment", done, text="x" * 900)
            edits.apply(sqlite, send_once, who=ANNA, base=ON_DISK)
    assert caught.value.reason == "busy" and "disk is full" in str(caught.value)
    assert 0 < done < 999
    check_whole(sqlite, accepted=done)
    limits["pages"] = 10**6
    send(sqlite, op("comment", done, text="x" * 900))
    check_whole(sqlite, accepted=done + 1)


def restored(path, store, request):
    home, url = request.getfixturevalue("postgres_server").home, store.engine.url
    url = url.set(database="restored")
    admin = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS restored WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE restored TEMPLATE template0"))
    admin.dispose()
    where = ["-h", str(home), "-p", "54329", "-U", "tester", "-d", "restored"]
    command = [str(programs() / "pg_restore"), *where, str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return url.render_as_string(hide_password=False)


def test_a_backup_is_whole_and_replaces_nothing(store, tmp_path, request):
    for revision in range(3):
        send(store, op("edit", revision))
    path = tmp_path / "copies" / "copy"
    backup(store, path)
    is_file = store.engine.dialect.name == "sqlite"
    copy = open_store(f"sqlite:///{path}" if is_file else restored(path, store, request))
    assert check_whole(copy) == history.events(store, KEY)
    send(copy, op("edit", 3))
    copy.close()
    with pytest.raises(DiskError, match="invalid output file"):
        backup(store, path)


@crowded
def test_a_store_opened_twice_keeps_what_is_written(store, store_url):
    """A process that opens a store again keeps its locks on it, so nobody ends its log."""
    code = (
        "import sys; from synthstudio.review import history, store\n"
        "opened = store.open_store(sys.argv[1])\n"
        "print(len(history.events(opened, sys.argv[2]))); opened.close()"
    )

    def others_see():
        command = [sys.executable, "-c", code, store_url, KEY]
        return int(subprocess.run(command, check=True, capture_output=True).stdout)

    history.events(store, KEY)
    open_store(store_url).close()
    for number in range(2):
        assert others_see() == number
        send(store, op("edit", number))
