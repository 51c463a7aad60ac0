"""Edits that were refused: tried again over what is there now, or dropped."""

import pytest
from editor_host import JOINTS, SQUARE, Alone, draw
from playwright.sync_api import expect
from test_editor_occluders import frame, under

pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly("rare ways of refused edits; test_editor_alone.py refuses and tries again"),
]


def start(page, again=None):
    editor = Alone(page, again=again)
    editor.give(items=frame(), queue={"total": 3, "label": "All", "empty": ""})
    return editor


@pytest.fixture
def alone(desktop):
    return start(desktop)


def paint(editor, *keys, refuse=lambda op: None):
    editor.press("Shift+O", *keys)
    draw(editor, *SQUARE)
    editor.answer(refuse=refuse)


def of_third(op):
    return "held by Bo" if op["instance"] == 3 else None


def test_an_edit_found_after_a_reload_is_tried_again_and_undone(alone):
    """Its group was this tab's, which knows it no more."""
    paint(alone, refuse=of_third)
    again = start(alone.page, alone)
    expect(again.page.locator(".refused")).to_contain_text("an edit of person 3")
    again.press("Alt+r")
    op = again.ops()[-1]
    assert op["instance"] == 3 and set(op["joints"]) == set(under(again))
    again.press("z")
    taken = again.ops()[-1]
    assert (taken["kind"], taken["undoes"]) == ("revert", [op["client"], op["seq"]])
    expect(again.page.locator(".flash")).to_contain_text("Undone: edits of 1 person")
    again.press("Z", "z")
    assert again.ops()[-1]["kind"] == "revert"


@pytest.mark.parametrize("key", ["s", "ArrowRight"])
def test_an_edit_said_again_changes_what_it_changed(alone, key):
    """A cause leaves the place, a place leaves the cause, as somebody put them meanwhile."""
    alone.press("Tab", key)
    alone.answer(refuse=lambda op: "somebody changed this person meanwhile")
    items = alone.now["items"]
    x, y = items[0]["base"][0][:2]
    items[0]["state"]["revision"] = 1
    items[0]["state"]["joints"] = {JOINTS[0]: [99.0, 98.0, 1, "object", "human"]}
    alone.give(items=items)
    alone.press("Alt+r")
    again = alone.ops()[-1]
    wanted = [99, 98, 1, "self"] if key == "s" else [x + 1, y, 1, "object"]
    assert again["joints"] == {JOINTS[0]: wanted} and again["revision"] == 1


def test_what_cannot_be_tried_again_is_not_dropped(alone):
    paint(alone, refuse=of_third)
    items = alone.now["items"]
    del items[0]["people"][0]  # somebody deleted person 3
    alone.give(items=items)
    alone.press("Alt+r")
    flash = alone.page.locator(".flash")
    expect(flash).to_contain_text("Person 3 is not in this frame any more. Alt+T drops")
    assert alone.reads("refused") == "1"
    alone.press("Alt+t")
    assert alone.reads("refused") == "0"
