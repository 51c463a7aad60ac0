"""Each op happens once, whole and in its order, or is refused with its reason."""

import dataclasses
from unittest.mock import Mock

import pytest
from review_ops import ANNA, BEN, GUEST, KEY, NOBODY, ON_DISK, PERSON, hidden, op, seen
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import DataError, IntegrityError

from synthstudio.core.errors import Refused
from synthstudio.review import batch_edits, edits, history
from synthstudio.review.models import EventRow, ItemRow
from synthstudio.review.values import ItemState, JointLabel, Person


def do(store, what, *, who=ANNA, base=ON_DISK):
    return edits.apply(store, what, who=who, base=base)


def refused(store, what, *, who=ANNA, base=ON_DISK):
    before = history.events(store, KEY), history.states(store, KEY)
    with pytest.raises(Refused) as caught:
        do(store, what, who=who, base=base)
    assert (history.events(store, KEY), history.states(store, KEY)) == before
    return caught.value


def test_edit_is_an_event_and_a_state(store):
    event = do(store, op("edit", 0, joints={"nose": seen(1.25, 2), "left_eye": hidden()}))
    assert event.revision == 1 and event.who == "anna"
    assert event.before == {"joints": {"nose": None, "left_eye": None}}
    nose = {"x_px": 1.25, "y_px": 2, "state": 2, "cause": "visible", "origin": "human"}
    assert event.after["joints"]["nose"] == nose
    item = history.state(store, PERSON)
    assert item.joints == {"nose": seen(1.25, 2), "left_eye": hidden()}
    assert (item.revision, item.who, item.when) == (1, "anna", event.when)
    assert history.events(store, KEY) == [event]
    assert history.check_replay(store, KEY) == []


def test_every_kind_in_a_row(store):
    do(store, op("edit", 0))
    do(store, op("status", 1, status="flagged", text="left and right?"))
    do(store, op("comment", 2, text="look <b>again</b> 😀"), who=BEN)
    do(store, op("delete", 3))
    do(store, op("restore", 4))
    do(store, op("status", 5, status="approved"))
    item = history.state(store, PERSON)
    assert (item.status, item.reason, item.comments, item.deleted) == ("approved", "", 1, False)
    assert history.events(store, KEY, who="ben")[0].after == {"comment": "look <b>again</b> 😀"}
    counted = history.counts(store, KEY)
    assert counted.status == {"approved": 1, "pending": 5} and counted.events == 6
    of_anna = {"delete": 1, "edit": 1, "restore": 1, "status": 2}
    assert counted.reviewers == {"anna": of_anna, "ben": {"comment": 1}}
    assert history.check_replay(store, KEY) == []


def test_said_twice_happens_once(store):
    output = op("edit", 0)
    event = do(store, output)
    status, said = op("status", 1, status="approved"), op("comment", 2, text="a")
    undo = op("revert", 3, event=do(store, status).id)
    for again in (said, undo):
        assert do(store, again) == do(store, again)
    assert do(store, output) == event and len(history.events(store, KEY)) == 4
    other = dataclasses.replace(PERSON, instance=2)
    wrong = [{"person": other}, {"joints": {"nose": seen(9)}}, {"box": (1, 1, 9, 9)}, {"track": 3}]
    wrong = [(output, change) for change in wrong]
    for first, change in [*wrong, (said, {"text": "b"}), (undo, {"event": event.id})]:
        assert refused(store, dataclasses.replace(first, **change)).reason == "invalid"
    assert refused(store, output, who=BEN).reason == "invalid"  # nobody reads another's event


def test_old_revision_is_refused_with_what_is_there(store):
    do(store, op("edit", 0))
    error = refused(store, op("edit", 0, joints={"nose": seen(99)}), who=BEN)
    assert error.reason == "revision" and "by anna" in str(error)
    assert isinstance(error.state, ItemState) and error.state.joints == {"nose": seen()}
    assert refused(store, op("edit", 7)).reason == "revision"


def test_update_itself_looks_at_the_revision(store, monkeypatch):
    """Two writers that both saw revision 1: only one of them may write (no lock helps here)."""
    do(store, op("edit", 0))
    stale = history.state(store, PERSON)
    do(store, op("edit", 1, joints={"nose": seen(50)}))
    with store.session() as session:  # take the event's own UNIQUE away from under the test
        session.execute(delete(EventRow).where(EventRow.revision == 2))
    monkeypatch.setattr(edits, "state_of", lambda row: stale)
    error = refused(store, op("edit", 1, joints={"nose": seen(70)}), who=BEN)
    assert error.reason == "revision"
    assert history.state(store, PERSON).joints == {"nose": seen(50)}


def test_undo_redo_and_their_order(store):
    first = do(store, op("edit", 0, joints={"nose": seen(1)}))
    second = do(store, op("edit", 1, joints={"nose": seen(2), "left_eye": seen(3)}))
    third = do(store, op("status", 2, status="approved"))
    error = refused(store, op("revert", 3, event=first.id))
    assert error.reason == "invalid" and f"event {second.id}" in str(error)
    undo = do(store, op("revert", 3, event=second.id))
    assert undo.reverts == second.id
    assert history.state(store, PERSON).joints == {"nose": seen(1)}
    assert "already undone" in str(refused(store, op("revert", 4, event=second.id)))
    do(store, op("revert", 4, event=first.id))
    assert history.state(store, PERSON).joints == {}
    assert history.state(store, PERSON).status == "approved"
    # To redo is to revert the revert; the older one is in its way until it is redone itself.
    assert refused(store, op("revert", 5, event=undo.id)).reason == "invalid"
    last = history.events(store, KEY)[-1]
    do(store, op("revert", 5, event=last.id))
    redo = do(store, op("revert", 6, event=undo.id))
    assert history.state(store, PERSON).joints == {"nose": seen(2), "left_eye": seen(3)}
    do(store, op("revert", 7, event=redo.id))
    do(store, op("revert", 8, event=third.id))
    assert history.state(store, PERSON).status == "pending"
    last = do(store, op("edit", 9))
    other = dataclasses.replace(PERSON, instance=2)
    assert refused(store, op("revert", 0, event=last.id, person=other)).reason == "invalid"
    assert refused(store, op("revert", 10, event=10**6)).reason == "invalid"
    do(store, op("revert", 10, event=last.id), who=BEN)  # anybody's event, of the same person
    assert history.check_replay(store, KEY) == []


def test_added_deleted_and_absent(store):
    new = Person(dataset=KEY, frame=3, instance=7)
    assert refused(store, op("edit", 0, person=new), base=NOBODY).reason == "gone"
    assert refused(store, op("add", 0)).reason == "invalid"  # is on disk
    event = do(store, op("add", 0, person=new, joints={"nose": seen(5)}), base=NOBODY)
    item = history.state(store, new)
    assert item.added and item.joints == {"nose": seen(5)}
    assert refused(store, op("add", 1, person=new), base=NOBODY).reason == "invalid"
    do(store, op("delete", 1, person=new), base=NOBODY)
    error = refused(store, op("edit", 2, person=new), base=NOBODY)
    assert error.reason == "gone" and error.state.deleted
    assert refused(store, op("status", 2, status="approved", person=new)).reason == "gone"
    do(store, op("restore", 2, person=new), base=NOBODY)
    assert refused(store, op("restore", 3, person=new), base=NOBODY).reason == "invalid"
    do(store, op("revert", 3, person=new, event=event.id), base=NOBODY)
    assert not history.state(store, new).added
    assert refused(store, op("edit", 4, person=new), base=NOBODY).reason == "gone"
    do(store, op("add", 4, person=new), base=NOBODY)
    assert history.check_replay(store, KEY) == []


def test_roles(store):
    more = {"status": {"status": "approved"}, "comment": {"text": "a"}, "revert": {"event": 1}}
    for kind in ("edit", "add", "delete", "restore", *more):
        assert refused(store, op(kind, 0, **more.get(kind, {})), who=GUEST).reason == "role"
    fake = dataclasses.replace(ANNA, role="root")
    assert refused(store, op("edit", 0), who=fake).reason == "role"


NAN, INF = float("nan"), float("inf")
BAD_STATES = [(2, "self"), (2, "person"), (1, "visible"), (0, "unknown"), (1, ["self"])]
BAD_STATES += [(state, "visible") for state in (None, 3, 7, 2.0, True, [2])] + [(2, "<script>")]
BAD_JOINTS = [
    *({"nose": seen(x)} for x in (NAN, -INF, 321, -1, 10**400, "12", True)),
    *({"nose": seen(10, y)} for y in (INF, 241)),
    *({"nose": JointLabel(x_px=1, y_px=1, state=s, cause=c)} for s, c in BAD_STATES),
    {"nose": JointLabel(x_px=1281, y_px=1, state=0, cause="truncated")},
    *({"nose": JointLabel(x_px=x, y_px=None, state=2, cause="visible")} for x in (1.0, None)),
    {"nose": JointLabel(x_px=None, y_px=None, state=1, cause="self")},
    {f"joint{k}": seen() for k in range(5000)},
    {"tail": seen()},
    {},
]


BAD_OPS = [
    *({"joints": joints} for joints in BAD_JOINTS),
    *({"kind": "status", "status": status} for status in ("fine", None)),
    *({"kind": "status", "status": "flagged", "text": text} for text in ("x" * 2001, "a\0b")),
    *({"kind": "comment", "text": text} for text in ("  ", "\ud800", ["a"])),
    {"kind": "comment", "text": "a", "joints": {"nose": seen()}},
    *({"kind": "revert", "event": event} for event in (None, 0, "1", True)),
    *({"kind": "add", "person": dataclasses.replace(PERSON, instance=i)} for i in (1000, 0)),
]


def test_bad_ops(store):
    for change in BAD_OPS:
        kind = change.get("kind", "edit")
        made = op("edit", 0, **({"joints": {}} if kind not in ("edit", "add") else {}))
        base = NOBODY if kind == "add" else ON_DISK
        bad = dataclasses.replace(made, **change)
        assert refused(store, bad, base=base).reason == "invalid", change


def test_good_limits(store):
    joints = {
        "nose": seen(320.4, -0.4),
        "left_eye": hidden(0, 0, "unknown"),
        "right_eye": JointLabel(x_px=None, y_px=None, state=None, cause="unlabelled"),
        "left_ear": JointLabel(x_px=1280, y_px=-960, state=0, cause="truncated"),
    }
    do(store, op("edit", 0, joints=joints))
    do(store, op("comment", 1, text="x" * 2000))
    assert history.state(store, PERSON).joints == joints
    forged = dataclasses.replace(seen(), origin="rendered")  # a browser cannot say where it is from
    do(store, op("edit", 2, joints={"nose": forged}))
    assert history.state(store, PERSON).joints["nose"].origin == "human"
    lost = dataclasses.replace(PERSON, dataset="ab" * 32)
    assert refused(store, op("edit", 0, person=lost)).reason == "gone"


def test_batch_goes_on_after_a_refusal_but_not_after_busy(store, monkeypatch):
    other = dataclasses.replace(PERSON, instance=2)
    output = [op("edit", 0), op("edit", 0), op("edit", 1), op("edit", 0, person=other)]
    reported = batch_edits.apply_all(store, output, ANNA, lambda person: ON_DISK)
    assert [getattr(t, "reason", "done") for t in reported] == ["done", "revision", "done", "done"]
    real = edits._write

    def full(session, what, *more, **words):
        if what.person == PERSON:
            raise Refused("full", reason="busy")
        return real(session, what, *more, **words)

    monkeypatch.setattr(edits, "_write", full)
    output = [op("edit", 1, person=other), op("edit", 2), op("edit", 2, person=other)]
    reported = batch_edits.apply_all(store, output, ANNA, lambda person: ON_DISK)
    assert [getattr(t, "reason", "done") for t in reported] == ["done", "busy", "busy"]
    monkeypatch.undo()
    again = batch_edits.apply_all(store, output, ANNA, lambda person: ON_DISK)
    assert again[0] == reported[0] and [e.revision for e in again] == [2, 3, 3]
    assert history.check_replay(store, KEY) == []


def test_together_is_all_or_none(store):
    output = [op("edit", 0), op("status", 1, status="approved")]
    with pytest.raises(Refused):
        edits.apply_together(store, [*output, op("edit", 0)], who=ANNA, base=ON_DISK)
    assert history.events(store, KEY) == [] and history.states(store, KEY) == {}
    reported = edits.apply_together(store, output, who=ANNA, base=ON_DISK)
    assert [event.revision for event in reported] == [1, 2]
    assert edits.apply_together(store, output, who=ANNA, base=ON_DISK) == reported
    assert history.state(store, PERSON).status == "approved"
    assert history.check_replay(store, KEY) == []


def test_a_constraint_that_always_fails_is_busy(store, monkeypatch):
    tries = []

    def clash(*args, **words):
        tries.append(args)
        raise IntegrityError("INSERT", {}, Exception("unique"))

    monkeypatch.setattr(edits, "_write", clash)
    assert refused(store, op("edit", 0)).reason == "busy" and len(tries) == 3
    nul = DataError("SELECT", {}, Exception("NUL"))  # PostgreSQL's, of any query
    monkeypatch.setattr(edits, "_write", Mock(side_effect=nul))
    assert refused(store, op("edit", 0)).reason == "invalid"


def test_rebuild_sees_what_was_tampered_with(store):
    for revision in range(3):
        do(store, op("edit", revision, joints={"nose": seen(revision)}))
    item = history.state(store, PERSON)
    with store.session() as session:
        session.execute(update(ItemRow).values(status="approved"))
    assert len(history.check_replay(store, KEY)) == 1
    with store.session() as session:
        session.execute(update(ItemRow).values(status="pending"))
        session.execute(delete(EventRow).where(EventRow.revision == 2))
    problems = history.check_replay(store, KEY)
    assert any("revision 3 follows 1" in line for line in problems)
    assert any("differs from the state at that time" in line for line in problems)
    with store.session() as session:
        assert session.scalar(select(func.count()).select_from(EventRow)) == 2
        session.execute(delete(ItemRow))
    assert any("without an item" in line for line in history.check_replay(store, KEY))
    assert item.revision == 3


def test_states_of_many_and_pages_of_events(store):
    people = [Person(dataset=KEY, frame=f, instance=1) for f in range(12)]
    for person in people:
        do(store, op("edit", 0, person=person))
    found = history.states(store, KEY, people=[(3, 1), (11, 1), (3, 2), (99, 1)])
    assert sorted(found) == [(3, 1), (11, 1)]
    assert len(history.states(store, KEY)) == 12
    assert history.states(store, KEY, layer="second") == {}
    page = history.events(store, KEY, limit=5)
    rest = history.events(store, KEY, after_id=page[-1].id)
    assert [e.person for e in page + rest] == people
    assert list(history.iter_events(store, KEY)) == page + rest
    assert history.events(store, KEY, who="ben") == []
    assert len(history.events(store, KEY, person=people[3])) == 1
