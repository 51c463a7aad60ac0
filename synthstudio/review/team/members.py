"""The team of a store: members by valid names, their roles, assignments, tokens of programs.

A name is valid when it is short and plain, and looks like no other. A token is of one person, with
a maximum role and an expiry date.
"""

import functools
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from datetime import date, datetime, timedelta
from typing import NoReturn

from confusable_homoglyphs import categories, confusables
from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.orm import Session

from synthstudio.core.errors import Refused
from synthstudio.review.check import check_name
from synthstudio.review.models import (
    AssignmentRow,
    CodeRow,
    MemberRow,
    TokenRow,
    WebhookRow,
    in_layer,
    utc_now,
)
from synthstudio.review.store import Store, advisory_lock, upsert
from synthstudio.review.team.sessions import TOKEN, digest, hide_secrets, is_secret, make_secret
from synthstudio.review.values import (
    ROLES,
    Pair,
    Person,
    Role,
    User,
    invalid,
    read_row,
    require,
    to_role,
)

NAME_CHARS = 64
_TOGETHER = (
    {"HAN", "HIRAGANA", "KATAKANA", "LATIN"},
    {"HAN", "HANGUL", "LATIN"},
    {"HAN", "BOPOMOFO", "LATIN"},
)
_NAME = re.compile(r"[^\W_](?:[\w .,'@+\-]*[\w.])?")


def normal_name(text: str) -> str:
    """Return a name in stored form: NFKC, without spaces around it."""
    return unicodedata.normalize("NFKC", text).strip()


def checked_name(text: str) -> str:
    """Return a person's name, as normal_name; Refused("invalid") unless short and plain."""
    name = normal_name(text)
    if mixes_scripts(name):
        _refuse("it mixes scripts whose letters look alike", "letters of one script", _quoted(text))
    if not 1 <= len(name) <= NAME_CHARS or not _NAME.fullmatch(name):
        expected = f"1 to {NAME_CHARS} letters, digits, spaces and . , ' @ + - _"
        _refuse("it is not short and plain", expected, _quoted(text) if text else "nothing")
    return name


def mixes_scripts(name: str) -> bool:
    """Whether a name mixes scripts that no language combines."""
    scripts = categories.unique_aliases(name) - {"COMMON", "INHERITED"}
    return len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER)


def confusable_name(name: str, known: Iterable[str]) -> str | None:
    """The first of `known` names that looks the same, ignoring case; None."""
    drawn = _drawn(name)
    return next((other for other in known if other != name and drawn & _drawn(other)), None)


def check_free(name: str, known: Collection[str]) -> None:
    """Raise Refused("invalid") for a name that is not in `known` but looks the same as one."""
    if name not in known and (other := confusable_name(name, known)) is not None:
        got = f"{_quoted(name)}, like {other}"
        _refuse("it looks the same as another's", "a name of your own", got)


def _refuse(why: str, expected: str, got: str) -> NoReturn:
    what = f"invalid name: {why}"
    raise Refused(what, where="name", expected=expected, got=got, reason="invalid")


def _quoted(text: str) -> str:
    return repr(hide_secrets(ascii(text)[1:-1])[:80])


def _drawn(name: str) -> frozenset[str]:
    normal = unicodedata.normalize("NFKC", name)
    return frozenset("".join(map(_prototype, case)) for case in (normal, normal.casefold()))


@functools.lru_cache(4096)
def _prototype(letter: str) -> str:
    """The canonical letter of those that look like this one (Unicode's table of confusables)."""
    same, new = {letter}, [letter]
    while new:
        for other in confusables.confusables_data.get(new.pop(), ()):
            if len(other["c"]) == 1 and other["c"] not in same:
                same.add(other["c"])
                new.append(other["c"])
    return min(same)


TEAM_LOCK = "team"
"""The lock that serialises changes of roles, accounts and codes."""


def members(store: Store) -> Mapping[str, Role]:
    """Name -> role of all members, by name; empty if none."""
    with store.reading() as session:
        rows = session.scalars(select(MemberRow).order_by(MemberRow.name))
        return {row.name: to_role(row.role) for row in rows}


def role_of(store: Store, name: str) -> Role | None:
    with store.reading() as session:
        row = session.get(MemberRow, name)
        return None if row is None else to_role(row.role)


def set_role(store: Store, name: str, role: Role | None, *, by: User) -> None:
    """Set or remove (None) a member's role. Admins only.

    A lowered role revokes earlier grants: codes by that person expire, tokens made for others, and
    an admin's webhooks stop.
    Refused: "role" for others, "invalid" for an invalid name or role and for the last admin.
    """
    require(by, "members")
    check_name(name, "name")
    if role is not None and role not in ROLES:
        invalid("no such role", "role", expected=", ".join(ROLES), got=role)
    with store.session() as session:
        advisory_lock(session, TEAM_LOCK)  # against concurrent removal of the last two admins
        row = session.get(MemberRow, name, with_for_update=True)
        if row is not None and row.role == "admin" and role != "admin":
            if session.scalar(select(func.count()).where(MemberRow.role == "admin")) == 1:
                raise last_admin(name)
        if row is not None and (role is None or ROLES.index(role) < ROLES.index(to_role(row.role))):
            session.execute(delete(CodeRow).where(CodeRow.by == name))
            for_others = and_(TokenRow.by == name, TokenRow.who != name)
            revoke_grants(session, for_others, when=utc_now(), by=name)
        if role is None:
            if row is not None:
                session.delete(row)
        else:
            given = {"role": role, "by": by.name, "when": utc_now()}
            upsert(session, MemberRow, [{"name": name, **given}])


def last_admin(name: str) -> Refused:
    then = "Make another member admin first."
    return Refused("the last admin cannot be removed", where=name, then=then, reason="invalid")


def revoke_grants(session: Session, which: ColumnElement[bool], *, when: datetime, by: str) -> None:
    """Revoke tokens, and delete a person's webhooks."""
    session.execute(delete(WebhookRow).where(WebhookRow.by == by))
    ending = update(TokenRow).where(which, TokenRow.revoked.is_(None))
    session.execute(ending.values(revoked=when))


_AT_ONCE = 200
MAX_DUE_DAYS = 3_660
"""Maximum days until a due date."""


def assign(
    store: Store, people: Sequence[Person], *, to: str, by: User, due: date | None = None
) -> int:
    """Assign people to a member until the end of day `due` (UTC). Refused: "role", "invalid"."""
    require(by, "assign")
    check_name(to, "assigned to")
    now = utc_now()
    today = now.date()
    # Yesterday in UTC may be today elsewhere.
    if due is not None and (type(due) is not date or not -1 <= (due - today).days <= MAX_DUE_DAYS):
        expected = f"{today} to {today + timedelta(days=MAX_DUE_DAYS)}"
        invalid("invalid due date", "due", expected=expected, got=due)
    given = {"who": to, "by": by.name, "when": now, "due": due}
    # A fixed order of writes, against deadlocks.
    unique = sorted(set(people), key=astuple)
    with store.session() as session:
        for start in range(0, len(unique), _AT_ONCE):
            rows = [asdict(person) | given for person in unique[start : start + _AT_ONCE]]
            upsert(session, AssignmentRow, rows)
    return len(unique)


def assigned(store: Store, dataset: str, *, who: str | None = None) -> dict[Pair, str]:
    """(frame, instance) -> assigned reviewer; `who`: only that reviewer's."""
    row = AssignmentRow
    query = select(row.frame, row.instance, row.who).where(in_layer(row, dataset))
    if who is not None:
        query = query.where(row.who == who)
    with store.reading() as session:
        return {(frame, instance): name for frame, instance, name in session.execute(query)}


TOKEN_DAYS, MAX_TOKEN_DAYS = 90, 366
MAX_TOKENS, MAX_TOKENS_OF = 200, 20
"""Maximum numbers of valid tokens: of the store, of a person."""


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
    store: Store, who: str, *, role: Role, by: User, label: str = "token", days: int = TOKEN_DAYS
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
    if type(days) is not int or not 1 <= days <= MAX_TOKEN_DAYS:
        invalid("a token must expire", "days", expected=f"1 to {MAX_TOKEN_DAYS}", got=days)
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
        holding = select(TokenRow.who).where(TokenRow.revoked.is_(None), TokenRow.until > now)
        owners = session.scalars(holding).all()
        if len(owners) >= MAX_TOKENS or owners.count(who) >= MAX_TOKENS_OF:
            expected = f"at most {MAX_TOKENS_OF} of a person, {MAX_TOKENS} in all"
            invalid("too many tokens", "tokens", expected=expected)
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
