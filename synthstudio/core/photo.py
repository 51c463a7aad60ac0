"""Real photos: their floor and light, and the specs and values of occlusion in them.

Pixels are continuous. Letters: J joints, H rows, W columns of a crop.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from synthstudio.core import spec
from synthstudio.core.arrays import F32, F64, Bool
from synthstudio.core.camera import Camera

Window = tuple[int, int, int, int]
"""Left, top, width and height in whole pixels."""
REACH_M = (1.0, 15.0)
"""Maximum distance of visible floor for a photo to be usable."""
_EVERYWHERE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
_GRID = 48


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A whole photo's camera and floor; places are normalised to the photo, 0..1.

    `floor` is a polygon; without one feet may stand anywhere on the visible floor plane.
    The sun's azimuth is relative to the camera: 0 behind it, 90 degrees from the right.
    """

    camera_height_m: float
    pitch_rad: float
    vertical_fov_rad: float
    roll_rad: float = 0.0
    floor: tuple[spec.Vec2, ...] = ()
    sun_elevation_rad: float | None = None
    sun_azimuth_rad: float | None = None

    def camera(self, size_px: tuple[int, int]) -> Camera:
        """The camera of the whole photo, over the world's origin, looking along +y."""
        width, height = size_px
        return Camera(
            width_px=width,
            height_px=height,
            focal_px=height / 2 / math.tan(self.vertical_fov_rad / 2),
            position_m=(0.0, 0.0, self.camera_height_m),
            yaw_rad=0.0,
            pitch_rad=self.pitch_rad,
            roll_rad=self.roll_rad,
        )

    @property
    def outline(self) -> F64:
        """The (K, 2) corners inside which feet may stand."""
        return np.array(self.floor or _EVERYWHERE)

    def holds(self, places: F64) -> Bool:
        """(N,) whether feet may stand at places (N, 2), by the even-odd rule."""
        if not self.floor:
            return np.ones(len(places), np.bool_)
        a, b = self.outline, np.roll(self.outline, -1, axis=0)
        x, y = places[:, :1], places[:, 1:]
        level = np.where(a[:, 1] == b[:, 1], 1.0, b[:, 1] - a[:, 1])
        crossed = a[:, 0] + (y - a[:, 1]) * (b[:, 0] - a[:, 0]) / level
        between = (a[:, 1] > y) != (b[:, 1] > y)
        return np.asarray((between & (x < crossed)).sum(axis=1) % 2 == 1)

    def within(self, unit: F64) -> F64:
        """Numbers (N, 2) of 0..1 stretched to the box round the outline."""
        low, high = self.outline.min(axis=0), self.outline.max(axis=0)
        return np.asarray(low + unit * (high - low))

    def grid(self) -> F64:
        """Places (N, 2) all over the box round the outline."""
        steps = (np.arange(_GRID) + 0.5) / _GRID
        return self.within(np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2))

    def floor_m(self, places: F64, size_px: tuple[int, int]) -> F64:
        """(N, 2) floor positions at places: metres right of the camera, ahead of it.

        NaN above the horizon and beside the outline.
        """
        found = self.camera(size_px).floor_m(places * np.array(size_px))
        found[~self.holds(places)] = np.nan
        return found

    def has_room(self, size_px: tuple[int, int]) -> bool:
        """Whether floor is visible within `REACH_M`."""
        away = np.linalg.norm(self.floor_m(self.grid(), size_px), axis=1)
        return bool(((away >= REACH_M[0]) & (away <= REACH_M[1])).any())


@dataclass(frozen=True, kw_only=True)
class PlaceLight:
    """The light at a person, estimated from a photo: linear RGB of 0..1."""

    white: float  # radiance of a white matte card
    tint: spec.Vec3  # colour of the light, luminance 1
    contrast: float  # 0 overcast, 1 hard sun
    grey: spec.GreySpec


@dataclass(frozen=True, kw_only=True)
class PasteSpec:
    """One object laid over a photo: exactly one of `cutout`, `object` and `person` is set.

    `camera` sees a floor z = 0 under the person `over`; objects and people
    stand on it. `light` lights them; of a cut-out `gain_rgb` multiplies the linear colours.
    """

    instance: int
    over: int
    camera: Camera
    light: spec.LightSpec
    gain_rgb: spec.Vec3 = (1.0, 1.0, 1.0)
    surroundings: spec.GreySpec | None = None  # of the photo there; None: colours unchanged
    grounded: bool = True  # it stands on the picture's floor and casts a shadow
    blur_sigma_px: float = 0.0  # out of focus: more than the photo's own blur
    behind: tuple[int, ...] = ()  # nearer people of the photo: their masks cut it
    cutout: spec.CutoutSpec | None = None
    object: spec.ObjectSpec | None = None
    person: spec.PersonSpec | None = None


@dataclass(frozen=True, kw_only=True)
class ToneSpec:
    """The photo's haze and colour, applied to pastes."""

    black: float = 0.0  # linear light of the photo's deepest shadows
    saturation: float = 1.0  # 0 in a black and white photo
    chroma: float | None = None
    """0.95 quantile of the photo's chroma, in 8-bit levels between channels: the limit
    for pastes; None: no limit."""


@dataclass(frozen=True, kw_only=True)
class PhotoSpec:
    """The spec of an occluded photo: with assets and annotations it decides the bytes.

    `photo` is named below the folder of photos. `people` of it are annotated: instances 1 to
    `people`; pasted people follow them, pasted objects have 1,000 and up. `pastes` come nearest
    first; in front of all people of the photo but those in `behind`. Blur and noise of `lens` apply
    to pastes only, to match the photo. Of the photo, `width_px` x `height_px`, the frame shows
    `crop`: left, top, width, height; None: all.
    """

    seed: int
    index: int
    photo: spec.AssetRef
    width_px: int
    height_px: int
    people: int
    pastes: tuple[PasteSpec, ...] = ()
    tone: ToneSpec = ToneSpec()
    lens: spec.LensSpec
    skeleton: str
    supersample: int = 3
    split: spec.Split
    group_id: str
    variant: str
    differs: tuple[str, ...] = ()
    crop: Window | None = None
    targets: tuple[spec.OcclusionTarget, ...] = ()  # one a person of the photo
    kind: Literal["photo"] = "photo"


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoPerson:
    """An annotated person as input of a draw. The crop is at (`left_px`, `top_px`)."""

    instance: int
    box_px: tuple[float, float, float, float]
    joints_px: F64  # (J, 2) NaN where unlabelled
    seen: Bool  # (J,) labelled visible
    radius_px: F64  # (J,) of the joints' patches
    mask: Bool  # (H, W) of the crop; the whole box without an annotated mask
    has_mask: bool
    left_px: int
    top_px: int
    px_per_m: float  # scale at the person
    foot_px: float  # the row of its feet, also below the picture
    feet_seen: bool  # legs not known to be occluded
    light: PlaceLight
    upright: bool = False  # known to stand


@dataclass(frozen=True, kw_only=True, eq=False)
class GroundCells:
    """Square cells of a photo classified as ground."""

    ground: Bool  # (H, W) of cells
    cell_px: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Outline:
    """A cut-out trimmed to its alpha, at a low resolution."""

    alpha: F32  # (h, w) 0..1
    width_px: int
    height_px: int


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoView:
    """A photo as input of a draw."""

    photo: spec.AssetRef
    width_px: int
    height_px: int
    joints: tuple[str, ...]
    people: tuple[PhotoPerson, ...]
    first_object: int  # the first free instance id for objects
    focal_px: float
    horizon_px: float
    blur_sigma_px: float
    noise_sigma: float
    tone: ToneSpec
    outline: Callable[[spec.AssetRef], Outline]  # of a cut-out picture
    ground: GroundCells | None = None  # None: no visible feet
