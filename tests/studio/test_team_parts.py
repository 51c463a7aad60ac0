"""Tokens and accounts on the page Team: made, shown once, ended, each for whom it is meant."""

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
from synthstudio.review.team.accounts import accounts, choose_password
from synthstudio.review.tokens import make_token, tokens
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


def opened(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    role: str = "admin",
    *,
    me: User = ADA,
    signed_in: bool = True,
) -> AppTest:
    monkeypatch.setattr(context, "browser", lambda: "b")
    ctx = SimpleNamespace(
        store=store,
        signed_in=signed_in,
        keys={},
        with_accounts=False,
        tokens=SimpleNamespace(session_cookie="session"),
        role_in=lambda name, browser, session: role,
        role_by_token=lambda name: members.role_of(store, name),
    )
    return AppTest.from_function(page, args=(ctx, me), default_timeout=120).run()


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


def test_everybody_has_their_own_and_admins_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    members.set_role(store, "Rex", "reviewer", by=ADA)
    make_token(store, "Ada", role="admin", by=ADA, label="of Ada")
    rex = User(name="Rex", role="reviewer")
    app = opened(store, monkeypatch, "reviewer", me=rex)
    assert [text.label for text in app.text_input] == ["What it is for"]  # nobody else's
    assert not app.dataframe
    app.text_input[0].set_value("of Rex")
    app.button[0].click().run()
    (mine,) = tokens(store, who="Rex")
    assert (mine.role, mine.by, mine.label) == ("reviewer", "Rex", "of Rex")
    app.run()
    app.button[1].click().run()  # revokes the only one in the list
    assert tokens(store, who="Rex")[0].revoked and not tokens(store, who="Ada")[0].revoked
    app = opened(store, monkeypatch)
    for name, said in (("Rex", "at most the role of its person"), ("Zoe", "only members have")):
        app.text_input[0].set_value(name)
        app.button[0].click().run()
        assert said in app.error[0].value
    assert len(tokens(store)) == 2


def test_who_only_says_a_name_sees_no_token(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    make_token(store, "Ada", role="viewer", by=ADA, label="secret")
    app = opened(store, monkeypatch, signed_in=False)
    assert "server's key" in app.info[0].value and not app.button and not app.dataframe


def accounts_page(ctx, me):
    from synthstudio.studio.team_accounts import show_accounts

    show_accounts(ctx, me)


def with_accounts(store: Store, me: User) -> AppTest:
    settings = SimpleNamespace(admins=(), url="https://studio.example")
    ctx = SimpleNamespace(store=store, settings=settings, check_free=lambda name: None)
    return AppTest.from_function(accounts_page, args=(ctx, me), default_timeout=120).run()


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click()
    return app.run()


def test_leads_invite_and_admins_reset_and_revoke_accounts(store: Store) -> None:
    def state() -> str:
        return {one.name: one.state for one in accounts(store)}["lea"]

    ada = with_accounts(store, ADA)
    ada.text_input[0].set_value("lea")
    ada.selectbox[0].set_value("lead")
    link = press(ada, "Invite").code[0].value
    assert link.startswith("https://studio.example/invitation#") and state() == "invited"
    assert not ada.run().code  # shown once
    choose_password(store, PATTERN.findall(link)[0], "seven brown otters")
    lea = with_accounts(store, User(name="lea", role="lead"))
    assert [button.label for button in lea.button] == ["Invite"]
    for name, why in (("le\u0430", "mixes scripts"), ("Ada", "only an admin invites")):
        lea.text_input[0].set_value(name)
        assert why in press(lea, "Invite").error[0].value
    ada = with_accounts(store, ADA)
    reset, revoke = (1, 2)
    ada.selectbox[reset].set_value("lea")
    assert press(ada, "Reset").code and state() == "reset"
    ada.selectbox[revoke].set_value("lea")
    press(ada, "Revoke")
    assert state() == "revoked"
