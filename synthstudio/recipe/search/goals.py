"""The targets of each person of a frame, and a candidate's distance from them.

Requested values are planned: those of frame i come from a stratified permutation of i
(context.py), so any long run follows the recipe's distribution, whoever makes which frames.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from synthstudio.core.arrays import F64, I32, Bool
from synthstudio.core.spec import OcclusionTarget
from synthstudio.recipe.sampling.context import STRATA, SampleContext, stratified
from synthstudio.recipe.schema.distributions import quantile

CAUSES = ("visible", "self", "person", "object", "truncated")
VISIBLE, SELF, PERSON, OBJECT, TRUNCATED = range(len(CAUSES))
TOLERANCE = 0.015
"""An error below this is acceptable; see `Goal.tolerance`."""
_HIDDEN_TOLERANCE = 0.012
_CAUSE_WEIGHT = 0.6
_JOINT_WEIGHT = 0.4
_NO_CAUSES = np.zeros(1, np.int32)
_LEAN_FROM, _LEAN_MIN, _BISECTIONS = 0.1, 0.01, 60


# Targets ----------------------------------------------------------------------------------------


def draw_targets(ctx: SampleContext, count: int) -> tuple[OcclusionTarget, ...]:
    """The targets of the frame's `count` people; empty without targets."""
    if not ctx.recipe.targets.any:
        return ()
    requests = tuple(_target(ctx, place, count) for place in range(count))
    if not {"person", "truncated"} <= ctx.recipe.targets.causes.keys():
        return requests
    # Few places are behind a person and across the edge: the first, in front, is cut off most.
    cut_off = sorted((request.causes["truncated"] for request in requests), reverse=True)
    return tuple(
        dataclasses.replace(request, causes={**request.causes, "truncated": share})
        for request, share in zip(requests, cut_off, strict=True)
    )


def crowd_request(ctx: SampleContext) -> float | None:
    target = ctx.recipe.targets.crowd_index
    return None if target is None else round(quantile(target, _planned(ctx, "crowd")), 4)


def _target(ctx: SampleContext, place: int, count: int) -> OcclusionTarget:
    targets = ctx.recipe.targets
    fraction = targets.occluded_fraction
    hides = {group: _is_hidden(ctx, group, r, place) for group, r in targets.joints.items()}
    causes: dict[str, float] = {}
    for cause, of in targets.causes.items():
        share = quantile(of, _planned(ctx, f"cause/{cause}/{place}"))
        if cause == "person":  # nobody is in front of the first: the others compensate
            share = share * count / (count - 1) if place else 0.0
        causes[cause] = round(min(share, 1.0), 4)
    return OcclusionTarget(
        occluded_fraction=None
        if fraction is None
        else round(quantile(fraction, _planned(ctx, f"fraction/{place}")), 4),
        hidden=tuple(group for group, hidden in hides.items() if hidden),
        shown=tuple(group for group, hidden in hides.items() if not hidden),
        causes=causes,
    )


def _is_hidden(ctx: SampleContext, group: str, rate: float, place: int) -> bool:
    """Whether a group is to be hidden: in exactly `rate` of every block of frames.

    With a requested fraction too, preferably in people to be hidden more: joints far apart
    cannot be hidden by little. A systematic sample of the block, ordered by requested fraction,
    with probabilities as in `_chances`.
    """
    fraction = ctx.recipe.targets.occluded_fraction
    if fraction is None:
        return _planned(ctx, f"joints/{group}/{place}") < rate
    seed, key = ctx.recipe.stream_seed, f"target/fraction/{place}"
    first = ctx.index - ctx.index % STRATA
    planned = np.array([stratified(seed, key, number=first + k) for k in range(STRATA)])
    order = np.argsort(planned, kind="stable")
    chance = _chances(np.array([quantile(fraction, float(planned[k])) for k in order]), rate)
    start = stratified(seed, f"target/joints/{group}/{place}", number=ctx.index // STRATA)
    sums = np.floor(np.cumsum(chance) + start)
    sampled = np.diff(sums, prepend=math.floor(start)) > 0
    return bool(sampled[np.flatnonzero(order == ctx.index % STRATA)[0]])


def _chances(fractions: F64, rate: float) -> F64:
    """Probabilities with mean `rate` that grow as (fraction - 0.1) squared, up to 1."""
    weights = np.maximum(fractions - _LEAN_FROM, _LEAN_MIN) ** 2
    low, high = 0.0, 1 / float(weights.min())
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if np.minimum(1.0, middle * weights).mean() < rate:
            low = middle
        else:
            high = middle
    return np.asarray(np.minimum(1.0, high * weights))


def _planned(ctx: SampleContext, key: str) -> float:
    return stratified(ctx.recipe.stream_seed, f"target/{key}", number=ctx.index)


def reassigned(
    requests: tuple[OcclusionTarget, ...], hidden_already: F64
) -> tuple[OcclusionTarget, ...]:
    """The targets with fractions permuted: the most hidden person has the largest."""
    if any(request.occluded_fraction is None for request in requests):
        return requests
    fractions = sorted(request.occluded_fraction or 0.0 for request in requests)
    order = np.argsort(hidden_already, kind="stable")
    given = dict(zip(order.tolist(), fractions, strict=True))
    return tuple(dataclasses.replace(r, occluded_fraction=given[i]) for i, r in enumerate(requests))


# Goals ------------------------------------------------------------------------------------------


class Visibility(Protocol):
    """The visibility of one person behind the occluders so far."""

    @property
    def area(self) -> int:
        """Samples of the person alone; 0 if outside the picture."""
        ...

    @property
    def occluded_fraction(self) -> float: ...

    @property
    def causes(self) -> I32:
        """(J,) the place in CAUSES of each joint's cause."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Goal:
    """One person's target in the terms of a `Visibility`. J joints."""

    fraction: float | None
    hidden: tuple[Bool, ...]  # each (J,): the joints of a group
    shown: tuple[Bool, ...]
    fractions: dict[int, float]  # place in CAUSES -> requested fraction of joints

    @property
    def for_objects(self) -> Goal:
        """The part of the goal that objects can improve."""
        fractions = {cause: share for cause, share in self.fractions.items() if cause == OBJECT}
        return dataclasses.replace(self, fractions=fractions)

    @property
    def needs_joints(self) -> bool:
        return bool(self.hidden or self.shown or self.fractions)

    def tolerance(self, joints: int) -> float:
        """The acceptable error: fractions come in whole joints.

        Joint groups leave objects less choice, so the fraction's tolerance is larger.
        """
        steps = _CAUSE_WEIGHT * 0.5 * len(self.fractions) / max(1, joints)
        return TOLERANCE + steps + _HIDDEN_TOLERANCE * bool(self.hidden)

    def error(self, fraction: Any, causes: I32) -> Any:
        """The distance from the goal: fraction (...), causes (J, ...); 0 is met exactly."""
        out: Any = 0.0
        if self.fraction is not None:
            out = out + np.abs(fraction - self.fraction)
        for cause, share in self.fractions.items():
            out = out + _CAUSE_WEIGHT * np.abs((causes == cause).mean(axis=0) - share)
        return out + _JOINT_WEIGHT * self.joint_mismatch(causes)

    def error_of(self, seen: Visibility) -> float:
        causes = seen.causes if self.needs_joints else _NO_CAUSES
        return float(self.error(seen.occluded_fraction, causes))

    def joint_mismatch(self, causes: I32) -> Any:
        """(...) how many groups miss their target: a hidden group counts by its visible joints."""
        out: Any = np.zeros(causes.shape[1:])
        for group in self.hidden:
            out = out + (causes[group] == VISIBLE).mean(axis=0)
        for group in self.shown:
            out = out + (causes[group] != VISIBLE).all(axis=0)
        return out

    def overshoot(self, seen: Visibility) -> float:
        """The excess of occlusion by objects; more objects only increase it."""
        out, causes = 0.0, seen.causes
        if self.fraction is not None:
            out += max(0.0, seen.occluded_fraction - self.fraction)
        if OBJECT in self.fractions:
            share = float((causes == OBJECT).mean())
            out += _CAUSE_WEIGHT * max(0.0, share - self.fractions[OBJECT])
        for group in self.shown:
            out += _JOINT_WEIGHT * bool((causes[group] != VISIBLE).all())
        return out

    def can_improve(self, seen: Visibility) -> bool:
        """Whether hiding more of the person can reduce the error."""
        if self.fraction is not None and seen.occluded_fraction < self.fraction:
            return True
        return bool(self.hidden or self.fractions)

    def met(self, seen: Visibility, tolerance: float) -> bool:
        """Whether a person is within twice the recipe's tolerance of the target.

        Fractions of causes may be four times as far off: they come in whole joints, and the recipe
        specifies their mean over people.
        """
        causes, fraction = seen.causes, seen.occluded_fraction
        if self.fraction is not None and abs(fraction - self.fraction) > 2 * tolerance:
            return False
        errors = [abs((causes == c).mean() - share) for c, share in self.fractions.items()]
        return all(e <= 4 * tolerance for e in errors) and not self.joint_mismatch(causes)


def goal_of(request: OcclusionTarget, joint_names: Sequence[str]) -> Goal:
    names = np.array(joint_names)

    def masks(groups: tuple[str, ...]) -> tuple[Bool, ...]:
        return tuple(np.isin(names, group.split("+")) for group in groups)

    return Goal(
        fraction=request.occluded_fraction,
        hidden=masks(request.hidden),
        shown=masks(request.shown),
        fractions={CAUSES.index(cause): share for cause, share in request.causes.items()},
    )
