"""A second review is blind, goes to somebody else, and a lead decides where the two differ."""

import dataclasses
from datetime import timedelta

import numpy as np
import pytest
from people_rows import persons
from review_ops import ADMIN, ANNA, BEN, GUEST, LEAD, Desk, at_time, refused

from synthstudio.review.history import counts, events
from synthstudio.review.leases import claim, release, renew
from synthstudio.review.models import utc_now
from synthstudio.review.team.second_review import (
    ADJUDICATED,
    SECOND,
    Decision,
    adjudicate,
    begin_second_reviews,
    blinded,
    pairs,
    progress,
    second_review_rows,
)
from synthstudio.review.team.statistics import agreement, disagreements
from synthstudio.review.values import JointLabel, User

CLEO = User(name="cleo", role="reviewer")
SHARE = 0.08


class Team(Desk):
    """A set whose people are looked at, and looked at again."""

    def approve(self, who, person, **joints):
        if joints:
            self.log(person, "edit", who=who, joints=joints)
        self.log(person, "status", who=who, status="approved")

    def twin_of(self, person):
        """Lease somebody's second review to Ben."""
        twin = dataclasses.replace(person, layer=SECOND)
        claim(self.store, [twin], who=BEN)
        return twin

    def decide(self, person, *, who=LEAD, revision=None, **more):
        revision = self.state(person).revision if revision is None else revision
        at = {"revision": revision, "who": who, "base": self.base(person)}
        return adjudicate(self.store, person, Decision(**more), **at)


@pytest.fixture
def team(empty_store, people_set):
    return Team(empty_store, people_set)


def begin(team, table, who, count=1):
    return begin_second_reviews(team.store, table, who=who, count=count, share=SHARE)


def _at(table, row, name, dx=0.0, **more):
    x, y = (float(v) for v in table.joints_px[row, table.joints.index(name)])
    return JointLabel(**{"x_px": x + dx, "y_px": y, "state": 2, "cause": "visible"} | more)


def test_the_choice_is_fixed_and_grows_and_goes_to_somebody_else(team, table):
    rows = second_review_rows(table, share=SHARE)
    assert len(rows) == len(set(rows)) == 16
    assert second_review_rows(table, share=0.5)[:16].tolist() == rows.tolist()
    named = dataclasses.replace(table, key="another")
    assert second_review_rows(named, share=SHARE).tolist() != rows.tolist()
    chosen = persons(table, rows)
    seconds = [dataclasses.replace(p, layer=SECOND) for p in chosen]
    assert begin(team, table, BEN, 3) == []  # no first look yet
    for person in chosen[:3]:
        team.approve(ANNA, person)
    assert begin(team, table, ANNA, 3) == []  # her own
    assert begin(team, table, BEN, 2) == seconds[:2]
    assert begin(team, table, CLEO, 3) == seconds[2:3]
    team.approve(BEN, seconds[0])
    assert begin(team, table, BEN, 3) == seconds[1:2]
    with refused("role"):
        begin(team, table, GUEST)
    done = progress(team.store, table, share=SHARE)
    assert (done.chosen, done.once, done.twice, done.adjudicated) == (16, 3, 1, 0)
    assert counts(team.store, table.key).reviewers["ben"] == {"second review: status": 1}


def test_a_second_look_sees_nothing_of_the_first(team, table):
    row = int(next(r for r in second_review_rows(table, share=SHARE) if table.state[r, 0] == 2))
    person = persons(table, [row])[0]
    team.approve(ANNA, person, nose=_at(table, row, "nose", 30.0))
    team.log(person, "comment", who=ANNA, text="the nose was off")
    (second,) = begin(team, table, BEN)
    assert second == dataclasses.replace(person, layer=SECOND)
    seen = team.state(second)
    assert (seen.revision, seen.status, seen.comments, seen.who) == (0, "pending", 0, None)
    assert dict(seen.joints) == {}
    assert events(team.store, table.key, person=second) == []
    on_disk = float(table.joints_px[row, 0, 0])
    assert team.base(second).joints["nose"].x_px == pytest.approx(on_disk, abs=1e-3)
    # Nor may the pages show it elsewhere, until both are done.
    assert blinded(team.store, table, who=BEN, share=SHARE)[row]
    assert not blinded(team.store, table, who=ANNA, share=SHARE)[row]
    assert not blinded(team.store, table, who=LEAD, share=SHARE).any()
    team.approve(BEN, second)
    assert not blinded(team.store, table, who=BEN, share=SHARE)[row]
    assert team.state(person).joints["nose"].x_px == pytest.approx(on_disk + 30)


def test_nobody_writes_there_without_a_lease(team, table):
    first = persons(table, second_review_rows(table, share=SHARE)[:1])[0]
    second = dataclasses.replace(first, layer=SECOND)
    team.approve(ANNA, first)
    for who in (ANNA, BEN, LEAD):
        with refused("lease"):
            team.approve(who, second)
    begin(team, table, BEN)
    with refused("lease"):
        team.approve(ANNA, second)
    team.approve(BEN, second)
    with refused("role"):
        team.approve(BEN, dataclasses.replace(first, layer=ADJUDICATED))


@pytest.mark.parametrize("who", [BEN, LEAD], ids=lambda who: who.role)
def test_nobody_edits_the_first_look_during_a_second(who, team, table, caplog):
    person = persons(table, second_review_rows(table, share=SHARE)[:1])[0]
    team.approve(ANNA, person)
    (second,) = begin(team, table, who)
    before, had = team.state(person), len(events(team.store, table.key))
    ops = {"status": {"status": "rejected"}, "comment": {"text": "what is it?"}, "delete": {}}
    ops |= {"revert": {"event": 1}, "edit": {"joints": {"nose": _at(table, 0, "nose")}}}
    for kind, more in ops.items():
        caplog.clear()
        with refused("lease"):
            team.log(person, kind, who=who, **more)
        assert [r.levelname for r in caplog.records] == ["WARNING"] and who.name in caplog.text
    assert team.state(person) == before and len(events(team.store, table.key)) == had
    team.log(person, "comment", who=CLEO, text="others may")
    team.log(second, "status", who=who, status="skipped")  # no decision: still open
    with refused("lease"):
        team.log(person, "comment", who=who, text="peeping")
    team.approve(who, second)
    team.log(person, "comment", who=who, text="both are done")


def test_who_knows_the_first_look_edits_no_second(team, table, caplog):
    """A lease that ended is no way round: what was said meanwhile is known."""
    person = persons(table, second_review_rows(table, share=SHARE)[:1])[0]
    team.approve(ANNA, person)
    ended = utc_now() - timedelta(hours=1)
    (second,) = at_time(ended, begin, team, table, BEN)
    team.log(person, "comment", who=BEN, text="his lease is over, so he may")
    assert renew(team.store, [second], who=BEN) == [second]
    with refused("lease"):
        team.approve(BEN, second)
    assert "ben" in caplog.text and team.state(second).revision == 0
    release(team.store, [second], who=BEN)
    assert begin(team, table, BEN) == []
    assert begin(team, table, CLEO) == [second]


def _two_looks(team, table, row, first, second):
    """Let Anna and Ben look at a person; each given as joints by name."""
    person = persons(table, [row])[0]
    team.approve(ANNA, person, **first)
    # Straight to the lease: which one `begin_second_reviews` gives next is another test's matter.
    twin = team.twin_of(person)
    team.approve(BEN, twin, **second)
    release(team.store, [twin], who=BEN)
    return person


def _rows(table):
    fine = (table.state[:, [0, 9, 10]] == 2).all(axis=1)
    return np.flatnonzero(fine)[:7].tolist()


def test_disagreements_come_sorted_with_what_differs(team, table):
    a, b, c, d, e, f, g = _rows(table)

    def hidden(row, cause):
        return {"nose": _at(table, row, "nose", state=1, cause=cause)}

    same = {"nose": _at(table, d, "nose", 9.0)}
    looks = {
        a: ({}, {"left_wrist": _at(table, a, "left_wrist", 30.0)}),
        b: (hidden(b, "object"), hidden(b, "person")),
        c: (hidden(c, "object"), {}),
        d: (same, same),  # both mended it alike
        e: ({}, {"left_wrist": _at(table, e, "left_wrist", 0.2)}),  # taste
    }
    for row, (first, second) in looks.items():
        _two_looks(team, table, row, first, second)
    found = disagreements(team.store, table)
    by_row = {one.pair.row: one for one in found}
    assert {row: one.joints for row, one in by_row.items()} == {
        a: ("left_wrist",),
        b: ("nose",),
        c: ("nose",),
    }
    assert [by_row[row].score for row in (b, c)] == pytest.approx([0.5, 0.8])  # cause, state
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert [p.row for p in pairs(team.store, table)] == sorted([a, b, c, d, e])
    reported = agreement(team.store, table)
    assert reported.people == 5 and reported.verdict.agreed == 5
    nose = reported.joints[0].state
    assert nose.n == 5 and nose.agreed == 4
    # Both deleted is agreement, and one review alone is not decided.
    both, alone = persons(table, [f, g])
    for who, one in ((ANNA, both), (BEN, team.twin_of(both))):
        team.log(one, "delete", who=who)
    assert len(disagreements(team.store, table)) == 3
    assert agreement(team.store, table).verdict.agreed == 6
    team.approve(ANNA, alone)
    with refused("invalid"):
        team.decide(alone)


@pytest.mark.parametrize("choice", ["first", "second", "own"])
def test_a_lead_decides(choice, team, table):
    row = _rows(table)[0]
    on_disk = float(table.joints_px[row, 0, 0])
    first = {"nose": _at(table, row, "nose", 40.0)}
    second = {"left_wrist": _at(table, row, "left_wrist", state=1, cause="person")}
    person = _two_looks(team, table, row, first, second)
    before = team.state(person)
    second_over_first = {"nose": team.base(person).joints["nose"], **second}
    own = {"right_wrist": _at(table, row, "right_wrist", 5.0)}
    joints = {"first": {}, "second": second_over_first, "own": own}[choice]
    chosen = {"text": "seen on film", "joints": joints}
    lead_too = dataclasses.replace(BEN, role="lead")  # one of the two reviews is his
    for who in (ANNA, BEN, GUEST, lead_too):
        with refused("role"):
            team.decide(person, who=who, **chosen)
    assert disagreements(team.store, table, by="ben") == []
    assert len(disagreements(team.store, table, by="lea")) == 1
    assert {event.who for event in team.decide(person, **chosen)} == {"lea"}
    after = team.state(person)
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
    (kept,) = (pair for pair in pairs(team.store, table) if pair.adjudicated)
    assert kept.first.joints == before.joints
    assert kept.first.who == "anna" and kept.second.who == "ben"
    assert agreement(team.store, table).joints[9].cause.agreed == 0
    with refused("revision"):  # the second of two clicks
        team.decide(person, revision=before.revision, **chosen)
    # Decided again, the first look is still Anna's.
    team.decide(person, who=ADMIN)
    again = team.state(person)
    assert again.joints["nose"].x_px == pytest.approx(on_disk + 40)
    wrist = again.joints.get("left_wrist")
    assert wrist is None or (wrist.state, wrist.cause) == (2, "visible")
    team.check()


@pytest.mark.parametrize("kept", ["first", "second"])
@pytest.mark.parametrize("status", ["approved", "deleted"])
def test_a_lead_decides_whether_a_deleted_person_stays(kept, status, team, table):
    """Who kept the person also moved the nose: that look's joints are those that can stay."""
    row = _rows(table)[0]
    person = persons(table, [row])[0]
    nose = {"nose": _at(table, row, "nose", 40.0)}
    team.approve(ANNA, person, **(nose if kept == "first" else {}))
    twin = team.twin_of(person)
    team.approve(BEN, twin, **(nose if kept == "second" else {}))
    who, gone_in = (BEN, twin) if kept == "first" else (ANNA, person)
    team.log(gone_in, "delete", who=who)
    (found,) = disagreements(team.store, table)
    assert (found.pair.first.deleted, found.pair.second.deleted) == (gone_in is person, who is BEN)
    assert found.joints == () and found.score == pytest.approx(0.9)  # nothing is said of joints
    reported = agreement(team.store, table)
    assert (reported.people, reported.verdict.agreed, reported.joints[0].state.n) == (1, 0, 0)
    gone = status == "deleted"
    team.decide(person, deleted=gone, text="seen on film")
    after = team.state(person)
    assert after.deleted is gone
    found = events(team.store, person.dataset, person=person)
    texts = [e.after["comment"] for e in found if e.kind == "comment"] if gone else [after.reason]
    assert texts == ["seen on film"]
    if not gone:
        assert after.status == "approved"
        assert after.joints["nose"].x_px == pytest.approx(nose["nose"].x_px)
    assert disagreements(team.store, table) == []
    assert agreement(team.store, table).verdict.agreed == 0  # still that of the blind looks
    team.check()
