"""Visibility fractions of every joint; core/visibility.py derives state and cause from them.

A joint's patch is a fixed set of points on the body's outside around it. A point's weight in a
frame is its area share x max(0, cos of its angle to the camera): the share of the patch's
projected surface. The base are the points with weight inside the frame and beyond the near
plane. Three cases, in this order:

* **The centre is outside** the frame or nearer than the near plane. Nothing is claimed about
  what might hide the joint there: fractions are (0, 0, 0, 0, 1), state 0, cause `truncated`, and
  `hidden_by` is empty. (A larger hiding share beside the cause `truncated` would break the rule
  that the cause is the largest share that is not `visible`.)
* **The centre is inside and the base weighs less than 0.02**: the patch faces away (a nose seen
  from behind) and the person itself hides it: fractions (0, 1, 0, 0, 0).
* **The centre is inside otherwise.** The fractions are those of the base alone, divided by its
  weight. The part of the patch that lies outside the frame is left out, not counted as
  `truncated`: so `truncated` is 0, the other four sum to 1, and a joint at the frame's edge
  whose remaining patch is seen is seen.

A point is hidden wholly by the nearest surface in front of it, and by a cut-out in front of it
as far as the cut-out's alpha goes. Front to back, each takes its part of what is left. Weather is
cut-outs that fill the frame; fog hides 1 - its transmittance down to the nearest surface.
"""

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from synthstudio.core.arrays import F32, F64, I32, Bool
from synthstudio.core.camera import Camera
from synthstudio.core.labels import VISIBILITY, JointLabels
from synthstudio.core.scene import CutoutLayer, JointPatches, PosedPerson
from synthstudio.core.visibility import (
    EMPTY_BASE,
    cause_of_instance,
    is_ambiguous,
    joint_causes,
    joint_states,
)

_GRID_PER_PX = float(1 << 20)


def joint_pixels(camera: Camera, camera_m: F64) -> F64:
    """(J, 2) the continuous pixels of joints (J, 3) in camera metres; NaN before the near plane.

    Pixels are snapped to 2^-20 px. Far below every tolerance, and then W - x is exact, so that
    a mirror undone gives the same bits.
    """
    return np.asarray(np.round(camera.project(camera_m) * _GRID_PER_PX) / _GRID_PER_PX)


@dataclass(frozen=True, kw_only=True)
class PatchQuery:
    """One person's patch points as this frame's camera sees them; row j belongs to joint j."""

    points_m: F64  # (J, N, 3) world
    px: F64  # (J, N, 2) continuous pixels; NaN before the near plane
    depth_m: F64  # (J, N) z in camera metres
    weights: F64  # (J, N) area share x max(0, cos); 0 for points that are not in the base
    inside: Bool  # (J,) the joint's centre is in the frame

    @cached_property
    def decidable(self) -> Bool:
        """(J,): centre inside and enough base, so that blockers decide the fractions."""
        return self.inside & (self.weights.sum(axis=1) >= EMPTY_BASE)

    @cached_property
    def needed(self) -> Bool:
        """(J, N) the points that decide a share: only these need the renderer's answer."""
        return (self.weights > 0) & self.decidable[:, None]


def patch_query(camera: Camera, posed: PosedPerson) -> PatchQuery:
    """The person's patch points, their weights in this frame, and which ones matter."""
    patches = posed.patches
    in_camera = camera.to_camera(patches.points_m)
    px = camera.project(in_camera)
    return PatchQuery(
        points_m=patches.points_m,
        px=px,
        depth_m=in_camera[..., 2],
        weights=np.where(camera.shows(px), _facing(camera, patches), 0.0),
        inside=camera.shows(joint_pixels(camera, camera.to_camera(posed.joints_m))),
    )


def subsample_patches(posed: PosedPerson, stride: int) -> PosedPerson:
    """The person with every `stride`-th point of its patches, for a quick estimate."""
    own = posed.patches
    fewer = JointPatches(
        points_m=own.points_m[:, ::stride],
        normals=own.normals[:, ::stride],
        weights=own.weights[:, ::stride] * stride,
        part=own.part[:, ::stride],
    )
    return dataclasses.replace(posed, patches=fewer)


def decide_visibility(
    query: PatchQuery,
    *,
    instance: int,
    blocker_instance: I32,  # (J, N) nearest instance in front of the point; 0 nothing
    blocker_depth_m: F32,  # (J, N) z of that surface; not read where nothing is
    cutouts: tuple[CutoutLayer, ...],
    frame_px: tuple[int, int],  # width, height
) -> JointLabels:
    """The visibility of the joints of person `instance`: blockers where `query.needed`."""
    visible, hidden = _occluder_shares(query, blocker_instance, blocker_depth_m, cutouts, frame_px)
    facing_away = query.inside & ~query.decidable
    if facing_away.any():
        hidden[instance] = hidden.get(instance, np.zeros_like(visible)) + facing_away
    fractions = np.zeros((len(visible), len(VISIBILITY)))
    fractions[:, 0] = visible
    for blocker, share in hidden.items():
        fractions[:, VISIBILITY.index(cause_of_instance(blocker, instance))] += share
    fractions[:, VISIBILITY.index("truncated")] = ~query.inside
    state = joint_states(fractions[:, 0], query.inside)
    hidden_by = _hidden_by(hidden, len(fractions))
    cause = joint_causes(fractions, state)
    main = [
        next((i for i, _ in found if cause_of_instance(i, instance) == why), 0)
        for found, why in zip(hidden_by, cause, strict=True)
    ]
    return JointLabels(
        visibility_fractions=fractions,
        state=state,
        cause=cause,
        ambiguous=is_ambiguous(fractions[:, 0]),
        occluder_id=np.array(main, np.int32),
        hidden_by=hidden_by,
    )


def alpha_at(
    cutout: CutoutLayer,
    px: F64,  # (..., 2) continuous
    *,
    frame_px: tuple[int, int],
) -> F64:
    """(...) the cut-out's alpha, bilinear between pixel centres; 0 beyond its edge.

    Where the layer is clipped by the frame's border, its last alpha is extended.
    """
    height, width = cutout.alpha.shape
    padded = np.zeros((height + 2, width + 2))
    padded[1:-1, 1:-1] = cutout.alpha
    if cutout.top_px <= 0:
        padded[0] = padded[1]
    if cutout.top_px + height >= frame_px[1]:
        padded[-1] = padded[-2]
    if cutout.left_px <= 0:
        padded[:, 0] = padded[:, 1]
    if cutout.left_px + width >= frame_px[0]:
        padded[:, -1] = padded[:, -2]
    x = np.nan_to_num(px[..., 0], nan=-1e9) - cutout.left_px + 0.5
    y = np.nan_to_num(px[..., 1], nan=-1e9) - cutout.top_px + 0.5
    within = (x >= 0) & (x <= width + 1) & (y >= 0) & (y <= height + 1)
    x, y = np.where(within, x, 0.0), np.where(within, y, 0.0)
    j = np.minimum(x.astype(np.int64), width)
    i = np.minimum(y.astype(np.int64), height)
    u, v = x - j, y - i
    top = padded[i, j] * (1 - u) + padded[i, j + 1] * u
    low = padded[i + 1, j] * (1 - u) + padded[i + 1, j + 1] * u
    return np.where(within, top * (1 - v) + low * v, 0.0)


def _facing(camera: Camera, patches: JointPatches) -> F64:
    """(J, N): area share x max(0, cos of the angle between normal and camera)."""
    towards = np.asarray(camera.position_m, np.float64) - patches.points_m
    distance = np.linalg.norm(towards, axis=-1)
    dot = np.einsum("jnk,jnk->jn", patches.normals, towards)
    cos = np.divide(dot, distance, out=np.zeros_like(dot), where=distance > 0)
    return patches.weights * np.maximum(0.0, cos)


def _occluder_shares(
    query: PatchQuery,
    blocker_instance: I32,
    blocker_depth_m: F32,
    cutouts: tuple[CutoutLayer, ...],
    frame_px: tuple[int, int],
) -> tuple[F64, dict[int, F64]]:
    """(J,) the visible fraction of the base, and instance -> (J,) the fraction it hides."""
    weights = np.where(query.needed, query.weights, 0.0)
    total = weights.sum(axis=1)
    blocked = query.needed & (blocker_instance != 0)
    limit = np.where(blocked, np.minimum(blocker_depth_m, query.depth_m), query.depth_m)
    left = np.ones_like(weights)
    hidden: dict[int, F64] = {}

    def share(part: F64) -> F64:
        weight = (weights * part).sum(axis=1)
        return np.divide(weight, total, out=np.zeros_like(total), where=total > 0)

    def hide(instance: int, part: F64) -> None:
        hidden[instance] = hidden.get(instance, np.zeros_like(total)) + share(part)

    # Of two cut-outs at one depth the later lies on top: layers are laid in their order.
    order = sorted(range(len(cutouts)), key=lambda k: (cutouts[k].depth_m, -k))
    for cutout in (cutouts[k] for k in order):
        alpha = alpha_at(cutout, query.px, frame_px=frame_px)
        part = left * cutout.alpha_before(alpha, limit) * (cutout.depth_m <= limit)
        left = left - part
        hide(cutout.instance, part)
    for instance in np.unique(blocker_instance[blocked]):
        hide(int(instance), np.where(blocked & (blocker_instance == instance), left, 0.0))
    return share(np.where(blocked, 0.0, left)), hidden


def _hidden_by(hidden: dict[int, F64], joints: int) -> tuple[tuple[tuple[int, float], ...], ...]:
    found: list[list[tuple[int, float]]] = [[] for _ in range(joints)]
    for blocker, share in hidden.items():
        for j in np.flatnonzero(share > 0):
            found[j].append((blocker, float(share[j])))
    return tuple(tuple(sorted(row, key=lambda f: (-f[1], f[0]))) for row in found)
