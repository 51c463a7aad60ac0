"""What `recipe.draw` may ask of geometry; `stage.Stage` answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import Catalogue, MotionAsset
from synthstudio.core.scene import F32, F64, I32, Bool
from synthstudio.core.spec import BoneTurn, Numbers, PersonSpec, Phenotype, ThingSpec, Vec3


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchesSeen:
    """Some points of every joint's patch of one person, and the nearest surface before each.

    `blocker`: 0 nothing, the place of a person among those asked about counted from 1, or -1 a
    thing. `weights` are area share x max(0, cos); 0 for points outside the frame.
    """

    px: F64  # (J, n, 2) continuous pixels
    depth_m: F64  # (J, n)
    weights: F64  # (J, n)
    inside: Bool  # (J,) the joint's centre is in the frame
    blocker: I32  # (J, n)
    blocker_depth_m: F32  # (J, n) inf where nothing is


@dataclass(frozen=True, kw_only=True)
class Step:
    """A body at one time of a motion."""

    turns: tuple[BoneTurn, ...]
    root_m: Vec3
    """Of the root: x and y on the floor from where the first step stands, if that faces -y; z is
    the height that puts the standing foot on the floor."""


class Solve(Protocol):
    """Answers are pure functions of their arguments, computed on the CPU path."""

    @property
    def catalogue(self) -> Catalogue:
        """What the draw may choose from."""
        ...

    def drop_m(self, person: PersonSpec) -> float:
        """The z_m that puts the person's lowest drawn vertex on the floor (z = 0)."""
        ...

    def joints_m(self, person: PersonSpec) -> F64:
        """(J, 3) world joints of the person where its spec puts it."""
        ...

    def touches_m(
        self, phenotype: Phenotype, angles_rad: dict[str, float], like: tuple[Numbers, ...] = ()
    ) -> float:
        """About how deep the limbs of a body in that pose run into one another, or 0.

        What touches in a pose of `like` on the library's usual body may touch here as well.
        """
        ...

    def palms_m(self, person: PersonSpec) -> F64:
        """(2, 4, 4) world frames of the left and the right palm.

        The origin is the middle of a 3 cm bar in the closed hand, x runs along that bar towards
        the thumb's side, z out of the palm.
        """
        ...

    def skin_m(self, person: PersonSpec, parts: tuple[str, ...]) -> F64:
        """(N, 3) world points of the bare body's skin on some of `core.scene.PARTS`."""
        ...

    def box_m(self, item: PersonSpec | ThingSpec) -> F64:
        """(2, 3): the least and greatest world corner of a dressed person or a thing."""
        ...

    def gap_m(self, a: PersonSpec | ThingSpec, b: PersonSpec | ThingSpec) -> float:
        """How far two items stand apart in metres; negative if their outlines meet.

        Outlines are convex in each 20 cm layer of height (core.hulls), so a positive gap proves
        that the two do not touch; inf when they share no layer.
        """
        ...

    def sweep_gap_m(
        self, a: tuple[PersonSpec | ThingSpec, ...], b: tuple[PersonSpec | ThingSpec, ...]
    ) -> float:
        """How far two items stay apart that pass through such places, as `gap_m`.

        Between two places that follow one another an item fills the outlines of both and all
        that lies between.
        """
        ...

    def steps(
        self,
        person: PersonSpec,
        motion: MotionAsset,
        *,
        times_s: tuple[float, ...],
        mirrored: bool = False,
    ) -> tuple[Step, ...]:
        """How the person goes through a motion: its body and shoes decide the path."""
        ...

    def depths_m(self, items: tuple[PersonSpec | ThingSpec, ...], camera: Camera) -> F32:
        """(H, W) z of the nearest drawn surface at each pixel centre, inf where none is."""
        ...

    def patches_seen(
        self, people: tuple[PersonSpec, ...], things: tuple[ThingSpec, ...], camera: Camera
    ) -> tuple[PatchesSeen, ...]:
        """What hides points on each person's joints when just these stand there."""
        ...
