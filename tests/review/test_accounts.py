"""Accounts: invitations, passwords and their hashes, sessions and when they end."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from review_ops import ADMIN, ANNA, LEAD, at_time
from sqlalchemy import text
from typer.testing import CliRunner
from waiting import PATIENCE_S

from synthstudio.cli import app
from synthstudio.core.errors import Refused
from synthstudio.review import store as review_store
from synthstudio.review.models import (
    AccountRow,
    CodeRow,
    DatasetRow,
    SessionRow,
    WebhookRow,
    utc_now,
)
from synthstudio.review.store import open_store
from synthstudio.review.team import sessions
from synthstudio.review.team.accounts import (
    accounts,
    choose_password,
    invite,
    read_code,
    reset_password,
    revoke_account,
)
from synthstudio.review.team.members import make_token, read_token, role_of, set_role
from synthstudio.review.team.sessions import IDLE, LONGEST, end_session, read_session, sign_in
from synthstudio.review.values import User
from synthstudio.review.webhooks import ON, webhooks

SECRET = b"of the server"
GOOD, OTHER = "seven brown otters", "eleven quiet herons"
HERE = "192.0.2.7"


pytestmark = pytest.mark.usefixtures("cheap_hashes")


@pytest.fixture
def store(empty_store):
    return empty_store


def account(store, name="mia", password=GOOD, role="reviewer"):
    _, shown = invite(store, name, role=role, by=ADMIN)
    assert choose_password(store, shown, password) == name


def enter(store, name="mia", password=GOOD, **more):
    return sign_in(store, name, password, address=HERE, secret=SECRET, **more)


def test_an_invitation_becomes_an_account(store):
    code, shown = invite(store, "mia", role="reviewer", by=LEAD)
    assert (code.name, code.role, code.by, code.kind) == ("mia", "reviewer", "lea", "invitation")
    assert code.until - code.made == timedelta(days=7)
    assert read_code(store, shown) == code and role_of(store, "mia") is None
    (listed,) = accounts(store)
    assert (listed.name, listed.state, listed.role) == ("mia", "invited", "reviewer")
    assert enter(store) is None
    assert choose_password(store, shown, GOOD) == "mia"
    assert role_of(store, "mia") == "reviewer"
    session = enter(store)
    assert read_session(store, session) == "mia"
    (listed,) = accounts(store)
    assert (listed.state, listed.sessions, listed.until) == ("active", 1, None)
    with pytest.raises(Refused, match="invalid or expired"):
        choose_password(store, shown, OTHER)  # once
    assert enter(store, password=OTHER) is None and enter(store) is not None


def test_an_invitation_ends(store):
    now = utc_now()
    _, shown = at_time(now, invite, store, "mia", by=LEAD)
    later = now + timedelta(days=7)
    assert at_time(later - timedelta(seconds=1), read_code, store, shown) is not None
    assert at_time(later, read_code, store, shown) is None
    with pytest.raises(Refused, match="invalid or expired"):
        at_time(later, choose_password, store, shown, GOOD)
    _, second = invite(store, "mia", by=LEAD)
    _, third = invite(store, "mia", by=LEAD)
    assert [read_code(store, one) is None for one in (shown, second, third)] == [True, True, False]
    wrong = ["", "ssi_", third[:-1], third + "A", third.swapcase(), third.replace("ssi", "sst")]
    assert [read_code(store, one) for one in wrong] == [None] * 6


def test_who_may_invite_whom(store):
    set_role(store, "ada", "admin", by=ADMIN)
    set_role(store, "ben", "viewer", by=ADMIN)
    wrong = [("mia", "reviewer", ANNA), ("mia", "lead", LEAD), ("mia", "admin", LEAD)]
    wrong += [("ada", "viewer", LEAD), ("ben", "viewer", LEAD)]  # or a lead could become an admin
    for name, role, by in (*wrong, ("mia", "boss", ADMIN), ("m\0ia", "viewer", ADMIN)):
        with pytest.raises(Refused):
            invite(store, name, role=role, by=by)
    assert accounts(store) == []
    _, shown = invite(store, "ada", role="viewer", by=ADMIN)
    choose_password(store, shown, GOOD)
    assert role_of(store, "ada") == "admin"  # a member keeps the role
    with pytest.raises(Refused, match="has an account"):
        invite(store, "ada", by=ADMIN)
    invite(store, "mia", role="lead", by=ADMIN)
    with pytest.raises(Refused, match="only an admin invites a revoked"):
        invite(store, "mia", role="viewer", by=LEAD)


BAD_PASSWORDS = {
    "too short": ("otters", "elevenchars"),
    "too long": ("x1y2" * 65,),
    "too common": ("password1234", "PassWord!!!!", "passwordpassword", "987654321098",
                  "Correct Horse Battery Staple"),
    "repeats itself": ("abababababab",),
    "is the name": ("Mia Arendt 1", "miaarendt2026", "tdnera aim 12"),
}  # fmt: skip


def test_what_may_be_a_password_and_what_may_not():
    for why, some in BAD_PASSWORDS.items():
        for bad in some:
            with pytest.raises(Refused, match=why) as caught:
                sessions.checked_password(bad, "Mia Arendt")
            assert bad not in str(caught.value)
    fine = (GOOD, "twelve chars", "p\u00e5 den tredje dagen", "x7" * 3 + "Zq!%aa")
    for good in (*fine, "\u7530" * 2 + GOOD):
        assert sessions.checked_password(good, "Mia") == good
    assert sessions.checked_password("\ufb01nding otters", "Mia") == "finding otters"  # NFKC


def test_hashes_hold_their_parameters_and_are_renewed(store, monkeypatch):
    account(store)

    def stored():
        with store.reading() as session:
            return session.get_one(AccountRow, "mia").password

    first = stored()
    assert first.startswith("$argon2id$v=19$m=64,t=1,p=1$") and GOOD not in first
    assert enter(store) is not None and stored() == first
    monkeypatch.setattr(sessions, "HASHER", PasswordHasher(2, 128, 1))
    assert enter(store, password=OTHER) is None and stored() == first
    assert enter(store) is not None
    assert stored().startswith("$argon2id$v=19$m=128,t=2,p=1$")


def test_no_name_is_told_from_another(store, monkeypatch):
    """An unknown name, a wrong password and a revoked account: one look at a password each."""
    account(store)
    account(store, "rex")
    revoke_account(store, "rex", by=ADMIN)
    invite(store, "new", by=ADMIN)
    looked = []

    class Counting(PasswordHasher):
        def verify(self, stored, password):
            looked.append(stored.split("$")[3])
            return super().verify(stored, password)

    monkeypatch.setattr(sessions, "HASHER", Counting(1, 64, 1))
    for name in ("mia", "nobody", "rex", "new", "", "mi\0a", "m" * 5000, "\ufffd"):
        before = len(looked)
        assert enter(store, name, OTHER) is None
        assert looked[before:] == ["m=64,t=1,p=1"], name
    assert enter(store, "nobody", "the password of no account") is None


def test_sessions_end(store):
    now = utc_now()
    account(store)
    session = at_time(now, enter, store)
    read = lambda after, text=session: at_time(now + after, read_session, store, text)  # noqa: E731
    assert read(timedelta(0)) == "mia"
    assert read(IDLE) is None and read(IDLE - timedelta(seconds=1)) == "mia"
    assert read(IDLE + timedelta(hours=1)) == "mia"  # it was in use just before
    at = timedelta(0)
    while at < LONGEST - IDLE:
        at += IDLE - timedelta(hours=1)
        assert read(at) == "mia"
    assert read(LONGEST - timedelta(seconds=1)) == "mia"
    assert read(LONGEST) is None  # however much it was used
    other = enter(store)
    for ended in (other, other, "no session"):
        end_session(store, ended)
    assert read_session(store, other) is None
    for wrong in ("", "sss_", session[:-1], session + "A", session.swapcase(), "x" * 5000):
        assert at_time(now, read_session, store, wrong) is None
    # Each sign-in makes a new one.
    planted = "sss_" + "A" * 43
    first = enter(store, old=planted)
    assert first != planted and read_session(store, planted) is None
    second = enter(store, old=first)
    assert second != first and read_session(store, first) is None
    third = enter(store)
    assert read_session(store, second) == read_session(store, third) == "mia"


def test_a_reset_ends_all_at_once(store):
    account(store)
    account(store, "rex")
    mine, also, others = enter(store), enter(store), enter(store, "rex")
    _, token = make_token(store, "mia", role="reviewer", by=ADMIN)
    for by in (ANNA, LEAD):
        with pytest.raises(Refused, match="may not manage accounts"):
            reset_password(store, "mia", by=by)
    code, shown = reset_password(store, "mia", by=ADMIN)
    assert code.kind == "reset"
    assert read_session(store, mine) is None and read_session(store, also) is None
    assert read_session(store, others) == "rex" and read_token(store, token) is not None
    assert enter(store) is None  # the old password is nothing any more
    assert [a.state for a in accounts(store)] == ["reset", "active"]
    set_role(store, "mia", "lead", by=ADMIN)
    choose_password(store, shown, OTHER)
    assert enter(store, password=OTHER) is not None and role_of(store, "mia") == "lead"
    with pytest.raises(Refused, match="no such account"):
        reset_password(store, "nobody", by=ADMIN)


def test_a_revoked_account(store):
    account(store, role="admin")
    with pytest.raises(Refused, match="last admin"):
        revoke_account(store, "mia", by=ADMIN)
    account(store, "ada", role="admin")
    _, token = make_token(store, "mia", role="reviewer", by=ADMIN)
    session = enter(store)
    _, unused = reset_password(store, "mia", by=ADMIN)
    with pytest.raises(Refused):
        revoke_account(store, "mia", by=LEAD)
    revoke_account(store, "mia", by=ADMIN)
    revoke_account(store, "mia", by=ADMIN)
    assert read_session(store, session) is None and read_code(store, unused) is None
    assert read_token(store, token) is None and enter(store) is None
    assert [a.state for a in accounts(store)] == ["active", "revoked"]
    with pytest.raises(Refused):
        invite(store, "mia", by=LEAD)
    _, shown = invite(store, "mia", by=ADMIN)  # an admin may let somebody in again
    choose_password(store, shown, OTHER)
    assert enter(store, password=OTHER) is not None
    invite(store, "new", by=LEAD)
    revoke_account(store, "new", by=ADMIN)
    assert [a.name for a in accounts(store)] == ["ada", "mia"]
    with pytest.raises(Refused, match="no such account"):
        revoke_account(store, "new", by=ADMIN)


def test_codes_end_with_the_role_of_their_maker_and_give_no_more_than_it(store):
    lou = User(name="lou", role="lead")
    for name in ("lea", "lou"):
        set_role(store, name, "lead", by=ADMIN)
    for role in ("viewer", "reviewer", None):
        shown = {by.name: invite(store, f"for {by.name}", by=by)[1] for by in (LEAD, lou)}
        set_role(store, "lea", "lead", by=ADMIN)  # as before
        assert read_code(store, shown["lea"]) is not None
        set_role(store, "lea", role, by=ADMIN)
        assert read_code(store, shown["lea"]) is None and read_code(store, shown["lou"]) is not None
        with pytest.raises(Refused, match="invalid or expired"):
            choose_password(store, shown["lea"], GOOD)
        set_role(store, "lea", "lead", by=ADMIN)
    _, shown = invite(store, "mia", role="reviewer", by=LEAD)
    set_role(store, "mia", "admin", by=ADMIN)
    with pytest.raises(Refused, match="invalid or expired"):
        choose_password(store, shown, GOOD)


@pytest.mark.parametrize("how", ["lead", None, "revoked"])
def test_what_an_admin_made_for_others_ends_with_the_role(store, how):
    ivy = User(name="ivy", role="admin")
    for name in ("ivy", "eve"):
        set_role(store, name, "admin", by=ADMIN)
    account(store, "ivy")
    account(store, "eve")
    account(store)
    _, own = make_token(store, "ivy", role="viewer", by=ivy)
    _, planted = make_token(store, "eve", role="admin", by=ivy)
    _, others = make_token(store, "mia", role="reviewer", by=ADMIN)
    _, shown = reset_password(store, "mia", by=ivy)
    hook = {"url": "https://a.example/", "made": utc_now(), "salt": "x", "last": 0, "state": ON}
    with store.session() as session:
        key, now = "5e" * 32, utc_now()
        session.add(DatasetRow(key=key, name="a", skeleton="coco17", people=6, added_at=now))
        session.flush()
        session.add_all(WebhookRow(dataset=key, by=by, due=now, **hook) for by in ("ivy", "eve"))
    if how == "revoked":
        revoke_account(store, "ivy", by=ADMIN)
    else:
        set_role(store, "ivy", how, by=ADMIN)
    assert read_code(store, shown) is None and read_token(store, planted) is None
    assert read_token(store, others) is not None
    assert (read_token(store, own) is None) == (how == "revoked")
    assert [row.by for row in webhooks(store, key, by=ADMIN)] == ["eve"]


def test_nothing_that_lets_in_is_stored(store):
    account(store)
    session = enter(store)
    _, shown = invite(store, "new", by=ADMIN)
    with store.reading() as reading:
        tables = ("account", "account_code", "sign_in", "sign_in_tries")
        rows = [reading.execute(text(f"SELECT * FROM {name}")).all() for name in tables]
    assert all(rows)
    for secret in (GOOD, session[4:], shown[4:]):
        assert secret not in repr(rows)


def test_the_commands(tmp_path):
    db = f"sqlite:///{tmp_path / 'review.db'}"

    def run(*arguments):
        return CliRunner().invoke(app, ["review", *arguments, "--db", db])

    for look in (["accounts"], ["reset-password", "mia"], ["members"], ["token"]):
        assert "no review store here" in str(run(*look).exception)
    open_store(db).close()
    assert "no accounts" in run("accounts").output
    made = run("invite", "mia", "--role", "lead", "--url", "https://studio.example/", "--json")
    origin, _, shown = json.loads(made.stdout)["link"].partition("#")
    assert origin == "https://studio.example/invitation" and shown.startswith("ssi_")
    assert "mia  lead  invited  link until" in run("accounts").output
    for wrong in ("http://studio.example", "https://a/b", "https://[", "//a"):
        assert "not a studio URL" in str(run("invite", "a", "--url", wrong).exception)
    with closing(open_store(db)) as store:
        choose_password(store, shown, GOOD)
        session = enter(store)
        again = run("reset-password", "mia")
        assert "signed out everywhere" in again.output and "\n/invitation#ssi_" in again.output
        assert read_session(store, session) is None
        (row,) = json.loads(run("accounts", "--json").stdout)["accounts"]
        assert (row["name"], row["state"], row["role"]) == ("mia", "reset", "lead")
        assert shown not in run("accounts").output
        assert "mia  lead  revoked" in run("accounts", "--revoke", "mia").output
    assert "no such account" in str(run("reset-password", "mia").exception)


def test_a_session_is_looked_up_while_somebody_writes_for_long(store, monkeypatch):
    account(store)
    monkeypatch.setattr(review_store, "BUSY_S", 3600.0)  # who waits, hangs
    other = open_store(store.url)
    shown = enter(store)
    later = utc_now() + IDLE / 2  # its use would be noted now
    with store.session() as session:
        assert session.get(SessionRow, sessions.digest(shown), with_for_update=True) is not None
        assert at_time(later, read_session, other, shown) == "mia"
    other.close()
    assert at_time(later + IDLE, read_session, store, shown) is None  # nobody noted it
    assert at_time(later, read_session, store, shown) == "mia"
    assert at_time(later + IDLE / 2, read_session, store, shown) == "mia"


def test_an_invitation_takes_no_account_over(store):
    """Whatever wrote the code: not for somebody who has a password."""
    shown = sessions.make_secret(sessions.CODE)
    choose_password(store, invite(store, "mia", by=LEAD)[1], GOOD)
    now = utc_now()
    row = {"name": "mia", "kind": "invitation", "role": "reviewer", "by": "lea", "made": now}
    with store.session() as session:
        session.add(CodeRow(digest=sessions.digest(shown), until=now + timedelta(days=1), **row))
    with pytest.raises(Refused, match="invalid or expired"):
        choose_password(store, shown, OTHER)
    assert enter(store) is not None


@pytest.mark.nightly("two threads race for an account")
def test_an_invitation_that_is_used_and_ended_at_once_leaves_no_account(store, monkeypatch):
    inside, real = threading.Event(), sessions.delete_failures

    def slow(session, key):
        real(session, key)
        session.flush()
        inside.set()
        threading.Event().wait(0.7)  # the other one asks meanwhile, and waits for this one

    monkeypatch.setattr(sessions, "delete_failures", slow)
    _, shown = invite(store, "mia", by=LEAD)
    with ThreadPoolExecutor(1) as pool:
        chosen = pool.submit(choose_password, store, shown, GOOD)
        assert inside.wait(PATIENCE_S)
        revoke_account(store, "mia", by=ADMIN)
        chosen.result()
    assert [a.state for a in accounts(store)] == ["revoked"]
    assert enter(store) is None
