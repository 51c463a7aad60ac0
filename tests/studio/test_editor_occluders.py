"""Occluders painted over the picture: all behind them, one undo; refused edits tried again."""

import pytest
from editor_host import JOINTS, SQUARE, Alone, draw, item
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
EVERYWHERE = ((10, 30), (310, 30), (310, 230), (10, 230))
rare = pytest.mark.nightly("a rare way; a quick test of this file has the common one")


def start(page, again=None):
    """Two people whom the browser holds, at one place, and three of whom the server told."""
    base = item(0)["base"]
    lower = [[x, y + 110, *rest] for x, y, *rest in base]
    held = {"joints": base, "revision": 0, "status": "pending", "closed": "held by Bo"}
    people = [
        held | {"instance": 3, "revision": 4, "status": "approved", "closed": None},
        held | {"instance": 4, "joints": lower, "closed": None},
        held | {"instance": 5},
    ]
    items = [item(0, people=people), item(0, id="0:2", instance=2, pos=1), item(1, pos=2)]
    return Alone(page, again=again).give(items=items)


@pytest.fixture
def alone(desktop):
    return start(desktop)


@pytest.fixture
def flash(desktop):
    return desktop.locator(".flash")


def under(editor):
    """The joints of the first person in the square."""
    base = editor.now["items"][0]["base"]
    return [n for n, row in zip(JOINTS, base, strict=True) if row[0] < 125 and 40 < row[1] < 75]


def by_person(ops):
    return {op["instance"]: op for op in ops}


def test_enter_after_a_click_saves_no_box_of_the_keys(alone, flash):
    alone.page.get_by_role("button", name="Draw an occluder").click()
    draw(alone, SQUARE[0])  # a click
    alone.press("Enter")
    expect(flash).to_contain_text("Drag to draw")
    assert not alone.ops()
    alone.press("ArrowLeft", "Enter")
    assert alone.ops()


def test_an_object_hides_all_who_are_behind_it_with_one_undo(alone, flash):
    alone.page.get_by_role("button", name="Draw an occluder").click()
    draw(alone, *SQUARE)
    ops = by_person(alone.ops())
    wanted, base = under(alone), dict(zip(JOINTS, alone.now["items"][0]["base"], strict=True))
    assert set(ops) == {1, 2, 3} and 1 < len(wanted) < 17
    for op in ops.values():
        assert op["kind"] == "edit"
        assert op["joints"] == {name: [*base[name][:2], 1, "object"] for name in wanted}
    assert ops[3]["revision"] == 4, "of somebody whom this browser does not hold"
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
    boxes = alone.page.get_by_role("group", name="People behind the occluder").get_by_role("button")
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


def test_what_has_that_cause_no_label_or_no_place_in_the_picture_stays(desktop, flash):
    base = item(0)["base"]
    base[0] = [40.0, 50.0, 1, "object", "human"]
    base[1] = [50.0, 58.0, None, "unlabelled", "human"]
    base[2] = [-5.0, 66.0, 0, "truncated", "human"]
    editor = Alone(desktop).give(items=[item(0, base=base)])
    editor.press("Shift+O")
    draw(editor, *EVERYWHERE)
    (op,) = editor.ops()
    assert set(op["joints"]) == set(JOINTS[3:])
    editor.press("Shift+O")
    draw(editor, (250, 150), (300, 150), (300, 200))
    assert len(editor.ops()) == 1
    expect(flash).to_contain_text("It covers no joint that it would hide")


@rare
def test_what_a_person_in_front_of_the_object_hides_stays(desktop, flash):
    """Joint 0 is hidden by person 2, joint 1 by person 3, joint 2 by somebody: 2 is in front."""
    base, named = item(0)["base"], ["person 2", "person 3", *[None] * 15]
    for row in base[:3]:
        row[2:4] = [1, "person"]
    other = {"joints": base, "revision": 0, "status": "pending", "closed": None}
    people = [other | {"instance": 3}, other | {"instance": 4}]
    one, two = (item(0, base=base, occluder=named, people=people), item(0, id="0:2", instance=2))

    def painted(item, *keys):
        editor = Alone(desktop).give(items=[item, two])
        editor.press("Shift+O", *keys)
        draw(editor, *EVERYWHERE)
        return {op["instance"]: set(op["joints"]) for op in editor.ops()}

    rest = set(JOINTS[3:])
    # Of person 1, person 3 is behind the object; of the others nobody is named.
    assert painted(one, ".", "Shift+H") == {1: {JOINTS[1], *rest}, 3: rest, 4: rest}
    expect(flash).to_contain_text("8 joints stay hidden by a person in front")
    edited = one["state"] | {"joints": {JOINTS[1]: [*base[1][:4], "human"]}}
    assert painted(one | {"state": edited}, ".", "Shift+H")[1] == rest, "an edit does not say who"
    assert painted(one)[1] == set(JOINTS), "nobody is in front"


def test_who_changed_since_stays_as_they_are(alone, flash):
    alone.press("Shift+O")
    draw(alone, *SQUARE)
    alone.press("n", "Tab", "s", "b", "z")
    reverts = [op for op in alone.ops() if op["kind"] == "revert"]
    assert [op["instance"] for op in reverts] == [1, 3]
    expect(flash).to_contain_text("over 2 people; 1 changed since and stay")


def paint(editor, refuse):
    editor.press("Shift+O")
    draw(editor, *SQUARE)
    editor.answer(refuse=refuse)


def of_third(op):
    return "held by Bo" if op["instance"] == 3 else None


@rare
def test_an_edit_found_after_a_reload_is_tried_again_and_undone(alone, flash):
    """Its group was this tab's, which knows it no more."""
    paint(alone, of_third)
    again = start(alone.page, alone)
    expect(again.page.locator(".refused")).to_contain_text("an edit of person 3")
    again.press("Alt+r")
    op = again.ops()[-1]
    assert op["instance"] == 3 and set(op["joints"]) == set(under(again))
    again.press("z")
    taken = again.ops()[-1]
    assert (taken["kind"], taken["undoes"]) == ("revert", [op["client"], op["seq"]])
    expect(flash).to_contain_text("Undone: edits of 1 person")
    again.press("Z", "z")
    assert again.ops()[-1]["kind"] == "revert"


@rare
@pytest.mark.parametrize("key", ["s", "ArrowRight"])
def test_an_edit_said_again_changes_what_it_changed(alone, key):
    """A cause leaves the place, a place leaves the cause, as somebody put them meanwhile."""
    alone.press("Tab", key)
    alone.answer(refuse=lambda op: "this person was changed in the meantime")
    items = alone.now["items"]
    x, y = items[0]["base"][0][:2]
    items[0]["state"]["revision"] = 1
    items[0]["state"]["joints"] = {JOINTS[0]: [99.0, 98.0, 1, "object", "human"]}
    alone.give(items=items)
    alone.press("Alt+r")
    again = alone.ops()[-1]
    wanted = [99, 98, 1, "self"] if key == "s" else [x + 1, y, 1, "object"]
    assert again["joints"] == {JOINTS[0]: wanted} and again["revision"] == 1


@rare
def test_what_cannot_be_tried_again_is_not_dropped(alone, flash):
    paint(alone, of_third)
    items = alone.now["items"]
    del items[0]["people"][0]  # somebody deleted person 3
    alone.give(items=items)
    alone.press("Alt+r")
    expect(flash).to_contain_text("Person 3 is not in this frame any more. Alt+T discards")
    assert alone.reads("refused") == "1"
    alone.press("Alt+t")
    assert alone.reads("refused") == "0"
