"""The editor by keys and fingers: labels of one joint, a phone, frames without people."""

import pytest
from editor_host import BOX, JOINTS, Alone, empty_frame, item, pinch, swipe
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def told(editor, joint=JOINTS[0]):
    return next(op["joints"][joint] for op in reversed(editor.ops()) if joint in op["joints"])


def test_outside_is_outside_the_picture(alone):
    """A joint moved over the picture's edge is outside; one called outside has no place in it."""
    alone.press("Tab", "r")
    assert told(alone) == [40, 50, None, "unlabelled"], "its place is kept"
    alone.press("2")
    assert told(alone) == [40, 50, 2, "visible"]
    alone.press(*["Shift+ArrowLeft"] * 5)  # 10 px each
    assert told(alone) == [-10, 50, 0, "truncated"]
    alone.press(*["Shift+ArrowRight"] * 2)
    assert told(alone) == [10, 50, 2, "visible"]
    alone.press("t")
    assert told(alone) == [None, None, 0, "truncated"]
    alone.press("o")  # a change of mind finds the joint where it was
    assert told(alone) == [10, 50, 1, "object"]


def test_the_box_of_somebody_without_a_mask_follows_the_joints(desktop):
    editor = Alone(desktop).give(items=[item(0, modal=BOX)])
    editor.press("3", "Tab", *["Shift+ArrowDown"] * 8)  # the nose from y = 50 to 130
    zoom, rect = float(editor.reads("zoom")), editor.page.locator(".box.modal")
    assert float(rect.get_attribute("height")) == pytest.approx(90 * zoom, abs=0.2)
    assert float(rect.get_attribute("width")) == pytest.approx(180 * zoom, abs=0.2)


def test_a_phone_has_the_picture_in_full_width_and_fingers_zoom_and_drag(phone):
    stage = phone.page.locator(".stage").bounding_box()
    assert stage["width"] >= 360 and stage["height"] >= 220
    before = float(phone.reads("zoom"))
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    pinch(phone, x, y, from_px=30, to_px=60)
    zoom = float(phone.reads("zoom"))
    assert zoom == pytest.approx(2 * before, rel=0.05) and phone.ops() == []
    phone.press("f")
    zoom = float(phone.reads("zoom"))
    beside = 40 - 18 / zoom  # 18 px of the screen beside the nose
    swipe(phone, (beside, 50), (beside + 20, 70))
    assert told(phone)[:2] == pytest.approx([60, 70], abs=0.6)
    palette = phone.page.locator(".palette").bounding_box()
    assert stage["y"] + stage["height"] <= palette["y"] < 844
    buttons = phone.page.locator(".palette .btn").all()
    assert all(button.bounding_box()["height"] >= 24 for button in buttons)


def test_nobody_here_is_one_key_and_one_undo(desktop):
    editor = Alone(desktop).give(items=[empty_frame(0), empty_frame(1), item(2)])
    chip, approve = desktop.locator(".chip"), desktop.locator(".decide .btn").first
    expect(chip).to_have_text("no people")
    expect(approve).to_contain_text("No people")
    editor.press("a")
    (op,) = editor.ops()
    assert (op["kind"], op["status"], op["frame"], op["instance"]) == ("status", "no_people", 0, 0)
    assert editor.reads("item") == "1:0"
    desktop.get_by_role("button", name="Approve, or mark as empty").click()
    assert editor.reads("item") == "2:1" and len(editor.ops()) == 2
    expect(approve).to_contain_text("Approve")
    editor.press("b")
    for key, word in (("z", "no people"), ("Z", "confirmed empty")):
        expect(chip).to_have_text("confirmed empty" if key == "z" else "no people")
        editor.press(key)
        expect(chip).to_have_text(word)
    assert [op["kind"] for op in editor.ops()] == ["status", "status", "revert", "revert"]
    editor.press("a")
    assert len(editor.ops()) == 4, "what is decided is not decided again"
    editor.press("b", "Delete")
    assert editor.ops()[-1]["status"] == "pending"
    editor.answer()
    expect(chip).to_have_text("no people")


def test_somebody_who_is_added_takes_it_back_first(desktop):
    editor = Alone(desktop).give(items=[empty_frame(0), item(1)])
    editor.press("a", "b", "i")
    kinds = [(op["kind"], op["instance"], op.get("status")) for op in editor.ops()]
    assert kinds == [("status", 0, "no_people"), ("status", 0, "pending"), ("add", 1, None)]
    editor.press("b")
    assert editor.reads("item") == "0:0"
    editor.press("a")
    expect(editor.page.locator(".flash")).to_contain_text("A person is in this frame")
    assert len(editor.ops()) == 3
