"""Results of reviews as columns of a people table and as fields of queries.

The query language of `filter` has fields of data sets; here also REVIEW_FIELDS,
with columns over the rows of a people table. As everywhere in the language, unknown
values (None, NaN) match neither a test nor its negation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import select

from synthstudio.core.arrays import I64, Array, Bool
from synthstudio.dataset.matching import LIST_MARK, Column, evaluate
from synthstudio.dataset.query import FIELDS, Field, Query, parse
from synthstudio.review.history import DECIDED, is_overdue
from synthstudio.review.models import AssignmentRow, EventRow, ItemRow, ThreadRow, in_layer
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.scores import models_of, risk_of
from synthstudio.review.store import Store
from synthstudio.review.values import MAIN, STATUSES

Columns = dict[str, Array]
ME = "me"
"""The current user in a query."""
_UNTOUCHED: dict[str, Any] = {
    "status": "pending",
    "reviewer": None,
    "changed": "no",
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
    """The columns of REVIEW_FIELDS, and two more. `me`: the user meant by "me".

    `edited`: seconds since 1970 of the last event, NaN for untouched people;
    `deleted`: whether a reviewer deleted the person. Added people are not included.
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
        columns["changed"][row] = "yes" if joints else "no"
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
