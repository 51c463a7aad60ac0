"""The risk queue in a browser: its order, its reasons, and the error rate it states."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import settled
from playwright.sync_api import expect
from review_store import Reviewed, reviewed
from reviewing import address, eventually

from synthstudio.review.leases import leases, release
from synthstudio.review.risk.queue import Order, control_rows, estimate, risk_order
from synthstudio.review.risk.scores import risk_of
from synthstudio.review.settings import set_share, share_of
from synthstudio.review.values import User

pytestmark = pytest.mark.browser
SHARE = 0.5


@pytest.fixture(scope="module")
def review(studio: Any, studio_set: Path) -> Iterator[Reviewed]:
    found = reviewed(studio.db, studio_set)
    yield found
    found.store.close()


@pytest.fixture(scope="module")
def order(review: Reviewed) -> Order:
    """Return the queue once the team and the control share are chosen."""
    team = review.team(Ada="admin", Rex="reviewer")
    set_share(review.store, review.table.key, "control_share", SHARE, by=team["Ada"])
    return risk_order(risk_of(review.store, review.table), share=SHARE)


@pytest.fixture
def queue(page: Any, studio: Any, open_as: Callable[..., Any], order: Order) -> Callable[..., Any]:
    def opened(name: str = "Ada") -> Any:
        open_as(page, studio, "queue", name=name)
        page.locator("a.card").first.wait_for()
        return page

    return opened


def cards(page: Any) -> list[tuple[int, int]]:
    ids = page.locator("a.card").evaluate_all("all => all.map(one => one.dataset.id)")
    return [(int(a), int(b)) for a, b in (one.split("/") for one in ids)]


def test_people_come_in_the_order_of_risk_with_their_reasons(
    queue: Callable[..., Any], review: Reviewed, order: Order
) -> None:
    page = queue()
    eventually(lambda: cards(page), review.table.ids(order.rows))
    for place in (0, 1, 5):
        card = page.locator("a.card").nth(place)
        expect(card).to_contain_text(f"risk {order.risk.score[order.rows[place]]:.2f}")
        drawn = bool(order.control[place])
        eventually(lambda card=card: "random" in card.inner_text().split(), drawn)
        for reason in order.reasons(place)[:3]:
            expect(card).to_contain_text(reason)
    page.get_by_text(re.compile("24 of 24 people wait")).wait_for()
    page.get_by_text("Nobody knows yet").wait_for()


def test_review_begins_with_the_first_of_the_queue(
    queue: Callable[..., Any], review: Reviewed, order: Order
) -> None:
    page = queue()
    page.get_by_role("button", name="Review these in this order").click()
    page.wait_for_url("**/review?**")
    frame, instance = review.table.ids(order.rows[:1])[0]
    wanted = [str(frame), str(instance), "risk"]
    eventually(lambda: [address(page).get(k) for k in ("frame", "instance", "queue")], wanted)


def test_taking_people_leases_them(
    queue: Callable[..., Any], review: Reviewed, order: Order
) -> None:
    page = queue("Rex")
    page.get_by_role("button", name="Take 20 for me").click()
    page.wait_for_url("**/review?**")
    held = leases(review.store, review.table.key)
    assert set(held) == set(review.table.ids(order.rows[:20]))
    assert {lease.who for lease in held.values()} == {"Rex"}


def test_the_error_rate_and_its_interval_are_those_of_the_store(
    queue: Callable[..., Any], review: Reviewed
) -> None:
    ada = User(name="Ada", role="admin")
    held = leases(review.store, review.table.key)
    release(review.store, [lease.person for lease in held.values()], who=ada)
    drawn = control_rows(review.table, share=SHARE)
    for k, row in enumerate(drawn[:8].tolist()):
        review.decide(ada, review.person(row), "rejected" if k in (2, 5) else "approved")
    page = queue()
    found = estimate(review.store, review.table, share=SHARE)
    assert (found.n, found.wrong) == (8, 2)
    output = page.get_by_text(re.compile("Of 8 people drawn at random"))
    for number in ("2 had wrong labels", "25.0%", f"{found.low:.1%}", f"{found.high:.1%}"):
        expect(output).to_contain_text(number)
    page.locator(".js-plotly-plot").wait_for()
    waiting = set(range(24)) - set(drawn[:8].tolist())
    assert len(waiting) == 16
    ids = review.table.ids(np.array(sorted(waiting)))
    eventually(lambda: sorted(cards(page)), sorted(ids))


def test_only_leads_choose_how_many_are_drawn(queue: Callable[..., Any], review: Reviewed) -> None:
    page = queue("Rex")
    settled(page)
    expect(page.get_by_label("Drawn at random, %")).to_have_count(0)
    assert share_of(review.store, review.table.key, "control_share") == SHARE
