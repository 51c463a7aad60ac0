"""All choices of an occluded photo: hidden people, amounts, occluders, places and light.

The counterpart of draw.py for `synthstudio occlude`. Targets follow the same stratified
plan (search/goals.py); what is found depends on (recipe, seed, index), the photo and its
annotations alone.
"""

import dataclasses
import math
from collections.abc import Sequence
from itertools import count
from typing import TypeVar

import numpy as np

from synthstudio.core.catalogue import GeometryQueries
from synthstudio.core.photo import PasteSpec, PhotoPerson, PhotoSpec, PhotoView, Window
from synthstudio.core.spec import PERSON_BASE, LensSpec, OcclusionTarget
from synthstudio.recipe.layout.variants import differing
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext, split_of, stratified
from synthstudio.recipe.schema.distributions import pick, sample_count
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.recipe.search.goals import draw_targets
from synthstudio.recipe.search.photo_candidates import is_reachable
from synthstudio.recipe.search.photo_occluders import hide_people

T = TypeVar("T")
CLEAN, OCCLUDER = "clean", "occluder"
JPEG_QUALITY = 94
"""Of clean and occluded frames alike, so that only the paste distinguishes them."""


def draw_photo(
    recipe: Recipe, view: PhotoView, place: int, geometry: GeometryQueries
) -> tuple[PhotoSpec, ...]:
    """The clean spec of photo `place`, then its occluded frames: from `place` x (1 + each) on."""
    each = recipe.photo_options.each
    split = split_of(recipe, place)
    first = place * (1 + each)
    clean = PhotoSpec(
        seed=recipe.seed,
        index=first,
        photo=view.photo,
        width_px=view.width_px,
        height_px=view.height_px,
        people=len(view.people),
        tone=view.tone
        if recipe.photo_options.ground == "known"
        else dataclasses.replace(view.tone, chroma=None),
        lens=LensSpec(jpeg_quality=JPEG_QUALITY),
        skeleton=recipe.skeleton,
        split=split,
        group_id=f"{recipe.seed}-{place}",
        variant=CLEAN,
    )
    out = [clean]
    for k in range(each):
        ctx = SampleContext(recipe=recipe, index=place * each + k, split=split, geometry=geometry)
        targets, pastes, crop = _occluded(ctx, view, place, k)
        lens = LensSpec(
            blur_sigma_px=view.blur_sigma_px,
            noise_sigma=view.noise_sigma,
            noise_seed=int(ctx.rng("lens").integers(2**31)),
            jpeg_quality=JPEG_QUALITY,
        )
        made = dataclasses.replace(
            clean,
            index=first + 1 + k,
            variant=OCCLUDER,
            targets=targets,
            pastes=_numbered(pastes, view),
            crop=crop,
            lens=lens,
        )
        out.append(dataclasses.replace(made, differs=differing(clean, made)))
    return tuple(out)


def can_hide(recipe: Recipe, person: PhotoPerson) -> bool:
    """Whether a person can be a target: large enough, with known labels."""
    options = recipe.photo_options
    tall, known = person.box_px[3] >= options.min_height_px, person.seen.sum()
    return bool(tall and known >= options.min_joints and person.mask.any())


def _occluded(
    ctx: SampleContext, view: PhotoView, place: int, k: int
) -> tuple[tuple[OcclusionTarget, ...], list[PasteSpec], Window | None]:
    """Targets and pastes of the photo's people, or the window that cuts one of them off."""
    by, seed = ctx.recipe.photo_options.by, ctx.recipe.stream_seed
    share = by.get("frame", 0.0) / sum(by.values())
    targets, pastes = tuple(OcclusionTarget() for _ in view.people), list[PasteSpec]()
    if stratified(seed, "occlude-frame", number=ctx.index) >= share:
        chosen, wanted = _chosen(ctx, view, place, k), list(targets)
        for who, target in zip(chosen, draw_targets(ctx, len(chosen)), strict=False):
            wanted[who] = _possible(target, view, view.people[who])
        found, pastes = hide_people(ctx, view, chosen, wanted)
        if pastes or not share:
            return found, pastes, None
    whom = _rotated(ctx, place, k, [p for p in view.people if can_hide(ctx.recipe, p)])
    crops = (_crop(ctx, view, person) for person in whom)
    return targets, pastes, next((crop for crop in crops if crop is not None), None)


_SIDES = {"bottom": 2.0, "left": 1.0, "right": 1.0}
"""Where frames cut people, and how often."""
_MIN_KEPT, _AROUND = 0.4, 1.1
"""A crop keeps this fraction of the photo's side, and this times the person across it."""


def _crop(ctx: SampleContext, view: PhotoView, person: PhotoPerson) -> Window | None:
    """The window at whose edge the requested fraction of a person is lost; None: it is too small.

    Across the edge it has the photo's aspect ratio, where the person fits into that.
    """
    rng, sides = ctx.rng("photo-frame"), dict(_SIDES)
    target = next(iter(draw_targets(ctx, 1)), OcclusionTarget()).occluded_fraction
    fraction = palette.between(0.1, 0.6, rng) if target is None else target
    rows, columns = (np.sort(at) for at in np.nonzero(person.mask))
    while sides:
        side = pick(sides, rng)
        upright = side == "bottom"
        along = rows + person.top_px if upright else columns + person.left_px
        size = (view.height_px, view.width_px) if upright else (view.width_px, view.height_px)
        lost = fraction if side == "left" else 1 - fraction
        edge = int(along[min(round(lost * len(along)), len(along) - 1)])
        kept = size[0] - edge if side == "left" else edge
        start, extent = person.box_px[not upright], person.box_px[2 + (not upright)]
        across = min(size[1], max(math.ceil(_AROUND * extent), round(size[1] * kept / size[0])))
        first = rng.uniform(max(0.0, start + extent - across), max(0.0, start))
        first = round(min(first, size[1] - across))
        if kept >= _MIN_KEPT * size[0]:
            begin = edge if side == "left" else 0
            return (first, begin, across, kept) if upright else (begin, first, kept, across)
        del sides[side]
    return None


def _rotated(ctx: SampleContext, place: int, k: int, of: Sequence[T]) -> list[T]:
    """In an order of the photo, a turn on for each of its frames."""
    order = dataclasses.replace(ctx, index=place).rng("photo-order").permutation(len(of))
    return [of[int(order[(k + i) % len(of)])] for i in range(len(of))]


def _chosen(ctx: SampleContext, view: PhotoView, place: int, k: int) -> list[int]:
    """The people to hide, rotated over a photo's frames; blocked ones only if `ground: any`."""
    recipe = ctx.recipe
    can = [i for i, person in enumerate(view.people) if can_hide(recipe, person)]
    known = recipe.photo_options.ground == "known"
    known = known and not recipe.photo_options.by.get("near")
    near = [i for i in can if is_reachable(view, view.people[i], known=known)]
    can = near if known else near or can
    many = min(len(can), sample_count(recipe.photo_options.hide, ctx.rng("photo-hide")))
    return _rotated(ctx, place, k, can)[:many]


def _possible(target: OcclusionTarget, view: PhotoView, person: PhotoPerson) -> OcclusionTarget:
    """The target without joints not labelled visible, which no paste can hide."""
    at = {name: j for j, name in enumerate(view.joints)}

    def labels_seen(group: str) -> list[bool]:
        return [bool(person.seen[at[name]]) for name in group.split("+")]

    return dataclasses.replace(
        target,
        hidden=tuple(group for group in target.hidden if all(labels_seen(group))),
        shown=tuple(group for group in target.shown if any(labels_seen(group))),
    )


def _numbered(pastes: list[PasteSpec], view: PhotoView) -> tuple[PasteSpec, ...]:
    """The pastes with instance ids: people after the photo's, objects after its objects."""
    people, objects = count(PERSON_BASE + len(view.people)), count(view.first_object)
    return tuple(
        dataclasses.replace(paste, instance=next(people if paste.person else objects))
        for paste in pastes
    )
