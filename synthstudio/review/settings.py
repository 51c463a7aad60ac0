"""Settings of a data set: saved views, and the fraction of people reviewed twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sqlalchemy import func, or_, select

from synthstudio.core.errors import Refused
from synthstudio.review.check import check_name, is_share
from synthstudio.review.models import SavedViewRow, SettingRow
from synthstudio.review.risk.queue import CONTROL_SHARE
from synthstudio.review.store import Store
from synthstudio.review.team.second_review import SECOND_SHARE
from synthstudio.review.values import User, invalid, require

Share = Literal["second_share", "control_share"]
_DEFAULTS: dict[Share, float] = {"second_share": SECOND_SHARE, "control_share": CONTROL_SHARE}


def share_of(store: Store, dataset: str, name: Share) -> float:
    """The configured share of a data set's people, or the default; 0 to 1."""
    with store.reading() as session:
        row = session.get(SettingRow, (dataset, name))
        value = _DEFAULTS[name] if row is None else row.value
    return float(value) if is_share(value) else _DEFAULTS[name]


def set_share(store: Store, dataset: str, name: Share, share: float, *, by: User) -> None:
    """Choose a share. Refused: "role", "invalid"."""
    require(by, "assign")
    if not is_share(share):
        invalid("not a share", name, expected="0 to 1", got=share)
    with store.session() as session:
        session.merge(SettingRow(dataset=dataset, key=name, value=float(share)))


MAX_VIEWS = 200
"""Maximum views of one user, and of all users, per data set."""
MAX_QUERY = 10_000


def views(store: Store, dataset: str, *, who: User) -> list[SavedViewRow]:
    """The views that a user sees: those for all, then the user's own, by name."""
    query = select(SavedViewRow).where(
        SavedViewRow.dataset == dataset,
        or_(SavedViewRow.who.is_(None), SavedViewRow.who == who.name),
    )
    with store.reading() as session:
        found = session.scalars(query).all()
    return sorted(found, key=lambda view: (view.who is not None, view.name, view.id))


def save_view(
    store: Store,
    dataset: str,
    *,
    name: str,
    query: str,
    who: User,
    options: Mapping[str, str] | None = None,
    for_all: bool = False,
) -> SavedViewRow:
    """Save a view; one of the same name and owner is replaced. Refused: "role" or "invalid"."""
    require(who, "save_view_for_all" if for_all else "save_view")
    check_name(name, "name of the view")
    kept = {str(k): str(v) for k, v in (options or {}).items()}
    if len(query) > MAX_QUERY or sum(len(k) + len(v) for k, v in kept.items()) > MAX_QUERY:
        invalid("this view is too long", "view", expected=f"at most {MAX_QUERY:,} characters")
    owner = None if for_all else who.name
    with store.session() as session:
        own = select(SavedViewRow).where(SavedViewRow.dataset == dataset, SavedViewRow.who == owner)
        row = session.scalars(own.where(SavedViewRow.name == name)).first()
        if row is None:
            if (session.scalar(select(func.count()).select_from(own.subquery())) or 0) >= MAX_VIEWS:
                expected = f"at most {MAX_VIEWS}"
                invalid("there are too many saved views", "view", expected=expected)
            row = SavedViewRow(dataset=dataset, name=name, who=owner)
            session.add(row)
        row.query, row.options = query, kept
        session.flush()
        return row


def delete_view(store: Store, view: SavedViewRow, *, who: User) -> None:
    """Delete a view: one's own, or one for all by a lead. Refused("gone") when there is none."""
    require(who, "save_view_for_all" if view.who is None else "save_view")
    with store.session() as session:
        row = session.get(SavedViewRow, view.id)
        if row is None or row.who not in (None, who.name) or row.who != view.who:
            raise Refused("there is no such view", where="view", got=view.name, reason="gone")
        session.delete(row)
