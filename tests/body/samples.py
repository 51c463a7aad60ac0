"""Long tables whose every n-th row is tried in the quick level, and all of them at night."""

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(values: Iterable[Any], every: int) -> list[Any]:
    """Return the values as pytest's parameters."""
    night = pytest.mark.nightly(f"all of the table; quick takes one in {every}")
    return [pytest.param(value, marks=night if k % every else ()) for k, value in enumerate(values)]
