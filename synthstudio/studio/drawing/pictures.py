"""Pictures for the browser: stored frames, crops of people with labels, depth.

Computed pictures are cached, up to a number of bytes; frames are read again, which costs less
than caching.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import DatasetError
from synthstudio.core.images import decode_rgb, encode_jpeg, encode_png, resample
from synthstudio.core.labels import CAUSES
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE, Row
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.values import JointLabel
from synthstudio.studio.drawing.marks import JointMarks, draw_marks

U8 = NDArray[np.uint8]
_QUALITY = 88
_MARGIN = 0.18
_FRAMES = ["index", "file_name", "group_id", "variant", "layers", "width_px", "height_px"]


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
    picture = _window(rgb, x0, y0, side, size)
    if labels:
        found = _labels(table, row, changed or {})
        scale = picture.shape[0] / side
        picture = draw_marks(picture, replace(found, px=(found.px - [x0, y0]) * scale))
    return encode_jpeg(picture, _QUALITY)


def small(source: Source, frame: int, *, size: int) -> bytes:
    """A whole frame as JPEG, its longest side `size` px."""
    rgb = decode_rgb(image(source, frame), f"frame {frame}")
    scale = size / max(rgb.shape[:2])
    wide, high = (max(1, round(side * scale)) for side in (rgb.shape[1], rgb.shape[0]))
    return encode_jpeg(resample(rgb, (0, 0, rgb.shape[1], rgb.shape[0]), (wide, high)), _QUALITY)


def depth(source: Source, frame: int) -> bytes:
    """A frame's stored depth as a grey PNG, near is bright; DatasetError if missing."""
    import cv2

    row = _row_of(source, frame)
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
        raise DatasetError(
            "the data set does not hold this frame", where=str(source.dataset.place), got=str(frame)
        )
    return row


def _labels(table: PeopleTable, row: int, changed: Mapping[str, JointLabel]) -> JointMarks:
    joints = np.array(table.joints_px[row], np.float64)
    causes = [CAUSES[c] if c < len(CAUSES) else "unknown" for c in table.cause[row]]
    states = [None if state == NO_STATE else int(state) for state in table.state[row]]
    for j, name in enumerate(table.joints):
        if (label := changed.get(name)) is not None:
            joints[j] = [np.nan if v is None else v for v in (label.x_px, label.y_px)]
            states[j], causes[j] = label.state, label.cause
    return JointMarks(skeleton=table.skeleton, px=joints, state=states, cause=causes)


def _square(table: PeopleTable, row: int, shape: Sequence[int]) -> tuple[float, float, float]:
    x, y, w, h = map(float, table.modal_box_px[row])
    if not (w > 0 and h > 0):
        joints = table.joints_px[row].astype(np.float64)
        known = joints[np.isfinite(joints).all(axis=1)]
        low, high = (0.0, 0.0), (shape[1], shape[0])
        if len(known):
            low, high = known.min(axis=0), known.max(axis=0)
        x, y, w, h = (float(v) for v in (*low, high[0] - low[0], high[1] - low[1]))
    side = max(8.0, max(w, h) * (1 + 2 * _MARGIN))
    return x + w / 2 - side / 2, y + h / 2 - side / 2, side


def _window(rgb: U8, x0: float, y0: float, side: float, size: int) -> U8:
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
