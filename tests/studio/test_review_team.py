"""What the editor does for a team: leases that last, second reviews that stay blind, counts."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

from review_ops import at_time

from synthstudio.core.errors import Refused
from synthstudio.review import history
from synthstudio.review.leases import SECOND, claim, leases
from synthstudio.review.models import utc_now
from synthstudio.review.risk.predictions import Prediction, put_predictions
from synthstudio.review.team.second_review import (
    begin_second_reviews,
    blinded,
    blinded_among,
    set_share,
)
from synthstudio.review.values import FRAME, User
from synthstudio.studio.editor import ops as editor_ops
from synthstudio.studio.editor.ops import HeldLeases, release_decided, renew_leases
from synthstudio.studio.editor.queue import QueueRequest, build_queue
from synthstudio.studio.overview import _counted, added_note, count_people

ADA, BEN = User(name="Ada", role="reviewer"), User(name="Ben", role="reviewer")
LEA = User(name="Lea", role="lead")
ADMIN = User(name="Root", role="admin")
BUSY = Refused("locked", reason="busy")
NOSE = {"kind": "edit", "joints": {"nose": [7.5, 8.5, 1, "person"]}}


# ---- leases


def taken_long_ago(review, who, *rows):
    people = [review.person(row) for row in rows]
    past = utc_now() - timedelta(minutes=40)
    at_time(past, claim, review.store, people, who=who, count=len(people))
    return people


def held_by(review):
    return {at: lease.who for at, lease in leases(review.store, review.table.key).items()}


def test_a_lease_that_ended_is_renewed_where_the_editor_is_used(review, monkeypatch, caplog):
    person, other, lost = taken_long_ago(review, ADA, 0, 1, 2)
    claim(review.store, [lost], who=BEN)
    held = HeldLeases()
    with monkeypatch.context() as patch:  # a store that is busy stops nobody
        patch.setattr(editor_ops, "renew", lambda *_, **__: (_ for _ in ()).throw(BUSY))
        renew_leases(review.store, held, (), who=ADA, edited=[person])
    assert "locked" in caplog.text and not held.people
    refused = review.tell(ADA, other, 1, **NOSE).refused  # the control: nobody renews
    assert [r[2] for r in refused] == ["lease"]
    for seq, (one, done) in enumerate(((person, 1), (lost, 0)), start=2):
        renew_leases(review.store, held, (), who=ADA, edited=[one])
        assert len(review.tell(ADA, one, seq, **NOSE).done) == done
    assert sorted(held_by(review).values()) == ["Ada", "Ben"]


def test_a_window_is_renewed_once_a_minute(review, monkeypatch):
    output, real, clock = [], editor_ops.renew, SimpleNamespace(s=0.0)
    monkeypatch.setattr(editor_ops, "time", SimpleNamespace(monotonic=lambda: clock.s))
    monkeypatch.setattr(
        editor_ops, "renew", lambda store, people, who: output.append(real(store, people, who=who))
    )
    people = taken_long_ago(review, ADA, 0, 1, 2)
    held = HeldLeases()
    for clock.s in (1000, 1030, 1059, 1061):
        renew_leases(review.store, held, [*people, review.person(5)], who=ADA)
    assert output == [people, people]
    renew_leases(review.store, held, people, who=ADA, edited=[people[0]])
    assert len(output) == 2
    new = [replace(people[0], frame=k) for k in range(999, 1600)]  # more than at once
    renew_leases(review.store, held, people, who=ADA, edited=new)
    assert len(output) == 3 and len(held_by(review)) == 3  # none was made
    renew_leases(review.store, HeldLeases(), people, who=User(name="Eve", role="viewer"))
    assert len(output) == 3


def test_who_was_decided_on_is_given_back(review):
    first, second = (review.person(row) for row in (0, 1))
    claim(review.store, [first, second], who=ADA, count=2)
    held, count = HeldLeases(), lambda: len(held_by(review))

    def decide(who, person, seq, status, revision=0):
        more = {"kind": "status", "status": status, "revision": revision}
        answer = review.tell(who, person, seq, **more)
        parsed = review.parsed(who, person, seq, **more)
        release_decided(review.store, held, parsed, answer, who=who)
        return answer

    assert decide(LEA, second, 1, "approved").refused and count() == 2  # nobody's is given back
    assert decide(ADA, first, 2, "approved").done
    assert list(held_by(review)) == [(second.frame, second.instance)]
    decide(ADA, second, 3, "skipped")
    assert decide(ADA, second, 4, "approved").refused and count() == 1


# ---- blind second reviews


def second_review(review, row=3):
    """Ada decided on a person; a second review at everybody is wanted. Return the person."""
    set_share(review.store, review.table.key, "second_share", 1.0, by=ADMIN)
    person = review.person(row)
    review.move(ADA, person, "nose", 25.0)
    review.decide(ADA, person, "rejected")
    return person


def shown(review, who, people, *, layer="main"):
    hidden = blinded_among(review.store, review.table, people, who=who, share=1.0)
    blinded = hidden if layer == "main" else set()
    return review.window(people, who=who, layer=layer, blinded=blinded)


def test_an_open_second_look_hides_the_first_from_who_may_do_it(review):
    person, first = second_review(review), review.person(0)
    people = [(one.frame, one.instance) for one in (person, first)]
    (ben, other), (ada, _), (lea, _) = (shown(review, who, people) for who in (BEN, ADA, LEA))
    assert ben["blinded"] and ben["state"]["revision"] == 0 and not ben["state"]["joints"]
    assert ben["state"]["status"] == "pending" and ben["state"]["who"] is None
    assert not other["blinded"]
    for seen_by in (ada, lea):  # the control
        assert not seen_by["blinded"] and seen_by["state"]["status"] == "rejected"
        assert "nose" in seen_by["state"]["joints"]
    for who in (BEN, ADA, LEA):
        one = blinded_among(review.store, review.table, people, who=who, share=1.0)
        everybody = blinded(review.store, review.table, who=who, share=1.0)
        assert one == set(review.table.ids(everybody.nonzero()[0]))
    assert blinded_among(review.store, review.table, people, who=BEN, share=0.0) == set()
    (taken,) = begin_second_reviews(review.store, review.table, who=BEN, share=1.0)
    assert (taken.frame, taken.instance) == people[0]
    assert review.tell(BEN, taken, 1, **NOSE).done
    assert shown(review, BEN, people[:1], layer=SECOND)[0]["state"]["revision"] == 1
    assert shown(review, BEN, people[:1])[0]["blinded"]  # not decided yet
    assert review.tell(BEN, taken, 2, kind="status", status="approved", revision=1).done
    assert not shown(review, BEN, people[:1])[0]["blinded"]
    undo = {"kind": "revert", "undoes": [("Ben" * 8)[:16], 2], "revision": 2}
    assert review.tell(BEN, taken, 3, **undo).done


def test_an_op_that_was_on_its_way_when_somebody_decided(review, monkeypatch):
    set_share(review.store, review.table.key, "second_share", 1.0, by=ADMIN)
    person, real = review.person(5), editor_ops.apply

    def late(*args, **more):
        review.decide(ADA, person, "rejected")
        return real(*args, **more)

    monkeypatch.setattr(editor_ops, "apply", late)
    answer = review.tell(BEN, person, 90, **NOSE)
    assert [row[2:] for row in answer.refused] == [("lease", editor_ops.BLIND)]


def test_a_second_look_changes_only_whom_it_was_given(sticks):
    set_share(sticks.store, sticks.table.key, "second_share", 1.0, by=ADMIN)
    for instance in (1, 2):
        sticks.decide(ADA, sticks.at(4, instance))
    (taken,) = begin_second_reviews(sticks.store, sticks.table, who=BEN, count=1, share=1.0)
    people = [(4, n) for n in range(1, 5)]
    closed = {one["instance"]: one["closed"] for one in shown(sticks, BEN, people, layer=SECOND)}
    assert closed.pop(taken.instance) is None
    assert set(closed.values()) == {"not among your second reviews"}
    for instance in range(1, 5):
        answer = sticks.tell(BEN, sticks.at(4, instance, layer=SECOND), instance, **NOSE)
        assert [row[2] for row in answer.refused] == ["lease"] * (instance != taken.instance)


def test_queues_do_not_tell_what_is_blinded(review):
    person = second_review(review)
    row = int(review.table.row_of(person.frame, person.instance))
    ask = QueueRequest(queue="all", query="status = rejected")
    assert list(build_queue(review.store, review.table, ask, who=ADA).rows) == [row]
    assert list(build_queue(review.store, review.table, ask, who=BEN).rows) == []
    todo = build_queue(review.store, review.table, QueueRequest(queue="all", todo=True), who=BEN)
    assert row not in todo.rows and len(todo.rows) == review.table.people - 1


# ---- the queue of a network's least sure joints


def predicted(frame, instance, **sure):
    joints = {name: (9.0, 9.0, share) for name, share in sure.items()}
    return Prediction(frame=frame, instance=instance, joints=joints)


def queue(review, model="net", who=ADA, name="uncertain", **more):
    request = QueueRequest(queue=name, model=model, **more)
    found = build_queue(review.store, review.table, request, who=who)
    total = len(found.rows)
    return found.people(review.table, 0, total), [*map(found.reasons, range(total))]


def test_the_least_sure_joint_of_anybody_comes_first(sticks):
    rows = [
        predicted(0, 1, nose=0.9, left_wrist=0.4),
        predicted(0, 2, nose=0.5),
        predicted(1, 1, nose=0.2, left_hip=0.1),
        predicted(2, 1000, nose=0.3, left_ear=0.6),  # nobody is in frame 2
        predicted(2, 1001, nose=0.45),
        predicted(3, 1000, nose=0.01),  # somebody else in a frame with people
        predicted(3, 1),
    ]
    put_predictions(sticks.store, sticks.table.key, "net", rows)
    people, reasons = queue(sticks)
    assert people == [(1, 1), (2, FRAME), (0, 1), (0, 2)]
    sure = {"left hip": "0.10", "nose": "0.30", "left wrist": "0.40"}
    assert reasons[:3] == [
        [f"{name}: predicted, confidence {share}"] for name, share in sure.items()
    ]
    assert (3, FRAME) not in queue(sticks, query="frame = 0")[0]  # a filter makes no frame empty
    again = replace(predicted(0, 2, nose=0.05), score=0.5)
    put_predictions(sticks.store, sticks.table.key, "net", [again])
    assert queue(sticks)[0][0] == (0, 2)
    sticks.decide(ADA, sticks.at(1, 1), "approved")
    assert queue(sticks, todo=True)[0] == [(0, 2), (2, FRAME), (0, 1)]
    assert queue(sticks, query="instance = 1")[0] == [(1, 1), (2, FRAME), (0, 1)]
    assert queue(sticks, model="other")[0] == queue(sticks, model="")[0] == []


def test_a_prediction_that_was_called_wrong_is_offered_no_more(sticks):
    rows = [predicted(0, 1, nose=0.2), predicted(0, 2, nose=0.5)]
    for model in ("net", "other"):
        put_predictions(sticks.store, sticks.table.key, model, rows)
    sticks.log(ADA, sticks.person(0), "reject_prediction", text="net")
    assert queue(sticks)[0] == [(0, 2)]
    assert queue(sticks, model="other")[0] == [(0, 1), (0, 2)]
    set_share(sticks.store, sticks.table.key, "second_share", 1.0, by=ADMIN)
    sticks.decide(ADA, sticks.person(0), "approved")
    assert queue(sticks)[0] == [(0, 2)]
    assert queue(sticks, who=BEN)[0] == [(0, 1), (0, 2)]  # who is told nothing of the first look


def test_that_a_first_look_deleted_somebody_is_hidden_from_the_second(sticks):
    """(1, 1) is alone in the frame."""

    def seen_by(who):
        return [queue(sticks, who=who, name=name)[0] for name in ("all", "empty", "uncertain")]

    put_predictions(sticks.store, sticks.table.key, "net", [predicted(1, 1, nose=0.2)])
    set_share(sticks.store, sticks.table.key, "second_share", 1.0, by=ADMIN)
    before = seen_by(BEN)
    sticks.log(ADA, sticks.at(1, 1), "delete")
    assert seen_by(BEN) == before
    assert all(now != then for now, then in zip(seen_by(ADA), before, strict=True))


# ---- counts


def test_people_are_counted_alike_everywhere(review):
    store, key, on_disk = review.store, review.table.key, review.table.people
    assert count_people(store, key).status == {"pending": on_disk}
    for row, status in enumerate(("approved", "approved", "rejected", "flagged", "skipped")):
        review.decide(ADA, review.person(row), status)
    review.decide(ADA, review.person(6), "approved")
    assert count_people(store, key) == _counted(store, key)
    joints = review.on_disk(review.person(0))
    for instance in (50, 51):
        review.log(ADA, review.at(0, instance), "add", joints=joints)
    for person in (review.person(5), review.person(6), review.at(0, 51)):
        review.log(ADA, person, "delete")
    found = count_people(store, key)
    once = dict.fromkeys(("rejected", "flagged", "skipped"), 1)
    assert found.status == {"approved": 2, **once, "pending": on_disk - 7 + 1}
    assert (found.total, found.added, found.deleted) == (on_disk - 2 + 1, 1, 2)
    assert (found.decided, found.waiting) == (4, found.total - 4)
    whole = history.counts(store, key)  # what the command line tells
    assert (whole.people, dict(whole.status)) == (found.total, found.status)
    assert _counted(store, key) == found  # anew
    assert found.empty_frames == 0
    assert "1 person" in added_note(found)
