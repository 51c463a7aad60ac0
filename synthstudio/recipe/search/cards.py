"""People as cards: flat pictures at one depth, moved to estimate mutual occlusion.

A card is a person drawn once from the frame's camera. Elsewhere on the floor it is shifted and
scaled by its depth; the small change of viewing angle is ignored. So cards only propose places;
scene_visibility.py evaluates them exactly. J joints, n points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import GeometryQueries
from synthstudio.core.scene import F64, Bool
from synthstudio.core.spec import PersonSpec
from synthstudio.recipe.search.scene_visibility import window

_SAMPLES = 56
_POINTS = 150
_CROWD = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_MIN_OWN = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Card:
    """A person's outline and joints in metres right and down of its root, at the root's depth."""

    mask: Bool  # (h, w)
    per_m: float
    root: F64  # (2,) root's position in the mask
    points_and_joints_m: F64  # (n + J, 2) samples of the mask, and the joints
    joints_m: F64  # (J, 2)
    crowd_m: F64  # (14 or fewer, 2) CrowdPose's joints
    box_m: F64  # (2, 2)


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    card: Card
    px: F64  # (2,) of the root
    per_m: float  # pixels a metre
    depth_m: float

    def at(self, offsets_m: F64) -> F64:
        """Pixels (..., 2) of offsets from the root."""
        return self.px + offsets_m * self.per_m

    def covers(self, px: F64) -> Bool:
        """Return (n,) which pixels (n, 2) the card covers."""
        place = (px - self.px) * (self.card.per_m / self.per_m) + self.card.root
        cell = np.floor(place)
        within = np.asarray(((cell >= 0) & (cell < self.card.mask.shape[::-1])).all(axis=1))
        column, row = np.where(within[:, None], cell, 0).astype(np.intp).T
        return np.asarray(within & self.card.mask[row, column])


def card(
    geometry: GeometryQueries, camera: Camera, person: PersonSpec, names: tuple[str, ...]
) -> Card:
    """The card of a person in front of the camera; `names` are the joints'."""
    seen = window(camera, geometry.box_m(person), samples=_SAMPLES, whole=True)
    mask = np.isfinite(geometry.depths_m((person,), seen))
    root = np.array([person.position_m])
    depth = float(seen.to_camera(root)[0, 2])
    at = seen.project(seen.to_camera(root))[0]
    per_m = seen.focal_px / depth
    rows, columns = np.nonzero(mask)
    covered = np.stack([columns + 0.5, rows + 0.5], axis=1)
    joints_3d = geometry.joints_m(person)
    joints = (seen.project(seen.to_camera(joints_3d)) - at) / per_m
    crowd = (seen.project(seen.to_camera(_crowd_joints(joints_3d, names))) - at) / per_m
    if not len(covered):
        covered = at[None]
    box = np.stack([covered.min(axis=0) - 0.5, covered.max(axis=0) + 0.5])
    step = max(1, len(covered) // _POINTS)
    return Card(
        mask=mask,
        per_m=per_m,
        root=at,
        points_and_joints_m=np.concatenate([(covered[::step] - at) / per_m, joints]),
        joints_m=joints,
        crowd_m=crowd,
        box_m=(box - at) / per_m,
    )


def shown(own: Card, camera: Camera, root_m: tuple[float, float, float]) -> Shown | None:
    """The card with its root at a place, or None behind the camera."""
    seen = camera.to_camera(np.array([root_m]))
    if seen[0, 2] < 0.3:
        return None
    depth = float(seen[0, 2])
    return Shown(card=own, px=camera.project(seen)[0], per_m=camera.focal_px / depth, depth_m=depth)


def inside(camera: Camera, px: F64) -> Bool:
    """Return (...) which pixels (..., 2) lie in the picture."""
    size = (camera.width_px, camera.height_px)
    return np.asarray(((px >= 0) & (px < size)).all(axis=-1))


def hidden_by_others(camera: Camera, cards: list[Shown], place: int) -> tuple[float, Bool]:
    """The fraction of a card inside the picture covered by nearer cards, and (J,) joints."""
    own = cards[place]
    px = own.at(own.card.points_and_joints_m)
    kept = inside(camera, px)
    covered = np.zeros(len(px), np.bool_)
    for k, other in enumerate(cards):
        if k != place and other.depth_m < own.depth_m:
            covered |= other.covers(px)
    covered &= kept
    count = len(px) - len(own.card.joints_m)
    return float(covered[:count].sum() / max(1, kept[:count].sum())), covered[count:]


def crowd_index(camera: Camera, cards: list[Shown]) -> float:
    """An approximation of `label.frame.crowd_index`."""
    joints = [s.at(s.card.crowd_m) for s in cards]
    joints = [px[inside(camera, px)] for px in joints]
    ratios = []
    for i, own in enumerate(cards):
        low, high = own.at(own.card.box_m)
        counts = [int(((px >= low) & (px < high)).all(axis=1).sum()) for px in joints]
        mine = counts[i]
        ratios.append(min(1.0, (sum(counts) - mine) / mine) if mine >= _MIN_OWN else 0.0)
    return float(np.mean(ratios)) if ratios else 0.0


def _crowd_joints(joints_m: F64, names: tuple[str, ...]) -> F64:
    """CrowdPose's joints that the skeleton has; see label.frame.crowd_index."""
    at = {name: place for place, name in enumerate(names)}
    sides = ("left", "right")
    counted = [f"{side}_{k}" for k in _CROWD for side in sides]
    out = [joints_m[at[name]] for name in counted if name in at]
    for pair in (("left_shoulder", "right_shoulder"), ("left_ear", "right_ear")):
        if all(name in at for name in pair):
            out.append(joints_m[[at[name] for name in pair]].mean(axis=0))
    return np.array(out)
