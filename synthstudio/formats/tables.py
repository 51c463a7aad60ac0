"""Rows as JSON and as Arrow structs: what WebDataset and Hugging Face hold, whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from synthstudio.core.skeleton import FOREIGN, SKELETONS, get_skeleton
from synthstudio.dataset.rows import Row
from synthstudio.formats import checked


def to_json_row(row: Mapping[str, Any]) -> Row:
    """Return a row that JSON can hold: NaN as null."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [None if v != v else v for v in value]
    return None if value != value else value


def from_json_row(row: Any, schema: pa.Schema) -> Row:
    """Undo `to_json_row`; ValueError when a column is missing, unknown or of another kind."""
    if not isinstance(row, dict) or set(row) != set(schema.names):
        got = set(row) if isinstance(row, dict) else {type(row).__name__}
        raise ValueError(f"missing or unknown: {', '.join(sorted(got ^ set(schema.names)))[:200]}")
    return {field.name: _typed(row[field.name], field) for field in schema}


def _typed(value: Any, field: pa.Field) -> Any:
    if value is None:
        if not field.nullable:
            raise ValueError(f"{field.name} is null")
        return None
    if not pa.types.is_list(field.type):
        return _scalar(value, field.type, field.name)
    if not isinstance(value, list):
        raise ValueError(f"{field.name} is no list")
    inner = field.type.value_type
    if pa.types.is_floating(inner):
        return [math.nan if v is None else checked.number(v, 1e15) for v in value]
    return [_scalar(v, inner, field.name) for v in value]


def _scalar(value: Any, kind: pa.DataType, name: str) -> Any:
    if pa.types.is_string(kind):
        return checked.text(value, checked.MAX_SPEC)
    if pa.types.is_boolean(kind):
        if not isinstance(value, bool):
            raise ValueError(f"{name} is true or false")
        return value
    if pa.types.is_floating(kind):
        return checked.number(value, 1e15)
    bits = kind.bit_width
    low, high = (0, 2**bits - 1) if pa.types.is_unsigned_integer(kind) else (
        -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)  # fmt: skip
    return checked.integer(value, low, high)


def check_sample(frame: Mapping[str, Any], people: Sequence[Mapping[str, Any]]) -> None:
    """Refuse whole rows of a frame and its people that cannot be; ValueError."""
    if frame["skeleton"] not in SKELETONS and frame["skeleton"] not in FOREIGN:
        raise ValueError(f"the skeleton {frame['skeleton'][:80]} is unknown")
    checked.check_frame(frame)
    if len(people) > checked.MAX_PEOPLE:
        raise ValueError("too many people in a picture")
    joints = len(get_skeleton(frame["skeleton"]).joints)
    for row in people:
        checked.check_person(row, frame, joints)
    numbers = [row["instance"] for row in people]
    if len(set(numbers)) != len(numbers):
        raise ValueError("two people have one number")
