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
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from postgres_programs import Server
from reviewing import people_of, sit_down
from sqlalchemy import create_engine, text
from test_review_lossless import check, hammer
from waiting import wait_for

import synthstudio as ss
from synthstudio.core.errors import Refused, ReviewError
from synthstudio.core.rng import stream
from synthstudio.dataset.reader import Dataset
from synthstudio.review import history
from synthstudio.review.history import content_key
from synthstudio.review.store import open_store
from synthstudio.review.team import members
from synthstudio.review.team.members import make_token
from synthstudio.review.values import User

pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly("half a minute of kills, locks and full disks, with two databases"),
]
SECONDS = float(os.environ.get("SYNTHSTUDIO_REVIEWERS_S", "10"))
SHORT = SECONDS < 60
PROGRAMS, BROWSERS = ("Cyd", "Dee", "Eli", "Fay", "Gus", "Hal"), ("Ada", "Ben")
ADMIN = User(name="Ida", role="admin")
BROKEN = ["ERR_", "WebSocket", "Failed to", "Cannot send rerun", "Client Error", "Client error"]
BROKEN += ["Connection", "server is not responding", "status of 5"]


@pytest.fixture
def small_disk():
    place = Path(tempfile.mkdtemp(prefix="disk-"))
    place.chmod(0o755)
    words = ["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(place)]
    if subprocess.run(words, capture_output=True).returncode:
        place.rmdir()
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
    place.rmdir()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def server(request, small_disk):
    if request.param == "sqlite":
        yield None
        return
    (small_disk / "server").mkdir()
    server = Server(small_disk / "server").create().start()
    yield server
    server.kill()


class Breaking(threading.Thread):
    """Breaks everything in turn, again and again, and counts how often."""

    def __init__(self, studio, disk, server):
        super().__init__()
        self.studio, self.disk, self.server = studio, disk, server
        self.over, self.done, self.errors = threading.Event(), Counter(), []

    def run(self):
        locked_s = 2 if SHORT else 8
        ways = {self.stopped: 1.5, self.locked: locked_s, self.killed: 0.5, self.full: 3}
        try:
            while not self.over.is_set():
                for how, seconds in (ways | {self.gone: 1}).items():
                    with how():
                        time.sleep(seconds)
                    self.done[how.__name__] += 1
                    time.sleep(1 if SHORT else 8)
        except Exception as error:
            self.errors.append(error)
            raise

    @contextmanager
    def stopped(self):
        self.studio.process.send_signal(signal.SIGSTOP)
        yield
        self.studio.process.send_signal(signal.SIGCONT)

    @contextmanager
    def killed(self):
        self.studio.kill()
        yield
        self.studio.start()

    @contextmanager
    def locked(self):
        """Let nobody write, nor (PostgreSQL) read people."""
        if self.server:
            engine = create_engine(self.server.url("postgres"))
            with engine.begin() as other:
                other.execute(text("LOCK TABLE item IN ACCESS EXCLUSIVE MODE"))
                yield
            engine.dispose()
            return
        file = self.disk / "review.db"
        with closing(sqlite3.connect(file, timeout=60, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
            other.execute("ROLLBACK")

    @contextmanager
    def gone(self):
        """Let a database server crash; a file cannot be gone."""
        if self.server:
            self.server.kill()
        yield
        self.mended()

    @contextmanager
    def full(self):
        with (self.disk / "filler").open("wb", buffering=0) as file:
            for size in (2**20, 4096, 1):
                with suppress(OSError):
                    while True:
                        file.write(b"\0" * size)
        yield
        (self.disk / "filler").unlink()
        self.mended()

    def mended(self):
        """A server that could not write its log has ended: start it again."""
        if self.server and not self.server.runs():
            self.server.start()


class Program(threading.Thread):
    """A user of the API. `said`: (person, kind, what), no two alike -> the event's number, None
    where unknown, or why it was refused."""

    def __init__(self, review, name, people, over):
        super().__init__()
        self.review, self.who, self.people, self.over = review, name, people, over
        self.said = {}

    def run(self):
        rng = stream(PROGRAMS.index(self.who), "program")
        while not self.over.is_set():
            at = self.people[int(rng.integers(len(self.people)))]
            kind = ("edit", "edit", "status", "comment")[int(rng.integers(4))]
            what, x = f"{self.who} {len(self.said)}", 10.0 + len(self.said) / 100
            say = {
                "edit": lambda person, x=x: self.review.edit(
                    person, {"nose": [x, 20, 2, "visible"]}
                ),
                "status": lambda person, what=what: self.review.decide(person, "flagged", what),
                "comment": lambda person, what=what: self.review.comment(person, what),
            }[kind]
            key = (at, kind, x if kind == "edit" else what)
            try:
                person = self.review.person(*at)
            except (Refused, ReviewError):
                time.sleep(0.2)
                continue
            try:
                self.said[key] = say(person)["event"]
            except Refused as refused:
                self.said[key] = refused.reason
            except ReviewError:  # twice without an answer: it may have happened
                self.said[key] = None
            time.sleep(0.05 if SHORT else 0.4)


def what_of(event):
    person = (event.person.frame, event.person.instance)
    if event.kind == "edit":
        return person, "edit", event.after["joints"]["nose"]["x_px"]
    return person, event.kind, event.after["reason" if event.kind == "status" else "comment"]


def edited(desks, outputs, breaking):
    """Edit in the browsers until the time is over and everything was broken once."""
    until, k = time.monotonic() + SECONDS, 0
    while breaking.is_alive():
        if time.monotonic() > until:
            breaking.over.set()
        for desk, output in zip(desks, outputs, strict=True):
            desk.wait(desk.focused)
            output += hammer(desk, keys=1, first=k)
        k += 1
        desks[0].page.wait_for_timeout(100 if SHORT else 1000)


def answered(programs, events):
    """Compare what programs were answered with what is stored; count the answers."""
    stored = Counter((event.who, what_of(event)) for event in events if event.who in PROGRAMS)
    by_number = {event.id: (event.who, what_of(event)) for event in events if event.who in PROGRAMS}
    answers = Counter()
    for program in programs:
        for what, answer in program.said.items():
            held = stored.pop((program.who, what), 0)
            if isinstance(answer, int):
                assert held == 1 and by_number[answer] == (program.who, what)
            elif answer in (None, "busy"):  # a database that was lost in mid-write does not say
                assert held <= 1
            else:
                assert held == 0, f"{what} was refused as {answer}, and is stored"
            answers["done" if isinstance(answer, int) else answer or "no response"] += 1
    assert not stored, "events that nobody asked for"
    return answers


@pytest.mark.timeout(SECONDS * 3 + 600)
def test_acknowledged_is_what_is_stored(
    start_studio, studio_set, small_disk, server, new_page, open_as, watch
):
    watch.expected += BROKEN
    url = server.url("postgres") if server else f"sqlite:///{small_disk / 'review.db'}"
    key, people = content_key(Dataset(studio_set)), people_of(studio_set)
    studio = start_studio(studio_set, more=("--db", url))
    own, shared = people[-2:], people[:-2]
    with closing(open_store(url)) as store:
        for name in (*BROWSERS, *PROGRAMS):
            members.set_role(store, name, "reviewer", by=ADMIN)
        tokens = {n: make_token(store, n, role="reviewer", by=ADMIN)[1] for n in PROGRAMS}
    desks = [
        sit_down(open_as, new_page(), studio, f"review?queue=all&frame={f}&instance={i}", name=name)
        for name, (f, i) in zip(BROWSERS, own, strict=True)
    ]
    breaking, over, outputs = Breaking(studio, small_disk, server), threading.Event(), ([], [])
    programs = [Program(ss.Review(studio.api, tokens[n]), n, shared, over) for n in PROGRAMS]

    def enough():
        told = [answer for program in programs for answer in list(program.said.values())]
        return sum(isinstance(answer, int) for answer in told) > 10 and "revision" in told

    for thread in (*programs, breaking):
        thread.start()
    try:
        edited(desks, outputs, breaking)
        wait_for(enough, "programs are answered often enough, and that another was faster")
    finally:
        breaking.over.set()
        breaking.join()
        over.set()
        for thread in programs:
            thread.join()
    assert not breaking.errors
    assert all(breaking.done[how] for how in ("stopped", "locked", "killed", "full", "gone"))
    for desk in desks:
        desk.saved()
        assert desk.reads("refused") == "0"
    with closing(open_store(url)) as store:
        events = list(history.iter_events(store, key))
        assert history.check_replay(store, key) == []
    for name, person, output in zip(BROWSERS, own, outputs, strict=True):
        theirs = [e for e in events if (e.person.frame, e.person.instance) == person]
        check(theirs, output, who=name)
    answers = answered(programs, events)
    assert answers["done"] > 10 and answers["revision"]
    if log := os.environ.get("SYNTHSTUDIO_REVIEWERS_LOG"):
        with Path(log).open("a") as file:
            edits = [len(said) for said in outputs]
            file.write(
                f"{url.split(':')[0]}: {len(events)} events, answers to programs {dict(answers)},"
                f" edits in browsers {edits}; broken {dict(breaking.done)}\n"
            )
