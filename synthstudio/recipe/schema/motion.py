"""What a recipe says about recorded motions: as a source of poses, or rendered as clips."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

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
MOVES: tuple[Move, ...] = get_args(Move)
FAMILY = "motion"
"""The pose family of everybody whose pose comes from a motion."""

MoveWeights = Annotated[dict[Move, Weight], Field(min_length=1), AfterValidator(weighted)]


class Motion(Base):
    """Recorded motions (BVH) from which people take their poses."""

    folder: Folder = Field(description="Their folder, below the asset root.")
    share: Probability = Field(
        default=1.0, description="How often somebody moves; others take a pose of people.poses."
    )
    names: Weights | None = Field(
        default=None, description="Files without ending and their weights; null: all alike."
    )
    mirror: Probability = Field(default=0.5, description="How often left and right change places.")


class Clip(Base):
    """Each moment is rendered as a sequence: the same people, clothes, place and light."""

    frames: Annotated[Whole, Field(ge=2, le=10_000)] = Field(
        default=24, description="Frames of a clip; they follow one another in the data set."
    )
    fps: Annotated[Real, Field(ge=0.5, le=240)] = Field(
        default=12.0, description="Frames a second. Motions shorter than the clip are left out."
    )
    camera: Move | MoveWeights = Field(
        default="fixed",
        description="fixed; pan: turns after the people who move; follow: goes along with them; "
        "dolly: goes towards the people or away; handheld: sways. One, or several with weights.",
    )
    dolly_m: Annotated[Number, Within(-20, 20)] = Field(
        default=(-1.0, 1.5), description="How far a dolly goes in a clip; + towards the people."
    )
    sway_deg: Annotated[Number, Within(0, 10)] = Field(
        default=(0.3, 1.2), description="How far a handheld camera sways to each side."
    )

    @property
    def seconds(self) -> float:
        """Return the time from the first frame of a clip to its last."""
        return (self.frames - 1) / self.fps

    @property
    def moves(self) -> dict[Move, float]:
        """Return the moves that may occur, with weights."""
        named = {self.camera: 1.0} if isinstance(self.camera, str) else self.camera
        return {move: weight for move, weight in named.items() if weight > 0}

    def check(self, backdrops: list[str]) -> None:
        """Raise ValueError for a camera that moves where what is behind cannot."""
        for kind, able in (("photo", {"fixed"}), ("hdri", {"fixed", "pan", "handheld"})):
            moves = set(self.moves) - able
            if kind in backdrops and moves:
                raise ValueError(
                    f"clip.camera: {', '.join(sorted(moves))} before a backdrop of kind {kind}; "
                    f"there it can be {', '.join(sorted(able))}"
                )
