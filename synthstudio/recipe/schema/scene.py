"""Recipe fields of objects, cut-outs, backdrops, light and lens."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from synthstudio.core.camera import folds
from synthstudio.core.spec import Pattern
from synthstudio.recipe.schema.distributions import (
    Base,
    Count,
    Number,
    Weight,
    Within,
    bell,
    support,
    weighted,
)

Probability = Annotated[float, Field(strict=True, ge=0.0, le=1.0)]
Placement = Literal["in_front", "beside", "around", "near"]


def _relative(folder: str) -> str:
    """The folder; ValueError if outside the asset root."""
    parts = folder.split("/")
    if folder.startswith(("/", "~")) or "\\" in folder or re.match(r"[A-Za-z]:", folder):
        raise ValueError("a folder is given relative to the asset root, with / between names")
    if ".." in parts or "" in parts or "\0" in folder:
        raise ValueError("a folder stays below the asset root: no '..' and no empty names")
    return folder


Folder = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_relative)]
Weights = Annotated[dict[str, Weight], Field(max_length=100), AfterValidator(weighted)]
"""Names and how often each is drawn, relative to one another."""


class Standing(Base):
    """Number and placement of objects on the floor."""

    count: Annotated[Count, Within(0, 40)] = 1
    """Number per frame."""
    placement: Placement = "in_front"
    """in_front: between the camera and one of the people. beside: at their side. around:
    anywhere round the group. near: 35 to 70 cm before the camera, reaching in from an edge of the
    picture."""
    between: Annotated[Number, Within(0.05, 0.95)] = (0.15, 0.6)
    """For in_front: position from the person (0) to the camera (1)."""
    offset_m: Annotated[Number, Within(-20, 20)] = (-0.5, 0.5)
    """Sideways distance in metres from that line (in_front), from the person (beside: the sign is
    the side) or from the middle of the group (around)."""
    hides: Annotated[Number, Within(0, 1)] = (0.1, 0.7)
    """For in_front and near: the share of the person's joints that should lie behind the object (in
    front: its outer box); the nearest of the candidates is taken."""


class ProceduralObjects(Standing):
    """Objects that the package builds itself."""

    kind: Literal["procedural"] = "procedural"
    """Built-in objects."""
    kinds: Weights | None = None
    """Names of built-in kinds and their weights; null: all that suit the place, equally: the kind
    of room, streets or grass. All suit photos, panoramas and plain backdrops. For near: open_hand,
    pointing_hand, phone_in_hand, cup_in_hand, screwdriver_in_hand, spatula_in_hand."""


class MeshObjects(Standing):
    """User meshes: GLB, OBJ, PLY or STL."""

    kind: Literal["mesh"]
    """Meshes from a folder."""
    folder: Folder
    """Their folder, below the asset root."""
    scale: Annotated[Number, Within(0.01, 100)] = 1.0
    """Factor on the file's size, which is in metres. One entry of a recipe is of this kind."""


Objects = Annotated[ProceduralObjects | MeshObjects, Field(discriminator="kind")]


class Cutouts(Base):
    """2D pictures with an alpha channel, laid over the frame."""

    folder: Folder
    """Their folder, below the asset root."""
    count: Annotated[Count, Within(0, 20)] = 1
    """Number per frame."""
    size: Literal["real", "share"] = "real"
    """real: objects whose real size is known stand on the floor in that size, and others are not
    used (docs/photos.md). share: any picture, anywhere, by height_share, stands and depth_m."""
    height_share: Annotated[Number, Within(0.02, 1.5)] = (0.2, 0.6)
    """Of size share: height as a share of the frame's height."""
    max_scale: Annotated[float, Field(strict=True, gt=0, le=8)] = 1.5
    """Never drawn larger than this times its own pixels; of size real, one that would have to
    be is left out."""
    over_person: Probability = 0.7
    """How often it covers a joint of a person."""
    stands: Probability = 0.6
    """Of size share: how often its lower edge is in or below the frame's lower third."""
    depth_m: Annotated[Number, Within(0.3, 100)] | None = None
    """Of size share: distance to the camera; null: in front of everything."""
    gain: Annotated[Number, Within(0.1, 3)] = (0.8, 1.2)
    """Brightness, in linear light."""
    feather_px: Annotated[Number, Within(0, 10)] = (0.5, 1.5)
    """Softness of its edge."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("height_share", "stands", "depth_m"):
            if self.size == "real" and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name}: only with `size: share`; else objects have true size")
        return self


class Weather(Base):
    """Rain, snow, fog, and dirt or drops on the lens, over the whole frame. Each is an object of
    its own in the labels. Targets do not count it; the variant `clean` lacks it."""

    rain: Probability = 0.0
    """How often it rains. Rain, snow and fog occur only in rooms without walls whose sky is mostly
    covered, and before plain backdrops."""
    snow: Probability = 0.0
    """How often it snows where it does not rain."""
    fog: Probability = 0.0
    """How often there is fog. A joint is visible while fog transmits half of its light or more."""
    lens_dirt: Probability = 0.0
    """How often there are specks and smears on the lens."""
    lens_drops: Probability = 0.0
    """How often there are drops of water on the lens."""
    amount: Annotated[Number, Within(0, 1)] = (0.1, 0.7)
    """Their strength: 0 hardly any; 1 a cloudburst, dense snowfall, 12 m of visibility, 70 specks,
    40 drops."""

    def check(self, backdrops: Sequence[Backdrop]) -> None:
        """Raise ValueError for rain, snow or fog where no backdrop is in the open air."""
        outdoors = any(
            isinstance(b, Plain) or (isinstance(b, Room) and b.walls < 1) for b in backdrops
        )
        if self.rain + self.snow + self.fog > 0 and not outdoors:
            raise ValueError(
                "weather: rain, snow and fog need a plain backdrop, or a room with walls below 1"
            )


class Photo(Base):
    """A photo behind the people; the floor under them only catches their shadow."""

    kind: Literal["photo"]
    """Photos from a folder."""
    folder: Folder
    """Their folder, below the asset root."""
    ground: Literal["known", "any"] = "known"
    """known: only photos with camera pose in the sidecar, and people stand on their
    floor (docs/photos.md). any: all photos, with the recipe's camera."""
    mirrored: Probability = 0.0
    """How often a photo is mirrored. Mirrored text reveals it."""


class Hdri(Base):
    """A panorama as background and light source."""

    kind: Literal["hdri"]
    """Radiance panoramas from a folder."""
    folder: Folder
    """Their folder, below the asset root."""
    yaw_deg: Annotated[Number, Within(-180, 180)] = (-180, 180)
    """Its rotation."""
    gain: Annotated[Number, Within(0.05, 20)] = (0.8, 1.25)
    """Brightness, in linear light."""


class Room(Base):
    """A floor with walls or, without them, a wide open ground under a sky."""

    kind: Literal["room"]
    """A drawn floor and walls."""
    width_m: Annotated[Number, Within(2, 60)] = (5.0, 9.0)
    """Minimum width; the room grows until everything fits."""
    depth_m: Annotated[Number, Within(2, 60)] = (6.0, 11.0)
    """Minimum depth, along the view."""
    height_m: Annotated[Number, Within(2.2, 20)] = (2.8, 4.5)
    """Height of the walls."""
    walls: Probability = 0.8
    """How often there are walls."""
    floor_patterns: Annotated[dict[Pattern, Weight], AfterValidator(weighted)] = Field(
        default={"planks": 3, "tiles": 3, "concrete": 2, "grass": 1, "plain": 1}, min_length=1
    )
    """Floors and their weights. Grass lies only where there are no walls."""
    wall_patterns: Annotated[dict[Pattern, Weight], AfterValidator(weighted)] = Field(
        default={"plain": 5, "bricks": 1.5, "concrete": 1, "tiles": 1, "stripes": 0.5}, min_length=1
    )
    """Walls and their weights."""
    furnished: Probability = 0.0
    """How often it is furnished: with walls by the objects of a kitchen, an office, a sports hall
    or another kind of room, doors, windows and pictures; without walls by those of streets and
    parks. They never occlude people."""
    rooms: Weights | None = None
    """Kinds of furnished rooms and their weights: living_room, bedroom, kitchen, office, classroom,
    sports_hall, changing_room, shop, hallway, laundry_room, store, ward; null: all but wards,
    homes more often."""
    ceilings: Probability = 0.0
    """How often a room with walls has a ceiling; neither casts shadows."""
    skies: Probability = 0.0
    """How often an open sky has clouds, sun and horizon; else it is one colour."""


class Place(Base):
    """A mesh of a whole room, hall or street, in which people and camera stand."""

    kind: Literal["place"]
    """Places from a folder: GLB, OBJ, PLY or STL."""
    folder: Folder
    """Their folder, below the asset root."""
    skies: Probability = 0.8
    """How often clouds, sun and horizon are seen beyond it; else it is one colour."""


class Plain(Base):
    """A gradient of two colours."""

    kind: Literal["plain"] = "plain"
    """A plain studio backdrop."""
    brightness: Annotated[Number, Within(0, 1)] = (0.15, 0.75)
    """Linear grey level of its middle."""


Single = Annotated[Photo | Hdri | Room | Place | Plain, Field(discriminator="kind")]


class Share(Base):
    """One backdrop of a mix."""

    weight: Weight
    """How often, relative to the others."""
    backdrop: Single
    """A photo, hdri, room, place or plain backdrop."""


def _some_weight(choices: tuple[Share, ...]) -> tuple[Share, ...]:
    weighted(dict(enumerate(share.weight for share in choices)))
    kinds = [share.backdrop.kind for share in choices]
    if len(set(kinds)) < len(kinds):
        raise ValueError("each kind of backdrop once; give it the sum of the weights")
    return choices


class Mix(Base):
    """Several backdrops by weight."""

    kind: Literal["mix"]
    """Several kinds of backdrop."""
    choices: Annotated[
        tuple[Share, ...], Field(min_length=1, max_length=5), AfterValidator(_some_weight)
    ]
    """The backdrops and their weights."""


Backdrop = Annotated[Photo | Hdri | Room | Place | Plain | Mix, Field(discriminator="kind")]


class Light(Base):
    """One sun that casts shadows, and a sky. Exposure follows people as a camera meters them."""

    sun_elevation_deg: Annotated[Number, Within(3, 90)] = (20, 70)
    """Height of the sun above the horizon."""
    sun_azimuth_deg: Annotated[Number, Within(-180, 180)] = (-180, 180)
    """0: behind the camera; 90: from the right of the picture; 180: backlight."""
    sun_share: Annotated[Number, Within(0, 1)] = (0.35, 0.8)
    """The sun's fraction of the light: 0 overcast, 0.8 a clear noon."""
    warmth: Annotated[Number, Within(-1, 1)] = (-0.4, 0.7)
    """Colour of the sun: -1 blue, 0 white, 1 a low evening sun."""
    side: Annotated[Number, Within(0, 1)] = 0.0
    """Fraction of the sky's light from one side, as through a window or from the brighter half of a
    sky."""
    occlusion: Annotated[Number, Within(0, 1)] = 0.0
    """Ambient occlusion of the sky's light in corners, folds and gaps: 1 looks like a cloudy day, 0
    is fastest."""
    flash: Annotated[Number, Within(0, 1)] = 0.0
    """Fraction of the light on the middle of the group from a flash at the camera, with
    inverse-square falloff; sun and sky are that much darker: 0.3 fills shadows, 0.95 is night.
    Photos, panoramas and plain backdrops are not lit by it; with panoramas, nor are people."""
    brightness: Annotated[Number, Within(0.1, 4)] = (0.85, 1.2)
    """Factor on the metered exposure, between lit mid-grey and the people as mid-tones."""
    from_photo: bool = True
    """With a photo backdrop the photo sets exposure, colour and the sun's share, and its sidecar
    the sun's direction."""


class Distortion(Base):
    """Radial distortion as in OpenCV: radius r becomes r (1 + k1 r^2 + k2 r^4)."""

    k1: Annotated[Number, Within(-1, 1)] = 0.0
    """Below 0 barrel, as wide lenses have, above 0 pincushion. r is the distance from the
    picture's middle in focal lengths: 0.78 in the corners of a 4:3 picture of 50 degrees."""
    k2: Annotated[Number, Within(-1, 1)] = 0.0
    """Fourth-power term, visible in the corners."""

    def check(self, *, vertical_fov_deg: float, shape: float) -> None:
        """Raise ValueError if a drawn lens may fold a picture of that view, `shape` w / h."""
        worst = float(support(self.k1)[0]), float(support(self.k2)[0])
        radius = math.tan(math.radians(vertical_fov_deg) / 2) * math.hypot(1, shape)
        if folds(worst, radius):
            raise ValueError(
                f"lens.distortion: k1 {worst[0]:g} and k2 {worst[1]:g} fold a picture of "
                f"{vertical_fov_deg:g} degrees within its corners (outer parts would be "
                "seen twice); use values nearer to 0, k2 above 0 or a smaller "
                "camera.vertical_fov_deg"
            )


class Lens(Base):
    """Lens, sensor and encoder. Only `distortion` and `readout_s` change labels."""

    blur: Probability = 0.4
    """How often the picture is blurred."""
    blur_sigma_px: Annotated[Number, Within(0, 8)] = (0.3, 1.0)
    """Its standard deviation."""
    motion: Probability = 0.1
    """How often there is camera shake."""
    motion_px: Annotated[Number, Within(0, 30)] = (2, 6)
    """Length of the shake."""
    noise: Probability = 0.6
    """How often there is noise of uniform strength."""
    noise_sigma: Annotated[Number, Within(0, 40)] = (1, 6)
    """Its standard deviation in 8-bit grey levels."""
    exposure_ev: Annotated[Number, Within(-3, 3)] = bell(0, 0.25, -0.8, 0.8)
    """Exposure error in stops."""
    vignette: Annotated[Number, Within(0, 0.8)] = (0.0, 0.25)
    """Darkening of the corners."""
    jpeg_quality: Annotated[Count, Within(20, 100)] = (80, 95)
    """JPEG quality of the stored file."""
    white_balance_mired: Annotated[Number, Within(-200, 200)] = 0.0
    """Error of the white balance along the colours of black bodies, in 10^-6 / K: below 0 too
    blue, above 0 too warm; 60 is a room lit at 4,100 K taken for daylight."""
    tint_ev: Annotated[Number, Within(-0.5, 0.5)] = 0.0
    """Error of the white balance across it, in stops: below 0 too green, above 0 too magenta."""
    iso: Annotated[Number, Within(0, 51_200)] = 0.0
    """Sensor noise, which grows with the light, is coarser in red and blue and fills the shadows: 0
    none, 400 hardly visible, 6,400 a dim hall, 25,600 night."""
    contrast: Annotated[Number, Within(0, 1)] = 0.0
    """Slope of the camera's tone curve at mid-grey, less 1; black, mid-grey and white are fixed.
    Typical of cameras: 0.3 to 0.8."""
    sharpening: Annotated[Number, Within(0, 2)] = 0.0
    """Amount of the finished picture's unsharp mask of 0.8 px. Typical of cameras: 0.3 to 1."""
    defocus: Probability = 0.0
    """How often depth of field is rendered; the focus is on one of the
    people. Photos, panoramas and plain backdrops are infinitely far."""
    aperture_mm: Annotated[Number, Within(0, 150)] = (4, 30)
    """For defocus: diameter of the lens's opening. 4 a phone's, 9 a 50 mm lens's at f/5.6, 28
    at f/1.8, 70 a sports lens's."""
    focus_error: Annotated[Number, Within(-0.5, 1)] = 0.0
    """For defocus: how far behind (above 0) or before the middle of the person's joints the
    focus lies, as a share of their depth."""
    exposure_s: Annotated[Number, Within(0, 0.1)] = 0.0
    """Exposure time in seconds: moving people are blurred along their true motion,
    and labels are those of the middle. 0: an instant; 0.001 freezes a sprint, 0.0167 is a
    room's light."""
    readout_s: Annotated[Number, Within(0, 0.05)] = 0.0
    """Seconds from the top row's exposure to the bottom row's (rolling shutter): moving people and
    their labels are skewed. 0: all rows at once; 0.01 to 0.03 a phone."""
    distortion: Distortion | None = None
    """Lens distortion of picture and labels; null: none. Not applied with photo backdrops, which
    have their own."""
