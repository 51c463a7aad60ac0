"""Frames of the palms: where the bar of a handle would run through the closed hand."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from synthstudio.body.atlas import Atlas, BareBody, load_atlas
from synthstudio.core.scene import F64

BAR_M = 0.03
"""Thickness of the bar at whose middle a palm's origin lies."""
_SIDES = ("L", "R")
_KNUCKLES = ((2, 1), (3, 2), (4, 3), (5, 4))  # finger, metacarpal
_SHARED = 0.2  # of a vertex at a knuckle, both bones have at least this weight
_FACING = 0.6  # cosine of palm skin to the palm's normal
_NEAR_KNUCKLES = (-0.042, 0.004)  # metres along the fingers: the fleshy part under the fingers


def palm_frames(atlas: Atlas, bare: BareBody) -> F64:
    """Return (2, 4, 4): the left and the right palm of a body, in the body's own frame.

    A frame's columns are x, y, z and the origin. x runs along a bar in the closed hand towards
    the thumb's side, z out of the palm; y completes a right-handed frame, so that it runs to the
    wrist in the left hand and to the fingertips in the right one. The origin is the middle of
    such a bar of `BAR_M`.
    """
    out = np.tile(np.eye(4), (2, 1, 1))
    for place, side in enumerate(_SIDES):
        skin, axes = _palm(side)
        turned = bare.bone_deltas[atlas.bone_names.index(f"wrist.{side}")] @ axes
        out[place, :3, :3] = turned
        out[place, :3, 3] = bare.vertices_m[skin].mean(axis=0) + BAR_M / 2 * turned[:, 2]
    return out


@functools.cache
def _palm(side: str) -> tuple[NDArray[np.intp], F64]:
    """Return the palm's skin vertices and its axes (3, 3) in the identity pose."""
    atlas = load_atlas()
    points = atlas.template_m.astype(np.float64)
    knuckles = np.stack(
        [_between(atlas, f"metacarpal{m}.{side}", f"finger{f}-1.{side}") for f, m in _KNUCKLES]
    )
    wrist = _between(atlas, f"lowerarm02.{side}", f"wrist.{side}")
    x = knuckles[0] - knuckles[-1]
    x /= np.linalg.norm(x)
    fingers = knuckles[:2].mean(axis=0) - wrist
    fingers -= x * (fingers @ x)
    fingers /= np.linalg.norm(fingers)
    z = np.cross(x, fingers) if side == "R" else np.cross(fingers, x)
    own = [atlas.bone_names.index(f"metacarpal{k}.{side}") for k in range(1, 5)]
    flesh = np.asarray(atlas.weights[:, own].sum(axis=1)).ravel() > 0.5
    along = (points - knuckles.mean(axis=0)) @ fingers
    low, high = _NEAR_KNUCKLES
    faces = atlas.body_faces[atlas.skin_face]
    a, b, c = (points[faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    facing = across @ z > _FACING * np.linalg.norm(across, axis=1)
    palm = np.zeros(len(points), np.bool_)
    palm[np.unique(faces[facing])] = True
    skin = np.flatnonzero(palm & flesh & (along > low) & (along < high))
    return skin, np.stack([x, np.cross(z, x), z], axis=1)


def _between(atlas: Atlas, one: str, other: str) -> F64:
    """Return the joint of two bones: the mean of the skin that both of them move."""
    bones = [atlas.bone_names.index(name) for name in (one, other)]
    shared = atlas.weights[:, bones].toarray().min(axis=1) > _SHARED
    out: F64 = atlas.template_m[shared].astype(np.float64).mean(axis=0)
    return out
