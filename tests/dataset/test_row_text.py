"""Text that is not UTF-8: `validate`, which checks rows itself, has a finding for it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from synthstudio.core.errors import DatasetError
from synthstudio.dataset.row_checks import check_text


def test_text_that_is_none_is_one_message():
    bad = pa.Array.from_buffers(
        pa.string(),
        1,
        [None, pa.py_buffer(bytes([0, 0, 0, 0, 2, 0, 0, 0])), pa.py_buffer(b"a\xff")],
    )
    with pytest.raises(DatasetError, match="text in file_name"):
        check_text(pa.table({"file_name": bad}), Path("frames.parquet"))
    check_text(pa.table({"file_name": ["ä"], "index": [1]}), Path("frames.parquet"))
