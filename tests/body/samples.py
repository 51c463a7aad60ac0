"""Long tables whose every n-th row is tried in the quick level, and all of them at night."""

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(values: Iterable[Any], every: int) -> list[Any]:
    night = pytest.mark.nightly(f"all of the table; quick takes one in {every}")
    rows = (value if isinstance(value, tuple) else (value,) for value in values)
    return [pytest.param(*row, marks=night if k % every else ()) for k, row in enumerate(rows)]
