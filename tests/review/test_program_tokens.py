"""Tokens of programs: whose, how long, what of them is stored; and the command that makes them."""

import json
from datetime import timedelta

import pytest
from review_ops import ADMIN, ANNA, GUEST, LEAD, at_time
from sqlalchemy import text
from typer.testing import CliRunner

from synthstudio.cli.review import app
from synthstudio.core.errors import Refused
from synthstudio.review.models import utc_now
from synthstudio.review.team.members import make_token, read_token, revoke_token, set_role, tokens
from synthstudio.review.team.sessions import hide_secrets


def test_made_shown_and_ended(store):
    made, shown = make_token(store, "anna", role="reviewer", by=ANNA, label="script", days=3)
    assert read_token(store, shown) == made and (made.who, made.role) == ("anna", "reviewer")
    assert at_time(utc_now() + timedelta(days=4), read_token, store, shown) is None
    assert read_token(store, shown[:-1]) is None and read_token(store, "") is None
    assert revoke_token(store, made.id, by=ANNA).revoked is not None
    assert read_token(store, shown) is None
    assert [t.id for t in tokens(store, who="anna")] == [made.id]
    with store.reading() as session:
        rows = session.execute(text("SELECT * FROM token")).all()
    assert shown not in repr(rows) and shown[4:20] not in repr(rows)
    assert hide_secrets(f"GET /x?t={shown} twice {shown}") == "GET /x?t=sst_... twice sst_..."


def test_who_may_make_which(store, monkeypatch):
    wrong = [("ben", "viewer", ANNA), ("anna", "lead", ANNA), ("lea", "admin", LEAD)]
    wrong += [("guest", "reviewer", GUEST), ("anna", "nobody", ADMIN), ("", "viewer", ADMIN)]
    for who, role, by in wrong:
        with pytest.raises(Refused):
            make_token(store, who, role=role, by=by)
    with pytest.raises(Refused, match="must expire"):
        make_token(store, "anna", role="viewer", by=ADMIN, days=0)
    made, shown = make_token(store, "ben", role="reviewer", by=ADMIN)
    with pytest.raises(Refused):
        revoke_token(store, made.id, by=ANNA)
    assert read_token(store, shown) is not None
    with pytest.raises(Refused, match="no such token"):
        revoke_token(store, 999, by=ADMIN)
    # No more than its person may.
    set_role(store, "ben", "reviewer", by=ADMIN)
    for role in ("lead", "admin"):
        with pytest.raises(Refused, match="its person's role"):
            make_token(store, "ben", role=role, by=ADMIN)
    assert [token.id for token in tokens(store)] == [made.id]
    for role in ("viewer", "reviewer"):
        assert make_token(store, "ben", role=role, by=ADMIN)[0].role == role
    monkeypatch.setattr("synthstudio.review.team.members.MAX_TOKENS_OF", 3)
    with pytest.raises(Refused, match="too many tokens"):
        make_token(store, "ben", role="viewer", by=ADMIN)
    assert make_token(store, "anna", role="viewer", by=ADMIN)


def test_the_command(tmp_path):
    db = f"sqlite:///{tmp_path / 'review.db'}"

    def run(*arguments):
        return CliRunner().invoke(app, [*arguments, "--db", db])

    assert run("members", "--set", "lea", "--role", "lead").exit_code == 0
    assert "no role yet" in str(run("token", "--make", "rea").exception)
    assert run("members", "--set", "rea", "--role", "reviewer").exit_code == 0
    made = json.loads(run("token", "--make", "rea", "--label", "nightly", "--json").stdout)
    assert made["token"].startswith("sst_") and made["tokens"][0]["role"] == "reviewer"
    assert "at most" in str(run("token", "--make", "rea", "--role", "admin").exception)
    listed = run("token").output
    assert "rea  reviewer  nightly  until" in listed and made["token"] not in listed
    assert "revoked" in run("token", "--revoke", "1").output
