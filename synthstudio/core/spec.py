"""FrameSpec: one draw of a recipe. Every choice is made; replaying it makes the frame again."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin

from synthstudio.core.camera import Camera
from synthstudio.core.errors import RecipeError, explain

Vec2 = tuple[float, float]
Vec3 = tuple[float, float, float]

MaterialKind = Literal["matte", "cloth", "skin", "eye", "hair", "texture"]
Pattern = Literal[
    "plain", "stripes", "checks", "dots", "plaid", "camouflage", "denim",
    "knit", "wood", "bricks", "tiles", "concrete", "grass", "planks",
]  # fmt: skip
Split = Literal["train", "val", "test"]
Detail = Literal["fine", "coarse"]
PERSON_BASE = 1
THING_BASE = 1000
"""Instance ids: 0 nothing, people from 1, things from 1,000 (the drawn floor is 1,000)."""


class Numbers(dict[str, float]):
    """A dict of numbers that nobody changes, so that specs can be keys of caches."""

    __slots__ = ("_hash",)
    _hash: int

    def __hash__(self) -> int:  # type: ignore[override]
        """Return a hash that does not depend on the order of the keys; reckoned once."""
        try:
            return self._hash
        except AttributeError:
            self._hash = hash(frozenset(self.items()))
            return self._hash

    def __reduce__(self) -> tuple[type, tuple[dict[str, float]]]:
        """Pickle the numbers alone: in another process strings have other hashes."""
        return Numbers, (dict(self),)


def _hashable(spec: Any, name: str) -> None:
    """Make a frozen spec's dict field a Numbers."""
    object.__setattr__(spec, name, Numbers(getattr(spec, name)))


@dataclass(frozen=True, kw_only=True)
class Material:
    """How a surface reflects. Colours are linear RGB albedo in 0..1; what coords mean is in
    docs/conventions.md (cloth and matte: rest metres, patterns read x across and z along).
    """

    kind: MaterialKind = "matte"
    base_rgb: Vec3 = (0.5, 0.5, 0.5)
    second_rgb: Vec3 = (0.5, 0.5, 0.5)
    pattern: Pattern = "plain"
    scale_m: float = 0.1
    angle_rad: float = 0.0
    roughness: float = 0.7
    specular: float = 0.04
    sheen: float = 0.0
    bump: float = 0.0
    texture: int = -1  # place in Scene.textures, for kind "texture"


@dataclass(frozen=True, kw_only=True)
class AssetRef:
    """A file from outside, known by its content: `name` is its path below the asset root."""

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
class PoseSpec:
    """A pose in anatomical angles, radians: see body/poses.py for names, axes and signs."""

    name: str
    family: str
    angles_rad: dict[str, float]

    def __post_init__(self) -> None:
        """Make the spec hashable."""
        _hashable(self, "angles_rad")


@dataclass(frozen=True, kw_only=True)
class GarmentSpec:
    """One garment, hair style or hat: `kind` is a key of body.wardrobe.GARMENTS."""

    kind: str
    shape: dict[str, float]
    material: Material
    second_material: Material | None = None  # soles, collars

    def __post_init__(self) -> None:
        """Make the spec hashable."""
        _hashable(self, "shape")


@dataclass(frozen=True, kw_only=True)
class Look:
    """Skin, hair and eyes of a person; linear RGB."""

    skin_rgb: Vec3
    hair_rgb: Vec3
    iris_rgb: Vec3
    stubble: float = 0.0
    freckles: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PersonSpec:
    """One person. `position_m` is where the root's origin goes after the pose is dropped.

    `detail`: how finely clothes and hair are cut; decided by how many pixels high the person
    stands in the picture. Body, joints and what clothes cover do not depend on it.
    """

    identity: str  # the shape and face, for hold-outs: the same identity is the same body
    phenotype: Phenotype
    look: Look
    pose: PoseSpec
    outfit: tuple[GarmentSpec, ...]
    position_m: Vec3 = (0.0, 0.0, 0.0)
    yaw_rad: float = 0.0  # 0 faces world -y (towards a camera at yaw 0 in front); + turns left
    detail: Detail = "fine"


@dataclass(frozen=True, kw_only=True)
class ThingSpec:
    """A 3D object: `kind` is a key of props.procedural.KINDS, or "mesh" with an `asset`.

    It is built with its base centre at the origin and z up, scaled, turned, put at `position_m`.
    """

    kind: str
    role: Literal["occluder", "scenery", "seat", "held"] = "occluder"
    size_m: Vec3 = (1.0, 1.0, 1.0)
    shape: dict[str, float] = field(default_factory=dict)
    materials: tuple[Material, ...] = ()
    asset: AssetRef | None = None
    position_m: Vec3 = (0.0, 0.0, 0.0)
    yaw_rad: float = 0.0
    held_by: int | None = None  # index into FrameSpec.people

    def __post_init__(self) -> None:
        """Make the spec hashable."""
        _hashable(self, "shape")


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
class RoomBackdrop:
    """A floor, and walls when `walls`; drawn geometry with instance ids from 1,000."""

    size_m: Vec3
    centre_m: Vec2
    floor: Material
    wall: Material
    walls: bool = True
    sky_rgb: Vec3 = (0.55, 0.68, 0.85)
    kind: Literal["room"] = "room"


@dataclass(frozen=True, kw_only=True)
class PlainBackdrop:
    """A vertical gradient, linear RGB; the floor catches shadows."""

    top_rgb: Vec3
    bottom_rgb: Vec3
    kind: Literal["plain"] = "plain"


Backdrop = PhotoBackdrop | HdriBackdrop | RoomBackdrop | PlainBackdrop


@dataclass(frozen=True, kw_only=True)
class LightSpec:
    """A sun and a sky. With an HDRI backdrop the ambient comes from the panorama instead.

    `sun_direction` points towards the sun (unit, z up). Radiometry: a white matte surface
    facing the sun reflects `sun_rgb`; one facing up under the sky alone reflects `sky_rgb`.
    """

    sun_direction: Vec3
    sun_rgb: Vec3
    sky_rgb: Vec3
    ground_rgb: Vec3
    exposure: float = 1.0


@dataclass(frozen=True, kw_only=True)
class LensSpec:
    """What the lens, sensor and encoder do; nothing here moves a pixel or changes a label."""

    blur_sigma_px: float = 0.0
    motion_px: float = 0.0
    motion_angle_rad: float = 0.0
    noise_sigma: float = 0.0  # standard deviation in 8-bit levels
    noise_seed: int = 0
    exposure_ev: float = 0.0
    vignette: float = 0.0
    jpeg_quality: int = 92


@dataclass(frozen=True, kw_only=True)
class FrameSpec:
    """Everything that decides one frame's bytes (with the assets it names by content)."""

    seed: int
    index: int
    camera: Camera
    people: tuple[PersonSpec, ...]
    things: tuple[ThingSpec, ...] = ()
    cutouts: tuple[CutoutSpec, ...] = ()
    backdrop: Backdrop
    light: LightSpec
    lens: LensSpec
    skeleton: str = "coco23"
    supersample: int = 2
    split: Split = "train"
    group_id: str = ""
    variant: str = "base"


def to_json(spec: Any) -> str:
    """Write a spec as canonical JSON: sorted keys, no blanks, floats that read back equal."""
    return json.dumps(spec, default=_named, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _named(spec: Any) -> dict[str, Any]:
    """Return a spec's own fields: unlike dataclasses.asdict, without copying what they hold."""
    return {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}


def from_json(text: str) -> FrameSpec:
    """Read what `to_json` wrote of a FrameSpec; RecipeError for anything else."""
    try:
        return typing.cast(FrameSpec, _build(FrameSpec, json.loads(text), "spec"))
    except (ValueError, RecursionError) as error:
        raise RecipeError(explain(f"not a stored frame spec: {error}", where="spec")) from error


def _build(kind: Any, value: Any, path: str) -> Any:
    """Build a value of the annotated type `kind` from what JSON held."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _build_union(kind, value, path)
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, path)
    if origin is tuple:
        return _build_tuple(kind, value, path)
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong(path, "an object", value)
        return {str(k): _build(get_args(kind)[1], v, f"{path}.{k}") for k, v in value.items()}
    if origin is Literal:
        if value not in get_args(kind):
            raise _wrong(path, f"one of {', '.join(map(str, get_args(kind)))}", value)
        return value
    return _build_scalar(kind, value, path)


def _build_union(kind: Any, value: Any, path: str) -> Any:
    options = [option for option in get_args(kind) if option is not type(None)]
    if value is None:
        if len(options) == len(get_args(kind)):
            raise _wrong(path, "a value", value)
        return None
    if len(options) == 1:
        return _build(options[0], value, path)
    for option in options:  # unions of dataclasses are told apart by their field `kind`
        if isinstance(value, dict) and value.get("kind") == _default_kind(option):
            return _build(option, value, path)
    raise _wrong(path, "a known kind", value)


def _default_kind(option: Any) -> Any:
    return next(f.default for f in dataclasses.fields(option) if f.name == "kind")


def _build_dataclass(kind: Any, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(path, "an object", value)
    hints = _hints(kind)
    unknown = sorted(set(value) - set(hints))
    if unknown:
        raise _wrong(path, f"fields of {kind.__name__}", unknown)
    try:
        return kind(**{k: _build(hints[k], v, f"{path}.{k}") for k, v in value.items()})
    except TypeError as error:
        raise RecipeError(explain(str(error), where=path)) from error


def _build_tuple(kind: Any, value: Any, path: str) -> Any:
    inner = get_args(kind)
    if not isinstance(value, list) or (inner[-1] is not Ellipsis and len(value) != len(inner)):
        raise _wrong(path, f"a list of {len(inner)}", value)
    types_ = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
    return tuple(
        _build(t, v, f"{path}[{i}]") for i, (t, v) in enumerate(zip(types_, value, strict=True))
    )


def _build_scalar(kind: Any, value: Any, path: str) -> Any:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is bool or not isinstance(value, bool):
        if isinstance(value, kind):
            return value
    raise _wrong(path, kind.__name__, value)


_HINTS: dict[Any, dict[str, Any]] = {}


def _hints(kind: Any) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]


def _wrong(path: str, expected: str, got: Any) -> RecipeError:
    return RecipeError(
        explain("the stored spec does not fit", where=path, expected=expected, got=repr(got)[:80])
    )
