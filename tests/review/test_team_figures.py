"""Agreement and pace against values reckoned by hand; members and assignment."""

import dataclasses
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from people_rows import persons
from review_ops import ADMIN, ANNA, BEN, LEAD, ON_DISK, op, refused

from synthstudio.core.errors import Refused
from synthstudio.review.edits import apply
from synthstudio.review.history import due_days, is_overdue, register, state
from synthstudio.review.leases import leases
from synthstudio.review.models import AssignmentRow, EventRow, MemberRow, utc_now
from synthstudio.review.risk.review_fields import review_columns
from synthstudio.review.team.members import assign, assigned, members, role_of, set_role
from synthstudio.review.team.second_review import ReviewPair
from synthstudio.review.team.statistics import (
    agreement_of,
    decided_by_day,
    kappa,
    throughput,
    throughputs,
    total_per_hour,
)
from synthstudio.review.values import ItemState, JointLabel, Person

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(empty_store, people_set):
    register(empty_store, people_set, "a set")
    return empty_store


def test_kappa_by_hand():
    # 35 of 50 agree, chance gives 25: (0.7 - 0.5) / (1 - 0.5).
    assert kappa(np.array([[20, 5], [10, 15]])).value == pytest.approx(0.4)
    # Same agreement, uneven margins (Feinstein and Cicchetti): 0.6 agree, chance 0.54 and 0.46.
    assert kappa(np.array([[45, 15], [25, 15]])).value == pytest.approx(0.06 / 0.46)
    assert kappa(np.array([[25, 35], [5, 35]])).value == pytest.approx(0.14 / 0.54)
    # Three names: 14 of 20 agree; chance (8*7 + 7*8 + 5*5) / 400 = 0.3425.
    three = np.array([[6, 2, 0], [1, 5, 1], [0, 1, 4]])
    wanted = (0.75 - 0.3425) / (1 - 0.3425)
    assert kappa(three).value == pytest.approx(wanted)
    assert kappa(np.array([[5, 0], [0, 5]])).value == 1.0
    assert kappa(np.array([[0, 5], [5, 0]])).value == -1.0
    for nothing in (np.zeros((2, 2), int), np.array([[9, 0], [0, 0]])):
        assert math.isnan(kappa(nothing).value)
    found = kappa(np.array([[20, 5], [10, 15]]))
    assert (found.n, found.agreed) == (50, 35)


def _pair(table, row, first, second, **more):
    state = {"person": persons(table, [row])[0], "revision": 2, "status": "approved"}
    a, b = (ItemState(**state, joints=joints) for joints in (first, second))
    return ReviewPair(row=row, first=a, second=dataclasses.replace(b, **more), adjudicated=False)


def _nose(x, y, state=2, cause="visible"):
    return {"nose": JointLabel(x_px=x, y_px=y, state=state, cause=cause)}


def test_agreement_by_hand(table):
    """Four pairs on the nose: apart by 0, 3 and 4 sigma of its tolerance, one hidden."""
    sigma = float(table.skeleton.sigmas[0])
    both = []
    rows = np.flatnonzero(table.state[:, 0] == 2)[:4].tolist()
    for row, times in zip(rows, (0.0, 3.0, 4.0, None), strict=True):
        if times is None:
            second = _nose(100, 100, state=1, cause="object")
        else:
            second = _nose(100 + times * sigma * math.sqrt(float(table.area_px[row])), 100)
        both.append(_pair(table, row, _nose(100, 100), second))
    made = agreement_of(table, both)
    nose = made.joints[0]
    assert (made.people, nose.joint, nose.n) == (4, "nose", 4)
    assert nose.spread == pytest.approx(math.sqrt((9 + 16) / 4 / 2), rel=1e-6)
    # OKS has e = d / (2 sigma sqrt(area)): 1.5 and 2.
    wanted = (1 + math.exp(-(1.5**2) / 2) + math.exp(-(2**2) / 2) + 1) / 4
    assert nose.oks == pytest.approx(wanted, rel=1e-6)
    # State: visible with visible 3 times, visible with hidden once. One never varies: kappa 0.
    assert nose.state.agreed == 3 and nose.state.counts[2].tolist() == [0, 1, 3, 0]
    assert nose.state.value == pytest.approx(0.0)
    assert nose.cause.counts[0].tolist() == [3, 0, 0, 1, 0, 0, 0]
    # Joints that nobody touched agree wholly.
    assert made.joints[5].spread == 0 and made.joints[5].oks == 1
    assert made.overall.state.n == 4 * 17 and made.overall.state.agreed == 4 * 17 - 1
    assert math.isnan(agreement_of(table, []).overall.spread)
    # Verdicts count deletions and leave flags out; a deletion after a flag is a verdict, and the
    # joints edited before it are no labels.
    changes = ({}, {"status": "rejected"}, {"deleted": True}, {"status": "flagged"})
    both = [_pair(table, row, {}, {}, **change) for row, change in enumerate(changes)]
    late = _pair(table, 4, {}, _nose(9, 9), status="flagged", deleted=True)
    for pairs, deleted in ((both, 2), ([*both, late], 3)):
        made = agreement_of(table, pairs)
        assert made.verdict.counts.tolist() == [[1, deleted], [0, 0]]
        assert (made.people, made.joints[0].state.n) == (len(pairs), 3)


def _moments(who, *steps, start=NOON):
    return [(who, start + timedelta(minutes=m), done, k, 1, "main") for m, k, done in steps]


def test_pace_by_hand():
    """Ten minutes of work in two sittings, three people decided after the sittings' openings."""
    moments = _moments(
        "anna", (0, 1, True), (2, 2, False), (4, 2, True), (8, 3, True),
        (60, 4, True), (61, 5, False), (62, 5, True), (68, 6, False),
    )  # fmt: skip
    (made,) = throughputs(moments)
    assert (made.who, made.people, made.events) == ("anna", 5, 8)
    assert made.active_h == pytest.approx(10 / 60)
    assert made.per_hour == pytest.approx(3 / (10 / 60))
    # A lead flags five in a moment between two whom he looked at: three looks in four minutes.
    steps = [(0, 0, True), (2, 1, True), *((3 + k / 60_000, 2 + k, True) for k in range(5))]
    (made,) = throughputs(_moments("lea", *steps, (4, 9, True)))
    assert (made.people, made.paced) == (8, 3)
    assert made.per_hour == pytest.approx(3 / (4 / 60)) == total_per_hour([made])
    assert (made.first, made.last) == (NOON, NOON + timedelta(minutes=4))


def test_pace_by_day_and_reviewer():
    late = _moments("anna", (0, 1, True), (4, 2, True), start=NOON.replace(hour=23, minute=58))
    ben = _moments("ben", (1, 1, True), (1.2, 2, True), start=NOON)
    both = sorted([*late, *ben], key=lambda m: m[1])
    made = throughputs(both)
    reported = [(p.who, p.day.day, p.people) for p in made]
    assert reported == [("anna", 1, 1), ("ben", 1, 2), ("anna", 2, 1)]
    assert math.isnan(made[1].per_hour)  # 12 seconds say nothing
    # One person decided twice is one person.
    again = throughputs(_moments("cy", (0, 1, True), (2, 1, True), (4, 1, True)))
    assert again[0].people == 1 and again[0].per_hour == pytest.approx(1 / (4 / 60))
    assert throughputs([]) == []


def test_nobody_is_counted_twice(store, table):
    """Decided by Anna, and a day later by Ben; taken back; another one decided twice by Anna."""
    both, twice = (Person(dataset=table.key, frame=f, instance=1) for f in (0, 1))
    steps = [(ANNA, both, "approved"), (ANNA, twice, "flagged"), (BEN, both, "rejected")]
    revisions = {both: 0, twice: 0}
    for day, (who, person, status) in enumerate([*steps, (ANNA, twice, "approved")]):
        one = op("status", revisions[person], person=person, status=status, text="x")
        made = apply(store, one, who=who, base=ON_DISK)
        revisions[person] += 1
        with store.session() as session:
            session.get(EventRow, made.id).when = NOON + timedelta(days=day)
    found = decided_by_day(store, table.key)
    assert {(day.day, who): n for (day, who), n in found.items()} == {(3, "ben"): 1, (4, "anna"): 1}
    assert sum(pace.people for pace in throughput(store, table.key) if pace.who == "anna") == 2
    undo = op("revert", revisions[twice], person=twice, event=made.id)
    apply(store, undo, who=ANNA, base=ON_DISK)
    for person in (twice, Person(dataset=table.key, frame=2, instance=1)):  # one was never decided
        again = op("status", state(store, person).revision, person=person, status="skipped")
        apply(store, again, who=ANNA, base=ON_DISK)
    assert sum(pace.people for pace in throughput(store, table.key) if pace.who == "anna") == 2
    assert [who for _, who in decided_by_day(store, table.key)] == ["ben"]


def test_members_and_their_roles(store):
    assert members(store) == {} and role_of(store, "ada") is None
    set_role(store, "ada", "admin", by=ADMIN)
    set_role(store, "ben", "viewer", by=ADMIN)
    set_role(store, "ben", "lead", by=ADMIN)
    assert members(store) == {"ada": "admin", "ben": "lead"} and role_of(store, "ben") == "lead"
    with store.reading() as session:
        given = session.get(MemberRow, "ben")
        assert given.by == "ada" and utc_now() - given.when < timedelta(minutes=5)
    for who in (LEAD, ANNA):
        with refused("role"):
            set_role(store, "anna", "admin", by=who)
    for role in ("lead", None):
        with pytest.raises(Refused, match="last admin"):
            set_role(store, "ada", role, by=ADMIN)
    set_role(store, "eve", "admin", by=ADMIN)
    set_role(store, "ada", None, by=ADMIN)
    assert members(store) == {"ben": "lead", "eve": "admin"}
    for name, role in (("", "lead"), ("a\nb", "lead"), ("x" * 81, "lead"), ("zoe", "king")):
        with refused("invalid"):
            set_role(store, name, role, by=ADMIN)


def test_people_are_assigned_and_due(store, table):
    people = persons(table, np.arange(30))
    assert assign(store, people[:20], to="anna", by=LEAD) == 20
    assert assign(store, [*people[15:25], people[15]], to="ben", by=LEAD) == 10
    assert sorted(assigned(store, table.key).values()) == ["anna"] * 15 + ["ben"] * 10
    of_ben = {(p.frame, p.instance) for p in people[15:25]}
    assert set(assigned(store, table.key, who="ben")) == of_ben
    with refused("role"):
        assign(store, people, to="anna", by=BEN)
    assert leases(store, table.key) == {}
    with store.session() as session:
        session.query(AssignmentRow).delete()
    people, today = people[:4], utc_now().date()
    assign(store, people[:3], to="anna", by=LEAD, due=today)
    assign(store, people[3:], to="anna", by=LEAD)
    apply(store, op("status", 0, person=people[0], status="approved"), who=ANNA, base=ON_DISK)
    apply(store, op("status", 0, person=people[1], status="skipped"), who=ANNA, base=ON_DISK)
    found = [(one.who, one.day, one.people) for one in due_days(store, table.key)]
    assert found == [("anna", today, 2), ("anna", None, 1)]
    assert not is_overdue(today) and not is_overdue(None)
    assert set(review_columns(store, table)["overdue"]) == {"no"}
    with store.session() as session:
        session.query(AssignmentRow).update({"due": today - timedelta(days=1)})
    assert review_columns(store, table)["overdue"][:5].tolist() == ["no", *["yes"] * 3, "no"]
    for wrong in (today - timedelta(days=2), today + timedelta(days=4_000), NOON, "2030-01-01"):
        with refused("invalid"):
            assign(store, people, to="ben", by=LEAD, due=wrong)
    assert set(assigned(store, table.key).values()) == {"anna"}
