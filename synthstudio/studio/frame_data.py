"""Frames of a data set for pages and the editor: rows of their people, pictures, and the legend.

Rows of recent frames are cached. Computed pictures are, too, up to a number of bytes; stored ones
are read again, which costs less than caching. Marks are those of report/draw.py and
editor/js/canvas.js, doubled for the right side, so that neither side nor cause is shown by colour
alone.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synthstudio.core.arrays import F64, U8
from synthstudio.core.errors import DatasetError
from synthstudio.core.images import decode_rgb, encode_jpeg, encode_png, resample
from synthstudio.core.labels import CAUSES
from synthstudio.core.last_used import LastUsed
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE, READ_ERRORS, Row
from synthstudio.dataset.shards import FRAMES_NAME, INSTANCES_NAME
from synthstudio.report.draw import Pen, cut_out, draw_bones, draw_marker
from synthstudio.review.check import Base, base_in, labels_of
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.predictions import box_of
from synthstudio.review.values import HIDDEN_BY, ItemState, JointLabel, Pair, Person

_KEPT_FRAMES = 600
UNTOUCHED = ItemState(person=Person(dataset="", frame=0, instance=0))
_FRAME_FIELDS = (
    "index",
    "width_px",
    "height_px",
    "variant",
    "layers",
    "object_instance",
    "object_kind",
    "clip_id",
)
_PERSON_FIELDS = (
    "frame_index",
    "instance",
    "track_id",
    "joints_px",
    "joints_camera_m",
    "visibility_fractions",
    "state",
    "cause",
    "origin",
    "hidden_joint",
    "hidden_instance",
    "hidden_share",
    "mask_size",
    "modal_counts",
    "amodal_counts",
    "modal_box_px",
    "amodal_box_px",
    "occluded_fraction",
    "truncated_fraction",
    "pose",
    "depth_m",
)


@dataclass(frozen=True, kw_only=True)
class FrameRows:
    """A frame and its people, as needed by the editor. `made`: cached labels as JSON."""

    frame: Row
    people: Mapping[int, Row]
    made: dict[int, dict[str, Any]] = field(default_factory=dict)
    bases: dict[int, Base] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        return self.frame["height_px"], self.frame["width_px"]


class Frames:
    """A cache of recent frames; thread-safe."""

    def __init__(self, dataset: Dataset, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self._dataset = dataset
        self._kept: LastUsed[int, FrameRows] = LastUsed(_KEPT_FRAMES)

    def get(self, frame: int) -> FrameRows:
        """Return a frame; DatasetError if not in the data set."""
        return self._kept.get_or(frame, lambda: _read(self._dataset, frame))

    def base_of(self, person: Person) -> Base:
        """Return a person's labels on disk; DatasetError for an unknown frame."""
        found, number = self.get(person.frame), person.instance
        if number not in found.bases:
            base = base_in(found.frame, found.people, number, self.skeleton.joints)
            if number not in found.people:
                return base  # numbers in requests are arbitrary
            found.bases[number] = base
        return found.bases[number]


def people_now(
    found: FrameRows, states: Mapping[Pair, ItemState], joints: tuple[str, ...]
) -> Iterator[tuple[int, ItemState, dict[str, JointLabel]]]:
    """Number, state and labels of all people in a frame, on disk or added, including deleted."""
    frame = found.frame["index"]
    added = [n for (f, n), state in states.items() if f == frame and state.added]
    for number in dict.fromkeys([*found.people, *added]):
        state, row = states.get((frame, number), UNTOUCHED), found.people.get(number)
        labels = labels_of(row, joints) if row is not None else {}
        yield number, state, labels | dict(state.joints)


def _read(dataset: Dataset, frame: int) -> FrameRows:
    """Read one frame and its people; the reader itself would build rows of the whole shard."""
    rows: list[Row] = []
    with suppress(KeyError):  # no such shard
        shard = dataset.shard_folder(frame // dataset.identity.frames_per_shard)
        rows = _read_rows(shard / FRAMES_NAME, _FRAME_FIELDS, frame)
    if len(rows) != 1:
        raise _no_frame(dataset, frame)
    people = _read_rows(shard / INSTANCES_NAME, _PERSON_FIELDS, frame)
    return FrameRows(frame=rows[0], people={row["instance"]: row for row in people})


def _no_frame(dataset: Dataset, frame: int) -> DatasetError:
    what = "the data set does not hold this frame"
    return DatasetError(what, where=str(dataset.place), got=str(frame))


def _read_rows(path: Path, columns: Sequence[str], frame: int) -> list[Row]:
    try:
        with pq.ParquetFile(path.absolute()) as file:
            table = file.read(columns=list(columns), use_threads=False)
        rows: list[Row] = table.filter(pc.equal(table[columns[0]], frame)).to_pylist()
    except FileNotFoundError:
        return []
    except (*READ_ERRORS, KeyError) as error:
        raise DatasetError(
            f"this table cannot be read: {error}",
            where=str(path),
            then="Check the data set with: synthstudio validate.",
        ) from error
    return rows


_QUALITY = 88
_MARGIN = 0.18
_OUTSIDE = (58, 58, 58)
_FRAMES = ["index", "file_name", "group_id", "variant"]

_SUPERSAMPLE = 2  # pixels of the drawing a pixel of the picture: lines of half a pixel
_LEGEND = (
    ("visible", "middle", "visible"),
    *((cause, "middle", words) for cause, words in HIDDEN_BY.items()),
    ("unknown", "middle", "hidden, cause unknown"),
    ("truncated", "middle", "outside the frame"),
    ("visible", "left", "left"),
    ("visible", "right", "right"),
)
_CHIP = (0x3A, 0x3F, 0x46)
_LEGEND_PX = 44  # shown at half of it: sharp on fine screens


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set's pictures. `frames`: number -> row; `clean`: group -> frame without occluders."""

    dataset: Dataset
    frames: Mapping[int, Row]
    clean: Mapping[str, int]

    def clean_of(self, frame: int) -> int | None:
        """The frame of the same view and moment without occluders, None for none."""
        row = self.frames.get(frame)
        alike = row is not None and row["variant"] in ("base", "occluder")
        return self.clean.get(row["group_id"]) if row is not None and alike else None


def read_source(dataset: Dataset) -> Source:
    frames = {row["index"]: row for row in dataset.iter_frames(_FRAMES)}
    clean = {row["group_id"]: k for k, row in frames.items() if row["variant"] == "clean"}
    return Source(dataset=dataset, frames=frames, clean=clean)


def image(source: Source, frame: int) -> bytes:
    """A frame's picture file as stored, checked against its hash; DatasetError for none."""
    return source.dataset.image_bytes_of(_row_of(source, frame))


def media_type(source: Source, frame: int) -> str:
    suffix = str(_row_of(source, frame)["file_name"]).rsplit(".", 1)[-1]
    return {"jpg": "image/jpeg"}.get(suffix, f"image/{suffix}")


def crop(
    source: Source,
    table: PeopleTable,
    frame: int,
    instance: int,
    *,
    size: int,
    labels: bool,
    changed: Mapping[str, JointLabel] | None = None,
) -> bytes:
    """A person, square and `size` px wide, as JPEG; DatasetError if there is no such person.

    `changed`: joints moved or relabelled by reviewers. The square is the visible box (the joints'
    if there is none) with a margin; its part outside the frame is grey.
    """
    row = table.row_of(frame, instance)
    rgb = decode_rgb(image(source, frame), f"frame {frame}")
    x0, y0, side = _square(table, row, rgb.shape)
    zoom = size / side
    picture = cut_out(rgb, np.array([x0, y0]), zoom, (size, size), border=_OUTSIDE)
    if labels:
        found = _labels(table, row, changed or {})
        picture = draw_marks(picture, replace(found, px=(found.px - [x0, y0]) * zoom))
    return encode_jpeg(picture, _QUALITY)


def small(source: Source, frame: int, *, size: int) -> bytes:
    """A whole frame as JPEG, its longest side `size` px."""
    rgb = decode_rgb(image(source, frame), f"frame {frame}")
    scale = size / max(rgb.shape[:2])
    wide, high = (max(1, round(side * scale)) for side in (rgb.shape[1], rgb.shape[0]))
    return encode_jpeg(resample(rgb, (0, 0, rgb.shape[1], rgb.shape[0]), (wide, high)), _QUALITY)


def depth(source: Source, row: Row) -> bytes:
    """The stored depth of a frame's row as a grey PNG, near is bright; DatasetError if missing."""
    frame = row["index"]
    if "depth" not in row["layers"]:
        raise DatasetError(
            "the depth was not stored",
            where=f"frame {frame}",
            then="Add it to the recipe: layers: [depth].",
        )
    data = source.dataset.layer_path(frame, "depth").read_bytes()
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.shape != (row["height_px"], row["width_px"]):
        raise DatasetError("the depth is damaged", where=f"frame {frame}")
    known = stored > 0
    inverse = 1000 / np.clip(stored, 1, None).astype(np.float64)
    # Stretched over this frame's range: people a metre apart must look different.
    near, far = np.percentile(inverse[known], [99, 1]) if known.any() else (1.0, 0.0)
    bright = np.clip((inverse - far) / max(near - far, 1e-9), 0.0, 1.0)
    return encode_png(np.where(known, np.rint(40 + 215 * bright), 0).astype(np.uint8))


def _row_of(source: Source, frame: int) -> Row:
    row = source.frames.get(frame)
    if row is None:
        raise _no_frame(source.dataset, frame)
    return row


def _labels(table: PeopleTable, row: int, changed: Mapping[str, JointLabel]) -> JointMarks:
    joints = np.array(table.joints_px[row], np.float64)
    causes = [CAUSES[c] if c < len(CAUSES) else "unknown" for c in table.cause[row]]
    states = [int(state) for state in table.state[row]]
    for j, name in enumerate(table.joints):
        if (label := changed.get(name)) is not None:
            joints[j] = [np.nan if v is None else v for v in (label.x_px, label.y_px)]
            states[j], causes[j] = NO_STATE if label.state is None else label.state, label.cause
    return JointMarks(skeleton=table.skeleton, px=joints, state=states, cause=causes)


def _square(table: PeopleTable, row: int, shape: Sequence[int]) -> tuple[float, float, float]:
    x, y, w, h = map(float, table.modal_box_px[row])
    if not (w > 0 and h > 0):
        joints = table.joints_px[row].astype(np.float64)
        known = joints[np.isfinite(joints).all(axis=1)]
        x, y, w, h = box_of(known) if len(known) else (0.0, 0.0, shape[1], shape[0])
    side = max(8.0, max(w, h) * (1 + 2 * _MARGIN))
    return x + w / 2 - side / 2, y + h / 2 - side / 2, side


@dataclass(frozen=True, kw_only=True)
class JointMarks:
    """Labels to draw. `px` (J, 2) continuous pixels of the picture, NaN: unknown place.

    `state` (J,): 0, 1, 2, or NO_STATE; `cause` (J,) of CAUSES.
    """

    skeleton: Skeleton
    px: F64
    state: Sequence[int]
    cause: Sequence[str]


def draw_marks(rgb: U8, labels: JointMarks) -> U8:
    """Return the picture (h, w, 3) with labels drawn in; joints outside are put at its border."""
    high, wide = rgb.shape[:2]
    canvas = np.repeat(np.repeat(rgb, _SUPERSAMPLE, axis=0), _SUPERSAMPLE, axis=1)
    radius = min(8.0, max(4.5, max(high, wide) / 44))
    px = np.clip(labels.px, radius + 1, [wide - radius - 1, high - radius - 1])
    unknown = ~np.isfinite(labels.px).all(axis=1)
    px[unknown | (np.array(labels.state) == NO_STATE)] = np.nan
    apart = np.linalg.norm(px[:, None] - px, axis=-1)
    np.fill_diagonal(apart, np.inf)
    sizes = np.clip(0.55 * np.fmin.reduce(apart, axis=1), 3.0, radius)
    pen = _pen(radius)
    draw_bones(canvas, px, labels.state, labels.skeleton, pen)
    # Hidden joints are drawn last, on top.
    known = np.flatnonzero(~np.isnan(px[:, 0])).tolist()
    for j in sorted(known, key=lambda j: labels.cause[j] != "visible"):
        finer = replace(pen, marker=_SUPERSAMPLE * sizes[j])
        draw_marker(canvas, px[j], labels.cause[j], labels.skeleton.sides[j], finer)
    return np.asarray(cv2.resize(canvas, (wide, high), interpolation=cv2.INTER_AREA), np.uint8)


def _pen(radius: float) -> Pen:
    zoom = _SUPERSAMPLE
    return Pen(zoom=zoom, unit=zoom * radius / 4.5, marker=zoom * radius, doubled=True)


@functools.cache
def legend_html() -> str:
    parts = []
    for cause, side, words in _LEGEND:
        code = base64.b64encode(_legend_mark(cause, side)).decode("ascii")
        half = _LEGEND_PX // 2
        parts.append(
            f'<span style="display:inline-flex;align-items:center;gap:3px">'
            f'<img alt="" width="{half}" height="{half}" style="border-radius:4px" '
            f'src="data:image/png;base64,{code}">'
            f"{words}</span>"
        )
    inside = "".join([*parts, "<span>dashed: one end is hidden</span>"])
    style = "display:flex;flex-wrap:wrap;gap:2px 12px;font-size:12px;line-height:1.6"
    return f'<div role="note" aria-label="What the marks mean" style="{style}">{inside}</div>'


def _legend_mark(cause: str, side: str) -> bytes:
    large = np.full((_LEGEND_PX * _SUPERSAMPLE, _LEGEND_PX * _SUPERSAMPLE, 3), _CHIP, np.uint8)
    draw_marker(large, (_LEGEND_PX / 2, _LEGEND_PX / 2), cause, side, _pen(11.0))
    small = cv2.resize(large, (_LEGEND_PX, _LEGEND_PX), interpolation=cv2.INTER_AREA)
    return encode_png(np.asarray(small, np.uint8))
