"""Gaze of placed people: into the camera, at another person, away, or as posed.

Only neck and eyes turn, within their limits; a head that cannot turn that far keeps its pose.
Each person has a separate random stream.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from synthstudio.core.spec import ObjectSpec, PersonSpec, PoseSpec
from synthstudio.recipe.contacts.together import looking, rotated
from synthstudio.recipe.layout.placement import Layout, Placed
from synthstudio.recipe.sampling.context import pick_one
from synthstudio.recipe.sampling.pose_jitter import freed

_AT_HEAD = frozenset({"phone", "cup"})
"""Grips of objects held to the head, which keeps its pose."""
_AWAY_RAD = (math.radians(60), math.radians(15))
_SOFT_M = 0.02


def with_gaze(layout: Layout, standing: list[Placed]) -> list[Placed]:
    weights = {str(k): v for k, v in layout.ctx.recipe.people.poses.look.items()}
    if not any(weight for what, weight in weights.items() if what != "pose"):
        return standing
    out = list(standing)
    for place, one in enumerate(standing):
        if not isinstance(one.item, PersonSpec):
            break  # people come first
        if place < len(layout.together):
            continue  # gaze fixed by their interaction
        rng = layout.ctx.rng("look", place)
        what = pick_one(sorted(weights), rng, weights=weights)
        aside, lift = ((2 * float(u) - 1) for u in rng.random(2))
        if what == "pose" or _holds_to_head(layout, place) or one.item.pose.turns:
            continue
        if what == "away":
            pose = rotated(one.item.pose, aside * _AWAY_RAD[0], lift * _AWAY_RAD[1])
        else:
            pose = _aimed(layout, one.item, out, place, what)
        if pose is not None:
            out[place] = _if_free(layout, out, place, pose)
    return out


def _holds_to_head(layout: Layout, place: int) -> bool:
    contact = layout.contacts.get(place)
    return contact is not None and any(kind.grip in _AT_HEAD for kind in contact.kinds)


def _aimed(
    layout: Layout, person: PersonSpec, items: list[Placed], place: int, what: str
) -> PoseSpec | None:
    eye = layout.ctx.joints_m(person)["nose"]
    targets = [np.array(layout.camera.position_m)]
    if what == "person":
        others = [p.item for k, p in enumerate(items) if k != place]
        people = [item for item in others if isinstance(item, PersonSpec)]
        targets = [layout.ctx.joints_m(p)["nose"] for p in people]
    if not targets:
        return None
    way = min((target - eye for target in targets), key=lambda d: float(np.linalg.norm(d)))
    return looking(person, way)


def _if_free(layout: Layout, items: list[Placed], place: int, pose: PoseSpec) -> Placed:
    """The person in that pose, or unchanged if the head would touch something."""
    old = items[place]
    assert isinstance(old.item, PersonSpec)
    person = dataclasses.replace(old.item, pose=pose)
    new = layout.placed(person)
    others = [p for k, p in enumerate(items) if k != place and not _belongs_to(p.item, place)]
    deeper, before = layout.geometry.self_penetrations_m(
        person.phenotype, [pose.angles_rad, old.item.pose.angles_rad]
    )
    if not layout.free(new, others) or deeper > max(before, _SOFT_M):
        return old
    angles = dict(pose.angles_rad)  # a head needs no self-penetration repair
    return new if freed(layout.ctx, person.phenotype, angles)[0] == angles else old


def _belongs_to(item: PersonSpec | ObjectSpec, place: int) -> bool:
    return isinstance(item, ObjectSpec) and (
        item.held_by == place or item.role in ("seat", "support")
    )
