"""Rows of the instances table as columns (core.people.People), without an object a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import SHARES
from synthstudio.core.people import People
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.arrays import as_numpy, is_known, list_lengths, one_array
from synthstudio.dataset.rows import KINEMATIC, pairs_by_joint


def people_from_table(table: pa.Table | pa.RecordBatch, skeleton: Skeleton) -> People:
    """Read rows of the instances table as columns; DatasetError for lists that do not fit.

    No Python object is made for a number, so this costs little more than the copy of the data.
    """
    count, joints = table.num_rows, len(skeleton.joints)

    def lists(name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        return _list_column(table, name, (count, *shape), dtype)

    def numbers(name: str) -> NDArray[np.float64]:
        return as_numpy(table.column(name)).astype(np.float64)

    def texts(name: str) -> NDArray[np.object_]:
        return np.array(table.column(name).to_pylist(), object)

    size = lists("mask_size", (2,), np.int32).tolist()
    masks = {
        name: tuple(
            None if code is None else {"size": hw, "counts": code}
            for hw, code in zip(size, table.column(name).to_pylist(), strict=True)
        )
        for name in ("modal_counts", "amodal_counts")
    }
    pairs = [
        table.column(name).to_pylist()
        for name in ("hidden_joint", "hidden_instance", "hidden_share")
    ]
    occluders = tuple(pairs_by_joint(joints, *found) for found in zip(*pairs, strict=True))
    rank = np.nan_to_num(as_numpy(table.column("depth_rank")), nan=-1)
    return People(
        skeleton=skeleton,
        frame_index=as_numpy(table.column("frame_index")),
        instance=as_numpy(table.column("instance")),
        identity=texts("identity"),
        pose=texts("pose"),
        pose_family=texts("pose_family"),
        joints_px=lists("joints_px", (joints, 2), np.float64),
        joints_camera_m=lists("joints_camera_m", (joints, 3), np.float64),
        joints_world_m=lists("joints_world_m", (joints, 3), np.float64),
        kinematic_joints_world_m=lists("kinematic_joints_world_m", (joints, 3), np.float64),
        shares=lists("shares", (joints, len(SHARES)), np.float64),
        state=lists("state", (joints,), np.uint8),
        cause=lists("cause", (joints,), object),
        ambiguous=lists("ambiguous", (joints,), np.bool_),
        occluder_id=lists("occluder_id", (joints,), np.int32),
        origin=lists("origin", (joints,), object),
        occluders=occluders,
        modal=masks["modal_counts"],
        amodal=masks["amodal_counts"],
        boxes_px=lists("modal_box_px", (4,), np.float64),
        amodal_boxes_px=lists("amodal_box_px", (4,), np.float64),
        modal_area_px=numbers("modal_area_px"),
        amodal_area_px=numbers("amodal_area_px"),
        occluded_fraction=numbers("occluded_fraction"),
        truncated_fraction=numbers("truncated_fraction"),
        depth_m=numbers("depth_m"),
        depth_rank=rank.astype(np.int32),
        stature_m=numbers("stature_m"),
    )


def kinematic_camera_m(row: Mapping[str, Any], frame: Mapping[str, Any]) -> NDArray[np.float64]:
    """(J, 3) rotation centres of a person in camera metres; NaN where nobody knows."""
    world, matrix = row[KINEMATIC], frame["world_to_camera"]
    if world is None or matrix is None:
        return np.full((len(row["state"]), 3), math.nan)
    to_camera = np.array(matrix, np.float64).reshape(4, 4)
    out: NDArray[np.float64] = np.array(world, np.float64).reshape(-1, 3) @ to_camera[:3, :3].T
    return out + to_camera[:3, 3]


def _list_column(
    table: pa.Table | pa.RecordBatch, name: str, shape: tuple[int, ...], dtype: Any
) -> NDArray[Any]:
    """A list column as one array; rows that are null are NaN."""
    column = one_array(table.column(name))
    each = int(np.prod(shape[1:]))
    lengths = list_lengths(column)
    wrong = (lengths != each) & (lengths >= 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DatasetError(
            f"the list {name} does not fit its row",
            where=f"frame {table.column('frame_index')[row]}",
            expected=f"{each} values",
            got=str(int(lengths[row])),
        )
    values = as_numpy(column.flatten())
    if not column.null_count:
        return values.astype(dtype, copy=False).reshape(shape)
    out = np.full((shape[0], each), np.nan, np.float64)
    out[is_known(column)] = values.reshape(-1, each)
    return out.reshape(shape)
