"""Values shared by body, props, render and label: geometry in world metres, frozen.

Letters: V vertices, F faces, J joints, N points a joint, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.camera import Camera
from synthstudio.core.skeleton_value import both
from synthstudio.core.spec import Material, Vec3

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Float = TypeVar("Float", NDArray[np.float32], NDArray[np.float64])
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
Bool = NDArray[np.bool_]
Painter = Callable[[Bool], U8]
"""Paints the pixels of a mask (H, W); returns (H, W, 3) sRGB, anything outside the mask."""

PARTS = (
    "head",
    "scalp",
    "neck",
    "torso",
    "pelvis",
    *both("upper_arm", "forearm", "hand", "thigh", "shin", "foot"),
)
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

    def alpha_before(self, alpha: Float, depth_m: Float) -> Float:
        """`alpha` before surfaces at these depths: of fog 1 less its transmittance.

        Transmittance is exp(-extinction x depth) (Bouguer's law), constant beyond FOG_END_M.
        """
        if self.per_m == 0:
            return alpha
        return 1 - np.exp(-self.per_m * alpha * np.minimum(depth_m, FOG_END_M))


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
