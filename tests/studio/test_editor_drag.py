"""Where a joint lands, which ones stay, what a click is, and joints placed one after another."""

import math

import pytest
from editor_host import JOINTS, at, draw
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
JOINT = JOINTS[10]  # in the middle: at each zoom it is on the screen


def places(editor):
    base = editor.now["items"][0]["base"]
    return {name: (row[0], row[1]) for name, row in zip(JOINTS, base, strict=True)}


def drag(page, x, y, *ways):
    """Drag from a place of the screen by ways of so many pixels."""
    page.mouse.move(x, y)
    page.mouse.down()
    for dx, dy in ways:
        page.mouse.move(x + dx, y + dy, steps=3)
    page.mouse.up()


def middle(editor, selector):
    box = editor.page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.mark.parametrize("steps", [-5, 0, 6])
def test_a_dragged_joint_lands_within_a_fiftieth_of_a_pixel(alone, steps):
    alone.press(*["+" if steps > 0 else "-"] * abs(steps))
    zoom, (x, y) = float(alone.reads("zoom")), places(alone)[JOINT]
    left, top = at(alone, x, y)
    drag(alone.page, left + 4, top - 3, (26, 12), (37, 23))  # it must not jump under the pointer
    (op,) = alone.ops()
    assert list(op["joints"]) == [JOINT] == [alone.reads("joint")]
    assert op["joints"][JOINT][:2] == pytest.approx([x + 37 / zoom, y + 23 / zoom], abs=0.02)
    assert op["joints"][JOINT][2:] == [2, "visible"]


def test_a_click_chooses_and_moves_nothing(alone):
    drag(alone.page, *at(alone, *places(alone)[JOINT]), (2, 1))
    assert alone.reads("joint") == JOINT
    before = alone.reads("tx")
    draw(alone, (150, 20), (170, 22), (190, 25))  # nothing is there: the picture moves
    assert alone.reads("tx") != before and alone.ops() == []


def test_the_pick_radius_is_the_same_on_the_screen(alone):
    for keys in ((), ("+",) * 3, ("-",) * 7):
        alone.press(*keys)
        x, y = at(alone, *places(alone)[JOINT])
        alone.page.mouse.click(x - 9, y)
        assert alone.reads("joint") == JOINT
        alone.press("Escape")
        alone.page.mouse.click(x - 22, y)
        assert alone.reads("joint") != JOINT


def test_the_whole_skeleton_moves_by_its_handle_only(alone):
    zoom = float(alone.reads("zoom"))
    drag(alone.page, *middle(alone, ".ed .handle:not(.turn) rect"), (-40, 25))
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
    angle, length = cloud(places(alone))
    centre = at(alone, 120, 74)  # of all joints
    alone.press("g")
    x, y = middle(alone, ".ed .handle.turn rect")
    dx, dy = x - centre[0], y - centre[1]
    cos, sin = 1.1 * math.cos(0.2) - 1, 1.1 * math.sin(0.2)
    drag(alone.page, x, y, (cos * dx - sin * dy, sin * dx + cos * dy))
    (op,) = alone.ops()
    assert cloud(op["joints"]) == pytest.approx((angle + 0.2, 1.1 * length), rel=0.005)
    alone.page.mouse.move(*centre)
    for key, by in (("Shift", (0.05, 1)), ("Alt", (0, 1 / 1.0513))):
        before = angle, length = cloud(alone.ops()[-1]["joints"])
        alone.page.keyboard.down(key)
        alone.page.mouse.wheel(0, 100)
        alone.page.keyboard.up(key)
        alone.until(lambda: cloud(alone.ops()[-1]["joints"]) != before, "an edit")  # noqa: B023
        wanted = angle + by[0], length * by[1]
        assert cloud(alone.ops()[-1]["joints"]) == pytest.approx(wanted, rel=0.005)
    angle, length = cloud(alone.ops()[-1]["joints"])
    alone.press("(", "/")
    wanted = angle - math.radians(1), length / 1.02
    assert cloud(alone.ops()[-1]["joints"]) == pytest.approx(wanted, rel=0.005)


def placed(editor):
    """What each edit says: joint, place, state and cause."""
    return [(name, *row) for op in editor.ops() for name, row in op.get("joints", {}).items()]


def test_each_click_places_the_next_joint(alone):
    alone.press("Shift+J")
    spots = [(x, y) for x in (50, 85, 120, 155, 190) for y in (45, 65, 85, 105)][: len(JOINTS)]
    for x, y in spots:  # some of them on other joints: these stay
        alone.page.mouse.click(*at(alone, x, y))
    done = placed(alone)
    assert [name for name, *_ in done] == list(JOINTS)
    for (_, x, y, state, cause), spot in zip(done, spots, strict=True):
        assert (x, y) == pytest.approx(spot, abs=0.01) and (state, cause) == (2, "visible")
    expect(alone.page.locator(".flash")).to_contain_text("Last joint placed")
    assert alone.reads("joint") == ""
    alone.page.mouse.click(*at(alone, 60, 75))
    assert len(placed(alone)) == len(JOINTS), "it is over"
