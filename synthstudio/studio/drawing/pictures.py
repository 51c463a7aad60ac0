"""Pictures for the browser: frames as stored, people cut out with labels, masks, depth.

What is computed is kept, up to a number of bytes; frames themselves are read again, which costs
less than keeping them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import DatasetError
from synthstudio.core.images import decode_rgb, encode_jpeg, encode_png, resample
from synthstudio.core.labels import CAUSES
from synthstudio.core.masks import check_counts, runs
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE
from synthstudio.report.draw import person_colour
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.values import JointLabel
from synthstudio.studio.drawing.marks import Marked, marked

U8 = NDArray[np.uint8]
MAX_SIZE_PX = 1024
_QUALITY = 88
_MARGIN = 0.18
_FRAMES = ["index", "file_name", "group_id", "variant", "layers", "width_px", "height_px"]


@dataclass(frozen=True, kw_only=True)
class FrameFact:
    """What the studio keeps of every frame."""

    file_name: str
    group_id: str
    variant: str
    depth: bool
    width_px: int
    height_px: int


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set that pictures are taken from, and what is known of all its frames."""

    dataset: Dataset
    skeleton: Skeleton
    frames: Mapping[int, FrameFact]
    clean: Mapping[str, int]
    """Group -> its frame without occluders."""

    def clean_of(self, frame: int) -> int | None:
        """Return the frame of the same view and moment without occluders, None for none."""
        fact = self.frames.get(frame)
        alike = fact is not None and fact.variant in ("base", "occluder")
        return self.clean.get(fact.group_id) if fact is not None and alike else None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a crop shows of a person: `px` (J, 2), `state` and `cause` (J,), box of what is seen.

    `box_px`: x, y, w, h.
    """

    px: NDArray[np.float64]
    state: NDArray[np.uint8]
    cause: Sequence[str]
    box_px: NDArray[np.float64]


def source_of(dataset: Dataset, skeleton: Skeleton) -> Source:
    """Read what the studio keeps of every frame."""
    frames = {
        row["index"]: FrameFact(
            file_name=row["file_name"],
            group_id=row["group_id"],
            variant=row["variant"],
            depth="depth" in row["layers"],
            width_px=row["width_px"],
            height_px=row["height_px"],
        )
        for row in dataset.iter_frames(_FRAMES)
    }
    clean = {f.group_id: index for index, f in frames.items() if f.variant == "clean"}
    return Source(dataset=dataset, skeleton=skeleton, frames=frames, clean=clean)


class Cache:
    """Keeps answers up to a number of bytes, the least asked for going first."""

    def __init__(self, most_bytes: int) -> None:
        """Keep at most so many bytes."""
        self._most, self._bytes = most_bytes, 0
        self._kept: OrderedDict[object, bytes] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Return how many bytes are kept."""
        return self._bytes

    def get(self, key: object) -> bytes | None:
        """Return what is kept under `key`."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: object, data: bytes) -> bytes:
        """Keep an answer, if it is not too large a part of all, and return it."""
        with self._lock:
            if len(data) <= self._most // 4:
                self._bytes += len(data) - len(self._kept.pop(key, b""))
                self._kept[key] = data
            while self._bytes > self._most:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return data


def image(source: Source, frame: int) -> bytes:
    """Return a frame's picture file as stored, checked against its hash; DatasetError for none."""
    fact = _fact(source, frame)
    return source.dataset.image_bytes_of({"index": frame, "file_name": fact.file_name})


def media_type(source: Source, frame: int) -> str:
    """Return the media type of a frame's picture file."""
    suffix = _fact(source, frame).file_name.rsplit(".", 1)[-1]
    return {"jpg": "image/jpeg"}.get(suffix, f"image/{suffix}")


def seen_in_row(source: Source, frame: int, instance: int) -> Seen:
    """Return what a crop shows of a person, as its shard tells."""
    row = _person(source, frame, instance)
    return Seen(
        px=np.array(row["joints_px"], np.float64).reshape(-1, 2),
        state=np.array(row["state"], np.uint8),
        cause=tuple(row["cause"]),
        box_px=np.array(row["modal_box_px"], np.float64),
    )


def seen_in_table(table: PeopleTable, frame: int, instance: int) -> Seen:
    """Return the same of the table of all people: no shard has to be opened for it."""
    row = table.row_of(frame, instance)
    return Seen(
        px=np.array(table.joints_px[row], np.float64),
        state=np.array(table.state[row]),
        cause=tuple(CAUSES[c] if c < len(CAUSES) else "unknown" for c in table.cause[row]),
        box_px=np.array(table.modal_box_px[row], np.float64),
    )


def crop(
    source: Source,
    frame: int,
    instance: int,
    *,
    size: int,
    labels: bool,
    changed: Mapping[str, JointLabel] | None = None,
    table: PeopleTable | None = None,
) -> bytes:
    """Return a person, square and `size` px wide, as JPEG; with labels drawn in if asked.

    `changed`: joints that reviewers moved or judged anew. `table`: where it was read already,
    it spares opening the person's shard. The square is the box of what is seen
    (of the joints where nothing is) with a margin; what of it lies outside the frame is grey.
    """
    if table is None:
        seen = seen_in_row(source, frame, instance)
    else:
        seen = seen_in_table(table, frame, instance)
    rgb = decode_rgb(image(source, frame), f"frame {frame}")
    x0, y0, side = _square(_box(seen, rgb.shape))
    picture = _window(rgb, x0, y0, side, min(max(size, 16), MAX_SIZE_PX))
    if labels:
        found = _labels(seen, source.skeleton, changed or {})
        scale = picture.shape[0] / side
        picture = marked(picture, replace(found, px=(found.px - [x0, y0]) * scale))
    return encode_jpeg(picture, _QUALITY)


def mask(source: Source, frame: int, instance: int, *, amodal: bool) -> bytes:
    """Return a PNG as large as the frame, clear but for masks; instance 0: of all people.

    `amodal`: the whole person, what is hidden of it twice as dense as what is seen.
    """
    fact = _fact(source, frame)
    out = np.zeros((fact.height_px, fact.width_px, 4), np.uint8)
    people = [_person(source, frame, instance)] if instance else _people(source, frame)
    for row in people:
        seen = _decoded(row, "modal_counts", out.shape)
        whole = _decoded(row, "amodal_counts", out.shape) if amodal else seen
        out[whole | seen, :3] = person_colour(row["instance"])
        out[seen, 3] = 90 if amodal else 120
        out[whole & ~seen, 3] = 180
    return encode_png(out)


def depth(source: Source, frame: int) -> bytes:
    """Return a frame's stored depth as a grey PNG, near is bright; DatasetError if not stored."""
    import cv2

    fact = _fact(source, frame)
    if not fact.depth:
        raise DatasetError(
            "the depth was not stored",
            where=f"frame {frame}",
            then="Ask for it in the recipe: layers: [depth].",
        )
    data = source.dataset.layer_path(frame, "depth").read_bytes()
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.shape != (fact.height_px, fact.width_px):
        raise DatasetError("the depth is damaged", where=f"frame {frame}")
    known = stored > 0
    inverse = 1000 / np.clip(stored, 1, None).astype(np.float64)
    # Stretched over what this frame holds: people a metre apart have to look different.
    near, far = np.percentile(inverse[known], [99, 1]) if known.any() else (1.0, 0.0)
    bright = np.clip((inverse - far) / max(near - far, 1e-9), 0.0, 1.0)
    return encode_png(np.where(known, np.rint(40 + 215 * bright), 0).astype(np.uint8))


def _fact(source: Source, frame: int) -> FrameFact:
    fact = source.frames.get(frame)
    if fact is None:
        raise DatasetError(
            "the data set does not hold this frame",
            where=str(source.dataset.folder),
            got=str(frame),
        )
    return fact


def _people(source: Source, frame: int) -> list[dict[str, Any]]:
    _fact(source, frame)
    return source.dataset.instances(frame)


def _person(source: Source, frame: int, instance: int) -> dict[str, Any]:
    for row in _people(source, frame):
        if row["instance"] == instance:
            return row
    raise DatasetError("the frame has no such person", where=f"frame {frame}", got=str(instance))


def _labels(seen: Seen, skeleton: Skeleton, changed: Mapping[str, JointLabel]) -> Marked:
    """Return labels as they are drawn, in pixels of the frame."""
    joints, causes = seen.px.copy(), list(seen.cause)
    states = [None if state == NO_STATE else int(state) for state in seen.state]
    for j, name in enumerate(skeleton.joints):
        if (label := changed.get(name)) is not None:
            joints[j] = [np.nan if v is None else v for v in (label.x_px, label.y_px)]
            states[j], causes[j] = label.state, label.cause
    return Marked(skeleton=skeleton, px=joints, state=states, cause=causes)


def _box(seen: Seen, shape: Sequence[int]) -> Sequence[float]:
    if seen.box_px[2] > 0 and seen.box_px[3] > 0:
        return [float(v) for v in seen.box_px]
    known = seen.px[np.isfinite(seen.px).all(axis=1)]
    if not len(known):
        return [0.0, 0.0, float(shape[1]), float(shape[0])]
    low, high = known.min(axis=0), known.max(axis=0)
    return [float(v) for v in (*low, *(high - low))]


def _square(box: Sequence[float]) -> tuple[float, float, float]:
    """Return left, top and side of the square about a box, with a margin."""
    x, y, w, h = box
    side = max(8.0, max(w, h) * (1 + 2 * _MARGIN))
    return x + w / 2 - side / 2, y + h / 2 - side / 2, side


def _window(rgb: U8, x0: float, y0: float, side: float, size: int) -> U8:
    """Return the square scaled to `size`; grey where the frame ends."""
    h, w = rgb.shape[:2]
    left, top = max(0.0, x0), max(0.0, y0)
    right, low = min(float(w), x0 + side), min(float(h), y0 + side)
    out = np.full((size, size, 3), 58, np.uint8)
    if right - left < 1 or low - top < 1:
        return out
    scale = size / side
    a, b = round((left - x0) * scale), round((top - y0) * scale)
    wide = min(size - a, max(1, round((right - left) * scale)))
    high = min(size - b, max(1, round((low - top) * scale)))
    out[b : b + high, a : a + wide] = resample(rgb, (left, top, right, low), (wide, high))
    return out


def _decoded(row: Mapping[str, Any], column: str, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Return a mask (H, W) of a row; nothing where the row has none."""
    counts, size = row[column], (shape[0], shape[1])
    if not counts or tuple(row["mask_size"]) != size:
        return np.zeros(size, np.bool_)
    try:
        check_counts(counts, size)
    except ValueError as error:
        where = f"frame {row['frame_index']}, person {row['instance']}"
        raise DatasetError(f"the mask is damaged: {error}", where=where) from error
    lengths = runs(counts)
    by_column = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return by_column.reshape(size[1], size[0]).T
