"""Who belongs to the team of a store, and what each may do."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, select

from synthstudio.core.errors import Refused
from synthstudio.review.check import check_name
from synthstudio.review.models import MemberRow, utc_now
from synthstudio.review.roles import need
from synthstudio.review.store import Store, upsert
from synthstudio.review.values import ROLES, Role, User


def members(store: Store) -> Mapping[str, Role]:
    """Return name -> role of all members, by name; empty when nobody was named yet."""
    with store.reading() as session:
        rows = session.scalars(select(MemberRow).order_by(MemberRow.name))
        return {row.name: _role(row.role) for row in rows}


def role_of(store: Store, name: str) -> Role | None:
    """Return the role of a member; None for somebody who is none."""
    with store.reading() as session:
        row = session.get(MemberRow, name)
        return None if row is None else _role(row.role)


def set_role(store: Store, name: str, role: Role | None, *, by: User) -> None:
    """Give somebody a role, or take it away (None). Only admins may.

    Refused: "role" for others, "invalid" for no name or role and for taking the last admin's.
    """
    need(by, "members")
    check_name(name, "name")
    if role is not None and role not in ROLES:
        raise Refused(
            "no such role",
            where="role",
            expected=", ".join(ROLES),
            got=repr(role)[:40],
            reason="invalid",
        )
    with store.session() as session:
        row = session.get(MemberRow, name, with_for_update=True)
        if row is not None and row.role == "admin" and role != "admin":
            # All admins are locked: two who leave at once cannot both be the last but one.
            query = select(MemberRow.name).where(MemberRow.role == "admin")
            if len(session.scalars(query.order_by(MemberRow.name).with_for_update()).all()) == 1:
                raise Refused(
                    "the last admin stays admin",
                    where=name,
                    then="Make somebody else admin first.",
                    reason="invalid",
                )
        if role is None:
            if row is not None:
                session.delete(row)
        else:
            given = {"role": role, "by": by.name, "when": utc_now()}
            upsert(session, MemberRow, [{"name": name, **given}])


def count(store: Store) -> int:
    """Return how many members there are."""
    with store.reading() as session:
        return session.scalar(select(func.count()).select_from(MemberRow)) or 0


def _role(text: str) -> Role:
    """Return a stored role; what another release may have written is the least one."""
    return next((role for role in ROLES if role == text), "viewer")
