"""Occluders of a scene: objects on the floor, placed to meet the occlusion targets.

For each person, nearest first: draw an object and its distance in front of the person; compute
once how much it would hide at every place to the left and right (`slide`); evaluate the best of
these exactly. Every candidate stands on the floor, clear of all items.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.core.rng import Generator
from synthstudio.core.spec import ObjectSpec, OcclusionTarget, PersonSpec
from synthstudio.recipe.layout.objects import design, kinds_left
from synthstudio.recipe.layout.placement import Layout, Placed, moved
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.schema.distributions import pick, sample
from synthstudio.recipe.schema.scene import Standing
from synthstudio.recipe.search import occluders
from synthstudio.recipe.search.goals import TOLERANCE, Goal, goal_of, reassigned
from synthstudio.recipe.search.scene_visibility import (
    SceneVisibility,
    Slide,
    corner_px,
    hide,
    outline_px,
    slide,
    strip_camera,
    visibilities,
)

_FURTHER = 0.025
"""Minimum extra distance of a person if a further object is placed."""
_STEP_PX = 2
_SIZES, _SIZES_FOR_JOINTS = 6, 9
_MIN_SIZE = 0.3
"""The amount an object should be able to hide if only joints are requested."""
_TIE_NOISE = 0.01
_STEPS_APART, _PLACES = 4, 6
"""How many places along a slide are evaluated, and their spacing in steps."""
_REFINED_BELOW = 0.1
_ANYWHERE = (0.08, 0.9)
_FILL_SHARE = 0.75
"""Typical fill of an object's box."""
_MIN_SLOPE = 1e-3

Found = occluders.Candidate[Placed, SceneVisibility]


def hide_people(
    layout: Layout, standing: list[Placed]
) -> tuple[list[Placed], tuple[OcclusionTarget, ...]]:
    """Objects that hide people as the targets say, and those with whether they are met.

    `standing` are all existing items; its people are in the order of the targets. A frame's
    requested fractions may be permuted among its people.
    """
    names, requested = layout.ctx.joint_names, layout.targets
    targets = layout.ctx.recipe.targets
    people = tuple(p.item for p in standing if isinstance(p.item, PersonSpec))
    objects = tuple(p.item for p in standing if isinstance(p.item, ObjectSpec))
    joints = any(goal_of(target, names).needs_joints for target in requested)
    seen = list(visibilities(layout.geometry, people, objects, layout.camera, joints=joints))
    requested = reassigned(requested, np.array([s.occluded_fraction for s in seen]))
    goals = [goal_of(target, names) for target in requested]
    put: list[Placed] = []
    if targets.search and targets.by_objects and _in_front(layout):
        spots = np.array([p.position_m for p in people]).reshape(-1, 3)
        nearest_first = np.argsort(layout.camera.to_camera(spots)[:, 2], kind="stable")
        reachable = [goal.for_objects for goal in goals]
        for person in nearest_first.tolist():
            problem = _SceneProblem(
                ctx=layout.ctx, goals=reachable, layout=layout, standing=[*standing, *put]
            )
            more, seen = occluders.hide_person(problem, person, seen)
            put += more
    met = [goal.met(s, targets.tolerance) for goal, s in zip(goals, seen, strict=True)]
    return put, tuple(dataclasses.replace(a, met=m) for a, m in zip(requested, met, strict=True))


def _in_front(layout: Layout) -> list[Standing]:
    return [entry for entry in layout.ctx.recipe.objects if entry.placement == "in_front"]


@dataclass(frozen=True, kw_only=True, eq=False)
class _SceneProblem(occluders.Problem[Placed, SceneVisibility]):
    starts: int = 3
    gain: float = 0.004
    patience: float = 0.25
    layout: Layout
    standing: list[Placed]

    def tolerance(self, person: int, seen: SceneVisibility, *, further: bool) -> float:
        return self.goals[person].tolerance(len(seen.causes)) + (_FURTHER if further else 0.0)

    def rounds(
        self, person: int, key: int, seen: list[SceneVisibility], put: list[Placed]
    ) -> Iterator[Iterator[occluders.Propose[Placed, SceneVisibility]]]:
        effort = self.ctx.recipe.targets.effort
        tries = -(-effort // 2) if put else effort
        standing = [*self.standing, *put]

        def propose(attempt: int) -> occluders.Propose[Placed, SceneVisibility]:
            rng = self.ctx.rng("target", person, key, attempt)
            spot = _Spot(self, person, self.goals[person], seen, seen[person], standing)
            return lambda minimum: spot.tried(rng, minimum=minimum, anywhere=attempt >= tries // 3)

        yield map(propose, range(tries))

    def harm(self, person: int, before: SceneVisibility, after: SceneVisibility) -> float:
        return self.goals[person].overshoot(after) - self.goals[person].overshoot(before)


@dataclass(frozen=True)
class _Spot:
    """The range of places where one object is tried before one person."""

    problem: _SceneProblem
    person: int
    goal: Goal
    seen: list[SceneVisibility]
    own: SceneVisibility  # the person's
    standing: list[Placed]

    def tried(self, rng: Generator, *, minimum: float, anywhere: bool) -> Found | None:
        """One object at the best free place to the left or right.

        None if it cannot stand or would not beat `minimum`. `anywhere`: it may stand anywhere
        between the person and the camera, ignoring the recipe's range.
        """
        layout, camera = self.problem.layout, self.problem.layout.camera
        entries = _in_front(layout)
        entry = entries[int(rng.random() * len(entries))]
        ahead = sample(entry.between, rng)
        if anywhere:
            ahead = _ANYWHERE[0] + (_ANYWHERE[1] - _ANYWHERE[0]) * float(rng.random())
        at, eye = (
            np.array(p[:2]) for p in (self.standing[self.person].item.position_m, camera.position_m)
        )
        spot = at + (eye - at) * ahead
        origin = layout.placed(self.large_enough(entry, spot, rng, narrow=anywhere))
        here = moved(origin, *spot.tolist())
        if not layout.clear(here.box_m):
            return None
        strip = layout.geometry.depths_m((here.item,), strip_camera(self.own))
        along = slide(self.own, strip, step=_STEP_PX)
        error = self.goal.error(along.occluded_fraction, along.causes)
        right = camera.world_to_camera[0, :2]
        aside = right / math.hypot(*right) * camera.to_camera(np.array([*spot, 0.0]))[2]
        aside /= self.own.camera.focal_px  # metres of floor for a column of the window

        def placed_at(shift_px: float) -> Placed | None:
            put = moved(origin, *(spot + aside * shift_px).tolist())
            can = layout.on_floor(put.box_m, below=True) and layout.clear(put.box_m)
            return put if can and layout.free(put, self.standing) else None

        for which in _best_apart(error + _TIE_NOISE * rng.random(len(error))):
            if error[which] >= minimum:
                break
            free = placed_at(float(along.shift_px[which]))
            if free is not None:
                return self.refined(self.exactly(free), along, which, placed_at)
        return None

    def large_enough(
        self, entry: Standing, spot: F64, rng: Generator, *, narrow: bool
    ) -> ObjectSpec:
        """An object at the origin whose box is large enough to hide the missing amount.

        The first of a few; `narrow`: the narrowest, so that it hides less of others. For joint
        targets, the one that covers them and hides least besides.
        """
        goal, own = self.goal, self.own
        missing = _MIN_SIZE if goal.fraction is None else goal.fraction - own.occluded_fraction
        depth = float(own.camera.to_camera(np.array([[*spot, 0.0]]))[0, 2])
        joints = bool(goal.hidden and goal.joint_mismatch(own.causes))
        kinds = kinds_left(self.problem.ctx, entry, rng)
        found: list[tuple[float, float, ObjectSpec]] = []
        for _ in range(_SIZES_FOR_JOINTS if joints else _SIZES):
            kind = pick(kinds, rng)
            obj = design(entry, kind, palette.materials(kind, rng), rng, shrink=0.0)
            top, bottom = _rows(own, obj.size_m[2], spot)
            wide = math.hypot(*obj.size_m[:2]) * own.camera.focal_px / depth
            filled = float(np.minimum(own.shown[top:bottom].sum(axis=1), wide).sum())
            could = filled / max(1, own.area) * _FILL_SHARE
            reach = _reached(goal, own, top, bottom)
            enough = could >= missing and reach == 1
            if joints:
                found.append((-reach, abs(could - missing), obj))
            else:
                found.append((float(not enough), wide if narrow and enough else -could, obj))
                if enough and not narrow:
                    break
        return min(found, key=lambda row: row[:2])[2]

    def refined(
        self, found: Found, along: Slide, which: int, placed_at: Callable[[float], Placed | None]
    ) -> Found:
        """The object moved by the missing amount, by Newton's method, while that helps."""
        shift = float(along.shift_px[which])
        slope = float(np.gradient(along.occluded_fraction, along.shift_px)[which])

        def step(now: Found) -> Found | None:
            nonlocal shift
            missing = 0.0
            if self.goal.fraction is not None:
                missing = self.goal.fraction - now.seen[self.person].occluded_fraction
            if not TOLERANCE < abs(missing) < _REFINED_BELOW or abs(slope) < _MIN_SLOPE:
                return None
            shift += missing / slope
            here = placed_at(shift)
            return None if here is None else self.exactly(here)

        return occluders.refined(found, step)

    def exactly(self, here: Placed) -> Found:
        layout = self.problem.layout
        low, high = outline_px(layout.camera, here.box_m)
        after = [
            hide(one, layout.geometry.depths_m((here.item,), one.camera))
            if k == self.person or _overlaps(layout, one, low, high)
            else one
            for k, one in enumerate(self.seen)
        ]
        return occluders.scored(self.problem, self.person, here, self.seen, after)


def _best_apart(error: F64) -> list[int]:
    """A few of the places, best first, not adjacent."""
    out: list[int] = []
    for k in np.argsort(error, kind="stable"):
        if all(abs(int(k) - other) >= _STEPS_APART for other in out):
            out.append(int(k))
        if len(out) == _PLACES:
            break
    return out


def _overlaps(layout: Layout, seen: SceneVisibility, low: F64, high: F64) -> bool:
    scale = seen.camera.focal_px / layout.camera.focal_px
    first = np.array(corner_px(layout.camera, seen.camera))
    last = first + np.array([seen.camera.width_px, seen.camera.height_px]) / scale
    return bool((high > first).all() and (low < last).all())


def _reached(goal: Goal, seen: SceneVisibility, top: int, bottom: int) -> float:
    """Fraction of the still visible joints to be hidden that lie in the rows."""
    if seen.points is None or not goal.hidden:
        return 1.0
    rows = seen.points.row[np.any(goal.hidden, axis=0) & (seen.causes == 0)]
    return float(((rows >= top) & (rows < bottom)).mean()) if rows.size else 1.0


def _rows(seen: SceneVisibility, height_m: float, spot: F64) -> tuple[int, int]:
    """The window's rows from the top to the foot of an upright of that height."""
    ends = seen.camera.to_camera(np.array([[*spot, height_m], [*spot, 0.0]]))
    if ends[:, 2].min() < 0.1:
        return 0, seen.camera.height_px
    top, foot = (int(v) for v in np.clip(seen.camera.project(ends)[:, 1], 0, 1e4))
    return min(top, foot), max(top, foot)
