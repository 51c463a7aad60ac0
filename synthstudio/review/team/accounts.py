"""Accounts with passwords: invitations, choosing a password by a code, resets, revocations.

A code is shown once, expires after seven days and is used once. Its holder chooses the password of
that account, so a code grants at most the role that its maker may grant.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from synthstudio.core.errors import Refused
from synthstudio.review.models import (
    AccountRow,
    CodeRow,
    MemberRow,
    SessionRow,
    TokenRow,
    utc_now,
)
from synthstudio.review.store import Store, advisory_lock
from synthstudio.review.team import sessions
from synthstudio.review.team.members import (
    TEAM_LOCK,
    check_free,
    checked_name,
    last_admin,
    members,
    revoke_grants,
)
from synthstudio.review.team.sessions import CODE, digest, is_secret, make_secret
from synthstudio.review.values import (
    ROLES,
    Role,
    User,
    invalid,
    may,
    read_row,
    require,
    to_role,
)

CODE_DAYS = 7
SIGN_IN_PAGE, CODE_PAGE = "/sign-in", "/invitation"
State = Literal["active", "invited", "reset", "revoked"]


@dataclass(frozen=True, kw_only=True)
class Code:
    """A code without its text. `kind`: "invitation" or "reset"; `role`: the maximum."""

    name: str
    kind: str
    role: Role
    by: str
    made: datetime
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account, or an invitation. `role` None: not a member.

    `state`: "active" has a password, "invited" never had one, "reset" must choose a new one,
    "revoked" may not sign in. `until`: expiry of the code to choose a password, None for none.
    `sessions`: browsers that are signed in. `blocked_until`: after failed sign-ins; None: no.
    """

    name: str
    role: Role | None
    state: State
    by: str
    made: datetime
    until: datetime | None
    sessions: int
    blocked_until: datetime | None


def code_link(origin: str, text: str) -> str:
    """The link to choose a password; the code is in the fragment, which no server receives."""
    return f"{origin}{CODE_PAGE}#{text}"


def grantable_roles(by: User) -> tuple[Role, ...]:
    """The roles that an inviting user can grant."""
    return ROLES if by.role == "admin" else ROLES[: ROLES.index(by.role)]


def invite(store: Store, name: str, *, role: Role = "reviewer", by: User) -> tuple[Code, str]:
    """Invite a person; return the code and its text, which is not stored.

    `name`: sign-in name, not confusable with another. Leads invite new people up to
    a reviewer's role; admins anyone with any role. Existing members
    keep their role. Earlier codes of the name expire. Refused: "role", "invalid".
    """
    require(by, "invite")
    name = checked_name(name)
    given = grantable_roles(by)
    if role not in given:
        invalid("you cannot invite to this role", "role", expected=", ".join(given), got=role)
    with store.session() as session:
        advisory_lock(session, TEAM_LOCK)
        columns = (MemberRow.name, AccountRow.name, CodeRow.name)
        check_free(name, {one for column in columns for one in session.scalars(select(column))})
        member = session.get(MemberRow, name)
        if member is not None:
            # Else a lead could become an admin without account.
            _require_admin(by, "invites a member")
            role = to_role(member.role)
        row = session.get(AccountRow, name)
        if row is not None and row.revoked is None:
            invalid("this person has an account", "name", expected="a person without one", got=name)
        roles = session.scalars(select(CodeRow.role).where(CodeRow.name == name))
        if row is not None or any(to_role(one) not in given for one in roles):
            _require_admin(by, "invites a revoked account, or one with a higher role")
        return _new_code(session, name, kind="invitation", role=role, by=by)


def reset_password(store: Store, name: str, *, by: User) -> tuple[Code, str]:
    """Reset a password and end all sessions; return a new code, and its text."""
    require(by, "accounts")
    with store.session() as session:
        advisory_lock(session, TEAM_LOCK)
        row = session.get(AccountRow, name, with_for_update=True)
        if row is None or row.revoked is not None:
            raise _no_account(name, "Invite that person instead.")
        member = session.get(MemberRow, name)
        role = to_role("" if member is None else member.role)
        row.password = None
        session.execute(delete(SessionRow).where(SessionRow.name == name))
        sessions.delete_failures(session, sessions.account_key(name))
        return _new_code(session, name, kind="reset", role=role, by=by)


def revoke_account(store: Store, name: str, *, by: User) -> None:
    """Revoke password, sessions, tokens and codes of and by a person. Refused: "role", "gone",
    "invalid" for the last admin who can sign in."""
    require(by, "accounts")
    now = utc_now()
    with store.session() as session:
        advisory_lock(session, TEAM_LOCK)
        row = session.get(AccountRow, name, with_for_update=True)
        invited = session.scalar(select(CodeRow.digest).where(CodeRow.name == name).limit(1))
        session.execute(delete(CodeRow).where(or_(CodeRow.name == name, CodeRow.by == name)))
        if row is None:
            if invited is None:
                raise _no_account(name)
            return
        _check_not_last(session, row)
        row.password, row.revoked = None, row.revoked or now
        session.execute(delete(SessionRow).where(SessionRow.name == name))
        revoke_grants(session, or_(TokenRow.who == name, TokenRow.by == name), when=now, by=name)


def _check_not_last(session: Session, row: AccountRow) -> None:
    member = session.get(MemberRow, row.name)
    if member is None or member.role != "admin" or row.revoked is not None:
        return
    others = select(AccountRow.name).join(MemberRow, MemberRow.name == AccountRow.name)
    others = others.where(MemberRow.role == "admin", AccountRow.name != row.name)
    if session.scalar(others.where(AccountRow.password.is_not(None)).limit(1)) is None:
        raise last_admin(row.name)


def read_code(store: Store, text: str) -> Code | None:
    """The code of a text, None if invalid or expired."""
    if not is_secret(CODE, text):
        return None
    with store.reading() as session:
        row = session.get(CodeRow, digest(text))
        return None if row is None or row.until <= utc_now() else read_row(Code, row)


def choose_password(store: Store, text: str, password: str) -> str:
    """Set password and role of a code's account; return the name. Refused: "gone", "invalid"."""
    found = read_code(store, text)
    if found is None:
        raise _no_code()
    stored = sessions.HASHER.hash(sessions.checked_password(password, found.name))
    now = utc_now()
    with store.session() as session:
        advisory_lock(session, TEAM_LOCK)
        row = session.get(CodeRow, digest(text), with_for_update=True)
        if row is None or row.until <= now:
            raise _no_code()
        member = session.get(MemberRow, row.name)
        invited = row.kind == "invitation"
        own = None if member is None else to_role(member.role)
        if invited and own is not None and ROLES.index(own) > ROLES.index(to_role(row.role)):
            raise _no_code()  # it would grant more than its maker may
        if invited and own is None:
            session.add(MemberRow(name=row.name, role=row.role, by=row.by, when=now))
        account = session.get(AccountRow, row.name, with_for_update=True)
        if invited and account is not None and account.password is not None:
            raise _no_code()  # an invitation must not open an existing account
        if account is None:
            account = AccountRow(name=row.name, by=row.by, made=now)
            session.add(account)
        account.password, account.changed, account.revoked = stored, now, None
        session.execute(delete(SessionRow).where(SessionRow.name == row.name))
        session.execute(delete(CodeRow).where(CodeRow.name == row.name))
        sessions.delete_failures(session, sessions.account_key(found.name))
    return found.name


def accounts(store: Store) -> list[Account]:
    """Members and invited people, by name."""
    now = utc_now()
    roles = members(store)
    with store.reading() as session:
        rows = {row.name: row for row in session.scalars(select(AccountRow))}
        held = select(CodeRow).where(CodeRow.until > now)
        codes = {row.name: row for row in session.scalars(held)}
        held_open = sessions.valid_sessions(now)
        counts = select(SessionRow.name, func.count().label("open")).where(held_open)
        open_now = {row.name: row.open for row in session.execute(counts.group_by(SessionRow.name))}
        return [
            Account(
                name=name,
                role=roles.get(name) or (to_role(codes[name].role) if name not in rows else None),
                state=_state(rows.get(name)),
                by=(rows.get(name) or codes[name]).by,
                made=(rows.get(name) or codes[name]).made,
                until=codes[name].until if name in codes else None,
                sessions=open_now.get(name, 0),
                blocked_until=sessions.blocked_until(session, sessions.account_key(name), now=now),
            )
            for name in sorted({*rows, *codes})
        ]


def _require_admin(by: User, what: str) -> None:
    if not may(by.role, "accounts"):
        raise Refused(
            f"only an admin {what}",
            where=f"role {by.role}",
            expected="admin",
            then="Ask an admin to make the link.",
            reason="role",
        )


def _state(row: AccountRow | None) -> State:
    if row is None:
        return "invited"
    if row.revoked is not None:
        return "revoked"
    return "active" if row.password is not None else "reset"


def _new_code(session: Session, name: str, *, kind: str, role: Role, by: User) -> tuple[Code, str]:
    now = utc_now()
    session.execute(delete(CodeRow).where(or_(CodeRow.name == name, CodeRow.until <= now)))
    text = make_secret(CODE)
    row = CodeRow(
        digest=digest(text),
        name=name,
        kind=kind,
        role=role,
        by=by.name,
        made=now,
        until=now + timedelta(days=CODE_DAYS),
    )
    session.add(row)
    session.flush()
    return read_row(Code, row), text


def _no_code() -> Refused:
    return Refused(
        "invalid or expired code",
        where="code",
        expected=f"one that was made in the last {CODE_DAYS} days and not used",
        then="Ask a lead or an admin for another.",
        reason="gone",
    )


def _no_account(name: str, then: str | None = None) -> Refused:
    return Refused("no such account", where="name", got=repr(name)[:100], then=then, reason="gone")
