"""Poses of a data set's people, by which somebody new begins in a box that was drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.review.risk.people import PeopleTable

MOST = 12
_LOOKED_AT = 2_000
_LEAST_PX = 20.0
"""Height and width of people whose joints are worth anything as a pose."""


def poses_of(table: PeopleTable) -> tuple[dict[str, Any], ...]:
    """Return at most MOST poses of people all of whose joints are in the picture.

    `form`: width / height of the box round the joints; `at`: (u, v) of each joint in it, 0 to 1.
    People are parted by their form into groups of one size; of each it is the one nearest to their
    mean.
    """
    rows = np.linspace(0, table.people - 1, min(table.people, _LOOKED_AT)).astype(np.int64)
    px = table.joints_px[rows].astype(np.float64)
    inside = np.isin(table.state[rows], (STATE_VISIBLE, STATE_HIDDEN)).all(axis=1)
    whole = inside & np.isfinite(px).all(axis=(1, 2))
    px = px[whole]
    if not len(px):
        return ()
    low = px.min(axis=1, keepdims=True)
    size = px.max(axis=1, keepdims=True) - low
    large = (size[:, 0] >= _LEAST_PX).all(axis=1)
    at, size = ((px - low) / np.maximum(size, 1.0))[large], size[large, 0]
    form = size[:, 0] / size[:, 1]
    groups = np.array_split(np.argsort(form, kind="stable"), MOST)
    return tuple(_middle(at[group], form[group]) for group in groups if len(group))


def _middle(at: Any, form: Any) -> dict[str, Any]:
    far = ((at - at.mean(axis=0)) ** 2).sum(axis=(1, 2))
    one = int(far.argmin())
    return {"form": round(float(form[one]), 3), "at": np.round(at[one], 3).tolist()}
