"""Two who change the same account at once: one after the other, and both hear what became of it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from review_ops import ADMIN, LEAD, refused
from waiting import PATIENCE_S

from synthstudio.core.errors import Refused
from synthstudio.review.models import CodeRow, utc_now
from synthstudio.review.secret_texts import CODE, digest, make_secret
from synthstudio.review.team import lockout
from synthstudio.review.team.accounts import (
    accounts,
    choose_password,
    invite,
    read_code,
    reset_password,
    revoke_account,
)
from synthstudio.review.team.sessions import sign_in

pytestmark = pytest.mark.nightly("two threads race for an account")

SECRET = b"of the server"
GOOD, OTHER = "seven brown otters", "eleven quiet herons"


pytestmark = pytest.mark.usefixtures("cheap_hashes")


@pytest.fixture
def paused(monkeypatch):
    """Return what is set when the first transaction stands just before its end, and waits there."""
    inside, real = threading.Event(), lockout.forget

    def slow(session, key):
        real(session, key)
        if not inside.is_set():
            session.flush()
            inside.set()
            threading.Event().wait(0.7)  # the other one asks meanwhile, and waits for this one

    monkeypatch.setattr(lockout, "forget", slow)
    return inside


def state(store, name="mia"):
    return {a.name: a.state for a in accounts(store)}.get(name)


def test_nobody_is_invited_into_an_account_that_is_just_made(empty_store, paused):
    store = empty_store
    _, shown = invite(store, "mia", by=LEAD)
    with ThreadPoolExecutor(1) as pool:
        chosen = pool.submit(choose_password, store, shown, GOOD)
        assert paused.wait(PATIENCE_S)
        with pytest.raises(Refused):
            invite(store, "mia", by=LEAD)
        assert chosen.result() == "mia"
    assert accounts(store)[0].until is None  # no code is left


def test_an_invitation_takes_no_account_over(empty_store):
    """Whatever wrote the code: not for somebody who has a password."""
    store, text = empty_store, make_secret(CODE)
    choose_password(store, invite(store, "mia", by=LEAD)[1], GOOD)
    now = utc_now()
    row = {"name": "mia", "kind": "invitation", "role": "reviewer", "by": "lea", "made": now}
    with store.session() as session:
        session.add(CodeRow(digest=digest(text), until=now + timedelta(days=1), **row))
    with pytest.raises(Refused, match="does not hold"):
        choose_password(store, text, OTHER)
    assert sign_in(store, "mia", GOOD, address="192.0.2.7", secret=SECRET) is not None


def test_an_invitation_that_is_used_and_ended_at_once_leaves_no_account(empty_store, paused):
    store = empty_store
    _, shown = invite(store, "mia", by=LEAD)
    with ThreadPoolExecutor(1) as pool:
        chosen = pool.submit(choose_password, store, shown, GOOD)
        assert paused.wait(PATIENCE_S)
        revoke_account(store, "mia", by=ADMIN)
        chosen.result()
    assert state(store) == "revoked"
    assert sign_in(store, "mia", GOOD, address="192.0.2.7", secret=SECRET) is None


def test_a_reset_and_the_use_of_an_earlier_one_do_not_wait_for_each_other(empty_store, paused):
    store = empty_store
    paused.set()  # no pause yet
    choose_password(store, invite(store, "mia", by=LEAD)[1], GOOD)
    _, first = reset_password(store, "mia", by=ADMIN)
    paused.clear()
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(reset_password, store, "mia", by=ADMIN)
        assert paused.wait(PATIENCE_S)
        with refused("gone"):
            choose_password(store, first, OTHER)
        assert read_code(store, second.result()[1]) is not None
    assert state(store) == "reset"
