"""API tokens: of one person, with a maximum role and an expiry date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from synthstudio.core.errors import Refused
from synthstudio.review.check import check_name
from synthstudio.review.models import TokenRow, utc_now
from synthstudio.review.secret_texts import TOKEN, digest, is_secret, make_secret
from synthstudio.review.store import Store
from synthstudio.review.team.members import role_of
from synthstudio.review.values import ROLES, Role, User, invalid, read_row, require

DAYS, MAX_DAYS = 90, 366
MAX = 200
"""Maximum number of valid tokens."""


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token without its text. `role`: the maximum; `revoked`: time of revocation, else None."""

    id: int
    who: str
    role: Role
    label: str
    by: str
    made: datetime
    until: datetime
    revoked: datetime | None

    def holds(self, now: datetime) -> bool:
        return self.revoked is None and now < self.until


def make_token(
    store: Store, who: str, *, role: Role, by: User, label: str = "token", days: int = DAYS
) -> tuple[Token, str]:
    """Make a token of a person; return it and its text, which is not stored.

    All users may make their own tokens up to their role, admins those of others, up to the
    member's role. Refused: "role", "invalid".
    """
    require(by, "look")
    if who != by.name:
        require(by, "tokens")
    check_name(who, "who")
    check_name(label, "label")
    for whose, maximum in (("maker", by.role), ("person", role_of(store, who) or by.role)):
        allowed = ROLES[: ROLES.index(maximum) + 1]
        if role not in allowed:
            what = f"a token has at most its {whose}'s role"
            invalid(what, "role", expected=", ".join(allowed), got=role)
    if type(days) is not int or not 1 <= days <= MAX_DAYS:
        invalid("a token must expire", "days", expected=f"1 to {MAX_DAYS}", got=days)
    text, now = make_secret(TOKEN), utc_now()
    row = TokenRow(
        digest=digest(text),
        who=who,
        role=role,
        label=label,
        by=by.name,
        made=now,
        until=now + timedelta(days=days),
    )
    with store.session() as session:
        holding = select(TokenRow.id).where(TokenRow.revoked.is_(None), TokenRow.until > now)
        if len(session.scalars(holding.limit(MAX)).all()) >= MAX:
            invalid("too many tokens", "tokens", expected=f"at most {MAX}")
        session.add(row)
        session.flush()
        return read_row(Token, row), text


def read_token(store: Store, text: str) -> Token | None:
    """The token of a text, None if invalid, expired or revoked."""
    if not is_secret(TOKEN, text):
        return None
    with store.reading() as session:
        row = session.scalar(select(TokenRow).where(TokenRow.digest == digest(text)))
    if row is None:
        return None
    found = read_row(Token, row)
    return found if found.holds(utc_now()) else None


def tokens(store: Store, *, who: str | None = None) -> list[Token]:
    """All tokens ever made, or those of a person, in the order in which they were made."""
    query = select(TokenRow).order_by(TokenRow.id)
    if who is not None:
        query = query.where(TokenRow.who == who)
    with store.reading() as session:
        return [read_row(Token, row) for row in session.scalars(query)]


def revoke_token(store: Store, number: int, *, by: User) -> Token:
    """Revoke a token: one's own, or as an admin any. Refused: "role", "gone"."""
    with store.session() as session:
        row = session.get(TokenRow, number) if type(number) is int else None
        if row is None or (row.who != by.name and by.role != "admin"):
            if row is not None:
                require(by, "tokens")
            raise Refused("no such token", where="token", got=str(number), reason="gone")
        if row.revoked is None:
            row.revoked = utc_now()
        session.flush()
        return read_row(Token, row)
