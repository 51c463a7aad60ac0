"""People's places for targets: in front of one another, across the edge, or apart.

Places are rated with people as cards, flat pictures that are drawn once, then shifted and scaled by
depth; the small change of viewing angle is ignored. The best free place is taken, if needed after
an exact evaluation (scene_visibility.py). A person with self-occlusion targets is turned to meet
them. J joints, n points, S places.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from synthstudio.core.arrays import F64, Bool
from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import GeometryQueries
from synthstudio.core.rng import Generator
from synthstudio.core.skeleton import crowd_joints, crowd_ratio
from synthstudio.core.spec import PersonSpec
from synthstudio.recipe.layout.placement import (
    CLEAR_M,
    Find,
    Layout,
    Seeker,
    bearing_rad,
    candidate,
    first_free,
    moved,
)
from synthstudio.recipe.sampling.context import Unit
from synthstudio.recipe.sampling.people import facing_rad, with_other_pose
from synthstudio.recipe.sampling.view import detail_at
from synthstudio.recipe.search.goals import OBJECT, PERSON, SELF, TRUNCATED, VISIBLE, Goal, goal_of
from synthstudio.recipe.search.scene_visibility import points_among, window

_USUAL = 24
"""Candidates drawn as without targets; and more in front, behind and across the edge."""
_ABOUT = 32
_BEHIND_M, _BEHIND = (0.5, 2.2), 0.65
_ASIDE_M = 0.9
_REFINED, _AROUND, _ASIDE_LITTLE_M = 12, 8, 0.3
"""How many of the best places are refined, how often and how far."""
_BESIDE_M, _DEEP_M = (0.8, 2.2), 0.8
_ALIKE = 0.03
_OVERLAP, _CLOSE, _ROOM = 0.5, 0.4, 1.8
"""The cost of standing in front of a person, or close beside, if not requested."""
_ALIKE_CROWD = 0.005
_CROWD_EFFORT, _CAUSES_EFFORT = (0.03, 5), (0.04, 6)
"""The error that ends the search, and how many places are evaluated exactly."""
_FREE_TRIES = 24
_EDGE = 1.9
"""The edge cuts off many joints at once, so its places need a smaller error."""
_YAWS = 6
_POSES = 6
"""How many turns of a pose are tried, and how many further poses."""
_YAW_NEAR = 0.045
_POSE_NEAR = 0.06
_EASE = 0.5
_TOGETHER = (0.03, 0.3)
"""Maximum spread of joints to be hidden, in heights of the person: smaller, the more of it is to
be hidden."""
_MIDDLE_M = 0.9
_CLEARLY = 0.7
"""Required margin for visible joints: the view changes a little with the place."""


def finder(layout: Layout) -> Find:
    """The placement search for each person in turn; without targets the first free place."""
    if not layout.targets or not layout.ctx.recipe.targets.search:
        return first_free
    names = layout.ctx.joint_names
    goals = [goal_of(target, names) for target in layout.targets]
    cards = functools.cache(lambda person: card(layout.geometry, layout.camera, person, names))
    return functools.partial(_aimed, goals=goals, cards=cards)


def _aimed(
    layout: Layout,
    seeker: Seeker,
    *,
    goals: list[Goal],
    cards: Callable[[PersonSpec], Card],
) -> tuple[float, float] | None:
    """The free place nearest to all targets so far, or None."""
    built, placed, crowd = seeker.built, seeker.placed, layout.crowd
    others = [p.item for p in placed if isinstance(p.item, PersonSpec)]
    if not others and not any(TRUNCATED in own.fractions for own in goals):
        return first_free(layout, seeker)
    person = built(0.0)[0].item
    assert isinstance(person, PersonSpec)
    own = cards(person)
    before = [shown(cards(other), layout.camera, other.position_m) for other in others]
    before = [seen for seen in before if seen.ahead]
    spots = _spots(layout, others, place=seeker.place, reach_m=seeker.reach_m)

    def errors_at(spots: list[tuple[float, float]]) -> list[float]:
        here = shown(own, layout.camera, [(*spot, person.position_m[2]) for spot in spots])
        errors = np.where(here.ahead, _errors(layout, [*before, here], goals), np.inf)
        return [float(error) for error in errors]

    causes = any({PERSON, TRUNCATED} & goal.fractions.keys() for goal in goals)
    errors = errors_at(spots)
    if causes:
        nearby = _nearby(layout, spots, errors, seeker.place)
        spots, errors = spots + nearby, errors + errors_at(nearby)
    # Among equal places, those drawn first come first.
    step = _ALIKE if crowd is None else _ALIKE_CROWD
    steps = [(round(error / step) if np.isfinite(error) else 1_000_000) for error in errors]
    order = sorted(range(len(spots)), key=lambda k: (steps[k], k))
    near, tries = _CROWD_EFFORT if crowd is not None and before else _CAUSES_EFFORT
    best: tuple[float, float] | None = None
    minimum, checked = np.inf, 0
    for k in order[:_FREE_TRIES]:
        here_parts = [moved(part, *spots[k]) for part in built(bearing_rad(layout, *spots[k]))]
        if not all(layout.ahead(part) and layout.free(part, placed) for part in here_parts):
            continue
        exact = here_parts[0].item
        assert isinstance(exact, PersonSpec)
        if crowd is not None and before:
            # Crowd indices have tighter tolerances than a moved card's accuracy.
            seen = shown(cards(exact), layout.camera, exact.position_m)
            here = _crowd_error(layout, [*before, seen], crowd) if seen.ahead else np.inf
        elif causes:
            here = _cause_error(layout, (*others, exact), goals)
        else:
            return spots[k]
        if here < minimum:
            best, minimum = spots[k], here
        checked += 1
        if minimum <= near or checked == tries:
            break
    return best or first_free(layout, seeker)


def _crowd_error(layout: Layout, cards: list[Shown], crowd: float) -> float:
    return abs(crowd_index(layout.camera, cards) - crowd)


def _cause_error(layout: Layout, people: tuple[PersonSpec, ...], goals: list[Goal]) -> float:
    """Exact error of the fractions hidden by people (everybody) and cut off (the last person)."""
    out = 0.0
    seen = points_among(layout.geometry, people, layout.camera)
    for k, (own, points) in enumerate(zip(goals, seen, strict=False)):
        causes, last = points.causes(), len(people) in (k + 1, len(goals))
        if PERSON in own.fractions:
            out += float(_share_error((causes == PERSON).mean(), own, last=last))
        if TRUNCATED in own.fractions and k == len(people) - 1:
            out += _EDGE * abs(float((causes == TRUNCATED).mean()) - own.fractions[TRUNCATED])
    return out


def _share_error(share: Any, own: Goal, *, last: bool) -> Any:
    """Error of the fraction of joints hidden by people, before objects hide some as well."""
    error = share - own.fractions[PERSON] / max(0.1, 1 - own.fractions.get(OBJECT, 0.0))
    # A person placed later may hide more of earlier ones.
    return np.abs(error) if last else np.maximum(0.0, error)


def _errors(layout: Layout, cards: list[Shown], goals: list[Goal]) -> F64:
    """(S,) or (): the error of the people placed so far; the last is the new one at S places."""
    crowd, last_card, out = layout.crowd, cards[-1], np.zeros(())
    apart = crowd is None and not any(PERSON in own.fractions for own in goals)
    if crowd is not None and len(cards) > 1:
        each = ([*cards[:-1], one] for one in last_card.places())
        out = out + np.array([_crowd_error(layout, tried, crowd) for tried in each])
    for k, own in enumerate(goals[: len(cards)]):
        share, joints = hidden_by_others(layout.camera, cards, k)
        if own.fraction is not None:
            out = out + np.maximum(0.0, share - own.fraction)
        if apart:
            out = out + (_OVERLAP * share + _CLOSE * _closeness(cards, k))
        if PERSON in own.fractions:
            last = len(cards) in (k + 1, len(goals))
            out = out + _share_error(joints.mean(axis=-1), own, last=last)
        if TRUNCATED in own.fractions and k == len(cards) - 1:
            outside = ~layout.camera.shows(last_card.at(last_card.card.joints_m))
            out = out + _EDGE * np.abs(outside.mean(axis=-1) - own.fractions[TRUNCATED])
    return out


def _closeness(cards: list[Shown], place: int) -> F64:
    """0 for a card with room for an object at its sides, to 1 for one right in front of another."""
    own, out = cards[place], np.zeros(())
    wide = (own.card.box_m[1, 0] - own.card.box_m[0, 0]) * own.per_m
    for k, other in enumerate(cards):
        if k != place:
            away = np.abs(own.px[..., 0] - other.px[..., 0]) / np.maximum(1.0, _ROOM * wide)
            out = np.maximum(out, 1 - away)
    return out


def _spots(
    layout: Layout, others: list[PersonSpec], *, place: int, reach_m: float
) -> list[tuple[float, float]]:
    usual, more = layout.ctx.rng("spot", place), layout.ctx.rng("target", "spot", place)
    spots = [
        candidate(layout, usual, number, place=place, reach_m=reach_m) for number in range(_USUAL)
    ]
    targets = layout.ctx.recipe.targets
    together = targets.crowd_index is not None or "person" in targets.causes
    if others:
        # Places behind a person and across the edge are rarer.
        rare = together and "truncated" in targets.causes
        near = _behind if together else _beside
        for _ in range(4 * _ABOUT if rare else _ABOUT):
            spots.append(near(layout, others[int(more.random() * len(others))], more))
    if "truncated" in targets.causes:
        spots += [_across(layout, more) for _ in range(2 * _ABOUT)]
    return spots


def _nearby(
    layout: Layout, spots: list[tuple[float, float]], errors: list[float], place: int
) -> list[tuple[float, float]]:
    rng = layout.ctx.rng("target", "nearby", place)
    best = np.argsort(errors, kind="stable")[:_REFINED]
    aside = (2 * rng.random((len(best), _AROUND, 2)) - 1) * _ASIDE_LITTLE_M
    return [(float(x), float(y)) for x, y in (np.array(spots)[best, None] + aside).reshape(-1, 2)]


def _beside(layout: Layout, other: PersonSpec, rng: Generator) -> tuple[float, float]:
    u, v = rng.random(2)
    low, high = _BESIDE_M
    aside = math.copysign(low + (high - low) * abs(2 * u - 1), u - 0.5)
    x, y = other.position_m[0] + aside, other.position_m[1] + (v - 0.5) * _DEEP_M
    depth = y + layout.distance_m
    middle, half = layout.middle_m(depth), layout.half_width_m(max(depth, CLEAR_M))
    return float(min(max(x, middle - half), middle + half)), float(y)


def _behind(layout: Layout, other: PersonSpec, rng: Generator) -> tuple[float, float]:
    """A place behind or in front of a person as seen by the camera, or slightly aside."""
    u, v, w = rng.random(3)
    low, high = _BEHIND_M if w < _BEHIND else (-_BEHIND_M[0], -_BEHIND_M[1])
    at = np.array(other.position_m[:2])
    away = at - np.array(layout.camera.position_m[:2])
    away /= max(1e-6, float(np.linalg.norm(away)))
    aside = (2 * v - 1) * _ASIDE_M
    x, y = at + away * (low + (high - low) * u) + np.array([away[1], -away[0]]) * aside
    return float(x), float(y)


def _across(layout: Layout, rng: Generator) -> tuple[float, float]:
    """A place near the left or right edge of the view, or near the camera."""
    u, v, side = rng.random(3)
    if side < 0.4:  # near: the legs are below the picture
        depth = max(CLEAR_M + 0.4, layout.distance_m * (0.2 + 0.7 * u))
        return layout.middle_m(depth) + (v - 0.5) * layout.half_width_m(depth), float(
            depth - layout.distance_m
        )
    depth = layout.distance_m * (0.6 + 0.7 * u)
    edge = layout.half_width_m(depth) / 0.8
    x = layout.middle_m(depth) + math.copysign(edge + (v - 0.5) * 0.9, side - 0.7)
    return float(x), float(depth - layout.distance_m)


# Turning -------------------------------------------------------------------------------------


def rotated_people(layout: Layout, people: tuple[Unit, ...], *, seats: bool) -> tuple[Unit, ...]:
    """The people, turned and if necessary with new poses so that targets can be met."""
    if not layout.targets or not layout.ctx.recipe.targets.search:
        return people
    return tuple(
        _fitting(layout, unit, goal_of(target, layout.ctx.joint_names), place, seats)
        for place, (unit, target) in enumerate(zip(people, layout.targets, strict=True))
    )


def _fitting(layout: Layout, unit: Unit, own: Goal, place: int, seats: bool) -> Unit:
    others = sum(share for cause, share in own.fractions.items() if cause != SELF)
    # The rest's occluders take some of the self-occluded joints.
    self_share = own.fractions[SELF] / max(0.1, 1 - 0.5 * others) if SELF in own.fractions else None
    if self_share is None and not (own.shown or own.hidden):
        return unit
    best, minimum = _rotated(layout, unit, own, place, self_share)
    person, key = unit
    fixed = bool(person.pose.turns or key.holds or key.leans)  # fixed by a motion, or by contacts
    for number in range(_POSES):
        if minimum <= _POSE_NEAR or fixed:
            break
        again = with_other_pose(layout.ctx, person, place, number, seats=seats)
        tried, error = _rotated(layout, again, own, place, self_share)
        if error < minimum:
            best, minimum = tried, error
    return best


def _rotated(
    layout: Layout, unit: Unit, own: Goal, place: int, self_share: float | None
) -> tuple[Unit, float]:
    person, key = unit
    rng = layout.ctx.rng("target", "turn", place)
    best, minimum = person, np.inf
    for number in range(_YAWS):
        yaw = person.yaw_rad if number == 0 else facing_rad(layout.ctx, person.pose, place, rng)
        error = _turn_error(layout, dataclasses.replace(person, yaw_rad=yaw), own, self_share)
        if error < minimum:
            best, minimum = dataclasses.replace(person, yaw_rad=yaw), error
        if minimum <= _YAW_NEAR:
            break
    return (best, key), float(minimum)


def _turn_error(layout: Layout, person: PersonSpec, own: Goal, self_share: float | None) -> float:
    """The error of a turn; joints to be hidden should be near together.

    Self-occlusion is evaluated only if requested or excluded: it needs a dressed body, joint
    positions only a bare one.
    """
    out = 0.0
    if own.hidden:
        middle = dataclasses.replace(person, position_m=(0.0, 0.0, _MIDDLE_M))
        at = layout.camera.project(layout.camera.to_camera(layout.geometry.joints_m(middle)))
        high = float(np.ptp(at[:, 1])) + 1.0
        for group in own.hidden:
            apart = float(np.ptp(at[group], axis=0).max()) / high
            near = _TOGETHER[0] + _TOGETHER[1] * (0.5 if own.fraction is None else own.fraction)
            out += _EASE * max(0.0, apart - near)
    if own.shown or self_share is not None:
        # Dressed at the most likely level of detail, which is then cached.
        person = dataclasses.replace(person, detail=detail_at(layout.camera, 0.0, 0.0))
        stood = dataclasses.replace(person, position_m=(0.0, 0.0, layout.geometry.drop_m(person)))
        (points,) = points_among(layout.geometry, (stood,), layout.camera)
        clear = points.causes(threshold=_CLEARLY)
        out += sum(bool((clear[group] != VISIBLE).all()) for group in own.shown)
        if self_share is not None:
            out += abs(float((points.causes() == SELF).mean()) - self_share)
    return out


# Cards ------------------------------------------------------------------------------------------

_SAMPLES = 56
_POINTS = 150
_MIN_DEPTH_M = 0.3


@dataclass(frozen=True, kw_only=True, eq=False)
class Card:
    """A person's outline and joints in metres right and down of its root, at the root's depth."""

    mask: Bool  # (h, w)
    per_m: float
    root: F64  # (2,) root's position in the mask
    points_and_joints_m: F64  # (n + J, 2) samples of the mask, and the joints
    joints_m: F64  # (J, 2)
    crowd_m: F64  # (14 or fewer, 2) CrowdPose's joints
    box_m: F64  # (2, 2)


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """A card at S places (...: S), or at one (...: nothing)."""

    card: Card
    px: F64  # (..., 2) of the root
    per_m: F64  # (...) pixels a metre
    depth_m: F64  # (...)

    @property
    def ahead(self) -> Bool:
        """(...) whether it is not behind the camera."""
        return np.asarray(self.depth_m >= _MIN_DEPTH_M)

    def places(self) -> Iterator[Shown]:
        for px, per_m, depth_m in zip(self.px, self.per_m, self.depth_m, strict=True):
            yield dataclasses.replace(self, px=px, per_m=per_m, depth_m=depth_m)

    def at(self, offsets_m: F64) -> F64:
        """Pixels (..., n, 2) of offsets (n, 2) from the root."""
        return np.asarray(self.px[..., None, :] + offsets_m * self.per_m[..., None, None])

    def covers(self, px: F64) -> Bool:
        """(..., n) which pixels (..., n, 2) the card covers."""
        scale = (self.card.per_m / self.per_m)[..., None, None]
        cell = np.floor((px - self.px[..., None, :]) * scale + self.card.root)
        within = np.asarray(((cell >= 0) & (cell < self.card.mask.shape[::-1])).all(axis=-1))
        place = np.where(within[..., None], cell, 0).astype(np.intp)
        return np.asarray(within & self.card.mask[place[..., 1], place[..., 0]])


def card(
    geometry: GeometryQueries, camera: Camera, person: PersonSpec, names: tuple[str, ...]
) -> Card:
    """The card of a person in front of the camera; `names` are the joints'."""
    seen = window(camera, geometry.box_m(person), samples=_SAMPLES, whole=True)
    mask = np.isfinite(geometry.depths_m((person,), seen))
    root = np.array([person.position_m])
    depth = float(seen.to_camera(root)[0, 2])
    at = seen.project(seen.to_camera(root))[0]
    per_m = seen.focal_px / depth
    rows, columns = np.nonzero(mask)
    covered = np.stack([columns + 0.5, rows + 0.5], axis=1)
    joints_3d = geometry.joints_m(person)
    joints = (seen.project(seen.to_camera(joints_3d)) - at) / per_m
    limbs, pairs = crowd_joints(names)
    counted = np.concatenate([joints_3d[limbs], joints_3d[pairs].mean(axis=1)])
    crowd = (seen.project(seen.to_camera(counted)) - at) / per_m
    if not len(covered):
        covered = at[None]
    box = np.stack([covered.min(axis=0) - 0.5, covered.max(axis=0) + 0.5])
    step = max(1, len(covered) // _POINTS)
    return Card(
        mask=mask,
        per_m=per_m,
        root=at,
        points_and_joints_m=np.concatenate([(covered[::step] - at) / per_m, joints]),
        joints_m=joints,
        crowd_m=crowd,
        box_m=(box - at) / per_m,
    )


def shown(own: Card, camera: Camera, root_m: ArrayLike) -> Shown:
    """The card with its root at places (..., 3)."""
    # One place at a time: a product of larger matrices may differ in its last digit.
    seen = camera.to_camera(np.asarray(root_m, np.float64)[..., None, :])[..., 0, :]
    depth = seen[..., 2]
    per_m = np.asarray(camera.focal_px / np.where(depth < _MIN_DEPTH_M, 1.0, depth))
    return Shown(card=own, px=camera.project(seen), per_m=per_m, depth_m=depth)


def hidden_by_others(camera: Camera, cards: list[Shown], place: int) -> tuple[F64, Bool]:
    """(...) the fraction of a card inside the picture covered by nearer cards, (..., J) joints."""
    own = cards[place]
    px = own.at(own.card.points_and_joints_m)
    kept = camera.shows(px)
    covered = np.zeros_like(kept)
    for k, other in enumerate(cards):
        nearer = np.asarray(other.depth_m < own.depth_m)
        if k != place and nearer.any():
            covered = covered | (other.covers(px) & nearer[..., None])
    covered = covered & kept
    count = px.shape[-2] - len(own.card.joints_m)
    inside = np.maximum(1, kept[..., :count].sum(axis=-1))
    return covered[..., :count].sum(axis=-1) / inside, covered[..., count:]


def crowd_index(camera: Camera, cards: list[Shown]) -> float:
    """An approximation of `label.frame.crowd_index`."""
    joints = [s.at(s.card.crowd_m) for s in cards]
    joints = [px[camera.shows(px)] for px in joints]
    return crowd_ratio(joints, [own.at(own.card.box_m) for own in cards])
