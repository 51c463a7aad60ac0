"""The assets of `recipe.draw` (Catalogue) and its queries of geometry (GeometryQueries)."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from synthstudio.core.arrays import F32, F64, I32, Bool
from synthstudio.core.camera import Camera
from synthstudio.core.photo import Ground, PlaceLight
from synthstudio.core.spec import (
    AssetRef,
    BoneTurn,
    FrozenDict,
    ObjectSpec,
    Pattern,
    PersonSpec,
    Phenotype,
    Vec2,
    Vec3,
)

Fingers = Literal["", "along", "against"]
Slot = Literal[
    "top", "bottom", "shoes", "hair", "hat", "beard", "glasses", "mask",
    "over", "neck", "hands", "legs", "brows", "skin",
]  # fmt: skip


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
    """Holding hand (left_hand, right_hand, both_hands) -> possible grips, as in
    `ObjectKind.grip`."""
    leans: tuple[str, ...] = ()  # kinds of objects it leans on
    dynamic: bool = False  # a moment of a movement, which need not balance
    free_hands: tuple[str, ...] = ()  # of left and right, those that may take any shape
    athletic: bool = False  # sport, stunts and falls: drawn only if a recipe enables them
    airborne: Literal["", "upright", "tumbling"] = ""  # nothing is on the floor; tumbling: any way
    seated_arms: bool = False  # its arms suit a sitting, kneeling or lying person


@dataclass(frozen=True, kw_only=True)
class Role:
    poses: tuple[str, ...]  # names of key poses it may begin with
    angles_rad: dict[str, float] = field(default_factory=dict)  # instead of that pose's


@dataclass(frozen=True, kw_only=True)
class Touch:
    """A contact: a palm on another person's palm or on a spot of their body (body/touching.py)."""

    of: int  # index of the palm's owner in the interaction
    palm: str  # left_palm or right_palm
    on: str  # of the other: left_palm, right_palm or a spot
    fingers: Fingers = ""  # which way, against the other palm's


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """An interaction of two or more people: body/meetings.yaml."""

    name: str
    roles: tuple[Role, ...]  # one for each of a pair, else one for all
    touches: tuple[Touch, ...] = ()
    stand: Literal["pair", "circle", "line"] = "pair"
    ahead_m: float = 0.0  # of a pair, where the second stands as the first sees it
    left_m: float = 0.0
    turn_rad: float = 0.0  # and how it is turned against the first
    apart_m: Vec2 = (0.0, 0.0)  # between neighbours of a circle or line
    maximum: int = 2
    looks: bool = False  # at one another
    mirrored_ok: bool = True


Worn = Literal["everyday", "always", "sport", "named", "named_sport", "named_always"]

Dye = Literal["cloth", "high_visibility", "medical"]


@dataclass(frozen=True, kw_only=True)
class GarmentKind:
    """A kind of garment, hair or hat and the ranges of its design parameters.

    Designs are cached by (kind, shape), so each shape value is one of `steps` equal steps from
    low to high.
    """

    kind: str
    slot: Slot
    shape: dict[str, tuple[float, float]]  # parameter -> (low, high)
    patterns: tuple[Pattern, ...]
    steps: int = 4
    gender: Vec2 = (0.0, 1.0)  # the range of Phenotype.gender that wears it
    age: Vec2 = (-1.0, 1.0)  # the range of Phenotype.age
    worn: Worn = "everyday"
    """always: for sport as well; named: only where a recipe names it."""
    whole: bool = False  # covers trunk and hips: worn without a bottom
    goes_with: tuple[Slot, ...] = ()  # slots it may be combined with
    two_tone: bool = False  # the second material covers as much as the first
    dye: Dye = "cloth"

    def fits(self, gender: float, age: float) -> bool:
        return self.gender[0] <= gender <= self.gender[1] and self.age[0] <= age <= self.age[1]


VEHICLE = frozenset({"vehicle"})
CABIN, CABIN_REAR_M, CABIN_SIDE = "car_cabin", 0.95, 0.25
"""A seat with a car around it: from its rear to the driver's hips, metres; how far left of its
middle they sit, of its width."""
BESIDE = "beside_m"
"""ObjectSpec.shape of a cabin with a passenger: how much higher than the driver's their seat is."""
SEAT_BELT = "seat_belt"
MATTRESS = "mattress_m"
"""ObjectSpec.shape of a bed with somebody in it: the height of its mattress."""


@dataclass(frozen=True, kw_only=True)
class ObjectKind:
    """A procedural kind of object and the ranges of its true size."""

    kind: str
    size_low_m: Vec3
    size_high_m: Vec3
    materials: int  # number of materials, in the order of its builder
    patterns: tuple[Pattern, ...]
    roles: tuple[str, ...] = ("occluder",)
    shape: tuple[str, ...] = ()  # names that ObjectSpec.shape may hold, e.g. seat_height_m
    places: frozenset[str] = frozenset()
    """Where alone it belongs: rooms (of INTERIORS), indoors, outdoors, street, green. Kinds of
    elsewhere (walls, beaches) are drawn if a recipe names them or the place is unknown, those of
    a vehicle only if a recipe names them."""
    grip: str = ""  # how a hand holds it (role "held"), e.g. handle, bar, carry, phone
    grip_share: Vec3 = (0.0, 0.0, 0.5)  # where: the share of its size from its base's centre


@dataclass(frozen=True, kw_only=True)
class MeshAsset:
    """A user's mesh: its size after unit checks, z up."""

    asset: AssetRef
    size_m: Vec3


@dataclass(frozen=True, kw_only=True)
class PlaceAsset:
    """A mesh of a whole place: its size, and the height of its floor over its lowest point."""

    asset: AssetRef
    size_m: Vec3
    level_m: float


@dataclass(frozen=True, kw_only=True)
class ImageAsset:
    """A user's image. Photos may carry camera facts from a sidecar `NAME.camera.yaml`.

    `ground` is set if those suffice to place people on the photo's floor; else `unfit` is the
    reason. `height_m`: real height of a cut-out's object, if its manifest has it;
    `trimmed_px` is its picture's size without transparent borders. `below_above`: ratio of
    a panorama's brightness below and above the horizon, by solid angle. `dark_floor`: fraction
    of black floor.
    """

    asset: AssetRef
    width_px: int
    height_px: int
    category: str = ""
    camera_height_m: float | None = None
    pitch_rad: float | None = None
    vertical_fov_rad: float | None = None
    ground: Ground | None = None
    unfit: str = ""
    height_m: float | None = None
    trimmed_px: tuple[int, int] | None = None
    below_above: float | None = None
    dark_floor: float | None = None
    licence: str = ""
    source: str = ""

    @property
    def shown_px(self) -> tuple[int, int]:
        """Width and height of what a cut-out shows."""
        return self.trimmed_px or (self.width_px, self.height_px)


@dataclass(frozen=True, kw_only=True)
class MotionAsset:
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
class GarmentAsset:
    """What is worn of the user's, or a skin, in MakeHuman's format."""

    asset: AssetRef
    kind: GarmentKind | None  # None: unusable
    rgb: Vec3 | None = None  # mean colour of its picture, linear; None: it is dyed
    unfit: str = ""
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The assets of a draw, each tuple sorted by name."""

    poses: tuple[KeyPose, ...]
    limits_rad: dict[str, Vec2]  # anatomical angle -> (least, greatest)
    hands: dict[str, dict[str, float]] = field(default_factory=dict)
    """Shape of a hand -> its angles in radians, names without a side."""
    meetings: tuple[Interaction, ...] = ()
    garments: tuple[GarmentKind, ...]
    makehuman: tuple[GarmentAsset, ...] = ()
    expressions: dict[str, dict[str, float]] = field(default_factory=dict)
    """Expression of a face -> weights of face units (body/face.py)."""
    objects: tuple[ObjectKind, ...]
    backgrounds: tuple[ImageAsset, ...] = ()
    hdris: tuple[ImageAsset, ...] = ()
    cutouts: tuple[ImageAsset, ...] = ()
    meshes: tuple[MeshAsset, ...] = ()
    places: tuple[PlaceAsset, ...] = ()
    motions: tuple[MotionAsset, ...] = ()


CELL_M = 0.1
"""Side of a place's cells."""
HEADROOM_M = 2.0
"""Clearance over the floor that people need."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FloorPlan:
    """Cells of a place along its own axes; its floor is at z = 0.

    A cell is filled if it or one of its 26 neighbours contains geometry, so items within the
    others touch nothing.
    """

    corner_m: tuple[float, float]  # least x and y of cell (0, 0)
    filled: Bool  # (X, Y, Z) above the floor
    floor: Bool  # (X, Y) floor in the cell and its eight neighbours
    open_above: bool  # no geometry above the cells

    @functools.cached_property
    def clear_m(self) -> F64:
        """(X, Y) metres from the floor up to the first filled cell; inf if none."""
        height = self.filled.argmax(axis=2) * CELL_M
        top = np.inf if self.open_above else self.filled.shape[2] * CELL_M
        return np.where(self.filled.any(axis=2), height, top)

    @functools.cached_property
    def standing(self) -> Bool:
        """(X, Y) where people may stand."""
        return np.asarray(self.floor & (self.clear_m >= HEADROOM_M))

    def spots_m(self) -> F64:
        """(N, 2) the middles of the cells where people may stand."""
        return np.asarray((np.argwhere(self.standing) + 0.5) * CELL_M + np.array(self.corner_m))

    def has_floor(self, spots_m: F64) -> Bool:
        """(N,) whether there is floor at x, y (N, 2)."""
        cells, inside = self._cells(spots_m, self.floor.shape)
        return np.asarray(inside & self.floor[tuple(cells.T)])

    def free(self, spots_m: F64, top_m: float) -> Bool:
        """(N,) whether the column over x, y (N, 2) is free up to that height (outdoors)."""
        clear = self.clear_m
        cells, inside = self._cells(spots_m, clear.shape)
        return np.asarray(~inside | (clear[tuple(cells.T)] >= top_m))

    def air(self, points_m: F64) -> Bool:
        """(N,) whether points (N, 3) are inside the place's area and in free cells."""
        cells, inside = self._cells(points_m, self.filled.shape)
        over = points_m[:, 2] >= self.filled.shape[2] * CELL_M
        _, across = self._cells(points_m[:, :2], self.floor.shape)
        return np.asarray(inside & ~self.filled[tuple(cells.T)] | (across & over & self.open_above))

    def _cells(self, at_m: F64, shape: tuple[int, ...]) -> tuple[np.ndarray, Bool]:
        """Nearest cells (N, D) of points, and whether points are inside them (N,)."""
        corner = np.zeros(at_m.shape[1])
        corner[:2] = self.corner_m
        exact = np.floor((at_m - corner) / CELL_M).astype(np.int64)
        cells = np.clip(exact, 0, np.array(shape) - 1)
        return cells, np.asarray((cells == exact).all(axis=1))


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchesSeen:
    """Sample points of every joint's patch of one person, and the nearest surface in front of each.

    `blocker`: 0 nothing, the index from 1 of a person among those in the query, or -1 an
    object. `weights` are area share x max(0, cos); 0 for points outside the frame.
    """

    px: F64  # (J, n, 2) continuous pixels
    depth_m: F64  # (J, n)
    weights: F64  # (J, n)
    inside: Bool  # (J,) the joint's centre is in the frame
    blocker: I32  # (J, n)
    blocker_depth_m: F32  # (J, n) inf without blocker


@dataclass(frozen=True, kw_only=True)
class Step:
    """A body at one time of a motion."""

    turns: tuple[BoneTurn, ...]
    root_m: Vec3
    """The root: x and y on the floor relative to the first step, if that faces -y; z is
    the height that puts the standing foot on the floor."""


class GeometryQueries(Protocol):
    """Geometry for the draw: pure functions of the arguments, on the CPU path."""

    @property
    def catalogue(self) -> Catalogue:
        """The assets of the draw."""

    def floor_plan(self, asset: AssetRef) -> FloorPlan:
        """The floor of a user's place, and the free space over it."""

    def drop_m(self, person: PersonSpec) -> float:
        """The z_m that puts the person's lowest drawn vertex on the floor (z = 0)."""

    def joints_m(self, person: PersonSpec) -> F64:
        """(J, 3) world joints of the person where its spec puts it."""

    def self_penetrations_m(
        self,
        phenotype: Phenotype,
        poses: Sequence[Mapping[str, float]],
        *,
        like: tuple[FrozenDict, ...] = (),
    ) -> list[float]:
        """Approximate self-penetration of a body in each of those poses in metres, or 0.

        Contacts of a pose of `like` on the library's usual body are allowed.
        """

    def resolve_self_intersection(
        self, phenotype: Phenotype, angles_rad: dict[str, float], *, both_hands: bool = False
    ) -> tuple[dict[str, float], float]:
        """The angles with no part of the body more than about 2 cm under the skin of another.

        Unchanged if there is none. Otherwise arms move by a few degrees, or legs and
        trunk; `both_hands`: the hands keep their relative pose, for a shared object. The
        best pose if none nearby is free: the second value is the remaining depth, in
        metres.
        """

    def meet(
        self, people: tuple[PersonSpec, PersonSpec], touches: tuple[Touch, ...]
    ) -> tuple[PersonSpec, PersonSpec] | None:
        """Two people with their palms in contact: arms and trunks bend, the second moves.

        Both stand on the floor near their positions. None if no pose within the limits
        puts the palms within 2 cm, or if they would overlap by more than that.
        """

    def palms_m(self, person: PersonSpec) -> F64:
        """(2, 4, 4) world frames of the left and the right palm.

        The origin is the middle of a 3 cm bar in the closed hand, x runs along that bar towards
        the thumb's side, z out of the palm.
        """

    def skin_penetration_m(self, person: PersonSpec) -> float:
        """Greatest depth in metres of a part of a bare body under its own skin."""

    def skin_m(self, person: PersonSpec, parts: tuple[str, ...]) -> F64:
        """(N, 3) world points of the bare body's skin on some of `core.scene.PARTS`."""

    def triangles_m(self, item: PersonSpec | ObjectSpec) -> F64:
        """(N, 3, 3) world corners of the triangles of a dressed person or an object."""

    def box_m(self, item: PersonSpec | ObjectSpec) -> F64:
        """(2, 3): the least and greatest world corner of a dressed person or an object."""

    def gap_m(self, a: PersonSpec | ObjectSpec, b: PersonSpec | ObjectSpec) -> float:
        """The gap of two items in metres; negative if their outlines overlap.

        Outlines are convex in each 20 cm layer of height (core.hulls), so a positive gap proves
        that the two do not touch; inf when they share no layer.
        """

    def sweep_gap_m(
        self, a: tuple[PersonSpec | ObjectSpec, ...], b: tuple[PersonSpec | ObjectSpec, ...]
    ) -> float:
        """The gap of two items that move through such places, as `gap_m`.

        Between two successive places an item fills the outlines of both and all
        that lies between.
        """

    def steps(
        self,
        person: PersonSpec,
        motion: MotionAsset,
        *,
        times_s: tuple[float, ...],
        mirrored: bool = False,
    ) -> tuple[Step, ...]:
        """The person's path through a motion, which depends on body and shoes."""

    def depths_m(self, items: tuple[PersonSpec | ObjectSpec, ...], camera: Camera) -> F32:
        """(H, W) z of the nearest drawn surface at each pixel centre, inf where none is."""

    def patches_seen(
        self, people: tuple[PersonSpec, ...], objects: tuple[ObjectSpec, ...], camera: Camera
    ) -> tuple[PatchesSeen, ...]:
        """Blockers of points on each person's joints, with only these items in the scene."""

    def photo_light(self, asset: AssetRef, box_px: tuple[float, float, float, float]) -> PlaceLight:
        """The light about a box (x, y, width, height) of a photo."""
