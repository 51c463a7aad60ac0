"""Accounts on the page Team: leads invite, admins reset passwords and revoke accounts."""

from __future__ import annotations

from urllib.parse import urlsplit

import streamlit as st

from synthstudio.core.errors import Refused, StudioError
from synthstudio.review.names import checked_name
from synthstudio.review.team.accounts import (
    CODE_DAYS,
    Account,
    accounts,
    code_link,
    invite,
    reset_password,
    revoke_account,
    roles_to_give,
)
from synthstudio.review.values import User, may, require
from synthstudio.studio import guard
from synthstudio.studio.context import Context
from synthstudio.studio.page_parts import empty_state, show_refusal
from synthstudio.studio.text import plain

_TO_REVOKE = "Account or invitation to revoke"
_SHOWN = "account_link"
"""What the last form made: (who it is for, the link), or why it made nothing; shown once."""


def show_accounts(ctx: Context, me: User) -> None:
    """Show who has an account or is invited; leads invite, admins reset and revoke."""
    st.markdown(
        "Who is invited opens the link, chooses a password and is a member from then on. A link "
        f"holds for {CODE_DAYS} days and once; give it to nobody else."
    )
    if may(me.role, "invite"):
        _invite_form(ctx, me)
    found = accounts(ctx.store)
    if may(me.role, "accounts"):
        _reset_form(ctx, me, [one.name for one in found if one.state in ("active", "reset")])
    _show_link(me)
    if not found:
        empty_state("Nobody has an account yet.")
        st.session_state.pop(_SHOWN, None)
        return
    st.dataframe(
        [account_line(one) for one in found],
        hide_index=True,
        width="stretch",
        row_height=30,
        alt="Accounts",
    )
    st.session_state.pop(_SHOWN, None)  # after it is drawn: until then another run shows it
    if may(me.role, "accounts"):
        _revoke_form(ctx, me, [one.name for one in found if one.state != "revoked"])


def account_line(one: Account) -> dict[str, object]:
    return {
        "name": one.name,
        "role": one.role or "none",
        "state": one.state,
        "signed in": one.sessions,
        "by": one.by,
        "since": f"{one.made:%Y-%m-%d}",
        "link until": f"{one.until:%Y-%m-%d}" if one.until else "",
        "waits until (UTC)": f"{one.waits_until:%H:%M:%S}" if one.waits_until else "",
    }


def _invite_form(ctx: Context, me: User) -> None:
    with st.form("account_invite", border=True):
        who, role, go = st.columns([4, 3, 2], vertical_alignment="bottom")
        text = who.text_input("Name to sign in by", max_chars=64)
        some = roles_to_give(me)
        given = role.selectbox("Role of the new member", some, index=min(1, len(some) - 1))
        sent = go.form_submit_button("Invite", width="stretch")
    if not sent:
        return
    try:
        name = checked_name(text)
        ctx.check_free(name)
        if name in ctx.settings.admins:
            require(me, "accounts")  # the start of the studio made that name an admin
            given = "admin"
        code, shown = invite(ctx.store, name, role=given, by=me)
    except (Refused, StudioError) as error:
        st.session_state[_SHOWN] = error
        return
    guard.LOG.info("%s invited as %s by %s", ascii(name), code.role, ascii(me.name))
    st.session_state[_SHOWN] = (name, code_link(_origin(ctx), shown))


def _reset_form(ctx: Context, me: User, names: list[str]) -> None:
    if not names:
        return
    with st.form("account_reset", border=True):
        who, go = st.columns([7, 2], vertical_alignment="bottom")
        name = who.selectbox("Password to reset", names, index=None, format_func=plain)
        sent = go.form_submit_button("Reset", width="stretch")
    if not sent or name is None:
        return
    try:
        _, shown = reset_password(ctx.store, name, by=me)
    except Refused as error:
        st.session_state[_SHOWN] = error
        return
    guard.LOG.info("password of %s reset by %s", ascii(name), ascii(me.name))
    st.session_state[_SHOWN] = (name, code_link(_origin(ctx), shown))


def _show_link(me: User) -> None:
    shown = st.session_state.get(_SHOWN)
    if isinstance(shown, tuple):
        name, link = shown
        st.success(f"This is the link for {plain(name)}. It is not shown again.")
        st.code(link, language=None)
    elif shown is not None:
        show_refusal(shown, user=me.name)


def _revoke_form(ctx: Context, me: User, names: list[str]) -> None:
    if not names:
        return
    with st.form("account_revoke", border=True):
        who, go = st.columns([7, 2], vertical_alignment="bottom")
        name = who.selectbox(_TO_REVOKE, names, index=None, format_func=plain)
        sent = go.form_submit_button("Revoke", width="stretch")
    if not sent or name is None:
        return
    try:
        revoke_account(ctx.store, name, by=me)
    except Refused as error:
        show_refusal(error, user=me.name)
        return
    guard.LOG.info("account of %s revoked by %s", ascii(name), ascii(me.name))
    st.rerun()


def _origin(ctx: Context) -> str:
    """Return where people open the studio: its own address, else that of this page."""
    if ctx.settings.url:
        return ctx.settings.url
    parts = urlsplit(st.context.url or "")
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
