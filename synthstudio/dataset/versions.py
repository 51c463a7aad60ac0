"""What data sets of older formats lack: null when read, left out when such a set is resumed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from synthstudio.dataset.rows import INSTANCE_SCHEMA, KINEMATIC, Row

_INSTANCE_SCHEMA_2 = pa.schema([f for f in INSTANCE_SCHEMA if f.name != KINEMATIC])


def instance_schema(format_version: int) -> pa.Schema:
    """The schema of the instances table in data sets of that format."""
    return _INSTANCE_SCHEMA_2 if format_version < 3 else INSTANCE_SCHEMA


def in_format(row: Row, format_version: int) -> Row:
    """A person's row as data sets of that format hold it."""
    return row if format_version >= 3 else {k: v for k, v in row.items() if k != KINEMATIC}


def with_columns(table: Any, schema: pa.Schema, names: Sequence[str] | None = None) -> Any:
    """A table or batch of the schema (or those `names` of it), with null for what it lacks."""
    for place, name in enumerate(schema.names if names is None else names):
        if name not in table.schema.names:
            field = schema.field(name)
            table = table.add_column(place, field, pa.nulls(table.num_rows, field.type))
    return table
