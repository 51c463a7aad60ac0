"""Choose people by their labels and by what reviewers made of them, in one query.

The query language of `filter` asks for what a data set holds; here it also knows REVIEW_FIELDS,
whose values are columns over the rows of a people table. As everywhere in the language, what
nobody knows (None, NaN) matches neither a test nor its negation.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.dataset.select.query import (
    Both,
    Compare,
    FieldTest,
    Node,
    Not,
    Query,
    leaves,
    parse,
)
from synthstudio.dataset.select.query_fields import FIELDS, Field
from synthstudio.review.risk.evaluate import Said, known
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.values import STATUSES

I64 = NDArray[np.int64]
Mask = NDArray[np.bool_]
Columns = Mapping[str, NDArray[Any]]
"""By the name of a column, a value for each of P people: text (None: nobody knows) or float64."""


def _field(column: str, means: str, **more: Any) -> Field:
    return Field(column=column, table="review", means=means, **more)


REVIEW_FIELDS: dict[str, Field] = {
    "status": _field("status", "what reviewers decided", kind="text", values=STATUSES),
    "reviewer": _field("reviewer", "who touched it last", kind="text"),
    "assigned": _field("assigned", "who shall look at it", kind="text"),
    "changed": _field("changed", "a reviewer changed labels: yes or no", kind="flag"),
    "comments": _field("comments", "how many there are"),
    "risk": _field("risk", "how likely something is wrong; larger is likelier"),
    "disagreement": _field("disagreement", "1 - OKS between labels and predictions, 0 to 1"),
}
ALL_FIELDS: dict[str, Field] = {**FIELDS, **REVIEW_FIELDS}
_OPS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def read(text: str, joints: tuple[str, ...]) -> Query:
    """Return a query that may ask REVIEW_FIELDS too; DatasetError points at what is wrong."""
    return parse(text, joints, fields=ALL_FIELDS)


def asks_review(query: Query) -> bool:
    """Return whether a query names any field of the review store."""
    return any(map(_of_review, leaves(query.tree)))


def people_found(table: PeopleTable, query: Query, columns: Columns) -> I64:
    """Return the rows of the people that match, rising; `columns` for the REVIEW_FIELDS asked."""
    return np.flatnonzero(_known(table, query.tree, columns)[0]).astype(np.int64)


def _of_review(leaf: object) -> bool:
    return isinstance(leaf, FieldTest) and leaf.field.table == "review"


def _known(table: PeopleTable, node: Node, columns: Columns) -> Said:
    """Return of whom a part is known to hold, and known not to, by Kleene's logic."""
    if not any(map(_of_review, leaves(node))):
        return known(table, node)
    if isinstance(node, Not):
        yes, no = _known(table, node.item, columns)
        return no, yes
    if isinstance(node, Both):
        parts = [_known(table, item, columns) for item in node.items]
        every, some = (np.logical_and, np.logical_or)
        first, second = (every, some) if node.how == "and" else (some, every)
        return first.reduce([yes for yes, _ in parts]), second.reduce([no for _, no in parts])
    if not isinstance(node, FieldTest):
        raise TypeError(type(node))
    return _compared(columns[node.field.column], node)


def _compared(values: NDArray[Any], test: FieldTest) -> Said:
    number = test.field.kind == "number"
    is_known = np.isfinite(values) if number else np.array(values != None, bool)  # noqa: E711
    held = _holds(values, test.compare) & is_known
    return held, is_known & ~held


def _holds(values: NDArray[Any], compare: Compare) -> Mask:
    if compare.op in _OPS:
        return np.asarray(_OPS[compare.op](values, compare.values[0]), bool)
    some: Mask = np.logical_or.reduce([np.asarray(values == one, bool) for one in compare.values])
    return some if compare.op == "in" else ~some
