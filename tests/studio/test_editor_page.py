"""A page of predictions in the editor: taken by one key, counted before, undone by one key."""

import pytest
from editor_host import Alone, item, predicted
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture
def editor(desktop):
    """Six people of whom something is predicted, three whom the page leaves out, one more found."""
    alone = Alone(desktop)
    touched = item(0)["state"] | {"revision": 1}
    edited = touched | {"joints": {"nose": [1.0, 2.0, 2, "visible", "human"]}}
    stranger = predicted(1000, dx=120.0)
    items = [
        item(0),
        item(1, prediction=predicted(), found=[stranger]),
        item(2, prediction=predicted(), state=touched | {"status": "approved"}),
        item(3, prediction=predicted(), state=edited),
        item(4, prediction=predicted(), lease="Ben"),
        item(5, prediction=predicted()),
        item(6, prediction=predicted(), state=touched | {"status": "skipped"}),
    ]
    alone.give(items=items, predictions="net")
    return alone


def button(editor):
    return editor.page.locator(".predicted .btn", has_text="Page")


def test_a_page_is_counted_taken_and_undone_by_one_key_each(editor):
    expect(button(editor)).to_contain_text("Page: 4")
    editor.press("Shift+P")
    ops = editor.ops()
    taken = [(op["kind"], op["frame"], op["instance"], len(op["joints"])) for op in ops]
    assert taken == [("edit", 1, 1, 17), ("add", 1, 2, 17), ("edit", 5, 1, 17), ("edit", 6, 1, 17)]
    assert all(row[4] == "predicted" for op in ops for row in op["joints"].values())
    expect(editor.page.locator(".flash")).to_contain_text("4 people are as predicted, 1 of them")
    assert editor.reads("item") == "1:1", "undo begins at somebody of the page"
    expect(button(editor)).not_to_contain_text(":")
    editor.press("z")
    undone = editor.ops()[4:]
    assert [(op["kind"], op["frame"], op["instance"]) for op in undone] == [
        ("revert", frame, instance) for _, frame, instance, _ in taken
    ]
    assert [op["undoes"] for op in undone] == [[op["client"], op["seq"]] for op in ops]
    expect(editor.page.locator(".flash")).to_contain_text("predictions of 4 people")
    editor.press("Z")
    assert [op["kind"] for op in editor.ops()[8:]] == ["revert"] * 4
    editor.answer()
    assert "as predicted" in editor.label("nose")


def test_nothing_is_taken_where_nothing_is_open(editor):
    editor.press("n", "n", "n", "n", "n", "n", "a")
    editor.press("Shift+P")
    expect(editor.page.locator(".flash")).to_contain_text("Nothing is predicted from here on")
    assert [op["kind"] for op in editor.ops()] == ["status"]
