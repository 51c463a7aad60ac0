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
_KEPT = "Object.keys(localStorage).filter(key => key.includes('outbox'))"
CAUSES = {"s": "self", "p": "person", "o": "object"}


def hammer(desk, joints, *, keys, first=0):
    """Choose joint after joint and give each a cause that it does not have; return what was said.

    Two key presses an edit. `keys`: how many edits.
    """
    output = []
    for k in range(first, first + keys):
        before = desk.reads("joint")
        desk.press("Tab")
        desk.wait(lambda before=before: desk.reads("joint") != before)  # on a busy machine: later
        key = "so"[(k // len(joints)) % 2] if k >= 0 else "s"
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


def fresh(labels, studio, folder):
    """Return an address of a person nobody has touched."""
    seen = {(e.person.frame, e.person.instance) for e in stored(studio, folder)}
    frame, instance = next(p for p in labels.people if p not in seen)
    return f"review?queue=all&frame={frame}&instance={instance}", f"{frame}:{instance}"


@pytest.fixture
def place(studio, studio_set):
    """Return the address of a person nobody has touched, and its item."""
    return fresh(Labels(studio_set), studio, studio_set)


def test_ten_keys_a_second_against_a_slow_server(studio, studio_set, page, open_as, place, joints):
    desk = sit_down(open_as, page, studio, place[0])
    desk.shown(place[1])
    output, standing = [], set()
    with stuttering(studio):
        for k in range(20):
            output += hammer(desk, joints, keys=1, first=k)
            standing.add(desk.reads("saved"))
    assert standing - {"saved"}  # the server really was behind
    desk.saved()
    check(stored(studio, studio_set, person=place[1]), output)


def test_keys_that_turn_on_while_the_server_is_slow_stay_in_order(
    studio, studio_set, page, open_as, place, joints
):
    desk = sit_down(open_as, page, studio, place[0])
    people = Labels(studio_set).people
    at = people.index(tuple(map(int, place[1].split(":"))))
    with stuttering(studio):
        for _ in range(4):
            desk.press("Tab", "t", "s", "n")
    desk.shown("{}:{}".format(*people[at + 4]))  # no key waits for its picture
    desk.saved()
    for frame, instance in people[at : at + 4]:
        check(
            stored(studio, studio_set, person=f"{frame}:{instance}"),
            [(joints[0], "truncated"), (joints[0], "self")],
        )


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
    assert [e.after["joints"][joints[0]]["cause"] for e in events][1:] == [
        "truncated",
        "self",
        "object",
    ]
    first.press("Tab", "s")
    first.wait(lambda: first.reads("refused") == "1")
    first.press("Alt+t")
    first.wait(lambda: first.reads("refused") == "0")
    assert len(stored(studio, studio_set, person=place[1])) == 4
    row = first.page.locator(f".joint-row[data-joint={joints[0]}]")
    expect(row).to_have_attribute("aria-label", re.compile("hidden by thing"))  # theirs


def test_server_killed_in_mid_edit(studio, studio_set, page, open_as, place, joints, watch):
    watch.expected += [
        "ERR_CONNECTION",
        "WebSocket",
        "Failed to fetch",
        "Failed to load",
        "Cannot send rerun",
        "Client Error",
        "Client error",
        "Connection timed out",
        "server is not responding",
    ]
    desk = sit_down(open_as, page, studio, place[0])
    output = hammer(desk, joints, keys=3)
    studio.kill()
    output += hammer(desk, joints, keys=3, first=3)
    assert int(desk.reads("pending")) >= 5
    desk.wait(lambda: desk.reads("saved") == "offline")
    assert desk.page.get_by_role("dialog").count() == 0 and desk.focused()
    before = int(desk.reads("pending"))
    output += hammer(desk, joints, keys=1, first=6)
    assert int(desk.reads("pending")) > before
    studio.start()
    desk.saved()
    check(stored(studio, studio_set, person=place[1]), output)
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

    assert again.page.evaluate(_KEPT) == []


def test_database_locked_for_longer_than_the_server_waits(
    studio, studio_set, page, open_as, place, joints
):
    desk = sit_down(open_as, page, studio, place[0])
    with closing(sqlite3.connect(studio.db, isolation_level=None)) as other:
        page.locator(".ed").evaluate("node => { node.first = true }")
        other.execute("BEGIN IMMEDIATE")
        output = hammer(desk, joints, keys=2)
        found = re.compile("[24] edits kept in this browser.*(locked|busy)")
        expect(page.locator(".ed .status")).to_have_text(found)
        other.execute("ROLLBACK")
    desk.saved()
    assert page.locator(".ed").evaluate("node => node.first")  # the same editor all the time
    check(stored(studio, studio_set, person=place[1]), output)


def test_no_file_may_grow(start_studio, studio_set, page, open_as, joints):
    """As on a full disk: the kernel refuses every write past 4 KB."""
    studio = start_studio(studio_set)
    endless = resource.RLIM_INFINITY

    def limit(size):
        resource.prlimit(studio.process.pid, resource.RLIMIT_FSIZE, (size, endless))

    desk = sit_down(open_as, page, studio)
    item = desk.reads("item")
    output = hammer(desk, joints, keys=2)
    desk.saved()
    limit(4096)
    output += hammer(desk, joints, keys=3, first=2)
    desk.wait(lambda: "disk" in desk.status())
    assert len(stored(studio, studio_set, person=item)) == 4
    assert desk.reads("pending") == "6"
    limit(endless)
    desk.saved()
    check(stored(studio, studio_set, person=item), output)
