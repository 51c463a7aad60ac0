"""What the targets ask of each person of a frame, and how far a candidate is from it.

Asked values are a plan: those of frame i come from a stratified permutation of i (choose.py), so
any long run asks for the recipe's distribution itself, whoever makes which frames.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthstudio.core.scene import F64, I32, Bool
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.spec import Ask
from synthstudio.recipe.sampling.choose import STRATA, Draw, stratified
from synthstudio.recipe.schema.distributions import quantile
from synthstudio.recipe.search.sight import CAUSES, Sight

_CAUSE_WEIGHT = 0.6
_JOINT_WEIGHT = 0.4
_LEAN_FROM, _LEAN_LEAST, _HALVINGS = 0.1, 0.01, 60
NEAR_ENOUGH = 0.015
_HIDDEN_NEAR = 0.012
_OBJECT, _VISIBLE = CAUSES.index("object"), CAUSES.index("visible")


def draw_asks(draw: Draw, count: int) -> tuple[Ask, ...]:
    """Return what is asked of each of the frame's people; empty without targets."""
    if not draw.recipe.targets.any:
        return ()
    return tuple(_ask(draw, place, count) for place in range(count))


def crowd_ask(draw: Draw) -> float | None:
    """Return the crowd index asked of the frame."""
    wanted = draw.recipe.targets.crowd_index
    return None if wanted is None else round(quantile(wanted, _planned(draw, "crowd")), 4)


def _ask(draw: Draw, place: int, count: int) -> Ask:
    wants = draw.recipe.targets
    fraction = wants.occluded_fraction
    hidden: list[str] = []
    shown: list[str] = []
    for group, rate in wants.joints.items():
        (hidden if _hides(draw, group, rate, place) else shown).append(group)
    causes: dict[str, float] = {}
    for cause, of in wants.causes.items():
        share = quantile(of, _planned(draw, f"cause/{cause}/{place}"))
        if cause == "person":  # nobody is before the first: the others make up for it
            share = share * count / (count - 1) if place else 0.0
        causes[cause] = round(min(share, 1.0), 4)
    return Ask(
        occluded_fraction=None
        if fraction is None
        else round(quantile(fraction, _planned(draw, f"fraction/{place}")), 4),
        hidden=tuple(hidden),
        shown=tuple(shown),
        causes=causes,
    )


def _hides(draw: Draw, group: str, rate: float, place: int) -> bool:
    """Return whether a group is asked to be hidden: in just `rate` of every block of frames.

    Where a fraction is asked as well, rather those who are to be hidden more: joints that are
    far apart cannot be hidden by little. A systematic sample of the block, in the order of what
    is asked, with chances as in `_chances`.
    """
    wanted = draw.recipe.targets.occluded_fraction
    if wanted is None:
        return _planned(draw, f"joints/{group}/{place}") < rate
    seed, key = draw.recipe.seed, f"target/fraction/{place}"
    first = draw.index - draw.index % STRATA
    asked = np.array([stratified(seed, key, number=first + k) for k in range(STRATA)])
    order = np.argsort(asked, kind="stable")
    chance = _chances(np.array([quantile(wanted, float(asked[k])) for k in order]), rate)
    start = stratified(seed, f"target/joints/{group}/{place}", number=draw.index // STRATA)
    sums = np.floor(np.cumsum(chance) + start)
    taken = np.diff(sums, prepend=math.floor(start)) > 0
    return bool(taken[np.flatnonzero(order == draw.index % STRATA)[0]])


def _chances(fractions: F64, rate: float) -> F64:
    """Return chances with the mean `rate`: they grow as (fraction - 0.1) squared, up to 1."""
    weights = np.maximum(fractions - _LEAN_FROM, _LEAN_LEAST) ** 2
    low, high = 0.0, 1 / float(weights.min())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if np.minimum(1.0, middle * weights).mean() < rate:
            low = middle
        else:
            high = middle
    return np.asarray(np.minimum(1.0, high * weights))


def _planned(draw: Draw, key: str) -> float:
    return stratified(draw.recipe.seed, f"target/{key}", number=draw.index)


@dataclass(frozen=True, kw_only=True, eq=False)
class Goal:
    """One person's ask in the terms of a sight. J joints."""

    fraction: float | None
    hidden: tuple[Bool, ...]  # each (J,): the joints of a group
    shown: tuple[Bool, ...]
    shares: dict[int, float]  # place in CAUSES -> asked share of the joints

    @property
    def of_things(self) -> Goal:
        """Return what things can do about it."""
        shares = {cause: share for cause, share in self.shares.items() if cause == _OBJECT}
        return dataclasses.replace(self, shares=shares)

    def near(self, joints: int) -> float:
        """Return how far off is near enough: shares come in whole joints.

        Joints to be hidden leave things less choice, so the fraction may be farther off.
        """
        steps = _CAUSE_WEIGHT * 0.5 * len(self.shares) / max(1, joints)
        return NEAR_ENOUGH + steps + _HIDDEN_NEAR * bool(self.hidden)

    @property
    def of_joints(self) -> bool:
        """Return whether joints matter."""
        return bool(self.hidden or self.shown or self.shares)

    def off(self, fraction: Any, causes: I32) -> Any:
        """Return how far from the goal: fraction (...), causes (J, ...); 0 is there."""
        out = np.zeros(np.shape(fraction))
        if self.fraction is not None:
            out = out + np.abs(fraction - self.fraction)
        for cause, share in self.shares.items():
            out = out + _CAUSE_WEIGHT * np.abs((causes == cause).mean(axis=0) - share)
        return out + _JOINT_WEIGHT * self.unlike(causes)

    def unlike(self, causes: I32) -> Any:
        """Return (...) what groups are not as asked: a group to hide counts by its seen joints."""
        out: Any = np.zeros(causes.shape[1:])
        for group in self.hidden:
            out = out + (causes[group] == _VISIBLE).mean(axis=0)
        for group in self.shown:
            out = out + (causes[group] != _VISIBLE).all(axis=0)
        return out

    def beyond(self, sight: Sight) -> float:
        """Return by how much more is hidden by things than asked; more things only add to it."""
        out, causes = 0.0, sight.causes
        if self.fraction is not None:
            out += max(0.0, sight.occluded_fraction - self.fraction)
        if _OBJECT in self.shares:
            share = float((causes == _OBJECT).mean())
            out += _CAUSE_WEIGHT * max(0.0, share - self.shares[_OBJECT])
        for group in self.shown:
            out += _JOINT_WEIGHT * bool((causes[group] != _VISIBLE).all())
        return out

    def met(self, sight: Sight, tolerance: float) -> bool:
        """Return whether the sight is within twice the tolerance of what is asked.

        Shares of causes may be four times as far off: they come in whole joints, and it is
        their mean over people that a recipe asks for.
        """
        causes, fraction = sight.causes, sight.occluded_fraction
        if self.fraction is not None and abs(fraction - self.fraction) > 2 * tolerance:
            return False
        offs = [abs((causes == c).mean() - share) for c, share in self.shares.items()]
        return all(off <= 4 * tolerance for off in offs) and not self.unlike(causes)


def goal(draw: Draw, ask: Ask) -> Goal:
    """Return an ask in the terms of a sight of the recipe's skeleton."""
    names = np.array(get_skeleton(draw.recipe.skeleton).joints)

    def places(group: str) -> Bool:
        return np.isin(names, group.split("+"))

    return Goal(
        fraction=ask.occluded_fraction,
        hidden=tuple(places(group) for group in ask.hidden),
        shown=tuple(places(group) for group in ask.shown),
        shares={CAUSES.index(cause): share for cause, share in ask.causes.items()},
    )


def matched(asks: tuple[Ask, ...], hidden_already: F64) -> tuple[Ask, ...]:
    """Return the same asks, given so that who is hidden most already is asked for most.

    Only the fractions change places, so what a frame's people are asked for stays the same.
    """
    if any(ask.occluded_fraction is None for ask in asks) or not asks:
        return asks
    wanted = sorted(ask.occluded_fraction or 0.0 for ask in asks)
    order = np.argsort(hidden_already, kind="stable")
    given = dict(zip(order.tolist(), wanted, strict=True))
    return tuple(dataclasses.replace(ask, occluded_fraction=given[i]) for i, ask in enumerate(asks))
