"""Velocities of moving people and their held objects, for motion blur and rolling shutter."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from synthstudio.core.arrays import F32, F64
from synthstudio.core.scene import (
    JointPatches,
    PosedPerson,
    Surface,
    VertexVelocities,
    apply_rolling_shutter,
    patches_at_rows,
    surfaces_at_rows,
    velocities,
    velocities_of,
)
from synthstudio.core.spec import PERSON_BASE, FrameSpec, MovingSpec, PersonSpec
from synthstudio.generation.stage import FrameGenerator
from synthstudio.render.exposure import MIN_PX

_BEYOND = 1.5


def people_velocities(
    stage: FrameGenerator, spec: FrameSpec, people: Sequence[PosedPerson]
) -> dict[int, VertexVelocities]:
    """Velocities of moving people; without those whose motion is invisible."""
    return {
        m.person: velocities_of(
            people[m.person],
            stage.body.posed(_other(spec, m), instance=PERSON_BASE + m.person),
            m.after_s,
        )
        for m in spec.moving
        if spec.lens.readout_s > 0 or _is_seen(stage, spec, m, people[m.person])
    }


def _is_seen(stage: FrameGenerator, spec: FrameSpec, moving: MovingSpec, now: PosedPerson) -> bool:
    """Whether a joint moves far enough during the exposure to change a pixel."""
    share = spec.lens.exposure_s / abs(moving.after_s)
    to = now.joints_m + (stage.body.joints_m(_other(spec, moving)) - now.joints_m) * share
    a, b = (spec.camera.project(spec.camera.to_camera(joints)) for joints in (now.joints_m, to))
    far = np.hypot(*(b - a).T)
    # Hands and hair move farther than joints; people crossing the near plane are unbounded.
    return bool(_BEYOND * np.nan_to_num(far, nan=np.inf).max() >= MIN_PX)


def held_velocities(
    stage: FrameGenerator, spec: FrameSpec, place: int, surfaces: Sequence[Surface]
) -> tuple[F32, ...] | None:
    """(V, 3) metres a second of object `place`: that of the palm holding it; None: still."""
    held_by = spec.objects[place].held_by
    found = next((m for m in spec.moving if m.person == held_by), None)
    if held_by is None or found is None or spec.objects[place].role == "occluder":  # a blanket
        return None
    now, other = (stage.body.palms_m(p) for p in (spec.people[held_by], _other(spec, found)))
    corners = np.concatenate([s.vertices_m for s in surfaces]).astype(np.float64)
    away = [float(np.linalg.norm(corners - palm[:3, 3], axis=1).min()) for palm in now]
    hand = int(np.argmin(away))
    turn: F64 = other[hand] @ np.linalg.inv(now[hand])
    gone = tuple(
        dataclasses.replace(
            s, vertices_m=(s.vertices_m @ turn[:3, :3].T + turn[:3, 3]).astype(np.float32)
        )
        for s in surfaces
    )
    return velocities(surfaces, gone, found.after_s)


def skewed_people(
    spec: FrameSpec, people: Sequence[PosedPerson], moving: dict[int, VertexVelocities]
) -> tuple[PosedPerson, ...]:
    """The people under the lens's rolling shutter."""
    readout = spec.lens.readout_s
    return tuple(
        apply_rolling_shutter(person, moving[i], spec.camera, readout)
        if readout > 0 and i in moving
        else person
        for i, person in enumerate(people)
    )


def skewed_objects(
    spec: FrameSpec, surfaces: tuple[Surface, ...], moving: tuple[F32, ...] | None
) -> tuple[Surface, ...]:
    """An object under the lens's rolling shutter."""
    if moving is None or spec.lens.readout_s <= 0:
        return surfaces
    return surfaces_at_rows(surfaces, moving, spec.camera, spec.lens.readout_s)


def fresh_patches(
    stage: FrameGenerator, spec: FrameSpec, *, points: int, seed: int
) -> list[JointPatches]:
    """Points on all joints, other than the labels', under the rolling shutter."""
    out = [stage.body.fresh_patches(p, points=points, seed=seed) for p in spec.people]
    if spec.lens.readout_s > 0:
        for m in spec.moving:
            now = out[m.person]
            other = stage.body.fresh_patches(_other(spec, m), points=points, seed=seed)
            velocity = (other.points_m - now.points_m) / m.after_s
            out[m.person] = patches_at_rows(now, velocity, spec.camera, spec.lens.readout_s)
    return out


def _other(spec: FrameSpec, moving: MovingSpec) -> PersonSpec:
    return dataclasses.replace(
        spec.people[moving.person],
        pose=moving.pose,
        position_m=moving.position_m,
        yaw_rad=moving.yaw_rad,
    )
