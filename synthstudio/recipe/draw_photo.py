"""All choices of an occluded photo: hidden people, amounts, occluders, places and light.

The counterpart of draw.py for `synthstudio occlude`. Targets follow the same stratified
plan (search/goals.py); what is found depends on (recipe, seed, index), the photo and its
annotations alone.
"""

from __future__ import annotations

import dataclasses
from itertools import count

from synthstudio.core.catalogue import GeometryQueries
from synthstudio.core.photo import PasteSpec, PhotoPerson, PhotoSpec, PhotoView
from synthstudio.core.spec import PERSON_BASE, LensSpec, OcclusionTarget
from synthstudio.recipe.layout.variants import differing
from synthstudio.recipe.sampling.context import SampleContext, split_of
from synthstudio.recipe.schema.distributions import sample_count
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.recipe.search.goals import draw_targets
from synthstudio.recipe.search.photo_candidates import is_reachable
from synthstudio.recipe.search.photo_occluders import hide_people

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
        targets, pastes = _occluded(ctx, view, place, k)
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
) -> tuple[tuple[OcclusionTarget, ...], list[PasteSpec]]:
    chosen = _chosen(ctx, view, place, k)
    targets = [OcclusionTarget() for _ in view.people]
    for who, target in zip(chosen, draw_targets(ctx, len(chosen)), strict=False):
        targets[who] = _possible(target, view, view.people[who])
    return hide_people(ctx, view, chosen, targets)


def _chosen(ctx: SampleContext, view: PhotoView, place: int, k: int) -> list[int]:
    """The people to hide, rotated over a photo's frames; blocked ones only if `ground: any`."""
    recipe = ctx.recipe
    can = [i for i, person in enumerate(view.people) if can_hide(recipe, person)]
    known = recipe.photo_options.ground == "known"
    known = known and not recipe.photo_options.by.get("near")
    near = [i for i in can if is_reachable(view, view.people[i], known=known)]
    can = near if known else near or can
    if not can:
        return []
    rng = dataclasses.replace(ctx, index=place).rng("photo-order")
    order = [can[int(i)] for i in rng.permutation(len(can))]
    many = min(len(can), sample_count(recipe.photo_options.hide, ctx.rng("photo-hide")))
    return [order[(k + i) % len(can)] for i in range(many)]


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
