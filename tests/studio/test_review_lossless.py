"""No edit is lost, and none happens twice: each test counts events in the store."""

import re
import resource
import signal
import sqlite3
import threading
from contextlib import closing, contextmanager

import pytest
from playwright.sync_api import expect
from reviewing import people_of, sit_down, stored
from served import settled

from synthstudio.core.skeleton import get_skeleton

pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly("servers that are stopped, killed and full; outbox has quick tests"),
]
JOINTS = get_skeleton("coco23").joints  # of studio_set
CAUSES = {"s": "self", "p": "person", "o": "object"}
LOST = ["ERR_CONNECTION", "WebSocket", "Failed to", "Cannot send rerun", "Client Error"]
LOST += ["Client error", "Connection timed out", "server is not responding"]


def hammer(desk, *, keys, first=0):
    """Give joint after joint another cause by two key presses, `keys` times; return the edits."""
    output = []
    for k in range(first, first + keys):
        before = desk.reads("joint")
        desk.press("Tab")
        desk.wait(lambda before=before: desk.reads("joint") != before)  # on a busy machine: later
        key = "so"[(k // len(JOINTS)) % 2]
        joint = desk.reads("joint")
        desk.press("t", key)  # two edits whatever the joint was: outside, then a cause
        output += [(joint, "truncated"), (joint, CAUSES[key])]
    return output


def check(events, output, *, who="Ada"):
    """Every edit once, in order, one revision after the other."""
    assert [e.revision for e in events] == list(range(1, len(events) + 1))
    found = []
    for event in events:
        assert event.kind == "edit" and event.who == who
        ((joint, label),) = event.after["joints"].items()
        found.append((joint, label["cause"]))
    wanted, before = [], {}
    for joint, cause in output:  # a key that says what is there already is no edit
        if before.get(joint) != cause:
            wanted.append((joint, cause))
        before[joint] = cause
    assert found == wanted


@contextmanager
def stuttering(studio):
    """Let the server run only now and then."""
    done = threading.Event()

    def stutter():
        while not done.is_set():
            studio.process.send_signal(signal.SIGSTOP)
            done.wait(0.8)
            studio.process.send_signal(signal.SIGCONT)
            done.wait(0.25)

    thread = threading.Thread(target=stutter)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        studio.process.send_signal(signal.SIGCONT)


@pytest.fixture
def place(studio, studio_set):
    seen = {(e.person.frame, e.person.instance) for e in stored(studio, studio_set)}
    frame, instance = next(p for p in people_of(studio_set) if p not in seen)
    return f"review?queue=all&frame={frame}&instance={instance}", f"{frame}:{instance}"


def test_keys_against_a_slow_server_stay_in_order(studio, studio_set, page, open_as, place):
    """Twenty quick edits of one person, then four people by keys that wait for no picture."""
    desk = sit_down(open_as, page, studio, place[0])
    people = people_of(studio_set)
    at = people.index(tuple(map(int, place[1].split(":"))))
    output, standing = [], set()
    with stuttering(studio):
        for k in range(20):
            output += hammer(desk, keys=1, first=k)
            standing.add(desk.reads("saved"))
        for _ in range(3):
            desk.press("n", "Tab", "t", "s")
    assert standing - {"saved"}  # the server really was behind
    desk.shown("{}:{}".format(*people[at + 3]))
    desk.saved()
    check(stored(studio, studio_set, person=place[1]), output)
    for frame, instance in people[at + 1 : at + 4]:
        said = [(JOINTS[0], "truncated"), (JOINTS[0], "self")]
        check(stored(studio, studio_set, person=f"{frame}:{instance}"), said)


def test_two_browsers_on_one_person(studio, studio_set, page, new_page, open_as, place):
    first = sit_down(open_as, page, studio, place[0], name="Ada")
    second = sit_down(open_as, new_page(), studio, place[0], name="Ben")
    settled(second.page)
    first.press("Tab", "t")
    first.saved()
    studio.process.send_signal(signal.SIGSTOP)
    second.press("Tab", "t", "s", "o")  # made over what Ben saw: nothing of Ada's
    studio.process.send_signal(signal.SIGCONT)
    second.wait(lambda: second.reads("refused") == "3")
    expect(second.page.locator(".ed .refused")).to_contain_text("Ada changed this person")
    second.press("a")  # blocked until decided
    assert second.reads("item") == place[1] and second.reads("pending") == "0"
    assert len(stored(studio, studio_set, person=place[1])) == 1
    second.press("Alt+r")
    second.saved()
    assert second.reads("refused") == "0"
    events = stored(studio, studio_set, person=place[1])
    assert [e.who for e in events] == ["Ada", "Ben", "Ben", "Ben"]
    causes = [e.after["joints"][JOINTS[0]]["cause"] for e in events]
    assert causes[1:] == ["truncated", "self", "object"]
    first.press("Tab", "s")
    first.wait(lambda: first.reads("refused") == "1")
    first.press("Alt+t")
    first.wait(lambda: first.reads("refused") == "0")
    assert len(stored(studio, studio_set, person=place[1])) == 4
    row = first.page.locator(f".joint-row[data-joint={JOINTS[0]}]")
    expect(row).to_have_attribute("aria-label", re.compile("hidden by object"))  # theirs


def test_tab_closed_and_opened_again(studio, studio_set, page, open_as, place):
    desk = sit_down(open_as, page, studio, place[0])
    studio.process.send_signal(signal.SIGSTOP)
    output = hammer(desk, keys=4)
    assert int(desk.reads("pending")) == 8
    context = page.context
    page.close()
    studio.process.send_signal(signal.SIGCONT)
    again = sit_down(open_as, context.new_page(), studio, place[0])
    again.saved()
    check(stored(studio, studio_set, person=place[1]), output)
    kept = "Object.keys(localStorage).filter(key => key.includes('outbox'))"
    assert again.page.evaluate(kept) == []


@pytest.mark.parametrize("how", ["locked", "full", "killed"])
def test_a_server_that_cannot_store(start_studio, studio_set, page, open_as, watch, how):
    """Locked for longer than it waits; full, as no file may grow; killed and started again."""
    watch.expected += LOST if how == "killed" else []
    studio = start_studio(studio_set)
    desk = sit_down(open_as, page, studio)
    item, output = desk.reads("item"), hammer(desk, keys=2)
    desk.saved()
    page.locator(".ed").evaluate("node => { node.first = true }")

    def limit(size):
        pid, endless = studio.process.pid, resource.RLIM_INFINITY
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, endless))

    shown = {"locked": "server is slow|cannot be used", "full": "cannot be used", "killed": "."}
    with closing(sqlite3.connect(studio.db, isolation_level=None)) as other:
        begin = {"locked": lambda: other.execute("BEGIN IMMEDIATE"), "full": lambda: limit(4096)}
        begin.get(how, studio.kill)()
        output += hammer(desk, keys=3, first=2)
        desk.wait(lambda: re.search(shown[how], desk.status()))
        assert desk.reads("pending") == "6"
        if how == "killed":  # keys go to the editor still, where no server answers
            desk.wait(lambda: desk.reads("saved") == "offline")
            desk.wait(lambda: page.get_by_role("dialog").count() == 0 and desk.focused())
            output += hammer(desk, keys=1, first=5)
            assert desk.reads("pending") == "8"
        end = {"locked": lambda: other.execute("ROLLBACK"), "killed": studio.start}
        end.get(how, lambda: limit(resource.RLIM_INFINITY))()
    desk.saved()
    assert page.locator(".ed").evaluate("node => node.first")  # the same editor all the time
    check(stored(studio, studio_set, person=item), output)
