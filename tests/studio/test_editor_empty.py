"""A frame without people in the editor: decided by a key, undone, taken back by who is added."""

import pytest
from editor_host import Alone, empty_frame, item
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture
def editor(desktop):
    alone = Alone(desktop)
    alone.give(items=[empty_frame(0), empty_frame(1), item(2)])
    return alone


def chip(editor):
    return editor.page.locator(".chip")


def test_nobody_here_is_one_key_and_one_undo(editor):
    expect(chip(editor)).to_have_text("no people")
    expect(editor.page.locator(".decide .btn").first).to_contain_text("Nobody here")
    editor.press("a")
    (op,) = editor.ops()
    assert (op["kind"], op["status"], op["frame"], op["instance"]) == ("status", "nobody", 0, 0)
    assert editor.reads("item") == "1:0"
    editor.page.get_by_role("button", name="Approve, or decide").click()
    assert editor.reads("item") == "2:1" and len(editor.ops()) == 2
    expect(editor.page.locator(".decide .btn").first).to_contain_text("Approve")
    editor.press("b")
    expect(chip(editor)).to_have_text("nobody here")
    editor.press("z")
    expect(chip(editor)).to_have_text("no people")
    editor.press("Z")
    expect(chip(editor)).to_have_text("nobody here")
    assert [op["kind"] for op in editor.ops()] == ["status", "status", "revert", "revert"]
    editor.press("a")
    assert len(editor.ops()) == 4, "what is decided is not decided again"
    editor.press("b", "Delete")
    expect(chip(editor)).to_have_text("no people")
    assert editor.ops()[-1]["status"] == "pending"
    editor.answer()
    expect(chip(editor)).to_have_text("no people")


def test_somebody_who_is_added_takes_it_back_first(editor):
    editor.press("a", "b", "i")
    kinds = [(op["kind"], op["instance"], op.get("status")) for op in editor.ops()]
    assert kinds == [("status", 0, "nobody"), ("status", 0, "pending"), ("add", 1, None)]
    editor.press("b")
    assert editor.reads("item") == "0:0"
    editor.press("a")
    expect(editor.page.locator(".flash")).to_contain_text("A person is in this frame")
    assert len(editor.ops()) == 3
