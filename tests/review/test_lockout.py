"""Wrong tries are counted by account and address; after ten of them one waits, longer each time."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from review_ops import ADMIN, at_time, clock_at
from sqlalchemy import select

from synthstudio.review.models import FailureRow, utc_now
from synthstudio.review.team.accounts import accounts, choose_password, invite, reset_password
from synthstudio.review.team.sessions import (
    FREE,
    FREE_OF_ADDRESS,
    WINDOW,
    TooManyFailures,
    account_key,
    address_key,
    count_attempt,
    sign_in,
    unknown_key,
)

SECRET = b"of the server"
GOOD, WRONG = "seven brown otters", "eleven quiet herons"


pytestmark = pytest.mark.usefixtures("cheap_hashes")


@pytest.fixture
def mia(empty_store):
    choose_password(empty_store, invite(empty_store, "mia", by=ADMIN)[1], GOOD)
    return empty_store


def enter(store, now, name="mia", password=GOOD, address="192.0.2.7"):
    return at_time(now, sign_in, store, name, password, address=address, secret=SECRET)


def guess(store, now, name="mia", address="192.0.2.7", times=1):
    for _ in range(times):
        assert enter(store, now, name, WRONG, address) is None


@pytest.mark.parametrize("name", ["mia", "nobody"])
def test_an_account_waits_wherever_one_asks_from(mia, name):
    now = utc_now()
    for number in range(FREE):
        guess(mia, now, name, address=f"192.0.2.{number}")
    with pytest.raises(TooManyFailures) as caught:
        enter(mia, now, name, address="198.51.100.1")  # the right one waits too
    assert caught.value.wait == timedelta(seconds=30)
    guess(mia, now, "rex", address="198.51.100.1")  # others do not
    for wait in (60, 120, 240):
        now += caught.value.wait
        guess(mia, now, name, address=f"198.51.100.{wait}")
        with pytest.raises(TooManyFailures) as caught:
            enter(mia, now, name, address="198.51.100.9")
        assert caught.value.wait == timedelta(seconds=wait)


def test_an_address_waits_whomever_one_tries(mia):
    now = utc_now()
    for number in range(FREE_OF_ADDRESS):
        guess(mia, now, f"name {number}")
        if number < FREE_OF_ADDRESS - 1:  # signing in rightly makes no guess undone
            assert enter(mia, now) is not None
    with pytest.raises(TooManyFailures) as caught:
        enter(mia, now)
    assert caught.value.wait == timedelta(seconds=30)
    assert enter(mia, now, address="192.0.2.8") is not None


def test_wrong_tries_are_forgotten(mia):
    now = utc_now()
    guess(mia, now, times=FREE - 1)
    assert enter(mia, now, address="192.0.2.9") is not None
    guess(mia, now, address="192.0.2.10", times=FREE - 1)  # by the right one, for the account
    guess(mia, now + WINDOW + timedelta(seconds=1), times=FREE)  # by time
    with pytest.raises(TooManyFailures):
        guess(mia, now + WINDOW + timedelta(seconds=1))


def test_right_tries_keep_no_wrong_ones_alive(mia):
    """A typo now and then among right ones never adds up to a wait."""
    now = utc_now()
    for number in range(FREE_OF_ADDRESS + 2):
        guess(mia, now, f"typo {number}")
        for _ in range(3):
            now += WINDOW / 2
            assert enter(mia, now, address="192.0.2.7") is not None
    with mia.reading() as session:
        assert session.get_one(FailureRow, address_key("192.0.2.7")).wrong <= 2


def test_a_reset_lets_its_person_in(mia):
    now = utc_now()
    for number in range(FREE):
        guess(mia, now, address=f"192.0.2.{number}")
    assert at_time(now, accounts, mia)[0].blocked_until == now + timedelta(seconds=30)
    _, shown = reset_password(mia, "mia", by=ADMIN)
    choose_password(mia, shown, WRONG)
    assert enter(mia, now, "mia", WRONG, "198.51.100.1") is not None


@pytest.mark.nightly("threads race for an account")
def test_many_at_once_are_no_way_round(mia):
    def wrong_try(number):
        address = f"192.0.2.{number}"
        assert sign_in(mia, "mia", WRONG, address=address, secret=SECRET) is None

    with clock_at(utc_now()), ThreadPoolExecutor(8) as pool:
        tries = [pool.submit(wrong_try, k) for k in range(40)]
    found = [type(one.exception()) for one in tries]
    assert found.count(type(None)) == FREE and found.count(TooManyFailures) == 30


def rows(store):
    with store.reading() as session:
        return {row.key: row.wrong for row in session.scalars(select(FailureRow))}


@pytest.mark.parametrize(
    ("one", "free"),
    [({"address": "192.0.2.7"}, FREE_OF_ADDRESS), ({"name": "mia"}, FREE)],
)
def test_who_waits_writes_nothing(mia, monkeypatch, one, free):
    now = utc_now()

    def guess_once(number):
        guess(mia, now, **{"name": f"n{number}", "address": f"198.51.100.{number}"} | one)

    for number in range(free):
        guess_once(number)
    before = rows(mia)
    monkeypatch.setattr(type(mia), "session", None)  # a transaction that writes
    for number in range(60, 70):
        with pytest.raises(TooManyFailures):
            guess_once(number)
    assert rows(mia) == before


def test_what_is_typed_as_a_name_cannot_be_tried_out(mia):
    """People type passwords there: whoever has the store alone cannot tell which."""
    guess(mia, utc_now(), GOOD)
    guess(mia, utc_now())
    known = {hashlib.sha256(f"account {name}".encode()).hexdigest() for name in ("mia", GOOD)}
    assert set(rows(mia)) & known == {account_key("mia")}
    assert unknown_key(GOOD, SECRET) in rows(mia)
    assert unknown_key(GOOD, b"of another") not in rows(mia)


def test_addresses_of_one_network_are_one(empty_store):
    same = {address_key(text) for text in ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:0:9::")}
    assert len(same) == 1 and address_key("2001:db8:1::1") not in same
    assert address_key("::ffff:192.0.2.7") == address_key("192.0.2.7") != address_key("192.0.2.8")
    assert address_key("?") != account_key("?")
    now = utc_now()

    def wait(number):
        address = address_key(f"2001:db8::{number}")
        return count_attempt(
            empty_store, account=account_key(f"n{number}"), address=address, now=now
        ).wait

    assert not any(wait(number) for number in range(FREE_OF_ADDRESS)) and wait(77)
