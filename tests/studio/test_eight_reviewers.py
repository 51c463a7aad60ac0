"""Eight reviewers at once, six programs and two browsers, while everything breaks beneath them.

The server is killed and stopped, the database is locked and (PostgreSQL) killed, its disk is full.
Afterwards the store holds what was acknowledged, all of it, once, and nothing that was refused.
$SYNTHSTUDIO_REVIEWERS_S: for how long (`python -m benchmarks.soak reviewers`: ten minutes each).
"""

import os
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from postgres_programs import Server
from reviewing import Labels, sit_down
from sqlalchemy import create_engine, text
from test_review_lossless import check, hammer
from waiting import wait_for

import synthstudio as ss
from synthstudio.core.errors import Refused, ReviewError
from synthstudio.core.rng import stream
from synthstudio.dataset.reader import Dataset
from synthstudio.review import history
from synthstudio.review.datasets import content_key
from synthstudio.review.store import open_store
from synthstudio.review.team import members
from synthstudio.review.tokens import make_token
from synthstudio.review.values import User

pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly("half a minute of kills, locks and full disks, with two databases"),
]
SECONDS = float(os.environ.get("SYNTHSTUDIO_REVIEWERS_S", "10"))
PROGRAMS, BROWSERS = ("Cyd", "Dee", "Eli", "Fay", "Gus", "Hal"), ("Ada", "Ben")
ADMIN = User(name="Ida", role="admin")
DISK = "160m"
BROKEN = ["ERR_", "WebSocket", "Failed to", "Cannot send rerun", "Client Error", "Client error"]
BROKEN += ["Connection", "server is not responding", "status of 5"]


@pytest.fixture
def small_disk():
    """Return a file system of its own; skip where none can be mounted."""
    place = Path(tempfile.mkdtemp(prefix="disk-"))
    place.chmod(0o755)
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    if subprocess.run(words, capture_output=True).returncode:
        place.rmdir()
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
    place.rmdir()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request, small_disk):
    """Return a database on the small disk."""
    if request.param == "sqlite":
        yield Sqlite(small_disk)
        return
    home = small_disk / "server"
    home.mkdir()
    server = Server(home).create().start()
    try:
        yield Postgres(small_disk, server)
    finally:
        server.kill()


@dataclass
class Sqlite:
    """A file. `disk`: the file system that it lies on."""

    disk: Path

    @property
    def url(self):
        return f"sqlite:///{self.disk / 'review.db'}"

    @contextmanager
    def locked(self):
        """Let nobody write."""
        with closing(sqlite3.connect(self.disk / "review.db", timeout=60)) as other:
            other.isolation_level = None
            other.execute("BEGIN EXCLUSIVE")
            yield
            other.execute("ROLLBACK")

    @contextmanager
    def gone(self):
        """A file cannot be gone."""
        yield

    def mended(self):
        """Do what an admin would after the disk was full."""


@dataclass
class Postgres:
    """A server. `disk`: the file system of its data."""

    disk: Path
    server: Server

    @property
    def url(self):
        return self.server.url("postgres")

    @contextmanager
    def locked(self):
        """Let nobody write, nor read people. Of two tables at once the order would differ."""
        engine = create_engine(self.url)
        with engine.begin() as other:
            other.execute(text("LOCK TABLE item IN ACCESS EXCLUSIVE MODE"))
            yield
        engine.dispose()

    @contextmanager
    def gone(self):
        """Let it crash, and start it again afterwards."""
        self.server.kill()
        yield
        self.server.start()

    def mended(self):
        """A server that could not write its log has ended: start it again."""
        if not self.server.runs():
            self.server.start()


def fill(path):
    """Write until nothing fits any more."""
    with path.open("wb", buffering=0) as file:
        for size in (2**20, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


@dataclass
class Breaking:
    """Breaks everything in turn, again and again, and counts how often."""

    studio: object
    database: object
    over: threading.Event = field(default_factory=threading.Event)
    done: Counter = field(default_factory=Counter)
    errors: list = field(default_factory=list)

    def run(self):
        try:
            while not self.over.is_set():
                for how in (self.stopped, self.locked, self.killed, self.full, self.gone):
                    how()
                    self.done[how.__name__] += 1
                    time.sleep(1 if SECONDS < 60 else 8)
        except Exception as error:
            self.errors.append(error)
            raise

    def stopped(self):
        self.studio.process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        self.studio.process.send_signal(signal.SIGCONT)

    def locked(self):
        with self.database.locked():
            time.sleep(2 if SECONDS < 60 else 2 + 12 * (self.done["locked"] % 2))

    def killed(self):
        self.studio.kill()
        time.sleep(0.5)
        self.studio.start()

    def full(self):
        filler = self.database.disk / "filler"
        fill(filler)
        time.sleep(3)
        filler.unlink()
        self.database.mended()

    def gone(self):
        with self.database.gone():
            time.sleep(1)


@dataclass
class Program:
    """Somebody who works through the API, and notes what was answered.

    `said`: (person, kind, what) -> the event's number, None where nobody knows, or why it was
    refused. No two are alike.
    """

    review: object
    name: str
    people: list
    said: dict = field(default_factory=dict)

    def run(self, over):
        rng = stream(PROGRAMS.index(self.name), "program")
        while not over.is_set():
            number = len(self.said)
            frame, instance = self.people[int(rng.integers(len(self.people)))]
            kind = ("edit", "edit", "status", "comment")[int(rng.integers(4))]
            what = f"{self.name} {number}"
            place = [10.0 + number / 100, 20.0, 2, "visible"]
            key = ((frame, instance), kind, place[0] if kind == "edit" else what)
            try:
                person = self.review.person(frame, instance)
            except (Refused, ReviewError):
                time.sleep(0.2)
                continue
            try:
                if kind == "edit":
                    done = self.review.edit(person, {"nose": place})
                elif kind == "status":
                    done = self.review.decide(person, "flagged", what)
                else:
                    done = self.review.comment(person, what)
                self.said[key] = done["event"]
            except Refused as refused:
                self.said[key] = refused.reason
            except ReviewError:  # twice without an answer: it may have happened
                self.said[key] = None
            time.sleep(0.05 if SECONDS < 60 else 0.4)


def what_of(event):
    """Return what somebody said, as `Program` notes it."""
    person = (event.person.frame, event.person.instance)
    if event.kind == "edit":
        return person, "edit", event.after["joints"]["nose"]["x_px"]
    return person, event.kind, event.after["reason" if event.kind == "status" else "comment"]


def edited(desks, outputs, chaos, breaking, joints):
    """Edit in the browsers until the time is over and everything was broken once."""
    until, k = time.monotonic() + SECONDS, 0
    while chaos.is_alive():
        if time.monotonic() > until:
            breaking.over.set()
        for desk, output in zip(desks, outputs, strict=True):
            desk.wait(desk.focused)
            output += hammer(desk, joints, keys=1, first=k)
        k += 1
        desks[0].page.wait_for_timeout(100 if SECONDS < 60 else 1000)


def enough(programs):
    """Whether programs were answered often enough, and somebody that another was faster."""
    answers = [answer for program in programs for answer in list(program.said.values())]
    return sum(isinstance(answer, int) for answer in answers) > 10 and "revision" in answers


def answered(programs, events):
    """Compare what programs were answered with what is stored; count the answers."""
    stored = Counter((event.who, what_of(event)) for event in events if event.who in PROGRAMS)
    by_number = {event.id: (event.who, what_of(event)) for event in events if event.who in PROGRAMS}
    answers: Counter = Counter()
    for program in programs:
        for what, answer in program.said.items():
            held = stored.pop((program.name, what), 0)
            if isinstance(answer, int):
                assert held == 1 and by_number[answer] == (program.name, what)
            elif answer in (None, "busy"):  # a database that was lost in mid-write does not say
                assert held <= 1
            else:
                assert held == 0, f"{what} was refused as {answer}, and is stored"
            answers["done" if isinstance(answer, int) else answer or "no answer"] += 1
    assert not stored, "events that nobody asked for"
    return answers


@pytest.mark.timeout(SECONDS * 3 + 600)
def test_acknowledged_is_what_is_stored(
    start_studio, studio_set, database, tmp_path, new_page, open_as, watch
):
    watch.expected += BROKEN
    key, labels = content_key(Dataset(studio_set)), Labels(studio_set)
    more = ("--db", database.url, "--state", str(tmp_path / "state"))
    studio = start_studio(studio_set, more=more)
    own, shared = labels.people[-2:], labels.people[:-2]
    with closing(open_store(database.url)) as store:
        for name in (*BROWSERS, *PROGRAMS):
            members.set_role(store, name, "reviewer", by=ADMIN)
        tokens = {n: make_token(store, n, role="reviewer", by=ADMIN)[1] for n in PROGRAMS}
    places = [f"review?queue=all&frame={frame}&instance={instance}" for frame, instance in own]
    desks = [
        sit_down(open_as, new_page(), studio, place, name=name)
        for name, place in zip(BROWSERS, places, strict=True)
    ]
    programs = [Program(ss.Review(studio.url, tokens[name]), name, shared) for name in PROGRAMS]
    breaking, over = Breaking(studio, database), threading.Event()
    work = [threading.Thread(target=p.run, args=(over,)) for p in programs]
    chaos = threading.Thread(target=breaking.run)
    outputs: list[list] = [[], []]
    for thread in (*work, chaos):
        thread.start()
    try:
        edited(desks, outputs, chaos, breaking, labels.joints)
        wait_for(lambda: enough(programs), "programs are answered often enough")
    finally:
        breaking.over.set()
        chaos.join()
        over.set()
        for thread in work:
            thread.join()
    assert not breaking.errors
    assert all(breaking.done[how] for how in ("stopped", "locked", "killed", "full", "gone"))
    for desk in desks:
        desk.saved()
        assert desk.reads("refused") == "0"
    with closing(open_store(database.url)) as store:
        events = list(history.iter_events(store, key))
        assert history.check_replay(store, key) == []
    for name, person, output in zip(BROWSERS, own, outputs, strict=True):
        theirs = [e for e in events if (e.person.frame, e.person.instance) == person]
        check(theirs, output, who=name)
    answers = answered(programs, events)
    assert answers["done"] > 10 and answers["revision"]
    if log := os.environ.get("SYNTHSTUDIO_REVIEWERS_LOG"):
        with Path(log).open("a") as file:
            file.write(
                f"{database.url.split(':')[0]}: {len(events)} events, answers to programs"
                f" {dict(answers)}, edits in browsers {[len(said) for said in outputs]};"
                f" broken {dict(breaking.done)}\n"
            )
