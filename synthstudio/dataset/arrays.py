"""Arrow columns as NumPy by their buffers.

pyarrow's `to_numpy` imports pandas where it is there: a fifth of a second before the first frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

OTHER = 255
"""The code of a text that is none of the words asked for."""


def as_numpy(column: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """A column of numbers, truths or texts, null numbers as NaN; read-only if not copied."""
    array = one_array(column)
    if not len(array):
        return np.zeros(0, array.type.to_pandas_dtype())
    if pa.types.is_string(array.type):
        return np.array(array.to_pylist(), object)
    validity, data = array.buffers()
    if pa.types.is_boolean(array.type):
        return _bits(data, array)
    plain = pa.Array.from_buffers(array.type, len(array), [None, data], offset=array.offset)
    values: NDArray[Any] = np.from_dlpack(plain)
    if not array.null_count:
        return values
    return np.where(_bits(validity, array), values.astype(np.float64), math.nan)


def as_numbers(column: pa.Array | pa.ChunkedArray) -> NDArray[np.float64]:
    """A column of numbers or truths as float64, null as NaN."""
    return as_numpy(column).astype(np.float64)


def word_codes(column: pa.ListArray | pa.ChunkedArray, words: Sequence[str]) -> NDArray[Any]:
    """Places in `words` of all entries of a column of lists of texts; OTHER for none of them."""
    known = {word: place for place, word in enumerate(words)}
    coded = one_array(one_array(column).flatten()).dictionary_encode()
    codes = [known.get(word, OTHER) for word in coded.dictionary.to_pylist()]
    places = np.nan_to_num(as_numpy(coded.indices), nan=len(codes)).astype(np.int64)
    return np.array([*codes, OTHER], np.int32)[places]


def as_arrow(places: NDArray[np.int64]) -> pa.Array:
    """Whole numbers as a column."""
    data = pa.py_buffer(np.ascontiguousarray(places, np.int64))
    return pa.Array.from_buffers(pa.int64(), len(places), [None, data])


def is_known(column: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    """Where a column is not null."""
    array = one_array(column)
    if not array.null_count:
        return np.ones(len(array), np.bool_)
    return _bits(array.buffers()[0], array)


def list_lengths(column: pa.ListArray | pa.ChunkedArray) -> NDArray[np.int64]:
    """How many entries each list has; -1: null."""
    array = one_array(column)
    lengths = np.diff(as_numpy(array.offsets)) if len(array) else np.zeros(0)
    return np.where(is_known(array), lengths, -1).astype(np.int64)


def one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return column.combine_chunks() if column.num_chunks else pa.nulls(0, column.type)


def _bits(buffer: pa.Buffer, array: pa.Array) -> NDArray[np.bool_]:
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")
    return bits[array.offset : array.offset + len(array)].astype(np.bool_)
