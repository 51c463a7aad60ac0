"""A second look is blind, goes to somebody else, and a lead decides where the two differ."""

import dataclasses
from datetime import timedelta

import numpy as np
import pytest
from people_rows import make_rows, registered, write_rows
from review_ops import ADMIN, ANNA, BEN, GUEST, LEAD

from synthstudio.core.errors import Refused
from synthstudio.review.check import base_of
from synthstudio.review.edits import apply
from synthstudio.review.history import check_replay, events, state
from synthstudio.review.leases import claim, leases, release, renew
from synthstudio.review.models import utc_now
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.queue import next_people, risk_order
from synthstudio.review.risk.scores import Risk
from synthstudio.review.risk.table import people_table
from synthstudio.review.store import Store, open_store
from synthstudio.review.team.second_pass import (
    ADJUDICATED,
    SECOND,
    Decision,
    adjudicate,
    begin_second_looks,
    blinded,
    pairs,
    progress,
    second_rows,
)
from synthstudio.review.team.statistics import agreement, disagreements
from synthstudio.review.values import JointLabel, Op, Person, User

CLEO = User(name="cleo", role="reviewer")
SHARE = 0.2


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory):
    return write_rows(make_rows(20, each=4), tmp_path_factory.mktemp("second") / "set")


@pytest.fixture(scope="module")
def table(dataset) -> PeopleTable:
    return people_table(dataset)


@pytest.fixture
def team(store_url: str, dataset):
    store = open_store(store_url)
    registered(store, dataset)
    yield Team(store, dataset)
    store.close()


class Team:
    """Applies ops at the right revision."""

    def __init__(self, store: Store, dataset) -> None:
        self.store, self.dataset, self.seq = store, dataset, 0

    def say(self, who: User, person: Person, kind: str = "status", **more):
        self.seq += 1
        op = Op(
            client="tab",
            seq=self.seq,
            person=person,
            kind=kind,
            revision=state(self.store, person).revision,
            **more,
        )
        return apply(self.store, op, who=who, base=self.base(person))

    def base(self, person: Person):
        return base_of(self.dataset, person.frame, person.instance)

    def approve(self, who: User, person: Person, **joints: JointLabel) -> None:
        if joints:
            self.say(who, person, "edit", joints=joints)
        self.say(who, person, status="approved")

    def main(self, person: Person):
        return state(self.store, dataclasses.replace(person, layer="main"))


def _persons(table: PeopleTable, rows) -> list[Person]:
    return [Person(dataset=table.key, frame=f, instance=i) for f, i in table.ids(np.array(rows))]


def _at(table: PeopleTable, row: int, name: str, dx: float = 0.0, **more) -> JointLabel:
    x, y = (float(v) for v in table.joints_px[row, table.joints.index(name)])
    return JointLabel(**{"x_px": x + dx, "y_px": y, "state": 2, "cause": "visible"} | more)


def test_the_choice_is_fixed_and_grows(table: PeopleTable) -> None:
    rows = second_rows(table, share=SHARE)
    assert len(rows) == len(set(rows)) == 16
    assert second_rows(table, share=0.5)[:16].tolist() == rows.tolist()
    named = dataclasses.replace(table, key="another")
    assert second_rows(named, share=SHARE).tolist() != rows.tolist()
    with pytest.raises(Refused):
        second_rows(table, share=-0.1)


def test_second_looks_go_to_somebody_else(team: Team, table: PeopleTable) -> None:
    chosen = _persons(table, second_rows(table, share=SHARE))
    assert (
        begin_second_looks(team.store, table, who=BEN, count=3, share=SHARE) == []
    )  # no first look yet
    for person in chosen[:3]:
        team.approve(ANNA, person)
    assert begin_second_looks(team.store, table, who=ANNA, count=3, share=SHARE) == []  # her own
    got = begin_second_looks(team.store, table, who=BEN, count=2, share=SHARE)
    assert got == [dataclasses.replace(p, layer=SECOND) for p in chosen[:2]]
    assert begin_second_looks(team.store, table, who=CLEO, count=3, share=SHARE) == [
        dataclasses.replace(chosen[2], layer=SECOND)
    ]
    team.approve(BEN, got[0])
    assert begin_second_looks(team.store, table, who=BEN, count=3, share=SHARE) == got[1:]
    with pytest.raises(Refused):
        begin_second_looks(team.store, table, who=GUEST, share=SHARE)
    done = progress(team.store, table, share=SHARE)
    assert (done.chosen, done.once, done.twice, done.adjudicated) == (16, 3, 1, 0)


def test_a_second_look_sees_nothing_of_the_first(team: Team, table: PeopleTable) -> None:
    row = int(next(r for r in second_rows(table, share=SHARE) if table.state[r, 0] == 2))
    person = _persons(table, [row])[0]
    team.approve(ANNA, person, nose=_at(table, row, "nose", 30.0))
    team.say(ANNA, person, "comment", text="the nose was off")
    (second,) = begin_second_looks(team.store, table, who=BEN, share=SHARE)
    assert second == dataclasses.replace(person, layer=SECOND)
    seen = state(team.store, second)
    assert (seen.revision, seen.status, dict(seen.joints), seen.comments, seen.who) == (
        0,
        "pending",
        {},
        0,
        None,
    )
    assert events(team.store, table.key, person=second) == []
    assert team.base(second).joints["nose"].x_px == pytest.approx(
        float(table.joints_px[row, 0, 0]), abs=1e-3
    )
    # Nor may the pages show it elsewhere, until both are done.
    assert blinded(team.store, table, who=BEN, share=SHARE)[row]
    assert not blinded(team.store, table, who=ANNA, share=SHARE)[row]
    assert not blinded(team.store, table, who=LEAD, share=SHARE).any()
    team.approve(BEN, second)
    assert not blinded(team.store, table, who=BEN, share=SHARE)[row]
    assert team.main(person).joints["nose"].x_px == pytest.approx(
        float(table.joints_px[row, 0, 0]) + 30
    )


def test_nobody_writes_there_without_a_lease(team: Team, table: PeopleTable) -> None:
    first = _persons(table, second_rows(table, share=SHARE)[:1])[0]
    second = dataclasses.replace(first, layer=SECOND)
    team.approve(ANNA, first)
    for who in (ANNA, BEN, LEAD):
        with pytest.raises(Refused) as caught:
            team.approve(who, second)
        assert caught.value.reason == "lease"
    begin_second_looks(team.store, table, who=BEN, share=SHARE)
    with pytest.raises(Refused) as caught:
        team.approve(ANNA, second)
    assert caught.value.reason == "lease"
    team.approve(BEN, second)
    with pytest.raises(Refused) as caught:
        team.approve(BEN, dataclasses.replace(first, layer=ADJUDICATED))
    assert caught.value.reason == "role"


def test_who_looked_second_never_looks_first(team: Team, table: PeopleTable) -> None:
    people = _persons(table, second_rows(table, share=SHARE)[:1])
    team.approve(ANNA, people[0])
    (second,) = begin_second_looks(team.store, table, who=BEN, share=SHARE)
    team.approve(BEN, second)
    team.say(ANNA, people[0], status="pending")  # she takes her decision back
    scores = np.zeros(table.people)
    order = risk_order(Risk(table=table, score=scores, signals=()))
    assert people[0] not in next_people(team.store, order, who=BEN, count=table.people)


FORGED = (
    {"kind": "status", "status": "rejected"},
    {"kind": "comment", "text": "what is it?"},
    {"kind": "delete"},
    {"kind": "revert", "event": 1},
)


@pytest.mark.parametrize("who", [BEN, LEAD], ids=lambda who: who.role)
def test_nobody_says_anything_of_the_first_look_during_a_second(
    who: User, team: Team, table: PeopleTable, caplog: pytest.LogCaptureFixture
) -> None:
    person = _persons(table, second_rows(table, share=SHARE)[:1])[0]
    team.approve(ANNA, person)
    (second,) = begin_second_looks(team.store, table, who=who, share=SHARE)
    before, had = team.main(person), len(events(team.store, table.key))
    for k, forged in enumerate(
        (*FORGED, {"kind": "edit", "joints": {"nose": _at(table, 0, "nose")}})
    ):
        caplog.clear()
        with pytest.raises(Refused, match="second look") as caught:
            team.say(who, person, **forged)
        assert caught.value.reason == "lease", k
        assert [r.levelname for r in caplog.records] == ["WARNING"] and who.name in caplog.text
    assert team.main(person) == before and len(events(team.store, table.key)) == had
    team.say(CLEO, person, "comment", text="others may")
    team.say(who, second, "status", status="skipped")  # no decision: still open
    with pytest.raises(Refused):
        team.say(who, person, "comment", text="peeping")
    team.approve(who, second)
    team.say(who, person, "comment", text="both are done")


def test_who_knows_the_first_look_says_nothing_in_a_second(
    team: Team, table: PeopleTable, caplog: pytest.LogCaptureFixture
) -> None:
    """A lease that ended is no way round: what was said meanwhile is known."""
    person = _persons(table, second_rows(table, share=SHARE)[:1])[0]
    team.approve(ANNA, person)
    (second,) = begin_second_looks(
        team.store, table, who=BEN, share=SHARE, now=utc_now() - timedelta(hours=1)
    )
    team.say(BEN, person, "comment", text="his lease is over, so he may")
    assert renew(team.store, [second], who=BEN) == [second]
    with pytest.raises(Refused, match="you know the first") as caught:
        team.approve(BEN, second)
    assert caught.value.reason == "lease" and "ben" in caplog.text
    assert state(team.store, second).revision == 0
    release(team.store, [second], who=BEN)
    assert begin_second_looks(team.store, table, who=BEN, share=SHARE) == []
    assert begin_second_looks(team.store, table, who=CLEO, share=SHARE) == [second]


def _two_looks(team: Team, table: PeopleTable, row: int, first, second) -> Person:
    """Let Anna and Ben look at a person; each given as joints by name."""
    person = _persons(table, [row])[0]
    twin = dataclasses.replace(person, layer=SECOND)
    team.approve(ANNA, person, **first)
    # Straight to the lease: which one `begin_second_looks` gives next is another test's matter.
    claim(team.store, [twin], who=BEN)
    team.approve(BEN, twin, **second)
    release(team.store, [twin], who=BEN)
    return person


def _rows(table: PeopleTable) -> list[int]:
    fine = (table.state[:, [0, 9, 10]] == 2).all(axis=1)
    return np.flatnonzero(fine)[:6].tolist()


def test_disagreements_come_sorted_with_what_differs(team: Team, table: PeopleTable) -> None:
    a, b, c, d, e, _ = _rows(table)
    move = {"left_wrist": _at(table, a, "left_wrist", 30.0)}
    _two_looks(team, table, a, {}, move)
    _two_looks(
        team,
        table,
        b,
        {"nose": _at(table, b, "nose", state=1, cause="object")},
        {"nose": _at(table, b, "nose", state=1, cause="person")},
    )
    _two_looks(team, table, c, {"nose": _at(table, c, "nose", state=1, cause="object")}, {})
    same = {"nose": _at(table, d, "nose", 9.0)}
    _two_looks(team, table, d, same, same)  # both mended it alike
    _two_looks(team, table, e, {}, {"left_wrist": _at(table, e, "left_wrist", 0.2)})  # taste
    found = disagreements(team.store, table)
    assert {one.pair.row for one in found} == {a, b, c}
    by_row = {one.pair.row: one for one in found}
    assert by_row[a].what == ("left_wrist: 30 px apart",)
    assert by_row[b].what == ("nose: hidden by object or person",)
    assert by_row[c].what == ("nose: hidden or visible",)
    assert by_row[c].joints == ("nose",) and by_row[c].score > by_row[b].score > 0
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert [p.row for p in pairs(team.store, table)] == sorted([a, b, c, d, e])
    reported = agreement(team.store, table)
    assert reported.people == 5 and reported.verdict.agreed == 5
    nose = reported.joints[0].state
    assert nose.n == 5 and nose.agreed == 4


@pytest.mark.parametrize("choice", ["first", "second", "own"])
def test_a_lead_decides(choice: str, team: Team, table: PeopleTable) -> None:
    row = _rows(table)[0]
    on_disk = float(table.joints_px[row, 0, 0])
    first = {"nose": _at(table, row, "nose", 40.0)}
    second = {"left_wrist": _at(table, row, "left_wrist", state=1, cause="person")}
    person = _two_looks(team, table, row, first, second)
    before = team.main(person)
    own = {"right_wrist": _at(table, row, "right_wrist", 5.0)}
    decision = Decision(choice=choice, text="seen on film", joints=own if choice == "own" else {})  # type: ignore[arg-type]
    for who in (ANNA, BEN, GUEST):
        with pytest.raises(Refused) as caught:
            adjudicate(
                team.store,
                person,
                decision,
                revision=before.revision,
                who=who,
                base=team.base(person),
            )
        assert caught.value.reason == "role"
    done = adjudicate(
        team.store, person, decision, revision=before.revision, who=LEAD, base=team.base(person)
    )
    assert {event.who for event in done} == {"lea"}
    after = team.main(person)
    assert (after.status, after.reason, after.who) == ("approved", "seen on film", "lea")
    nose = after.joints["nose"].x_px
    if choice == "second":
        assert nose == pytest.approx(on_disk, abs=1e-3)
        assert after.joints["left_wrist"].cause == "person"
    else:
        assert nose == pytest.approx(on_disk + 40)
        assert "left_wrist" not in after.joints
    assert ("right_wrist" in after.joints) == (choice == "own")
    # It is off the list, and agreement is still that of the two blind looks.
    assert disagreements(team.store, table) == []
    (kept,) = disagreements(team.store, table, open_only=False)
    assert kept.pair.adjudicated and kept.pair.first.joints == before.joints
    assert kept.pair.first.who == "anna" and kept.pair.second.who == "ben"
    assert agreement(team.store, table).joints[9].cause.agreed == 0
    with pytest.raises(Refused) as caught:  # the second of two clicks
        adjudicate(
            team.store, person, decision, revision=before.revision, who=LEAD, base=team.base(person)
        )
    assert caught.value.reason == "revision"
    assert check_replay(team.store, table.key) == []
    # Decided again, the first look is still Anna's.
    adjudicate(
        team.store,
        person,
        Decision(choice="first"),
        revision=after.revision,
        who=ADMIN,
        base=team.base(person),
    )
    again = team.main(person)
    assert again.joints["nose"].x_px == pytest.approx(on_disk + 40)
    wrist = again.joints.get("left_wrist")
    assert wrist is None or (wrist.state, wrist.cause) == (2, "visible")


def test_deleted_or_not_is_decided_too(team: Team, table: PeopleTable) -> None:
    one, two = _persons(table, _rows(table)[:2])
    for person in (one, two):
        team.approve(ANNA, person)
        twin = dataclasses.replace(person, layer=SECOND)
        claim(team.store, [twin], who=BEN)
        team.say(BEN, twin, "delete")
    assert disagreements(team.store, table)[0].what == ("approved or deleted",)
    for person, choice in ((one, "second"), (two, "first")):
        decision = Decision(choice=choice)  # type: ignore[arg-type]
        adjudicate(
            team.store,
            person,
            decision,
            revision=team.main(person).revision,
            who=LEAD,
            base=team.base(person),
        )
    assert team.main(one).deleted and not team.main(two).deleted
    adjudicate(
        team.store,
        one,
        Decision(choice="first"),
        revision=team.main(one).revision,
        who=LEAD,
        base=team.base(one),
    )
    assert not team.main(one).deleted and team.main(one).status == "approved"


@pytest.mark.parametrize("kept", ["first", "second"])
@pytest.mark.parametrize("status", ["approved", "deleted"])
def test_a_lead_decides_whether_a_deleted_person_stays(
    kept: str, status: str, team: Team, table: PeopleTable
) -> None:
    """Who kept the person also moved the nose: that look's joints are those that can stay."""
    row = _rows(table)[0]
    person = _persons(table, [row])[0]
    twin = dataclasses.replace(person, layer=SECOND)
    nose = {"nose": _at(table, row, "nose", 40.0)}
    team.approve(ANNA, person, **(nose if kept == "first" else {}))
    claim(team.store, [twin], who=BEN)
    team.approve(BEN, twin, **(nose if kept == "second" else {}))
    team.say(*((BEN, twin) if kept == "first" else (ANNA, person)), "delete")
    (found,) = disagreements(team.store, table)
    words = ("approved or deleted", "deleted or approved")[kept == "second"]
    assert (found.what, found.joints) == ((words,), ())  # nothing is said of joints
    reported = agreement(team.store, table)
    assert (reported.people, reported.verdict.agreed, reported.joints[0].state.n) == (1, 0, 0)
    gone = status == "deleted"
    adjudicate(
        team.store,
        person,
        Decision(choice="own", deleted=gone, text="seen on film"),
        revision=team.main(person).revision,
        who=LEAD,
        base=team.base(person),
    )
    after = team.main(person)
    assert after.deleted is gone
    found = events(team.store, person.dataset, person=person)
    texts = [e.after["comment"] for e in found if e.kind == "comment"] if gone else [after.reason]
    assert texts == ["seen on film"]
    if not gone:
        assert after.status == "approved"
        assert after.joints["nose"].x_px == pytest.approx(nose["nose"].x_px)
    assert disagreements(team.store, table) == []
    assert agreement(team.store, table).verdict.agreed == 0  # still that of the blind looks
    assert check_replay(team.store, table.key) == []


def test_two_who_both_deleted_agree(team: Team, table: PeopleTable) -> None:
    row = _rows(table)[0]
    person = _two_looks(team, table, row, {"nose": _at(table, row, "nose", 40.0)}, {})
    twin = dataclasses.replace(person, layer=SECOND)
    claim(team.store, [twin], who=BEN)
    for who, one in ((ANNA, person), (BEN, twin)):
        team.say(who, one, "delete")
    assert disagreements(team.store, table) == []
    assert agreement(team.store, table).verdict.agreed == 1


def test_what_was_looked_at_once_is_not_decided(team: Team, table: PeopleTable) -> None:
    person = _persons(table, [0])[0]
    team.approve(ANNA, person)
    with pytest.raises(Refused) as caught:
        adjudicate(
            team.store,
            person,
            Decision(choice="first"),
            revision=1,
            who=LEAD,
            base=team.base(person),
        )
    assert caught.value.reason == "invalid"
    assert leases(team.store, table.key, layer=SECOND) == {}
