"""What people do together, measured on meshes: touching hands, depth, limits, feet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from benchmarks import physics, proofs, touch
from synthstudio.body import wardrobe
from synthstudio.core.catalogue import Interaction, Touch
from synthstudio.core.scene import F64
from synthstudio.core.spec import PERSON_BASE, FrameSpec, PersonSpec
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.schema.load import parse

NEAR_M, FLOOR_M = 0.02, 0.02
_WORN = ("t_shirt", "jeans", "shorts", "hoodie", "low_shoes", "short_hair")
_OTHER = {"left": "right", "right": "left"}


@dataclass
class Kind:
    """What was found of one kind."""

    name: str
    asked: int = 0
    made: int = 0
    apart_m: float = 0.0
    deep_m: float = 0.0
    through: int = 0
    people: int = 0
    beyond: int = 0
    floating: int = 0

    @property
    def passed(self) -> bool:
        """Return whether the goals hold."""
        few = self.through <= physics.GOAL * self.people
        return few and self.apart_m <= NEAR_M and not (self.beyond or self.floating)

    def text(self) -> str:
        """Return the finding as a line."""
        return (
            f"{self.name:20} made {self.made} of {self.asked}, apart {100 * self.apart_m:.1f} cm, "
            f"deep {100 * self.deep_m:.1f} cm, through {self.through} of {self.people}, "
            f"beyond {self.beyond}, floating {self.floating}"
        )


def stage_of(kind: str, *, people: int = 2) -> FrameGenerator:
    """Open a stage for frames in which all people take part in one interaction."""
    # A new design of a garment takes long.
    left_out = {g.kind: 0.0 for g in wardrobe.garments() if g.kind not in _WORN}
    wanted: dict[str, Any] = {
        "count": people,
        "identities": 200,
        "wardrobe": {"kinds": left_out, "hat": 0.0},
        "together": {"share": 1.0, "kinds": {kind: 1.0}},
    }
    recipe = parse({"name": "together", "frames": 1000, "seed": 3, "people": wanted}, "benchmark")
    return FrameGenerator(prepare(recipe, assets=proofs.ROOT / "scenes", device="cpu"))


def does(spec: FrameSpec, kind: str) -> tuple[PersonSpec, ...]:
    """Return the people of a frame who do that together."""
    return tuple(person for person in spec.people if person.pose.family == kind)


def hand_apart_m(
    stage: FrameGenerator, people: tuple[PersonSpec, ...], meeting: Interaction
) -> float:
    """Return how far the farthest touch of a pair is from touching.

    Who has which role, and on which side, is not stored: of those four the nearest counts.
    """
    if not meeting.touches:
        return 0.0
    casts = ((0, 1), (1, 0))
    ways = [[_told(t, flip) for t in meeting.touches] for flip in (False, True)]
    return min(
        max(_apart_m(stage, people[cast[t.of]], people[cast[1 - t.of]], t) for t in way)
        for cast in casts
        for way in ways
    )


def _told(one: Touch, flip: bool) -> Touch:
    def rotated(name: str) -> str:
        side, _, rest = name.partition("_")
        return f"{_OTHER[side]}_{rest}" if flip and side in _OTHER else name

    return Touch(of=one.of, palm=rotated(one.palm), on=rotated(one.on))


def _apart_m(stage: FrameGenerator, one: PersonSpec, other: PersonSpec, told: Touch) -> float:
    hand = stage.skin_m(one, (told.palm.replace("palm", "hand"),))
    if told.on.endswith("palm"):
        on = stage.skin_m(other, (told.on.replace("palm", "hand"),))
    else:
        on = _worn_m(stage, other, told.on)
    return float(cKDTree(on).query(hand)[0].min())


def _worn_m(stage: FrameGenerator, person: PersonSpec, on: str) -> F64:
    """Return what is drawn of a person about the part of the body that a spot is on."""
    side = on.partition("_")[0]
    arm = on.endswith(("shoulder", "upper_arm"))
    parts = (f"{side}_upper_arm", "torso") if arm else ("torso", "pelvis")
    skin = stage.skin_m(person, parts)
    surfaces = stage.body.posed(person, instance=PERSON_BASE).surfaces
    drawn = [s.faces if s.drawn is None else s.faces[s.drawn] for s in surfaces]
    worn = np.concatenate(
        [s.vertices_m[np.unique(f)] for s, f in zip(surfaces, drawn, strict=True)]
    ).astype(np.float64)
    near: F64 = worn[cKDTree(skin).query(worn)[0] < 0.05]
    return near


def check(stage: FrameGenerator, spec: FrameSpec, kind: Kind, meeting: Interaction) -> None:
    """Ask everything of one frame."""
    people = does(spec, meeting.name)
    kind.asked += 1
    if not people:
        return
    kind.made += 1
    kind.people += len(people)
    if len(people) == 2:
        kind.apart_m = max(kind.apart_m, hand_apart_m(stage, people, meeting))
    bodies = [physics.bare(person) for person in people]
    for k, body in enumerate(bodies):
        depth = max(
            (physics.body_in_body_m(body, other) for j, other in enumerate(bodies) if j != k),
            default=0.0,
        )
        kind.deep_m = max(kind.deep_m, depth)
        kind.through += depth > touch.SOFT_M
        kind.beyond += physics.beyond_rad(people[k]) > 1e-6
        surfaces = stage.body.surfaces(people[k], instance=PERSON_BASE)
        drawn = [s.faces if s.drawn is None else s.faces[s.drawn] for s in surfaces]
        low = min(
            float(s.vertices_m[f, 2].min()) for s, f in zip(surfaces, drawn, strict=True) if len(f)
        )
        kind.floating += abs(low) > FLOOR_M
