"""Accounts as they are served: crowds, plain http, a store that is busy, headers of proxies."""

from __future__ import annotations

import asyncio
import functools
import http.client
import threading
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from argon2 import PasswordHasher
from attackers import api_studio, on_a_port, run_apart

from synthstudio.core.errors import Refused
from synthstudio.review.models import SessionRow
from synthstudio.review.team import passwords
from synthstudio.review.team.accounts import choose_password, invite
from synthstudio.review.team.lockout import FREE_OF_ADDRESS
from synthstudio.review.team.sessions import sign_in
from synthstudio.review.values import User
from synthstudio.studio.access import Grant
from synthstudio.studio.sign_in import routes
from synthstudio.studio.sign_in.watch import SessionWatch

ADA = User(name="ada", role="admin")
GOOD = "seven brown otters"
PUBLIC = "https://studio.example"
HERE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
PATIENCE_S = 60.0


@pytest.fixture
def cheap(monkeypatch):
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(1, 64, 1))
    passwords._nobodys.cache_clear()
    yield
    passwords._nobodys.cache_clear()


@pytest.fixture
def door(tmp_path, cheap):
    with api_studio(tmp_path, accounts=True, url=PUBLIC) as studio:
        choose_password(studio.store, invite(studio.store, "ada", role="admin", by=ADA)[1], GOOD)
        yield studio


async def ask(
    app: Any,
    path: str,
    *,
    form: dict[str, str] | None = None,
    client: str = "192.0.2.1",
    origin: str = PUBLIC,
    scheme: str = "https",
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], str]:
    """Send one request, a form's if there is one; return status, headers and body."""
    body = urlencode(form or {}).encode()
    own = {"Host": "studio.example", "Origin": origin, "Content-Length": str(len(body))}
    lines = [(k.lower().encode(), v.encode()) for k, v in {**own, **(headers or {})}.items()]
    got: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        got.append(message)

    scope = {
        "type": "http",
        "method": "GET" if form is None else "POST",
        "scheme": scheme,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "http_version": "1.1",
        "headers": lines,
        "client": (client, 50_000),
        "server": ("192.0.2.9", 443),
    }
    await app(scope, receive, send)
    found = {k.decode().lower(): v.decode() for k, v in got[0]["headers"]}
    return got[0]["status"], found, b"".join(m.get("body", b"") for m in got[1:]).decode()


def signed_in(door: Any) -> dict[str, str]:
    """Return the headers of a browser in which Ada signed in."""
    tokens = door.context.tokens
    text = sign_in(door.store, "ada", GOOD, address="192.0.2.200", secret=b"of the server")
    return {
        "Cookie": f"{tokens.cookie}={tokens.new_browser()}; {tokens.session_cookie}={text}",
        "Origin": PUBLIC,
    }


def test_a_crowd_of_wrong_tries_holds_up_nobody_else(door, monkeypatch):
    """Sixty sign-ins whose hashes do not end: who is signed in goes on, some wait, others go."""
    released, begun = threading.Event(), []

    class Slow(PasswordHasher):
        def verify(self, *args: Any) -> bool:
            begun.append(args)
            assert released.wait(PATIENCE_S)
            return super().verify(*args)

    mine = signed_in(door)
    passwords.is_right(None, "x")  # makes nobody's hash
    monkeypatch.setattr(passwords, "HASHER", Slow(1, 64, 1))

    def enter(number: int) -> Any:
        fields = {"name": f"n{number}", "password": GOOD, "to": "/team"}
        return ask(door.app, "/sign-in", form=fields, client=f"192.0.2.{number}")

    async def besiege() -> Any:
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
    assert other[0] == 404 and count == 2
    assert sorted({status for status, *_ in crowd}) == [401, 503]
    assert sum(status == 401 for status, *_ in crowd) == 2 + 16
    _, headers, page = next(one for one in crowd if one[0] == 503)
    assert headers["retry-after"] == "5" and "Try again in a moment" in page
    assert 'name="to" value="/team"' in page
    assert invited[0] == 503 and 'value="sc_x"' in invited[2] and GOOD not in invited[2]


def test_passwords_go_through_tls_alone(door):
    enter = functools.partial(ask, door.app, "/sign-in", form={"name": "ada", "password": GOOD})

    def entered(**how: Any) -> tuple[int, str]:
        status, headers, _ = run_apart(enter(**how))
        return status, headers.get("set-cookie", "")

    local, plain = {"Host": "127.0.0.1:8501"}, "http://studio.example"
    status, cookie = entered()
    assert status == 303 and "; Secure" in cookie
    status, cookie = entered(
        client="127.0.0.1", origin="http://127.0.0.1:8501", scheme="http", headers=local
    )
    assert status == 303 and "Secure" not in cookie  # this machine's own user
    for refused in (
        {"scheme": "http", "origin": plain},  # nobody encrypts
        {"scheme": "http", "origin": plain, "client": "127.0.0.1"},  # nor does a proxy, or tell
        {"scheme": "http", "client": "127.0.0.1"},
        {"scheme": "http", "origin": "http://127.0.0.1:8501", "headers": local},
        {"origin": plain},  # a page that somebody on the way may have written
    ):
        assert entered(**refused) == (403, ""), refused
    log = door.log()
    assert log.count("a request without TLS") == 4 and log.count("an origin without TLS") == 1
    page = run_apart(ask(door.app, "/sign-in", origin=""))
    assert page[0] == 403  # an empty origin is none of ours
    assert run_apart(ask(door.app, "/sign-in"))[1]["set-cookie"].endswith("; Secure")


def test_a_session_that_is_looked_up_slowly_holds_up_nobody_else(door, monkeypatch):
    """The store may be busy for seconds: the event loop goes on meanwhile."""
    released, begun, looked_up = threading.Event(), threading.Event(), routes.read_session

    def slowly(*args: Any) -> str | None:
        begun.set()
        assert released.wait(PATIENCE_S / 3)
        return looked_up(*args)

    mine = signed_in(door)
    monkeypatch.setattr(routes, "read_session", slowly)

    async def both() -> tuple[bool, int, int]:
        media = asyncio.create_task(ask(door.app, "/media/none.png", headers=mine))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        status, *_ = await ask(door.app, "/sign-in")
        waiting = not media.done()
        released.set()
        return waiting, status, (await media)[0]

    assert run_apart(both()) == (True, 200, 404)


class Busy:
    """Asks for a session, and cannot at those turns."""

    def __init__(self, *turns: int) -> None:
        self.turns, self.count, self.looked_up = turns, 0, routes.read_session

    def __call__(self, *args: Any) -> str | None:
        self.count += 1
        if self.count in self.turns:
            raise Refused("the database cannot be written now", reason="busy")
        return self.looked_up(*args)


def websocket(door: Any, headers: dict[str, str], messages: int) -> tuple[list[bytes], list[Any]]:
    """Open a page's websocket; return what of some messages it is given, and what is sent."""
    given: list[bytes] = []
    sent: list[Any] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        given.extend([(await receive())["bytes"] for _ in range(messages)])

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.receive", "bytes": b"changed"}

    async def send(message: Any) -> None:
        sent.append(message)

    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "websocket", "path": "/_stcore/stream", "headers": lines}
    watch = SessionWatch(page, user_of=routes.account_of(door.context))
    run_apart(watch(scope, receive, send))
    return given, sent


def test_a_busy_store_leaves_no_page_unwatched(door, monkeypatch):
    """Neither is an ended session let through, nor one that holds taken for an ended one."""
    monkeypatch.setattr("synthstudio.studio.sign_in.watch._AGAIN_S", (0.0, 0.0, 0.0))
    mine = signed_in(door)
    monkeypatch.setattr(routes, "read_session", Busy())
    assert websocket(door, mine, 2) == ([b"changed"] * 2, [])  # the control
    monkeypatch.setattr(routes, "read_session", Busy(1))
    assert websocket(door, mine, 2) == ([], [{"type": "websocket.close", "code": 1013}])
    monkeypatch.setattr(routes, "read_session", Busy(2, 3, 5))
    assert websocket(door, mine, 2)[0] == [b"changed"] * 2
    monkeypatch.setattr(routes, "read_session", Busy(3, 4, 5))
    first, second, third = websocket(door, mine, 3)[0]
    assert (first, third) == (b"changed", b"changed") and second != b"changed"
    assert "messages after a session's end" not in door.log()
    monkeypatch.setattr(routes, "read_session", Busy(3))
    end_sessions(door.store)
    assert websocket(door, mine, 2)[0] == [b"changed"] * 2  # of nobody: pages ask who it is


def end_sessions(store: Any) -> None:
    with store.session() as session:
        session.query(SessionRow).delete()


def test_a_busy_store_gives_no_file_and_no_picture_and_ends_no_session(door, monkeypatch):
    mine, tokens = signed_in(door), door.context.tokens
    browser = tokens.browser(mine["Cookie"].split("; ")[0].partition("=")[2])
    token = tokens.token(Grant(kind="image", user="ada", browser=browser))
    for path in ("/media/none.png", f"/img/{token}"):
        monkeypatch.setattr(routes, "read_session", Busy(1))
        busy, after = (run_apart(ask(door.app, path, headers=mine)) for _ in range(2))
        assert (busy[0], busy[2]) == (503, "try again in a moment\n") and after[0] == 404, path


def test_a_password_that_is_chosen_while_the_store_is_busy(door, monkeypatch):
    """The code is spent then, so one is led to where the new password signs one in."""

    def busy(*args: Any, **more: Any) -> None:
        raise Refused("the database cannot be written now", reason="busy")

    _, text = invite(door.store, "mia", by=ADA)
    form = {"code": text, "password": GOOD, "again": GOOD}
    with monkeypatch.context() as patched:
        patched.setattr(routes, "read_code", busy)
        status, headers, page = run_apart(ask(door.app, "/invitation", form=form))
        assert status == 503 and headers["retry-after"] == "5" and f'value="{text}"' in page
    with monkeypatch.context() as patched:
        patched.setattr(routes, "sign_in", busy)
        status, headers, _ = run_apart(ask(door.app, "/invitation", form=form))
    assert (status, headers["location"]) == (303, "/sign-in")
    entering = ask(door.app, "/sign-in", form={"name": "mia", "password": GOOD})
    assert run_apart(entering)[0] == 303


def tried(address: str, number: int, headers: dict[str, str]) -> int:
    """Send a wrong password for a name of its own to a server; return the status."""
    host = urlsplit(address).netloc
    own = {"Host": host, "Origin": address, "Content-Type": "application/x-www-form-urlencoded"}
    connection = http.client.HTTPConnection(host, timeout=PATIENCE_S)
    try:
        form = urlencode({"name": f"n{number}", "password": GOOD})
        connection.request("POST", "/sign-in", form, own | headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_invented_headers_are_no_way_round_the_addresses_limit(door):
    """Uvicorn believes them of this machine's own programs, so they must not get further."""
    with on_a_port(door.app) as address:
        for number, name in enumerate(("X-Forwarded-For", "X-Real-IP", "X-Forwarded-Proto")):
            assert tried(address, number, {name: "https"}) == 403
        for number in range(14):
            assert tried(address, number, {"X-Forwarded-For": f"198.51.100.{number}"}) == 403
        found = [tried(address, number, {}) for number in range(FREE_OF_ADDRESS + 2)]
    assert found == [401] * FREE_OF_ADDRESS + [429] * 2
    assert door.log().count("a forwarded request, without --behind-proxy") == 17


def test_behind_a_proxy_tries_are_counted_by_the_address_that_it_names(cheap, tmp_path):
    def named(chain: str) -> dict[str, str]:
        return {
            "Host": "studio.example",
            "Origin": PUBLIC,
            "X-Forwarded-For": chain,
            "X-Forwarded-Proto": "https",
        }

    with (
        api_studio(tmp_path, accounts=True, url=PUBLIC, behind_proxy=True) as studio,
        on_a_port(studio.app) as address,
    ):
        found = [
            tried(address, number, named("203.0.113.7")) for number in range(FREE_OF_ADDRESS + 2)
        ]
        assert found == [401] * FREE_OF_ADDRESS + [429] * 2
        assert tried(address, 20, named("203.0.113.8")) == 401
        invented = named("198.51.100.1, 203.0.113.7")  # the proxy puts the sender behind
        assert tried(address, 21, invented) == 429
        for lacking in ("X-Forwarded-For", "X-Forwarded-Proto"):
            less = {k: v for k, v in named("203.0.113.9").items() if k != lacking}
            assert tried(address, 22, less) == 403
        assert tried(address, 23, named("203.0.113.9") | {"X-Forwarded-Proto": "http"}) == 403
        status, *_ = run_apart(
            ask(studio.app, "/sign-in", headers=named("203.0.113.9"), client="10.0.0.2")
        )
        assert status == 403 and "FORWARDED_ALLOW_IPS" in studio.log()
        assert tried(address, 24, {}) == 401  # this machine's own user
