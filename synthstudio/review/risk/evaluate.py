"""Run a query on the arrays of a people table: the same answer as `dataset.select.matching`.

A test is true, false or unknown (null, NaN, an unlabelled joint), by Kleene's logic as in SQL.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from synthstudio.core.labels import CAUSES, SHARES
from synthstudio.dataset.query import Both, Compare, FieldTest, JointTest, Node, Not, Query
from synthstudio.dataset.query_fields import Field
from synthstudio.dataset.rows import NO_STATE
from synthstudio.review.risk.people import I64, LIST_MARK, PeopleTable, column_name

Mask = NDArray[np.bool_]
Said = tuple[Mask, Mask]
"""What is known to be so, and what is known not to be so."""
Beside = Mapping[str, NDArray[Any]]
"""By the name of a column, a value for each of P people: text (None: nobody knows) or float64."""
NOTHING_BESIDE: Beside = MappingProxyType({})
_OPS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_STATE = {"visible": 2, "hidden": 1, "outside": 0}


def find(table: PeopleTable, query: Query) -> I64:
    """Return the rows of the people that match, rising."""
    return np.flatnonzero(known(table, query.tree)[0]).astype(np.int64)


def known(table: PeopleTable, node: Node, beside: Beside = NOTHING_BESIDE) -> Said:
    """Return two (P,) masks: of whom a part of a query is known to hold, and known not to.

    `beside`: the columns of fields of table "review", a value for each person.
    """
    if isinstance(node, Not):
        yes, no = known(table, node.item, beside)
        return no, yes
    if isinstance(node, Both):
        join = _and if node.how == "and" else _or
        return functools.reduce(join, (known(table, item, beside) for item in node.items))
    if isinstance(node, FieldTest):
        if node.field.table == "review":
            return _beside(beside[node.field.column], node)
        return _field(table, node)
    return _joints(table, node)


def _and(a: Said, b: Said) -> Said:
    return a[0] & b[0], a[1] | b[1]


def _or(a: Said, b: Said) -> Said:
    return a[0] | b[0], a[1] & b[1]


def _said(held: Mask, is_known: Mask) -> Said:
    return held & is_known, ~held & is_known


def _field(table: PeopleTable, test: FieldTest) -> Said:
    """Of frames, compare once a frame, then hand the answer to its people."""
    name = column_name(test.field)
    values = table.arrays[name]
    if test.field.kind == "number":
        said = _said(_compared(values, test.compare), ~np.isnan(values))
    else:
        said = _text(values, table.names[name], test.field, test.compare)
    if test.field.table != "frame":
        return said
    row = table.arrays["frame_row"]
    return said[0][row], said[1][row]


def _beside(values: NDArray[Any], test: FieldTest) -> Said:
    if test.field.kind == "number":
        is_known = np.isfinite(values)
    else:
        is_known = np.array(values != None, bool)  # noqa: E711 - of each element
    return _said(np.asarray(_compared(values, test.compare), bool), is_known)


def _text(codes: NDArray[np.int32], names: pa.Array, field: Field, compare: Compare) -> Said:
    """Compare each different text once."""
    if field.kind == "list":
        hits = [pc.match_substring(names, f"{LIST_MARK}{v}{LIST_MARK}") for v in compare.values]
    else:
        hits = [pc.equal(names, pa.scalar(v, pa.string())) for v in compare.values]
    some = np.logical_or.reduce([hit.to_numpy(zero_copy_only=False) for hit in hits])
    held = some if compare.op in ("=", "in") else ~some
    is_known = codes >= 0
    if not len(held):
        return is_known, is_known  # nothing has a name: all is unknown
    return _said(held[np.maximum(codes, 0)], is_known)


def _compared(values: NDArray[Any], compare: Compare) -> Mask:
    if compare.op in _OPS:
        return _OPS[compare.op](values, compare.values[0])
    some = np.logical_or.reduce([values == one for one in compare.values])
    return some if compare.op == "in" else ~some


def _joints(table: PeopleTable, test: JointTest) -> Said:
    each = (_joint(table, test, j) for j in test.joints)
    if test.least == 1:
        return functools.reduce(_or, each)
    if test.least == len(test.joints):
        return functools.reduce(_and, each)
    # Joints of which nobody knows do not count; more than there are never match.
    counts = np.zeros(table.people, np.int16)
    for yes, _ in each:
        counts += yes
    enough = counts >= test.least
    return enough, ~enough


def _joint(table: PeopleTable, test: JointTest, j: int) -> Said:
    if test.kind == "cause" and test.compare is not None:
        codes = [CAUSES.index(str(v)) for v in test.compare.values]
        cause = table.arrays["cause"][j]
        some = np.logical_or.reduce([cause == code for code in codes])
        held = some if test.compare.op in ("=", "in") else ~some
        return held, ~held
    if test.kind == "share" and test.compare is not None:
        values = table.arrays["shares"][j * len(SHARES) + SHARES.index(test.what)]
        return _said(_compared(values, test.compare), ~np.isnan(values))
    state = table.arrays["state"][j]
    if test.what == "unlabelled":
        held = state == NO_STATE
        return held, ~held
    if test.what == "ambiguous":
        held = np.asarray(table.arrays["ambiguous"][j])
        return held, ~held
    return _said(state == _STATE[test.what], state != NO_STATE)
