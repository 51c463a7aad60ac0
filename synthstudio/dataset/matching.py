"""Run a query over a data set: a pyarrow expression over batches of people and their frames."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synthstudio.core.bins import VIEWS, camera_azimuth_rad, view_of
from synthstudio.core.labels import SHARES
from synthstudio.dataset.query import Both, Compare, FieldTest, JointTest, Node, Not, Query, leaves
from synthstudio.dataset.query_fields import FRAME_PREFIX, Field
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE

Expression = Any  # pyarrow.compute.Expression: pyarrow has no stubs
_OPS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_STATE = {"visible": 2, "hidden": 1, "outside": 0}
_MARK = "\x1f"
"""Stands round each entry of a list that is compared as text."""
_VIEW_COLUMNS = ("joints_world_m",)
_VIEW_JOINTS = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def matching_people(dataset: Dataset, query: Query) -> Iterator[tuple[int, int]]:
    """Yield (frame index, instance) of every person that matches, in the order of the set."""
    for table in _tables(dataset, query):
        found = table.filter(expression(query))
        yield from zip(found["frame_index"].to_pylist(), found["instance"].to_pylist(), strict=True)


def matching_frames(dataset: Dataset, query: Query) -> Iterator[int]:
    """Yield the index of every frame with a person who matches, once, in order.

    A query that asks about frames alone also finds frames without people.
    """
    if query.of_frames:
        names = sorted({leaf.field.column for leaf in _fields(query)})
        for batch in dataset.iter_batches("frames", list(dict.fromkeys(["index", *names]))):
            table = pa.table(
                {"index": batch["index"], **{FRAME_PREFIX + n: _plain(batch[n]) for n in names}}
            )
            yield from table.filter(expression(query))["index"].to_pylist()
        return
    last = None
    for index, _ in matching_people(dataset, query):
        if index != last:
            yield index
        last = index


def expression(query: Query) -> Expression:
    """Return the query over a table of people with the columns that `_tables` gives it."""
    return _compiled(query.tree, query.joints)


def _compiled(node: Node, joints: tuple[str, ...]) -> Expression:
    if isinstance(node, Not):
        return ~_compiled(node.item, joints)
    if isinstance(node, Both):
        how = operator.and_ if node.how == "and" else operator.or_
        return functools.reduce(how, (_compiled(item, joints) for item in node.items))
    if isinstance(node, FieldTest):
        return _field(node)
    return _joints(node)


def _field(test: FieldTest) -> Expression:
    field = test.field
    name = FRAME_PREFIX + field.column if field.table == "frame" else field.column
    value: Expression = pc.field(name)
    if field.kind == "list":
        return _of_list(value, test.compare)
    if field.element is not None:
        value = pc.list_element(value, field.element)
    if field.kind == "flag":
        value = pc.if_else(value, "yes", "no")
    if field.kind == "number":
        value = _known(value.cast(pa.float64()))
    return _compared(value, test.compare)


def _of_list(value: Expression, compare: Compare) -> Expression:
    """`=` and `in`: some entry is one of them; `!=` and `not in`: none is."""
    some = functools.reduce(
        operator.or_,
        (pc.match_substring(value, f"{_MARK}{name}{_MARK}") for name in compare.values),
    )
    return some if compare.op in ("=", "in") else ~some


def _compared(value: Expression, compare: Compare) -> Expression:
    if compare.op in _OPS:
        found: Expression = _OPS[compare.op](value, pa.scalar(compare.values[0]))
        return found
    each = (value == pa.scalar(one) for one in compare.values)
    some: Expression = functools.reduce(operator.or_, each)
    return some if compare.op == "in" else ~some


def _known(value: Expression) -> Expression:
    """Return numbers with NaN as null: nobody knows them."""
    return pc.if_else(pc.is_nan(value), pa.scalar(None, pa.float64()), value)


def _joints(test: JointTest) -> Expression:
    each = [_joint(test, j) for j in test.joints]
    if test.least == 1:
        return functools.reduce(operator.or_, each)
    if test.least == len(each):
        return functools.reduce(operator.and_, each)
    # Joints of which nobody knows do not count; more than there are never match.
    counted = (pc.coalesce(one, pa.scalar(False)).cast(pa.int32()) for one in each)
    return functools.reduce(operator.add, counted) >= pa.scalar(test.least, pa.int32())


def _joint(test: JointTest, j: int) -> Expression:
    state = pc.list_element(pc.field("state"), j)
    unlabelled = state == pa.scalar(NO_STATE, pa.uint8())
    if test.kind == "cause" and test.compare is not None:
        return _compared(pc.list_element(pc.field("cause"), j), test.compare)
    if test.kind == "share" and test.compare is not None:
        place = j * len(SHARES) + SHARES.index(test.what)
        return _compared(_known(pc.list_element(pc.field("shares"), place)), test.compare)
    if test.what == "unlabelled":
        return unlabelled
    if test.what == "ambiguous":
        return pc.list_element(pc.field("ambiguous"), j)
    wanted = state == pa.scalar(_STATE[test.what], pa.uint8())
    return pc.if_else(unlabelled, pa.scalar(None, pa.bool_()), wanted)


def _fields(query: Query) -> list[FieldTest]:
    return [leaf for leaf in leaves(query.tree) if isinstance(leaf, FieldTest)]


def _tables(dataset: Dataset, query: Query) -> Iterator[pa.Table]:
    """Yield people in order with every column that the query names, a batch at a time."""
    fields = [leaf.field for leaf in _fields(query)]
    made = {f.column for f in fields if f.table == "made"}
    person = {f.column for f in fields if f.table == "person"} | _joint_columns(query)
    frame = {f.column for f in fields if f.table == "frame"}
    if "view" in made:
        person |= set(_VIEW_COLUMNS)
        frame.add("world_to_camera")
    counts = _people_by_frame(dataset) if "people" in made else None
    frames = _Frames(dataset, sorted(frame - {"index"}))
    columns = ["frame_index", "instance", *sorted(person - {"frame_index", "instance"})]
    for batch in dataset.iter_batches("instances", columns):
        table = pa.Table.from_batches([batch])
        index = batch["frame_index"].to_numpy()
        beside = frames.of(index)
        if "view" in made:
            table = table.append_column("view", _views(query.joints, batch, beside))
        for name in beside.column_names:
            table = table.append_column(FRAME_PREFIX + name, _plain(beside[name]))
        if counts is not None:
            found = counts[1][np.searchsorted(counts[0], index)]
            table = table.append_column("people", pa.array(found))
        yield table


def _joint_columns(query: Query) -> set[str]:
    names: set[str] = set()
    for leaf in leaves(query.tree):
        if isinstance(leaf, JointTest):
            own = {"cause": {"cause"}, "share": {"shares"}}.get(leaf.kind, {"state"})
            names |= own | ({"ambiguous"} if leaf.what == "ambiguous" else set()) | {"state"}
    return names


def _plain(column: Any) -> Any:
    """Return a column that expressions can compare: lists of names become text with marks."""
    if not (pa.types.is_list(column.type) and pa.types.is_string(column.type.value_type)):
        return column
    texts = (
        None if names is None else _MARK + _MARK.join(names) + _MARK for names in column.to_pylist()
    )
    return pa.array(texts, pa.string())


def _people_by_frame(dataset: Dataset) -> tuple[Any, Any]:
    """Return frame indices, rising, and how many people each has: 16 bytes a frame."""
    parts = [
        batch["frame_index"].to_numpy()
        for batch in dataset.iter_batches("instances", ["frame_index"])
    ]
    return np.unique(np.concatenate([*parts, np.zeros(0, np.int64)]), return_counts=True)


def _views(joints: tuple[str, ...], batch: pa.RecordBatch, frames: pa.Table) -> pa.Array:
    """Return the name of each person's view; null where joints or camera are not known."""
    column, cameras = batch["joints_world_m"], frames["world_to_camera"]
    if not all(name in joints for name in _VIEW_JOINTS):
        return pa.nulls(len(column), pa.string())
    places = [joints.index(name) for name in _VIEW_JOINTS]
    known = pc.and_(pc.is_valid(column), pc.is_valid(cameras.combine_chunks()))
    known = known.to_numpy(zero_copy_only=False)
    points = column.filter(pa.array(known)).flatten().to_numpy().reshape(-1, len(joints), 3)
    flat = cameras.combine_chunks().filter(pa.array(known)).flatten().to_numpy()
    matrices = flat.reshape(-1, 4, 4)
    eyes = -np.einsum("nji,nj->ni", matrices[:, :3, :3], matrices[:, :3, 3])
    angle = camera_azimuth_rad(points[:, places], eyes)
    places_of = np.full(len(column), -1)
    places_of[known] = np.where(np.isfinite(angle), view_of(np.nan_to_num(angle)), -1)
    return pa.array([VIEWS[k] if k >= 0 else None for k in places_of], pa.string())


class _Frames:
    """Columns of frames beside people, read as far as the people have come."""

    def __init__(self, dataset: Dataset, columns: list[str]) -> None:
        self._columns = list(columns)
        self._batches = dataset.iter_batches("frames", ["index", *columns])
        self._table: pa.Table | None = None

    def of(self, frames: Any) -> pa.Table:
        """Return a row for each frame index (rising, as people are stored)."""
        while self._table is None or (
            len(frames) and (not len(self._table) or self._last() < frames[-1])
        ):
            batch = pa.Table.from_batches([next(self._batches)])
            if self._table is None:
                self._table = batch
            else:
                kept = self._table.filter(pc.field("index") >= pa.scalar(int(frames[0])))
                self._table = pa.concat_tables([kept, batch])
        places = np.searchsorted(self._table["index"].to_numpy(), frames)
        return self._table.take(pa.array(places))

    def _last(self) -> int:
        return int(self._table["index"][-1].as_py()) if self._table is not None else -1


def fields_text() -> str:
    """Return the fields of the language, a line each, for --help and error pages."""
    from synthstudio.dataset.query_fields import FIELDS

    width = max(map(len, FIELDS))
    return "\n".join(f"{name:<{width}}  {_told(field)}" for name, field in FIELDS.items())


def _told(field: Field) -> str:
    listed = f" ({', '.join(field.values)})" if field.values else ""
    return field.means + listed
