"""Accounts as they are served: ways in, crowds, plain http, a busy store, headers of proxies."""

import asyncio
import functools
import itertools
import threading
from contextlib import nullcontext
from typing import Any
from urllib.parse import urlencode

import pytest
from argon2 import PasswordHasher
from attackers import NAME, ORIGIN, OWN, api_studio, request, run_apart
from waiting import PATIENCE_S

from synthstudio.cli.review import parse_studio
from synthstudio.core.errors import Refused, StudioError
from synthstudio.review.models import SessionRow
from synthstudio.review.team import sessions
from synthstudio.review.team.accounts import choose_password, invite, reset_password
from synthstudio.review.team.sessions import FREE_OF_ADDRESS, end_session, sign_in
from synthstudio.review.values import User
from synthstudio.studio import context as pages
from synthstudio.studio import sign_in as routes
from synthstudio.studio.access import check_one_way_in
from synthstudio.studio.sign_in import SessionMiddleware

ADA = User(name="ada", role="admin")
GOOD = "seven brown otters"
PUBLIC = "https://studio.example"
IMAGE = "/api/v1/sets/x/frames/0/image"
HERE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}


@pytest.fixture
def door(tmp_path, cheap_hashes):
    with api_studio(tmp_path, accounts=True, url=PUBLIC) as studio:
        choose_password(studio.store, invite(studio.store, "ada", role="admin", by=ADA)[1], GOOD)
        yield studio


async def ask(app, path, *, form=None, client="192.0.2.1", scheme="https", headers=None):
    """Send one request, a form's if there is one."""
    body = urlencode(form or {}).encode()
    own = {"Host": "studio.example", "Origin": PUBLIC, "Content-Length": str(len(body))}
    more = {"scheme": scheme, "client": (client, 50_000), "server": ("192.0.2.9", 443)}
    lines = [*{**own, **(headers or {})}.items()]
    method = "GET" if form is None else "POST"
    return await request(app, path, method=method, headers=lines, body=body, **more)


def signed_in(door):
    browsers = door.context.browsers
    text = sign_in(door.store, "ada", GOOD, address="192.0.2.200", secret=b"of the server")
    return {
        "Cookie": f"{browsers.cookie}={browsers.new_cookie()}; {browsers.session_cookie}={text}",
        "Origin": PUBLIC,
    }


def test_a_crowd_of_wrong_tries_holds_up_nobody_else(door, monkeypatch):
    """Sixty sign-ins whose hashes do not end: who is signed in goes on, some wait, others go."""
    released, begun = threading.Event(), []

    class Slow(PasswordHasher):
        def verify(self, *args):
            begun.append(args)
            assert released.wait(PATIENCE_S)
            return super().verify(*args)

    mine = signed_in(door)
    sessions.is_right(None, "x")  # makes nobody's hash
    monkeypatch.setattr(sessions, "HASHER", Slow(1, 64, 1))

    def enter(number):
        fields = {"name": f"n{number}", "password": GOOD, "to": "/team"}
        return ask(door.app, "/sign-in", form=fields, client=f"192.0.2.{number}")

    async def besiege():
        crowd = [asyncio.create_task(enter(number)) for number in range(60)]
        try:
            while len(begun) < 2:
                await asyncio.sleep(0.01)
            looked_up = ask(door.app, "/team", headers={**mine, **HERE})
            other = await asyncio.wait_for(looked_up, PATIENCE_S / 2)
            code = {"code": "sc_x", "password": GOOD}
            invited = await ask(door.app, "/invitation", form=code, client="192.0.2.99")
            count = len(begun)
        finally:
            released.set()
        return other, invited, count, await asyncio.gather(*crowd)

    other, invited, count, crowd = run_apart(besiege())
    assert other.status == 404 and count == 2
    assert sorted({one.status for one in crowd}) == [401, 503]
    assert sum(one.status == 401 for one in crowd) == 2 + 16
    late = next(one for one in crowd if one.status == 503)
    assert late.headers["retry-after"] == "5" and b'name="to" value="/team"' in late.body
    assert invited.status == 503 and b'value="sc_x"' in invited.body
    assert GOOD.encode() not in invited.body


def test_passwords_go_through_tls_alone(door):
    def entered(origin=PUBLIC, **how):
        headers = {"Origin": origin, **how.pop("headers", {})}
        form = {"name": "ada", "password": GOOD}
        found = run_apart(ask(door.app, "/sign-in", form=form, headers=headers, **how))
        return found.status, found.headers.get("set-cookie", "")

    local, plain = {"Host": f"{NAME}:8501"}, "http://studio.example"
    here = {"origin": ORIGIN, "scheme": "http", "headers": local}
    status, cookie = entered()
    assert status == 303 and "; Secure" in cookie and "Max-Age=604800" in cookie
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    status, cookie = entered(client="127.0.0.1", **here)
    assert status == 303 and "Secure" not in cookie  # this machine's own user
    for refused in (
        {"scheme": "http", "origin": plain},  # nobody encrypts
        {"scheme": "http", "origin": plain, "client": "127.0.0.1"},  # nor does a proxy, or tell
        {"scheme": "http", "client": "127.0.0.1"},
        here,
        {"origin": plain},  # a page that somebody on the way may have written
    ):
        assert entered(**refused) == (403, ""), refused
    log = door.log()
    assert log.count("a request without TLS") == 4 and log.count("an origin without TLS") == 1
    assert entered("")[0] == 403  # an empty origin is none of ours
    assert run_apart(ask(door.app, "/sign-in")).headers["set-cookie"].endswith("; Secure")


def busy_at(*turns):
    count, looked_up = itertools.count(1), routes.read_session

    def asked(*args, **more):
        if next(count) in turns:
            raise Refused("the database cannot be written now", reason="busy")
        return looked_up(*args, **more)

    return asked


def websocket(door, headers, messages, then=lambda: None):
    """What a page's websocket receives and sends of messages; `then` runs after the first."""
    given: list[bytes] = []
    sent: list[Any] = []

    async def page(scope, receive, send):
        given.append((await receive())["bytes"])
        then()
        given.extend([(await receive())["bytes"] for _ in range(messages - 1)])

    async def receive():
        return {"type": "websocket.receive", "bytes": b"changed"}

    async def send(message):
        sent.append(message)

    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "websocket", "path": "/_stcore/stream", "headers": lines}
    watch = SessionMiddleware(page, user_of=routes.account_of(door.context))
    run_apart(watch(scope, receive, send))
    return given, sent


def test_a_busy_store_leaves_no_page_unwatched(door, monkeypatch):
    """Neither is an ended session let through, nor one that holds taken for an ended one."""
    monkeypatch.setattr("synthstudio.studio.sign_in._AGAIN_S", (0.0, 0.0, 0.0))
    mine = signed_in(door)
    monkeypatch.setattr(routes, "read_session", busy_at())
    assert websocket(door, mine, 2) == ([b"changed"] * 2, [])  # the control
    monkeypatch.setattr(routes, "read_session", busy_at(1))
    assert websocket(door, mine, 2) == ([], [{"type": "websocket.close", "code": 1013}])
    monkeypatch.setattr(routes, "read_session", busy_at(2, 3, 5))
    assert websocket(door, mine, 2)[0] == [b"changed"] * 2
    monkeypatch.setattr(routes, "read_session", busy_at(3, 4, 5))
    first, second, third = websocket(door, mine, 3)[0]
    assert (first, third) == (b"changed", b"changed") and second != b"changed"
    assert "messages after a session's end" not in door.log()
    monkeypatch.setattr(routes, "read_session", busy_at(3))
    with door.store.session() as session:
        session.query(SessionRow).delete()
    assert b"changed" not in websocket(door, mine, 2)[0]  # of nobody: only drawn
    monkeypatch.setattr("synthstudio.studio.sign_in._MAX_ANONYMOUS_OF", 0)
    assert websocket(door, {}, 2) == ([], [{"type": "websocket.close", "code": 1013}])


def test_an_open_page_is_told_nothing_more_when_its_session_ends(door):
    """Nor does it get a picture, as a page of somebody else does not."""
    mine = signed_in(door)

    def status(**more):
        return run_apart(ask(door.app, IMAGE, headers=mine | more)).status

    assert (status(), status(**{"Synthstudio-User": "mia"})) == (404, 401)
    lasting = mine["Cookie"].split("; ")[0]
    assert status(Cookie=lasting) == 401  # the browser's cookie alone is not a sign-in
    sent = websocket(door, mine, 3, then=lambda: reset_password(door.store, "ada", by=ADA))[0]
    assert sent[0] == b"changed" and len(sent) == 3 and b"changed" not in sent[1:]
    assert status() == 401


def test_a_busy_store_gives_no_file_and_no_picture_and_ends_no_session(door, monkeypatch):
    """Nor does it lead to where one signs in, as if the session had ended."""
    mine = signed_in(door)
    for path, said in (
        ("/media/none.png", b"try again in a moment"),
        (IMAGE, b"cannot be written"),
        ("/review", b"try again in a moment"),
    ):
        monkeypatch.setattr(routes, "read_session", busy_at(1))
        busy, after = (run_apart(ask(door.app, path, headers=mine | HERE)) for _ in range(2))
        assert busy.status == 503 and said in busy.body, path
        assert after.status == 404, path
    assert "a session that cannot be looked up" in door.log()
    monkeypatch.setattr(routes, "sign_in", busy_at(1))
    assert enter(door.http).status_code == 503


def test_a_password_that_is_chosen_while_the_store_is_busy(door, monkeypatch):
    """The code is spent then, so one is led to where the new password signs one in."""
    _, text = invite(door.store, "mia", by=ADA)
    form = {"code": text, "password": GOOD, "again": GOOD}
    with monkeypatch.context() as patched:
        patched.setattr(routes, "read_code", busy_at(1))
        late = run_apart(ask(door.app, "/invitation", form=form))
        assert late.status == 503 and late.headers["retry-after"] == "5"
        assert f'value="{text}"'.encode() in late.body
    with monkeypatch.context() as patched:
        patched.setattr(routes, "sign_in", busy_at(1))
        led = run_apart(ask(door.app, "/invitation", form=form))
    assert (led.status, led.headers["location"]) == (303, "/sign-in")
    entering = ask(door.app, "/sign-in", form={"name": "mia", "password": GOOD})
    assert run_apart(entering).status == 303


def tried(app, number, headers, client="127.0.0.1"):
    """Send a wrong password for a name of its own, as a server hands it on; return the status."""
    form = {"name": f"n{number}", "password": GOOD}
    scheme = headers.get("X-Forwarded-Proto", "http")
    asked = ask(app, "/sign-in", form=form, client=client, scheme=scheme, headers=headers)
    return int(run_apart(asked).status)


LOCAL = {"Host": f"{NAME}:8501", "Origin": ORIGIN}


def test_invented_headers_are_no_way_round_the_addresses_limit(cheap_hashes, tmp_path):
    """Uvicorn believes them of this machine's own programs, so they must not get further."""
    with api_studio(tmp_path, accounts=True) as door:
        invented = [{name: "https"} for name in ("X-Real-IP", "X-Forwarded-Proto")]
        invented += [{"X-Forwarded-For": f"198.51.100.{number}"} for number in range(4)]
        for number, header in enumerate(invented):
            client = header.get("X-Forwarded-For", "127.0.0.1")
            assert tried(door.app, number, LOCAL | header, client) == 403
        found = [tried(door.app, number, LOCAL) for number in range(FREE_OF_ADDRESS + 2)]
        assert found == [401] * FREE_OF_ADDRESS + [429] * 2
        assert door.log().count("a forwarded request, without --behind-proxy") == len(invented)


def named(chain, **more):
    return {"X-Forwarded-For": chain, "X-Forwarded-Proto": "https", **more}


def test_behind_a_proxy_tries_are_counted_by_the_address_that_it_names(cheap_hashes, tmp_path):
    with api_studio(tmp_path, accounts=True, url=PUBLIC, behind_proxy=True) as studio:
        asked = functools.partial(tried, studio.app)
        mine = "203.0.113.7"  # Uvicorn makes it the sender
        count = FREE_OF_ADDRESS + 2
        found = [asked(number, named(mine), mine) for number in range(count)]
        assert found == [401] * FREE_OF_ADDRESS + [429] * 2
        assert asked(20, named("203.0.113.8"), "203.0.113.8") == 401
        assert asked(21, named(f"198.51.100.1, {mine}"), mine) == 429  # the sender is put behind
        for lacking in ("X-Forwarded-For", "X-Forwarded-Proto"):
            less = {k: v for k, v in named("203.0.113.9").items() if k != lacking}
            assert asked(22, less, "203.0.113.9") == 403
        plain = named("203.0.113.9") | {"X-Forwarded-Proto": "http"}
        assert asked(23, plain, "203.0.113.9") == 403
        assert asked(23, named("203.0.113.9"), "10.0.0.2") == 403
        assert "FORWARDED_ALLOW_IPS" in studio.log()


# ---- the door: cookies, ways in, how it may be served


def enter(http, **fields):
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


def test_a_page_that_was_drawn_for_another_or_whose_session_ended_does_nothing(door, monkeypatch):
    enter(door.http)
    session = door.http.cookies[door.context.browsers.session_cookie]
    assert [door.context.role_in(name, "", session) for name in ("ada", "rea")] == ["admin", None]
    end_session(door.store, session)
    assert door.context.role_in("ada", "", session) is None
    monkeypatch.setattr(pages, "browser", lambda: "")
    for signed_in, role in (("ada", "admin"), ("rea", "viewer"), (None, "viewer")):
        monkeypatch.setattr(pages, "read_session", lambda *_, name=signed_in: name)
        assert pages.user_now(door.context, "ada") == User(name="ada", role=role)


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


def test_how_it_may_be_served(monkeypatch):
    for value in ("1", "0"):
        monkeypatch.setenv("SYNTHSTUDIO_ACCOUNTS", value)
        assert parse_studio([]).accounts == (value == "1")
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
        given = parse_studio(words)
        with pytest.raises(StudioError, match=why) if why else nullcontext():
            check_one_way_in(given, section, address)


def test_nobody_is_led_to_another_site():
    paths = ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/a\n/b")
    assert {routes.safe_path(path) for path in (*paths, "/@evil", "\\\\evil", "")} == {"/"}
    assert routes.safe_path("/review?frame=3&q=a%20b") == "/review?frame=3&q=a%20b"
