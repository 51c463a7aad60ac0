"""Nothing that was acknowledged is lost: crowds of writers, kills, locks, full disks, backups."""

import contextlib
import dataclasses
import multiprocessing
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from postgres_programs import missing, programs
from review_ops import ANNA, KEY, ON_DISK, PERSON, hidden, op, seen
from sqlalchemy import create_engine, event, make_url, text

from synthstudio.core.errors import DiskError, Refused
from synthstudio.core.rng import stream
from synthstudio.review import edits, history
from synthstudio.review import store as store_module
from synthstudio.review.store import backup, open_store
from synthstudio.review.values import Op, User

REVIEWERS, EACH, ITEMS = 8, 30, 3
SECOND = dataclasses.replace(PERSON, instance=2)
HERE = str(Path(__file__).parent)


def patiently(call, *args, **more):
    """Call as the studio does: what was busy (on a slow machine) is sent again."""
    while True:
        try:
            return call(*args, **more)
        except Refused as refused:
            if refused.reason != "busy":
                raise


def send(store, output, who):
    return patiently(edits.apply, store, output, who=who, base=ON_DISK)


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
        output = Op(
            client=f"c{number}",
            seq=seq,
            person=person,
            revision=max(0, revision),
            kind=kind,
            **more,
        )
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
    with spawn.Pool(people, initializer=met.wait, initargs=(120,)) as pool:
        yield pool


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
    if accepted is not None:
        assert len(found) == accepted
    return found


def test_eight_reviewers_at_once(store, store_url):
    with crowd(REVIEWERS) as pool:
        reported = pool.map(one_reviewer, [(store_url, n) for n in range(REVIEWERS)], chunksize=1)
    total = sum(reported, Counter())
    assert total.total() == REVIEWERS * EACH
    found = check_whole(store, accepted=total["accepted"])
    # The test means nothing unless they met: several on one item, and some came too late.
    assert total["revision"] > 0 and total["accepted"] > REVIEWERS
    assert len({entry.who for entry in found}) == REVIEWERS
    assert set(total) <= {"accepted", "revision", "invalid"}


def test_threads_share_a_store(store):
    reported: list[str] = []

    def work(number):
        for seq in range(20):
            revision = history.state(store, PERSON).revision
            output = op("edit", revision, client=f"t{number}", seq=seq, joints={"nose": seen(seq)})
            try:
                send(store, output, ANNA)
                reported.append("accepted")
            except Refused as refused:
                reported.append(refused.reason)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reported) == 80 and set(reported) <= {"accepted", "revision"}
    check_whole(store, accepted=reported.count("accepted"))


WRITER = """
import dataclasses, sys
sys.path[:0] = [{here!r}, {tests!r}]
from review_ops import ANNA, ON_DISK, PERSON, op
from synthstudio.review import edits
from synthstudio.review.store import open_store
store = open_store({url!r})
second = dataclasses.replace(PERSON, instance=2)
if {hang}:
    real = edits._write
    def hang(*args, **words):
        event = real(*args, **words)
        print("flushed", flush=True)
        sys.stdin.read()
    edits._write = hang
for revision in range(10**6):
    said = op("edit", revision, seq=revision, client="writer", person=second)
    event = edits.apply(store, said, who=ANNA, base=ON_DISK)
    print(event.id, flush=True)
"""


@contextlib.contextmanager
def writer(url, *, hang=False):
    """Start a process that edits person 2 without pause; with `hang`, none of it is committed."""
    code = WRITER.format(here=HERE, tests=str(Path(HERE).parent), url=url, hang=hang)
    started = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with started:
        try:
            yield started
        finally:
            started.kill()


def test_killed_inside_a_transaction(store, store_url):
    edits.apply(store, op("edit", 0), who=ANNA, base=ON_DISK)
    before = history.events(store, KEY)
    with writer(store_url, hang=True) as process:
        assert process.stdout.readline().strip() == "flushed"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert history.events(store, KEY) == before
    check_whole(store, accepted=1)
    edits.apply(store, op("edit", 0, person=SECOND), who=ANNA, base=ON_DISK)
    check_whole(store, accepted=2)


def test_killed_while_writing_keeps_all_that_was_acknowledged(store, store_url):
    with writer(store_url) as process:
        acknowledged = [process.stdout.readline() for _ in range(25)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.readlines()
    found = check_whole(store)
    ids = {entry.id for entry in found}
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


def test_a_store_locked_for_a_while_loses_nothing(store, store_url):
    output = [op("edit", revision, joints={"nose": seen(revision)}) for revision in range(3)]
    reported = []

    def send():
        reported.extend(edits.apply_all(store, output, ANNA, lambda person: ON_DISK))

    thread = threading.Thread(target=send)
    with locked(store_url):
        thread.start()
        time.sleep(2)
        assert reported == []
    thread.join(30)
    assert [entry.revision for entry in reported] == [1, 2, 3]
    check_whole(store, accepted=3)


def test_locked_for_too_long_is_busy_and_may_be_sent_again(store_url, store, monkeypatch):
    monkeypatch.setattr(store_module, "BUSY_S", 0.3)
    hasty = open_store(store_url)
    output = [op("edit", 0), op("edit", 1, joints={"left_eye": hidden()})]
    with locked(store_url):
        reported = edits.apply_all(hasty, output, ANNA, lambda person: ON_DISK)
    assert [entry.reason for entry in reported] == ["busy", "busy"]
    assert "sent again" in str(reported[0])
    assert history.events(store, KEY) == []
    again = edits.apply_all(hasty, output, ANNA, lambda person: ON_DISK)
    assert [entry.revision for entry in again] == [1, 2]
    check_whole(store, accepted=2)
    hasty.close()


def test_full_disk_changes_nothing_and_may_be_sent_again(tmp_path, monkeypatch):
    """SQLite says "database or disk is full" for a file that may not grow just as for a disk."""
    limits = {"pages": 10**6}
    url = f"sqlite:///{tmp_path / 'r.db'}"
    store = open_store(url)

    @event.listens_for(store.engine, "checkout")
    def small(connection, *_):
        connection.execute(f"PRAGMA max_page_count={limits['pages']}")

    with store.session() as session:
        session.execute(
            text(
                "INSERT INTO dataset (key, name, skeleton, people, added_at) "
                + "VALUES (:k, 'a', 'coco17', 1, '2026-01-01 00:00:00')"
            ),
            {"k": KEY},
        )
    with store.reading() as session:
        limits["pages"] = session.execute(text("PRAGMA page_count")).scalar() + 3
    done = 0
    with pytest.raises(Refused) as caught:
        for done in range(1000):
            edits.apply(store, op("comment", done, text="x" * 900), who=ANNA, base=ON_DISK)
    assert caught.value.reason == "busy" and "disk is full" in str(caught.value)
    assert 0 < done < 999
    check_whole(store, accepted=done)
    limits["pages"] = 10**6
    edits.apply(store, op("comment", done, text="x" * 900), who=ANNA, base=ON_DISK)
    check_whole(store, accepted=done + 1)
    store.close()


@contextlib.contextmanager
def somebody_writes(store):
    """Let a thread write at one person without pause."""
    going = threading.Event()
    stop = threading.Event()

    def write():
        revision = 0
        while not stop.is_set():
            edits.apply(
                store,
                op("edit", revision, joints={"nose": seen(revision % 300)}),
                who=ANNA,
                base=ON_DISK,
            )
            revision += 1
            if revision == 5:
                going.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert going.wait(30)
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_backup_while_others_write(store, tmp_path, request):
    path = tmp_path / "copies" / "copy"
    with somebody_writes(store):
        before = len(list(history.iter_events(store, KEY)))
        backup(store, path)
    everything = list(history.iter_events(store, KEY))
    if store.engine.dialect.name == "sqlite":
        url = f"sqlite:///{path}"
    else:
        url = restored(path, store, request)
    copy = open_store(url)
    found = check_whole(copy)
    assert before <= len(found) <= len(everything) and found == everything[: len(found)]
    edits.apply(copy, op("edit", len(found)), who=ANNA, base=ON_DISK)
    copy.close()
    assert sorted(p.name for p in path.parent.iterdir())[0] == "copy"
    with pytest.raises(DiskError, match="a file of its own"):
        backup(store, path)


def restored(path, store, request):
    """Restore a dump into a new database; return its URL."""
    home = request.getfixturevalue("postgres_server").home
    url = store.engine.url.set(database="restored")
    admin = create_engine(store.engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS restored WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE restored TEMPLATE template0"))
    admin.dispose()
    command = [
        str(programs() / "pg_restore"),
        "-h",
        str(home),
        "-p",
        "54329",
        "-U",
        "tester",
        "-d",
        "restored",
        str(path),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return url.render_as_string(hide_password=False)


def test_ids_rise_as_things_happen(store, store_url):
    """Whoever reads events after the last id that it saw misses none."""
    with crowd(4) as pool:
        waiting = pool.map_async(one_reviewer, [(store_url, n) for n in range(4)], chunksize=1)
        seen_ids: list[int] = []
        while not waiting.ready():
            page = patiently(history.events, store, KEY, after_id=max(seen_ids, default=0))
            seen_ids += [entry.id for entry in page]
        waiting.get()
    page = history.events(store, KEY, after_id=max(seen_ids, default=0))
    seen_ids += [entry.id for entry in page]
    assert seen_ids == [entry.id for entry in history.iter_events(store, KEY)]


def test_a_store_opened_twice_keeps_what_is_written(store, store_url):
    """A process that opens a store again keeps its locks on it, so nobody ends its log."""
    seen_by = (
        "import sys; from synthstudio.review import history, store\n"
        "opened = store.open_store(sys.argv[1])\n"
        "print(len(history.events(opened, sys.argv[2]))); opened.close()"
    )

    def others_see():
        done = subprocess.run(
            [sys.executable, "-c", seen_by, store_url, KEY], check=True, capture_output=True
        )
        return int(done.stdout)

    history.events(store, KEY)
    open_store(store_url).close()
    assert others_see() == 0
    for number in range(3):
        send(store, op("edit", number), ANNA)
        assert others_see() == number + 1


@pytest.mark.parametrize(
    ("requested", "outcome"), [("", "Skipped"), ("chromium,postgres", "Failed")]
)
def test_missing_programs_are_skipped_unless_they_are_asked_for(monkeypatch, requested, outcome):
    monkeypatch.setenv("SYNTHSTUDIO_REQUIRE", requested)
    with pytest.raises(BaseException, match="no initdb") as caught:
        missing("no initdb")
    assert caught.typename == outcome
