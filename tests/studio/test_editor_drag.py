"""Where a joint lands, which ones stay, and what a click is."""

import math

import pytest
from editor_host import JOINTS, at, draw

pytestmark = pytest.mark.browser
JOINT = JOINTS[10]  # in the middle: at each zoom it is on the screen


def places(editor):
    base = editor.now["items"][0]["base"]
    return {name: (row[0], row[1]) for name, row in zip(JOINTS, base, strict=True)}


def drag(editor, start, *, by_px):
    """Drag from a place of the picture by so many pixels of the screen."""
    x, y = at(editor, *start)
    mouse = editor.page.mouse
    mouse.move(x + 4, y - 3)  # not at its centre: the joint must not jump under the pointer
    mouse.down()
    mouse.move(x + 30, y + 9, steps=3)
    mouse.move(x + 4 + by_px[0], y - 3 + by_px[1], steps=2)
    mouse.up()


@pytest.mark.parametrize("steps", [-5, 0, 6])
def test_a_dragged_joint_lands_within_a_fiftieth_of_a_pixel(alone, steps):
    alone.press(*["+" if steps > 0 else "-"] * abs(steps))
    zoom, (x, y) = float(alone.reads("zoom")), places(alone)[JOINT]
    drag(alone, (x, y), by_px=(37, 23))
    (op,) = alone.ops()
    assert list(op["joints"]) == [JOINT] == [alone.reads("joint")]
    assert op["joints"][JOINT][:2] == pytest.approx([x + 37 / zoom, y + 23 / zoom], abs=0.02)
    assert op["joints"][JOINT][2:] == [2, "visible"]


def test_a_click_chooses_and_moves_nothing(alone):
    x, y = at(alone, *places(alone)[JOINT])
    alone.page.mouse.move(x, y)
    alone.page.mouse.down()
    alone.page.mouse.move(x + 2, y + 1)
    alone.page.mouse.up()
    assert alone.reads("joint") == JOINT
    before = alone.reads("tx")
    draw(alone, (150, 20), (170, 22), (190, 25))  # nothing is there: the picture moves
    assert alone.reads("tx") != before and alone.ops() == []


@pytest.mark.parametrize("keys", [(), ("+",) * 3, ("-",) * 4])
def test_the_pick_radius_is_the_same_on_the_screen(alone, keys):
    alone.press(*keys)
    x, y = at(alone, *places(alone)[JOINT])
    alone.page.mouse.click(x - 9, y)
    assert alone.reads("joint") == JOINT
    alone.press("Escape")
    alone.page.mouse.click(x - 22, y)
    assert alone.reads("joint") != JOINT


def test_the_whole_skeleton_moves_by_its_handle_only(alone):
    handle = alone.page.locator(".ed .handle:not(.turn) rect").bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    zoom = float(alone.reads("zoom"))
    alone.page.mouse.move(x, y)
    alone.page.mouse.down()
    alone.page.mouse.move(x - 40, y + 25, steps=4)
    alone.page.mouse.up()
    (op,) = alone.ops()
    assert set(op["joints"]) == set(JOINTS)
    for name, (was_x, was_y) in places(alone).items():
        wanted = [was_x - 40 / zoom, was_y + 25 / zoom]
        assert op["joints"][name][:2] == pytest.approx(wanted, abs=0.02)


def cloud(joints):
    """Angle and length of the way from the first joint to the last."""
    (ax, ay), (bx, by) = joints[JOINTS[0]][:2], joints[JOINTS[-1]][:2]
    return math.atan2(by - ay, bx - ax), math.hypot(bx - ax, by - ay)


def test_a_person_turns_and_scales_by_handle_wheel_and_keys(alone):
    (angle, length), mouse = cloud(places(alone)), alone.page.mouse
    middle = at(alone, 120, 74)  # of all joints
    alone.press("g")
    handle = alone.page.locator(".ed .handle.turn rect").bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    dx, dy = x - middle[0], y - middle[1]
    cos, sin = 1.1 * math.cos(0.2), 1.1 * math.sin(0.2)
    mouse.move(x, y)
    mouse.down()
    mouse.move(middle[0] + cos * dx - sin * dy, middle[1] + sin * dx + cos * dy, steps=4)
    mouse.up()
    (op,) = alone.ops()
    assert cloud(op["joints"]) == pytest.approx((angle + 0.2, 1.1 * length), rel=0.005)
    mouse.move(*middle)
    for key, by in (("Shift", (0.05, 1)), ("Alt", (0, 1 / 1.0513))):
        angle, length = cloud(alone.ops()[-1]["joints"])
        alone.page.keyboard.down(key)
        mouse.wheel(0, 100)
        alone.page.keyboard.up(key)
        wanted = angle + by[0], length * by[1]
        alone.until(lambda: cloud(alone.ops()[-1]["joints"]) != (angle, length), "an edit")  # noqa: B023
        assert cloud(alone.ops()[-1]["joints"]) == pytest.approx(wanted, rel=0.005)
    angle, length = cloud(alone.ops()[-1]["joints"])
    alone.press("(", "/")
    wanted = angle - math.radians(1), length / 1.02
    assert cloud(alone.ops()[-1]["joints"]) == pytest.approx(wanted, rel=0.005)
