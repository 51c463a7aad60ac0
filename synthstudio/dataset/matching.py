"""Queries over columns of any table of people: their evaluation, counts and filtered data sets.

A test is true, false or unknown (null, NaN, an unlabelled joint), by Kleene's logic as in SQL, so
a result is two masks: known matches and known non-matches. `evaluate` reads `Columns`:
here batches of a data set, in review/ the arrays of all its people at once.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synthstudio.core.arrays import F64, I64, Array, Bool
from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import CAUSES, ORIGINS, VISIBILITY
from synthstudio.core.people import VIEWS, camera_azimuth_rad, view_of
from synthstudio.core.places import Place
from synthstudio.core.progress import OnProgress
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.derive import (
    Chunk,
    aligned,
    chosen,
    source_summary,
    write_derived,
)
from synthstudio.dataset.query import (
    BoolOp,
    Compare,
    Field,
    FieldTest,
    JointTest,
    Node,
    Not,
    Query,
    leaves,
    parse,
)
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import (
    NO_STATE,
    as_arrow,
    as_numbers,
    as_numpy,
    is_known,
    number_lists,
    one_array,
    word_codes,
)

Mask = Bool
TriMask = tuple[Mask, Mask]
"""(P,) known matches, (P,) known non-matches."""
LIST_MARK = "\x1f"
"""Delimiter of the entries of a list that is compared as text."""
VIEW_JOINTS = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_OPS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORDS = {"cause": CAUSES, "origin": ORIGINS}
_STATE = {"visible": 2, "hidden": 1, "outside": 0}


@dataclass(frozen=True)
class Column:
    """The values of a field.

    Numbers are float64, NaN where unknown. Texts are indices into `names`, -1 where unknown, or
    without `names` strings, None where unknown. `rows` (P,): each person's index into `values`,
    for values of frames.
    """

    values: Array
    names: pa.Array | None = None
    rows: I64 | None = None


class Columns(Protocol):
    """Input of queries: P people."""

    @property
    def people(self) -> int: ...

    def field(self, field: Field) -> Column: ...

    def joint_values(self, name: str, place: int) -> Array:
        """(P,) entry `place` of each person's list `name`.

        `name`: state; cause, as indices into CAUSES; ambiguous; or visibility_fractions, float64.
        """


def evaluate(node: Node, columns: Columns) -> TriMask:
    """Return (P,) masks of known matches and known non-matches of a part of a query."""
    if isinstance(node, Not):
        yes, no = evaluate(node.item, columns)
        return no, yes
    if isinstance(node, BoolOp):
        join = _and if node.how == "and" else _or
        return functools.reduce(join, (evaluate(item, columns) for item in node.items))
    if isinstance(node, JointTest):
        return _joints(columns, node)
    column = columns.field(node.field)
    yes, no = _field(column, node)
    return (yes, no) if column.rows is None else (yes[column.rows], no[column.rows])


def _and(a: TriMask, b: TriMask) -> TriMask:
    return a[0] & b[0], a[1] | b[1]


def _or(a: TriMask, b: TriMask) -> TriMask:
    return a[0] | b[0], a[1] & b[1]


def _where(held: Mask, is_known: Mask) -> TriMask:
    return held & is_known, ~held & is_known


def _field(column: Column, test: FieldTest) -> TriMask:
    values, names, compare = column.values, column.names, test.compare
    if test.field.kind == "number":
        return _where(_compared(values, compare), ~np.isnan(values))
    if names is None:
        is_known = np.array(values != None, bool)  # noqa: E711 - of each element
        return _where(np.asarray(_compared(values, compare), bool), is_known)
    # Each different text is compared once. `=` of a list: some entry is one of the values.
    if test.field.kind == "list":
        hits = [pc.match_substring(names, f"{LIST_MARK}{v}{LIST_MARK}") for v in compare.values]
    else:
        hits = [pc.equal(names, pa.scalar(v, pa.string())) for v in compare.values]
    some = np.logical_or.reduce([hit.to_numpy(zero_copy_only=False) for hit in hits])
    held = some if compare.op in ("=", "in") else ~some
    is_known = values >= 0
    if not len(held):
        return is_known, is_known  # nothing has a name: all is unknown
    return _where(held[np.maximum(values, 0)], is_known)


def _compared(values: Array, compare: Compare) -> Mask:
    if compare.op in _OPS:
        return _OPS[compare.op](values, compare.values[0])
    some = np.logical_or.reduce([values == one for one in compare.values])
    return some if compare.op == "in" else ~some


def _joints(columns: Columns, test: JointTest) -> TriMask:
    each = (_joint(columns, test, j) for j in test.joints)
    if test.minimum == 1:
        return functools.reduce(_or, each)
    if test.minimum == len(test.joints):
        return functools.reduce(_and, each)
    # Unknown joints do not count; counts above the number of joints never match.
    counts = np.zeros(columns.people, np.int16)
    for yes, _ in each:
        counts += yes
    enough = counts >= test.minimum
    return enough, ~enough


def _joint(columns: Columns, test: JointTest, j: int) -> TriMask:
    if test.kind == "cause" and test.compare is not None:
        codes = [CAUSES.index(str(v)) for v in test.compare.values]
        by_code = Compare(op=test.compare.op, values=tuple(codes))
        held = _compared(columns.joint_values("cause", j), by_code)
        return held, ~held
    if test.kind == "share" and test.compare is not None:
        values = columns.joint_values(
            "visibility_fractions", j * len(VISIBILITY) + VISIBILITY.index(test.what)
        )
        return _where(_compared(values, test.compare), ~np.isnan(values))
    if test.what == "ambiguous":
        held = np.asarray(columns.joint_values("ambiguous", j))
        return held, ~held
    state = columns.joint_values("state", j)
    if test.what == "unlabelled":
        held = state == NO_STATE
        return held, ~held
    return _where(state == _STATE[test.what], state != NO_STATE)


def matching_people(dataset: Dataset, query: Query) -> Iterator[tuple[int, int]]:
    """Yield (frame index, instance) of every person that matches, in the order of the set."""
    for batch in people_batches(dataset, *_columns(query), query.joints):
        found = np.flatnonzero(evaluate(query.tree, batch)[0])
        frames, instances = (as_numpy(batch.table[n]) for n in ("frame_index", "instance"))
        yield from zip(frames[found].tolist(), instances[found].tolist(), strict=True)


def matching_frames(dataset: Dataset, query: Query) -> Iterator[int]:
    """Yield the index of every frame with a person who matches, once, in order.

    A query of frame fields alone also matches frames without people.
    """
    if query.of_frames:
        names = dict.fromkeys(["index", *sorted(_columns(query)[1])])
        for table in dataset.iter_tables("frames", list(names)):
            found = evaluate(query.tree, Batch(table, table, ()))[0]
            yield from as_numpy(table["index"])[found].tolist()
        return
    last = None
    for index, _ in matching_people(dataset, query):
        if index != last:
            yield index
        last = index


def as_text(column: pa.Array) -> pa.Array:
    """Return a column that is compared as text: flags as yes and no, lists with LIST_MARK."""
    if pa.types.is_boolean(column.type):
        return pc.if_else(column, "yes", "no")
    if pa.types.is_list(column.type):
        inner = pc.binary_join(column.cast(pa.list_(pa.string())), LIST_MARK)
        return pc.binary_join_element_wise(LIST_MARK, inner, LIST_MARK, "")
    return column


def camera_places(world_to_camera: F64) -> F64:
    """Return (N, 3) camera positions in the world, of 4x4 matrices (N, 16); NaN stays NaN."""
    matrices = world_to_camera.reshape(-1, 4, 4)
    return -np.einsum("nji,nj->ni", matrices[:, :3, :3], matrices[:, :3, 3])


def view_codes(joints_world_m: pa.Array, joints: Sequence[str], cameras_m: F64) -> Array:
    """Return (P,) int32 indices into VIEWS: the side of each body that its camera sees.

    -1 where joints (lists of 3 J numbers) or the camera's place (P, 3) are not known.
    """
    out = np.full(len(joints_world_m), -1, np.int32)
    if all(name in joints for name in VIEW_JOINTS):
        known = is_known(joints_world_m)
        points = as_numpy(joints_world_m.flatten()).reshape(-1, len(joints), 3)
        wanted = points[:, [joints.index(name) for name in VIEW_JOINTS]]
        angle = camera_azimuth_rad(wanted, cameras_m[known])
        out[known] = np.where(np.isfinite(angle), view_of(np.nan_to_num(angle)), -1)
    return out


class Batch:
    """Some people (or frames alone) of a data set as Columns."""

    def __init__(self, table: pa.Table, frames: pa.Table, joints: tuple[str, ...]) -> None:
        """`frames` has a row for each row of `table`; all people of these frames are included."""
        self.table, self.frames, self._joints = table, frames, joints
        self._lists: dict[str, Array] = {}

    @property
    def people(self) -> int:
        return self.table.num_rows

    def field(self, field: Field) -> Column:
        if field.column == "view":
            cameras = camera_places(self.optional("world_to_camera", 16))
            places = one_array(self.table["joints_world_m"])
            return Column(view_codes(places, self._joints, cameras), pa.array(VIEWS))
        if field.table == "computed":
            index = as_numpy(self.table["frame_index"])
            _, own, counts = np.unique(index, return_inverse=True, return_counts=True)
            return Column(counts[own].astype(np.float64))
        column = one_array((self.frames if field.table == "frame" else self.table)[field.column])
        if field.kind == "number":
            if field.element is not None:
                column = pc.list_element(column, field.element)
            return Column(as_numbers(column))
        coded = as_text(column).dictionary_encode()
        places = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
        return Column(places, coded.dictionary)

    def joint_values(self, name: str, place: int) -> Array:
        return self.planes(name)[place if self.people else 0]

    def planes(self, name: str) -> Array:
        """(N, P) entries of each person's list `name`; words are indices into CAUSES or ORIGINS."""
        if name not in self._lists:
            column = one_array(self.table[name])
            if name in _WORDS:
                flat = word_codes(column, _WORDS[name])
            else:
                flat = column.flatten().to_numpy(zero_copy_only=False)
            self._lists[name] = flat.reshape(self.people, -1).T if self.people else flat[None]
        return self._lists[name]

    def optional(self, name: str, each: int) -> F64:
        """(P, each) lists of numbers of a column of frames or people, NaN where it is null."""
        table = self.table if name in self.table.column_names else self.frames
        return number_lists(table[name], each)


def _columns(query: Query) -> tuple[set[str], set[str]]:
    """The columns of people and of frames that a query reads."""
    person, frame = set[str](), set[str]()
    for leaf in leaves(query.tree):
        if isinstance(leaf, JointTest):
            own = {"cause": "cause", "share": "visibility_fractions"}.get(leaf.kind, "state")
            person.add("ambiguous" if leaf.what == "ambiguous" else own)
        elif leaf.field.column == "view":
            person.add("joints_world_m")
            frame.add("world_to_camera")
        elif leaf.field.table != "computed":
            (person if leaf.field.table == "person" else frame).add(leaf.field.column)
    return person, frame


def people_batches(
    dataset: Dataset, person: set[str], frame: set[str], joints: tuple[str, ...]
) -> Iterator[Batch]:
    own = ["frame_index", "instance", *sorted(person - {"frame_index", "instance"})]
    beside = ["index", *sorted(frame - {"index"})]
    for chunk in aligned(dataset, frame_columns=beside, person_columns=own):
        if len(chunk.people):
            yield batch_of(chunk, joints)


def batch_of(chunk: Chunk, joints: tuple[str, ...]) -> Batch:
    return Batch(chunk.people, chunk.frames.take(as_arrow(chunk.owners)), joints)


# Counts and filtered data sets --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Counted:
    frames: int
    people: int
    all_frames: int
    all_people: int

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def text(self) -> str:
        return (
            f"{self.people} of {self.all_people} people in {self.frames} of "
            f"{self.all_frames} frames match"
        )


def query_of(dataset: Dataset, text: str) -> Query:
    """Return a query for this data set's skeleton; DatasetError points at the fault."""
    return parse(text, get_skeleton(dataset.identity.skeleton).joints)


def part_where(dataset: Dataset, text: str) -> Dataset:
    """Return the frames with people who match; all for "". DatasetError as `query_of`."""
    if not text:
        return dataset
    found = matching_frames(dataset, query_of(dataset, text))
    return dataset.of_frames(np.fromiter(found, np.int64))


def count(dataset: Dataset, query: Query) -> Counted:
    matched = np.fromiter((index for index, _ in matching_people(dataset, query)), np.int64)
    frames = len(np.unique(matched))
    if query.of_frames:  # those without people match too
        frames = sum(1 for _ in matching_frames(dataset, query))
    all_frames, all_people = dataset.frames, dataset.people
    return Counted(frames=frames, people=len(matched), all_frames=all_frames, all_people=all_people)


def filter_dataset(
    dataset: Dataset,
    query: Query,
    out: Place,
    *,
    keep_people: bool = False,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> Dataset:
    """Write the frames with a matching person as data set `out`, with everyone in them.

    With `keep_people` only the matching people keep their rows; the others stay in the
    pictures, and as occluders. DatasetError when nothing matches. Held are 8 bytes a chosen frame.
    """
    frames = np.fromiter(matching_frames(dataset, query), np.int64)
    if not len(frames):
        raise DatasetError(
            "nothing matches the query",
            where=str(dataset.place),
            got=query.text if len(query.text) <= 200 else f"{query.text[:200]}...",
            then="Test it with --count.",
        )
    derived = {
        "by": "filter",
        "query": query.text,
        "keep": "people" if keep_people else "frames",
        "sources": [source_summary(dataset)],
    }
    identity = dataclasses.replace(dataset.identity, frames=len(frames), derived=derived)
    found = _chosen(dataset, frames, query if keep_people else None)
    return write_derived(out, identity, [dataset], found, resume=resume, on_progress=on_progress)


def without(
    dataset: Dataset,
    bad: set[int],
    out: Place,
    *,
    on_progress: OnProgress | None = None,
) -> Dataset:
    """Write a data set without some frames, or go on with it; DatasetError if none is left."""
    left = dataset.frames - len(bad)
    if left < 1:
        raise DatasetError(
            "no frame is without errors", where=str(dataset.place), got=f"{len(bad)} bad"
        )
    derived = {"by": "repair", "left_out": sorted(bad), "sources": [source_summary(dataset)]}
    identity = dataclasses.replace(dataset.identity, frames=left, derived=derived)
    rows = dataset.iter_frames(["index"])
    good = np.fromiter((row["index"] for row in rows if row["index"] not in bad), np.int64)
    kept = _chosen(dataset, good, None)
    return write_derived(out, identity, [dataset], kept, on_progress=on_progress)


def _chosen(dataset: Dataset, frames: I64, query: Query | None) -> Iterator[Chunk]:
    for chunk in aligned(dataset):
        part = chosen(chunk, np.isin(as_numpy(chunk.frames["index"]), frames))
        if query is not None and len(part.people):
            keep, _ = evaluate(query.tree, batch_of(part, query.joints))
            part = dataclasses.replace(part, people=part.people.filter(pa.array(keep)))
        yield part
