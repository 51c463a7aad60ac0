"""The sidecar `synthstudio/` of an export: both tables of the data set, for a lossless import.

    synthstudio/sidecar.json       format version, identity of the data set (dataset.json)
    synthstudio/frames.parquet     the rows of dataset/rows.py; file_name as in the export
    synthstudio/instances.parquet  also people too little visible for the format

The file takes precedence: a joint that differs from the unedited export (`unedited`) is taken from
it, as an edit; all others are restored.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthstudio.core.arrays import F64
from synthstudio.core.errors import FormatError
from synthstudio.core.masks import box_overlap, object_similarity
from synthstudio.core.safe_json import read_value
from synthstudio.dataset.durable import canonical_json
from synthstudio.dataset.manifest import FORMAT_VERSION, AssetRow
from synthstudio.dataset.rows import FRAME_SCHEMA, INSTANCE_SCHEMA, PARQUET, ParquetWriter, Row
from synthstudio.formats import checked
from synthstudio.formats.exchange import KEPT_NUMBER, Contents, Labelled
from synthstudio.formats.joints import columns_of, joints_of

FOLDER = "synthstudio"
HEAD_NAME, FRAMES_NAME, INSTANCES_NAME = "sidecar.json", "frames.parquet", "instances.parquet"
GROUP_ROWS = 512
MAX_GROUP_BYTES = 512 * 1024 * 1024
Rows = Sequence[Row]
SAME_PX = 1e-4
"""Tolerance for equal numbers: formats print 12 digits."""
_EDITED = (
    *("joints_px", "visibility_fractions", "state", "cause"),
    *("ambiguous", "occluder_id", "origin", "hidden_by"),
)
"""What a file changes of a joint: 3D joints stay."""


def write_sidecar(
    out: Path, dataset: Labelled, contents: Contents, image_name: Callable[[Row], str]
) -> None:
    """Write the sidecar of an export; `image_name`: that of a frame's image in it. OSError."""
    folder = out / FOLDER
    folder.mkdir()
    rows = ({**row, "file_name": image_name(row)} for row in dataset.iter_frames())
    frames = (
        pa.Table.from_pylist(part, FRAME_SCHEMA)
        for part in iter(lambda: list(islice(rows, GROUP_ROWS)), [])
    )
    people = (
        pa.Table.from_batches([batch], INSTANCE_SCHEMA)
        for batch in dataset.iter_batches("instances")
    )
    _write_table(folder / FRAMES_NAME, FRAME_SCHEMA, frames)
    _write_table(folder / INSTANCES_NAME, INSTANCE_SCHEMA, people)
    head = {
        "format_version": FORMAT_VERSION,
        "identity": dataclasses.asdict(dataset.identity),
        **{k: v for k, v in vars(contents).items() if v != vars(Contents())[k]},
    }
    (folder / HEAD_NAME).write_bytes(canonical_json(head))


def _write_table(path: Path, schema: pa.Schema, parts: Iterable[pa.Table]) -> None:
    """Write a table in groups of GROUP_ROWS rows: bytes do not depend on its parts."""
    kept = schema.empty_table()
    with ParquetWriter(path, schema, **PARQUET) as file:
        for part in parts:
            kept = pa.concat_tables([kept, part])
            while kept.num_rows >= GROUP_ROWS:
                file.write_table(kept.slice(0, GROUP_ROWS).combine_chunks())
                kept = kept.slice(GROUP_ROWS)
        file.write_table(kept.combine_chunks())


class Sidecar:
    """Reader of a sidecar: one row group of each table in memory."""

    def __init__(self, folder: Path) -> None:
        """Open it; FormatError when it is damaged or of another version."""
        where = folder / FOLDER
        head = read_value(where / HEAD_NAME)
        with checked.reading(str(where / HEAD_NAME)):
            if head["format_version"] != FORMAT_VERSION:
                raise ValueError(f"format_version {head['format_version']}, not {FORMAT_VERSION}")
            self.identity: dict[str, Any] = head["identity"]
            canonical_json(self.identity)  # 1e400 is parsed as infinity
            self.skeleton = checked.known_skeleton(self.identity["skeleton"])
            self.contents = Contents(**{k: head[k] for k in vars(Contents()) if k in head})
            self.seed = checked.integer(self.identity["seed"], -(2**63))
            self.assets = tuple(
                AssetRow(**{key: checked.text(value) for key, value in row.items()})
                for row in self.identity["assets"]
            )
        self._frames = Groups(where / FRAMES_NAME, FRAME_SCHEMA)
        self._people = Groups(where / INSTANCES_NAME, INSTANCE_SCHEMA)
        self._number = {name: k for k, name in enumerate(self._frames.column("file_name"))}
        self._index = np.array(self._frames.column("index"), np.int64)
        self._owner = np.array(self._people.column("frame_index"), np.int64)
        self._area_px = np.array(self._people.column("modal_area_px"), np.int64)
        with checked.reading(str(where)):
            if (np.diff(self._index) <= 0).any() or (np.diff(self._owner) < 0).any():
                raise ValueError("rows out of order")

    @property
    def names(self) -> list[str]:
        return list(self._number)

    def index_of(self, name: str) -> int | None:
        number = self._number.get(name)
        return None if number is None else int(self._index[number])

    def frame(self, name: str) -> Row | None:
        """Return the row of the frame of that name, checked; None if missing."""
        number = self._number.get(name)
        if number is None:
            return None
        row = self._frames.row(number)
        with checked.reading(f"{FOLDER}, {name}"):
            checked.check_frame(row)
        return row

    def people(self, frame: Row, *, below_px: int | None = None) -> list[Row]:
        """The rows of a frame's people, checked; `below_px`: only those of fewer modal pixels."""
        first, last = np.searchsorted(self._owner, frame["index"] + np.array([0, 1]))
        wanted = range(first, last)
        if below_px is not None:
            wanted = (np.flatnonzero(self._area_px[first:last] < below_px) + first).tolist()
        people = [self._people.row(k) for k in wanted]
        with checked.reading(f"{FOLDER}, {frame['file_name']}"):
            for row in people:
                checked.check_person(row, frame, len(self.skeleton.joints))
        return people


class Groups:
    """A Parquet file of the rows of one table, a group of rows in memory; FormatError."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._at, self._rows = path, -1, list[Row]()
        with parquet_errors(path):
            self._file = open_parquet(path)
            if not self._file.schema_arrow.equals(schema):
                raise ValueError("columns differ from this version's")
            counts = [
                self._file.metadata.row_group(g).num_rows for g in range(self._file.num_row_groups)
            ]
        self._ends = np.cumsum(counts) if counts else np.zeros(0, np.int64)

    def column(self, name: str) -> list[Any]:
        with parquet_errors(self._path):
            return self._file.read(columns=[name], use_threads=False)[name].to_pylist()

    def row(self, number: int) -> Row:
        group = int(np.searchsorted(self._ends, number, side="right"))
        if group != self._at:
            with parquet_errors(self._path):
                table = self._file.read_row_group(group, use_threads=False)
                table.validate(full=True)
                self._rows = table.to_pylist()
            self._at = group
        return dict(self._rows[number - (int(self._ends[group - 1]) if group else 0)])


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open an untrusted Parquet file with limits on its footer and row groups."""
    limits = {"thrift_string_size_limit": 2**24, "thrift_container_size_limit": 2**20}
    file = pq.ParquetFile(path.absolute(), **limits)
    for group in range(file.num_row_groups):
        facts = file.metadata.row_group(group)
        if not 0 <= facts.total_byte_size <= MAX_GROUP_BYTES or not 0 <= facts.num_rows < 2**31:
            raise ValueError(f"a group of rows above {MAX_GROUP_BYTES} bytes")
    return file


@contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """Turn errors of a damaged Parquet file into a FormatError."""
    try:
        with checked.reading(str(path)):
            yield
    except (pa.ArrowException, OSError, MemoryError) as error:
        raise FormatError(f"not a Parquet file: {str(error)[:200]}", where=str(path)) from error


def restore(
    read: Rows, unedited: Rows, stored: Rows, *, sigmas: F64, last: int, has_boxes: bool = True
) -> tuple[list[Row], int]:
    """Return the people of a file merged with the stored rows, and the number of edited ones.

    `unedited[k]`: `stored[k]` as written in the format. A person is the stored one of its
    KEPT_NUMBER, else the one equal in joints and box; the others are paired one to one for the
    largest sum of `likeness`. Below 0.5 a person is new and numbered after `last`; stored people
    without a pair were removed. `sigmas` (J,): of the OKS.
    """
    pairs: dict[int, int] = {}
    numbers = [row.get(KEPT_NUMBER) for row in read], [row["instance"] for row in stored]
    marks = [_fingerprint(row) for row in read], [_fingerprint(row) for row in unedited]
    for own, known in (numbers, marks):
        for n, one in enumerate(own):
            same = (k for k, other in enumerate(known) if other == one and k not in pairs.values())
            if n not in pairs and (k := next(same, None)) is not None:
                pairs[n] = k
    rest = [n for n in range(len(read)) if n not in pairs]
    free = [k for k in range(len(stored)) if k not in pairs.values()]
    if rest and free:
        from scipy.optimize import linear_sum_assignment  # slow to import

        alike = likeness([read[n] for n in rest], [unedited[k] for k in free], sigmas, has_boxes)
        alike[alike < 0.5] = 0
        best = zip(*linear_sum_assignment(-alike), strict=True)
        pairs |= {rest[n]: free[k] for n, k in best if alike[n, k]}
    out, changed = [], 0
    for n, row in enumerate(read):
        if n not in pairs:
            last, changed = last + 1, changed + 1
            out.append({**row, "instance": last})
            continue
        k = pairs[n]
        merged = merge(row, unedited[k], stored[k], has_boxes=has_boxes)
        changed += merged is not stored[k]
        out.append(merged)
    return out, changed


def likeness(read: Rows, unedited: Rows, sigmas: F64, has_boxes: bool) -> F64:
    """Likeness of people, (R, U) from 0 to 1: the mean of OKS (by the box's area) and IoU of boxes;
    only OKS for formats without boxes, only IoU of a person without labelled joints."""
    px = [np.reshape([r["joints_px"] for r in p], (len(p), -1, 2)) for p in (read, unedited)]
    known, boxes = ~np.isnan(px[1][..., 0]), [row["modal_box_px"] for row in unedited]
    area = np.array([width * height for _, _, width, height in boxes])
    oks = object_similarity(px[0], px[1], known, area, sigmas)
    iou = np.array([[box_overlap(row["modal_box_px"], box) for box in boxes] for row in read])
    return np.where(known.any(1), (oks + iou) / 2 if has_boxes else oks, iou)


def merge(read: Row, unedited: Row, stored: Row, *, has_boxes: bool = True) -> Row:
    """Return `stored` itself, or a copy with the joints and box (if any) that a file changes."""
    differ = [
        j
        for j, (a, b) in enumerate(zip(_points(read), _points(unedited), strict=True))
        if a[2] != b[2] or not all(_same(u, v) for u, v in zip(a[:2], b[:2], strict=True))
    ]
    box = read["modal_box_px"]
    known = [row["modal_box_px"] for row in (unedited, stored)]
    moved = has_boxes and not any(all(map(_same, box, other)) for other in known)
    if not differ and not moved:
        return stored
    joints, new = joints_of(stored), joints_of(read)
    for j in differ:
        joints[j] |= {name: new[j][name] for name in _EDITED}
    return {**stored, **columns_of(joints, stored), "modal_box_px": box if moved else known[1]}


def _points(row: Row) -> Iterable[tuple[float, float, int]]:
    return zip(row["joints_px"][::2], row["joints_px"][1::2], row["state"], strict=True)


def _same(a: float, b: float) -> bool:
    return a == b or abs(a - b) < SAME_PX or (math.isnan(a) and math.isnan(b))


def _fingerprint(row: Row) -> tuple[Any, ...]:
    """A key of a person, equal for numbers that print equally."""
    numbers = *row["joints_px"], *row["modal_box_px"]
    return (*row["state"], *(None if v != v else round(v, 2) for v in numbers))
