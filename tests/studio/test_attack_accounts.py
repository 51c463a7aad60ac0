"""Attacks on accounts, seeded as those of test_attack_cases.py: guesses, codes, sessions."""

from __future__ import annotations

import functools
import random
import string
from typing import Any

import pytest
from attackers import OWN, api_studio, run_apart
from test_attack_cases import SECRETS, cases, dirty

from synthstudio.core.errors import Refused
from synthstudio.review.models import TriesRow
from synthstudio.review.team import members
from synthstudio.review.team.accounts import (
    accounts,
    choose_password,
    invite,
    read_code,
    reset_password,
    revoke_account,
)
from synthstudio.review.team.sessions import read_session, sign_in
from synthstudio.review.values import ROLES, User
from synthstudio.studio.access import Grant
from synthstudio.studio.sign_in.routes import account_of
from synthstudio.studio.sign_in.watch import SessionMiddleware

pytestmark = pytest.mark.nightly("seeded attacks; the table of test_attacks.py is quick")

ADMIN = User(name="ada", role="admin")
SECRET = b"of the server"
GOOD = "seven brown otters"
PEOPLE = {"ada": "admin", "lea": "lead", "rea": "reviewer", "vic": "viewer"}


@pytest.fixture
def besieged(tmp_path, small_photo_set, cheap_hashes):
    with api_studio(tmp_path, small_photo_set, accounts=True) as studio:
        for name, role in PEOPLE.items():
            _, shown = invite(studio.store, name, role=role, by=ADMIN)  # type: ignore[arg-type]
            choose_password(studio.store, shown, f"{GOOD} of {name}")
        yield studio


def send(studio: Any, path: str, fields: dict[str, Any], **headers: str) -> Any:
    """Send a form as a page of ours would, with no cookie but those named."""
    studio.http.cookies.clear()
    clean = {k: str(v).encode("utf-8", "replace").decode() for k, v in fields.items()}
    return studio.http.post(path, data=clean, headers={**OWN, **headers}, follow_redirects=False)


def forget_tries(studio: Any) -> None:
    with studio.store.session() as session:
        session.query(TriesRow).delete()


def is_let_in(answer: Any) -> bool:
    return answer.status_code == 303 or "_session_" in answer.headers.get("set-cookie", "")


def mutated(rng: random.Random, text: str) -> str:
    letters = list(text)
    at = rng.randrange(4, len(letters))
    letters[at] = rng.choice([c for c in string.ascii_letters if c != letters[at]])
    changed = "".join(letters)
    return rng.choice((changed, text[:-1], text + "A", text.swapcase(), text[4:], dirty(rng)))


def told(studio: Any, *answers: Any) -> None:
    """Nothing that was answered or logged is nobody's business."""
    for answer in answers:
        assert answer.status_code < 500, answer.text
        assert not any(secret.decode() in answer.text for secret in SECRETS), answer.text
        assert str(studio.folder) not in answer.text and "argon2" not in answer.text
    assert GOOD not in studio.log() and "ssi_" not in studio.log().replace("ssi_...", "")


def test_guesses(besieged):
    """Nobody gets in by guessing, and nobody learns whether a name is an account's."""
    right = send(besieged, "/sign-in", {"name": "rea", "password": f"{GOOD} of rea"})  # the control
    assert is_let_in(right) and right.headers["location"] == "/"
    for rng in cases("guess"):
        forget_tries(besieged)
        name, found = rng.choice((*PEOPLE, "nobody", dirty(rng, 20))), []
        for turn in range(13):
            wrong = rng.choice(("", dirty(rng), GOOD, f"{GOOD} of nobody", "x" * 5000, "%00", name))
            fields = {"name": name, "password": wrong, "to": "//evil.example"}
            found.append(send(besieged, "/sign-in", fields))
            odd = {rng.choice(("X-Forwarded-For", "Forwarded", "X-Real-IP")): f"10.0.0.{turn}"}
            assert send(besieged, "/sign-in", fields, **odd).status_code == 403
        assert [a.status_code for a in found] == [401] * 10 + [429] * 3, name
        assert not any(is_let_in(a) for a in found)
        told(besieged, *found)
        assert int(found[-1].headers["retry-after"]) in (29, 30)
        fields = {"name": "rea", "password": f"{GOOD} of rea"}
        others = send(besieged, "/sign-in", fields).status_code  # the account waits, nobody else
        assert others == (429 if name == "rea" else 303)
        forget_tries(besieged)
        known, unknown = (
            send(besieged, "/sign-in", {"name": who, "password": "wrong as it is"})
            for who in ("rea", "zed")
        )
        assert known.text.replace('"rea"', '"zed"') == unknown.text
        assert known.status_code == unknown.status_code == 401
        foreign = rng.choice(("http://evil.example", "null", ""))
        assert send(besieged, "/sign-in", fields, Origin=foreign).status_code == 403
        for body, statuses in ((b"x" * 9000, (413,)), (rng.randbytes(300), (400, 401))):
            answer = besieged.http.post("/sign-in", content=body, headers=OWN)
            assert answer.status_code in statuses


def test_invitations(besieged):
    """A code is worth one account at most, once; none comes of another's or of a wrong one."""
    store, log = besieged.store, []
    for number, rng in enumerate(cases("invitation")):
        name, by = f"new {number}", rng.choice((ADMIN, User(name="lea", role="lead")))
        role = rng.choice(ROLES)
        if by.role == "lead" and role in ("lead", "admin"):
            with pytest.raises(Refused):
                invite(store, name, role=role, by=by)
            role = "reviewer"
        for who in ("rea", "vic"):
            with pytest.raises(Refused):
                invite(store, name, by=User(name=who, role=PEOPLE[who]))  # type: ignore[arg-type]
        with pytest.raises(Refused):
            invite(store, "ada", by=by)  # who has an account cannot be invited out of it
        _, shown = invite(store, name, role=role, by=by)
        chosen = {"password": f"{GOOD} too", "again": f"{GOOD} too"}
        for _ in range(4):
            wrong = send(besieged, "/invitation", {"code": mutated(rng, shown), **chosen})
            assert wrong.status_code == 410 and not is_let_in(wrong)
        weak = rng.choice(("short", "password1234", "aaaaaaaaaaaaaa", name * 3, "x" * 300))
        refused = send(besieged, "/invitation", {"code": shown, "password": weak, "again": weak})
        differ = send(besieged, "/invitation", {**chosen, "code": shown, "again": "another one"})
        foreign = send(besieged, "/invitation", {"code": shown, **chosen}, Origin="http://a.b")
        assert [a.status_code for a in (refused, differ, foreign)] == [400, 400, 403]
        place = rng.choice((f"/invitation?code={shown}", f"/{shown}", f"/sign-in?to=/{shown}"))
        assert besieged.http.get(place).status_code == 403
        assert read_code(store, shown) is not None and members.role_of(store, name) is None
        first = send(besieged, "/invitation", {"code": shown, **chosen, "role": "admin"})
        again = send(besieged, "/invitation", {"code": shown, **chosen})
        assert is_let_in(first) and again.status_code == 410 and not is_let_in(again)
        assert members.role_of(store, name) == role
        told(besieged, refused, differ, first, again)
        log.append(shown)
        forget_tries(besieged)
    assert {a.name for a in accounts(store)} == {*PEOPLE, *(f"new {n}" for n in range(len(log)))}
    assert not any(shown[4:] in besieged.log() for shown in log)


def test_sessions(besieged):
    """No cookie but that of somebody who is signed in now opens anything of that person's."""
    store, ctx, rngs = besieged.store, besieged.context, cases("session")
    browser = ctx.tokens.new_browser()

    def picture(user: str, cookie: str) -> int:
        grant = Grant(
            kind="image", dataset=besieged.key, user=user, browser=ctx.tokens.browser(browser)
        )
        besieged.http.cookies.clear()
        both = f"{ctx.tokens.cookie}={browser}; {ctx.tokens.session_cookie}={cookie}".encode()
        path = f"/img/{ctx.tokens.token(grant)}"
        return int(besieged.http.get(path, headers={b"Cookie": both}).status_code)

    for rng in rngs:
        forget_tries(besieged)
        name = rng.choice(("rea", "vic", "lea"))
        own = sign_in(store, name, f"{GOOD} of {name}", address="192.0.2.7", secret=SECRET)
        assert own is not None and picture(name, own) == 200  # the control
        for other in set(PEOPLE) - {name}:
            assert picture(other, own) == 403  # with a link that another was given
        for _ in range(5):
            assert picture(name, mutated(rng, own).replace(";", "")) in (400, 403)
        planted = "sss_" + "".join(rng.choice(string.ascii_letters) for _ in range(43))
        cookie = f"{ctx.tokens.session_cookie}={planted}"
        fields = {"name": name, "password": f"{GOOD} of {name}"}
        answer = send(besieged, "/sign-in", fields, Cookie=cookie)
        assert is_let_in(answer) and planted not in answer.headers["set-cookie"]
        assert read_session(store, planted) is None and picture(name, planted) == 403
        flags = answer.headers["set-cookie"].lower()
        assert "httponly" in flags and "samesite=strict" in flags and "path=/" in flags
        stolen = sign_in(store, name, f"{GOOD} of {name}", address="192.0.2.8", secret=SECRET)
        assert stolen is not None and picture(name, stolen) == 200
        how = rng.choice((reset_password, revoke_account))
        socket = sent_through(ctx, stolen, functools.partial(how, store, name, by=ADMIN))
        assert socket[0] == b"before" and b"after" not in socket and len(socket) == 3
        assert picture(name, stolen) == picture(name, own) == 403
        again = invite if how is revoke_account else reset_password
        _, shown = again(store, name, by=ADMIN)
        choose_password(store, shown, f"{GOOD} of {name}")
        assert picture(name, stolen) == 403  # the same password is no way back
    told(besieged)


def sent_through(ctx: Any, cookie: str, then: Any) -> list[bytes]:
    """Return what a page is given of three messages, with something done after the first."""
    sent, given = iter((b"before", b"after", b"after")), []
    headers = [(b"cookie", f"{ctx.tokens.session_cookie}={cookie}".encode())]
    scope = {"type": "websocket", "path": "/_stcore/stream", "headers": headers}

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.receive", "bytes": next(sent)}

    async def page(scope: Any, receive: Any, send: Any) -> None:
        given.append((await receive())["bytes"])
        then()
        given.extend([(await receive())["bytes"] for _ in range(2)])

    watch = SessionMiddleware(page, user_of=account_of(ctx))
    run_apart(watch(scope, receive, None))  # type: ignore[arg-type]
    return given
