"""What the data set itself says of a person: what edits start from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE, Row
from synthstudio.review.values import JointLabel


@dataclass(frozen=True, kw_only=True)
class Base:
    """A person on disk. `joints` None and not `exists`: the data set has no such person.

    `skeleton`: the names of its joints, in order.
    """

    skeleton: tuple[str, ...]
    width_px: int
    height_px: int
    joints: Mapping[str, JointLabel] | None
    exists: bool


def base_of(dataset: Dataset, frame: int, instance: int) -> Base:
    """Return what a data set says of a person; DatasetError when it does not hold the frame."""
    row = dataset.frame(frame)
    names = get_skeleton(dataset.identity.skeleton).joints
    found = [r for r in dataset.instances(frame) if r["instance"] == instance]
    return Base(
        skeleton=names,
        width_px=row["width_px"],
        height_px=row["height_px"],
        joints=labels_of(found[0], names) if found else None,
        exists=bool(found),
    )


def labels_of(row: Row, names: tuple[str, ...]) -> dict[str, JointLabel]:
    """Return the joints of a person's row as a reviewer sees them."""
    px = row["joints_px"]
    return {
        name: JointLabel(
            x_px=known(px[2 * j]),
            y_px=known(px[2 * j + 1]),
            state=None if row["state"][j] == NO_STATE else row["state"][j],
            cause=row["cause"][j],
            origin=row["origin"][j],
        )
        for j, name in enumerate(names)
    }


def known(value: float) -> float | None:
    """Return a number, or None for one that is not finite."""
    return float(value) if math.isfinite(value) else None
