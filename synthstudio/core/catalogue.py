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
class Catalogue:
    """Everything a draw may pick, each tuple sorted by name."""

    poses: tuple[KeyPose, ...]
    limits_rad: dict[str, Vec2]  # anatomical angle -> (least, greatest)
    garments: tuple[GarmentKind, ...]
    things: tuple[ThingKind, ...]
    backgrounds: tuple[ImageAsset, ...] = ()
    hdris: tuple[ImageAsset, ...] = ()
    cutouts: tuple[ImageAsset, ...] = ()
    meshes: tuple[MeshAsset, ...] = field(default=())
