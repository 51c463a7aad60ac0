"""Where a joint lands, which ones stay, and what a click is."""

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
    handle = alone.page.locator(".ed .handle rect").bounding_box()
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
