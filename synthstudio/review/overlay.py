"""Rows of a data set with what reviewers said laid over them. Rows on disk are never changed.

Of a joint that somebody edited: place, state and cause are theirs, `origin` is "human". If the
state or the cause changed, nobody knows its shares any more (NaN), nor who hides it. If its
place changed, nobody knows its place in 3D any more (NaN). Boxes, masks and all other joints
stay. A person whose joints nobody vouches for keeps box and mask, and every joint is unlabelled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from synthstudio.core.labels import SHARES, STATE_HIDDEN, STATE_VISIBLE
from synthstudio.dataset.rows import NO_STATE, Row
from synthstudio.formats.checked import person_of
from synthstudio.review.base import known
from synthstudio.review.values import ItemState, JointLabel

HUMAN = "human"


def laid_over(row: Row, item: ItemState, names: Sequence[str]) -> Row:
    """Return a person's row with the joints that somebody edited."""
    new = _copied(row)
    for name, label in item.joints.items():
        _put(new, names.index(name), label)
    return new


def without_joints(row: Row) -> Row:
    """Return a person's row with all joints unlabelled: COCO's way to say "do not ask here"."""
    new = _copied(row)
    nobody = JointLabel(x_px=None, y_px=None, state=None, cause="unlabelled")
    for j in range(len(row["state"])):
        _put(new, j, nobody)
    new["origin"] = list(row["origin"])
    return new


def added_row(item: ItemState, frame: Row, names: Sequence[str]) -> Row:
    """Return a row for a person whom somebody added: joints, and a box round those inside."""
    person, size = item.person, (frame["width_px"], frame["height_px"])
    blank = [(math.nan, math.nan, 0)] * len(names)
    inside = [
        (label.x_px, label.y_px)
        for label in item.joints.values()
        if label.state in (STATE_VISIBLE, STATE_HIDDEN)
        and label.x_px is not None
        and label.y_px is not None
    ]
    row = person_of(blank, frame, person.instance, box_px=_box(inside, size))
    return laid_over(row, item, names)


def _box(places: Sequence[tuple[float, float]], size: tuple[int, int]) -> list[float]:
    """Return the box round places, inside a frame of that size: x y w h."""
    if not places:
        return [0.0] * 4
    x, y = ([min(max(p[axis], 0.0), float(size[axis])) for p in places] for axis in (0, 1))
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]


_LISTS = (
    "joints_px",
    "joints_camera_m",
    "joints_world_m",
    "shares",
    "state",
    "cause",
    "ambiguous",
    "occluder_id",
    "origin",
    "hidden_joint",
    "hidden_instance",
    "hidden_share",
)


def _copied(row: Mapping[str, Any]) -> Row:
    return {**row, **{name: None if row[name] is None else list(row[name]) for name in _LISTS}}


def _put(row: Row, j: int, label: JointLabel) -> None:
    """Write one joint into the lists of a row that is our own copy."""
    state = NO_STATE if label.state is None else label.state
    place = [known(value) for value in row["joints_px"][2 * j : 2 * j + 2]]
    if (row["state"][j], row["cause"][j]) != (state, label.cause):
        row["shares"][len(SHARES) * j : len(SHARES) * (j + 1)] = [math.nan] * len(SHARES)
        row["ambiguous"][j], row["occluder_id"][j] = False, 0
        _forget_hiders(row, j)
    if place != [label.x_px, label.y_px]:
        for name in ("joints_camera_m", "joints_world_m"):
            if row[name] is not None:
                row[name][3 * j : 3 * j + 3] = [math.nan] * 3
    new = (label.x_px, label.y_px)
    row["joints_px"][2 * j : 2 * j + 2] = [math.nan if v is None else float(v) for v in new]
    row["state"][j], row["cause"][j], row["origin"][j] = state, label.cause, HUMAN


def _forget_hiders(row: Row, j: int) -> None:
    names = ("hidden_joint", "hidden_instance", "hidden_share")
    kept = [t for t in zip(*(row[name] for name in names), strict=True) if t[0] != j]
    for place, name in enumerate(names):
        row[name] = [entry[place] for entry in kept]
