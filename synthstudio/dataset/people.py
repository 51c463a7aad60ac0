"""Rows of the instances table as columns (core.people.People), without an object a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthstudio.core.errors import DatasetError
from synthstudio.core.people import People
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.arrays import as_numbers, as_numpy, is_known, list_lengths, one_array
from synthstudio.dataset.rows import JOINT_LISTS, KINEMATIC, pairs_by_joint

_TEXTS = ("identity", "pose", "pose_family")
_NUMBERS = (
    "modal_area_px",
    "amodal_area_px",
    "occluded_fraction",
    "truncated_fraction",
    "depth_m",
    "stature_m",
)


def people_from_table(table: pa.Table | pa.RecordBatch, skeleton: Skeleton) -> People:
    """Read rows of the instances table as columns; DatasetError for lists that do not fit.

    No Python object is made for a number, so this costs little more than the copy of the data.
    """
    count, joints = table.num_rows, len(skeleton.joints)

    def cells(*names: str) -> list[list[Any]]:
        return [table.column(name).to_pylist() for name in names]

    def boxes(name: str) -> NDArray[np.float64]:
        return _list_column(table, name, (count, 4))

    size = _list_column(table, "mask_size", (count, 2)).tolist()
    modal, amodal = (
        tuple(
            None if code is None else {"size": hw, "counts": code}
            for hw, code in zip(size, codes, strict=True)
        )
        for codes in cells("modal_counts", "amodal_counts")
    )
    pairs = zip(*cells("hidden_joint", "hidden_instance", "hidden_share"), strict=True)
    rank = np.nan_to_num(as_numpy(table.column("depth_rank")), nan=-1)
    columns: dict[str, Any] = {
        name: _list_column(table, name, (count, joints, each)[: 2 if each == 1 else 3])
        for name, each in JOINT_LISTS.items()
    }
    columns |= {name: np.array(table.column(name).to_pylist(), object) for name in _TEXTS}
    columns |= {name: as_numbers(table.column(name)) for name in _NUMBERS}
    return People(
        skeleton=skeleton,
        frame_index=as_numpy(table.column("frame_index")),
        instance=as_numpy(table.column("instance")),
        occluders=tuple(pairs_by_joint(joints, *found) for found in pairs),
        modal=modal,
        amodal=amodal,
        boxes_px=boxes("modal_box_px"),
        amodal_boxes_px=boxes("amodal_box_px"),
        depth_rank=rank.astype(np.int32),
        **columns,
    )


def kinematic_camera_m(row: Mapping[str, Any], frame: Mapping[str, Any]) -> NDArray[np.float64]:
    """(J, 3) rotation centres of a person in camera metres; NaN where unknown."""
    world, matrix = row[KINEMATIC], frame["world_to_camera"]
    if world is None or matrix is None:
        return np.full((len(row["state"]), 3), math.nan)
    to_camera = np.array(matrix, np.float64).reshape(4, 4)
    out: NDArray[np.float64] = np.array(world, np.float64).reshape(-1, 3) @ to_camera[:3, :3].T
    return out + to_camera[:3, 3]


def _list_column(
    table: pa.Table | pa.RecordBatch, name: str, shape: tuple[int, ...]
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
        return values.reshape(shape)
    out = np.full((shape[0], each), np.nan, np.float64)
    out[is_known(column)] = values.reshape(-1, each)
    return out.reshape(shape)
