"""Joints placed one after another, by mouse, by keys alone and by a finger."""

import pytest
from editor_host import JOINTS, Alone, at, item, predicted
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture
def editor(desktop):
    alone = Alone(desktop)
    alone.give(items=[item(0, prediction=predicted()), item(1)], predictions="net")
    return alone


def placed(editor):
    """What each edit says: joint, place, state and cause."""
    return [(name, *row) for op in editor.ops() for name, row in op.get("joints", {}).items()]


def test_each_click_places_the_next_joint(editor):
    editor.press("Shift+J")
    assert editor.reads("joint") == "nose"
    spots = [(x, y) for x in (50, 85, 120, 155, 190) for y in (45, 65, 85, 105)][: len(JOINTS)]
    for x, y in spots:  # some of them on other joints: these stay
        editor.page.mouse.click(*at(editor, x, y))
    done = placed(editor)
    assert [name for name, *_ in done] == list(JOINTS)
    for (_, x, y, state, cause), spot in zip(done, spots, strict=True):
        assert (x, y) == pytest.approx(spot, abs=0.01) and (state, cause) == (2, "visible")
    expect(editor.page.locator(".flash")).to_contain_text("Every joint had its turn")
    assert editor.reads("joint") == ""
    editor.page.mouse.click(*at(editor, 60, 75))
    assert len(placed(editor)) == len(JOINTS), "it is over"


@pytest.mark.nightly("a rare way; a quick test of this file has the common one")
def test_keys_say_what_a_click_does_not(editor):
    editor.page.get_by_role("button", name="Place joint after joint").click()
    editor.press("Tab")  # the nose stays as it stands
    editor.press("r")  # no left eye
    assert editor.reads("joint") == JOINTS[2]
    editor.press("o")
    assert editor.reads("joint") == JOINTS[2], "a hidden joint still wants its place"
    editor.page.mouse.click(*at(editor, 100, 100))
    editor.press("Enter", "ArrowRight", "z", "z", "Escape")
    assert editor.reads("joint") == ""
    wanted = [(JOINTS[1], None, "unlabelled"), (JOINTS[2], 1, "object"), (JOINTS[2], 1, "object"),
              (JOINTS[3], 2, "visible"), (JOINTS[4], 2, "visible")]  # fmt: skip
    assert [(name, state, cause) for name, _, _, state, cause, *_ in placed(editor)] == wanted
    assert [op["kind"] for op in editor.ops()] == ["edit"] * 5 + ["revert"] * 2
    assert "as predicted" not in editor.label(JOINTS[3])
