"""Joints of many people relabelled at once: what changes, who may, and the way back."""

import pytest
from review_ops import ANNA, LEAD

from synthstudio.core.errors import Refused
from synthstudio.review import history
from synthstudio.review.batch_edits import MEANINGS, Relabel, batch_edits, relabel
from synthstudio.review.batch_edits import relabel_changes as changes
from synthstudio.review.batch_edits import undo_batch as undo
from synthstudio.review.values import JointLabel

WRISTS = ("left_wrist", "right_wrist")
BY_OBJECT = (1, "object")


@pytest.fixture
def people(desk, small_set):
    rows = small_set.iter_instances()
    return [desk.person(row["frame_index"], row["instance"]) for row in rows]


def now(desk, person):
    return {**desk.base(person).joints, **desk.state(person).joints}


def test_joints_become_what_is_asked_and_are_again_what_they_were(desk, store, people):
    before = {p: now(desk, p) for p in people}
    found = changes(store, people, Relabel(joints=WRISTS, to=BY_OBJECT), base_of=desk.base)
    assert found and all(set(change.op.joints) <= set(WRISTS) for change in found)
    said = []
    done = relabel(store, found, who=LEAD, base_of=desk.base, progress=said.append)
    assert said == list(range(1, len(found) + 1))
    assert {event.who for event in done} == {LEAD.name}
    for person in people:
        for name, label in now(desk, person).items():
            old = before[person][name]
            inside = old.x_px is not None and 0 <= old.x_px <= 320 and 0 <= old.y_px <= 240
            if name in WRISTS and inside:
                assert (label.state, label.cause) == BY_OBJECT
                assert (label.x_px, label.y_px) == (old.x_px, old.y_px)
            else:
                assert label == old
    assert changes(store, people, Relabel(joints=WRISTS, to=BY_OBJECT), base_of=desk.base) == []
    (made,) = batch_edits(store, desk.key)
    assert (made.who, made.people, made.standing) == (LEAD.name, len(found), len(found))

    assert len(undo(store, desk.key, made.client, who=LEAD, base_of=desk.base)) == len(found)
    assert {p: now(desk, p) for p in people} == before
    assert batch_edits(store, desk.key)[0].standing == 0
    assert undo(store, desk.key, made.client, who=LEAD, base_of=desk.base) == []
    assert history.check_replay(store, desk.key) == []


def test_only_joints_that_are_so_now_change(desk, store, people):
    """As reviewers have them, not as the disk does."""
    first, second = people[:2]
    x = JointLabel(x_px=50.0, y_px=60.0, state=1, cause="self")
    desk.log(first, "edit", joints={"nose": x})
    desk.log(second, "delete")
    asked = Relabel(joints=("nose", "left_eye"), to=BY_OBJECT, only=((1, "self"),))
    found = changes(store, people, asked, base_of=desk.base)
    labels = {p: [now(desk, p)[name] for name in asked.joints] for p in people}
    so = {p: any((one.state, one.cause) == (1, "self") for one in labels[p]) for p in people}
    hidden = {p for p in people if p != second and so[p]}
    assert first in hidden and {change.op.person for change in found} == hidden
    change = next(change for change in found if change.op.person == first)
    assert change.before["nose"] == x and change.op.revision == 1
    # A joint beyond the frame can only lose its label.
    away = JointLabel(x_px=-20.0, y_px=60.0, state=0, cause="truncated")
    desk.log(first, "edit", joints={"nose": away})
    for to in MEANINGS:
        some = changes(store, [first], Relabel(joints=("nose",), to=to), base_of=desk.base)
        assert len(some) == (to[0] is None)


def test_who_edited_meanwhile_keeps_the_edit(desk, store, people):
    first, second = people[:2]
    asked = Relabel(joints=("nose",), to=BY_OBJECT)
    found = changes(store, [first, second], asked, base_of=desk.base)
    label = JointLabel(x_px=5.0, y_px=6.0, state=2, cause="visible")
    desk.log(first, "edit", joints={"nose": label})
    refused, done = relabel(store, found, who=LEAD, base_of=desk.base)
    assert isinstance(refused, Refused) and refused.reason == "revision"
    assert now(desk, first)["nose"] == label
    # The way back leaves those alone who were edited after the change.
    desk.log(second, "edit", joints={"nose": label})
    (made,) = batch_edits(store, desk.key)
    (back,) = undo(store, desk.key, made.client, who=LEAD, base_of=desk.base)
    assert isinstance(back, Refused) and "changed again later" in str(back)
    assert now(desk, second)["nose"] == label and done.person == second


def test_leads_alone_may_and_only_what_makes_sense(desk, store, people):
    found = changes(store, people, Relabel(joints=("nose",), to=BY_OBJECT), base_of=desk.base)
    of_anna = {"who": ANNA, "base_of": desk.base}
    with pytest.raises(Refused, match="you may not relabel"):
        relabel(store, found, **of_anna)
    with pytest.raises(Refused, match="you may not relabel"):
        undo(store, desk.key, "relabel-1", **of_anna)
    for to in ((0, "truncated"), (2, "object"), (1, "visible")):
        with pytest.raises(Refused, match="unknown state and cause"):
            changes(store, people, Relabel(joints=("nose",), to=to), base_of=desk.base)
    assert changes(store, [], Relabel(joints=("nose",), to=BY_OBJECT), base_of=desk.base) == []
    assert batch_edits(store, desk.key) == []
