"""Joints of many people relabelled at once: what changes, who may, and the way back."""

import pytest
from review_ops import ANNA, LEAD, op

from synthstudio.core.errors import Refused
from synthstudio.review import edits, history
from synthstudio.review.relabel import MEANINGS, Relabel, changes, relabel, relabelled, undo
from synthstudio.review.values import JointLabel

WRISTS = ("left_wrist", "right_wrist")
BY_OBJECT = (1, "object")


@pytest.fixture
def on_disk(desk):
    return desk.base


@pytest.fixture
def people(desk, small_set):
    rows = small_set.iter_instances()
    return [desk.person(row["frame_index"], row["instance"]) for row in rows]


def now(store, on_disk, person):
    return {**on_disk(person).joints, **history.state(store, person).joints}


def test_joints_become_what_is_asked_and_are_again_what_they_were(store, people, on_disk):
    before = {p: now(store, on_disk, p) for p in people}
    found = changes(store, people, Relabel(joints=WRISTS, to=BY_OBJECT), base_of=on_disk)
    assert found and all(set(change.after) <= set(WRISTS) for change in found)
    said = []
    done = relabel(store, found, who=LEAD, base_of=on_disk, progress=said.append)
    assert said == list(range(1, len(found) + 1))
    assert {event.who for event in done} == {LEAD.name}
    for person in people:
        for name, label in now(store, on_disk, person).items():
            old = before[person][name]
            inside = old.x_px is not None and 0 <= old.x_px <= 320 and 0 <= old.y_px <= 240
            if name in WRISTS and inside:
                assert (label.state, label.cause) == BY_OBJECT
                assert (label.x_px, label.y_px) == (old.x_px, old.y_px)
            else:
                assert label == old
    assert changes(store, people, Relabel(joints=WRISTS, to=BY_OBJECT), base_of=on_disk) == []
    (made,) = relabelled(store, people[0].dataset)
    assert (made.who, made.people, made.standing) == (LEAD.name, len(found), len(found))

    assert len(undo(store, people[0].dataset, made.client, who=LEAD, base_of=on_disk)) == len(found)
    assert {p: now(store, on_disk, p) for p in people} == before
    assert relabelled(store, people[0].dataset)[0].standing == 0
    assert undo(store, people[0].dataset, made.client, who=LEAD, base_of=on_disk) == []
    assert history.check_replay(store, people[0].dataset) == []


def test_only_joints_that_are_so_now_change(store, people, on_disk):
    """As reviewers have them, not as the disk does."""
    first, second = people[:2]
    x = JointLabel(x_px=50.0, y_px=60.0, state=1, cause="self")
    edits.apply(
        store, op("edit", 0, person=first, joints={"nose": x}), who=ANNA, base=on_disk(first)
    )
    edits.apply(store, op("delete", 0, person=second), who=ANNA, base=on_disk(second))
    asked = Relabel(joints=("nose", "left_eye"), to=BY_OBJECT, only=((1, "self"),))
    found = changes(store, people, asked, base_of=on_disk)
    hidden = {
        p for p in people
        if p != second and any(
            (now(store, on_disk, p)[n].state, now(store, on_disk, p)[n].cause) == (1, "self")
            for n in asked.joints
        )
    }  # fmt: skip
    assert first in hidden and {change.person for change in found} == hidden
    change = next(change for change in found if change.person == first)
    assert change.before["nose"] == x and change.revision == 1
    # A joint beyond the frame can only lose its label.
    away = JointLabel(x_px=-20.0, y_px=60.0, state=0, cause="truncated")
    edits.apply(
        store, op("edit", 1, person=first, joints={"nose": away}), who=ANNA, base=on_disk(first)
    )
    for to in MEANINGS:
        some = changes(store, [first], Relabel(joints=("nose",), to=to), base_of=on_disk)
        assert len(some) == (to[0] is None)


def test_who_edited_meanwhile_keeps_the_edit(store, people, on_disk):
    first, second = people[:2]
    asked = Relabel(joints=("nose",), to=BY_OBJECT)
    found = changes(store, [first, second], asked, base_of=on_disk)
    label = JointLabel(x_px=5.0, y_px=6.0, state=2, cause="visible")
    joints = {"nose": label}
    edits.apply(store, op("edit", 0, person=first, joints=joints), who=ANNA, base=on_disk(first))
    refused, done = relabel(store, found, who=LEAD, base_of=on_disk)
    assert isinstance(refused, Refused) and refused.reason == "revision"
    assert now(store, on_disk, first)["nose"] == label
    # The way back leaves those alone who were edited after the change.
    edits.apply(store, op("edit", 1, person=second, joints=joints), who=ANNA, base=on_disk(second))
    (made,) = relabelled(store, first.dataset)
    (back,) = undo(store, first.dataset, made.client, who=LEAD, base_of=on_disk)
    assert isinstance(back, Refused) and "changed again later" in str(back)
    assert now(store, on_disk, second)["nose"] == label and done.person == second


def test_leads_alone_may_and_only_what_makes_sense(store, people, on_disk):
    found = changes(store, people, Relabel(joints=("nose",), to=BY_OBJECT), base_of=on_disk)
    for call in (
        lambda: relabel(store, found, who=ANNA, base_of=on_disk),
        lambda: undo(store, people[0].dataset, "relabel-1", who=ANNA, base_of=on_disk),
    ):
        with pytest.raises(Refused, match="you may not relabel"):
            call()
    for to in ((0, "truncated"), (2, "object"), (1, "visible")):
        with pytest.raises(Refused, match="no such state and cause"):
            changes(store, people, Relabel(joints=("nose",), to=to), base_of=on_disk)
    assert changes(store, [], Relabel(joints=("nose",), to=BY_OBJECT), base_of=on_disk) == []
    assert relabelled(store, people[0].dataset) == []
