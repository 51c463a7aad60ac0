"""Masks in the editor: by brush and outline, by mouse, finger and keys; each stroke one edit."""

from itertools import pairwise

import numpy as np
import pytest
from editor_host import SQUARE, Alone, at, draw, item
from playwright.sync_api import expect
from pycocotools import mask as coco_mask
from test_pages_a11y import axe, violations  # noqa: F401 - a fixture

from synthstudio.core.masks import decode, encode
from synthstudio.core.rng import stream
from synthstudio.studio.page_parts import EDITOR_SCRIPTS

pytestmark = [
    pytest.mark.browser,
    # pycocotools 2.0.11 hands NumPy 2 an old-style array.
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),
]
SIZE = (240, 320)  # height and width of the picture
YX = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5


def block(x, y, w, h):
    mask = np.zeros(SIZE, bool)
    mask[y : y + h, x : x + w] = True
    return mask


def known(**masks):
    """An item's masks as the server sends those of the data set."""
    return {
        which: {"box": [0, 0, 9, 9], "counts": encode(m)["counts"]} for which, m in masks.items()
    }


def bits(op, which="modal"):
    """By pycocotools alone, as whoever gets an export decodes it."""
    assert op["masks"][which]["size"] == list(SIZE)
    return decode(op["masks"][which])


def test_pixels_are_those_of_an_independent_rule(desktop):
    """Codes, outlines and brushes of many forms, against pycocotools and NumPy."""
    Alone(desktop)
    desktop.evaluate(
        "async (s) => { window.m = await import(`${s}/mask_codes.js`) }", EDITOR_SCRIPTS
    )
    rng = stream(5, "masks")
    size = {"h": SIZE[0], "w": SIZE[1]}
    masks = [block(0, 0, 0, 0), block(0, 0, 320, 240), block(0, 0, 1, 1), block(319, 239, 1, 1)]
    masks += [rng.random(SIZE) < share for share in (0.01, 0.5)]
    for mask in masks:
        counts, back, box = desktop.evaluate(
            "([c, s]) => [c, m.countsOf(m.bitsOf(c, s)), m.boxOfCounts(c, s)]",
            [encode(mask)["counts"], size],
        )
        assert back == counts
        found = coco_mask.toBbox({"size": list(SIZE), "counts": counts.encode()})
        assert (box or [0, 0, 0, 0]) == list(found)
    fill = "([s, line, r]) => { const b = new Uint8Array(s.w * s.h); %s; return m.countsOf(b) }"
    for k in range(6):
        line = [[float(v) for v in p] for p in rng.uniform(-20, 330, (3 + k, 2))]
        got = desktop.evaluate(fill % "m.fillOutline(b, s, line, 1)", [size, line, 0])
        np.testing.assert_array_equal(decode({"size": SIZE, "counts": got}), inside(line))
        r = float(rng.uniform(0.5, 30))
        got = desktop.evaluate(fill % "m.fillBrush(b, s, line, r, 1)", [size, line, r])
        near = np.min([distance(p, q) for p, q in pairwise(line)], axis=0)
        differs = decode({"size": SIZE, "counts": got}) != (near <= r)
        assert not (differs & (abs(near - r) > 1e-6)).any()


def inside(line):
    """Which pixel centres lie in a closed line: crossings to the right, counted row by row."""
    found, (y, x) = np.zeros(SIZE, bool), YX
    for (ax, ay), (bx, by) in zip(line, [*line[1:], line[0]], strict=True):
        crosses = (ay > y) != (by > y)
        found ^= crosses & (x < ax + (y - ay) * (bx - ax) / ((by - ay) or 1))
    return found


def distance(p, q):
    (px, py), (qx, qy), (y, x) = p, q, YX
    length = (qx - px) ** 2 + (qy - py) ** 2
    t = np.clip(((x - px) * (qx - px) + (y - py) * (qy - py)) / length, 0, 1)
    return np.hypot(x - px - t * (qx - px), y - py - t * (qy - py))


def test_a_brush_adds_and_erases_with_an_undo_each(alone):
    alone.page.get_by_role("button", name="Draw the mask of the visible part").click()
    alone.page.get_by_label("Radius").fill("50")  # the slider: its middle is 10 px
    draw(alone, (100, 60), (160, 60))
    alone.page.get_by_role("button", name="Erase instead of adding").click()
    draw(alone, (130, 30), (130, 90))
    first, second = alone.ops()
    brush = bits(first)
    assert brush[60, 92:168].all() and not brush[45].any() and not brush[60, 175:].any()
    np.testing.assert_array_equal(bits(second), brush & (distance((130, 30), (130, 90)) > 10))
    assert first["kind"] == "edit" and not first.get("joints")
    assert alone.page.locator(".picture").nth(1).is_visible(), "shown as it is drawn"
    alone.press("z", "z", "Shift+Z")
    assert [op["kind"] for op in alone.ops()[2:]] == ["revert"] * 3
    alone.answer()
    assert alone.reads("masking") == "modal brush erase", "undo ends no drawing"
    alone.press("Escape")
    assert alone.reads("masking") == ""


def test_an_outline_by_hand_by_clicks_and_by_keys(alone, axe):  # noqa: F811
    page = alone.page
    alone.press("Shift+A")
    assert violations(page, axe) == [], "with brush, slider and tools shown"
    alone.press("Shift+T")
    draw(alone, *SQUARE)
    for x, y in (*SQUARE, SQUARE[0]):
        page.mouse.click(*at(alone, x, y + 60))
    alone.press(
        "Shift+E", "Enter", "Shift+ArrowDown", "Enter", "Shift+ArrowRight", "Enter", "Enter"
    )
    drawn, clicked, keyed = (bits(op, "amodal") for op in alone.ops())
    assert abs(int(drawn.sum()) - 95 * 35) < 300 and drawn[50, 60]
    assert not (drawn & ~clicked).any() and clicked[110, 60] and not clicked[85, 60]
    triangle = clicked & ~keyed
    assert 30 <= triangle.sum() <= 60 and not (keyed & ~clicked).any()
    assert "masks" not in alone.ops()[0] or "modal" not in alone.ops()[0]["masks"]


def test_an_outline_closes_at_its_first_corner_or_by_a_double_click(alone):
    mouse = alone.page.mouse
    alone.press("Shift+M", "Shift+T")
    for x, y in SQUARE[:3]:
        mouse.click(*at(alone, x, y))
    x, y = at(alone, *SQUARE[2])
    mouse.click(x - 5, y)  # another corner near the last one
    draw(alone, SQUARE[1], (125, 60))  # moved
    assert alone.ops() == []
    mouse.dblclick(*at(alone, *SQUARE[3]))
    (op,) = alone.ops()
    made, wanted = bits(op), inside([SQUARE[0], (125, 60), SQUARE[2], SQUARE[3]])
    assert (made & wanted).sum() / (made | wanted).sum() > 0.98
    for point in (*SQUARE[:3], SQUARE[0]):
        mouse.click(*at(alone, point[0], point[1] + 80))
    assert len(alone.ops()) == 2 and alone.page.locator("circle.corner").count() == 0


def test_a_click_segments(alone):
    alone.now["segment"] = encode(block(90, 30, 60, 100))["counts"]
    alone.press("Shift+M")
    alone.page.get_by_role("button", name="Draw by segment").click()
    alone.page.mouse.click(*at(alone, 120, 130))
    alone.until(lambda: len(alone.ops()) == 1, "the mask")
    np.testing.assert_array_equal(bits(alone.ops()[0]), block(90, 30, 60, 100))
    alone.now["segment"] = encode(block(90, 30, 60, 10))["counts"]
    alone.press("Shift+E", "Enter")  # where the click was
    alone.until(lambda: len(alone.ops()) == 2, "less of it")
    np.testing.assert_array_equal(bits(alone.ops()[1]), block(90, 40, 60, 90))
    add, erase = alone.prompts
    assert add["points"][0] == erase["points"][0] == pytest.approx([120, 130], abs=0.5)
    assert len(add["points"]) == 18 and len(erase["points"]) == 1, "joints are of the person"
    assert add["box"] == pytest.approx([40 - 19.2, 50 - 5.76, 1.24 * 160, 1.24 * 48])


def test_amodal_grows_with_modal(desktop):
    masks = known(modal=block(40, 40, 20, 20), amodal=block(40, 40, 30, 30))
    editor = Alone(desktop).give(items=[item(0, **masks)])
    editor.press("Shift+M", "Shift+T")
    draw(editor, *SQUARE)
    (op,) = editor.ops()
    np.testing.assert_array_equal(bits(op, "amodal"), bits(op) | block(40, 40, 30, 30))
    expect(desktop.locator(".flash")).to_contain_text("grew with it")
    editor.press("Shift+A", "Shift+E")
    draw(editor, *SQUARE)
    assert len(editor.ops()) == 1, "what can be seen stays in the whole mask"
    expect(desktop.locator(".flash")).to_contain_text("The visible part stays")


@pytest.mark.nightly("a rare way; a quick test of this file has the common one")
def test_an_occluder_is_cut_out_of_masks(desktop):
    """Of those behind it, where it is asked for; with the joints it is one edit of each."""
    whole = block(20, 30, 200, 60)
    editor = Alone(desktop)
    people = [
        {"instance": 3, "joints": item(0)["base"], "revision": 2, "status": "pending",
         "closed": None, "masks": {"amodal": encode(whole)["counts"]}},
    ]  # fmt: skip
    second = item(0, id="0:2", instance=2, pos=1)
    editor.give(items=[item(0, people=people, **known(modal=whole, amodal=whole)), second])
    editor.press("Shift+O")
    draw(editor, *SQUARE)
    assert not any(op.get("masks") for op in editor.ops()), "only where it is asked for"
    editor.press("z", "Shift+O", "Shift+C")
    button = desktop.get_by_role("button", name="Cut the occluder out of the masks")
    expect(button).to_have_attribute("aria-pressed", "true")
    draw(editor, *SQUARE)
    ops = {op["instance"]: op for op in editor.ops()[-3:]}
    assert set(ops[1]["masks"]) == {"modal"} and ops[1]["joints"]
    left = bits(ops[1])
    assert not left[50, 60] and left[50, 150] and not (left & ~whole).any()
    np.testing.assert_array_equal(bits(ops[3]), left)  # from the whole mask, where no other is
    assert not ops[2].get("masks") and ops[2]["joints"], "who has no mask gets none"
    expect(desktop.locator(".flash")).to_contain_text("cut out of 2 masks")
    editor.press("z")
    assert [op["kind"] for op in editor.ops()[-3:]] == ["revert"] * 3
