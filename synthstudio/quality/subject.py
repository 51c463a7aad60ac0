"""What checks look at: a person, of a COCO entry or a row of a data set, and masks as runs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from synthstudio.core import masks as rle
from synthstudio.core.labels import Rle
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.rows import NO_STATE, distortion_of

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Box = tuple[float, float, float, float]
HALF_PX = 0.5
FAR = 1e12
"""Numbers beyond this (and NaN) are no places, lengths or areas."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One person of one image. Pixels are continuous; NaN: nobody knows.

    `px` holds only joints with v > 0; `state` is v, NO_STATE where nobody labelled. `drawn`: the
    amodal box is of the whole body; that of a photo is only of what the photo shows.
    """

    where: str
    image: Any
    person: Any
    width: int
    height: int
    skeleton: Skeleton
    px: F64  # (J, 2)
    state: NDArray[np.int64]  # (J,)
    box: Box | None
    area: float | None
    mask: Rle | None
    amodal_box: Box | None = None
    drawn: bool = True
    camera_m: F64 | None = None  # (J, 3)
    K: F64 | None = None  # (3, 3)
    distortion: F64 | None = None  # (1, 4) OpenCV's distCoeffs; None: nothing is bent

    @cached_property
    def labelled(self) -> NDArray[np.bool_]:
        """(J,) whether a joint has a place: v 1 or 2, finite."""
        known = (self.state == 1) | (self.state == 2)
        return np.asarray(known & np.isfinite(self.px).all(axis=1))


def subject_of_row(frame: Mapping[str, Any], row: Mapping[str, Any], skeleton: Skeleton) -> Subject:
    """Return the subject of an instance's row; ValueError for lists that do not fit."""
    joints = len(skeleton.joints)
    state = np.array(row["state"], np.int64)
    px = _matrix(row["joints_px"], joints, 2)
    if len(state) != joints:
        raise ValueError(f"state has {len(state)} entries, the skeleton {joints} joints")
    px[(state == 0) | (state == NO_STATE)] = np.nan
    return Subject(
        where=f"frame {frame['index']}, person {row['instance']}",
        image=frame["index"],
        person=row["instance"],
        width=frame["width_px"],
        height=frame["height_px"],
        skeleton=skeleton,
        px=px,
        state=state,
        box=_box(row["modal_box_px"]),
        area=float(row["modal_area_px"]),
        mask=_rle(row["mask_size"], row["modal_counts"]),
        amodal_box=_box(row["amodal_box_px"]),
        drawn="rendered" in row["origin"],
        camera_m=_optional(row["joints_camera_m"], joints, 3),
        K=_optional(frame["K"], 3, 3),
        distortion=_optional(distortion_of(frame["spec"]), 1, 4),
    )


def subject_of_entry(
    image: Mapping[str, Any], entry: Mapping[str, Any], skeleton: Skeleton
) -> Subject:
    """Return the subject of a COCO annotation whose keypoints are J x (x, y, v) numbers.

    A joint with v > 0 and a number that is not finite has no place. Extra arrays of our own
    export are used where they are there and fit.
    """
    joints = len(skeleton.joints)
    flat = np.array(entry["keypoints"], np.float64).reshape(joints, 3)
    finite = (np.abs(flat) < FAR).all(axis=1)
    state = np.where(finite, flat[:, 2], NO_STATE).astype(np.int64)
    state[state == 0] = NO_STATE  # outside or unlabelled: COCO does not tell
    px = np.where((state == NO_STATE)[:, None], np.nan, flat[:, :2] + HALF_PX)
    return Subject(
        where=f"annotation {entry.get('id')} of image {entry.get('image_id')}",
        image=entry.get("image_id"),
        person=entry.get("id"),
        width=int(image["width"]),
        height=int(image["height"]),
        skeleton=skeleton,
        px=px,
        state=state,
        box=_box(entry.get("bbox")),
        area=_number(entry.get("area")),
        mask=None,
        amodal_box=_box(entry.get("amodal_bbox")),
        drawn=_is_drawn(entry.get("origin")),
        camera_m=_optional(_flat(entry.get("keypoints_3d_camera_m")), joints, 3),
        K=_optional(_flat(image.get("K")), 3, 3),
        distortion=_optional(_flat([image.get("distortion")]), 1, 4),
    )


def _is_drawn(origin: Any) -> bool:
    """Whether a whole body was labelled; what says nothing of its origin is taken so."""
    return not isinstance(origin, list) or not origin or "rendered" in origin


def digest(*parts: object) -> int:
    """Return 64 bits that tell values apart, the same in every process."""
    data = repr(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


@cache
def flip_of(joints: tuple[str, ...]) -> NDArray[np.int64]:
    """Return (J,) the joint that each becomes in a mirror; itself where its twin is missing."""
    names = {name: j for j, name in enumerate(joints)}
    swap = {"left_": "right_", "right_": "left_"}
    out = np.arange(len(joints))
    for j, name in enumerate(joints):
        for side, other in swap.items():
            if name.startswith(side):
                out[j] = names.get(other + name.removeprefix(side), j)
    return out


def is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def is_box(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 4
        and all(is_number(v) and abs(v) < FAR for v in value)
    )


def is_number(value: Any) -> bool:
    """True for an int or a float (NaN too), not for a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _matrix(values: Sequence[float], rows: int, columns: int) -> F64:
    out = np.array(values, np.float64)
    if out.size != rows * columns:
        raise ValueError(f"{out.size} numbers where {rows} x {columns} belong")
    return out.reshape(rows, columns)


def _optional(values: Sequence[float] | None, rows: int, columns: int) -> F64 | None:
    if values is None or len(values) != rows * columns:
        return None
    out = np.array(values, np.float64).reshape(rows, columns)
    return out if not (np.abs(out) >= FAR).any() else None


def _flat(nested: Any) -> list[float] | None:
    if not isinstance(nested, list):
        return None
    out: list[float] = []
    for row in nested:
        if not isinstance(row, list):
            return None
        for value in row:
            if value is not None and not is_number(value):
                return None
            out.append(math.nan if value is None else float(value))
    return out


def _box(values: Any) -> Box | None:
    if not is_box(values):
        return None
    x, y, w, h = (float(v) for v in values)
    return x, y, w, h


def _number(value: Any) -> float | None:
    return float(value) if is_number(value) and abs(value) < FAR else None


def _rle(size: Sequence[int], counts: str | None) -> Rle | None:
    return None if counts is None else {"size": list(size), "counts": counts}


_MAX_PIXELS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class Mask:
    """A mask as runs. `starts`, `ends`: of runs of set pixels, counted down the columns."""

    height: int
    width: int
    starts: I64
    ends: I64
    polygon_area: float | None = None  # sum of the polygons it was made of

    @property
    def area(self) -> int:
        return int((self.ends - self.starts).sum())

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Return x, y, w, h of the set pixels, edges included; zeros when there are none."""
        if not len(self.starts):
            return 0.0, 0.0, 0.0, 0.0
        first, last = self.starts // self.height, (self.ends - 1) // self.height
        one = first == last
        top = np.where(one, self.starts % self.height, 0)
        low = np.where(one, (self.ends - 1) % self.height, self.height - 1)
        x0, y0 = int(first[0]), int(top.min())
        return float(x0), float(y0), float(last[-1] + 1 - x0), float(low.max() + 1 - y0)

    def outline(self, most: int) -> NDArray[np.float64]:
        """Return (n, 2) pixel-edge places x, y on upper and lower borders, evenly chosen.

        Runs that begin or end at the picture's edge are no border.
        """
        places = np.concatenate([self.starts, self.ends])
        y = places % self.height
        inner = places[(y > 4) & (y < self.height - 4)]
        if not len(inner):
            return np.zeros((0, 2))
        chosen = inner[np.linspace(0, len(inner) - 1, min(most, len(inner))).astype(np.int64)]
        return np.stack([chosen // self.height + 0.5, chosen % self.height + 0.0], axis=1)


def read_mask(segmentation: Any, height: int, width: int) -> Mask:
    """Return a COCO segmentation (RLE or polygons) of an image; ValueError says what is wrong.

    An RLE keeps its own size, which may not be the image's.
    """
    if isinstance(segmentation, Mapping):
        return _from_rle(segmentation)
    if isinstance(segmentation, list):
        return _from_polygons(segmentation, height, width)
    raise ValueError(f"is neither RLE nor polygons: {type(segmentation).__name__}")


def _from_rle(code: Mapping[str, Any]) -> Mask:
    size, counts = code.get("size"), code.get("counts")
    if (
        not isinstance(size, list | tuple)
        or len(size) != 2
        or not all(isinstance(n, int) and 0 < n < _MAX_PIXELS for n in size)
        or size[0] * size[1] > _MAX_PIXELS
    ):
        raise ValueError(f"size is {str(size)[:60]}")
    if isinstance(counts, str | bytes):
        runs = rle.runs(counts if isinstance(counts, str) else counts.decode("ascii", "replace"))
    elif isinstance(counts, list) and all(isinstance(n, int) for n in counts):
        runs = np.array(counts, np.int64)
    else:
        raise ValueError(f"counts is {type(counts).__name__}")
    if (runs < 0).any() or int(runs.sum()) != size[0] * size[1]:
        raise ValueError(f"its runs cover {int(runs.sum())} pixels, its size {size[0] * size[1]}")
    edges = np.concatenate([[0], np.cumsum(runs)])
    starts = edges[1::2][: len(runs) // 2]
    ends = edges[2::2][: len(runs) // 2]
    some = ends > starts
    return Mask(height=size[0], width=size[1], starts=starts[some], ends=ends[some])


def _from_polygons(polygons: Sequence[Any], height: int, width: int) -> Mask:
    rle.check_polygons(polygons)
    if not polygons:
        raise ValueError("has no polygon")
    if not 0 < height * width <= _MAX_PIXELS:  # pycocotools dies of a size that overflows
        raise ValueError(f"lies in an image of {width} x {height} pixels")
    area = 0.0
    for ring in polygons:
        x, y = np.array(ring[::2]), np.array(ring[1::2])
        area += abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2
    found = coco_mask.merge(coco_mask.frPyObjects(list(polygons), height, width))
    made = _from_rle({"size": [height, width], "counts": found["counts"]})
    return Mask(height=height, width=width, starts=made.starts, ends=made.ends, polygon_area=area)
