"""Things put where they hide what the targets ask for: a search by numbered candidates.

For each person, nearest first: draw a thing and how far in front of the person it stands; see
once how much it would hide at every place to the left and right (sight.slide); look exactly at
the best of these; keep the best of a few things, and put another while that brings it nearer.
Every candidate stands on the floor, clear of everything.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synthstudio.core.catalogue import ThingKind
from synthstudio.core.rng import Generator
from synthstudio.core.scene import F64, Bool
from synthstudio.core.spec import Ask, PersonSpec, ThingSpec
from synthstudio.recipe.contacts.supports import materials
from synthstudio.recipe.layout.placement import Placed, Stage, corners, moved
from synthstudio.recipe.layout.things import design, kinds_left
from synthstudio.recipe.schema.distributions import sample
from synthstudio.recipe.schema.scene import Standing
from synthstudio.recipe.search.asks import NEAR_ENOUGH, Goal, goal, matched
from synthstudio.recipe.search.sight import Sight, Slide, hide, sights, slide, strip_camera

_MENDED = 0.025
"""A further thing is put only for somebody who is so much farther off."""
_PATIENCE = 0.25
"""With each try as much farther off is near enough."""
_GAIN = 0.004
"""A further thing must bring a person at least so much nearer."""
_STEP_PX = 2
_SIZES, _SIZES_FOR_JOINTS = 6, 9
_LEAST_SIZE = 0.3
"""What a thing should be able to hide where only joints are asked for."""
_ALIKE = 0.01
_APART, _PLACES = 4, 6
"""So many places along a slide are looked at, so many steps apart."""
_MOST_REFINED = 2
_STARTS = 3
_FAR_OFF = 0.1
_ANYWHERE = (0.08, 0.9)
_FULL = 0.75
"""How much of its box a thing fills, about."""
_LEAST_SLOPE = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """A thing that could be put, and what is seen of everybody then."""

    thing: Placed
    sights: list[Sight]
    off: float  # of whom it is put for, and what it hides of others beyond what is asked


def hide_people(
    stage: Stage, standing: list[Placed], asks: tuple[Ask, ...]
) -> tuple[list[Placed], tuple[Ask, ...]]:
    """Return things that hide people as asked, and the asks with what is met.

    `standing` is everything that stands already; its people are in the order of the asks. The
    fractions that a frame asks for may change places among its people.
    """
    people = tuple(p.item for p in standing if isinstance(p.item, PersonSpec))
    things = tuple(p.item for p in standing if isinstance(p.item, ThingSpec))
    of_joints = any(goal(stage.draw, ask).of_joints for ask in asks)
    seen = sights(stage.solve, people, things, stage.camera, joints=of_joints)
    asks = matched(asks, np.array([s.occluded_fraction for s in seen]))
    goals = [goal(stage.draw, ask) for ask in asks]
    reachable = [own.of_things for own in goals]
    wants = stage.draw.recipe.targets
    put: list[Placed] = []
    if wants.search and wants.by_things and _entries(stage):
        for place in _nearest_first(stage, people):
            more, seen = _put_for(stage, place, reachable, seen, [*standing, *put])
            put += more
    met = [g.met(s, wants.tolerance) for g, s in zip(goals, seen, strict=True)]
    return put, tuple(dataclasses.replace(a, met=m) for a, m in zip(asks, met, strict=True))


def _put_for(
    stage: Stage, place: int, goals: list[Goal], seen: list[Sight], standing: list[Placed]
) -> tuple[list[Placed], list[Sight]]:
    """Return things put for one person, and what is seen of everybody then.

    Where that does not meet the goal, it is tried again from the start; the best counts.
    """
    wants, own = stage.draw.recipe.targets, goals[place]
    best: tuple[list[Placed], list[Sight]] = [], seen
    least = float("inf")
    for start in range(_STARTS):
        put: list[Placed] = []
        after, off = seen, float(own.off(seen[place].occluded_fraction, seen[place].causes))
        for number in range(wants.things_each):
            key = start * wants.things_each + number
            found = _best(stage, place, key, goals, after, [*standing, *put], further=number > 0)
            if found is None:
                break
            put, after, off = [*put, found.thing], found.sights, found.off
        if off < least:
            best, least = (put, after), off
        if own.met(after[place], wants.tolerance):
            break
    return best


def _nearest_first(stage: Stage, people: tuple[PersonSpec, ...]) -> list[int]:
    spots = np.array([p.position_m for p in people]).reshape(-1, 3)
    return [int(i) for i in np.argsort(stage.camera.to_camera(spots)[:, 2], kind="stable")]


def _best(
    stage: Stage,
    place: int,
    key: int,
    goals: list[Goal],
    seen: list[Sight],
    standing: list[Placed],
    *,
    further: bool,
) -> _Found | None:
    """Return the best of the candidates, or None if none brings the person nearer to its goal.

    `key` names the random streams; `further`: things stand there for the person already.
    """
    own, sight = goals[place], seen[place]
    near = own.near(len(sight.causes)) + (_MENDED if further else 0.0)
    now = float(own.off(sight.occluded_fraction, sight.causes))
    if now <= near or sight.area == 0 or not _wants_more(own, sight):
        return None
    best: _Found | None = None
    effort = stage.draw.recipe.targets.effort
    effort = -(-effort // 2) if further else effort
    for attempt in range(effort):
        rng = stage.draw.rng("target", place, key, attempt)
        least = now if best is None else best.off
        late = attempt >= effort // 3
        found = _tried(stage, place, goals, seen, standing, rng, least=least, late=late)
        if found is not None and found.off < least:
            best = found
            if best.off <= near * (1 + attempt * _PATIENCE):
                break
    return best if best is not None and best.off < now - _GAIN else None


def _wants_more(own: Goal, sight: Sight) -> bool:
    """Return whether hiding more can help."""
    if own.fraction is not None and sight.occluded_fraction < own.fraction:
        return True
    return own.of_joints


def _tried(
    stage: Stage,
    place: int,
    goals: list[Goal],
    seen: list[Sight],
    standing: list[Placed],
    rng: Generator,
    *,
    least: float,
    late: bool,
) -> _Found | None:
    """Return one thing at the best free place to the left or right.

    None where it cannot stand or would not come nearer than `least`. `late`: it may stand
    anywhere between the person and the camera.
    """
    own, sight = goals[place], seen[place]
    entries = _entries(stage)
    wanted = entries[int(rng.random() * len(entries))]
    ahead = sample(wanted.between, rng)
    if late:
        ahead = _ANYWHERE[0] + (_ANYWHERE[1] - _ANYWHERE[0]) * float(rng.random())
    at, eye = (np.array(p[:2]) for p in (standing[place].item.position_m, stage.camera.position_m))
    spot = at + (eye - at) * ahead
    thing = _sized(stage, wanted, own, sight, spot, rng, narrow=late)
    origin = Placed(item=thing, box_m=stage.solve.box_m(thing))
    here = _put(origin, spot)
    if not stage.clear(here.box_m):
        return None
    strip = stage.solve.depths_m((here.item,), strip_camera(sight))
    along = slide(sight, strip, step=_STEP_PX)
    off = own.off(along.occluded_fraction, along.causes)
    aside = _right(stage) * stage.camera.to_camera(np.array([*spot, 0.0]))[2]
    aside /= sight.camera.focal_px  # metres of floor for a column of the window

    def stands(shift_px: float) -> Placed | None:
        put = _put(origin, spot + aside * shift_px)
        return put if stage.clear(put.box_m) and stage.free(put, standing) else None

    for which in _apart(off + _ALIKE * rng.random(len(off))):
        if off[which] >= least:
            break
        free = stands(float(along.shift_px[which]))
        if free is not None:
            found = _exactly(stage, place, goals, seen, free)
            return _refined(stage, place, goals, seen, found, along, which, stands)
    return None


def _refined(
    stage: Stage,
    place: int,
    goals: list[Goal],
    seen: list[Sight],
    found: _Found,
    along: Slide,
    which: int,
    stands: Callable[[float], Placed | None],
) -> _Found:
    """Return the thing moved on by what is missing, by Newton's method, while that helps."""
    own, shift = goals[place], float(along.shift_px[which])
    slope = float(np.gradient(along.occluded_fraction, along.shift_px)[which])
    for _ in range(_MOST_REFINED):
        miss = 0.0
        if own.fraction is not None:
            miss = own.fraction - found.sights[place].occluded_fraction
        if not NEAR_ENOUGH < abs(miss) < _FAR_OFF or abs(slope) < _LEAST_SLOPE:
            break
        shift += miss / slope
        here = stands(shift)
        if here is None:
            break
        tried = _exactly(stage, place, goals, seen, here)
        if tried.off >= found.off:
            break
        found = tried
    return found


def _put(origin: Placed, spot: F64) -> Placed:
    return moved(origin, float(spot[0]), float(spot[1]))


def _apart(off: F64) -> list[int]:
    """Return a few of the places, best first, not next to one another."""
    out: list[int] = []
    for k in np.argsort(off, kind="stable"):
        if all(abs(int(k) - other) >= _APART for other in out):
            out.append(int(k))
        if len(out) == _PLACES:
            break
    return out


def _exactly(
    stage: Stage, place: int, goals: list[Goal], seen: list[Sight], here: Placed
) -> _Found:
    """Return what is seen of everybody with the thing there."""
    out, cost = [], 0.0
    low, high = _outline_px(stage, here)
    for k, (own, sight) in enumerate(zip(goals, seen, strict=True)):
        after = sight
        if k == place or _overlaps(stage, sight, low, high):
            after = hide(sight, stage.solve.depths_m((here.item,), sight.camera))
        if k != place:
            cost += own.beyond(after) - own.beyond(sight)
        out.append(after)
    own, after = goals[place], out[place]
    return _Found(
        thing=here,
        sights=out,
        off=float(own.off(after.occluded_fraction, after.causes)) + cost,
    )


def _outline_px(stage: Stage, here: Placed) -> tuple[F64, F64]:
    """Return the least and greatest pixel of a box; the whole plane if it is near the camera."""
    seen = stage.camera.to_camera(corners(here.box_m))
    if seen[:, 2].min() < 0.1:
        return np.full(2, -np.inf), np.full(2, np.inf)
    px = stage.camera.project(seen)
    return px.min(axis=0), px.max(axis=0)


def _overlaps(stage: Stage, sight: Sight, low: F64, high: F64) -> bool:
    """Return whether a rectangle of the picture meets a window."""
    scale = sight.camera.focal_px / stage.camera.focal_px
    assert sight.camera.centre_px is not None
    centre = np.array([stage.camera.K[0, 2], stage.camera.K[1, 2]])
    first = centre - np.array(sight.camera.centre_px) / scale
    last = first + np.array([sight.camera.width_px, sight.camera.height_px]) / scale
    return bool((high > first).all() and (low < last).all())


def _right(stage: Stage) -> F64:
    """Return (2,) the floor direction that runs to the right in the picture, unit length."""
    right = stage.camera.world_to_camera[0, :2]
    return np.asarray(right / math.hypot(*right))


def _entries(stage: Stage) -> list[Standing]:
    """Return the recipe's things to draw from."""
    return [wanted for wanted in stage.draw.recipe.things if wanted.placement == "in_front"]


def _sized(
    stage: Stage,
    wanted: Standing,
    own: Goal,
    sight: Sight,
    spot: F64,
    rng: Generator,
    *,
    narrow: bool,
) -> ThingSpec:
    """Return a thing at the origin that is large enough, by its box, to hide what is missing.

    The first of a few; `narrow`: the narrowest, so that it hides less of others. Where joints
    are to be hidden, the one that reaches them and hides least besides.
    """
    missing = _LEAST_SIZE if own.fraction is None else own.fraction - sight.occluded_fraction
    depth = float(sight.camera.to_camera(np.array([[*spot, 0.0]]))[0, 2])
    joints = bool(own.hidden and own.unlike(sight.causes))
    kinds = kinds_left(stage.draw, wanted, rng)
    found: list[tuple[float, float, ThingSpec]] = []
    for _ in range(_SIZES_FOR_JOINTS if joints else _SIZES):
        kind = kinds.pick(rng)
        made_of = materials(kind, rng) if isinstance(kind, ThingKind) else ()
        thing = design(wanted, kind, made_of, rng, shrink=0.0)
        top, bottom = _rows(sight, thing.size_m[2], spot)
        wide = math.hypot(*thing.size_m[:2]) * sight.camera.focal_px / depth
        could = _filled(sight.shown[top:bottom], wide) / max(1, sight.area) * _FULL
        reach = _reached(own, sight, top, bottom)
        enough = could >= missing and reach == 1
        if joints:
            found.append((-reach, abs(could - missing), thing))
        else:
            found.append((float(not enough), wide if narrow and enough else -could, thing))
            if enough and not narrow:
                break
    return min(found, key=lambda row: row[:2])[2]


def _reached(own: Goal, sight: Sight, top: int, bottom: int) -> float:
    """Return which share of the joints that are to be hidden, and are not, lie in the rows."""
    if sight.points is None or not own.hidden:
        return 1.0
    joints = np.any(own.hidden, axis=0) & (sight.causes == 0)
    rows = sight.points.row[joints]
    return float(((rows >= top) & (rows < bottom)).mean()) if rows.size else 1.0


def _filled(shown: Bool, width_px: float) -> float:
    """Return about how many of the rows' pixels (h, W) an upright of that width hides."""
    return float(np.minimum(shown.sum(axis=1), width_px).sum())


def _rows(sight: Sight, height_m: float, spot: F64) -> tuple[int, int]:
    """Return the window's rows from the top to the foot of an upright of that height."""
    seen = sight.camera.to_camera(np.array([[*spot, height_m], [*spot, 0.0]]))
    if seen[:, 2].min() < 0.1:
        return 0, sight.camera.height_px
    top, foot = (int(v) for v in np.clip(sight.camera.project(seen)[:, 1], 0, 1e4))
    return min(top, foot), max(top, foot)
