"""Boxes in the editor: drawn by mouse, finger or keys, each an edit with an undo."""

import pytest
from editor_host import BOX, JOINTS, Alone, at, draw, empty_frame, item, predicted
from playwright.sync_api import expect

from synthstudio.core.skeleton import get_skeleton
from synthstudio.studio.editor.window import skeleton_json

pytestmark = pytest.mark.browser
POSES = [
    {"form": 0.4, "at": [[0.5, j / 16] for j in range(17)]},
    {"form": 2.5, "at": [[j / 16, 0.5] for j in range(17)]},
]


@pytest.fixture
def editor(desktop):
    coco = get_skeleton("coco17")
    return Alone(desktop).give(
        items=[item(0, modal=BOX), item(1)], skeleton=skeleton_json(coco, POSES)
    )


def drawn(editor):
    return [op for op in editor.ops() if op.get("box")]


def test_a_box_is_dragged_undone_and_done_again(editor):
    editor.page.get_by_role("button", name="Draw this person's box").click()
    draw(editor, (60, 45), (100, 90), (160, 120))  # it begins over a joint, which stays
    (op,) = editor.ops()
    assert op["kind"] == "edit" and not op.get("joints")
    assert op["box"] == pytest.approx([60, 45, 100, 75], abs=0.5)
    rect, zoom = editor.page.locator(".box.modal"), float(editor.reads("zoom"))
    width = lambda: float(rect.get_attribute("width")) / zoom  # noqa: E731
    assert width() == pytest.approx(100, abs=0.6)
    editor.press("z")
    assert width() == pytest.approx(180, abs=0.6)
    editor.press("Shift+Z")
    editor.answer()
    assert width() == pytest.approx(100, abs=0.6)


def test_a_box_in_an_empty_frame_adds_a_person_in_it(desktop):
    editor = Alone(desktop).give(items=[empty_frame(0)])
    editor.press("Shift+B", "Shift+ArrowLeft", "Enter")
    (op,) = editor.ops()
    x, y, w, h = op["box"]
    assert op["kind"] == "add" and op["instance"] == 1 and len(op["joints"]) == 17
    assert all(x <= row[0] <= x + w and y <= row[1] <= y + h for row in op["joints"].values())


def test_a_box_with_somebody_new_where_others_are(editor):
    editor.page.get_by_role("button", name="Draw the box of a new person").click()
    whole = float(editor.reads("zoom"))
    draw(editor, (20, 30), (100, 50), (220, 110))
    (op,) = editor.ops()
    assert op["kind"] == "add" and op["instance"] > 1
    x, y, w, h = op["box"]
    assert op["box"] == pytest.approx([20, 30, 200, 80], abs=0.6)
    assert {tuple(row[2:4]) for row in op["joints"].values()} == {(None, "unlabelled")}
    places = [op["joints"][name][:2] for name in JOINTS]
    wide = [[x + w * (0.05 + 0.9 * j / 16), y + h / 2] for j in range(17)]  # not the high one
    assert places == [pytest.approx(place, abs=0.01) for place in wide]
    assert float(editor.reads("zoom")) > whole
    stage = editor.page.locator(".stage").bounding_box()
    for corner in ((20, 30), (220, 110)):  # the box, not the joints alone
        x, y = at(editor, *corner)
        assert 0 < x - stage["x"] < stage["width"] and 0 < y - stage["y"] < stage["height"]
    faint = editor.page.locator(".joint[opacity='0.5']:visible")
    assert editor.reads("joint") == "nose" and faint.count() == 16
    editor.page.mouse.click(*at(editor, 50, 60))
    editor.press("Enter", "Tab", "Escape")
    assert faint.count() == 0
    editor.press("Control+Enter")
    click, enter, rest = (op["joints"] for op in editor.ops()[1:])
    assert click == {"nose": [pytest.approx(50, abs=0.3), pytest.approx(60, abs=0.3), 2, "visible"]}
    assert enter == {"left_eye": [*op["joints"]["left_eye"][:2], 2, "visible"]}
    assert len(rest) == 15 and {row[2] for row in rest.values()} == {2}
    editor.press("z", "z", "z", "z")
    assert [op["kind"] for op in editor.ops()] == ["add", *["edit"] * 3, *["revert"] * 4]
    assert len(drawn(editor)) == 1


@pytest.mark.nightly("a rare way; a quick test of this file has the common one")
def test_a_box_round_somebody_predicted_has_that_pose_where_it_is_shown(desktop):
    near, far = predicted(1000, lost=JOINTS[:2]), predicted(1001, dx=100.0, lost=JOINTS[5:])
    items = [item(0, found=[near, far], modal=BOX)]
    editor, flash = Alone(desktop).give(items=items, predictions="net"), desktop.locator(".flash")
    for keys, joints, says in (
        (("Shift+N",), 15, "as predicted"),
        (("z", "8", "Shift+N"), 17, "Click the named joint's position"),
    ):
        editor.press(*keys)
        draw(editor, (55, 42), (150, 80), (215, 105))
        op = editor.ops()[-1]
        assert op["kind"] == "add" and op["box"] == pytest.approx([55, 42, 160, 63], abs=0.6)
        assert len(op["joints"]) == joints
        expect(flash).to_contain_text(says)
        if joints == 15:
            assert op["joints"][JOINTS[4]] == [83, 82, 2, "visible", "predicted"]
