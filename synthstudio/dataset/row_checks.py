"""Rows against their schema when they are read: counts, order, lengths of lists, nulls.

Cheap: offsets and counts of Arrow's arrays, no object a number. What rows mean is checked by
`quality`, which reads without this.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthstudio.core.labels import SHARES
from synthstudio.core.places import Place
from synthstudio.dataset.arrays import as_numpy, is_known, list_lengths, one_array
from synthstudio.dataset.durable import damaged

JOINT_LISTS = {
    "state": 1,
    "cause": 1,
    "ambiguous": 1,
    "occluder_id": 1,
    "origin": 1,
    "joints_px": 2,
    "joints_camera_m": 3,
    "joints_world_m": 3,
    "kinematic_joints_world_m": 3,
    "shares": len(SHARES),
}
"""How many entries a joint has in each list of the instances table."""
_LISTS = {
    "K": 9,
    "world_to_camera": 16,
    "phenotype": 6,
    "mask_size": 2,
    "modal_box_px": 4,
    "amodal_box_px": 4,
    "ask_causes": len(SHARES),
}
_ALIKE = (
    ("hidden_joint", "hidden_instance", "hidden_share"),
    ("thing_instance", "thing_kind", "thing_held_by"),
)
_SIZES = ("width_px", "height_px")
_MOST_PX = 1 << 16
_RANGES = {
    **dict.fromkeys(_SIZES, (1, _MOST_PX)),
    **dict.fromkeys(
        ("occluded_fraction", "truncated_fraction", "ask_fraction", "crowd_index", "crowd_ask"),
        (0, 1),
    ),
}
_ROUNDING = 1e-6


def check_rows(rows: pa.RecordBatch | pa.Table, joints: int, frames: range, path: Place) -> None:
    """Raise DatasetError unless rows of either table, all columns or some, fit the schema.

    `frames`: the shard's, that the rows may be of.
    """
    for place, field in enumerate(rows.schema):
        column = one_array(rows.column(place))
        if column.null_count and not field.nullable:
            raise damaged(path, f"no null in {field.name}", f"{column.null_count} nulls")
        _check_text(column, field.name, path)
        if pa.types.is_list(field.type):
            _check_list(column, field.name, joints, path)
        elif field.name in ("index", "frame_index"):
            _check_numbers(as_numpy(column), field.name, frames, path)
        elif field.name in _RANGES:
            _check_range(column, field.name, path)
    for names in _ALIKE:
        if set(names) <= set(rows.schema.names):
            first, *others = (list_lengths(rows.column(name)) for name in names)
            if any((first != other).any() for other in others):
                raise damaged(path, f"as many entries in {', '.join(names)}", "other lengths")


def check_text(rows: pa.RecordBatch | pa.Table, path: Place) -> None:
    """DatasetError when text is not UTF-8: without it rows cannot be read at all."""
    for place, field in enumerate(rows.schema):
        _check_text(one_array(rows.column(place)), field.name, path)


def _check_range(column: pa.Array, name: str, path: Place) -> None:
    """NaN says that nobody knows, as null does."""
    (low, high), values = _RANGES[name], as_numpy(column)[is_known(column)]
    outside = (values < low - _ROUNDING) | (values > high + _ROUNDING)
    if outside.any():
        raise damaged(path, f"{name} from {low} to {high}", str(values[outside][0]))


def _check_text(column: pa.Array, name: str, path: Place) -> None:
    """Text is UTF-8; the bytes of other columns mean something anyway."""
    kind = column.type.value_type if pa.types.is_list(column.type) else column.type
    if not pa.types.is_string(kind):
        return
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise damaged(path, f"text in {name}", str(error)) from error


def _check_list(column: pa.Array, name: str, joints: int, path: Place) -> None:
    each = JOINT_LISTS[name] * joints if name in JOINT_LISTS else _LISTS.get(name)
    lengths = list_lengths(column)
    if each is not None:
        wrong = (lengths != each) & (lengths >= 0)
        if wrong.any():
            got = int(lengths[np.argmax(wrong)])
            raise damaged(path, f"{each} values in each {name}", f"{got} values")
    values = column.flatten()
    if values.null_count:
        raise damaged(path, f"no null in the lists {name}", f"{values.null_count} nulls")
    if name == "hidden_joint" and len(values):
        places = as_numpy(values)
        if places.min() < 0 or places.max() >= joints:
            raise damaged(path, f"joints from 0 to {joints - 1}", f"hidden_joint {places.max()}")


def _check_numbers(numbers: NDArray[np.int64], name: str, frames: range, path: Place) -> None:
    if not len(numbers):
        return
    if numbers.min() < frames.start or numbers.max() >= frames.stop:
        got = f"{numbers.min()} to {numbers.max()}"
        raise damaged(path, f"{name} from {frames.start} to {frames.stop - 1}", got)
    least = 1 if name == "index" else 0
    if (np.diff(numbers) < least).any():
        raise damaged(path, f"rows in the order of {name}", "another order")
