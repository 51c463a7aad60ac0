"""What a draw can choose from; `stage.prepare` gathers it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from synthstudio.core.spec import AssetRef, Pattern, Vec2, Vec3

Slot = Literal["top", "bottom", "shoes", "hair", "hat"]


@dataclass(frozen=True, kw_only=True)
class KeyPose:
    """An authored pose. Angles not named are 0; names are those of `Catalogue.limits_rad`."""

    name: str
    family: str
    angles_rad: dict[str, float]
    needs: Literal["floor", "seat"] = "floor"  # a seat goes under the hips at `seat_height_m`
    mirrored_ok: bool = True
    stands: bool = True  # on its feet: at least one foot is flat on the floor
    holds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Where the pose can hold a thing (left_hand, right_hand, both_hands) -> grips, as in
    `ThingKind.grip`."""
    leans: tuple[str, ...] = ()  # kinds of things it leans on
    dynamic: bool = False  # a moment of a movement, which need not balance
    free_hands: tuple[str, ...] = ()  # of left and right, those that may take any shape


@dataclass(frozen=True, kw_only=True)
class GarmentKind:
    """A kind of garment, hair or hat and the ranges its design may take.

    Designs are cached by (kind, shape), so each shape value is one of `steps` equal steps from
    low to high.
    """

    kind: str
    slot: Slot
    shape: dict[str, tuple[float, float]]  # parameter -> (low, high)
    patterns: tuple[Pattern, ...]
    steps: int = 4
    gender: Vec2 = (0.0, 1.0)  # the range of Phenotype.gender that usually wears it


@dataclass(frozen=True, kw_only=True)
class ThingKind:
    """A procedural kind of thing and the ranges of its true size."""

    kind: str
    size_low_m: Vec3
    size_high_m: Vec3
    materials: int  # how many materials it takes, in the order its builder names
    patterns: tuple[Pattern, ...]
    roles: tuple[str, ...] = ("occluder",)
    shape: tuple[str, ...] = ()  # names that ThingSpec.shape may hold, e.g. seat_height_m
    grip: str = ""  # how a hand holds it (role "held"), e.g. handle, bar, carry, phone
    grip_share: Vec3 = (0.0, 0.0, 0.5)  # where: the share of its size from its base's centre


@dataclass(frozen=True, kw_only=True)
class MeshAsset:
    """A mesh of the user's: its size after unit checks, z up."""

    asset: AssetRef
    size_m: Vec3


@dataclass(frozen=True, kw_only=True)
class ImageAsset:
    """An image of the user's. Photos may carry camera facts from a sidecar `NAME.camera.yaml`."""

    asset: AssetRef
    width_px: int
    height_px: int
    category: str = ""
    camera_height_m: float | None = None
    pitch_rad: float | None = None
    vertical_fov_rad: float | None = None
    licence: str = ""
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class MotionAsset:
    """A recorded motion of the user's."""

    asset: AssetRef
    frames: int
    fps: float
    licence: str = ""
    source: str = ""

    @property
    def name(self) -> str:
        """The file's name without folder and ending."""
        return self.asset.name.rsplit("/", 1)[-1].rsplit(".", 1)[0]

    @property
    def seconds(self) -> float:
        """The time from the first frame to the last."""
        return (self.frames - 1) / self.fps


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Everything a draw may pick, each tuple sorted by name."""

    poses: tuple[KeyPose, ...]
    limits_rad: dict[str, Vec2]  # anatomical angle -> (least, greatest)
    hands: dict[str, dict[str, float]] = field(default_factory=dict)
    """Shape of a hand -> its angles in radians, names without a side."""
    garments: tuple[GarmentKind, ...]
    things: tuple[ThingKind, ...]
    backgrounds: tuple[ImageAsset, ...] = ()
    hdris: tuple[ImageAsset, ...] = ()
    cutouts: tuple[ImageAsset, ...] = ()
    meshes: tuple[MeshAsset, ...] = ()
    motions: tuple[MotionAsset, ...] = ()
