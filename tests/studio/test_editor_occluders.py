"""Occluders painted over the picture: all behind them, one undo, by mouse, keys and finger."""

import pytest
from editor_host import JOINTS, SQUARE, Alone, draw, item
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
LOW = 110.0  # how much lower than the first person the third stands


def frame():
    """Two people whom the browser holds, at one place, and two of whom the server told."""
    base = item(0)["base"]
    lower = [[x, y + LOW, state, cause, origin] for x, y, state, cause, origin in base]
    held = {"joints": base, "revision": 0, "status": "pending", "closed": "held by Bo"}
    people = [
        held | {"instance": 3, "revision": 4, "status": "approved", "closed": None},
        held | {"instance": 4, "joints": lower, "closed": None},
        held | {"instance": 5},
    ]
    return [item(0, people=people), item(0, id="0:2", instance=2, pos=1), item(1, pos=2)]


def start(desktop):
    editor = Alone(desktop)
    editor.give(items=frame(), queue={"total": 3, "label": "All", "empty": ""})
    return editor


@pytest.fixture
def alone(desktop):
    return start(desktop)


def under(editor):
    """The joints of the first person in the square."""
    base = editor.now["items"][0]["base"]
    return [n for n, row in zip(JOINTS, base, strict=True) if row[0] < 125 and 40 < row[1] < 75]


def by_person(ops):
    return {op["instance"]: op for op in ops}


def test_a_object_hides_all_who_are_behind_it_with_one_undo(alone):
    alone.page.get_by_role("button", name="Draw an occluder").click()
    draw(alone, *SQUARE)
    ops = by_person(alone.ops())
    wanted, base = under(alone), dict(zip(JOINTS, alone.now["items"][0]["base"], strict=True))
    assert set(ops) == {1, 2, 3} and 1 < len(wanted) < 17
    for op in ops.values():
        assert op["kind"] == "edit"
        assert op["joints"] == {name: [*base[name][:2], 1, "object"] for name in wanted}
    assert ops[3]["revision"] == 4, "of somebody whom this browser does not hold"
    flash = alone.page.locator(".flash")
    expect(flash).to_contain_text(f"{3 * len(wanted)} joints of 3 people hidden by an object")
    expect(flash).to_contain_text("Left out: person 5 (held by Bo)")
    alone.press("n", "z")  # at the second person: all of it goes
    taken = [op for op in alone.ops() if op["kind"] == "revert"]
    assert [op["undoes"] for op in taken] == [[op["client"], op["seq"]] for op in ops.values()]
    expect(flash).to_contain_text("Undone: an object over 3 people")
    alone.press("Z")
    assert [op["instance"] for op in alone.ops()[-3:]] == [1, 2, 3]
    alone.answer()
    assert alone.reads("pending") == "0"


def test_a_person_hides_all_but_whose_body_it_is(alone):
    alone.press("Shift+O", "p")
    boxes = alone.page.get_by_role("group", name="Whom the occluder hides").get_by_role("button")
    expect(boxes).to_have_count(5)
    pressed = [box.get_attribute("aria-pressed") for box in boxes.all()]
    assert pressed == ["false", *["true"] * 4]
    alone.page.get_by_role("button", name="It hides person 3").click()
    draw(alone, *SQUARE)
    (op,) = alone.ops()
    assert op["instance"] == 2 and {tuple(row[2:]) for row in op["joints"].values()} == {
        (1, "person")
    }
    alone.press("z")  # the shown person is none of them, and its undo takes it back
    assert alone.ops()[-1]["undoes"] == [op["client"], op["seq"]]
    alone.press("Z")
    assert [op["kind"] for op in alone.ops()] == ["edit", "revert", "revert"]


def test_what_has_that_cause_no_label_or_no_place_in_the_picture_stays(desktop):
    base = item(0)["base"]
    base[0] = [40.0, 50.0, 1, "object", "human"]
    base[1] = [50.0, 58.0, None, "unlabelled", "human"]
    base[2] = [-5.0, 66.0, 0, "truncated", "human"]
    editor = Alone(desktop)
    editor.give(items=[item(0, base=base)])
    editor.press("Shift+O")
    draw(editor, (10, 30), (310, 30), (310, 230), (10, 230))
    (op,) = editor.ops()
    assert set(op["joints"]) == set(JOINTS[3:])
    editor.press("Shift+O")
    draw(editor, (250, 150), (300, 150), (300, 200))
    assert len(editor.ops()) == 1
    expect(editor.page.locator(".flash")).to_contain_text("No joint that it would hide")


@pytest.mark.nightly("a rare way; a quick test of this file has the common one")
def test_what_a_person_in_front_of_the_object_hides_stays(desktop):
    """Joint 0 is hidden by person 2, joint 1 by person 3, joint 2 by somebody: 2 is in front."""
    base, named = item(0)["base"], [None] * 17
    named[:2] = ["person 2", "person 3"]
    for row in base[:3]:
        row[2:4] = [1, "person"]
    edited = item(0)["state"] | {"joints": {JOINTS[1]: [*base[1][:4], "human"]}}
    other = {"joints": base, "revision": 0, "status": "pending", "closed": None}
    people = [other | {"instance": 3}, other | {"instance": 4}]
    one = item(0, base=base, occluder=named, people=people)
    editor = Alone(desktop)
    editor.give(items=[one, item(0, id="0:2", instance=2)])
    everywhere = ((10, 30), (310, 30), (310, 230), (10, 230))
    editor.press("Shift+O", ".", "Shift+H")
    draw(editor, *everywhere)
    ops = by_person(editor.ops())
    assert set(ops) == {1, 3, 4}
    assert set(ops[1]["joints"]) == {JOINTS[1], *JOINTS[3:]}, "person 3 is behind the object"
    assert set(ops[3]["joints"]) == set(ops[4]["joints"]) == set(JOINTS[3:]), "nobody is named"
    flash = editor.page.locator(".flash")
    expect(flash).to_contain_text("8 joints stay hidden by a person in front")
    editor.press("z")
    editor.answer()
    editor.give(items=[one | {"state": edited}, item(0, id="0:2", instance=2)])
    editor.press("Shift+O", ".", "Shift+H")
    draw(editor, *everywhere)
    (op,) = [op for op in editor.ops()[-3:] if op["instance"] == 1]
    assert set(op["joints"]) == set(JOINTS[3:]), "an edit does not say who"
    editor.press("z", "Shift+O")
    draw(editor, *everywhere)
    (op,) = [op for op in editor.ops()[-4:] if op["instance"] == 1]
    assert set(op["joints"]) == set(JOINTS), "nobody is in front"


def test_who_changed_since_stays_as_they_are(alone):
    alone.press("Shift+O")
    draw(alone, *SQUARE)
    alone.press("n", "Tab", "s", "b", "z")
    reverts = [op for op in alone.ops() if op["kind"] == "revert"]
    assert [op["instance"] for op in reverts] == [1, 3]
    expect(alone.page.locator(".flash")).to_contain_text("over 2 people; 1 changed since and stay")
