"""JSON text of entries: the output of json.dumps, faster.

Most of an export's time is spent on the shortest digits of reals. pydantic_core finds the same
ones faster; lists with a number that it formats differently (below 1e-4, from 1e16 on, not
finite) are left to Python.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from pydantic_core import to_json

from synthstudio.dataset.rows import Row

_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)
_UNLIKE_PYTHON = re.compile(r"[eIN]|0\.0000")


def dump(value: Any) -> str:
    """Return a value's JSON: sorted keys, no blanks; ValueError for NaN and infinity."""
    return _ENCODER.encode(value)


def dump_entry(entry: Row, reals: Collection[str]) -> str:
    """The same of an entry; under `reals` it has lists of lists of numbers, or None."""
    texts = (
        f"{dump(name)}:{_numbers(value) if name in reals else dump(value)}"
        for name, value in sorted(entry.items())
    )
    return "{" + ",".join(texts) + "}"


def _numbers(lists: list[list[float | None]] | None) -> str:
    text = to_json(lists).decode()
    return dump(lists) if _UNLIKE_PYTHON.search(text) else text
