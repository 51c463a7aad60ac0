"""Per-vertex velocities at the capture time (linear motion).

In an exposure of 1/60 s a hand that turns at 20 rad/s leaves its tangent by less than its hundredth
part of the way, so a velocity for each vertex is all that blur and rolling shutter need.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.core.camera import Camera
from synthstudio.core.errors import GeometryError
from synthstudio.core.scene import F32, F64, JointPatches, PosedPerson, Scene, Surface

_ROUNDS = 8
_EVERY = 4
"""Vertex stride for estimating motion in the picture."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VertexVelocities:
    """World velocities of a PosedPerson, metres per second."""

    surfaces: tuple[F32, ...]  # (V, 3) of each
    joints: F64  # (J, 3)
    kinematic_joints: F64  # (J, 3)
    points: F64  # (J, N, 3) of the joints' patches


def velocities_of(now: PosedPerson, other: PosedPerson, after_s: float) -> VertexVelocities:
    """Velocities from two poses, `other` `after_s` later; GeometryError unless of one person."""
    return VertexVelocities(
        surfaces=velocities(now.surfaces, other.surfaces, after_s),
        joints=(other.joints_m - now.joints_m) / after_s,
        kinematic_joints=(other.kinematic_joints_m - now.kinematic_joints_m) / after_s,
        points=(other.patches.points_m - now.patches.points_m) / after_s,
    )


def velocities(now: Sequence[Surface], other: Sequence[Surface], after_s: float) -> tuple[F32, ...]:
    """(V, 3) metres a second of each surface; GeometryError when the vertices do not agree."""
    counts = [[len(s.vertices_m) for s in surfaces] for surfaces in (now, other)]
    if counts[0] != counts[1]:
        raise GeometryError(
            "the surfaces of a moving person differ between two times",
            where=f"instance {now[0].instance if now else '?'}",
            expected=f"{len(now)} surfaces of {sum(counts[0])} vertices",
            got=f"{len(other)} of {sum(counts[1])}",
        )
    per_s = np.float32(1 / after_s)
    return tuple((b.vertices_m - a.vertices_m) * per_s for a, b in zip(now, other, strict=True))


def scene_at(scene: Scene, velocities: Sequence[F32 | None], seconds: float) -> Scene:
    """The scene `seconds` later; `velocities`: one per surface, None: still.

    Only surfaces move: joints and patches stay at the frame's capture time.
    """
    people, start = [], 0
    for person in scene.people:
        stop = start + len(person.surfaces)
        own = _moved(person.surfaces, velocities[start:stop], seconds)
        people.append(dataclasses.replace(person, surfaces=own))
        start = stop
    objects = _moved(scene.objects, velocities[start:], seconds)
    return dataclasses.replace(scene, people=tuple(people), objects=objects)


def _moved(
    surfaces: Sequence[Surface], velocities: Sequence[F32 | None], seconds: float
) -> tuple[Surface, ...]:
    return tuple(
        surface
        if velocity is None
        else dataclasses.replace(
            surface, vertices_m=surface.vertices_m + velocity * np.float32(seconds)
        )
        for surface, velocity in zip(surfaces, velocities, strict=True)
    )


def apply_rolling_shutter(
    person: PosedPerson, velocity: VertexVelocities, camera: Camera, readout_s: float
) -> PosedPerson:
    """The person under a rolling shutter: each point at the exposure time of its row.

    Row y of H is exposed (y / H - 1/2) x `readout_s` after the frame's capture time. Joints and
    patches move with their rows, so labels match the picture.
    """

    def late(points_m: F64, velocity: F64) -> F64:
        times = row_times_s(camera, points_m, velocity, readout_s)
        return points_m + velocity * times[..., None]

    patches = person.patches
    return dataclasses.replace(
        person,
        surfaces=surfaces_at_rows(person.surfaces, velocity.surfaces, camera, readout_s),
        joints_m=late(person.joints_m, velocity.joints),
        kinematic_joints_m=late(person.kinematic_joints_m, velocity.kinematic_joints),
        patches=patches_at_rows(patches, velocity.points, camera, readout_s),
    )


def patches_at_rows(
    patches: JointPatches, velocity: F64, camera: Camera, readout_s: float
) -> JointPatches:
    """Patches whose points move at `velocity` (J, N, 3), as in `apply_rolling_shutter`."""
    times = row_times_s(camera, patches.points_m, velocity, readout_s)
    return dataclasses.replace(patches, points_m=patches.points_m + velocity * times[..., None])


def surfaces_at_rows(
    surfaces: Sequence[Surface], velocities: Sequence[F32], camera: Camera, readout_s: float
) -> tuple[Surface, ...]:
    """Surfaces whose vertices move at `velocities` (V, 3) each, as in `apply_rolling_shutter`."""
    out = []
    for surface, velocity in zip(surfaces, velocities, strict=True):
        times = row_times_s(camera, surface.vertices_m, velocity, readout_s).astype(np.float32)
        late = surface.vertices_m + velocity * times[:, None]
        out.append(dataclasses.replace(surface, vertices_m=late))
    return tuple(out)


def row_times_s(camera: Camera, points_m: F32 | F64, velocity: F32 | F64, readout_s: float) -> F64:
    """(...) exposure times in seconds of the rows in which points (..., 3) appear.

    The row is that of the point at that time, by fixed-point iteration: each round is
    nearer by the ratio of the point's speed in rows to the shutter's. Points outside the rows
    take the times that rows there would have, up to a picture's height away; 0 before the near
    plane.
    """
    flat, moves = (np.asarray(a, np.float64).reshape(-1, 3) for a in (points_m, velocity))
    times = np.zeros(len(flat))
    for _ in range(_ROUNDS):
        rows = camera.project(camera.to_camera(flat + moves * times[:, None]))[:, 1]
        share = np.clip(rows / camera.height_px, -1, 2) - 0.5
        times = np.where(np.isfinite(share), share, 0.0) * readout_s
    return times.reshape(np.shape(points_m)[:-1])


def max_motion_px(
    camera: Camera, surfaces: Sequence[Surface], velocities: Sequence[F32 | None], seconds: float
) -> float:
    """The largest motion in pixels in the picture during that time."""
    size, maximum = np.array([camera.width_px, camera.height_px]), 0.0
    for surface, velocity in zip(surfaces, velocities, strict=True):
        if velocity is None:
            continue
        points, half = surface.vertices_m[::_EVERY], velocity[::_EVERY] * (seconds / 2)
        a, b = (camera.project(camera.to_camera(p)) for p in (points - half, points + half))
        seen = ((np.minimum(a, b) < size) & (np.maximum(a, b) >= 0)).all(axis=1)
        far = np.hypot(*(b - a)[seen].T)
        maximum = max(maximum, float(far.max(initial=0.0)))
    return maximum
