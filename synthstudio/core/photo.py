"""What passes between the parts that hide people in real photos: specs, and what a draw sees.

Pixels are continuous. Letters: J joints, H rows, W columns of a crop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from synthstudio.core import spec
from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import PlaceLight
from synthstudio.core.scene import F32, F64, Bool


@dataclass(frozen=True, kw_only=True)
class PasteSpec:
    """One object laid over a photo: just one of `cutout`, `object` and `person` is set.

    `camera` sees a floor z = 0 on which the person `over` seems to stand; objects and people
    stand on it. `light` lights them; of a cut-out `gain_rgb` multiplies the linear colours.
    """

    instance: int
    over: int
    camera: Camera
    light: spec.LightSpec
    gain_rgb: spec.Vec3 = (1.0, 1.0, 1.0)
    about: spec.GreySpec | None = None  # of the photo there; None: the colours stay as they are
    grounded: bool = True  # its foot is in the picture's floor: it throws a shadow there
    behind: tuple[int, ...] = ()  # people of the photo who are nearer: their masks cut it
    cutout: spec.CutoutSpec | None = None
    object: spec.ObjectSpec | None = None
    person: spec.PersonSpec | None = None


@dataclass(frozen=True, kw_only=True)
class ToneSpec:
    """What the photo's own haze and colour do to what is pasted."""

    black: float = 0.0  # linear light of the photo's deepest shadows
    saturation: float = 1.0  # 0 in a black and white photo
    chroma: float | None = None
    """Of the photo's most colourful twentieth, in 8-bit levels between channels: nothing that is
    pasted is more colourful; None: no matter."""


@dataclass(frozen=True, kw_only=True)
class PhotoSpec:
    """Everything that decides an occluded photo's bytes, with the assets and the annotations.

    `photo` is named below the folder of photos. `people` of it are annotated: instances 1 to
    `people`; pasted people follow them, pasted objects have 1,000 and up. `pastes` come nearest
    first; they are before all people of the photo but those in `behind`. Of `lens` blur and noise
    fall on what is pasted alone, to match the photo's own.
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
    asks: tuple[spec.OcclusionTarget, ...] = ()  # one a person of the photo
    kind: Literal["photo"] = "photo"


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoPerson:
    """An annotated person as a draw sees it. The crop lies at (`left_px`, `top_px`)."""

    instance: int
    box_px: tuple[float, float, float, float]
    joints_px: F64  # (J, 2) NaN where unlabelled
    seen: Bool  # (J,) labelled visible
    radius_px: F64  # (J,) of the joints' patches
    mask: Bool  # (H, W) of the crop; the whole box where nobody drew a mask
    has_mask: bool
    left_px: int
    top_px: int
    px_per_m: float  # how large a metre is where the person stands
    foot_px: float  # the row of its feet, also below the picture
    feet_seen: bool  # no table or wall stands before its legs, as far as is known
    light: PlaceLight
    upright: bool = False  # stands, as far as is known


@dataclass(frozen=True, kw_only=True, eq=False)
class GroundCells:
    """Which square cells of a photo look like the ground that its people stand on."""

    ground: Bool  # (H, W) of cells
    cell_px: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Outline:
    """A cut-out picture trimmed to what it shows, at a low resolution."""

    alpha: F32  # (h, w) 0..1
    width_px: int
    height_px: int


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoView:
    """A photo as a draw sees it."""

    photo: spec.AssetRef
    width_px: int
    height_px: int
    joints: tuple[str, ...]
    people: tuple[PhotoPerson, ...]
    first_object: int  # the first instance id that no object of the annotations has
    focal_px: float
    horizon_px: float
    blur_sigma_px: float
    noise_sigma: float
    tone: ToneSpec
    outline: Callable[[spec.AssetRef], Outline]  # of a cut-out picture
    ground: GroundCells | None = None  # None: nobody's feet tell
