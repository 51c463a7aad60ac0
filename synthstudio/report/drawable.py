"""Rows of any make as what `draw_labels` draws: rendered, annotated, imported."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from synthstudio.core.labels import F64, SHARES, FrameLabels, PersonLabel
from synthstudio.dataset.rows import NO_STATE, hidden_by

_NO_RANK = 1_000_000
"""People of unknown depth come after those whose depth is known: pasted ones are in front."""


def drawable(frame: Mapping[str, Any], people: Iterable[Mapping[str, Any]]) -> FrameLabels:
    """What `draw_labels` draws of a frame's rows, rendered, annotated or imported.

    Annotated and imported people have no 3D, pose or amodal mask: they are drawn by what they
    have, the larger before the smaller, with NaN for what is unknown.
    """
    found = [_drawable(row) for row in people]
    order = sorted(found, key=lambda p: (p.depth_rank, -p.modal_area_px, p.instance))
    ranked = [dataclasses.replace(p, depth_rank=order.index(p)) for p in found]
    return FrameLabels(people=tuple(ranked), crowd_index=frame["crowd_index"] or 0.0, things=())


def _drawable(row: Mapping[str, Any]) -> PersonLabel:
    joints = len(row["state"])

    def points(name: str, columns: int) -> F64:
        values = np.array(row[name] or [math.nan] * (joints * columns), np.float64)
        return values.reshape(joints, columns)

    def number(name: str) -> float:
        return math.nan if row[name] is None else float(row[name])

    px, state = points("joints_px", 2), np.array(row["state"], np.uint8)
    px[state == NO_STATE] = math.nan
    x, y, w, h = row["modal_box_px"]
    size = list(row["mask_size"])
    return PersonLabel(
        instance=row["instance"],
        identity=row["identity"] or "",
        pose=row["pose"] or "",
        pose_family=row["pose_family"] or "",
        joints_px=px,
        joints_camera_m=points("joints_camera_m", 3),
        joints_world_m=points("joints_world_m", 3),
        shares=points("shares", len(SHARES)),
        state=state,
        cause=tuple(row["cause"]),
        ambiguous=np.array(row["ambiguous"], np.bool_),
        occluder_id=np.array(row["occluder_id"], np.int32),
        hidden_by=hidden_by(row),
        modal={"size": size, "counts": row["modal_counts"] or ""},
        amodal={"size": size, "counts": row["amodal_counts"] or ""},
        modal_box_px=(x, y, w, h),
        amodal_box_px=tuple(row["amodal_box_px"] or (x, y, w, h)),
        modal_area_px=row["modal_area_px"],
        amodal_area_px=row["amodal_area_px"] or row["modal_area_px"],
        occluded_fraction=number("occluded_fraction"),
        truncated_fraction=number("truncated_fraction"),
        depth_m=number("depth_m"),
        depth_rank=_NO_RANK if row["depth_rank"] is None else row["depth_rank"],
        stature_m=number("stature_m"),
    )
