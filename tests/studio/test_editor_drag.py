"""Where a joint lands, which ones stay, and what a click is."""

import pytest
from conftest import settled
from reviewing import Labels, sit_down, stored

pytestmark = pytest.mark.browser
# Whether the picture lies where it lay ten frames ago: late text and scroll bars move the stage.
STEADY = """async (ed) => {
  const { x, y, width, height } = ed.querySelector(".stage").getBoundingClientRect();
  const look = () => JSON.stringify([ed.dataset.zoom, ed.dataset.tx, ed.dataset.ty]);
  const was = look();
  for (let k = 0; k < 10; k += 1) await new Promise(requestAnimationFrame);
  const now = ed.querySelector(".stage").getBoundingClientRect();
  return was === look() && x === now.x && y === now.y && width === now.width
    && height === now.height;
}"""


@pytest.fixture
def desk(studio, studio_set, page, open_as):
    labels = Labels(studio_set)
    seen = {(e.person.frame, e.person.instance) for e in stored(studio, studio_set)}
    frame, instance = next(p for p in labels.people if p not in seen)
    desk = sit_down(open_as, page, studio, f"review?queue=all&frame={frame}&instance={instance}")
    desk.person, desk.labels = (frame, instance), labels.labels[frame, instance]
    desk.joints = labels.joints
    settled(page)
    desk.wait(lambda: desk.root.evaluate(STEADY), 60)
    return desk


def place(desk, joint):
    """Return where a joint is drawn, in the page's pixels."""
    zoom, tx, ty = (float(desk.reads(name)) for name in ("zoom", "tx", "ty"))
    box = desk.page.locator(".ed .stage").bounding_box()
    label = desk.labels[joint]
    return box["x"] + label.x_px * zoom + tx, box["y"] + label.y_px * zoom + ty


def lonely(desk):
    """Return a joint that lies far from the others, inside the stage."""
    spots = {name: place(desk, name) for name in desk.joints if desk.labels[name].x_px is not None}
    box = desk.page.locator(".ed .stage").bounding_box()

    def room(name):
        x, y = spots[name]
        inside = min(
            x - box["x"], box["x"] + box["width"] - x, y - box["y"], box["y"] + box["height"] - y
        )
        others = min(
            ((x - a) ** 2 + (y - b) ** 2) ** 0.5 for n, (a, b) in spots.items() if n != name
        )
        return min(others, 40) if inside > 60 else -1

    return max(spots, key=room)


@pytest.mark.parametrize("steps", [-5, 0, 6])
def test_a_dragged_joint_lands_within_a_fiftieth_of_a_pixel(desk, studio, studio_set, steps):
    for _ in range(abs(steps)):
        desk.press("+" if steps > 0 else "-")
    zoom = float(desk.reads("zoom"))
    joint = lonely(desk)
    x, y = place(desk, joint)
    # Not at its centre: the joint must not jump under the pointer.
    desk.page.mouse.move(x + 4, y - 3)
    desk.page.mouse.down()
    desk.page.mouse.move(x + 30, y + 9, steps=3)
    desk.page.mouse.move(x + 4 + 37, y - 3 + 23, steps=2)
    desk.page.mouse.up()
    desk.wait(lambda: desk.reads("seq") == "1")
    desk.saved()
    (event,) = stored(studio, studio_set, person="{}:{}".format(*desk.person))
    assert set(event.after["joints"]) == {joint}
    got, before = event.after["joints"][joint], desk.labels[joint]
    assert abs(got["x_px"] - (before.x_px + 37 / zoom)) < 0.02
    assert abs(got["y_px"] - (before.y_px + 23 / zoom)) < 0.02
    assert abs(got["x_px"] - before.x_px) > 0.2  # it moved at all
    assert (got["state"], got["cause"]) == (before.state, before.cause)
    assert desk.reads("joint") == joint


def test_the_three_zooms_differ(desk):
    zooms = [float(desk.reads("zoom"))]
    for key in ("-", "+"):
        desk.press(*[key] * 6)
        zooms.append(float(desk.reads("zoom")))
    assert zooms[1] < zooms[0] * 0.4


def test_a_click_moves_nothing(desk, studio, studio_set):
    joint = lonely(desk)
    x, y = place(desk, joint)
    desk.page.mouse.move(x, y)
    desk.page.mouse.down()
    desk.page.mouse.move(x + 2, y + 1)
    desk.page.mouse.up()
    desk.wait(lambda: desk.reads("joint") == joint)
    assert desk.reads("seq") == "0"
    box = desk.page.locator(".ed .stage").bounding_box()
    desk.page.mouse.move(box["x"] + 30, box["y"] + box["height"] - 30)  # nothing is there
    before = desk.reads("tx")
    desk.page.mouse.down()
    desk.page.mouse.move(box["x"] + 90, box["y"] + box["height"] - 60, steps=3)
    desk.page.mouse.up()
    desk.wait(lambda: desk.reads("tx") != before)  # the picture moved, nobody else
    desk.saved()
    assert desk.reads("seq") == "0"
    assert stored(studio, studio_set, person="{}:{}".format(*desk.person)) == []


def test_the_pick_radius_is_the_same_on_the_screen(desk):
    for keys in ((), ("+",) * 5, ("-",) * 9):
        desk.press(*keys)
        joint = lonely(desk)
        x, y = place(desk, joint)
        desk.page.mouse.click(x + 9, y)
        desk.wait(lambda joint=joint: desk.reads("joint") == joint)
        desk.press("Escape")
        desk.wait(lambda: desk.reads("joint") == "")
        desk.page.mouse.click(x + 22, y)
        assert desk.reads("joint") != joint


def test_the_whole_skeleton_moves_by_its_handle_only(desk, studio, studio_set):
    handle = desk.page.locator(".ed .handle rect").bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    zoom = float(desk.reads("zoom"))
    desk.page.mouse.move(x, y)
    desk.page.mouse.down()
    desk.page.mouse.move(x - 40, y + 25, steps=4)
    desk.page.mouse.up()
    desk.wait(lambda: desk.reads("seq") == "1")
    desk.saved()
    (event,) = stored(studio, studio_set, person="{}:{}".format(*desk.person))
    known = {name for name, label in desk.labels.items() if label.x_px is not None}
    assert set(event.after["joints"]) == known
    for name in known:
        got, before = event.after["joints"][name], desk.labels[name]
        assert abs(got["x_px"] - (before.x_px - 40 / zoom)) < 0.02
        assert abs(got["y_px"] - (before.y_px + 25 / zoom)) < 0.02
