"""Several joints at once: by lasso, limb, side and range; by mouse, finger and keys alone."""

import pytest
from editor_host import JOINTS, Alone, draw, item
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
LEFT = [name for name in JOINTS if name.startswith("left_")]
LEFT_ARM = ["left_shoulder", "left_elbow", "left_wrist"]


def picked(editor):
    return editor.reads("picked").split()


def inside(editor, x, y):
    """The joints left of x and above y, which both are no joint's."""
    base = editor.now["items"][0]["base"]
    return [n for n, row in zip(JOINTS, base, strict=True) if row[0] < x and row[1] < y]


def test_a_lasso_and_a_key_are_one_edit_with_one_undo(alone):
    alone.page.get_by_role("button", name="Select the joints inside a line").click()
    draw(alone, (30, 40), (125, 40), (125, 95), (30, 95))
    wanted = inside(alone, 125, 95)
    assert picked(alone) == wanted and 3 < len(wanted) < 17
    expect(alone.page.locator(".joint.chosen")).to_have_count(len(wanted))
    expect(alone.page.locator(".joint-row[aria-pressed=true]")).to_have_count(len(wanted))
    alone.press("o")
    (op,) = alone.ops()
    base = dict(zip(JOINTS, alone.now["items"][0]["base"], strict=True))
    assert op["joints"] == {name: [*base[name][:2], 1, "object"] for name in wanted}
    assert "hidden by object" in alone.label(wanted[1])
    alone.press("z")
    assert [op["kind"] for op in alone.ops()] == ["edit", "revert"]
    assert all("visible" in alone.label(name) for name in wanted)
    alone.press("Shift+Z")
    alone.answer()
    assert alone.reads("pending") == "0"


LABELS = {"s": [1, "self"], "2": [2, "visible"], "1": [1, "unknown"], "p": [1, "person"],
          "o": [1, "object"], "u": [1, "unknown"], "r": [None, "unlabelled"],
          "t": [0, "truncated"]}  # fmt: skip


def test_every_state_and_cause_goes_to_all(alone):
    base = dict(zip(JOINTS, alone.now["items"][0]["base"], strict=True))
    for key, label in LABELS.items():
        alone.press("Escape", "<", "2", key)
        op = alone.ops()[-1]
        assert {tuple(row[2:]) for row in op["joints"].values()} == {tuple(label)}, key
        # What is called outside and lies inside has no known place.
        places = {name: [None, None] if key == "t" else base[name][:2] for name in LEFT}
        assert {name: row[:2] for name, row in op["joints"].items()} == places, key


def test_limb_side_and_range_by_keys_alone(alone):
    alone.press("<")
    assert picked(alone) == LEFT
    alone.press(">")
    assert picked(alone) == [name.replace("left", "right") for name in LEFT]
    alone.press("Escape", *["Tab"] * 6, "Shift+G", "p")
    assert set(alone.ops()[-1]["joints"]) == set(LEFT_ARM)
    alone.press("Escape", "Tab", ".", ".", ".", ",")
    assert picked(alone) == list(JOINTS[:3])
    alone.press("Tab")
    assert picked(alone) == [] and alone.reads("joint") == JOINTS[3]
    alone.press("Control+a", "s")
    assert set(alone.ops()[-1]["joints"]) == set(JOINTS)
    alone.press("Escape", "s")
    assert len(alone.ops()) == 2, "nothing is chosen any more"


def test_several_joints_move_together(alone):
    alone.press("<", "ArrowRight", "Shift+ArrowDown")
    base = dict(zip(JOINTS, alone.now["items"][0]["base"], strict=True))
    op = alone.ops()[-1]  # of both, or of the second where a busy machine parts them
    assert op["joints"] == {n: [base[n][0] + 1, base[n][1] + 10, 2, "visible"] for n in LEFT}
    alone.answer()
    x, y = base[LEFT[0]][0] + 1, base[LEFT[0]][1] + 10
    draw(alone, (x, y), (x + 10, y), (x + 20, y + 10))
    op = alone.ops()[-1]
    assert set(op["joints"]) == set(LEFT) == set(picked(alone))
    for name in LEFT:
        wanted = [base[name][0] + 21, base[name][1] + 20]
        assert op["joints"][name][:2] == pytest.approx(wanted, abs=0.5)
    alone.press("z")
    assert alone.ops()[-1]["kind"] == "revert"


@pytest.mark.nightly("a rare way; a quick test of this file has the common one")
def test_what_is_outside_or_has_no_label_comes_in_only_alone(desktop):
    base = item(0)["base"]
    base[0] = [-50.0, 100.0, 0, "truncated", "human"]
    base[1:3] = [50.0, 58.0, None, "unlabelled", "human"], [None, None, None, "unlabelled", "human"]
    editor, flash = Alone(desktop).give(items=[item(0, base=base)]), desktop.locator(".flash")
    editor.press("Control+a", "o", "2")
    assert [set(op["joints"]) for op in editor.ops()] == [set(JOINTS[3:])] * 2
    expect(flash).to_contain_text("3 of 17 joints are outside the picture or have no label")
    editor.press("Escape", "Tab", "o")
    assert editor.ops()[-1]["joints"] == {JOINTS[0]: [0, 100, 1, "object"]}
    editor.press("Tab", "Tab", "s")
    expect(flash).to_contain_text(f"{JOINTS[2].replace('_', ' ')} had no place")
    editor.press("<", "2")
    assert JOINTS[1] not in editor.ops()[-1]["joints"]
    expect(flash).to_contain_text("1 of 8 joints is outside the picture or has no label")
    editor.press("t")
    assert editor.ops()[-1]["joints"][JOINTS[1]] == [None, None, 0, "truncated"]
