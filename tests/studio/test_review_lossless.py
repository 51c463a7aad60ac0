"""No edit is lost, and none happens twice: each test counts events in the store."""

import re
import resource
import signal
import sqlite3
import threading
from contextlib import closing, contextmanager

import pytest
from conftest import settled
from playwright.sync_api import expect
from reviewing import Labels, sit_down, stored

pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly("servers that are stopped, killed and full; outbox has quick tests"),
]
CAUSES = {"s": "self", "p": "person", "o": "object"}
LOST = ["ERR_CONNECTION", "WebSocket", "Failed to", "Cannot send rerun", "Client Error"]
LOST += ["Client error", "Connection timed out", "server is not responding"]


def hammer(desk, joints, *, keys, first=0):
    """Choose joint after joint and give each a cause that it does not have; return what was said.

    Two key presses an edit. `keys`: how many edits.
    """
    output = []
    for k in range(first, first + keys):
        before = desk.reads("joint")
        desk.press("Tab")
        desk.wait(lambda before=before: desk.reads("joint") != before)  # on a busy machine: later
        key = "so"[(k // len(joints)) % 2]
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
def stuttering(studio, *, stopped_s=0.8, running_s=0.25):
    """Let the server run only now and then."""
    done = threading.Event()

    def stutter():
        while not done.is_set():
            studio.process.send_signal(signal.SIGSTOP)
            done.wait(stopped_s)
            studio.process.send_signal(signal.SIGCONT)
            done.wait(running_s)

    thread = threading.Thread(target=stutter)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        studio.process.send_signal(signal.SIGCONT)


@pytest.fixture
def joints(studio_set):
    return Labels(studio_set).joints


@pytest.fixture
def place(studio, studio_set):
    """Return the address of a person nobody has touched, and its item."""
    seen = {(e.person.frame, e.person.instance) for e in stored(studio, studio_set)}
    frame, instance = next(p for p in Labels(studio_set).people if p not in seen)
    return f"review?queue=all&frame={frame}&instance={instance}", f"{frame}:{instance}"


def test_keys_against_a_slow_server_stay_in_order(studio, studio_set, page, open_as, place, joints):
    """Twenty quick edits of one person, then four people by keys that wait for no picture."""
    desk = sit_down(open_as, page, studio, place[0])
    people = Labels(studio_set).people
    at = people.index(tuple(map(int, place[1].split(":"))))
    output, standing = [], set()
    with stuttering(studio):
        for k in range(20):
            output += hammer(desk, joints, keys=1, first=k)
            standing.add(desk.reads("saved"))
        for _ in range(3):
            desk.press("n", "Tab", "t", "s")
    assert standing - {"saved"}  # the server really was behind
    desk.shown("{}:{}".format(*people[at + 3]))
    desk.saved()
    check(stored(studio, studio_set, person=place[1]), output)
    for frame, instance in people[at + 1 : at + 4]:
        said = [(joints[0], "truncated"), (joints[0], "self")]
        check(stored(studio, studio_set, person=f"{frame}:{instance}"), said)


def test_two_browsers_on_one_person(studio, studio_set, page, new_page, open_as, place, joints):
    first = sit_down(open_as, page, studio, place[0], name="Ada")
    second = sit_down(open_as, new_page(), studio, place[0], name="Ben")
    settled(second.page)
    first.press("Tab", "t")
    first.saved()
    second.press("Tab", "t", "s", "o")  # made over what Ben saw: nothing of Ada's
    second.wait(lambda: second.reads("refused") == "3")
    expect(second.page.locator(".ed .refused")).to_contain_text("somebody changed")
    second.press("a")  # blocked until decided
    assert second.reads("item") == place[1] and second.reads("pending") == "0"
    assert len(stored(studio, studio_set, person=place[1])) == 1
    second.press("Alt+r")
    second.saved()
    assert second.reads("refused") == "0"
    events = stored(studio, studio_set, person=place[1])
    assert [e.who for e in events] == ["Ada", "Ben", "Ben", "Ben"]
    causes = [e.after["joints"][joints[0]]["cause"] for e in events]
    assert causes[1:] == ["truncated", "self", "object"]
    first.press("Tab", "s")
    first.wait(lambda: first.reads("refused") == "1")
    first.press("Alt+t")
    first.wait(lambda: first.reads("refused") == "0")
    assert len(stored(studio, studio_set, person=place[1])) == 4
    row = first.page.locator(f".joint-row[data-joint={joints[0]}]")
    expect(row).to_have_attribute("aria-label", re.compile("hidden by object"))  # theirs


def test_server_killed_in_mid_edit(studio, studio_set, page, open_as, place, joints, watch):
    watch.expected += LOST
    desk = sit_down(open_as, page, studio, place[0])
    output = hammer(desk, joints, keys=3)
    studio.kill()
    output += hammer(desk, joints, keys=3, first=3)
    assert int(desk.reads("pending")) >= 5
    desk.wait(lambda: desk.reads("saved") == "offline")
    desk.wait(lambda: desk.page.get_by_role("dialog").count() == 0 and desk.focused())
    before = int(desk.reads("pending"))
    output += hammer(desk, joints, keys=1, first=6)
    assert int(desk.reads("pending")) > before
    studio.start()
    desk.saved()
    settled(desk.page)
    desk.wait(lambda: desk.focused())
    output += hammer(desk, joints, keys=1, first=7)
    desk.saved()
    check(stored(studio, studio_set, person=place[1]), output)


def test_tab_closed_and_opened_again(studio, studio_set, page, open_as, place, joints):
    desk = sit_down(open_as, page, studio, place[0])
    studio.process.send_signal(signal.SIGSTOP)
    output = hammer(desk, joints, keys=4)
    assert int(desk.reads("pending")) == 8
    context = page.context
    page.close()
    studio.process.send_signal(signal.SIGCONT)
    again = sit_down(open_as, context.new_page(), studio, place[0])
    again.saved()
    check(stored(studio, studio_set, person=place[1]), output)
    kept = "Object.keys(localStorage).filter(key => key.includes('outbox'))"
    assert again.page.evaluate(kept) == []


@pytest.mark.parametrize("how", ["locked", "full"])
def test_a_database_that_cannot_be_written(start_studio, studio_set, page, open_as, joints, how):
    """Locked for longer than the server waits; or, as on a full disk, no file may grow."""
    studio = start_studio(studio_set)
    desk = sit_down(open_as, page, studio)
    item, output = desk.reads("item"), hammer(desk, joints, keys=2)
    desk.saved()
    page.locator(".ed").evaluate("node => { node.first = true }")

    def limit(size):
        pid, endless = studio.process.pid, resource.RLIM_INFINITY
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, endless))

    with closing(sqlite3.connect(studio.db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE") if how == "locked" else limit(4096)
        output += hammer(desk, joints, keys=3, first=2)
        desk.wait(lambda: re.search("locked|busy" if how == "locked" else "disk", desk.status()))
        assert desk.reads("pending") == "6"
        other.execute("ROLLBACK") if how == "locked" else limit(resource.RLIM_INFINITY)
    desk.saved()
    assert page.locator(".ed").evaluate("node => node.first")  # the same editor all the time
    check(stored(studio, studio_set, person=item), output)
