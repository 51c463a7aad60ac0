"""The two tables of a data set, a row per frame and a row per person, as rows and as columns.

Their columns are core.labels.FRAME_LABELS and LABELS. Lists are flat, in row-major order. Arrow
columns become NumPy by their buffers: pyarrow's `to_numpy` imports pandas if installed, which
takes a fifth of a second.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthstudio.core.arrays import F64, I64, Array, Bool
from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import FRAME_LABELS, LABELS, Frame, Label, PersonLabel
from synthstudio.core.people import HIDDEN, Occluders, People, as_column, pairs_by_joint
from synthstudio.core.places import Place
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.spec import FrameSpec, to_json
from synthstudio.dataset.durable import damaged

OTHER = 255
"""The code of a text that is not in `words`."""


def as_numpy(column: pa.Array | pa.ChunkedArray) -> Array:
    """A column of numbers, booleans or texts, null numbers as NaN; read-only if not copied."""
    array = one_array(column)
    if not len(array):
        return np.zeros(0, array.type.to_pandas_dtype())
    if pa.types.is_string(array.type):
        return np.array(array.to_pylist(), object)
    validity, data = array.buffers()
    if pa.types.is_boolean(array.type):
        return _bits(data, array)
    plain = pa.Array.from_buffers(array.type, len(array), [None, data], offset=array.offset)
    values: Array = np.from_dlpack(plain)
    if not array.null_count:
        return values
    return np.where(_bits(validity, array), values.astype(np.float64), math.nan)


def as_numbers(column: pa.Array | pa.ChunkedArray) -> F64:
    """A column of numbers or booleans as float64, null as NaN."""
    return as_numpy(column).astype(np.float64)


def word_codes(column: pa.ListArray | pa.ChunkedArray, words: Sequence[str]) -> Array:
    """Indices into `words` of all entries of a column of lists of texts; OTHER for others."""
    known = {word: place for place, word in enumerate(words)}
    coded = one_array(one_array(column).flatten()).dictionary_encode()
    codes = [known.get(word, OTHER) for word in coded.dictionary.to_pylist()]
    places = np.nan_to_num(as_numpy(coded.indices), nan=len(codes)).astype(np.int64)
    return np.array([*codes, OTHER], np.int32)[places]


def as_arrow(places: I64) -> pa.Array:
    data = pa.py_buffer(np.ascontiguousarray(places, np.int64))
    return pa.Array.from_buffers(pa.int64(), len(places), [None, data])


def is_known(column: pa.Array | pa.ChunkedArray) -> Bool:
    array = one_array(column)
    if not array.null_count:
        return np.ones(len(array), np.bool_)
    return _bits(array.buffers()[0], array)


def list_lengths(column: pa.ListArray | pa.ChunkedArray) -> I64:
    """How many entries each list has; -1: null."""
    array = one_array(column)
    lengths = np.diff(as_numpy(array.offsets)) if len(array) else np.zeros(0)
    return np.where(is_known(array), lengths, -1).astype(np.int64)


def number_lists(column: pa.ListArray | pa.ChunkedArray, each: int) -> F64:
    """(N, each) a column of lists of numbers; NaN for null and for lists of another length."""
    array = one_array(column)
    lengths = list_lengths(array)
    values = as_numbers(array.flatten())
    fits = lengths == each
    if fits.all():
        return values.reshape(-1, each)
    out = np.full((len(array), each), np.nan)
    starts = np.cumsum(np.maximum(lengths, 0)) - np.maximum(lengths, 0)
    out[fits] = values[starts[fits, None] + np.arange(each)]
    return out


def one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return column.combine_chunks() if column.num_chunks else pa.nulls(0, column.type)


def _bits(buffer: pa.Buffer, array: pa.Array) -> Bool:
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")
    return bits[array.offset : array.offset + len(array)].astype(np.bool_)


READ_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)
"""Exceptions of pyarrow for a damaged file; the last for names that are not UTF-8."""


PARQUET: dict[str, Any] = {"version": "2.6", "data_page_version": "2.0"}
PARQUET |= {"compression": "zstd", "compression_level": 3}
"""Settings of all tables of data sets and sidecars."""


class ParquetWriter(pq.ParquetWriter):  # type: ignore[misc]
    """pyarrow's, for appending; closing after a failure writes nothing."""

    def __init__(self, path: Path, schema: pa.Schema, **settings: Any) -> None:
        super().__init__(path.absolute(), schema, **settings)  # a relative a:b would be a URL

    def __del__(self) -> None:
        """Write nothing: pyarrow's would continue, and print a traceback if that fails too."""


def write_parquet(path: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as one Parquet file. The same rows and library give the same bytes.

    No time, host or path is stored. Nothing is synced or renamed here. A row that violates
    the schema is a DatasetError; OSError is left to the caller.
    """
    names = set(schema.names)
    for number, row in enumerate(rows):
        if row.keys() != names:
            raise DatasetError(
                "a row does not have the table's columns",
                where=f"{path.name} row {number}",
                expected="exactly the columns of its schema",
                got=f"missing or unknown: {', '.join(sorted(names ^ row.keys()))}",
            )
    try:
        table = pa.Table.from_pylist(list(rows), schema=schema)
        table.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise DatasetError("invalid value", where=path.name, got=str(error)) from error
    for field, column in zip(table.schema, table.columns, strict=True):  # Arrow does not check
        nulls = 0 if field.nullable else column.null_count
        if pa.types.is_list(field.type):
            nulls += sum(chunk.flatten().null_count for chunk in column.chunks)
        if nulls:
            what = f"the column {field.name} may not hold null"
            raise DatasetError(what, where=path.name, got=f"{nulls} nulls")
    write_table(path, table)


def write_table(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path.absolute(), **PARQUET, row_group_size=4096)


# The tables and their rows ------------------------------------------------------------------------


Row = dict[str, Any]
Sample = tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]
"""A row of the frames table and the rows of its people."""

NO_STATE = 255
"""The state of an unlabelled joint; only imported rows have it."""
KINEMATIC = "kinematic_joints_world_m"
"""Rotation centres."""
COLUMNS: dict[str, Label] = FRAME_LABELS | LABELS
"""Those of either table; no name is in both."""


def _field(label: Label) -> pa.Field:
    kind = getattr(pa, label.dtype)()
    if label.shape:
        kind = pa.list_(pa.field("item", kind, nullable=False))
    return pa.field(label.name, kind, nullable=label.null)


FRAME_SCHEMA = pa.schema([_field(label) for label in FRAME_LABELS.values()])
INSTANCE_SCHEMA = pa.schema([_field(label) for label in LABELS.values()])
_CLIP_COLUMNS = ("clip_id", "clip_frame", "clip_frames", "time_s")


def frame_row(frame: Frame, file_name: str) -> Row:
    """Return the frame's row; `file_name` is where the writer puts its image."""
    spec, camera, objects = frame.spec, frame.spec.camera, frame.labels.objects
    clip = spec.clip
    moment = (clip.clip_id, clip.frame, clip.frames, clip.time_s) if clip else (None,) * 4
    return {
        "index": spec.index,
        "seed": spec.seed,
        "file_name": file_name,
        "image_sha256": hashlib.sha256(frame.jpeg).hexdigest(),
        "width_px": camera.width_px,
        "height_px": camera.height_px,
        "split": spec.split,
        "group_id": spec.group_id,
        "variant": spec.variant,
        "differs": list(spec.differs),
        "camera_id": spec.camera_id,
        **dict(zip(_CLIP_COLUMNS, moment, strict=True)),
        "skeleton": spec.skeleton,
        "K": camera.K.ravel().tolist(),
        "world_to_camera": camera.world_to_camera.ravel().tolist(),
        "crowd_index": frame.labels.crowd_index,
        "crowd_target": spec.crowd_target,
        "object_instance": [instance for instance, _, _ in objects],
        "object_kind": [kind for _, kind, _ in objects],
        "object_held_by": [held_by or 0 for _, _, held_by in objects],
        "layers": sorted(frame.layers),
        "spec": to_json(spec),
    }


def distortion_of(spec: str | None) -> list[float] | None:
    """Return k1, k2, 0, 0 of a frame's lens, as OpenCV's distCoeffs; None: no distortion.

    `spec` is the column of that name. Pixels are those of 3D joints by K and these.
    """
    if spec is None or '"distortion":[' not in spec:
        return None
    k1, k2 = json.loads(spec)["camera"]["distortion"]
    return [float(k1), float(k2), 0.0, 0.0]


def instance_rows(frame: Frame) -> list[Row]:
    return [person_row(person, frame.spec) for person in frame.labels.people]


def person_row(person: PersonLabel, spec: FrameSpec | None = None) -> Row:
    """A person's row; columns that need the frame's spec are None without one."""
    return {name: label.value(person, spec) for name, label in LABELS.items()}


def hidden_by(row: Mapping[str, Any]) -> Occluders:
    """Return for each joint of an instance's row its occluders (instance, share), as stored."""
    return pairs_by_joint(
        len(row["state"]), row["hidden_joint"], row["hidden_instance"], row["hidden_share"]
    )


def pair_rows(frames: Iterable[Row], instances: Iterable[Row]) -> Iterator[tuple[Row, list[Row]]]:
    """Yield each frame's row with the rows of its people; holds one frame's rows at a time.

    Both come in the order in which a data set stores them. DatasetError when a person belongs
    to no frame or comes out of order.
    """
    people = iter(instances)
    person = next(people, None)
    for frame in frames:
        found: list[Row] = []
        while person is not None and person["frame_index"] == frame["index"]:
            found.append(person)
            person = next(people, None)
        yield frame, found
    if person is not None:
        raise people_of_no_frame(f"person {person['instance']} of frame {person['frame_index']}")


def spec_fields(text: str) -> dict[str, Any]:
    """The fields of a stored spec; DatasetError if it is not a JSON object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise no_spec(str(error)) from error
    if not isinstance(value, dict):
        raise no_spec(type(value).__name__)
    return value


def no_spec(got: str) -> DatasetError:
    then = "Check the data set with: synthstudio validate."
    return DatasetError("not a stored frame spec", where="frames.spec", got=got, then=then)


def people_of_no_frame(got: str) -> DatasetError:
    """The error for people whose frame is not stored, or who come out of order."""
    return table_mismatch("instances", "people of stored frames, in the order of the frames", got)


def table_mismatch(where: str, expected: str, got: str) -> DatasetError:
    """The error for tables of frames and people that do not belong together."""
    return DatasetError(
        "the tables of frames and instances are inconsistent",
        where=where,
        expected=expected,
        got=got,
        then="Check the data set with: synthstudio validate.",
    )


# Checks of rows that are read ---------------------------------------------------------------------
# Cheap: offsets and counts of Arrow's arrays, no object a number. The meaning of rows is checked by
# `quality`, which reads without these checks.

OBJECTS = ("object_instance", "object_kind", "object_held_by")
"""Columns of a frame with an entry for each object."""
_ROUNDING = 1e-6


def check_rows(rows: pa.RecordBatch | pa.Table, joints: int, frames: range, path: Place) -> None:
    """Raise DatasetError unless rows of either table fit the schema and the shard's `frames`."""
    for place, field in enumerate(rows.schema):
        column = one_array(rows.column(place))
        if column.null_count and not field.nullable:
            raise damaged(path, f"no null in {field.name}", f"{column.null_count} nulls")
        _check_text(column, field.name, path)
        if pa.types.is_list(field.type):
            _check_list(column, field.name, joints, path)
        elif field.name in ("index", "frame_index"):
            _check_numbers(as_numpy(column), field.name, frames, path)
    for _, expected, got in chain(misfits(rows, joints), beyond_limits(rows)):
        raise damaged(path, expected, got)


def misfits(rows: pa.RecordBatch | pa.Table, joints: int) -> Iterator[tuple[int, str, str]]:
    """Row, expected and actual of lists whose lengths do not fit the skeleton or each other."""
    names = rows.schema.names
    for name in names:
        each = COLUMNS[name].entries(joints)
        if each is not None:
            lengths = list_lengths(rows.column(name))
            for n in np.flatnonzero((lengths != each) & (lengths >= 0)).tolist():
                yield n, f"{each} values in each {name}", f"{lengths[n]} values"
    for alike in (HIDDEN, OBJECTS):
        if set(alike) <= set(names):
            first, *others = (list_lengths(rows.column(name)) for name in alike)
            for n in np.flatnonzero(np.any([first != other for other in others], axis=0)).tolist():
                yield n, f"as many entries in {', '.join(alike)}", "other lengths"


def beyond_limits(rows: pa.RecordBatch | pa.Table) -> Iterator[tuple[int, str, str]]:
    """The same for numbers outside their label's range; NaN is unknown."""
    for name in rows.schema.names:
        if (within := COLUMNS[name].within) is not None:
            values, (low, high) = as_numbers(rows.column(name)), within
            outside = (values < low - _ROUNDING) | (values > high + _ROUNDING)
            for n in np.flatnonzero(outside).tolist():
                yield n, f"{name} from {low:g} to {high:g}", f"{values[n]:g}"


def check_text(rows: pa.RecordBatch | pa.Table, path: Place) -> None:
    """DatasetError when text is not UTF-8: without it rows cannot be read at all."""
    for place, field in enumerate(rows.schema):
        _check_text(one_array(rows.column(place)), field.name, path)


def _check_text(column: pa.Array, name: str, path: Place) -> None:
    """Text is UTF-8; bytes of other columns are valid anyway."""
    kind = column.type.value_type if pa.types.is_list(column.type) else column.type
    if not pa.types.is_string(kind):
        return
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise damaged(path, f"text in {name}", str(error)) from error


def _check_list(column: pa.Array, name: str, joints: int, path: Place) -> None:
    values = column.flatten()
    if values.null_count:
        raise damaged(path, f"no null in the lists {name}", f"{values.null_count} nulls")
    if name == "hidden_joint" and len(values):
        places = as_numpy(values)
        if places.min() < 0 or places.max() >= joints:
            raise damaged(path, f"joints from 0 to {joints - 1}", f"hidden_joint {places.max()}")


def _check_numbers(numbers: I64, name: str, frames: range, path: Place) -> None:
    if not len(numbers):
        return
    if numbers.min() < frames.start or numbers.max() >= frames.stop:
        got = f"{numbers.min()} to {numbers.max()}"
        raise damaged(path, f"{name} from {frames.start} to {frames.stop - 1}", got)
    minimum = 1 if name == "index" else 0
    if (np.diff(numbers) < minimum).any():
        raise damaged(path, f"rows in the order of {name}", "another order")


# Rows as columns ----------------------------------------------------------------------------------


def people_from_table(table: pa.Table | pa.RecordBatch, skeleton: Skeleton) -> People:
    """Read rows of the instances table as columns; DatasetError for inconsistent lists."""
    joints = len(skeleton.joints)
    for n, expected, got in misfits(table, joints):
        raise DatasetError(
            "a list has the wrong length",
            where=f"frame {table.column('frame_index')[n]}",
            expected=expected,
            got=got,
        )
    return People(
        skeleton=skeleton,
        **{name: _column(table, label, joints) for name, label in LABELS.items()},
    )


def kinematic_camera_m(row: Mapping[str, Any], frame: Mapping[str, Any]) -> F64:
    """(J, 3) rotation centres of a person in camera metres; NaN where unknown."""
    world, matrix = row[KINEMATIC], frame["world_to_camera"]
    if world is None or matrix is None:
        return np.full((len(row["state"]), 3), math.nan)
    to_camera = np.array(matrix, np.float64).reshape(4, 4)
    out: F64 = np.array(world, np.float64).reshape(-1, 3) @ to_camera[:3, :3].T
    return out + to_camera[:3, 3]


def _column(table: pa.Table | pa.RecordBatch, label: Label, joints: int) -> Any:
    """(P, ...) a column as in People; null is unknown."""
    column, each = one_array(table.column(label.name)), label.entries(joints)
    if each is None and label.memory == "object":
        return as_column(label, column.to_pylist(), joints)
    if each is None:
        values = as_numpy(column)
        if column.null_count and label.memory.startswith("int"):
            values = np.where(np.isnan(values), -1, values)
        return values.astype(label.memory, copy=False)
    values = number_lists(column, each) if column.null_count else as_numpy(column.flatten())
    return values.reshape(len(column), *label.size(joints))
