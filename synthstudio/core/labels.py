"""What a frame's labels are, as arrays. Letters: J joints. See docs/conventions.md for meanings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.spec import FrameSpec

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

SHARES = ("visible", "self", "person", "object", "truncated")
"""The five shares of a joint's patch, in the order they are stored; they sum to 1."""
CAUSES = (*SHARES, "unknown", "unlabelled")
STATE_VISIBLE, STATE_HIDDEN, STATE_OUTSIDE = 2, 1, 0
ORIGINS = ("rendered", "predicted", "human")
"""Whose word a joint is, the weightiest last: of several that make one joint it is the last."""

Rle = dict[str, Any]
"""A COCO run-length mask: {"size": [H, W], "counts": str}."""


@dataclass(frozen=True, kw_only=True)
class PersonLabel:
    """The labels of one person in one frame. Pixels are continuous."""

    instance: int
    identity: str
    pose: str
    pose_family: str
    joints_px: F64  # (J, 2) also outside the frame; NaN before the near plane
    joints_camera_m: F64  # (J, 3)
    joints_world_m: F64  # (J, 3)
    kinematic_joints_world_m: F64  # (J, 3) rotation centres; NaN where unknown
    shares: F64  # (J, 5) in the order of SHARES
    state: U8  # (J,)
    cause: tuple[str, ...]  # J of CAUSES
    ambiguous: NDArray[np.bool_]  # (J,)
    occluder_id: NDArray[np.int32]  # (J,) largest of the winning cause; 0 none
    hidden_by: tuple[tuple[tuple[int, float], ...], ...]  # J x [(instance, share)], largest first
    modal: Rle
    amodal: Rle  # inside the frame
    modal_box_px: tuple[float, float, float, float]  # x, y, w, h; zeros when empty
    amodal_box_px: tuple[float, float, float, float]  # may leave the frame
    modal_area_px: int
    amodal_area_px: int  # inside the frame
    occluded_fraction: float
    truncated_fraction: float
    depth_m: float  # median z of its amodal surface: the depth order's key
    depth_rank: int  # 0 is nearest
    stature_m: float


@dataclass(frozen=True, kw_only=True)
class FrameLabels:
    """All labels of a frame."""

    people: tuple[PersonLabel, ...]
    crowd_index: float
    things: tuple[tuple[int, str, int | None], ...]  # (instance, kind, held_by instance)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame. `layers` maps a layer's name to the bytes of its PNG file.

    `timings_ms` says how long each stage took; it goes to the log, never into a hashed file.
    """

    spec: FrameSpec
    jpeg: bytes
    labels: FrameLabels
    layers: dict[str, bytes] = field(default_factory=dict)
    timings_ms: dict[str, float] = field(default_factory=dict)
