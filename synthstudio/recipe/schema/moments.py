"""Motions and clips of a drawn moment, and its variants."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from synthstudio.recipe.schema.distributions import (
    Base,
    Number,
    Real,
    Weight,
    Whole,
    Within,
    weighted,
)
from synthstudio.recipe.schema.scene import Folder, Probability, Weights

Move = Literal["fixed", "pan", "follow", "dolly", "handheld"]
FAMILY = "motion"
"""The pose family of people with motions."""

MoveWeights = Annotated[dict[Move, Weight], Field(min_length=1), AfterValidator(weighted)]


class Motion(Base):
    """Recorded motions (BVH, AMASS) from which people take their poses."""

    folder: Folder
    """Their folder, below the asset root."""
    share: Probability = 1.0
    """How often people move; others take a pose of people.poses."""
    names: Weights | None = None
    """Files without suffix and their weights; null: equal weights."""
    mirror: Probability = 0.5
    """How often left and right are swapped."""


class Clip(Base):
    """Each moment is rendered as a sequence: the same people, clothes, place and light."""

    frames: Annotated[Whole, Field(ge=2, le=10_000)] = 24
    """Frames of a clip; they are consecutive in the data set."""
    fps: Annotated[Real, Field(ge=0.5, le=240)] = 12.0
    """Frames a second. Motions shorter than the clip are left out."""
    camera: Move | MoveWeights = "fixed"
    """fixed; pan: turns after moving people; follow: moves along with them; dolly: moves
    towards the people or away; handheld: sways. One, or several with weights."""
    dolly_m: Annotated[Number, Within(-20, 20)] = (-1.0, 1.5)
    """Distance of a dolly in a clip; + towards the people."""
    sway_deg: Annotated[Number, Within(0, 10)] = (0.3, 1.2)
    """How far a handheld camera sways to each side."""

    @property
    def seconds(self) -> float:
        """The time from the first frame of a clip to its last."""
        return (self.frames - 1) / self.fps

    @property
    def moves(self) -> dict[Move, float]:
        named = {self.camera: 1.0} if isinstance(self.camera, str) else self.camera
        return {move: weight for move, weight in named.items() if weight > 0}

    def check(self, backdrops: list[str]) -> None:
        """Raise ValueError for a moving camera with a backdrop that does not support it."""
        for kind, able in (
            ("photo", {"fixed"}),
            ("place", {"fixed"}),
            ("hdri", {"fixed", "pan", "handheld"}),
        ):
            moves = set(self.moves) - able
            if kind in backdrops and moves:
                raise ValueError(
                    f"clip.camera: {', '.join(sorted(moves))} before a backdrop of kind {kind}; "
                    f"there it can be {', '.join(sorted(able))}"
                )


# Variants ---------------------------------------------------------------------------------

VariantKind = Literal["clean", "occluder", "appearance", "light", "view"]
KINDS: tuple[VariantKind, ...] = ("clean", "occluder", "appearance", "light", "view")
"""The order of a group's frames after its base."""

Azimuths = Annotated[
    tuple[Annotated[Number, Within(-360, 360)], ...], Field(min_length=1, max_length=16)
]


class Rig(Base):
    """Positions of the further cameras of `variants.view`, around the middle of the people."""

    azimuths_deg: Literal["ring"] | Azimuths = "ring"
    """Azimuth around the people from the first camera, one per view: 90 is the right of the first
    picture, 180 behind. ring: all cameras evenly, including the first."""
    distance_m: Annotated[Number, Within(0.6, 60)] | None = None
    """From the middle of the people, along the floor; null: as the first camera, farther where
    people would be cut off."""
    height_m: Annotated[Number, Within(0.1, 20)] | None = None
    """Above the floor; null: drawn as for the first camera."""
    pitch_deg: Annotated[Number, Within(-85, 60)] | None = None
    """Looks up (+) or down (-); null: aims at camera.aim_height_m."""


class Variants(Base):
    """Further frames of each moment; a group's frames are consecutive.

    A group is: the base, `clean`, then all of `occluder`, `appearance`, `light`, `view`. It is
    wholly in one split. `frames` counts pictures, so a run may end inside a group.
    """

    clean: Annotated[Whole, Field(ge=0, le=1)] = 0
    """Without occluders: objects, held objects, cut-outs."""
    occluder: Annotated[Whole, Field(ge=0, le=16)] = 0
    """With other objects and cut-outs, equal in number and rules."""
    appearance: Annotated[Whole, Field(ge=0, le=16)] = 0
    """With other clothes, skin and hair colours on the same bodies."""
    light: Annotated[Whole, Field(ge=0, le=16)] = 0
    """In another light; a panorama is rotated."""
    view: Annotated[Whole, Field(ge=0, le=16)] = 0
    """Seen by further cameras: see rig. Not with photos as backdrops."""
    rig: Rig = Rig()
    """The further cameras."""

    @property
    def order(self) -> tuple[tuple[VariantKind, int], ...]:
        """Return (kind, number from 0 within its kind) of each frame after the base."""
        return tuple((kind, k) for kind in KINDS for k in range(getattr(self, kind)))

    @property
    def per_moment(self) -> int:
        """Frames of a moment, including the base."""
        return 1 + len(self.order)

    @model_validator(mode="after")
    def _check(self) -> Self:
        azimuths = self.rig.azimuths_deg
        if azimuths != "ring" and self.view not in (0, len(azimuths)):
            raise ValueError(
                f"rig.azimuths_deg: {len(azimuths)} for {self.view} views; name one a view, or ring"
            )
        return self
