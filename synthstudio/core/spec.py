"""FrameSpec: one draw of a recipe with every choice made, and its JSON."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from synthstudio.core.camera import Camera
from synthstudio.core.errors import RecipeError

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

Vec2 = tuple[float, float]
Vec3 = tuple[float, float, float]

MaterialKind = Literal["matte", "cloth", "skin", "eye", "hair", "texture"]
Pattern = Literal[
    "plain",
    "stripes",
    "checks",
    "dots",
    "plaid",
    "camouflage",
    "denim",
    "knit",
    "wood",
    "bricks",
    "tiles",
    "concrete",
    "grass",
    "planks",
    "floral",
    "abstract",
    "logo",
]
WeatherKind = Literal["rain", "snow", "fog", "lens_dirt", "lens_drops"]
Split = Literal["train", "val", "test"]
Detail = Literal["fine", "coarse"]
PERSON_BASE = 1
OBJECT_BASE = 1000
"""Instance ids: 0 nothing, people from 1, objects from 1,000 (the drawn floor is 1,000)."""


class FrozenDict(dict[str, float]):
    """An immutable, hashable dict of numbers, so that specs can be cache keys."""

    __slots__ = ("_hash",)
    _hash: int

    def __hash__(self) -> int:  # type: ignore[override]
        try:
            return self._hash
        except AttributeError:
            self._hash = hash(frozenset(self.items()))
            return self._hash

    def __reduce__(self) -> tuple[type, tuple[dict[str, float]]]:
        """Pickle without the hash: string hashes differ between processes."""
        return FrozenDict, (dict(self),)


class _Hashable:
    """A frozen spec whose dicts become FrozenDicts."""

    def __post_init__(self) -> None:
        for name, value in list(vars(self).items()):
            if isinstance(value, dict):
                object.__setattr__(self, name, FrozenDict(value))


@dataclass(frozen=True, kw_only=True)
class Material:
    """How a surface reflects. Colours are linear RGB albedo in 0..1; coords are defined in
    docs/conventions.md (cloth and matte: rest metres, patterns read x across and z along)."""

    kind: MaterialKind = "matte"
    base_rgb: Vec3 = (0.5, 0.5, 0.5)
    second_rgb: Vec3 = (0.5, 0.5, 0.5)
    pattern: Pattern = "plain"
    scale_m: float = 0.1
    angle_rad: float = 0.0
    roughness: float = 0.7
    specular: float = 0.04
    sheen: float = 0.0
    bump: float = 0.0  # with a texture: above 0 its lower half is a normal map
    wrinkles: float = 0.0  # of worn cloth; of skin: blotches
    more_rgb: tuple[Vec3, ...] = ()  # up to three colours more, of prints
    texture: int = -1  # index in Scene.textures, for kinds "texture" and "skin"


@dataclass(frozen=True, kw_only=True)
class AssetRef:
    """A user's file, identified by its content: `name` is its path below the asset root."""

    sha256: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Phenotype:
    """Anny's shape axes, each 0..1 (gender 0 male, 1 female; age 2/3 young adult, 1 old)."""

    gender: float
    age: float
    muscle: float
    weight: float
    height: float
    proportions: float


@dataclass(frozen=True, kw_only=True)
class BoneTurn:
    """One bone's local rotation from a motion, in Anny's `local-ref` parameterisation.

    The vector's direction is the axis, its length the angle in radians.
    """

    bone: str
    turn_rad: Vec3


@dataclass(frozen=True, kw_only=True)
class PoseSpec(_Hashable):
    """A pose in anatomical angles, radians: see body/poses.py for names, axes and signs.

    A bone named in `turns` has that rotation instead of the angles'. `face` weights
    face units, 0 to 1 (body/face.py); none: neutral face.
    """

    name: str
    family: str
    angles_rad: dict[str, float]
    turns: tuple[BoneTurn, ...] = ()
    face: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GarmentSpec(_Hashable):
    """One garment, hair style or hat: `kind` is a key of body.wardrobe.GARMENTS."""

    kind: str
    shape: dict[str, float]
    material: Material
    second_material: Material | None = None  # soles, collars


@dataclass(frozen=True, kw_only=True)
class Look:
    """Skin, hair and eyes of a person; linear RGB."""

    skin_rgb: Vec3
    hair_rgb: Vec3
    iris_rgb: Vec3
    stubble: float = 0.0
    freckles: float = 0.0
    blotches: float = 0.0
    brows: float = 0.0  # -1 fairer, 1 darker and thicker than usual
    lips: float = 0.0  # -1 paler, 1 redder than usual


@dataclass(frozen=True, kw_only=True)
class PersonSpec:
    """One person. `position_m`: the root's origin after the pose is dropped to the floor.

    `detail`: mesh resolution of clothes and hair, by the person's height in
    pixels. Body, joints and the parts that clothes cover do not depend on it.
    """

    identity: str  # shape and face, for hold-outs: equal identities have equal bodies
    phenotype: Phenotype
    look: Look
    pose: PoseSpec
    outfit: tuple[GarmentSpec, ...]
    position_m: Vec3 = (0.0, 0.0, 0.0)
    yaw_rad: float = 0.0  # 0 faces world -y (towards a camera at yaw 0 in front); + turns left
    detail: Detail = "fine"
    years: float | None = None  # the age if set by the recipe; clothes are then scaled to the body


@dataclass(frozen=True, kw_only=True)
class ObjectSpec(_Hashable):
    """A 3D object: `kind` is a key of props.objects.kinds.KINDS, or "mesh" with an `asset`.

    It is built with its base centre at the origin and z up, scaled, turned about that origin by
    Rz(yaw) Rx(pitch) Ry(roll), and put at `position_m`. A blanket over somebody and a fastened
    seat belt are height fields.
    """

    kind: str
    role: Literal["occluder", "scenery", "seat", "support", "held"] = "occluder"
    size_m: Vec3 = (1.0, 1.0, 1.0)
    shape: dict[str, float] = field(default_factory=dict)
    materials: tuple[Material, ...] = ()
    asset: AssetRef | None = None
    position_m: Vec3 = (0.0, 0.0, 0.0)
    yaw_rad: float = 0.0
    pitch_rad: float = 0.0
    roll_rad: float = 0.0
    held_by: int | None = None  # index into FrameSpec.people
    heights_m: tuple[tuple[float, ...], ...] = ()
    """Rows from its foot (-y) up, each from -x to x, over its base."""


@dataclass(frozen=True, kw_only=True)
class CutoutSpec:
    """A 2D RGBA picture laid over the frame. `depth_m` None: in front of everything."""

    asset: AssetRef
    kind: str  # category, for hold-outs and statistics
    top_left_px: Vec2
    size_px: tuple[int, int]  # width, height after scaling
    mirrored: bool = False
    gain: float = 1.0  # brightness in linear light
    feather_px: float = 1.0
    depth_m: float | None = None
    stands: bool = False  # upright on the floor at `depth_m`, with a shadow there


@dataclass(frozen=True, kw_only=True)
class WeatherSpec:
    """Rain, snow or fog, or dirt or drops on the lens; `amount` from 0, hardly any, to 1."""

    kind: WeatherKind
    amount: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class PhotoBackdrop:
    """A photo, cropped to `crop_px` (x0, y0, x1, y1 of the upright photo), scaled to the frame."""

    asset: AssetRef
    crop_px: tuple[float, float, float, float]
    mirrored: bool = False
    kind: Literal["photo"] = "photo"


@dataclass(frozen=True, kw_only=True)
class HdriBackdrop:
    """A panorama as background; it also lights the scene. `yaw_rad` turns it about z."""

    asset: AssetRef
    yaw_rad: float = 0.0
    gain: float = 1.0
    kind: Literal["hdri"] = "hdri"


@dataclass(frozen=True, kw_only=True)
class SkySpec:
    """An open sky, linear RGB; the sun is at the light's direction.

    A gradient from horizon to zenith, steeper with `rise`. Clouds cover the fraction
    `cover`, with edges as `soft`, in patterns that repeat after `scale` heights of their layer,
    `stretch` times narrower across `turn_rad`; `seed` draws them. `glow`: brightness of the sun and
    its halo are.
    """

    zenith_rgb: Vec3
    horizon_rgb: Vec3
    rise: float
    sun_rgb: Vec3
    glow: float
    cloud_rgb: Vec3
    shade_rgb: Vec3
    cover: float
    soft: float
    scale: float
    stretch: float
    turn_rad: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class RoomBackdrop:
    """A floor, with `walls` also walls, and a ceiling or sky; drawn geometry with ids from 1,000.

    Over it is a `sky`, or the one colour `sky_rgb`.
    """

    size_m: Vec3
    centre_m: Vec2
    floor: Material
    wall: Material
    walls: bool = True
    sky_rgb: Vec3 = (0.55, 0.68, 0.85)
    ceiling: Material | None = None  # None: the open sky
    sky: SkySpec | None = None
    kind: Literal["room"] = "room"


@dataclass(frozen=True, kw_only=True)
class PlaceBackdrop:
    """A mesh of a whole place, turned about z, its base's centre at `position_m`.

    Its floor is the world's and has id 1,000, all else of it 1,001. Beyond it is a `sky`, or the
    one colour `sky_rgb`.
    """

    asset: AssetRef
    position_m: Vec3 = (0.0, 0.0, 0.0)
    yaw_rad: float = 0.0
    sky_rgb: Vec3 = (0.55, 0.68, 0.85)
    sky: SkySpec | None = None
    kind: Literal["place"] = "place"


@dataclass(frozen=True, kw_only=True)
class PlainBackdrop:
    """A vertical gradient, linear RGB; the floor catches shadows."""

    top_rgb: Vec3
    bottom_rgb: Vec3
    kind: Literal["plain"] = "plain"


Backdrop = PhotoBackdrop | HdriBackdrop | RoomBackdrop | PlaceBackdrop | PlainBackdrop


@dataclass(frozen=True, kw_only=True)
class LightSpec:
    """A sun and a sky. With an HDRI backdrop the ambient comes from the panorama instead.

    `sun_direction` points towards the sun (unit, z up). Radiometry: a white matte surface
    facing the sun reflects `sun_rgb`; one facing up under the sky alone reflects `sky_rgb`, one
    facing `side_direction` (unit) `side_rgb` more, as from a window or the brighter half of a
    sky. `occlusion`: fraction of ambient light lost in corners and folds, 0 to 1. `flash_rgb`:
    reflection of a flash at the camera from a white matte surface at 1 m that faces the
    camera; at d metres 1 / d^2 of it.
    """

    sun_direction: Vec3
    sun_rgb: Vec3
    sky_rgb: Vec3
    ground_rgb: Vec3
    exposure: float = 1.0
    side_direction: Vec3 = (0.0, 0.0, 1.0)
    side_rgb: Vec3 = (0.0, 0.0, 0.0)
    occlusion: float = 0.0
    flash_rgb: Vec3 = (0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class LensSpec:
    """Effects of lens, sensor and encoder. `readout_s` and camera `distortion` move labels."""

    blur_sigma_px: float = 0.0
    motion_px: float = 0.0
    motion_angle_rad: float = 0.0
    noise_sigma: float = 0.0  # standard deviation in 8-bit levels
    noise_seed: int = 0
    exposure_ev: float = 0.0
    vignette: float = 0.0
    jpeg_quality: int = 92
    white_balance_mired: float = 0.0  # error, in 10^-6 / K: above 0 too warm
    tint_ev: float = 0.0  # missing green in stops: above 0 too magenta
    iso: float = 0.0  # of the sensor, whose noise grows with light; 0: none
    contrast: float = 0.0  # slope of the tone curve at mid-grey, less 1
    sharpening: float = 0.0  # amount of an unsharp mask of 0.8 px
    aperture_m: float = 0.0  # diameter of the lens's opening; 0: everything is in focus
    focus_on: int = 0  # index into FrameSpec.people
    focus_error: float = 0.0  # fraction of that person's depth: above 0 behind them
    exposure_s: float = 0.0  # motion blur of moving people
    readout_s: float = 0.0  # from the top row to the bottom one


@dataclass(frozen=True, kw_only=True)
class GreySpec:
    """Grey levels (sRGB, 0 to 255) of a part of a photo."""

    mean: float
    spread: float  # standard deviation


@dataclass(frozen=True, kw_only=True)
class OcclusionTarget(_Hashable):
    """The occlusion targets of one person; None or empty without a target.

    `hidden` and `shown` name joints, or groups of them joined by "+".
    `causes`: requested fraction of the person's joints with that cause. `met`: whether the search
    came within the recipe's tolerance; labels hold the result.
    """

    occluded_fraction: float | None = None
    hidden: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    causes: dict[str, float] = field(default_factory=dict)
    met: bool = True


@dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """A frame's position in a clip: a moving moment seen by one camera."""

    clip_id: str
    frame: int  # from 0
    frames: int  # of the whole clip
    time_s: float  # from the clip's first frame
    motions: tuple[str, ...]  # name of each person's motion


@dataclass(frozen=True, kw_only=True)
class MovingSpec:
    """A person's state `after_s` (below 0: before) the frame's capture time."""

    person: int  # index into FrameSpec.people
    after_s: float
    pose: PoseSpec
    position_m: Vec3
    yaw_rad: float


@dataclass(frozen=True, kw_only=True)
class FrameSpec:
    """The spec of a frame: with the assets it names by hash it decides the bytes.

    Frames of a group share all fields but those in `differs`. Person i of a clip is the same person
    in all of its frames: track ids are instance ids.
    """

    seed: int
    index: int
    camera: Camera
    people: tuple[PersonSpec, ...]
    objects: tuple[ObjectSpec, ...] = ()
    cutouts: tuple[CutoutSpec, ...] = ()
    weather: tuple[WeatherSpec, ...] = ()
    backdrop: Backdrop
    light: LightSpec
    lens: LensSpec
    skeleton: str = "coco23"
    supersample: int = 2
    split: Split = "train"
    group_id: str = ""
    variant: str = "base"  # base, clean, occluder, appearance, light or view
    differs: tuple[str, ...] = ()  # fields that a variant does not share with its group's base
    camera_id: int = 0  # which camera of the group's rig
    clip: ClipSpec | None = None
    targets: tuple[OcclusionTarget, ...] = ()  # one per person; empty without targets
    crowd_target: float | None = None
    shadow_box_m: tuple[Vec3, Vec3] | None = None  # of a group's shadow maps
    moving: tuple[MovingSpec, ...] = ()
    attempt: int = 0  # redraws because no person was visible


Spec = TypeVar("Spec")
_OTHER_KIND = ("literal_error", ("kind",))


def to_json(spec: Any) -> str:
    """Write a spec as canonical JSON: sorted keys, no blanks, floats that read back equal."""
    return json.dumps(spec, default=_named, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _named(spec: Any) -> dict[str, Any]:
    """A spec's fields: unlike dataclasses.asdict, without deep copies."""
    return {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}


def from_json(text: str) -> FrameSpec:
    """The FrameSpec of a `to_json` text; RecipeError if invalid."""
    return read_as(FrameSpec, text)


def read_as(kind: type[Spec], text: str) -> Spec:
    """The spec of that class from a `to_json` text; RecipeError if invalid."""
    from pydantic import ValidationError

    try:
        spec: Spec = _reader(cast(Any, kind)).validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        found = _clearest(error.errors(include_url=False))
        raise RecipeError(
            f"not a stored frame spec: {found['msg']}",
            where=".".join(map(str, ("spec", *found["loc"]))),
            got=repr(found["input"])[:80],
        ) from error
    return spec


@functools.cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _clearest(errors: Sequence[ErrorDetails]) -> ErrorDetails:
    """The first error, preferably one of the spec's kind of backdrop."""
    others = {e["loc"][:-1] for e in errors if (e["type"], e["loc"][-1:]) == _OTHER_KIND}
    own = [e for e in errors if not any(e["loc"][: len(at)] == at for at in others)]
    return (own or errors)[0]
