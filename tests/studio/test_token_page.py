"""Tokens on the page Team: shown once, worth what their person may, ended by a button."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import settled
from playwright.sync_api import expect
from reviewing import eventually
from test_pages_a11y import axe, look, violations  # noqa: F401 - a fixture

from synthstudio.review.secret_texts import PATTERN
from synthstudio.review.store import Store, open_store
from synthstudio.review.team import members
from synthstudio.review.tokens import make_token, tokens
from synthstudio.review.values import User

pytestmark = pytest.mark.browser
ADA = User(name="Ada", role="admin")


@pytest.fixture(scope="module")
def served(start_studio: Callable[..., Any], small_photo_set: Path) -> Any:
    return start_studio(small_photo_set)


@pytest.fixture(scope="module")
def store(served: Any) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{served.db}")) as opened:
        members.set_role(opened, "Ada", "admin", by=ADA)
        members.set_role(opened, "Rex", "reviewer", by=ADA)
        yield opened


@pytest.fixture
def token_page(new_page: Callable[..., Any], served: Any, open_as: Any) -> Callable[..., Any]:
    def opened(name: str = "Ada", **options: Any) -> Any:
        page = new_page(**options.pop("page", {}))
        open_as(page, served, "team", name=name, **options)
        page.get_by_text("Tokens", exact=True).click()
        page.get_by_text("A program shows a token").wait_for()
        settled(page)
        return page

    return opened


def holding(store: Store) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in tokens(store):
        if one.revoked is None:
            found.setdefault(one.who, []).append(one.label)
    return found


def test_a_token_is_made_shown_once_and_revoked(
    store: Store, served: Any, token_page: Callable[..., Any], screenshots: Any
) -> None:
    page = token_page()
    page.get_by_role("textbox", name="What it is for").fill("nightly export")
    page.get_by_role("button", name="Make").click()
    page.get_by_text("It is not shown again").wait_for()
    (text,) = PATTERN.findall(page.get_by_test_id("stCode").inner_text())
    screenshots(page, "tokens_made")
    ask = lambda: page.request.get(  # noqa: E731
        f"{served.url}/api/v1/me", headers={"Authorization": f"Bearer {text}"}
    )
    assert ask().json() == {"name": "Ada", "role": "admin"}
    assert text not in served.output
    page.reload()
    settled(page)
    page.get_by_text("Tokens", exact=True).click()
    page.get_by_role("button", name="Revoke").wait_for()
    assert text not in page.content()
    page.get_by_role("button", name="Revoke").click()
    eventually(lambda: holding(store), {})
    page.get_by_text("There is no token that holds").wait_for()
    assert ask().status == 401


def test_everybody_has_their_own_and_admins_all(
    store: Store, token_page: Callable[..., Any], watch: Any
) -> None:
    make_token(store, "Ada", role="admin", by=ADA, label="of Ada")
    rex = token_page("Rex")
    expect(rex.get_by_text("There is no token that holds")).to_be_visible()
    assert rex.get_by_role("textbox", name="Of", exact=True).count() == 0
    rex.get_by_role("textbox", name="What it is for").fill("of Rex")
    rex.get_by_role("button", name="Make").click()
    rex.get_by_text("It is not shown again").wait_for()
    assert holding(store) == {"Ada": ["of Ada"], "Rex": ["of Rex"]}
    (mine,) = tokens(store, who="Rex")
    assert (mine.role, mine.by) == ("reviewer", "Rex")
    rex.get_by_role("button", name="Revoke").click()  # the only one in the list
    eventually(lambda: holding(store), {"Ada": ["of Ada"]})
    ada = token_page()
    for name, said in (("Rex", "at most the role of its person"), ("Zoe", "only members have")):
        ada.get_by_role("textbox", name="Of", exact=True).fill(name)
        ada.get_by_role("button", name="Make").click()
        ada.get_by_text(said).wait_for()
    assert holding(store) == {"Ada": ["of Ada"]}


def test_without_the_key_nobody_has_any(store: Store, token_page: Callable[..., Any]) -> None:
    """Who only says a name would else leave with a token of that person."""
    make_token(store, "Ada", role="viewer", by=ADA, label="secret")
    page = token_page(key=False)
    page.get_by_text("Enter the server's key on the left first").wait_for()
    assert page.get_by_role("button", name="Make").count() == 0
    assert page.get_by_role("button", name="Revoke").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(
    store: Store,
    token_page: Callable[..., Any],
    axe: str,  # noqa: F811
    scheme: str,
    screenshots: Any,
) -> None:
    make_token(store, "Ada", role="viewer", by=ADA, label=scheme)
    size = {"width": 1440, "height": 900}
    page = token_page(page={"color_scheme": scheme, "viewport": size})
    look(page)
    screenshots(page, f"tokens_1440_{scheme}")
    assert violations(page, axe) == []
    page.set_viewport_size({"width": 390, "height": 844})
    look(page)
    screenshots(page, f"tokens_390_{scheme}")
    assert violations(page, axe) == []
