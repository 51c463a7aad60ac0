"""One person as the checks see it, whoever wrote it down: a COCO entry or a data set's row."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.labels import Rle
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.rows import NO_STATE

F64 = NDArray[np.float64]
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

    @cached_property
    def labelled(self) -> NDArray[np.bool_]:
        """Return (J,) whether a joint has a place: v 1 or 2, finite."""
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
    )


def _is_drawn(origin: Any) -> bool:
    """Return whether a whole body was labelled; what says nothing of its origin is taken so."""
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
    """Say whether a value can be an id: a whole number or text."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def is_box(value: Any) -> bool:
    """Say whether a value is four numbers that are places and lengths."""
    return (
        isinstance(value, list | tuple)
        and len(value) == 4
        and all(is_number(v) and abs(v) < FAR for v in value)
    )


def is_number(value: Any) -> bool:
    """Say whether a value is an int or a float (NaN too), not a bool."""
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
