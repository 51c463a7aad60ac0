"""What a recipe says about hiding people in real photos: `synthstudio occlude`.

Rendered things come from the recipe's `things`, rendered people from `people`, how much is hidden
from `targets`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from synthstudio.recipe.schema.distributions import (
    Base,
    Count,
    Number,
    Weight,
    Whole,
    Within,
    weighted,
)
from synthstudio.recipe.schema.scene import Folder, Weights

Kind = Literal["cutout", "thing", "person"]


class PhotoCutouts(Base):
    """Pictures with an alpha channel, in their true size."""

    folder: Folder = Field(description="Their folder, below the asset root.")
    categories: Weights | None = Field(
        default=None, description="Categories and their weights; null: all alike."
    )
    sizes_m: Annotated[dict[str, Annotated[Number, Within(0.02, 30)]], Field(max_length=200)] = (
        Field(
            default={},
            description="The longer side of what a category shows, in metres, instead of the "
            "built-in sizes of COCO's categories.",
        )
    )
    enlarge_at_most: Annotated[float, Field(strict=True, gt=0, le=8)] = Field(
        default=1.6, description="Never drawn larger than this times its own pixels."
    )


class Occlude(Base):
    """How people in photos are hidden. Used by `synthstudio occlude` alone."""

    each: Annotated[Whole, Field(ge=1, le=1000)] = Field(
        default=10, description="Occluded frames of each photo; the clean photo comes before them."
    )
    hide: Annotated[Count, Within(1, 16)] = Field(
        default=1, description="How many people of a photo are asked to be hidden in a frame."
    )
    by: Annotated[dict[Kind, Weight], AfterValidator(weighted)] = Field(
        default={"cutout": 1.0, "thing": 1.0, "person": 0.5},
        description="What hides them and the shares of the pastes: cutout, thing, person.",
    )
    cutouts: PhotoCutouts | None = Field(
        default=None, description="Cut-outs; null: there are none."
    )
    between: Annotated[Number, Within(0.05, 0.85)] = Field(
        default=(0.08, 0.45),
        description="How far from the hidden person towards the camera things stand.",
    )
    least_height_px: Annotated[Whole, Field(ge=8, le=2000)] = Field(
        default=48, description="People whose box is less high are never asked to be hidden."
    )
    least_joints: Annotated[Whole, Field(ge=0, le=133)] = Field(
        default=3, description="Nor are people with fewer joints that are labelled visible."
    )
