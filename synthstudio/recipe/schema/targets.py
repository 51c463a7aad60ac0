"""Occlusion targets: amount, joints and causes, in scenes and in real photos."""

from __future__ import annotations

import difflib
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from synthstudio.recipe.schema.distributions import (
    AnyNumber,
    Base,
    Count,
    Number,
    Weight,
    Whole,
    Within,
    support,
    weighted,
)
from synthstudio.recipe.schema.scene import Folder, Probability, Weights

MAX_RATIO = 0.9
"""Maximum requested occlusion: the visible rest must still identify the person."""


def _groups(joints: dict[str, float]) -> dict[str, float]:
    """The joint groups; ValueError if empty or with duplicate names."""
    for group in joints:
        names = group.split("+")
        if not all(names) or len(set(names)) < len(names):
            raise ValueError(f"{group!r}: a joint, or different joints joined by +")
    return joints


def _within_all(causes: dict[str, AnyNumber]) -> dict[str, AnyNumber]:
    """The fractions by cause; ValueError if they always exceed all joints."""
    minimum = sum(support(of)[0] for of in causes.values())
    if minimum > 1:
        raise ValueError(f"the causes request at least {minimum:.0%} of all joints")
    return causes


Causes = Annotated[
    dict[Literal["self", "person", "object", "truncated"], Annotated[Number, Within(0, MAX_RATIO)]],
    AfterValidator(_within_all),
]


class Targets(Base):
    """Targets of every person, or of every frame, met by a search."""

    occluded_fraction: Annotated[Number, Within(0, MAX_RATIO)] | None = None
    """1 - modal / amodal area inside the picture: how much of a person is hidden."""
    joints: Annotated[dict[str, Probability], AfterValidator(_groups)] = Field(
        default={}, max_length=20
    )
    """How often joints are hidden, all of a group at once: {left_wrist+right_wrist: 0.4}."""
    causes: Causes = Field(default={})
    """Causes of hidden joints: for each the share of a person's joints, those outside the picture
    (truncated) included; the rest is visible."""
    crowd_index: Annotated[Number, Within(0, 1)] | None = None
    """CrowdPose's crowd index of a frame. Needs two or more people."""
    tolerance: Annotated[float, Field(strict=True, ge=0.005, le=0.5)] = 0.05
    """Tolerance: a person is met within twice this of the requested fraction and four
    times this of a cause's share. `stats` and --strict judge the whole set by it."""
    max_objects: Annotated[Whole, Field(ge=1, le=6)] = 3
    """Maximum objects in front of one person."""
    effort: Annotated[Whole, Field(ge=1, le=100)] = 10
    """Candidate objects for each one placed."""
    search: bool = True
    """false: targets are drawn and reported, but everything is placed at random."""

    @property
    def any(self) -> bool:
        targets = (self.occluded_fraction, self.crowd_index)
        return any(of is not None for of in targets) or bool(self.joints or self.causes)

    @property
    def by_objects(self) -> bool:
        return (
            self.occluded_fraction is not None
            or any(rate > 0 for rate in self.joints.values())
            or "object" in self.causes
        )

    def check(self, joints: tuple[str, ...], *, cutouts: bool) -> None:
        """Raise ValueError for unknown joints, or for cut-outs, which conflict with targets."""
        if self.by_objects and self.search and cutouts:
            raise ValueError(
                "targets: objects are searched for, but cut-outs placed at random; leave one out"
            )
        for name in (name for group in self.joints for name in group.split("+")):
            if name not in joints:
                near = difflib.get_close_matches(name, joints, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"targets.joints: {name!r} is not a joint of the skeleton{hint}")

    @property
    def turns(self) -> bool:
        """Whether people are turned to hide or show joints of their own."""
        return bool(self.joints) or "self" in self.causes


# Real photos ------------------------------------------------------------------------------

PasteKind = Literal["cutout", "object", "person", "near"]


class PhotoCutouts(Base):
    """Pictures with an alpha channel, in true size."""

    folder: Folder
    """Their folder, below the asset root."""
    categories: Weights | None = None
    """Categories and their weights; null: equal weights."""
    sizes_m: dict[str, Annotated[Number, Within(0.02, 30)]] = Field(default={}, max_length=200)
    """The longer side of a category's objects in metres, instead of the built-in sizes of COCO's
    categories."""
    max_scale: Annotated[float, Field(strict=True, gt=0, le=8)] = 1.6
    """Never drawn larger than this times its own pixels."""


class Occlude(Base):
    """Occlusion of people in photos, for `synthstudio occlude` alone."""

    each: Annotated[Whole, Field(ge=1, le=1000)] = 10
    """Occluded frames of each photo; the clean photo comes before them."""
    hide: Annotated[Count, Within(1, 16)] = 1
    """Number of a photo's people who are targets in a frame."""
    by: Annotated[dict[PasteKind, Weight], AfterValidator(weighted)] = Field(
        default={"cutout": 1.0, "object": 1.0, "person": 0.5}
    )
    """Occluders and their shares of the pastes: cutout, object, person; near: a person close to the
    camera, from behind, cut by the picture's lower edge: the one that needs no known ground."""
    cutouts: PhotoCutouts | None = None
    """Cut-outs; null: none."""
    ground: Literal["known", "any"] = "known"
    """known: objects and people stand only where the photo looks like the ground about the feet
    of an upright person, and only in front of such people; other photos are
    unchanged; objects are of plain colours, light is mostly the sky's, cut-outs are of kinds that
    stand on floors, in their real height. any: on the estimated floor, in front of
    everybody."""
    between: Annotated[Number, Within(0.05, 0.85)] = (0.08, 0.45)
    """Position of objects from the hidden person (0) to the camera (1)."""
    min_height_px: Annotated[Whole, Field(ge=8, le=2000)] = 48
    """People with lower boxes are never targets."""
    min_joints: Annotated[Whole, Field(ge=0, le=133)] = 3
    """People with fewer joints labelled visible are never targets."""
