"""Pages with nothing to show: each has its title, says why, and leads on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import settled
from playwright.sync_api import expect
from review_store import Reviewed, reviewed

from synthstudio.review.values import User

pytestmark = pytest.mark.browser
TITLES = {"review": "Review", "gallery": "Gallery", "queue": "Risk queue", "team": "Team"}


@pytest.fixture(scope="module")
def bare(start_studio: Callable[..., Any]) -> Any:
    """Return a studio without data sets, whose only lead is Ada."""
    return start_studio(more=("--admin", "Ada"))


@pytest.fixture(scope="module")
def review(studio: Any, studio_set: Path) -> Iterator[Reviewed]:
    found = reviewed(studio.db, studio_set)
    yield found
    found.store.close()


def shown(page: Any, title: str, why: str) -> None:
    page.get_by_role("heading", name=title, exact=True).wait_for()
    page.get_by_test_id("stAlert").filter(has_text=why).wait_for()  # once the page is drawn anew


def follow(page: Any, button: str, heading: str) -> None:
    page.get_by_role("button", name=button, exact=True).click()
    page.get_by_role("heading", name=heading, exact=True).wait_for()


@pytest.mark.parametrize("name", TITLES)
def test_no_data_set(
    name: str, bare: Any, page: Any, open_as: Callable[..., Any], screenshots: Any
) -> None:
    open_as(page, bare, name)
    shown(page, TITLES[name], "No data set is open")
    screenshots(page, f"empty_{name}")
    follow(page, "Generate a data set", "Generate")


def test_a_query_that_finds_nobody(studio: Any, page: Any, open_as: Callable[..., Any]) -> None:
    open_as(page, studio, "gallery?q=occluded > 0.99")
    shown(page, "Gallery", "none of these people is all that the query asks for")
    page.get_by_role("button", name="Show everybody").click()
    page.locator("a.card").first.wait_for()


def test_disagreement_without_predictions(
    studio: Any, page: Any, open_as: Callable[..., Any], screenshots: Any
) -> None:
    open_as(page, studio, "gallery?q=disagreement > 0.1")
    shown(page, "Gallery", "no model predictions are stored for this data set")
    page.get_by_text("synthstudio predict RUN").wait_for()
    screenshots(page, "empty_predictions")
    page.get_by_role("button", name="Show everybody").click()
    page.locator("a.card").first.wait_for()


def test_a_team_that_has_done_nothing(
    studio: Any, page: Any, open_as: Callable[..., Any], screenshots: Any
) -> None:
    open_as(page, studio, "team")
    page.get_by_text("so there is no pace to show").wait_for()
    for part, why in (
        ("Second look", "Nobody has been looked at twice yet"),
        ("Decide", "There is nothing to decide"),
    ):
        page.get_by_text(part, exact=True).first.click()
        shown(page, "Team", why)
        settled(page)
    screenshots(page, "empty_decide")
    follow(page, "Go on reviewing", "Risk queue")


def test_a_queue_in_which_nobody_waits(
    studio: Any, review: Reviewed, page: Any, open_as: Callable[..., Any], screenshots: Any
) -> None:
    for row in range(review.table.people):
        review.decide(User(name="Ada", role="admin"), review.person(row))
    open_as(page, studio, "queue")
    shown(page, "Risk queue", "Nothing left to review")
    settled(page)
    expect(page.locator("a.card")).to_have_count(0)
    screenshots(page, "empty_queue")
    follow(page, "Export the labels on Home", "Home")
