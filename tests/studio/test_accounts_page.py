"""Accounts in a browser: an invitation, a password, a review, and out again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attackers import log_of
from conftest import settled
from playwright.sync_api import expect
from reviewing import Desk, eventually, stored
from test_pages_a11y import axe, violations  # noqa: F401 - a fixture

from synthstudio.review.store import Store, open_store
from synthstudio.review.team.accounts import (
    choose_password,
    code_link,
    invite,
    reset_password,
)
from synthstudio.review.values import User

pytestmark = [pytest.mark.browser, pytest.mark.nightly("browser journeys of a served studio")]
ADA = User(name="ada", role="admin")
GOOD, OTHER = "seven brown otters", "eleven quiet herons"


@pytest.fixture(scope="module")
def served(start_studio: Callable[..., Any], small_photo_set: Path) -> Any:
    return start_studio(small_photo_set, more=("--accounts",))


@pytest.fixture(scope="module")
def store(served: Any) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{served.db}")) as opened:
        choose_password(opened, invite(opened, "ada", role="admin", by=ADA)[1], GOOD)
        yield opened


def enter(page: Any, studio: Any, name: str = "ada", password: str = GOOD, path: str = "") -> Any:
    """Sign in where the studio asks for it."""
    page.goto(f"{studio.url}/{path}")
    page.wait_for_url(f"{studio.url}/sign-in**")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    return page


def test_from_an_invitation_to_a_review_and_out(
    page, new_page, served, store, small_photo_set, watch
):
    watch.expected += ["status of 410"]
    _, text = invite(store, "mia", role="reviewer", by=ADA)
    page.goto(code_link(served.url, text))
    page.get_by_role("heading", name="Choose a password").wait_for()
    assert page.url == f"{served.url}/invitation" and text not in page.content().replace(
        f'value="{text}"', ""
    )
    expect(page.get_by_label("Name")).to_have_value("mia")
    page.get_by_label("New password").fill(GOOD)
    page.get_by_label("The same again").fill(GOOD)
    page.get_by_role("button", name="Save and sign in").click()
    page.get_by_text("mia · reviewer").wait_for()
    settled(page)
    cookie = next(c for c in page.context.cookies() if "_session_" in c["name"])
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and not cookie["secure"]
    page.goto(f"{served.url}/review?queue=all")
    page.locator(".ed[data-ready]").wait_for()
    desk = Desk(page, served)
    person = desk.shown()
    desk.press("a")
    eventually(lambda: [e.who for e in stored(served, small_photo_set, person=person)], ["mia"])
    desk.saved()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in").wait_for()
    expect(page.get_by_test_id("stSidebar").get_by_text("Data set")).to_have_count(0)
    page.goto(f"{served.url}/review")
    page.wait_for_url(f"{served.url}/sign-in?to=/review")  # the cookie is worth nothing
    second = new_page()
    second.goto(code_link(served.url, text))  # nor is the code, twice
    second.get_by_text("does not hold any more").wait_for()
    assert text[4:] not in log_of(served) + served.output and GOOD not in log_of(served)


def test_a_reset_ends_a_page_that_is_open(page: Any, served: Any, store: Store, watch: Any) -> None:
    watch.expected += ["status of 401", "status of 403"]  # pictures of the page that ended
    choose_password(store, invite(store, "rex", role="reviewer", by=ADA)[1], GOOD)
    enter(page, served, "rex", path="queue").get_by_text("rex · reviewer").wait_for()
    settled(page)
    reset_password(store, "rex", by=ADA)
    page.get_by_role("link", name="Team").click()
    page.get_by_role("link", name="Sign in").or_(page.get_by_label("Password")).wait_for()
    expect(page.get_by_text("rex · reviewer")).to_have_count(0)
    enter(page, served, "rex").get_by_role("alert").wait_for()


def test_axe_finds_nothing(new_page, served, store, axe, watch):  # noqa: F811
    watch.expected += ["status of 401", "status of 400"]
    for scheme, width, height in (("light", 1440, 900), ("dark", 390, 844)):
        page = new_page(color_scheme=scheme, viewport={"width": width, "height": height})
        enter(page, served, "ada", OTHER)
        page.get_by_role("alert").wait_for()
        assert violations(page, axe) == []
        _, text = invite(store, "new", by=ADA)
        page.goto(f"{served.url}/invitation")
        assert violations(page, axe) == []
        page.get_by_label("Code of the invitation").fill(code_link("", text))
        page.keyboard.press("Enter")
        page.get_by_label("New password").fill("password1234")
        page.get_by_label("The same again").fill("password1234")
        page.keyboard.press("Enter")
        page.get_by_text("too common").wait_for()
        assert violations(page, axe) == []
        enter(page, served, path="team").get_by_text("ada · ").wait_for()
        page.get_by_text("Accounts", exact=True).click()
        page.get_by_text("An invited person opens the link").wait_for()
        settled(page)
        assert violations(page, axe) == []
