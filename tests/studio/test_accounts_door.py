"""The door of a studio with accounts, without a browser: cookies, ways in, how it may be served."""

from __future__ import annotations

import functools
from contextlib import nullcontext
from typing import Any

import pytest
from attackers import OWN, api_studio

from synthstudio.core.errors import Refused, StudioError
from synthstudio.review.team.accounts import choose_password, invite, reset_password
from synthstudio.review.team.sessions import end_session
from synthstudio.review.values import User
from synthstudio.studio import context as pages
from synthstudio.studio import settings
from synthstudio.studio.access import check_one_way_in
from synthstudio.studio.sign_in import routes

ADA = User(name="ada", role="admin")
GOOD = "seven brown otters"
HERE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}


@pytest.fixture
def door(tmp_path, cheap_hashes):
    with api_studio(tmp_path, accounts=True, url="https://studio.example") as studio:
        choose_password(studio.store, invite(studio.store, "ada", role="admin", by=ADA)[1], GOOD)
        yield studio


def enter(http: Any, **fields: str) -> Any:
    given = {"name": "ada", "password": GOOD, **fields}
    return http.post("/sign-in", data=given, headers=OWN, follow_redirects=False)


def test_who_did_not_sign_in_is_led_to_where_one_does(door):
    ask = functools.partial(door.http.get, follow_redirects=False)
    found = ask("/review?frame=3&q=a%20b", headers=HERE)
    assert found.status_code == 303
    assert found.headers["location"] == "/sign-in?to=/review%3Fframe%3D3%26q%3Da%2520b"
    page = ask(found.headers["location"]).text
    assert 'name="to" value="/review?frame=3&amp;q=a%20b"' in page
    assert ask("/", headers=HERE).headers["location"] == "/sign-in"
    for path, headers in (
        ("/review", {}),  # a browser that does not say: the page itself asks
        ("/review", HERE | {"Sec-Fetch-Site": "cross-site"}),  # Strict cookies are not sent then
        ("/sign-in", HERE),
        ("/invitation", HERE),
        ("/healthz", HERE),
        ("/api/v1/docs", HERE),
    ):
        assert "location" not in ask(path, headers=headers).headers, path
    signed_in = enter(door.http, to="/review?frame=3")
    assert signed_in.headers["location"] == "/review?frame=3"
    assert "location" not in ask("/review", headers=HERE).headers


def test_a_busy_store_lets_nobody_in_and_says_so(door, monkeypatch):
    def busy(*args: object, **more: object) -> None:
        raise Refused("the database cannot be written now", reason="busy")

    enter(door.http)
    monkeypatch.setattr(routes, "sign_in", busy)
    monkeypatch.setattr(routes, "read_session", busy)
    assert enter(door.http).status_code == 503
    page = door.http.get("/review", headers=HERE, follow_redirects=False)
    assert page.status_code == 503 and page.headers["retry-after"] == "5"  # not: signed out
    assert "a session that cannot be looked up" in door.log()


def test_a_page_that_was_drawn_for_another_does_nothing_in_that_name(door, monkeypatch):
    monkeypatch.setattr(pages, "browser", lambda: "")
    for signed_in, role in (("ada", "admin"), ("rea", "viewer"), (None, "viewer")):
        monkeypatch.setattr(pages, "read_session", lambda *_, name=signed_in: name)
        assert pages.user_now(door.context, "ada") == User(name="ada", role=role)  # type: ignore[arg-type]


def test_a_session_that_ended_has_no_role(door):
    enter(door.http)
    session = door.http.cookies[door.context.tokens.session_cookie]
    assert [door.context.role_in(name, "", session) for name in ("ada", "rea")] == ["admin", None]
    end_session(door.store, session)
    assert door.context.role_in("ada", "", session) is None


def test_an_older_invitation_makes_nobody_the_admin_of_the_start(tmp_path, cheap_hashes):
    with api_studio(tmp_path, accounts=True, admins=("ada",)) as studio:
        lea, chosen = User(name="lea", role="lead"), {"password": GOOD, "again": GOOD}
        for role, by, status in (("reviewer", lea, 410), ("admin", ADA, 303)):
            _, shown = invite(studio.store, "ada", role=role, by=by)
            found = studio.http.post(
                "/invitation", data={"code": shown, **chosen}, headers=OWN, follow_redirects=False
            )
            assert found.status_code == status
        _, shown = reset_password(studio.store, "ada", by=ADA)
        found = studio.http.post("/invitation", data={"code": shown}, headers=OWN)
        assert "Choose a password" in found.text


def test_without_accounts_there_is_no_door(tmp_path):
    with api_studio(tmp_path) as studio:
        for path in ("/sign-in", "/sign-in.js", "/invitation"):
            assert studio.http.get(path).status_code == 404
            if not path.endswith(".js"):
                assert studio.http.post(path, data={}, headers=OWN).status_code == 404


def test_how_it_may_be_served():
    assert settings.parse([], {"SYNTHSTUDIO_ACCOUNTS": "1"}).accounts
    assert not settings.parse([], {"SYNTHSTUDIO_ACCOUNTS": "0"}).accounts
    url, oidc, local = ["--url", "https://studio.example"], {"client_id": "x"}, "127.0.0.1"
    for words, section, address, why in (
        (["--accounts", *url], {}, "0.0.0.0", ""),
        (["--accounts"], {}, local, ""),
        (["--accounts", "--behind-proxy", *url], {}, local, ""),
        (["--behind-proxy"], oidc, local, ""),
        (["--accounts"], {}, "0.0.0.0", "missing address"),
        (["--accounts", "--behind-proxy"], {}, local, "missing address"),
        (["--behind-proxy"], {}, local, "proxy without sign-in"),
        (["--accounts", *url], oidc, local, "two ways"),
    ):
        given = settings.parse(words, {})
        with pytest.raises(StudioError, match=why) if why else nullcontext():
            check_one_way_in(given, section, address)


def test_nobody_is_led_to_another_site():
    paths = ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/a\n/b")
    assert {routes.safe_path(path) for path in (*paths, "/@evil", "\\\\evil", "")} == {"/"}
    assert routes.safe_path("/review?frame=3&q=a%20b") == "/review?frame=3&q=a%20b"
