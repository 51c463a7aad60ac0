"""Every choice of an occluded photo: who is hidden, how much, and by what, where and how lit.

Asked values follow the same stratified plan as in `draw` (asks.py). To meet them numbered
candidates of things are slid along the person; what is found depends on (recipe, seed, index),
the photo and its annotations alone.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from synthstudio.core.photo import PasteSpec, PhotoPerson, PhotoSolve, PhotoSpec, PhotoView
from synthstudio.core.rng import Generator
from synthstudio.core.scene import F64
from synthstudio.core.spec import PERSON_BASE, Ask, LensSpec
from synthstudio.recipe.sampling.choose import Draw, check, split_of, stratified
from synthstudio.recipe.schema.distributions import at_share, sample_count
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.recipe.schema.targets import Occlude
from synthstudio.recipe.search.asks import Goal, draw_asks
from synthstudio.recipe.search.photo_items import Item, draw_item, moved, within_reach
from synthstudio.recipe.search.photo_sight import PersonSight, behind, fractions, sight

CLEAN, OCCLUDER = "clean", "occluder"
_DRAWS = 4
"""So many are drawn for each one to try: what cannot be there costs almost nothing."""
_STEPS = 40
_FINE = 8
_SPOTS = 4
_NEAR_ENOUGH = 0.012
_GAIN = 0.02
_SPARED = 0.02
"""Others may lose this share of what is seen of them before it counts as harm."""
_HARM, _LESS_HARM = 1.5, 0.4
"""What hiding others costs, and those of whom no joint is labelled."""
_NEARER_M = 0.1
"""Whose feet are so much lower than a thing's, and who is larger, stands before it."""
_MOST_OF_FRAME = 0.35
_LEAST_SHOWN, _LEAST_OF_PERSON = 0.3, 0.4
"""Shares of a thing and of a pasted person that lie in the picture, at the least."""


def draw_photo(
    recipe: Recipe, view: PhotoView, place: int, solve: PhotoSolve
) -> tuple[PhotoSpec, ...]:
    """Return the clean spec of photo `place` and those of its occluded frames after it.

    Their indices are those of the frames: `place` x (1 + each) and on.
    """
    wanted = occlude_of(recipe)
    check(recipe, solve.catalogue)
    split = split_of(recipe, place)
    first = place * (1 + wanted.each)
    clean = PhotoSpec(
        seed=recipe.seed,
        index=first,
        photo=view.photo,
        width_px=view.width_px,
        height_px=view.height_px,
        people=len(view.people),
        tone=view.tone,
        lens=LensSpec(jpeg_quality=JPEG_QUALITY),
        skeleton=recipe.skeleton,
        split=split,
        group_id=f"{recipe.seed}-{place}",
        variant=CLEAN,
    )
    out = [clean]
    for k in range(wanted.each):
        number = place * wanted.each + k
        draw = Draw(recipe=recipe, index=number, split=split, catalogue=solve.catalogue)
        asks, pastes = _hidden(draw, view, solve, place, k)
        made = dataclasses.replace(
            clean,
            index=first + 1 + k,
            variant=OCCLUDER,
            asks=asks,
            pastes=_numbered(pastes, view),
            lens=_lens(draw, view),
        )
        same = {"index", "variant", "differs", "asks"}
        names = [f.name for f in dataclasses.fields(PhotoSpec) if f.name not in same]
        differs = tuple(n for n in names if getattr(clean, n) != getattr(made, n))
        out.append(dataclasses.replace(made, differs=differs))
    return tuple(out)


JPEG_QUALITY = 94
"""Of clean and occluded frames alike, so that nothing but the paste tells them apart."""


def occlude_of(recipe: Recipe) -> Occlude:
    """Return what the recipe says of photos; the defaults where it says nothing."""
    return recipe.occlude or Occlude()


def can_hide(recipe: Recipe, person: PhotoPerson) -> bool:
    """Return whether a person may be asked to be hidden: large enough, and something is known."""
    wanted = occlude_of(recipe)
    tall, known = person.box_px[3] >= wanted.least_height_px, person.seen.sum()
    return bool(tall and known >= wanted.least_joints and person.mask.any())


def _lens(draw: Draw, view: PhotoView) -> LensSpec:
    return LensSpec(
        blur_sigma_px=view.blur_sigma_px,
        noise_sigma=view.noise_sigma,
        noise_seed=int(draw.rng("lens").integers(2**31)),
        jpeg_quality=JPEG_QUALITY,
    )


def _chosen(draw: Draw, view: PhotoView, place: int, k: int) -> list[int]:
    """Return the places of the people to hide: over a photo's frames each in turn.

    Before whom nothing can stand is asked only where the photo has nobody else.
    """
    recipe = draw.recipe
    can = [i for i, person in enumerate(view.people) if can_hide(recipe, person)]
    can = [i for i in can if within_reach(view, view.people[i])] or can
    if not can:
        return []
    rng = Draw(recipe=recipe, index=place, split=draw.split, catalogue=draw.catalogue).rng(
        "photo-order"
    )
    order = [can[int(i)] for i in rng.permutation(len(can))]
    count = min(len(can), sample_count(occlude_of(recipe).hide, draw.rng("photo-hide")))
    return [order[(k + i) % len(can)] for i in range(count)]


def _hidden(
    draw: Draw, view: PhotoView, solve: PhotoSolve, place: int, k: int
) -> tuple[tuple[Ask, ...], list[PasteSpec]]:
    """Return what was asked of each person, and what was found to meet it."""
    chosen = _chosen(draw, view, place, k)
    planned = draw_asks(draw, len(chosen))
    asks = [Ask() for _ in view.people]
    for who, ask in zip(chosen, planned, strict=False):
        asks[who] = _possible(ask, view, view.people[who])
    goals = [_goal(ask, view) for ask in asks]
    sights = [sight(person) for person in view.people]
    items: list[Item] = []
    for nth, who in enumerate(chosen):
        for number in range(draw.recipe.targets.things_each):
            kinds = kinds_of(draw, nth, number)
            found = _best(draw, view, solve, who, number, goals, sights, kinds)
            if found is None:
                break
            items.append(found.item)
            sights = found.sights
    tolerance = draw.recipe.targets.tolerance
    for who in chosen:
        asks[who] = dataclasses.replace(asks[who], met=_met(goals[who], sights[who], tolerance))
    items.sort(key=lambda item: -item.foot_px)
    return tuple(asks), [item.paste for item in items]


def _possible(ask: Ask, view: PhotoView, person: PhotoPerson) -> Ask:
    """Return the ask without joints that nobody labelled visible, which no paste can hide."""
    at = {name: j for j, name in enumerate(view.joints)}

    def seen(group: str) -> list[bool]:
        return [bool(person.seen[at[name]]) for name in group.split("+")]

    return dataclasses.replace(
        ask,
        hidden=tuple(group for group in ask.hidden if all(seen(group))),
        shown=tuple(group for group in ask.shown if any(seen(group))),
    )


def _goal(ask: Ask, view: PhotoView) -> Goal:
    names = np.array(view.joints)
    hidden, shown = (
        tuple(np.isin(names, group.split("+")) for group in groups)
        for groups in (ask.hidden, ask.shown)
    )
    return Goal(fraction=ask.occluded_fraction, hidden=hidden, shown=shown, shares={})


def _met(goal: Goal, seen: PersonSight, tolerance: float) -> bool:
    if goal.fraction is not None:
        if abs(seen.occluded_fraction - goal.fraction) > 2 * tolerance:
            return False
    return not goal.unlike(seen.causes)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    item: Item
    sights: list[PersonSight]
    off: float


def _best(
    draw: Draw,
    view: PhotoView,
    solve: PhotoSolve,
    who: int,
    number: int,
    goals: list[Goal],
    sights: list[PersonSight],
    kinds: list[str],
) -> _Found | None:
    """Return the best of the candidates, or None if none brings the person nearer.

    A kind's candidates are tried only where the kinds before it had none that helps.
    """
    goal, before = goals[who], sights[who]
    now = float(goal.off(before.occluded_fraction, before.causes))
    if now <= _NEAR_ENOUGH or before.area == 0:
        return None
    if goal.fraction is not None and before.occluded_fraction > goal.fraction and not goal.hidden:
        return None
    best: _Found | None = None
    effort = draw.recipe.targets.effort
    for kind in kinds:
        tried = 0
        for attempt in range(_DRAWS * effort):
            rng = draw.rng("paste", who, number, attempt)
            item = draw_item(draw, view, solve, who, kind, rng, keys=(who, number, attempt))
            if item is None:
                continue
            tried += 1
            if tried > effort:
                break
            found = _placed(view, solve, who, item, goals, sights, rng)
            if found is not None and found.off < (now if best is None else best.off):
                best = found
                if best.off <= _NEAR_ENOUGH:
                    break
        if best is not None and best.off < now - _GAIN:
            return best
    return None


def kinds_of(draw: Draw, nth: int, number: int) -> list[str]:
    """Return the kinds to try for paste `number` of a frame's nth person, one after the other.

    The first is planned over the frames so that the weights hold; the next ones are for where
    nothing of it can be.
    """
    wanted = occlude_of(draw.recipe)
    kinds: dict[str, float] = {str(k): weight for k, weight in sorted(wanted.by.items()) if weight}
    if wanted.cutouts is None:
        kinds.pop("cutout", None)
    if not draw.recipe.things:
        kinds.pop("thing", None)
    first = stratified(draw.recipe.seed, f"occlude-by {nth}/{number}", number=draw.index)
    rng = draw.rng("paste-kinds", nth, number)
    order: list[str] = []
    while kinds:
        u = first if not order else float(rng.random())
        order.append(at_share(kinds, u))
        del kinds[order[-1]]
    return order


def _placed(
    view: PhotoView,
    solve: PhotoSolve,
    who: int,
    item: Item,
    goals: list[Goal],
    sights: list[PersonSight],
    rng: Generator,
) -> _Found | None:
    """Return the item at the best of the places along the person, or None where none will do."""
    before = sights[who]
    x, _, w, _ = before.person.box_px
    low, high = x - item.card.right_px, x + w - item.card.left_px
    shifts = np.linspace(low, high, _STEPS)
    off = _offs(goals[who], before, item, shifts)
    ranked = np.argsort(off + 1e-3 * rng.random(len(off)), kind="stable")
    best: _Found | None = None
    for k in ranked[:_SPOTS]:
        around = np.linspace(-1, 1, _FINE) * (high - low) / (_STEPS - 1)
        fine = shifts[k] + around
        shift = float(fine[int(np.argmin(_offs(goals[who], before, item, fine)))])
        found = _judged(view, who, moved(view, solve, item, shift), goals, sights)
        if found is not None and (best is None or found.off < best.off):
            best = found
            if best.off <= _NEAR_ENOUGH:
                break
    return None if best is None else _refined(view, solve, who, best, goals, sights)


def _offs(goal: Goal, before: PersonSight, item: Item, shifts: F64) -> F64:
    """Return (S,) how far from the goal the person would be at each shift."""
    found = fractions(before, item.card, shifts)
    if not (goal.hidden or goal.shown):
        return np.asarray(goal.off(found, np.zeros((1, len(shifts)), np.int32)))
    return np.array(
        [
            float(goal.off(f, behind(before, item.card.moved(float(s))).causes))
            for f, s in zip(found, shifts, strict=True)
        ]
    )


def _refined(
    view: PhotoView,
    solve: PhotoSolve,
    who: int,
    found: _Found,
    goals: list[Goal],
    sights: list[PersonSight],
) -> _Found:
    """Return the item moved on by what is missing (a thing moved aside turns a little)."""
    goal = goals[who]
    for _ in range(2):
        if found.off <= _NEAR_ENOUGH or goal.fraction is None:
            break
        step = max(1.0, (found.item.card.right_px - found.item.card.left_px) / 12)
        shifts = np.linspace(-step, step, 2 * _FINE + 1)
        off = _offs(goal, sights[who], found.item, shifts)
        shift = float(shifts[int(np.argmin(off))])
        again = _judged(view, who, moved(view, solve, found.item, shift), goals, sights)
        if again is None or again.off >= found.off:
            break
        found = again
    return found


def _judged(
    view: PhotoView, who: int, item: Item, goals: list[Goal], sights: list[PersonSight]
) -> _Found | None:
    """Return what is seen of everybody with the item there; None where it cannot be.

    Somebody who stands before it stays as they are; without a mask nobody knows where that is.
    """
    if not _fits(view, item):
        return None
    after, harm = [], 0.0
    nearer: list[int] = []
    for k, (goal, before) in enumerate(zip(goals, sights, strict=True)):
        now = behind(before, item.card)
        after.append(now)
        if k == who:
            continue
        lost = now.occluded_fraction - before.occluded_fraction
        other = before.person
        if lost > 0 and _is_nearer(view, other, item):
            if not other.has_mask:
                return None
            after[-1] = before
            nearer.append(other.instance)
            continue
        allowed = (
            _SPARED
            if goal.fraction is None
            else max(_SPARED, goal.fraction - before.occluded_fraction)
        )
        harm += (_HARM if other.seen.any() else _LESS_HARM) * max(0.0, lost - allowed)
    own = after[who]
    off = float(goals[who].off(own.occluded_fraction, own.causes)) + harm
    paste = dataclasses.replace(item.paste, behind=tuple(nearer))
    return _Found(item=dataclasses.replace(item, paste=paste), sights=after, off=off)


def _fits(view: PhotoView, item: Item) -> bool:
    """Return whether enough of an item is in the picture, but does not fill it.

    Of a person the head is seen: nobody takes pictures of coats.
    """
    inside = item.card.area_px(view.width_px, view.height_px)
    whole = float(item.card.alpha.sum()) * item.card.per_px**2
    if item.paste.person is not None and item.card.top_px < 0:
        return False
    least = _LEAST_SHOWN if item.paste.person is None else _LEAST_OF_PERSON
    return inside <= _MOST_OF_FRAME * view.width_px * view.height_px and inside >= least * whole


def _is_nearer(view: PhotoView, person: PhotoPerson, item: Item) -> bool:
    """Return whether somebody surely stands before an item: feet and size both say so.

    And they are seen down to the item's foot: of whom a wall hides the legs, nobody knows.
    """
    lower = person.foot_px > item.foot_px + _NEARER_M * person.px_per_m
    bottom = person.box_px[1] + person.box_px[3]
    seen = bottom >= min(item.foot_px, view.height_px) - _NEARER_M * person.px_per_m
    return lower and seen and person.px_per_m > item.px_per_m


def _numbered(pastes: list[PasteSpec], view: PhotoView) -> tuple[PasteSpec, ...]:
    """Return the pastes with their instances: people after those of the photo, things after its."""
    person, thing = PERSON_BASE + len(view.people), view.first_thing
    out = []
    for paste in pastes:
        if paste.person is not None:
            out.append(dataclasses.replace(paste, instance=person))
            person += 1
        else:
            out.append(dataclasses.replace(paste, instance=thing))
            thing += 1
    return tuple(out)
