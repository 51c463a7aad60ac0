"""Looking a session up while others write to the store."""

from __future__ import annotations

from argon2 import PasswordHasher
from review_ops import ADMIN

from synthstudio.review.models import SessionRow, utc_now
from synthstudio.review.secret_texts import digest
from synthstudio.review.store import BUSY_S
from synthstudio.review.team import passwords
from synthstudio.review.team.accounts import choose_password, invite
from synthstudio.review.team.sessions import IDLE, read_session, sign_in

GOOD = "seven brown otters"


def test_a_session_is_looked_up_while_somebody_writes_for_long(empty_store, monkeypatch):
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(1, 64, 1))
    choose_password(empty_store, invite(empty_store, "mia", by=ADMIN)[1], GOOD)
    shown = sign_in(empty_store, "mia", GOOD, address="192.0.2.1", secret=b"of the server")
    assert shown is not None
    later = utc_now() + IDLE / 2  # its use would be noted now
    with empty_store.session() as session:
        assert session.get(SessionRow, digest(shown), with_for_update=True) is not None
        assert read_session(empty_store, shown, now=later) == "mia"  # it does not wait
    assert read_session(empty_store, shown, now=later + IDLE) is None  # nobody noted it
    assert read_session(empty_store, shown, now=later) == "mia"
    assert read_session(empty_store, shown, now=later + IDLE / 2) == "mia"


def test_who_did_not_wait_leaves_a_connection_that_waits(empty_store):
    """Connections are used again: the next writer waits its turn as ever."""
    asked = "PRAGMA busy_timeout" if empty_store.engine.dialect.name == "sqlite" else None
    with empty_store.session(waits=False) as session:
        mine = session.connection().connection.dbapi_connection
    with empty_store.session() as session:
        again = session.connection()
        assert again.connection.dbapi_connection is mine
        found = again.exec_driver_sql(asked or "SHOW lock_timeout").scalar()
    assert found == (int(BUSY_S * 1000) if asked else f"{int(BUSY_S)}s")
