"""Pages with nothing to show: each has its title, says why, and leads on."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import settled
from playwright.sync_api import expect
from review_store import reviewed

from synthstudio.review.values import User

pytestmark = [pytest.mark.browser, pytest.mark.nightly("browser journeys of a served studio")]
TITLES = {"review": "Review", "gallery": "Gallery", "queue": "Risk queue", "team": "Team"}


def shown(page: Any, title: str, why: str) -> None:
    page.get_by_role("heading", name=title, exact=True).wait_for()
    page.get_by_test_id("stAlert").filter(has_text=why).wait_for()  # once the page is drawn anew


def follow(page: Any, button: str, heading: str) -> None:
    page.get_by_role("button", name=button, exact=True).click()
    page.get_by_role("heading", name=heading, exact=True).wait_for()


def test_no_data_set(start_studio, page, open_as):
    bare = start_studio(more=("--admin", "Ada"))
    for name, title in TITLES.items():
        open_as(page, bare, name)
        shown(page, title, "No data set is open")
        follow(page, "Generate a data set", "Generate")


def test_queries_that_find_nobody(studio, page, open_as):
    nobody = "none of these people is all that the query asks for"
    unpredicted = "no model predictions are stored for this data set"
    for query, why in (("occluded > 0.99", nobody), ("disagreement > 0.1", unpredicted)):
        open_as(page, studio, f"gallery?q={query}")
        shown(page, "Gallery", why)
        page.get_by_role("button", name="Show everybody").click()
        page.locator("a.card").first.wait_for()


def test_a_team_that_has_done_nothing_and_one_that_has_done_all(studio, studio_set, page, open_as):
    open_as(page, studio, "team")
    page.get_by_text("so there is no pace to show").wait_for()
    for part, why in (
        ("Second look", "Nobody has been looked at twice yet"),
        ("Decide", "There is nothing to decide"),
    ):
        page.get_by_text(part, exact=True).first.click()
        shown(page, "Team", why)
        settled(page)
    follow(page, "Go on reviewing", "Risk queue")
    review = reviewed(studio.db, studio_set)
    for row in range(review.table.people):
        review.decide(User(name="Ada", role="admin"), review.person(row))
    review.store.close()
    open_as(page, studio, "queue")
    shown(page, "Risk queue", "Nothing left to review")
    settled(page)
    expect(page.locator("a.card")).to_have_count(0)
    follow(page, "Export the labels on Home", "Home")
