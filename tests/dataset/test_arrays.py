"""Arrow's buffers as NumPy: the same values as pyarrow's own way, without pandas."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from exchange_sets import make_set

from synthstudio.dataset.arrays import as_numpy, is_known, list_lengths

COLUMNS = {
    "whole numbers": pa.array(range(20)),
    "with nulls": pa.array([1.5, None, 3.0, None, 5.0] * 3),
    "small numbers with nulls": pa.array([1, None, 3, 7] * 5, pa.int16()),
    "truths": pa.array([True, False, False] * 7),
    "texts": pa.array(["a", None, "bc"]),
    "none": pa.array([], pa.float64()),
    "all null": pa.nulls(5, pa.float64()),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("start", [0, 1, 9])
def test_values_are_those_of_arrow(name, start):
    column = COLUMNS[name].slice(min(start, len(COLUMNS[name])))
    wanted = column.to_numpy(zero_copy_only=False)
    for given in (column, pa.chunked_array([column, column]).slice(0, len(column))):
        found = as_numpy(given)
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(
        is_known(column), column.is_valid().to_numpy(zero_copy_only=False)
    )


@pytest.mark.parametrize("start", [0, 1, 3])
def test_lengths_of_lists(start):
    column = pa.array([[1, 2], None, [], [3], [4, 5, 6]]).slice(start)
    wanted = [-1 if n is None else n for n in column.value_lengths().to_pylist()]
    assert list_lengths(column).tolist() == wanted


def test_a_frame_is_read_without_pandas(tmp_path):
    make_set(tmp_path / "set")
    code = (
        "import sys, synthstudio as ss\n"
        f"frame = ss.Dataset({str(tmp_path / 'set')!r})[0]\n"
        "assert len(frame.people) and frame.image.size\n"
        "sys.exit(any(name in sys.modules for name in ('pandas', 'torch', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
