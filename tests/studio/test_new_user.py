"""The studio as it is served: the first corrected label of somebody new, by what the pages say."""

import re
from contextlib import closing

import pytest
from reviewing import Desk, stored
from served import settled

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.review import history
from synthstudio.review.datasets import content_key
from synthstudio.review.store import open_store

pytestmark = pytest.mark.browser


def test_the_first_corrected_label(studio, studio_set, page, open_as):
    open_as(page, studio, name="Nia")  # by the address that the server prints
    start = page.get_by_role("button", name=re.compile("^(Start|Continue) reviewing$"))
    start.wait_for()
    settled(page)  # Streamlit drops a click that comes while it draws the page again
    start.click()
    page.locator(".ed[data-ready]").wait_for()
    desk = Desk(page, studio)
    desk.shown()
    for part in ("Tab selects a joint", "a approve"):
        page.get_by_text(part).first.wait_for()
    item = desk.reads("item")
    desk.root.focus()
    desk.press("Tab")
    page.get_by_text("arrows move").first.wait_for()
    desk.wait(lambda: desk.reads("joint") != "")
    joint = desk.reads("joint")
    desk.press("o", *["ArrowRight"] * 12, "u", "z", "Shift+Z", "z")
    desk.press("a")
    desk.wait(lambda: desk.reads("item") != item)
    desk.saved()
    page.get_by_text("All edits saved").first.wait_for()
    frame, instance = map(int, item.split(":"))
    dataset = Dataset(studio_set)
    row = next(r for r in dataset.instances(frame) if r["instance"] == instance)
    events = stored(studio, studio_set, person=item)
    assert {event.who for event in events} == {"Nia"}
    assert [event.revision for event in events] == list(range(1, len(events) + 1))
    assert events[-1].after["status"] == "approved"
    with closing(open_store(f"sqlite:///{studio.db}")) as store:
        state = history.states(store, content_key(dataset))[frame, instance]
    assert state.status == "approved" and set(state.joints) == {joint}
    assert state.joints[joint].cause == "object" and state.joints[joint].origin == "human"
    at = get_skeleton(dataset.identity.skeleton).joints.index(joint)
    assert state.joints[joint].x_px == pytest.approx(row["joints_px"][2 * at] + 12, abs=0.01)
    page.get_by_test_id("stExpandSidebarButton").click()  # the sidebar is folded in Review
    page.get_by_role("link", name="Home", exact=True).click()
    page.get_by_text("1 approved").first.wait_for()
