"""Nothing that was acknowledged is lost: crowds of writers, kills, locks, full disks, backups."""

import contextlib
import dataclasses
import multiprocessing
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from postgres_programs import programs
from review_ops import ANNA, BEN, KEY, ON_DISK, PERSON, hidden, op, refused, seen
from sqlalchemy import create_engine, event, make_url, text
from waiting import PATIENCE_S

from synthstudio.core.errors import DiskError, Refused
from synthstudio.core.rng import stream
from synthstudio.review import edits, history
from synthstudio.review import store as store_module
from synthstudio.review.leases import claim
from synthstudio.review.models import DatasetRow, utc_now
from synthstudio.review.store import backup, open_store
from synthstudio.review.values import Op, User

REVIEWERS, EACH, ITEMS = 8, 30, 3
SECOND = dataclasses.replace(PERSON, instance=2)
TESTS = Path(__file__).resolve().parents[1]
crowded = pytest.mark.nightly("several processes or threads write at once, or are killed")


def patiently(call, *args, **more):
    """Call as the studio does: what was busy (on a slow machine) is sent again."""
    while True:
        try:
            return call(*args, **more)
        except Refused as refused:
            if refused.reason != "busy":
                raise


def send(store, output, who=ANNA):
    return patiently(edits.apply, store, output, who=who, base=ON_DISK)


def check_whole(store, *, accepted=None):
    """Check that revisions have no gaps, items are what events say, and how many there are."""
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
    store = open_store(postgres_url)
    with store.session() as session:
        row = {"name": "a", "skeleton": "coco17", "people": 2, "added_at": utc_now()}
        session.add(DatasetRow(key=KEY, **row))
    send(store, op("edit", 0, joints={"nose": seen(1.25, 2), "left_eye": hidden()}))
    second = send(store, op("status", 1, status="approved", text="\u00e9 'x'"))
    send(store, op("revert", 2, event=second.id), BEN)
    assert claim(store, [PERSON, SECOND], who=BEN, count=2) == [PERSON, SECOND]
    for reason, what in (("lease", op("edit", 3)), ("lease", op("edit", 1))):
        with pytest.raises(Refused) as caught:
            send(store, what)
        assert caught.value.reason == reason
    with refused("revision"):
        send(store, op("edit", 1), BEN)
    assert history.state(store, PERSON).joints["nose"] == seen(1.25, 2)
    check_whole(store, accepted=3)
    store.close()
    again = open_store(postgres_url)
    check_whole(again, accepted=3)
    again.close()


def one_reviewer(job):
    """Send EACH random ops at shared items; return what was accepted, and refused by reason."""
    url, number = job
    rng = stream(number, "reviewer")
    store = open_store(url)
    who = User(name=f"reviewer {number}", role="reviewer")
    reported = Counter()
    for seq in range(EACH):
        person = dataclasses.replace(PERSON, instance=1 + int(rng.integers(ITEMS)))
        revision = patiently(history.state, store, person).revision - int(rng.random() < 0.1)
        kind = ("edit", "edit", "status", "comment", "revert")[int(rng.integers(5))]
        more = {
            "edit": {"joints": {"nose": seen(float(rng.integers(300)), 5.0)}},
            "status": {"status": "approved"},
            "comment": {"text": "?"},
            "revert": {"event": 1 + int(rng.integers(200))},
        }[kind]
        named = {"client": f"c{number}", "seq": seq, "person": person, "kind": kind}
        output = Op(revision=max(0, revision), **named, **more)
        try:
            first = send(store, output, who)
            assert send(store, output, who) == first
            reported["accepted"] += 1
        except Refused as refused:
            reported[refused.reason] += 1
    store.close()
    return reported


@contextlib.contextmanager
def crowd(people):
    """Processes that begin together. They are spawned: this one's threads may hold a lock."""
    spawn = multiprocessing.get_context("spawn")
    met = spawn.Barrier(people)
    with spawn.Pool(people, initializer=met.wait, initargs=(PATIENCE_S,)) as pool:
        yield pool


@crowded
def test_eight_reviewers_at_once(store, store_url):
    """Also who reads events after the last id that it saw misses none."""
    seen_ids: list[int] = []

    def read():
        page = patiently(history.events, store, KEY, after_id=max(seen_ids, default=0))
        seen_ids.extend(entry.id for entry in page)

    with crowd(REVIEWERS) as pool:
        jobs = [(store_url, n) for n in range(REVIEWERS)]
        waiting = pool.map_async(one_reviewer, jobs, chunksize=1)
        while not waiting.ready():
            read()
        total = sum(waiting.get(), Counter())
    read()
    assert total.total() == REVIEWERS * EACH
    found = check_whole(store, accepted=total["accepted"])
    assert seen_ids == [entry.id for entry in found]
    # The test means nothing unless they met: several on one item, and some came too late.
    assert total["revision"] > 0 and total["accepted"] > REVIEWERS
    assert len({entry.who for entry in found}) == REVIEWERS
    assert set(total) <= {"accepted", "revision", "invalid"}


WRITER = """
import dataclasses, sys
sys.path.insert(0, {tests!r})
from review_ops import ANNA, ON_DISK, PERSON, op
from synthstudio.review import edits
from synthstudio.review.store import open_store
store = open_store({url!r})
second = dataclasses.replace(PERSON, instance=2)
for revision in range(10**6):
    said = op("edit", revision, seq=revision, client="writer", person=second)
    event = edits.apply(store, said, who=ANNA, base=ON_DISK)
    print(event.id, flush=True)
"""


@contextlib.contextmanager
def writer(url):
    """Start a process that edits person 2 without pause."""
    code = WRITER.format(tests=str(TESTS), url=url)
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE) as started:
        try:
            yield started
        finally:
            started.kill()


@crowded
def test_killed_while_writing_keeps_all_that_was_acknowledged(store, store_url):
    with writer(store_url) as process:
        acknowledged = [process.stdout.readline() for _ in range(25)]
        process.kill()
        acknowledged += process.stdout.readlines()
    ids = {entry.id for entry in check_whole(store)}
    heard = {int(line) for line in acknowledged if line.strip().isdigit()}
    assert heard <= ids and len(ids) - len(heard) <= 1
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
        reported = edits.apply_all(hasty, output, ANNA, lambda person: ON_DISK)
    assert [entry.reason for entry in reported] == ["busy", "busy"]
    assert history.events(store, KEY) == []
    again = edits.apply_all(hasty, output, ANNA, lambda person: ON_DISK)
    assert [entry.revision for entry in again] == [1, 2]
    check_whole(store, accepted=2)
    hasty.close()


@pytest.fixture
def sqlite(made_store, tmp_path):
    """Return an open SQLite store with a data set."""
    (tmp_path / "r.db").write_bytes(made_store.read_bytes())
    store = open_store(f"sqlite:///{tmp_path / 'r.db'}")
    with store.session() as session:
        row = {"name": "a", "skeleton": "coco17", "people": 2, "added_at": utc_now()}
        session.add(DatasetRow(key=KEY, **row))
    yield store
    store.close()


def test_full_disk_changes_nothing_and_may_be_sent_again(sqlite):
    """SQLite says "database or disk is full" for a file that may not grow just as for a disk."""
    limits = {"pages": 10**6}

    @event.listens_for(sqlite.engine, "checkout")
    def small(connection, *_):
        connection.execute(f"PRAGMA max_page_count={limits['pages']}")

    with sqlite.reading() as session:
        limits["pages"] = session.execute(text("PRAGMA page_count")).scalar() + 3
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


@contextlib.contextmanager
def background_writer(store):
    """Let a thread write at one person without pause."""
    going, stop = threading.Event(), threading.Event()

    def write():
        revision = 0
        while not stop.is_set():
            send(store, op("edit", revision, joints={"nose": seen(revision % 300)}))
            revision += 1
            if revision == 5:
                going.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert going.wait(PATIENCE_S)
        yield
    finally:
        stop.set()
        thread.join()


def test_a_backup_is_whole_and_replaces_nothing(sqlite, tmp_path):
    send(sqlite, op("edit", 0))
    backup(sqlite, tmp_path / "copies" / "copy")
    copy = open_store(f"sqlite:///{tmp_path / 'copies' / 'copy'}")
    assert check_whole(copy) == history.events(sqlite, KEY)
    copy.close()
    with pytest.raises(DiskError, match="a file of its own"):
        backup(sqlite, tmp_path / "copies" / "copy")


@crowded
def test_backup_while_others_write(store, tmp_path, request):
    path = tmp_path / "copies" / "copy"
    with background_writer(store):
        before = len(list(history.iter_events(store, KEY)))
        backup(store, path)
    everything = list(history.iter_events(store, KEY))
    is_file = store.engine.dialect.name == "sqlite"
    url = f"sqlite:///{path}" if is_file else restored(path, store, request)
    copy = open_store(url)
    found = check_whole(copy)
    assert before <= len(found) <= len(everything) and found == everything[: len(found)]
    send(copy, op("edit", len(found)))
    copy.close()


def restored(path, store, request):
    """Restore a dump into a new database; return its URL."""
    home = request.getfixturevalue("postgres_server").home
    url = store.engine.url.set(database="restored")
    admin = create_engine(store.engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS restored WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE restored TEMPLATE template0"))
    admin.dispose()
    where = ["-h", str(home), "-p", "54329", "-U", "tester", "-d", "restored"]
    command = [str(programs() / "pg_restore"), *where, str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return url.render_as_string(hide_password=False)


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
