"""Tokens of programs and accounts of people, shown, made and revoked on the page Team."""

from urllib.parse import urlsplit

import streamlit as st

from synthstudio.core.errors import Refused, StudioError
from synthstudio.core.places import is_own_name
from synthstudio.review.models import utc_now
from synthstudio.review.team.accounts import (
    CODE_DAYS,
    accounts,
    code_link,
    grantable_roles,
    invite,
    reset_password,
    revoke_account,
)
from synthstudio.review.team.members import (
    MAX_TOKEN_DAYS,
    TOKEN_DAYS,
    Token,
    checked_name,
    make_token,
    revoke_token,
    tokens,
)
from synthstudio.review.values import ROLES, User, may, require
from synthstudio.studio import guard
from synthstudio.studio.context import Context, browser, user_now
from synthstudio.studio.page_parts import (
    empty_state,
    plain,
    show_refusal,
    show_table,
    shown_refusals,
)
from synthstudio.studio.settings import LOCAL

_KEY = "token_"
_RESULT, _SHOWN = "token_message", "account_link"
"""Result of the last form: what is shown and its secret, or its refusal; shown once."""


def show_tokens(ctx: Context, me: User) -> None:
    st.markdown(
        "A token lets a program act for a person, with that person's role or a lower one. API: "
        "`/api/v1/docs`."
    )
    if not _proven(ctx):
        st.info("Enter the server's key on the left first.")
        return
    _make_form(ctx, me)
    _show_list(ctx, me)
    st.session_state.pop(_RESULT, None)  # only now: a run that ends earlier must show it again


def _proven(ctx: Context) -> bool:
    return ctx.signed_in or ctx.keys.get(browser()) is not None


def _show_list(ctx: Context, me: User) -> None:
    now = utc_now()
    mine = None if may(me.role, "tokens") else me.name
    found = [one for one in tokens(ctx.store, who=mine) if one.holds(now)]
    if not found:
        empty_state("No active tokens.")
        return
    lines = [
        {
            "number": one.id,
            "of": one.who,
            "role at most": one.role,
            "for": one.label,
            "made by": one.by,
            "until": f"{one.until:%Y-%m-%d}",
        }
        for one in found
    ]
    show_table(lines, "Active tokens")
    _revoke_token_form(ctx, me, found)


def _make_form(ctx: Context, me: User) -> None:
    with st.form("team_token", border=True):
        who, label, role, days, go = st.columns([3, 3, 2, 2, 2], vertical_alignment="bottom")
        if may(me.role, "tokens"):
            who.text_input("Owner", value=me.name, max_chars=64, key=f"{_KEY}of_{me.name}")
        else:
            who.markdown(plain(f"Owner: {me.name}"))
        label.text_input("Purpose", max_chars=80, placeholder="nightly export", key=f"{_KEY}label")
        some = ROLES[: ROLES.index(me.role) + 1]
        role.selectbox("Role at most", some, index=len(some) - 1, key=f"{_KEY}role")
        days.number_input(
            "Days", min_value=1, max_value=MAX_TOKEN_DAYS, value=TOKEN_DAYS, key=f"{_KEY}days"
        )
        # Before the page is drawn: a run in between keeps the token until it was shown.
        go.form_submit_button("Make", width="stretch", on_click=_make, args=(ctx, me.name))
    _show_result(me, _RESULT)


def _make(ctx: Context, by: str) -> None:
    """Make the form's token, if the user is still permitted; keep it, or the refusal."""
    if not _proven(ctx):
        return
    given = {name: st.session_state[f"{_KEY}{name}"] for name in ("label", "role", "days")}
    me = user_now(ctx, by)
    try:
        name = checked_name(st.session_state[f"{_KEY}of_{by}"] if may(me.role, "tokens") else by)
        if ctx.role_by_token(name) is None:
            raise StudioError(
                "only members have tokens",
                where="name",
                expected="a person with a role on this page",
                got=repr(name),
                then="Give that person a role under Members first.",
            )
        made, text = make_token(
            ctx.store,
            name,
            role=given["role"],
            by=me,
            label=given["label"].strip() or "token",
            days=int(given["days"]),
        )
    except (Refused, StudioError) as error:
        st.session_state[_RESULT] = error
        return
    guard.LOG.info("token %d of %s by %s", made.id, ascii(made.who), ascii(me.name))
    st.session_state[_RESULT] = ("This is the token; it is not shown again.", text)


def _revoke_token_form(ctx: Context, me: User, found: list[Token]) -> None:
    with st.form("team_revoke", border=True):
        which, go = st.columns([8, 2], vertical_alignment="bottom")
        words = {one.id: f"{one.id}: {one.who}, {one.label}" for one in found}
        number = which.selectbox("Token to revoke", list(words), format_func=lambda n: words[n])
        sent = go.form_submit_button("Revoke", width="stretch")
    if not sent:
        return
    with shown_refusals(me):
        ended = revoke_token(ctx.store, int(number), by=me)
        guard.LOG.info("token %d of %s revoked by %s", ended.id, ascii(ended.who), ascii(me.name))
        st.rerun()


def show_accounts(ctx: Context, me: User) -> None:
    st.markdown(
        "An invited person opens the link, chooses a password and becomes a member. A link works "
        f"once, for {CODE_DAYS} days."
    )
    if may(me.role, "invite"):
        _invite_form(ctx, me)
    found = accounts(ctx.store)
    if may(me.role, "accounts"):
        _reset_form(ctx, me, [one.name for one in found if one.state in ("active", "reset")])
    _show_result(me, _SHOWN)
    if not found:
        empty_state("No accounts yet.")
        st.session_state.pop(_SHOWN, None)
        return
    lines = [
        {
            "name": one.name,
            "role": one.role or "none",
            "state": one.state,
            "signed in": one.sessions,
            "by": one.by,
            "since": f"{one.made:%Y-%m-%d}",
            "link until": f"{one.until:%Y-%m-%d}" if one.until else "",
            "locked until (UTC)": f"{one.blocked_until:%H:%M:%S}" if one.blocked_until else "",
        }
        for one in found
    ]
    show_table(lines, "Accounts")
    st.session_state.pop(_SHOWN, None)  # only now: a run that ends earlier must show it again
    if may(me.role, "accounts"):
        _revoke_account_form(ctx, me, [one.name for one in found if one.state != "revoked"])


def _invite_form(ctx: Context, me: User) -> None:
    with st.form("account_invite", border=True):
        who, role, go = st.columns([4, 3, 2], vertical_alignment="bottom")
        text = who.text_input("Name to sign in by", max_chars=64)
        some = grantable_roles(me)
        given = role.selectbox("Role of the new member", some, index=min(1, len(some) - 1))
        sent = go.form_submit_button("Invite", width="stretch")
    if not sent:
        return
    try:
        name = checked_name(text)
        ctx.check_free(name)
        if name in ctx.settings.admins:
            require(me, "accounts")  # an admin by the studio's options
            given = "admin"
        code, shown = invite(ctx.store, name, role=given, by=me)
    except (Refused, StudioError) as error:
        st.session_state[_SHOWN] = error
        return
    guard.LOG.info("%s invited as %s by %s", ascii(name), code.role, ascii(me.name))
    _keep_link(ctx, name, shown)


def _reset_form(ctx: Context, me: User, names: list[str]) -> None:
    name = _name_form("Password to reset", "Reset", names)
    if name is None:
        return
    try:
        _, shown = reset_password(ctx.store, name, by=me)
    except Refused as error:
        st.session_state[_SHOWN] = error
        return
    guard.LOG.info("password of %s reset by %s", ascii(name), ascii(me.name))
    _keep_link(ctx, name, shown)


def _keep_link(ctx: Context, name: str, text: str) -> None:
    about = f"Link for {plain(name)}; it is not shown again."
    st.session_state[_SHOWN] = (about, code_link(_origin(ctx), text))


def _show_result(me: User, key: str) -> None:
    shown = st.session_state.get(key)
    if isinstance(shown, tuple):
        about, secret = shown
        st.success(about)
        st.code(secret, language=None)
    elif shown is not None:
        show_refusal(shown, user=me.name)


def _revoke_account_form(ctx: Context, me: User, names: list[str]) -> None:
    name = _name_form("Account or invitation to revoke", "Revoke", names)
    if name is None:
        return
    with shown_refusals(me):
        revoke_account(ctx.store, name, by=me)
        guard.LOG.info("account of %s revoked by %s", ascii(name), ascii(me.name))
        st.rerun()


def _name_form(label: str, action: str, names: list[str]) -> str | None:
    if not names:
        return None
    with st.form(f"account_{action.lower()}", border=True):
        who, go = st.columns([7, 2], vertical_alignment="bottom")
        name = who.selectbox(label, names, index=None, format_func=plain)
        sent = go.form_submit_button(action, width="stretch")
    return name if sent else None


def _origin(ctx: Context) -> str:
    """The address as configured, else the page's, with 127.0.0.1 for a browser's own host name."""
    if ctx.settings.url:
        return ctx.settings.url
    parts = urlsplit(st.context.url or "")
    at = f"{LOCAL}:{parts.port}" if is_own_name(parts.hostname) else parts.netloc
    return f"{parts.scheme}://{at}" if at else ""
