"""The page Risk queue: its order, its reasons, and the error rate that it states."""

import numpy as np
import pytest
from reviewing import Reviewed

from synthstudio.review.leases import leases, release
from synthstudio.review.risk.queue import control_rows, estimate, risk_order
from synthstudio.review.risk.scores import risk_of
from synthstudio.review.team.second_review import set_share
from synthstudio.studio.editor.queue import QueueRequest, build_queue

SHARE = 0.5


@pytest.fixture
def review(pages):
    """The store of the pages, with a team and a control share."""
    (chosen,) = pages.ctx.sets.values()
    found = Reviewed(store=pages.ctx.store, dataset=chosen.dataset, table=chosen.table)
    found.users = found.team(Ada="admin", Rex="reviewer")
    set_share(found.store, found.table.key, "control_share", SHARE, by=found.users["Ada"])
    found.order = risk_order(risk_of(found.store, found.table), share=SHARE)
    return found


def test_people_come_in_the_order_of_risk_with_their_reasons(pages, review):
    app = pages.open("queue")
    order, cells = review.order, pages.shown["queue_grid"]["cells"]
    assert pages.cards("queue_grid") == review.table.ids(order.rows)
    for place, cell in enumerate(cells):
        assert cell["value"] == f"risk {order.risk.score[order.rows[place]]:.2f}"
        assert (cell["extra"] == "random") == bool(order.control[place])
        assert cell["notes"] == list(order.reasons(place)[:3])
    said = pages.words(app)
    assert "**24** of 24 people to review" in said and "No estimate yet" in said


def test_taken_people_are_leased(pages, review):
    pages.press(pages.open("queue", user="Rex"), "Claim 20 people")
    held = leases(review.store, review.table.key)
    assert set(held) == set(review.table.ids(review.order.rows[:20]))
    assert {lease.who for lease in held.values()} == {"Rex"}
    mine = build_queue(
        review.store, review.table, QueueRequest(queue="assigned"), who=review.users["Rex"]
    )
    assert mine.people(review.table, 0, 99) == review.table.ids(review.order.rows[:20])
    release(review.store, [lease.person for lease in held.values()], who=review.users["Ada"])


def test_the_error_rate_and_its_interval_are_those_of_the_store(pages, review):
    drawn = control_rows(review.table, share=SHARE)
    for k, row in enumerate(drawn[:8].tolist()):
        status = "rejected" if k in (2, 5) else "approved"
        review.decide(review.users["Ada"], review.person(row), status)
    app = pages.open("queue")
    found = estimate(review.store, review.table, share=SHARE)
    assert (found.n, found.wrong) == (8, 2)
    said = pages.words(app)
    assert "2 of 8 people had wrong labels, **25.0%**" in said
    assert f"{found.low:.1%}" in said and f"{found.high:.1%}" in said
    waiting = np.array(sorted(set(range(24)) - set(drawn[:8].tolist())))
    assert sorted(pages.cards("queue_grid")) == sorted(review.table.ids(waiting))
