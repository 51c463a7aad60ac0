"""Bins of coverage and quotas: view, body, occluded fraction."""

from __future__ import annotations

import math

import numpy as np

from synthstudio.core.arrays import F64, I32
from synthstudio.core.spec import Phenotype

VIEWS = ("front", "front_left", "left", "back_left", "back", "back_right", "right", "front_right")
"""Which side of a person the camera sees: eight sectors of 45 degrees, front is 0 +- 22.5.

Their order is that of the camera's azimuth about the person, counted towards its left. So a
person who sees the camera at its left shows its left, and stands at yaw -90 before a camera at
yaw 0."""
SECTOR_RAD = 2 * math.pi / len(VIEWS)

GENDERS, WEIGHTS, HEIGHTS = ("man", "woman"), ("slim", "medium", "heavy"), ("short", "mid", "tall")
GENDER_EDGE = 0.5
WEIGHT_EDGES = (0.42, 0.58)
HEIGHT_EDGES = (0.33, 0.39)
"""Thirds of a recipe's default bodies (normal 0.5 +- 0.18 and 0.36 +- 0.06); height is that
among the person's own gender."""
BODIES = tuple(f"{g}-{w}-{h}" for g in GENDERS for w in WEIGHTS for h in HEIGHTS)

FRACTIONS = ("0", "0-.1", ".1-.3", ".3-.5", ".5-.7", ".7-.9", ".9-1")
FRACTION_EDGES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
"""Upper ends of the bins of the occluded fraction but the last; each belongs to its bin."""

_UPRIGHT = 0.5
"""Maximum slope of the shoulder-hip line for it alone to define left."""


def view_of(azimuth_rad: F64) -> I32:
    """Indices into VIEWS of the camera's azimuths about people, + towards their left."""
    return (np.rint(azimuth_rad / SECTOR_RAD) % len(VIEWS)).astype(np.int32)


def view_azimuth_rad(view: str) -> float:
    """The middle of a sector: the camera's azimuth about the person."""
    return VIEWS.index(view) * SECTOR_RAD


def body_of(phenotype: Phenotype) -> str:
    axes = (phenotype.gender, phenotype.weight, phenotype.height)
    gender, weight, height = np.array(axes)[:, None]
    return BODIES[int(body_places(gender, weight, height)[0])]


def body_places(gender: F64, weight: F64, height: F64) -> I32:
    """Indices into BODIES of people (P,) by three axes of their phenotypes."""
    w, h = np.searchsorted(WEIGHT_EDGES, weight), np.searchsorted(HEIGHT_EDGES, height)
    g = (gender >= GENDER_EDGE).astype(np.int32)
    return ((g * len(WEIGHTS) + w) * len(HEIGHTS) + h).astype(np.int32)


def fraction_of(fraction: F64) -> I32:
    """Indices into FRACTIONS of occluded fractions in 0..1."""
    return np.searchsorted(FRACTION_EDGES, fraction).astype(np.int32)


def camera_azimuth_rad(joints_m: F64, eyes_m: F64) -> F64:
    """(P,) azimuths of cameras about people, 0 in front, + towards their left.

    `joints_m` (P, 4, 3): left and right shoulder, left and right hip in the world; `eyes_m`
    (P, 3). Left is the mean of the lines between shoulders and between hips, laid flat, and
    the body faces a quarter turn right of it. For a person on their side these lines are
    vertical; then the body faces along left x up the trunk. NaN where neither lies flat.
    """
    across = joints_m[:, 0] - joints_m[:, 1] + joints_m[:, 2] - joints_m[:, 3]
    trunk = joints_m[:, 0] + joints_m[:, 1] - joints_m[:, 2] - joints_m[:, 3]
    flat = np.hypot(across[:, 0], across[:, 1])
    ahead = np.stack([across[:, 1], -across[:, 0]], axis=1)
    on_side = flat < _UPRIGHT * np.linalg.norm(across, axis=1)
    ahead = np.where(on_side[:, None], np.cross(across, trunk)[:, :2], ahead)
    left = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
    way = eyes_m[:, :2] - joints_m.mean(axis=1)[:, :2]
    x, y = (ahead * way).sum(axis=1), (left * way).sum(axis=1)
    return np.asarray(np.where(np.hypot(x, y) > 0, np.arctan2(y, x), np.nan))
