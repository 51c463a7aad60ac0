"""Arrow columns as NumPy by their buffers; the writer of all tables of a data set.

pyarrow's `to_numpy` imports pandas if installed, which takes a fifth of a second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthstudio.core.arrays import F64, I64, Array, Bool
from synthstudio.core.errors import DatasetError

OTHER = 255
"""The code of a text that is not in `words`."""


def as_numpy(column: pa.Array | pa.ChunkedArray) -> Array:
    """A column of numbers, booleans or texts, null numbers as NaN; read-only if not copied."""
    array = one_array(column)
    if not len(array):
        return np.zeros(0, array.type.to_pandas_dtype())
    if pa.types.is_string(array.type):
        return np.array(array.to_pylist(), object)
    validity, data = array.buffers()
    if pa.types.is_boolean(array.type):
        return _bits(data, array)
    plain = pa.Array.from_buffers(array.type, len(array), [None, data], offset=array.offset)
    values: Array = np.from_dlpack(plain)
    if not array.null_count:
        return values
    return np.where(_bits(validity, array), values.astype(np.float64), math.nan)


def as_numbers(column: pa.Array | pa.ChunkedArray) -> F64:
    """A column of numbers or booleans as float64, null as NaN."""
    return as_numpy(column).astype(np.float64)


def word_codes(column: pa.ListArray | pa.ChunkedArray, words: Sequence[str]) -> Array:
    """Indices into `words` of all entries of a column of lists of texts; OTHER for others."""
    known = {word: place for place, word in enumerate(words)}
    coded = one_array(one_array(column).flatten()).dictionary_encode()
    codes = [known.get(word, OTHER) for word in coded.dictionary.to_pylist()]
    places = np.nan_to_num(as_numpy(coded.indices), nan=len(codes)).astype(np.int64)
    return np.array([*codes, OTHER], np.int32)[places]


def as_arrow(places: I64) -> pa.Array:
    data = pa.py_buffer(np.ascontiguousarray(places, np.int64))
    return pa.Array.from_buffers(pa.int64(), len(places), [None, data])


def is_known(column: pa.Array | pa.ChunkedArray) -> Bool:
    array = one_array(column)
    if not array.null_count:
        return np.ones(len(array), np.bool_)
    return _bits(array.buffers()[0], array)


def list_lengths(column: pa.ListArray | pa.ChunkedArray) -> I64:
    """How many entries each list has; -1: null."""
    array = one_array(column)
    lengths = np.diff(as_numpy(array.offsets)) if len(array) else np.zeros(0)
    return np.where(is_known(array), lengths, -1).astype(np.int64)


def number_lists(column: pa.ListArray | pa.ChunkedArray, each: int) -> F64:
    """(N, each) a column of lists of numbers; NaN for null and for lists of another length."""
    array = one_array(column)
    lengths = list_lengths(array)
    values = as_numbers(array.flatten())
    fits = lengths == each
    if fits.all():
        return values.reshape(-1, each)
    out = np.full((len(array), each), np.nan)
    starts = np.cumsum(np.maximum(lengths, 0)) - np.maximum(lengths, 0)
    out[fits] = values[starts[fits, None] + np.arange(each)]
    return out


def one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return column.combine_chunks() if column.num_chunks else pa.nulls(0, column.type)


def _bits(buffer: pa.Buffer, array: pa.Array) -> Bool:
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")
    return bits[array.offset : array.offset + len(array)].astype(np.bool_)


READ_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)
"""Exceptions of pyarrow for a damaged file; the last for names that are not UTF-8."""


PARQUET: dict[str, Any] = {"version": "2.6", "data_page_version": "2.0"}
PARQUET |= {"compression": "zstd", "compression_level": 3}
"""Settings of all tables of data sets and sidecars."""


class ParquetWriter(pq.ParquetWriter):  # type: ignore[misc]
    """pyarrow's, for appending; closing after a failure writes nothing."""

    def __del__(self) -> None:
        """Write nothing: pyarrow's would continue, and print a traceback if that fails too."""


def write_parquet(path: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as one Parquet file. The same rows and library give the same bytes.

    No time, host or path is stored. Nothing is synced or renamed here. A row that violates
    the schema is a DatasetError; OSError is left to the caller.
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
        raise DatasetError("invalid value", where=path.name, got=str(error)) from error
    for field, column in zip(table.schema, table.columns, strict=True):  # Arrow does not check
        nulls = 0 if field.nullable else column.null_count
        if pa.types.is_list(field.type):
            nulls += sum(chunk.flatten().null_count for chunk in column.chunks)
        if nulls:
            what = f"the column {field.name} may not hold null"
            raise DatasetError(what, where=path.name, got=f"{nulls} nulls")
    write_table(path, table)


def write_table(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, **PARQUET, row_group_size=4096)
