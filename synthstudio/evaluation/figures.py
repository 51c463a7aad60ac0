"""Figures of measures.json as text; "-" where there is nothing to measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def at(told: Mapping[str, Any], *path: str) -> Any:
    """Return what lies at a path of names; None where it ends early."""
    found: Any = told
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def value_of(found: Any) -> float | None:
    """Return a number, or the value of an interval; None when there is none."""
    value = found.get("value") if isinstance(found, Mapping) else found
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def number(value: Any, digits: int) -> str:
    """Return a number, or an interval's value, with so many digits."""
    told = value_of(value)
    return "-" if told is None else f"{told:.{digits}f}"


def percent(value: Any) -> str:
    """Return a share in percent, without the sign."""
    told = value_of(value)
    return "-" if told is None else f"{100 * told:.1f}"


def points(value: float | None) -> str:
    """Return a difference of shares in percentage points."""
    return "-" if value is None else f"{100 * value:+.1f}"


def range_text(found: Any) -> str:
    """Return an interval of shares as "40.1 to 45.2"."""
    if value_of(found) is None or value_of(found["low"]) is None:
        return "unknown"
    return f"{100 * found['low']:.1f} to {100 * found['high']:.1f}"


def interval(found: Any, *, signed: bool = False) -> str:
    """Return a share and its interval as "43.0 (40.1 to 45.2)"; `signed`: a difference."""
    text = points(value_of(found)) if signed else percent(found)
    return text if value_of(found) is None else f"{text} ({range_text(found)})"


def ratio(found: Mapping[str, Any], digits: int = 2) -> str:
    """Return an interval as it is: "0.41 (0.38 to 0.45)"."""
    value, low, high = (number(found[name], digits) for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
