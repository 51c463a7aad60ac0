"""The editor by mouse and finger, on a phone, beside neighbours, put up anew; without a server."""

import pytest
from editor_host import JOINTS, Alone, at, item, touch

pytestmark = pytest.mark.browser


def told(editor, joint):
    return next(op["joints"][joint] for op in reversed(editor.ops()) if joint in op["joints"])


def test_a_key_takes_a_label_away_and_its_place_is_kept(alone):
    before = alone.now["items"][0]["base"][0]
    alone.press("Tab", "r")
    assert told(alone, JOINTS[0]) == [*before[:2], None, "unlabelled"]
    alone.press("2")
    assert told(alone, JOINTS[0]) == [*before[:2], 2, "visible"]


def test_outside_is_outside_the_picture(alone):
    """A joint moved over the picture's edge is outside; one called outside has no place in it."""
    alone.press("Tab", *["Shift+ArrowLeft"] * 5)  # from x = 40, 10 px each
    assert told(alone, JOINTS[0]) == [-10, 50, 0, "truncated"]
    alone.press(*["Shift+ArrowRight"] * 2)
    assert told(alone, JOINTS[0]) == [10, 50, 2, "visible"]
    alone.press("t")
    assert told(alone, JOINTS[0]) == [None, None, 0, "truncated"]
    alone.press("o")  # a change of mind finds the joint where it was
    assert told(alone, JOINTS[0]) == [10, 50, 1, "object"]


def test_the_box_of_somebody_without_a_mask_follows_the_joints(desktop):
    editor = Alone(desktop)
    box = {"box": [30.0, 40.0, 180.0, 70.0], "counts": None}
    editor.give(items=[item(0, modal=box)])
    editor.press("3", "Tab", *["Shift+ArrowDown"] * 8)  # the nose from y = 50 to 130
    zoom, rect = float(editor.reads("zoom")), editor.page.locator(".box.modal")
    assert float(rect.get_attribute("height")) == pytest.approx(90 * zoom, abs=0.2)
    assert float(rect.get_attribute("width")) == pytest.approx(180 * zoom, abs=0.2)


def test_on_a_phone_the_picture_is_as_wide_as_the_screen(phone):
    stage = phone.page.locator(".stage").bounding_box()
    assert stage["width"] >= 360 and stage["height"] >= 220
    touch(phone, "touchStart", at(phone, 40, 50))
    touch(phone, "touchEnd")
    palette = phone.page.locator(".palette").bounding_box()
    assert stage["y"] + stage["height"] <= palette["y"] < 844
    buttons = phone.page.locator(".palette .btn").all()
    assert all(button.bounding_box()["height"] >= 24 for button in buttons)


def test_two_fingers_zoom_and_move_nothing_else(phone):
    stage = phone.page.locator(".stage").bounding_box()
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    before = float(phone.reads("zoom"))
    touch(phone, "touchStart", (x - 30, y))
    touch(phone, "touchStart", (x - 30, y), (x + 30, y))
    touch(phone, "touchMove", (x - 60, y), (x + 60, y))
    assert float(phone.reads("zoom")) == pytest.approx(2 * before, rel=0.05)
    touch(phone, "touchEnd", (x - 60, y))
    touch(phone, "touchEnd")
    assert phone.ops() == []


def test_a_finger_drags_a_joint(phone):
    zoom, tx, ty = (float(phone.reads(name)) for name in ("zoom", "tx", "ty"))
    stage = phone.page.locator(".stage").bounding_box()
    x, y = stage["x"] + 40 * zoom + tx - 18, stage["y"] + 50 * zoom + ty  # 18 px beside the nose
    touch(phone, "touchStart", (x, y))
    touch(phone, "touchMove", (x + 20, y + 20))
    touch(phone, "touchEnd")
    row = told(phone, JOINTS[0])
    assert row[:2] == pytest.approx([40 + 20 / zoom, 50 + 20 / zoom], abs=0.6)
