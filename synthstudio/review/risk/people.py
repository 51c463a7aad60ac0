"""All people of a data set as columns of numbers: input of filters, plots and risks.

Columns lie one after the other in memory (joints first, people last), so that a query of
one joint reads only that joint's numbers. Letters: P people, F frames, J joints, B bones.

    frame (P), frame_row (P), instance (P)     a person's key; frame_row: index among F frames
    px (2J, P) f32                             x and y of each joint, NaN where unknown
    state, cause, origin (J, P) u8             codes: NO_STATE, CAUSES, ORIGINS; OTHER: none of them
    ambiguous (J, P) bool
    visibility_fractions (5J, P)               as stored, float64: filters say the same as `filter`
    person.COLUMN (P), frame.COLUMN (F)        every field of the query language: float64 with NaN
                                               for null, or int32 places in `names`, -1 for null
    bone_m (B, P) f32                          length of BONES in 3D, NaN without 3D
    off_px (J, P) f16                          from a joint to its 3D joint's projection
    mirror_px (J, P) f16                       to its mirror twin's projection
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from synthstudio.core.arrays import F32, F64, I32, I64, U8, Array
from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import CAUSES, VISIBILITY
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.matching import Column
from synthstudio.dataset.query import FIELDS, Field
from synthstudio.review.values import Pair

T = TypeVar("T", bound=Sequence[Any])

_LIMBS = (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
_TRUNK = (
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
    ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"),
)
_BOX = "modal_box_px"


def bones_of(joints: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """B pairs of joints whose distance is constant for a person."""
    sides = [(f"{s}_{a}", f"{s}_{b}") for a, b in _LIMBS for s in ("left", "right")]
    places = {name: j for j, name in enumerate(joints)}
    return tuple(
        (places[a], places[b]) for a, b in (*sides, *_TRUNK) if a in places and b in places
    )


def column_name(field: Field) -> str:
    """The key in `arrays` of a field of the query language."""
    table = "frame" if field.table == "frame" else "person"
    element = "" if field.element is None else f"[{field.element}]"
    return f"{table}.{field.column}{element}"


def stored_fields(table: str) -> list[Field]:
    """The fields of a table, "person" or "frame", with their own columns."""
    if table == "frame":
        return [field for field in FIELDS.values() if field.table == "frame"]
    boxes = [Field(column=_BOX, element=k, means="") for k in range(4)]
    mine = [f for f in FIELDS.values() if f.table in ("person", "computed")]
    return [*mine, *boxes]


@dataclass(frozen=True, kw_only=True)
class PeopleTable:
    """All people of one data set. Arrays are read only.

    `key`: SHA-256 of its dataset.json, which the parts of one run share; `content`: a hash of all
    inputs of the rows ("" if unknown).
    """

    key: str
    content: str = ""
    skeleton_name: str
    arrays: Mapping[str, Array]
    names: Mapping[str, pa.Array]

    @property
    def skeleton(self) -> Skeleton:
        return get_skeleton(self.skeleton_name)

    @property
    def joints(self) -> tuple[str, ...]:
        return self.skeleton.joints

    @property
    def people(self) -> int:
        return len(self.arrays["frame"])

    def field(self, field: Field) -> Column:
        name = column_name(field)
        rows = self.arrays["frame_row"] if field.table == "frame" else None
        return Column(self.arrays[name], self.names.get(name), rows)

    def joint_values(self, name: str, place: int) -> Array:
        """(P,) entry `place` of each person's list `name`, for queries."""
        return self.arrays[name][place]

    @property
    def frames(self) -> int:
        """F, frames without people included."""
        return len(self.arrays["frame.index"])

    @property
    def frame(self) -> I64:
        return self.arrays["frame"]

    @property
    def instance(self) -> I64:
        return self.arrays["instance"]

    @property
    def joints_px(self) -> F32:
        """(P, J, 2) positions, NaN where unknown."""
        return self.arrays["px"].reshape(len(self.joints), 2, self.people).transpose(2, 0, 1)

    @property
    def state(self) -> U8:
        """(P, J) states; NO_STATE: unlabelled."""
        return self.arrays["state"].T

    @property
    def cause(self) -> U8:
        """(P, J) indices into core.labels.CAUSES."""
        return self.arrays["cause"].T

    @property
    def visibility_fractions(self) -> F64:
        """(P, J, 5) in the order of core.labels.VISIBILITY, NaN where unknown."""
        flat = self.arrays["visibility_fractions"].reshape(
            len(self.joints), len(VISIBILITY), self.people
        )
        return flat.transpose(2, 0, 1)

    @cached_property
    def modal_box_px(self) -> F64:
        """(P, 4) x, y, width and height of each person's visible part."""
        return np.stack([self.arrays[f"person.{_BOX}[{k}]"] for k in range(4)], axis=1)

    @property
    def occluded(self) -> F64:
        """(P,) the occluded fraction, NaN where unknown."""
        return self.number("occluded")

    @property
    def area_px(self) -> F64:
        """(P,) at least 1: amodal area, or the modal one where that is unknown."""
        whole, seen = self.number("whole_area"), self.number("area")
        return np.maximum(np.where(np.isnan(whole), seen, np.maximum(whole, seen)), 1.0)

    def number(self, name: str) -> F64:
        """(P,) a field of the query language that is a number; DatasetError for others."""
        return self._read(name, "number")[0]

    def codes(self, name: str) -> tuple[I32, pa.Array]:
        """(P,) indices into the names, -1 for null, and the names of a field that is text."""
        values, names = self._read(name, "text")
        assert names is not None  # set for every text
        return values, names

    def _read(self, name: str, kind: str) -> tuple[Array, pa.Array | None]:
        field = FIELDS.get(name)
        if field is None or field.kind != kind:
            known = ", ".join(n for n, f in FIELDS.items() if f.kind == kind)
            raise DatasetError("no such field", where="field", expected=known, got=repr(name))
        column = self.field(field)
        rows = column.rows
        return column.values if rows is None else column.values[rows], column.names

    def texts(self, name: str, rows: I64) -> list[str | None]:
        """The values of a text field in some rows."""
        codes, names = self.codes(name)
        own = codes[rows]
        return list(names.take(pa.array(own, mask=own < 0)).to_pylist())

    def row_of(self, frame: int, instance: int) -> int:
        """The row of a person; DatasetError if missing."""
        found = int(self.rows_at([(frame, instance)])[0])
        if found < 0:
            raise DatasetError(
                "the data set has no such person", where=f"frame {frame}", got=f"person {instance}"
            )
        return found

    def rows_of(self, frames: I64, instances: I64) -> I64:
        """(N,) the row of each (frame, instance), -1 where the data set has none."""
        frames, instances = np.asarray(frames, np.int64), np.asarray(instances, np.int64)
        start = np.searchsorted(self.frame, frames, side="left")
        stop = np.searchsorted(self.frame, frames, side="right")
        found = np.full(len(instances), -1, np.int64)
        for step in range(int((stop - start).max(initial=0))):
            row = np.minimum(start + step, self.people - 1)
            hit = (start + step < stop) & (self.instance[row] == instances)
            found = np.where(hit & (found < 0), row, found)
        return found

    def rows_at(self, people: Iterable[Sequence[Any]]) -> I64:
        """(N,) the row of each (frame, instance, ...), -1 where the data set has none."""
        numbers = np.array([one[:2] for one in people], np.int64).reshape(-1, 2)
        return self.rows_of(*numbers.T)

    def placed(self, found: Sequence[T]) -> list[tuple[int, T]]:
        """(row, one) for those of `found`, each (frame, instance, ...), in the data set."""
        rows = self.rows_at(found).tolist()
        return [(row, one) for row, one in zip(rows, found, strict=True) if row >= 0]

    def ids(self, rows: I64) -> list[Pair]:
        return list(zip(self.frame[rows].tolist(), self.instance[rows].tolist(), strict=True))


def layout(skeleton: Skeleton, people: int, frames: int) -> dict[str, tuple[tuple[int, ...], str]]:
    """Name -> (shape, dtype) of every array of a table."""
    joints = len(skeleton.joints)
    found: dict[str, tuple[tuple[int, ...], str]] = {
        "frame": ((people,), "<i8"),
        "frame_row": ((people,), "<i4"),
        "instance": ((people,), "<i8"),
        "px": ((2 * joints, people), "<f4"),
        "state": ((joints, people), "|u1"),
        "cause": ((joints, people), "|u1"),
        "origin": ((joints, people), "|u1"),
        "ambiguous": ((joints, people), "|b1"),
        "visibility_fractions": ((len(VISIBILITY) * joints, people), "<f8"),
        "bone_m": ((len(bones_of(skeleton.joints)), people), "<f4"),
        "off_px": ((joints, people), "<f2"),
        "mirror_px": ((joints, people), "<f2"),
    }
    for table, count in (("person", people), ("frame", frames)):
        for field in stored_fields(table):
            kind = "<f8" if field.kind == "number" else "<i4"
            found[column_name(field)] = (count,), kind
    return found


def facet(table: PeopleTable, field: str, *, rows: I64 | None = None) -> dict[str, int]:
    """Value of a text field -> people, of all or of some rows, most people first; DatasetError."""
    codes, names = table.codes(field)
    own = codes if rows is None else codes[rows]
    counts = np.bincount(own[own >= 0], minlength=len(names))
    found = zip(names.to_pylist(), counts.tolist(), strict=True)
    ordered = sorted(found, key=lambda pair: (-pair[1], pair[0]))
    return {value: count for value, count in ordered if count}


def joint_facet(table: PeopleTable, *, rows: I64 | None = None) -> tuple[tuple[str, ...], I64]:
    """Names of causes (N), and people by joint and cause, (J, N), of all or of some rows."""
    planes = table.arrays["cause"] if rows is None else table.arrays["cause"][:, rows]
    counts = [np.count_nonzero(planes == code, axis=1) for code in range(len(CAUSES))]
    return CAUSES, np.stack(counts, axis=1).astype(np.int64)
