"""Who of a photo stands upright, and how large they are: surer than the longest of their bones."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from synthstudio.generation.photos.measure import STATURE_M, Stand

_PARTS = ("shoulder", "hip", "knee", "ankle")
_TELLING = ("nose", *_PARTS)
_METRES = {("shoulder", "hip"): 0.48, ("hip", "knee"): 0.43, ("knee", "ankle"): 0.41}
_LEAN, _BENT = 0.7, 1.6
"""A part leans so far at the most, and none looks so many times shorter than another."""
_SHOE_M = 0.04
"""Whose box ends higher below the ankle has feet that grass or a wall hides."""
_UNKNOWN = 0.1


def surer(found: Stand, joints: Mapping[str, tuple[float, float]], box: Sequence[float]) -> Stand:
    """Return a stand with the size of somebody upright, and with no trust in a box alone.

    The longest bone of several is too long: whoever stands is measured from shoulders to ankles,
    and from head to foot where the picture shows both. A box in which nothing but an
    arm is labelled tells nothing.
    """
    if not any(name.endswith(_TELLING) for name in joints):
        return dataclasses.replace(found, sure=min(found.sure, _UNKNOWN))
    scale = _scale_of_parts(joints)
    if scale is None:
        return found
    _, top, _, height = box
    ankle = max(y for name, (_, y) in joints.items() if name.endswith("ankle"))
    if top + height < ankle + _SHOE_M * scale:
        return found
    if top > 2:
        scale = (scale + height / STATURE_M) / 2
    return Stand(scale, found.foot_px, found.sure, upright=True)


def _scale_of_parts(joints: Mapping[str, tuple[float, float]]) -> float | None:
    """Return how large a metre of an upright trunk and legs is; None for anybody else."""
    middle = {part: _middle(joints, part) for part in _PARTS}
    long = metres = 0.0
    scales = []
    for (above, below), length in _METRES.items():
        a, b = middle[above], middle[below]
        if a is None or b is None:
            if above == "shoulder":
                continue
            return None
        if b[1] <= a[1] or abs(b[0] - a[0]) > _LEAN * (b[1] - a[1]):
            return None
        long, metres = long + math.dist(a, b), metres + length
        scales.append(math.dist(a, b) / length)
    return long / metres if max(scales) <= _BENT * min(scales) else None


def _middle(joints: Mapping[str, tuple[float, float]], part: str) -> tuple[float, float] | None:
    places = [place for name, place in joints.items() if name.endswith(part)]
    if not places:
        return None
    x, y = np.mean(places, axis=0)
    return float(x), float(y)
