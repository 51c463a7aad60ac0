"""Checks that a recipe's names exist in the catalogue, and which of its files are usable."""

import difflib
from collections.abc import Iterable, Sequence, Set

from synthstudio.core.catalogue import CABIN, Catalogue, GarmentAsset, ImageAsset
from synthstudio.core.errors import RecipeError
from synthstudio.recipe.sampling.context import (
    asset_held,
    may_be_drawn,
    names,
    pose_held,
    usable_cutouts,
    usable_photos,
)
from synthstudio.recipe.sampling.interiors import INTERIORS
from synthstudio.recipe.sampling.people import identities_of
from synthstudio.recipe.schema.distributions import support
from synthstudio.recipe.schema.people import LIE
from synthstudio.recipe.schema.recipe import FAMILY, Recipe
from synthstudio.recipe.schema.scene import Photo, ProceduralObjects, Room

_SHOWN = 6
_UPSIDE_DOWN = 2.0
"""A floor receives at most the light of twice the sky's mean: all of it from the zenith."""
_DARK = 0.5
"""Black fraction of a panorama's floor above which people mostly seem to float."""


def check(recipe: Recipe, catalogue: Catalogue) -> None:
    """Raise RecipeError if a recipe names unknown assets or cannot be drawn from the catalogue."""
    poses = {p.name for p in catalogue.poses}
    families = {p.family for p in catalogue.poses}
    kinds = {t.kind for t in catalogue.objects}
    meshes = {n for m in catalogue.meshes for n in names(m.asset)}
    cutouts = {n for c in catalogue.cutouts for n in (c.category, *names(c.asset)) if n}
    behind = [b.asset for b in (*catalogue.backgrounds, *catalogue.hdris)]
    behind += [place.asset for place in catalogue.places]
    places = {n for asset in behind for n in names(asset)}
    options = recipe.people
    _known(recipe, "people.poses.names", options.poses.names, poses)
    _known(recipe, "people.poses.families", options.poses.families, families)
    garments = {g.kind for g in catalogue.garments}
    _known(recipe, "people.wardrobe.kinds", options.wardrobe.kinds, garments)
    for i, objects in enumerate(recipe.objects):
        if isinstance(objects, ProceduralObjects):
            role = "near" if objects.placement == "near" else "occluder"
            occluders = {t.kind for t in catalogue.objects if role in t.roles}
            _known(recipe, f"objects.{i}.kinds", objects.kinds, occluders)
    for share in recipe.backdrops:
        if isinstance(share.backdrop, Room):
            _known(recipe, "backdrop.rooms", share.backdrop.rooms, INTERIORS.keys())
    held = {t.kind for t in catalogue.objects if t.grip}
    _known(recipe, "people.hold.kinds", options.hold.kinds, held)
    seats = {t.kind for t in catalogue.objects if "seat" in t.roles}
    _known(recipe, "people.seats", options.seats, seats)
    meetings = {m.name for m in catalogue.meetings}
    _known(recipe, "people.interactions.kinds", options.interactions.kinds, meetings)
    motions = {m.name for m in catalogue.motions}
    _known(recipe, "motion.names", recipe.motion.names if recipe.motion else (), motions)
    moving = motions | {FAMILY} if motions else set()
    _known(recipe, "holdout.poses", recipe.holdout.poses, poses | families | meetings | moving)
    _known(recipe, "holdout.occluders", recipe.holdout.occluders, kinds | meshes | cutouts)
    _known(recipe, "holdout.backgrounds", recipe.holdout.backgrounds, places)
    _something_left(recipe, catalogue)
    _check_quotas(recipe, catalogue)


def left_out(recipe: Recipe, catalogue: Catalogue) -> tuple[str, ...]:
    """Unused files of the recipe's folders, and why; RecipeError if none is usable."""
    check_places(recipe, catalogue)
    out = []
    for options in _photo_options(recipe):
        unused = set(catalogue.backgrounds) - set(usable_photos(options, catalogue.backgrounds))
        if unused:
            many = f"{len(unused)} of {len(catalogue.backgrounds)} photos of {options.folder}"
            out.append(f"{many} are not places for people: {_reasons(unused)}")
    if recipe.cutouts is not None:
        used = usable_cutouts(recipe.cutouts, catalogue.cutouts)
        kinds = sorted({c.category or "no category" for c in set(catalogue.cutouts) - set(used)})
        if kinds:
            many = f"{len(catalogue.cutouts) - len(used)} of {len(catalogue.cutouts)} cut-outs"
            out.append(f"{many} do not stand on floors or have no known size: {_some(kinds)}")
    unfit = [garment for garment in catalogue.makehuman if garment.unfit]
    if unfit:
        many = f"{len(unfit)} of {len(catalogue.makehuman)} MakeHuman assets"
        out.append(f"{many} are not used: {_reasons(unfit)}")
    return tuple(out)


def doubted(catalogue: Catalogue) -> tuple[str, ...]:
    """Used files of the recipe's folders that look wrong, and why."""
    rotated = tuple(
        f"{image.asset.name} looks upside down: below the horizon it is {image.below_above:.3g} "
        "times as bright as above, and no floor reflects more light than it receives. "
        "It is used unchanged; if it is upside down, turn it over"
        for image in catalogue.hdris
        if image.below_above is not None and image.below_above > _UPSIDE_DOWN
    )
    dark = tuple(
        f"{image.asset.name} is black in {image.dark_floor:.0%} of where people's feet would be: "
        "they seem to float. It is used unchanged; if it shows no floor, remove it"
        for image in catalogue.hdris
        if image.dark_floor is not None and image.dark_floor > _DARK
    )
    return rotated + dark


def _photo_options(recipe: Recipe) -> list[Photo]:
    return [s.backdrop for s in recipe.backdrops if isinstance(s.backdrop, Photo)]


def _reasons(images: Iterable[ImageAsset | GarmentAsset]) -> str:
    by: dict[str, list[str]] = {}
    for image in sorted(images, key=lambda image: image.asset.name):
        by.setdefault(image.unfit or "no ground", []).append(names(image.asset)[1])
    lines = [
        f"{found[0]}{f' and {len(found) - 1} more' if found[1:] else ''}: {reason}"
        for reason, found in by.items()
    ]
    return _some(lines, "; ")


def _some(parts: Sequence[str], between: str = ", ") -> str:
    more = len(parts) - _SHOWN
    return between.join([*parts[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])


def check_places(recipe: Recipe, catalogue: Catalogue) -> None:
    """Raise RecipeError unless a photo is usable as a place and a cut-out can stand."""
    for options in _photo_options(recipe):
        images = catalogue.backgrounds
        if images and not usable_photos(options, images):
            raise RecipeError(
                "no photo of the folder can be a place for people",
                where=f"{recipe.name}: folder {options.folder}",
                expected="beside a photo NAME.jpg a NAME.camera.yaml with camera_height_m, "
                "pitch_deg or horizon, and vertical_fov_deg",
                got=f"{len(images)} photos: {_reasons(images)}",
                then="Write one for each photo with room for people (docs/photos.md), or "
                "say `ground: any` in the backdrop: then people are put before all of them.",
            )
    cutouts = recipe.cutouts
    if cutouts is not None and catalogue.cutouts:
        if not usable_cutouts(cutouts, catalogue.cutouts):
            raise RecipeError(
                "no cut-out of the folder is known to stand on a floor",
                where=f"{recipe.name}: folder {cutouts.folder}",
                expected="a manifest.json there with the category or height_m of each file",
                got=f"{len(catalogue.cutouts)} cut-outs: "
                + _some(sorted({c.category or "no category" for c in catalogue.cutouts})),
                then="Write height_m into the manifest (docs/photos.md), or say `size: share` in "
                "cutouts: then they are laid anywhere.",
            )


def _known(recipe: Recipe, field: str, given: Iterable[str] | None, known: Set[str]) -> None:
    for name in given or ():
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            raise RecipeError(
                "unknown name",
                where=f"{recipe.name}: {field}",
                expected=", ".join(sorted(known)) or "no name: there is nothing to choose",
                got=repr(name),
                then=f"Did you mean {near[0]!r}?" if near else None,
            )


def _something_left(recipe: Recipe, catalogue: Catalogue) -> None:
    """Check that folders are not empty, and that a hold-out leaves training items."""
    photos = catalogue.backgrounds
    for options in _photo_options(recipe):
        photos = usable_photos(options, photos) or photos
    out = set(recipe.holdout.occluders)
    out |= {c.asset.name for c in catalogue.cutouts if c.category in out}
    held_out: dict[str, Iterable[str]] = {
        "motions": recipe.holdout.poses,
        "cutouts": out,
        "meshes": out,
    }
    for use, folder in recipe.folders.items():
        items = photos if use == "backgrounds" else getattr(catalogue, use)
        items = [item for item in items if not (use == "makehuman" and item.unfit)]
        held = asset_held(held_out.get(use, recipe.holdout.backgrounds))
        if not any(recipe.splits.train == 0 or not held(item.asset) for item in items):
            raise RecipeError(
                f"nothing to choose from for {use}",
                where=f"{recipe.name}: folder {folder}",
                expected="files that are not all held out",
                got=f"{len(items)} files",
            )
    families = recipe.people.poses.families
    if recipe.people.bed.share > 0 and families is not None and not families.get(LIE):
        raise RecipeError(
            "nobody lies, so nobody can be in bed",
            where=f"{recipe.name}: people.bed.share",
            expected=f"a weight of {LIE} in people.poses.families",
            got=", ".join(sorted(families)),
        )
    people = recipe.people
    sitting = {pose.family for pose in catalogue.poses if pose.needs == "seat"}
    sits = people.hold.share > 0 or families is None or any(map(families.get, sitting))
    if people.belt > 0 and not (sits and (people.seats or {}).get(CABIN)):
        raise RecipeError(
            "nobody sits in a car, so nobody can wear a seat belt",
            where=f"{recipe.name}: people.belt",
            expected=f"a weight of {CABIN} in people.seats, and of sit in people.poses.families",
            got=", ".join(sorted({*(people.seats or ()), *(families or ())})) or "neither",
        )
    pose_held_out = pose_held(recipe)
    drawable = [pose for pose in catalogue.poses if may_be_drawn(recipe, pose)]
    if recipe.splits.train > 0 and all(pose_held_out(pose) for pose in drawable):
        raise RecipeError(
            "holdout.poses leaves no pose to train on", where=f"{recipe.name}: holdout"
        )


# Quotas ------------------------------------------------------------------------------


def _check_quotas(recipe: Recipe, catalogue: Catalogue) -> None:
    if recipe.quotas is None:
        return
    for family, share in (recipe.quotas.family or {}).items():
        if share > 0:
            _check_family(recipe, catalogue, family)
    known = recipe.people.identities - recipe.holdout.identities
    maximum = int(support(recipe.people.count)[1])
    for name, share in (recipe.quotas.body or {}).items():
        found = int((identities_of(recipe, name) < known).sum())
        if share > 0 and found < maximum:
            raise RecipeError(
                "the pool has too few people of this body",
                where=f"{recipe.name}: quotas.body: {name}",
                expected=f"{maximum} that training frames may show, as many as in a full frame",
                got=f"{found} of {known}",
                then="Raise people.identities, or widen people.shape.",
            )


def _check_family(recipe: Recipe, catalogue: Catalogue, family: str) -> None:
    _known(recipe, "quotas.family", (family,), {pose.family for pose in catalogue.poses})
    names, trained = recipe.people.poses.names, recipe.splits.train > 0
    held = pose_held(recipe)
    kept_out = recipe.holdout.occluders if trained else ()
    seats = any(
        "seat" in t.roles
        and t.kind not in kept_out
        and (recipe.people.seats or {t.kind: 1.0}).get(t.kind)
        for t in catalogue.objects
    )
    own = [pose for pose in catalogue.poses if pose.family == family]
    for fits, what, then in (
        (
            lambda pose: not (pose.holds or pose.leans),
            "in all of its poses people hold or lean on something",
            "Use people.hold instead.",
        ),
        (
            lambda pose: names is None or names.get(pose.name, 0.0) > 0,
            "people.poses.names leaves none of its poses",
            "Give some a weight above 0.",
        ),
        (
            lambda pose: not (trained and held(pose)),
            "all of its poses are held out, so training frames cannot keep the quota",
            "Take it out of quotas.family or of holdout.poses.",
        ),
        (
            lambda pose: seats or pose.needs != "seat",
            "all of its poses need a seat, and there is none to sit on",
            "Allow an object to sit on (see holdout.occluders), or leave the family out.",
        ),
    ):
        own = [pose for pose in own if fits(pose)]
        if not own:
            where = f"{recipe.name}: quotas.family: {family}"
            raise RecipeError(what, where=where, then=then)
