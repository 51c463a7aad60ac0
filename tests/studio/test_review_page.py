"""The review page as a whole: windows, links, queues, roles, and what goes over the wire."""

import json
import re

import pytest
from conftest import settled
from playwright.sync_api import expect
from reviewing import Labels, eventually, sit_down, stored

pytestmark = pytest.mark.browser


@pytest.fixture
def wire(page):
    """Return what the page sends: addresses, and "frame" for each message of its socket."""
    output = []
    page.on("request", lambda request: output.append(request.url))
    page.on("websocket", lambda socket: socket.on("framesent", lambda _: output.append("frame")))
    return output


def test_next_asks_nothing_of_the_server_inside_the_window(studio, page, open_as, wire):
    desk = sit_down(open_as, page, studio, "review?queue=all")
    desk.wait(lambda: desk.reads("fetching") == "0", 60)
    settled(page)
    before = len(wire)
    assert "frame" in wire  # the watch sees what is sent
    for _ in range(6):
        was = desk.reads("item")
        desk.press("n")
        desk.wait(lambda was=was: desk.reads("item") != was)
        desk.shown()
    page.wait_for_timeout(500)
    assert wire[before:] == []


def test_the_window_moves_on_before_it_ends(studio, studio_set, page, open_as):
    people = Labels(studio_set).people
    desk = sit_down(open_as, page, studio, "review?queue=all")
    desk.press(*["n"] * (len(people) - 1))  # as fast as keys can be pressed
    last = "{}:{}".format(*people[-1])
    desk.shown(last, timeout=90)
    desk.press("n")
    expect(page.locator(".flash")).to_contain_text("last one")
    assert desk.reads("item") == last
    desk.press(*["b"] * (len(people) - 1))
    desk.shown("{}:{}".format(*people[0]), timeout=90)
    expect(page.locator(".ed .place")).to_have_text(f"1 of {len(people)}")


def test_a_link_leads_to_a_person_and_the_address_follows(studio, page, open_as):
    desk = sit_down(open_as, page, studio, "review?queue=all&frame=4&instance=2")
    desk.shown("4:2")
    desk.press("n")
    desk.shown("5:1")
    expect(page).to_have_url(re.compile("frame=5"))
    expect(page).to_have_url(re.compile("instance=1"))
    page.reload()
    page.locator(".ed[data-ready]").wait_for(timeout=90_000)
    desk.shown("5:1")
    page.get_by_role("link", name="Home").click()
    page.locator(".ed").wait_for(state="detached")
    page.get_by_role("link", name="Review").click()
    page.locator(".ed[data-ready]").wait_for(timeout=90_000)
    desk.shown("5:1")  # where one was


def test_a_query_makes_a_queue_and_a_mistake_is_said(studio, studio_set, page, open_as):
    sit_down(open_as, page, studio, "review?queue=all")
    place, people = page.locator(".ed .place"), len(Labels(studio_set).people)
    everybody, fewer = (re.compile(rf"^\d+ of {n}$") for n in (people, rf"(?!{people}$)\d+"))
    expect(place).to_have_text(everybody)
    box = page.get_by_role("textbox", name="Filter")
    box.fill("any joint hidden by person and occluded > 0.02")
    box.press("Enter")
    expect(place).to_have_text(fewer, timeout=60_000)
    expect(page).to_have_url(re.compile("q=any"))
    settled(page)
    box.fill("wrist of <b>somebody</b>")
    box.press("Enter")
    page.get_by_test_id("stAlert").wait_for(timeout=60_000)
    expect(place).to_have_text(everybody, timeout=60_000)


def test_history_tells_who_did_what(studio, studio_set, page, open_as):
    desk = sit_down(open_as, page, studio, "review?queue=all&frame=9&instance=1", name="Ada")
    desk.press("Tab", "t")
    desk.write("e", "<i>look</i> at the nose")
    desk.press("y")
    row = page.locator(".ed .events li").filter(has_text="look")
    row.wait_for(timeout=60_000)
    expect(row).to_contain_text("Ada")
    expect(row).to_contain_text("<i>look</i>")
    desk.saved()
    assert [e.kind for e in stored(studio, studio_set, person="9:1")] == ["edit", "comment"]


def test_an_added_person_is_found_again(studio, studio_set, page, open_as):
    desk = sit_down(open_as, page, studio, "review?queue=all&frame=10&instance=2")
    desk.press("i", "ArrowRight")
    desk.shown("10:3")
    desk.saved()
    page.reload()
    page.locator(".ed[data-ready]").wait_for(timeout=90_000)
    desk.shown("10:3")
    kinds = [e.kind for e in stored(studio, studio_set, person="10:3")]
    assert kinds == ["add", "edit"]


def test_forged_messages_change_nothing(studio, studio_set, page, open_as, watch):
    """The editor's own way to the server, with another's data set, a person of no frame, a lie."""
    desk = sit_down(open_as, page, studio, "review?queue=all&frame=11&instance=1")
    before = len(stored(studio, studio_set))
    bad = {"client": "f" * 16, "seq": 1, "frame": 11, "instance": 1, "revision": 0,
           "kind": "edit", "joints": {"nose": [1, 2, 2, "visible"]}}  # fmt: skip
    key = page.evaluate("new URL(location.href).searchParams.get('set')")
    forged = [
        bad | {"dataset": "0" * 64},
        bad | {"dataset": key, "seq": 2, "frame": 4000},
        bad | {"dataset": key, "seq": 3, "joints": {"nose": [1e12, 2, 2, "visible"]}},
    ]
    page.evaluate(
        """([prefix, ops]) => ops.forEach((op) => localStorage.setItem(
          `${prefix}${op.client}.${op.seq}`,
          JSON.stringify({...op, id: "11:1", patch: {}, made: 1})))""",
        [f"synthstudio.outbox.{key}.Ada.", forged],
    )
    page.reload()
    page.locator(".ed[data-ready]").wait_for(timeout=90_000)
    desk.wait(lambda: desk.reads("pending") == "0", 60)
    desk.wait(lambda: desk.reads("refused") == "3")
    assert len(stored(studio, studio_set)) == before

    def found():
        return studio.output + json.dumps([p.read_text() for p in studio.db.parent.glob("*.log")])

    eventually(lambda: "refused an edit" in found(), True)
