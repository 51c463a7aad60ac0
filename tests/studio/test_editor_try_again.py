"""Edits that were refused: tried again over what is there now, or dropped."""

import pytest
from editor_host import Alone
from playwright.sync_api import expect
from test_editor_occluders import SQUARE, frame, under
from test_editor_strokes import draw

pytestmark = pytest.mark.browser


def start(page, **more):
    editor = Alone(page)
    editor.give(items=frame(), queue={"total": 3, "label": "All", "empty": ""}, **more)
    return editor


@pytest.fixture
def alone(page):
    return start(page)


def paint(editor, *keys, refuse=lambda op: None):
    editor.press("Shift+O", *keys)
    draw(editor, *SQUARE)
    editor.answer(refuse=refuse)


def of_third(op):
    return "held by Bo" if op["instance"] == 3 else None


def test_an_edit_found_after_a_reload_is_tried_again_and_undone(alone):
    """Its group was this tab's, which knows it no more."""
    broken = []
    alone.page.on("pageerror", lambda error: broken.append(error))
    paint(alone, refuse=of_third)
    again = start(alone.page)
    expect(again.page.locator(".refused")).to_contain_text("an edit of person 3")
    again.press("Alt+r")
    op = again.ops()[-1]
    assert op["instance"] == 3 and set(op["joints"]) == set(under(again))
    again.press("z")
    taken = again.ops()[-1]
    assert (taken["kind"], taken["undoes"]) == ("revert", [op["client"], op["seq"]])
    expect(again.page.locator(".flash")).to_contain_text("Undone: edits of 1 person")
    again.press("Z", "z")
    assert again.ops()[-1]["kind"] == "revert" and broken == []


def test_a_stroke_that_was_all_refused_and_dropped_has_no_undo(alone):
    """The shown person is in front, so its undo only marks the stroke."""
    paint(alone, "p", refuse=lambda op: "no")
    alone.press("Alt+t", "z")
    expect(alone.page.locator(".flash")).to_contain_text("Nothing to undo")
    expect(alone.page.get_by_role("button", name="Undo", exact=True)).to_be_disabled()


def test_a_stroke_that_was_all_refused_and_tried_again_has_its_undo(alone):
    paint(alone, "p", refuse=lambda op: "no")
    alone.press("Alt+r")
    made = alone.ops()[-2:]
    assert [op["instance"] for op in made] == [2, 3]
    alone.press("z")
    taken = alone.ops()[-2:]
    assert [op["undoes"] for op in taken] == [[op["client"], op["seq"]] for op in made]
