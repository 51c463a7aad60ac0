"""Values shared by body, props, render and label: geometry in world metres, frozen.

Letters: V vertices, F faces, J joints, N points a joint, H rows, W columns.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np

from synthstudio.core.arrays import F32, F64, I32, U8, U32, Array, Bool
from synthstudio.core.camera import Camera
from synthstudio.core.errors import GeometryError
from synthstudio.core.skeleton import both
from synthstudio.core.spec import Material, Vec3

Float = TypeVar("Float", F32, F64)
Painter = Callable[[Bool], U8]
"""Paints the pixels of a mask (H, W); returns (H, W, 3) sRGB, anything outside the mask."""

PARTS = (
    "head", "scalp", "neck", "torso", "pelvis",
    *both("upper_arm", "forearm", "hand", "thigh", "shin", "foot"),
)  # fmt: skip
"""Body parts. A part's id is its index; a set of parts is a uint32 with those bits set."""

NO_PART = 255


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A drawable mesh of a person or object.

    `part`: body part of each bare-skin face (NO_PART for clothes and objects). `covers`: for
    each face of a garment, the set of parts it covers; a joint's points on those parts are not
    hidden by it. `drawn` False marks skin under clothes: not drawn, yet it hides joints.
    """

    name: str
    instance: int
    vertices_m: F32  # (V, 3) world
    faces: I32  # (F, 3)
    coords: F32  # (V, 3) texture space, see docs/conventions.md
    material: Material
    normals: F32 | None = None  # (V, 3) unit; None: the renderer makes smooth ones
    tint: F32 | None = None  # (V, 3) linear RGB that multiplies the material's colours
    part: U8 | None = None  # (F,)
    covers: U32 | None = None  # (F,)
    drawn: Bool | None = None  # (F,)
    flat: bool = False  # face normals instead of smooth ones
    two_sided: bool = False  # never culled: open cloth, leaves
    casts_shadow: bool = True  # False for floors, walls, ceilings and fixtures


@dataclass(frozen=True, kw_only=True)
class JointPatches:
    """The exterior surface points of every joint, posed, in world metres."""

    points_m: F64  # (J, N, 3)
    normals: F64  # (J, N, 3) unit
    weights: F64  # (J, N) area shares, each joint's sum is 1
    part: U8  # (J, N) body part of the face under the point


@dataclass(frozen=True, kw_only=True)
class PosedPerson:
    instance: int
    surfaces: tuple[Surface, ...]
    joints_m: F64  # (J, 3) world, in the order of the skeleton: regressed from the surface
    kinematic_joints_m: F64  # (J, 3) world, rotation centres: bones keep their lengths
    patches: JointPatches
    stature_m: float  # height of the unposed body
    pictures: tuple[U8, ...] = ()
    """Of surfaces of the material kind "texture", whose number counts these."""


@dataclass(frozen=True, kw_only=True)
class Light:
    """Radiance ready for shading: a sun and an ambient as spherical harmonics.

    `ambient_sh` holds nine irradiance coefficients a channel, already convolved with the
    cosine lobe and divided by pi (Ramamoorthi and Hanrahan 2001), so that a white matte
    surface with normal n reflects sum_k ambient_sh[k] Y_k(n).
    """

    sun_direction: F64  # (3,) unit, towards the sun
    sun_rgb: F64  # (3,)
    ambient_sh: F64  # (9, 3)
    exposure: float = 1.0
    occlusion: float = 0.0  # fraction of ambient light lost in corners and folds
    flash_rgb: Vec3 = (0.0, 0.0, 0.0)  # reflected by white at 1 m that faces the camera


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The renderer's input for one frame."""

    camera: Camera
    people: tuple[PosedPerson, ...]
    objects: tuple[Surface, ...]  # floor and walls among them
    light: Light
    backdrop: U8 | Painter  # (H, W, 3) sRGB, shown where no surface is
    textures: tuple[U8, ...] = field(default=())  # each (h, w, 4) sRGB + alpha, row 0 at v = 1
    catches_shadow: bool = True  # an undrawn floor at z = 0 darkens the backdrop
    supersample: int = 2
    shadow_box_m: F64 | None = None  # (2, 3) extent of the shadow maps; None: fitted to the scene
    window_px: tuple[int, int, int, int] | None = None  # x0, y0, x1, y1 painted; None: everything

    @cached_property
    def surfaces(self) -> tuple[Surface, ...]:
        """Every surface: people's in order, then objects."""
        return tuple(s for person in self.people for s in person.surfaces) + self.objects


def painted_backdrop(scene: Scene, where: Bool | None = None) -> U8:
    """The backdrop (H, W, 3) sRGB, at least where the mask is true; None: everywhere."""
    if not callable(scene.backdrop):
        return scene.backdrop
    size = (scene.camera.height_px, scene.camera.width_px)
    return scene.backdrop(np.ones(size, np.bool_) if where is None else where)


FOG_END_M = 50.0
"""Depth of a bank of fog; the sky is behind it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Shadow:
    """Transmitted light on the floor, in a window of the frame; 1 outside."""

    left_px: int
    top_px: int
    light: F32  # (h, w)
    floor_depth_m: F32 | None = None  # (h, w) z in camera metres


@dataclass(frozen=True, kw_only=True)
class CutoutLayer:
    """A layer ready to compose over the frame: a cut-out clipped to it, or weather."""

    instance: int
    left_px: int
    top_px: int
    rgb: U8  # (h, w, 3) sRGB, gain applied
    alpha: F32  # (h, w) 0..1; of fog its density relative to the thickest
    depth_m: float  # z in camera metres; 0 is in front of everything
    per_m: float = 0.0  # of fog: extinction coefficient where it is thickest
    seen_px: F32 | None = None  # of a lens drop: (h, w, 2) x, y seen in it, tinted by `rgb`
    shadow: Shadow | None = None  # of a cut-out that stands

    def alpha_before(self, alpha: Float, depth_m: F32 | F64) -> Float:
        """`alpha` before surfaces at these depths: of fog 1 less its transmittance.

        Transmittance is exp(-extinction x depth) (Bouguer's law), constant beyond FOG_END_M.
        """
        if self.per_m == 0:
            return alpha
        opaque: Float = 1 - np.exp(-self.per_m * alpha * np.minimum(depth_m, FOG_END_M))
        return opaque


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """The renderer's output. Arrays other than `rgb` are one sample at each pixel centre."""

    rgb: U8  # (H, W, 3) sRGB, composed over the backdrop
    depth_m: F32  # (H, W) z in camera metres; inf for background
    instance: I32  # (H, W)
    part: U8  # (H, W) PARTS id on bare skin, NO_PART elsewhere
    normal: F32 | None = None  # (H, W, 3) camera axes; only on request
    surface: I32 | None = None  # (H, W) index in Scene.surfaces, -1 nothing; on request
    shadow: F32 | None = None  # (H, W, 2) fractions of sun and sky light, 1 all; on request


# Velocities of vertices at the capture time, along straight lines ---------------------------------
# In an exposure of 1/60 s a hand that turns at 20 rad/s leaves its tangent by less than its
# hundredth part of the way: a velocity for each vertex is all that blur and rolling shutter need.

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
    return dataclasses.replace(
        person,
        surfaces=surfaces_at_rows(person.surfaces, velocity.surfaces, camera, readout_s),
        joints_m=_at_rows(person.joints_m, velocity.joints, camera, readout_s),
        kinematic_joints_m=_at_rows(
            person.kinematic_joints_m, velocity.kinematic_joints, camera, readout_s
        ),
        patches=patches_at_rows(person.patches, velocity.points, camera, readout_s),
    )


def patches_at_rows(
    patches: JointPatches, velocity: F64, camera: Camera, readout_s: float
) -> JointPatches:
    """Patches whose points move at `velocity` (J, N, 3), as in `apply_rolling_shutter`."""
    late = _at_rows(patches.points_m, velocity, camera, readout_s)
    return dataclasses.replace(patches, points_m=late)


def surfaces_at_rows(
    surfaces: Sequence[Surface], velocities: Sequence[F32], camera: Camera, readout_s: float
) -> tuple[Surface, ...]:
    """Surfaces whose vertices move at `velocities` (V, 3) each, as in `apply_rolling_shutter`."""
    return tuple(
        dataclasses.replace(s, vertices_m=_at_rows(s.vertices_m, velocity, camera, readout_s))
        for s, velocity in zip(surfaces, velocities, strict=True)
    )


def _at_rows(points_m: Array, velocity: Array, camera: Camera, readout_s: float) -> Array:
    times = row_times_s(camera, points_m, velocity, readout_s).astype(points_m.dtype)
    return np.asarray(points_m + velocity * times[..., None])


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
