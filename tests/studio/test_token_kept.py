"""A token that was made is shown, whatever draws the page anew meanwhile."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from synthstudio.review.secret_texts import PATTERN
from synthstudio.review.store import Store, open_store
from synthstudio.review.team import members
from synthstudio.review.tokens import tokens
from synthstudio.review.values import User
from synthstudio.studio import context

ADA = User(name="Ada", role="admin")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{tmp_path}/review.db")) as opened:
        members.set_role(opened, "Ada", "admin", by=ADA)
        yield opened


def page(ctx, me):
    from synthstudio.studio.program_tokens import show_tokens

    show_tokens(ctx, me)


def opened(store: Store, monkeypatch: pytest.MonkeyPatch, role: str = "admin") -> AppTest:
    monkeypatch.setattr(context, "browser", lambda: "b")
    ctx = SimpleNamespace(
        store=store,
        signed_in=True,
        with_accounts=False,
        tokens=SimpleNamespace(session_cookie="session"),
        role_in=lambda name, browser, session: role,
        role_by_token=lambda name: members.role_of(store, name),
    )
    return AppTest.from_function(page, args=(ctx, ADA), default_timeout=120).run()


def test_a_page_drawn_anew_shows_the_token_that_was_made(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, success, calls = opened(store, monkeypatch), st.success, []

    def interrupted(text: str) -> None:
        calls.append(text)
        if len(calls) == 1:
            st.rerun()  # as something else that asks for it in this moment
        success(text)

    monkeypatch.setattr(st, "success", interrupted)
    app.button[0].click().run()
    assert PATTERN.fullmatch(app.code[0].value)
    assert len(calls) == 2 and len(tokens(store)) == 1
    assert not app.run().code  # once
    assert "token_said" not in app.session_state


def test_who_is_no_admin_any_more_makes_none_of_that_role(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(store, monkeypatch, role="reviewer")
    app.button[0].click().run()
    assert "a token has a role of those whom its maker has" in app.error[0].value
    assert tokens(store) == []
