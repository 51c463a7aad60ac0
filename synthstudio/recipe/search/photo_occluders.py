"""Occluders of people in a photo: cut-outs, rendered objects and rendered people, pasted.

Candidates are slid along the person at a low resolution; the best places are evaluated exactly.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F64, Bool
from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import GeometryQueries
from synthstudio.core.photo import PasteSpec, PhotoPerson, PhotoView
from synthstudio.core.rng import Generator
from synthstudio.core.spec import ObjectSpec, OcclusionTarget
from synthstudio.recipe.sampling.context import SampleContext, stratified
from synthstudio.recipe.schema.distributions import at_share
from synthstudio.recipe.search import occluders
from synthstudio.recipe.search.goals import goal_of
from synthstudio.recipe.search.photo_candidates import Item, draw_item, is_reachable, moved, pasted
from synthstudio.recipe.search.photo_visibility import (
    Card,
    PhotoVisibility,
    as_annotated,
    behind,
    causes,
    fractions,
)

_DRAWS = 4
"""How many are drawn for each one tried: impossible ones cost almost nothing."""
_STEPS, _FINE_STEPS, _PLACES = 40, 8, 4
_TIE_NOISE = 1e-3
_TOLERANCE = 0.012
_SPARED = 0.02
"""Others may lose this fraction of their visible area without counting as harm."""
_HARM, _HARM_UNLABELLED = 1.5, 0.4
"""The cost of hiding others, and those without labelled joints."""
_NEARER_M = 0.1
"""Larger people with feet so much lower than an object's stand in front of it."""
_MAX_OF_FRAME = 0.35
_MIN_SHOWN, _MIN_OF_PERSON = 0.3, 0.4
"""Minimum fractions of an object and of a pasted person inside the picture."""

_ON_GROUND, _FOOT = 0.9, 0.1
"""Required fraction of ground under the feet of an item in its lowest tenth."""
_APART_M = 0.05
_POST_M, _SLENDER = 1.1, 4.0
"""Higher, and so many times higher than wide: a post, which begins above the picture."""

Found = occluders.Candidate[Item, PhotoVisibility]


def hide_people(
    ctx: SampleContext, view: PhotoView, chosen: list[int], targets: list[OcclusionTarget]
) -> tuple[tuple[OcclusionTarget, ...], list[PasteSpec]]:
    """Pastes that hide the `chosen` people, nearest first, and the targets with `met`."""
    goals = [goal_of(target, view.joints) for target in targets]
    seen = [as_annotated(person) for person in view.people]
    items: list[Item] = []
    for nth, who in enumerate(chosen):
        problem = _PhotoProblem(ctx=ctx, view=view, goals=goals, nth=nth)
        more, seen = occluders.hide_person(problem, who, seen)
        items += more
    targets, tolerance = list(targets), ctx.recipe.targets.tolerance
    for who in chosen:
        targets[who] = dataclasses.replace(targets[who], met=goals[who].met(seen[who], tolerance))
    items.sort(key=lambda item: -item.foot_px)
    return tuple(targets), [pasted(item) for item in items]


def kinds_of(ctx: SampleContext, nth: int, number: int) -> list[str]:
    """The kinds to try in turn for paste `number` of the nth person, the planned one first."""
    options = ctx.recipe.photo_options
    kinds: dict[str, float] = {str(k): weight for k, weight in sorted(options.by.items()) if weight}
    kinds.pop("frame", None)
    if options.cutouts is None:
        kinds.pop("cutout", None)
    if not ctx.recipe.objects:
        kinds.pop("object", None)
    first = stratified(ctx.recipe.stream_seed, f"occlude-by {nth}/{number}", number=ctx.index)
    rng = ctx.rng("paste-kinds", nth, number)
    order: list[str] = []
    while kinds:
        order.append(at_share(kinds, first if not order else float(rng.random())))
        del kinds[order[-1]]
    return order


@dataclass(frozen=True, kw_only=True, eq=False)
class _PhotoProblem(occluders.Problem[Item, PhotoVisibility]):
    starts: int = 1
    gain: float = 0.02
    view: PhotoView
    nth: int  # of the frame's chosen people

    def tolerance(self, person: int, seen: PhotoVisibility, *, further: bool) -> float:
        return _TOLERANCE

    def rounds(
        self, person: int, key: int, seen: list[PhotoVisibility], put: list[Item]
    ) -> Iterator[Iterator[occluders.Propose[Item, PhotoVisibility]]]:
        effort = self.ctx.recipe.targets.effort

        def proposals(kind: str) -> Iterator[occluders.Propose[Item, PhotoVisibility]]:
            for attempt in range(_DRAWS * effort):
                keys = ("paste", person, key, attempt)
                ctx, rng = dataclasses.replace(self.ctx, variant=keys), self.ctx.rng(*keys)
                item = draw_item(ctx, self.view, self.view.people[person], kind, rng)
                if item is not None:
                    yield _Paste(self, person, seen, item, rng, put)

        known = self.ctx.recipe.photo_options.ground == "known"
        stands = is_reachable(self.view, self.view.people[person], known=True) or not known
        for kind in kinds_of(self.ctx, self.nth, key):
            if stands or kind == "near":
                yield itertools.islice(proposals(kind), effort)

    def harm(self, person: int, before: PhotoVisibility, after: PhotoVisibility) -> float:
        fraction = self.goals[person].fraction
        lost = after.occluded_fraction - before.occluded_fraction
        allowed = _SPARED
        if fraction is not None:
            allowed = max(_SPARED, fraction - before.occluded_fraction)
        weight = _HARM if before.person.seen.any() else _HARM_UNLABELLED
        return weight * max(0.0, lost - allowed)


@dataclass(frozen=True)
class _Paste:
    problem: _PhotoProblem
    person: int
    seen: list[PhotoVisibility]
    item: Item
    rng: Generator
    put: list[Item]

    def __call__(self, _least: float) -> Found | None:
        """The item at the best of the places along the person, or None."""
        item, rng = self.item, self.rng
        x, _, w, _ = self.seen[self.person].person.box_px
        low, high = x - item.card.right_px, x + w - item.card.left_px
        shifts = np.linspace(low, high, _STEPS)
        error = self.errors(item, shifts)
        ranked = np.argsort(error + _TIE_NOISE * rng.random(len(error)), kind="stable")
        around = np.linspace(-1, 1, _FINE_STEPS) * (high - low) / (_STEPS - 1)
        tried = shifts[ranked[:_PLACES], None] + around
        error = self.errors(item, tried.ravel()).reshape(tried.shape)
        best: Found | None = None
        for shift in tried[np.arange(len(tried)), error.argmin(axis=1)]:
            found = self.at(item, float(shift), math.inf if best is None else best.error)
            if found is not None:
                best = found
                if best.error <= _TOLERANCE:
                    break
        return None if best is None else occluders.refined(best, self.step)

    def step(self, found: Found) -> Found | None:
        """The item moved by the missing amount (an object moved aside turns a little)."""
        if found.error <= _TOLERANCE or self.problem.goals[self.person].fraction is None:
            return None
        card = found.item.card
        reach = max(1.0, (card.right_px - card.left_px) / 12)
        shifts = np.linspace(-reach, reach, 2 * _FINE_STEPS + 1)
        shift = float(shifts[int(np.argmin(self.errors(found.item, shifts)))])
        return self.at(found.item, shift, found.error)

    def at(self, item: Item, shift: float, minimum: float) -> Found | None:
        """The item moved; None if impossible, or if its error is not below `minimum`."""
        placed = moved(self.problem.ctx.geometry, item, shift)
        own = behind(self.seen[self.person], placed.card)
        if self.problem.goals[self.person].error_of(own) >= minimum:
            return None
        found = self.exactly(placed, own)
        return found if found is not None and found.error < minimum else None

    def errors(self, item: Item, shifts: F64) -> F64:
        """(S,) the person's error at each shift."""
        goal, own = self.problem.goals[self.person], self.seen[self.person]
        of_joints = np.zeros((1, len(shifts)), np.int32)
        if goal.needs_joints:
            of_joints = causes(own, item.card, shifts)
        return np.asarray(goal.error(fractions(own, item.card, shifts), of_joints))

    def exactly(self, item: Item, own: PhotoVisibility) -> Found | None:
        """The item there, and everybody's visibility with it; None if impossible.

        People in front of it are unchanged; without a mask their outline is unknown.
        """
        view, geometry = self.problem.view, self.problem.ctx.geometry
        known = self.problem.ctx.recipe.photo_options.ground == "known"
        near = item.paste.person is not None and not item.paste.grounded
        if not fits(view, item) or (known and not near and not is_plausible(view, item)):
            return None
        if known and any(_meet(geometry, item.paste, other.paste) for other in self.put):
            return None
        after = [behind(before, item.card) for before in self.seen]
        after[self.person] = own
        nearer: list[int] = []
        for k, before in enumerate(self.seen):
            lost, other = after[k].occluded_fraction - before.occluded_fraction, before.person
            if k != self.person and lost > 0 and _is_nearer(view, other, item):
                if not other.has_mask:
                    return None
                nearer.append(other.instance)
                after[k] = before
        if item.paste.behind != tuple(nearer):
            paste = dataclasses.replace(item.paste, behind=tuple(nearer))
            item = dataclasses.replace(item, paste=paste)
        return occluders.scored(self.problem, self.person, item, self.seen, after)


def fits(view: PhotoView, item: Item) -> bool:
    """Whether enough of an item (and a person's head) is in the picture, without filling it."""
    inside = item.card.area_px(view.width_px, view.height_px)
    full = float(item.card.alpha.sum()) * item.card.per_px**2
    if item.paste.person is not None and item.card.top_px < 0:
        return False
    minimum = _MIN_SHOWN if item.paste.person is None else _MIN_OF_PERSON
    return inside <= _MAX_OF_FRAME * view.width_px * view.height_px and inside >= minimum * full


def is_plausible(view: PhotoView, item: Item) -> bool:
    """Whether an item stands on likely ground, and no tall post ends in the picture.

    All of an object's foot must; the part cut off by the picture's lower edge counts there.
    """
    obj = item.paste.object
    if obj is not None and item.card.top_px > 0:
        wide, tall = max(obj.size_m[:2]), obj.size_m[2]
        if tall > _POST_M and tall > _SLENDER * wide:
            return False
    if view.ground is None:
        return False
    lowest = _are_ground(view, _lowest_px(view, item.card))
    if not len(lowest) or lowest.mean() < _ON_GROUND:
        return False
    return obj is None or bool(_are_ground(view, _foot_px(item.paste.camera, obj)).all())


def _lowest_px(view: PhotoView, card: Card) -> F64:
    """(N, 2) pixels of a card's standing points: low ends of its columns.

    If cut off by the picture's lower edge: its crossing.
    """
    end = min(card.alpha.shape[0], max(0, math.floor((view.height_px - card.top_px) / card.per_px)))
    shown = card.alpha[:end] >= 0.5
    columns = np.flatnonzero(shown.any(axis=0))
    if not len(columns):
        return np.zeros((0, 2))
    rows = end - 1 - np.argmax(shown[::-1, columns], axis=0)
    low = rows > rows.max() - _FOOT * card.alpha.shape[0]
    at = np.stack([columns[low], rows[low]], axis=1) + 0.5
    return np.asarray((card.left_px, card.top_px) + at * card.per_px)


def _foot_px(camera: Camera, obj: ObjectSpec) -> F64:
    """(5, 2) pixels of the corners and the middle of an object's base."""
    out = np.array([(0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)]) * np.array(obj.size_m[:2]) / 2
    c, s = math.cos(obj.yaw_rad), math.sin(obj.yaw_rad)
    return camera.floor_px(out @ np.array([(c, s), (-s, c)]) + np.array(obj.position_m[:2]))


def _are_ground(view: PhotoView, px: F64) -> Bool:
    """Whether the pixels (N, 2) inside the picture look like ground."""
    assert view.ground is not None  # ensured by the caller
    cells, cell = view.ground.ground, view.ground.cell_px
    inside = ((px >= 0) & (px < (view.width_px, view.height_px))).all(axis=1)
    rows, columns = cells.shape
    j, i = np.minimum(px[inside] / cell, (columns - 1, rows - 1)).astype(int).T
    return np.asarray(cells[i, j])


def _meet(geometry: GeometryQueries, a: PasteSpec, b: PasteSpec) -> bool:
    one, other = a.object or a.person, b.object or b.person
    if one is None or other is None or a.camera != b.camera:
        return False
    return geometry.gap_m(one, other) < _APART_M


def _is_nearer(view: PhotoView, person: PhotoPerson, item: Item) -> bool:
    """Whether a person certainly stands in front of an item, by feet and size.

    They must be visible down to the item's foot: legs behind a wall are unknown.
    """
    lower = person.foot_px > item.foot_px + _NEARER_M * person.px_per_m
    bottom = person.box_px[1] + person.box_px[3]
    seen = bottom >= min(item.foot_px, view.height_px) - _NEARER_M * person.px_per_m
    return lower and seen and person.px_per_m > item.px_per_m
