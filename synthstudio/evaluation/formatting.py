"""Metrics of an evaluation as text; "-" where there is nothing to measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def lookup(metrics: Mapping[str, Any], *path: str) -> Any:
    """What lies at a path of names; None where it ends early."""
    found: Any = metrics
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def value_of(found: Any) -> float | None:
    """A number, or the value of an interval; None when there is none."""
    value = found.get("value") if isinstance(found, Mapping) else found
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def number(found: Any, digits: int) -> str:
    value = value_of(found)
    return "-" if value is None else f"{value:.{digits}f}"


def percent(found: Any) -> str:
    """A share in percent, without the sign."""
    value = value_of(found)
    return "-" if value is None else f"{100 * value:.1f}"


def points(found: Any) -> str:
    """A difference of shares in percentage points."""
    value = value_of(found)
    return "-" if value is None else f"{100 * value:+.1f}"


def range_text(found: Any) -> str:
    """The bounds of an interval of shares: "40.1 to 45.2"."""
    if value_of(found) is None or value_of(found["low"]) is None:
        return "unknown"
    return f"{100 * found['low']:.1f} to {100 * found['high']:.1f}"


def interval(found: Any, *, signed: bool = False) -> str:
    """A share with its interval: "43.0 (40.1 to 45.2)"; `signed`: a difference."""
    text = points(found) if signed else percent(found)
    return text if value_of(found) is None else f"{text} ({range_text(found)})"


def ratio(found: Mapping[str, Any], digits: int = 2) -> str:
    """An interval as it is: "0.41 (0.38 to 0.45)"."""
    value, low, high = (number(found[name], digits) for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
