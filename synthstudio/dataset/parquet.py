"""How every table of a data set is written: the same rows and library give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthstudio.core.errors import DatasetError

READ_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What pyarrow raises for a damaged file; the last for names that are no UTF-8."""


class ParquetWriter(pq.ParquetWriter):  # type: ignore[misc]
    """pyarrow's, for files that grow; one that failed leaves it at that."""

    def __del__(self) -> None:
        """Write nothing: pyarrow's would go on, and print a traceback when that fails too."""


def write_parquet(path: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as one Parquet file. The same rows and library give the same bytes.

    No time, host or path is stored. Nothing is synced or renamed here. A row that does not fit
    the schema is a DatasetError; OSError is passed on to whoever knows the folder.
    """
    names = set(schema.names)
    for number, row in enumerate(rows):
        if row.keys() != names:
            raise DatasetError(
                "a row does not have the table's columns",
                where=f"{path.name} row {number}",
                expected="exactly the columns of its schema",
                got=f"missing or unknown: {', '.join(sorted(names ^ row.keys()))}",
            )
    try:
        table = pa.Table.from_pylist(list(rows), schema=schema)
        table.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise DatasetError("a value does not fit", where=path.name, got=str(error)) from error
    _refuse_nulls(table, path.name)
    write_table(path, table)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table of one of the schemas as every table of a data set is written."""
    pq.write_table(
        table,
        path,
        version="2.6",
        data_page_version="2.0",
        compression="zstd",
        compression_level=3,
        use_dictionary=True,
        write_statistics=True,
        row_group_size=4096,
    )


def _refuse_nulls(table: pa.Table, where: str) -> None:
    """Raise DatasetError for a null where the schema has none: Arrow itself lets it pass."""
    for field, column in zip(table.schema, table.columns, strict=True):
        nulls = 0 if field.nullable else column.null_count
        if pa.types.is_list(field.type):
            nulls += sum(chunk.flatten().null_count for chunk in column.chunks)
        if nulls:
            raise DatasetError(
                f"the column {field.name} may not hold null",
                where=where,
                got=f"{nulls} nulls",
            )
