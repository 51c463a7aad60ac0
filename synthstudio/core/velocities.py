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
"""Of so many vertices one is looked at to tell how far something goes in the picture."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VertexVelocities:
    """Velocities in the world, metres a second, of what a PosedPerson holds."""

    surfaces: tuple[F32, ...]  # (V, 3) of each
    joints: F64  # (J, 3)
    kinematic_joints: F64  # (J, 3)
    points: F64  # (J, N, 3) of the joints' patches


def velocities_of(now: PosedPerson, other: PosedPerson, after_s: float) -> VertexVelocities:
    """How somebody moves who is `other` so many seconds (below 0: before) `now`.

    GeometryError when the two are not the same person in the same clothes.
    """
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
            "two moments of somebody who moves do not have the same surfaces",
            where=f"instance {now[0].instance if now else '?'}",
            expected=f"{len(now)} surfaces of {sum(counts[0])} vertices",
            got=f"{len(other)} of {sum(counts[1])}",
        )
    per_s = np.float32(1 / after_s)
    return tuple((b.vertices_m - a.vertices_m) * per_s for a, b in zip(now, other, strict=True))


def scene_at(scene: Scene, velocities: Sequence[F32 | None], seconds: float) -> Scene:
    """The scene so many seconds later; `velocities` has one for each of its surfaces, None: still.

    Only what is drawn moves: joints and patches stay those of the frame's moment.
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
    """The person as a rolling shutter sees it: each point at the time of the row it is seen in.

    Row y of H is exposed (y / H - 1/2) x `readout_s` after the frame's moment. Joints and
    patches go with their own rows, so labels are of what the picture shows.
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
    """Patches of somebody whose points move at `velocity` (J, N, 3), as in `rolled`."""
    times = row_times_s(camera, patches.points_m, velocity, readout_s)
    return dataclasses.replace(patches, points_m=patches.points_m + velocity * times[..., None])


def surfaces_at_rows(
    surfaces: Sequence[Surface], velocities: Sequence[F32], camera: Camera, readout_s: float
) -> tuple[Surface, ...]:
    """Surfaces whose vertices move at `velocities` (V, 3) each, as in `rolled`."""
    out = []
    for surface, velocity in zip(surfaces, velocities, strict=True):
        times = row_times_s(camera, surface.vertices_m, velocity, readout_s).astype(np.float32)
        late = surface.vertices_m + velocity * times[:, None]
        out.append(dataclasses.replace(surface, vertices_m=late))
    return tuple(out)


def row_times_s(camera: Camera, points_m: F32 | F64, velocity: F32 | F64, readout_s: float) -> F64:
    """(...) when the row in which each point (..., 3) is seen is exposed, seconds.

    The row is that of where the point then is, found by fixed-point iteration: each round is
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
    """How far in pixels whatever goes farthest in the picture goes in that time."""
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
