"""Input of checks: people of a data set or of a COCO file's entries, as columns."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from synthstudio.core.arrays import F64, I64, Bool
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.visibility import is_labelled
from synthstudio.dataset.arrays import as_numbers, is_known, number_lists, word_codes
from synthstudio.dataset.rows import NO_STATE, distortion_of

FAR = 1e12
"""Maximum magnitude of positions, lengths and areas."""


@dataclass(frozen=True, kw_only=True)
class Subjects:
    """N people as columns. Pixels are continuous; NaN: unknown.

    `px` holds only joints with v > 0; `state` is v, NO_STATE if unlabelled. `drawn`: the
    amodal box is of the whole body; that of a photo covers only the visible part.
    """

    skeleton: Skeleton
    where: Sequence[str]
    image: Sequence[Any]
    person: Sequence[Any]
    size: F64  # (N, 2) width, height
    px: F64  # (N, J, 2)
    state: I64  # (N, J)
    box: F64  # (N, 4)
    area: F64  # (N,)
    amodal_box: F64  # (N, 4)
    drawn: Bool  # (N,)
    camera_m: F64  # (N, J, 3)
    has_camera: Bool  # (N,) whether there are 3D joints
    K: F64  # (N, 3, 3)
    has_K: Bool  # (N,)
    distortion: F64  # (N, 2) k1 and k2; 0: none

    def __len__(self) -> int:
        return len(self.state)

    @cached_property
    def labelled(self) -> Bool:
        """(N, J) whether a joint is located: v 1 or 2, finite."""
        return np.asarray(is_labelled(self.state) & np.isfinite(self.px).all(axis=2))


def subjects_of_rows(
    frames: Sequence[Mapping[str, Any]],
    people: pa.Table,
    owner: I64,
    skeleton: Skeleton,
    *,
    ids: Sequence[tuple[Any, Any]] | None = None,
) -> Subjects:
    """The subjects of rows of the instances table, with lists that match the skeleton.

    `owner` (N,): the index in `frames` of each person's frame. `ids`: of a COCO file, the ids of
    their images and annotations; then frames may have a `distortion`.
    """
    joints = len(skeleton.joints)
    state = np.nan_to_num(number_lists(people["state"], joints), nan=-1).astype(np.int64)
    px = number_lists(people["joints_px"], 2 * joints).reshape(-1, joints, 2)
    camera, has_camera = _bounded(number_lists(people["joints_camera_m"], 3 * joints))
    K, has_K = _bounded(np.array([padded(frame["K"], 9) for frame in frames]).reshape(-1, 9))
    bent = np.array([_bent(frame) for frame in frames]).reshape(-1, 2)
    sizes = [(frame["width_px"], frame["height_px"]) for frame in frames]
    rendered = word_codes(people["origin"], ["rendered"]).reshape(-1, joints) == 0
    where = "annotation {1} of image {0}"
    if ids is None:
        where, frame_index = "frame {0}, person {1}", [frames[k]["index"] for k in owner.tolist()]
        ids = list(zip(frame_index, people["instance"].to_pylist(), strict=True))
    return Subjects(
        skeleton=skeleton,
        where=[where.format(*both) for both in ids],
        image=[image for image, _ in ids],
        person=[person for _, person in ids],
        size=np.array(sizes, np.float64).reshape(-1, 2)[owner],
        px=np.where(np.isin(state, (0, NO_STATE))[..., None], np.nan, px),
        state=state,
        box=_boxes(number_lists(people["modal_box_px"], 4)),
        area=as_numbers(people["modal_area_px"]),
        amodal_box=_boxes(number_lists(people["amodal_box_px"], 4)),
        drawn=rendered.any(axis=1),
        camera_m=camera.reshape(-1, joints, 3),
        has_camera=has_camera & is_known(people["joints_camera_m"]),
        K=K.reshape(-1, 3, 3)[owner],
        has_K=(has_K & [frame["K"] is not None and len(frame["K"]) == 9 for frame in frames])[
            owner
        ],
        distortion=bent[owner],
    )


def _bounded(values: F64) -> tuple[F64, Bool]:
    return values, np.asarray(~(np.abs(values) >= FAR).any(axis=1))


def _boxes(values: F64) -> F64:
    return np.where((np.abs(values) < FAR).all(axis=1, keepdims=True), values, np.nan)


def padded(values: Sequence[float] | None, count: int) -> Sequence[float]:
    return values if values is not None and len(values) == count else [math.nan] * count


def _bent(frame: Mapping[str, Any]) -> Sequence[float]:
    try:
        found = frame.get("distortion") or distortion_of(frame["spec"])
    except (ValueError, TypeError, KeyError):
        return (0.0, 0.0)
    return found[:2] if found is not None and np.isfinite(found).all() else (0.0, 0.0)


def digest(*parts: object) -> int:
    """Return a 64-bit hash of a value, equal in every process."""
    data = repr(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def side_pairs(joints: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Indices of left joints and their twins, each once, also with duplicate names."""
    names = {name: j for j, name in enumerate(joints)}
    lefts = [(j, names.get("right_" + n[5:])) for n, j in names.items() if n.startswith("left_")]
    return tuple((left, right) for left, right in lefts if right is not None)


@cache
def flip_of(joints: tuple[str, ...]) -> I64:
    """Return (J,) the mirror joint of each; itself if its twin is missing."""
    out = np.arange(len(joints))
    for left, right in side_pairs(joints):
        out[[left, right]] = right, left
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
