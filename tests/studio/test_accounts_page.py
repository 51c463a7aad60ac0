"""Accounts in a browser: an invitation, a password, a review, and out again."""

from contextlib import closing

import pytest
from attackers import log_of
from playwright.sync_api import expect
from reviewing import Desk, eventually, stored
from served import settled

from synthstudio.review.store import open_store
from synthstudio.review.team.accounts import choose_password, code_link, invite
from synthstudio.review.values import User

pytestmark = [pytest.mark.browser, pytest.mark.nightly("browser journeys of a served studio")]
ADA = User(name="ada", role="admin")
GOOD = "seven brown otters"


def test_from_an_invitation_to_a_review_and_out(
    page, new_page, start_studio, small_photo_set, watch
):
    watch.expected += ["status of 410"]
    served = start_studio(small_photo_set, more=("--accounts",))
    with closing(open_store(f"sqlite:///{served.db}")) as store:
        choose_password(store, invite(store, "ada", role="admin", by=ADA)[1], GOOD)
        _, text = invite(store, "mia", role="reviewer", by=ADA)
    page.goto(code_link(served.url, text))
    page.get_by_role("heading", name="Choose a password").wait_for()
    assert page.url == f"{served.url}/invitation" and text not in page.content().replace(
        f'value="{text}"', ""
    )
    expect(page.get_by_label("Name")).to_have_value("mia")
    page.get_by_label("New password", exact=True).fill(GOOD)
    page.get_by_label("Repeat the new password").fill(GOOD)
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
    page.get_by_test_id("stExpandSidebarButton").click()  # the sidebar is folded in Review
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in").wait_for()
    expect(page.get_by_test_id("stSidebar").get_by_text("Data set")).to_have_count(0)
    page.goto(f"{served.url}/review")
    page.wait_for_url(f"{served.url}/sign-in?to=/review")  # the cookie is worth nothing
    second = new_page()
    second.goto(code_link(served.url, text))  # nor is the code, twice
    second.get_by_text("is invalid or has expired").wait_for()
    assert text[4:] not in log_of(served) + served.output and GOOD not in log_of(served)
