"""A reviewer goes through people by keyboard; the store holds exactly that, and so does COCO."""

import json
import os
import re
from contextlib import closing
from pathlib import Path

import pytest
from reviewing import Desk, people_of, sit_down, stored
from served import settled

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.review.check import labels_of
from synthstudio.review.reviewed import export_reviewed
from synthstudio.review.store import open_store

pytestmark = pytest.mark.browser
PEOPLE = int(os.environ.get("SYNTHSTUDIO_REVIEW_PEOPLE", "9"))
"""How many; `make soak` says 200 and names a set that has as many in SYNTHSTUDIO_REVIEW_SET."""


def review(desk, joint, number):
    """Edit a joint, undo the last edit, and decide in one of three ways."""
    if desk.reads("joint"):
        desk.press("Escape")
    desk.press(*["Tab"] * (desk.joints.index(joint) + 1))
    desk.wait(lambda: desk.reads("joint") == joint)
    desk.press("Shift+ArrowRight", "0", "o", "p", "z")
    for k, key, text in ((1, "x", f"wrong {number}"), (2, "e", f"look at {number}")):
        if number % 3 == k:
            desk.press(key)
            box = desk.root.locator("form").get_by_role("textbox")
            box.and_(desk.page.locator(":focus")).wait_for()
            desk.page.keyboard.type(text)
            desk.press("Enter")
    if number % 3 != 1:
        desk.press("a")


def wanted(joint, x, y, before, number):
    """What the store has to hold of that: each event's kind, and what it changes."""
    moved, object_ = (joint, x + 10, y, before.state, before.cause), (joint, x + 10, y, 1, "object")
    gone = (joint, None, None, 0, "truncated")  # inside the picture: no place
    found = [("edit", *row) for row in (moved, gone, object_, (joint, x + 10, y, 1, "person"))]
    found.append(("revert", *object_))
    if number % 3 == 1:
        return [*found, ("status", "rejected", f"wrong {number}")]
    if number % 3 == 2:
        found.append(("comment", f"look at {number}", joint))
    return [*found, ("status", "approved", "")]


def changed(event):
    """What an event changed, as `wanted` has it."""
    if event.kind in ("status", "comment"):
        return event.kind, *(event.after[k] for k in event.after)
    ((joint, row),) = event.after["joints"].items()
    return event.kind, joint, *(row[name] for name in ("x_px", "y_px", "state", "cause"))


def journey(desk, studio, folder, people, *, who):
    """Review people by keys, hold the store against it; return joints of the approved."""
    dataset, everybody, approved = Dataset(folder), {}, []
    desk.joints = get_skeleton(dataset.identity.skeleton).joints
    for number, (frame, instance) in enumerate(people):
        desk.shown(f"{frame}:{instance}")
        row = next(r for r in dataset.instances(frame) if r["instance"] == instance)
        labels = labels_of(row, desk.joints)
        # a visible joint, or a hidden one of somebody hidden altogether
        joint = next(n for s in (2, 1) for n in desk.joints if labels[n].state == s)
        x, y = labels[joint].x_px, labels[joint].y_px
        review(desk, joint, number)
        everybody[frame, instance] = wanted(joint, x, y, labels[joint], number)
        if number % 3 != 1:
            approved.append((joint, x + 10, y))
    desk.saved()
    found = {}
    for event in stored(studio, folder):
        mine = found.setdefault((event.person.frame, event.person.instance), [])
        mine.append(changed(event))
        assert event.revision == len(mine) and event.who == who
    assert found.keys() == everybody.keys()
    for person, events in everybody.items():
        for got, want in zip(found[person], events, strict=True):
            assert got == pytest.approx(want, abs=0.001), person
    return approved


def test_the_first_corrected_label_of_somebody_new(studio, studio_set, page, open_as):
    open_as(page, studio, name="Nia")  # by the address that the server prints
    start = page.get_by_role("button", name=re.compile("^(Start|Continue) reviewing$"))
    start.wait_for()
    settled(page)  # Streamlit drops a click that comes while it draws the page again
    start.click()
    page.locator(".ed[data-ready]").wait_for()
    desk = Desk(page, studio)
    person = tuple(map(int, desk.shown().split(":")))
    for part in ("Tab selects a joint", "a approve"):
        page.get_by_text(part).first.wait_for()
    desk.root.focus()
    journey(desk, studio, studio_set, [person], who="Nia")
    page.get_by_text("All edits saved").first.wait_for()
    page.get_by_test_id("stExpandSidebarButton").click()  # the sidebar is folded in Review
    page.get_by_role("link", name="Home", exact=True).click()
    page.get_by_text("1 approved").first.wait_for()


@pytest.mark.nightly("a long journey by keys; the other test has the short one")
def test_a_reviewer_by_keyboard(start_studio, request, page, open_as, tmp_path):
    named = os.environ.get("SYNTHSTUDIO_REVIEW_SET")
    folder = Path(named) if named else request.getfixturevalue("studio_set")
    studio = start_studio(folder)
    desk = sit_down(open_as, page, studio)
    people = people_of(folder)[:PEOPLE]  # as the queue "all" has them
    approved = journey(desk, studio, folder, people, who="Ada")
    with closing(open_store(f"sqlite:///{studio.db}")) as store:
        export_reviewed(store, Dataset(folder), tmp_path / "coco", form="coco", only="approved")
    files = [json.loads(path.read_text()) for path in (tmp_path / "coco").rglob("*.json")]
    hidden = [
        (name, x, y)
        for entry in (one for file in files for one in file.get("annotations", ()))
        for name, x, y, v in zip(desk.joints, *[iter(entry["keypoints"])] * 3, strict=True)
        if v == 1
    ]
    for name, x, y in approved:
        place = pytest.approx((x - 0.5, y - 0.5), abs=0.02)
        assert any(name == n and found == place for n, *found in hidden), (name, x, y)
