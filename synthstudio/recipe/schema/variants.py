"""What a recipe says about variants: the same moment without, with other, seen from elsewhere."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from synthstudio.recipe.schema.distributions import Base, Number, Whole, Within

Kind = Literal["clean", "occluder", "appearance", "light", "view"]
KINDS: tuple[Kind, ...] = ("clean", "occluder", "appearance", "light", "view")
"""The order of a group's frames after its base."""

Azimuths = Annotated[
    tuple[Annotated[Number, Within(-360, 360)], ...], Field(min_length=1, max_length=16)
]


class Rig(Base):
    """Where the further cameras of `variants.view` stand, about the middle of the people."""

    azimuths_deg: Literal["ring"] | Azimuths = Field(
        default="ring",
        description="How far round the people from the first camera, one a view: 90 is the right "
        "of the first picture, 180 behind. ring: all cameras evenly, the first among them.",
    )
    distance_m: Annotated[Number, Within(0.6, 60)] | None = Field(
        default=None,
        description="From the middle of the people, along the floor; null: as the first camera, "
        "farther where people would be cut off.",
    )
    height_m: Annotated[Number, Within(0.1, 20)] | None = Field(
        default=None, description="Above the floor; null: drawn as for the first camera."
    )
    pitch_deg: Annotated[Number, Within(-85, 60)] | None = Field(
        default=None, description="Looks up (+) or down (-); null: aims at camera.aim_height_m."
    )


class Variants(Base):
    """How many further frames each moment gets; a group's frames follow one another.

    A group is: the base, `clean`, then all of `occluder`, `appearance`, `light`, `view`. It lies
    wholly in one split. `frames` counts pictures, so a run may end inside a group.
    """

    clean: Annotated[Whole, Field(ge=0, le=1)] = Field(
        default=0, description="Without what hides people: things, held things, cut-outs."
    )
    occluder: Annotated[Whole, Field(ge=0, le=16)] = Field(
        default=0, description="With other things and cut-outs, as many and by the same rules."
    )
    appearance: Annotated[Whole, Field(ge=0, le=16)] = Field(
        default=0, description="With other clothes, skin and colours of hair on the same bodies."
    )
    light: Annotated[Whole, Field(ge=0, le=16)] = Field(
        default=0, description="In another light; a panorama is turned."
    )
    view: Annotated[Whole, Field(ge=0, le=16)] = Field(
        default=0, description="Seen by further cameras: see rig. Not with photos as backdrops."
    )
    rig: Rig = Field(default=Rig(), description="The further cameras.")

    @property
    def order(self) -> tuple[tuple[Kind, int], ...]:
        """Return (kind, number from 0 among its kind) of each frame after the base."""
        return tuple((kind, k) for kind in KINDS for k in range(getattr(self, kind)))

    @property
    def per_moment(self) -> int:
        """Return how many frames a moment has, the base among them."""
        return 1 + len(self.order)

    @model_validator(mode="after")
    def _check(self) -> Self:
        azimuths = self.rig.azimuths_deg
        if azimuths != "ring" and self.view not in (0, len(azimuths)):
            raise ValueError(
                f"rig.azimuths_deg: {len(azimuths)} for {self.view} views; name one a view, or ring"
            )
        return self
