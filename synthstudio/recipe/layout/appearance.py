"""The same people otherwise: in other clothes and colours, or cut as finely as cameras see."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from synthstudio.core.camera import Camera
from synthstudio.core.solve import Solve
from synthstudio.core.spec import FrameSpec, GarmentSpec, PersonSpec, ThingSpec
from synthstudio.recipe.layout.placement import Placed
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.choose import Draw
from synthstudio.recipe.sampling.detail import detail_at
from synthstudio.recipe.sampling.people import dyed, look_of, outfit_of

_DEEPER_M = 0.003
"""New clothes may come so much nearer to what the old ones already touched, and sink or hover
by so much."""
_KEPT = ("shoes", "hair")
"""Slots whose cut stays: shoes carry the body, a hair style belongs to the person."""


def dressed_anew(base: FrameSpec, own: Draw, solve: Solve) -> FrameSpec:
    """Return the same bodies in other clothes, with other skin and other colours of hair.

    Where other clothes would touch something, or lift who lies or sits in them, their cut
    stays and they take other materials only. So it does in clips, all through which people wear
    the same.
    """
    people = list(base.people)
    for place, person in enumerate(base.people):
        others: list[PersonSpec | ThingSpec] = [*people[:place], *people[place + 1 :]]
        others += base.things
        people[place] = _dressed(person, others, own, solve, place)
    return dataclasses.replace(base, people=tuple(people))


def _dressed(
    person: PersonSpec,
    others: Sequence[PersonSpec | ThingSpec],
    own: Draw,
    solve: Solve,
    place: int,
) -> PersonSpec:
    look = look_of(own.recipe.people.shape, person.phenotype, own.rng("look", place))
    slots = {kind.kind: kind for kind in own.catalogue.garments}
    rng = own.rng("dye", place)
    recut: dict[str, GarmentSpec] = {}
    for garment in person.outfit:
        kind = slots[garment.kind]
        if kind.slot == "hair":
            recut[kind.slot] = dataclasses.replace(
                garment, material=palette.hair(look.hair_rgb, rng)
            )
        else:
            recut[kind.slot] = dyed(own, kind, dict(garment.shape), rng)
    same_cut = dataclasses.replace(person, look=look, outfit=tuple(recut.values()))
    wanted = outfit_of(own, person.phenotype.gender, recut["hair"], own.rng("outfit", place))
    outfit = tuple(recut[slots[g.kind].slot] if slots[g.kind].slot in _KEPT else g for g in wanted)
    new = dataclasses.replace(same_cut, outfit=outfit)
    least = own.recipe.people.min_gap_m
    # Through a clip clothes are the same: what fits at one time may touch at another.
    fits = own.recipe.clip is None and _stands_as(person, new, others, solve, least_m=least)
    return new if fits else same_cut


def as_fine_as_seen(
    standing: Sequence[Placed], cameras: Sequence[Camera], solve: Solve, *, least_m: float
) -> list[Placed]:
    """Return everything, people cut finely where one of the cameras is near enough to tell.

    Place, pose and joints stay. Where the fine cut, millimetres off the coarse one, would come
    too near to something, the coarse one stays.
    """
    out = list(standing)
    for place, placed in enumerate(standing):
        person = placed.item
        if not isinstance(person, PersonSpec) or person.detail == "fine" or placed.path:
            continue
        spots = [now.position_m for now in (person, *placed.path)]
        if all(detail_at(camera, x, y) == "coarse" for camera in cameras for x, y, _ in spots):
            continue
        fine = dataclasses.replace(person, detail="fine")
        others = [p.item for p in out if p is not placed]
        if _stands_as(person, fine, others, solve, least_m=least_m):
            path = tuple(dataclasses.replace(now, detail="fine") for now in placed.path)
            out[place] = dataclasses.replace(placed, item=fine, path=path)
    return out


def _stands_as(
    old: PersonSpec,
    new: PersonSpec,
    others: Sequence[PersonSpec | ThingSpec],
    solve: Solve,
    *,
    least_m: float,
) -> bool:
    """Return whether new clothes carry the body as the old did, and keep off everything else."""
    if abs(solve.drop_m(new) - solve.drop_m(old)) > _DEEPER_M:
        return False
    for other in others:
        gap = solve.gap_m(new, other)
        if gap < least_m and gap < min(solve.gap_m(old, other), least_m) - _DEEPER_M:
            return False
    return True
