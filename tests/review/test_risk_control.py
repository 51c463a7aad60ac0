"""The queue's order, its random control share, and what that says about the whole set."""

import dataclasses
import math
from datetime import UTC, datetime

import numpy as np
import pytest
from people_rows import persons
from review_ops import ANNA, BEN, GUEST, Desk, at_time, refused

from synthstudio.core.rng import stream
from synthstudio.review.leases import claim, release
from synthstudio.review.risk.queue import (
    control_rows,
    estimate,
    labels_changed,
    next_people,
    risk_order,
    verdict_of,
    wilson,
)
from synthstudio.review.risk.scores import Risk
from synthstudio.review.values import ItemState, JointLabel

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def desk(empty_store, people_set):
    return Desk(empty_store, people_set)


def _risk(table, seed=1):
    return Risk(table=table, score=stream(seed, "scores").random(table.people), signals=())


def test_the_riskiest_come_first_with_a_control_person_in_twenty(table):
    made = risk_order(_risk(table))
    assert sorted(made.rows) == list(range(table.people))
    assert np.flatnonzero(made.control).tolist() == list(range(0, 200, 20))
    risky = made.risk.score[made.rows[~made.control]]
    assert (np.diff(risky) <= 0).all()
    chosen = control_rows(table)
    assert made.rows[made.control].tolist() == chosen.tolist()
    assert "random sample" in made.reasons(0)
    again = risk_order(_risk(table, seed=2))
    assert again.rows[again.control].tolist() == chosen.tolist()  # whatever the risks
    assert control_rows(table, share=0.2)[:10].tolist() == chosen.tolist()
    assert not risk_order(_risk(table), share=0.0).control.any()
    assert risk_order(_risk(table), share=1.0).control.all()
    some = np.arange(0, 200, 3)
    made = risk_order(_risk(table), rows=some)
    assert sorted(made.rows) == some.tolist()
    assert set(made.rows[made.control]) == set(chosen) & set(some.tolist())
    assert len(risk_order(_risk(table), rows=np.zeros(0, np.int64)).rows) == 0


def test_next_people_skips_what_is_done_or_taken(desk, store, table):
    order = risk_order(_risk(table))
    first = persons(table, order.rows[:8])
    mine = next_people(store, order, who=ANNA, count=3)
    assert mine == first[:3]
    assert next_people(store, order, who=BEN, count=2) == first[3:5]
    desk.log(mine[1], "status", status="approved")
    desk.log(mine[2], "comment", text="look here")  # no decision
    assert next_people(store, order, who=ANNA, count=3) == [first[0], first[2], first[5]]
    desk.log(first[3], "delete", who=BEN)
    release(store, first[4:5], who=BEN)
    assert next_people(store, order, who=ANNA, count=4) == [first[k] for k in (0, 2, 5, 4)]
    later = NOW.replace(year=2100)
    assert at_time(later, next_people, store, order, who=BEN) == [first[0]]
    with refused("role"):
        next_people(store, order, who=GUEST)
    # Nobody gets twice whom they saw in another layer.
    second = dataclasses.replace(first[6], layer="second")
    claim(store, [second], who=ANNA)  # nobody says anything there without a lease
    desk.log(second, "status", status="approved")
    assert first[6] not in next_people(store, order, who=ANNA, count=5)
    assert at_time(later, next_people, store, order, who=BEN, count=2)[-1:] != [first[6]]


def test_the_estimate_takes_control_people_in_turn(desk, store, table):

    def decide(row, wrong):
        desk.log(persons(table, [row])[0], "status", status="rejected" if wrong else "approved")

    none = estimate(store, table)
    assert (none.n, none.low, none.high, none.control) == (0, 0.0, 1.0, 10)
    assert math.isnan(none.rate)
    chosen = control_rows(table).tolist()
    others = [row for row in range(table.people) if row not in chosen]
    for row in others[:20]:
        decide(row, wrong=True)  # risky people say nothing about the set
    assert estimate(store, table).n == 0
    for place, wrong in ((0, False), (1, True), (2, False), (4, True)):
        decide(chosen[place], wrong)
    made = estimate(store, table)
    assert (made.n, made.wrong, made.waiting) == (3, 1, 1)  # the fifth waits for the fourth
    desk.log(persons(table, [chosen[3]])[0], "status", status="skipped")
    made = estimate(store, table)
    assert (made.n, made.wrong, made.waiting, made.undecided) == (4, 2, 0, 1)
    assert (made.low, made.high) == wilson(2, 4)
    desk.log(persons(table, [chosen[5]])[0], "delete")
    assert estimate(store, table).wrong == 3


def test_only_changes_that_matter_count(table):
    row = int(np.flatnonzero(table.state[:, 0] == 2)[0])
    x, y = (float(v) for v in table.joints_px[row, 0])
    room = 2 * float(table.skeleton.sigmas[0]) * math.sqrt(float(table.area_px[row]))

    def differs(**new):
        values = {"x_px": x, "y_px": y, "state": 2, "cause": "visible"} | new
        return labels_changed({"nose": JointLabel(**values)}, table, row)

    assert not differs() and not differs(x_px=x + 0.4 * room)
    assert differs(x_px=x + 0.6 * room) and differs(state=1, cause="self")
    assert differs(x_px=None, y_px=None, state=None, cause="unlabelled")
    hidden = np.argwhere((table.state == 1) & (table.cause == 3))[0]  # by an object
    row, j = int(hidden[0]), int(hidden[1])
    x, y = (float(v) for v in table.joints_px[row, j])
    name = table.joints[j]
    for cause, wanted in (("object", False), ("person", True)):
        label = JointLabel(x_px=x, y_px=y, state=1, cause=cause)
        assert labels_changed({name: label}, table, row) is wanted
    person = persons(table, [row])[0]
    verdicts = {"pending": "pending", "approved": "right", "rejected": "wrong"}
    for status, verdict in {**verdicts, "flagged": "undecided", "skipped": "undecided"}.items():
        assert verdict_of(ItemState(person=person, status=status), table, row) == verdict
    assert verdict_of(None, table, row) == "pending"
    assert verdict_of(ItemState(person=person, deleted=True), table, row) == "wrong"


def test_wilson_by_hand():
    """Newcombe 1998: 81 of 263, 15 of 148, 0 of 20 and 1 of 29 at 95 %."""
    for wrong, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
                                (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):  # fmt: skip
        assert wilson(wrong, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(20, 20)[1] == 1.0
