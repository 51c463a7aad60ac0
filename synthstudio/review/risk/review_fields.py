"""Results of reviews as columns of a people table and as fields of queries; saved queries.

The query language of `filter` has fields of data sets; here also REVIEW_FIELDS,
with columns over the rows of a people table. As everywhere in the language, unknown
values (None, NaN) match neither a test nor its negation.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import func, or_, select

from synthstudio.core.arrays import I64, Array, Bool
from synthstudio.core.errors import Refused
from synthstudio.core.labels import CAUSES, VISIBILITY
from synthstudio.dataset.matching import LIST_MARK, Column, evaluate
from synthstudio.dataset.query import FIELDS, Field, Query, parse
from synthstudio.dataset.rows import NO_STATE
from synthstudio.review.check import check_name
from synthstudio.review.history import DECIDED, is_overdue
from synthstudio.review.models import (
    AssignmentRow,
    EventRow,
    ItemRow,
    SavedViewRow,
    ThreadRow,
    in_layer,
)
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.scores import models_of, risk_of
from synthstudio.review.store import Store
from synthstudio.review.values import MAIN, STATUSES, User, invalid, require

Columns = dict[str, Array]
ME = "me"
"""The current user in a query."""
_UNTOUCHED: dict[str, Any] = {
    "status": "pending",
    "reviewer": None,
    "changed": "no",
    "joints": None,
    "comments": 0.0,
    "threads": "none",
    "mentions": None,
    "overdue": "no",
    "edited": np.nan,
    "deleted": False,
}
"""What reviews say of an untouched person."""


def review_columns(
    store: Store, table: PeopleTable, *, layer: str = MAIN, me: str | None = None
) -> Columns:
    """The columns of REVIEW_FIELDS, and three more. `me`: the user meant by "me".

    `edited`: seconds since 1970 of the last event, NaN for untouched people;
    `deleted`: whether a reviewer deleted the person; `joints`: those that reviewers changed. Added
    people are not included.
    """
    columns: Columns = {
        "risk": risk_of(store, table).score,
        "disagreement": models_of(store, table).disagreement,
    }
    for name, value in {**_UNTOUCHED, "assigned": None}.items():
        kind = type(value) if isinstance(value, float | bool) else object
        columns[name] = np.full(table.people, value, kind)
    i, a = ItemRow, AssignmentRow
    touched = select(i.frame, i.instance, i.status, i.who, i.when, i.comments, i.joints, i.deleted)
    given = select(a.frame, a.instance, a.who, a.due)
    with store.reading() as session:
        items, assigned = (
            session.execute(query.where(in_layer(row, table.key, layer))).all()
            for query, row in ((touched, i), (given, a))
        )
    for row, (_, _, status, who, when, comments, joints, deleted) in table.placed(items):
        columns["status"][row], columns["reviewer"][row] = status, who
        columns["edited"][row] = np.nan if when is None else when.timestamp()
        columns["comments"][row], columns["deleted"][row] = comments, deleted
        columns["changed"][row], columns["joints"][row] = "yes" if joints else "no", joints
    for row, (_, _, who, due) in table.placed(assigned):
        columns["assigned"][row] = who
        waits = columns["status"][row] not in DECIDED and not columns["deleted"][row]
        columns["overdue"][row] = "yes" if waits and is_overdue(due) else "no"
    _add_threads(store, table, columns, layer=layer, me=me)
    return columns


def hide_reviews(columns: Columns, hidden: Bool) -> Columns:
    """The columns with `hidden` (P,) people shown as untouched, in place."""
    for name, value in _UNTOUCHED.items():
        columns[name][hidden] = value
    return columns


def _add_threads(
    store: Store, table: PeopleTable, columns: Columns, *, layer: str, me: str | None
) -> None:
    row = ThreadRow
    query = select(row.frame, row.instance, row.is_open, row.mentions)
    query = query.where(in_layer(row, table.key, layer))
    with store.reading() as session:
        found = session.execute(query.order_by(row.id)).all()
    names: dict[int, dict[str, None]] = {}
    for place, (_, _, is_open, mentions) in table.placed(found):
        if is_open or columns["threads"][place] == "none":
            columns["threads"][place] = "open" if is_open else "resolved"
        if is_open:
            names.setdefault(place, {}).update(dict.fromkeys(mentions))
    for place, some in names.items():
        listed = [ME, *some] if me in some else list(some)
        columns["mentions"][place] = LIST_MARK.join(["", *listed, ""]) if listed else None


def last_event_id(store: Store, dataset: str) -> int:
    """The id of the newest event of a data set, 0 for none; a version of the review's state."""
    query = select(EventRow.id).where(EventRow.dataset == dataset)
    with store.reading() as session:
        return session.scalar(query.order_by(EventRow.id.desc()).limit(1)) or 0


def _field(column: str, means: str, **more: Any) -> Field:
    return Field(column=column, table="review", means=means, **more)


REVIEW_FIELDS: dict[str, Field] = {
    "status": _field("status", "decision of reviewers", kind="text", values=STATUSES),
    "reviewer": _field("reviewer", "last reviewer", kind="text"),
    "assigned": _field("assigned", "assigned reviewer", kind="text"),
    "overdue": _field("overdue", "whether the due day is over: yes or no", kind="flag"),
    "changed": _field("changed", "whether labels were changed: yes or no", kind="flag"),
    "comments": _field("comments", "number of comments"),
    "threads": _field("threads", "of comments", kind="text", values=("none", "open", "resolved")),
    "mentions": _field("mentions", "names mentioned in open threads; me is you", kind="list"),
    "risk": _field("risk", "risk of wrong labels; larger is more likely"),
    "disagreement": _field("disagreement", "1 - OKS between labels and predictions, 0 to 1"),
}
ALL_FIELDS: dict[str, Field] = {**FIELDS, **REVIEW_FIELDS}


def parse_query(text: str, joints: tuple[str, ...]) -> Query:
    """Parse a query that may use REVIEW_FIELDS too; DatasetError points at the fault."""
    return parse(text, joints, fields=ALL_FIELDS)


def matching_rows(table: PeopleTable, query: Query, columns: Columns) -> I64:
    """The rows of the people that match, rising; `columns`: those of REVIEW_FIELDS."""
    return np.flatnonzero(evaluate(query.tree, _Reviewed(table, columns))[0]).astype(np.int64)


def as_reviewed(table: PeopleTable, columns: Columns) -> PeopleTable:
    """The table with reviewers' states and causes; the fractions of changed joints are unknown."""
    names = ("state", "cause", "ambiguous", "visibility_fractions")
    arrays = {**table.arrays, **{name: table.arrays[name].copy() for name in names}}
    place = {name: j for j, name in enumerate(table.joints)}
    labels = [
        (place[name], row, NO_STATE if d["state"] is None else d["state"], CAUSES.index(d["cause"]))
        for row in np.flatnonzero(columns["changed"] == "yes").tolist()
        for name, d in columns["joints"][row].items()
    ]
    j, row, state, cause = np.array(labels, np.int64).reshape(-1, 4).T
    differs = (arrays["state"][j, row] != state) | (arrays["cause"][j, row] != cause)
    at = j[differs], row[differs]
    arrays["state"][at], arrays["cause"][at] = state[differs], cause[differs]
    arrays["ambiguous"][at] = False
    for k in range(len(VISIBILITY)):
        arrays["visibility_fractions"][len(VISIBILITY) * at[0] + k, at[1]] = np.nan
    return replace(table, arrays=arrays)


class _Reviewed:
    """A people table with the columns of REVIEW_FIELDS, for queries."""

    def __init__(self, table: PeopleTable, columns: Columns) -> None:
        self._table, self._columns = table, columns
        self.people, self.joint_values = table.people, table.joint_values

    def field(self, field: Field) -> Column:
        if field.table != "review":
            return self._table.field(field)
        values = self._columns[field.column]
        if field.kind == "number":
            values = np.where(np.isfinite(values), values, np.nan)
        if field.kind == "list":
            names, places = np.unique([v or "" for v in values], return_inverse=True)
            return Column(places.astype(np.int64), names=pa.array(names.tolist(), pa.string()))
        return Column(values)


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
