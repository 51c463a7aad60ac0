"""Values of occlusion in real photos: specs, and the input of a draw.

Pixels are continuous. Letters: J joints, H rows, W columns of a crop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from synthstudio.core import spec
from synthstudio.core.arrays import F32, F64, Bool
from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import PlaceLight

Window = tuple[int, int, int, int]
"""Left, top, width and height in whole pixels."""


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
