"""The risk queue in a browser: its order, its reasons, and the error rate it states."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from review_store import Reviewed, reviewed

from synthstudio.review.choices import set_share, share_of
from synthstudio.review.leases import leases, release
from synthstudio.review.risk.control import estimate
from synthstudio.review.risk.queue import Order, control_rows, risk_order
from synthstudio.review.risks import risk_of
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
    assert cards(page) == review.table.ids(order.rows)
    for place in (0, 1, 5):
        text = page.locator("a.card").nth(place).inner_text()
        assert f"risk {order.risk.score[order.rows[place]]:.2f}" in text
        assert ("random" in text.split()) == bool(order.control[place])
        for reason in order.reasons(place)[:3]:
            assert reason in text
    assert page.get_by_text(re.compile("24 of 24 people wait")).count() == 1
    assert page.get_by_text("Nobody knows yet").count() == 1


def test_review_begins_with_the_first_of_the_queue(
    queue: Callable[..., Any], review: Reviewed, order: Order
) -> None:
    page = queue()
    page.get_by_role("button", name="Review these in this order").click()
    page.wait_for_url("**/review?**")
    asked = {k: v[0] for k, v in parse_qs(urlsplit(page.url).query).items()}
    frame, instance = review.table.ids(order.rows[:1])[0]
    assert (asked["frame"], asked["instance"], asked["queue"]) == (
        str(frame),
        str(instance),
        "risk",
    )


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
    said = page.get_by_text(re.compile("Of 8 people drawn at random")).inner_text()
    for number in ("2 had wrong labels", "25.0%", f"{found.low:.1%}", f"{found.high:.1%}"):
        assert number in said
    page.locator(".js-plotly-plot").wait_for()
    assert len(cards(page)) == 16
    waiting = set(range(24)) - set(drawn[:8].tolist())
    assert set(cards(page)) == set(review.table.ids(np.array(sorted(waiting))))


def test_only_leads_choose_how_many_are_drawn(queue: Callable[..., Any], review: Reviewed) -> None:
    assert queue("Rex").get_by_label("Drawn at random, %").count() == 0
    assert share_of(review.store, review.table.key, "control_share") == SHARE
