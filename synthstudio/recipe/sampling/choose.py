"""Which split a frame belongs to, what it may use, and whether the recipe's names exist."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

from synthstudio.core.errors import RecipeError
from synthstudio.core.rng import Generator, stream
from synthstudio.core.scene import F64
from synthstudio.core.solve import Catalogue, ImageAsset, KeyPose
from synthstudio.core.spec import AssetRef, Split
from synthstudio.recipe.sampling.true_sizes import stands_m
from synthstudio.recipe.schema.distributions import pick
from synthstudio.recipe.schema.moments import FAMILY
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.recipe.schema.scene import Cutouts, Photo, ProceduralThings

T = TypeVar("T")

SPLIT_BLOCK = 20
"""Frames in a block; each block holds every split by its share."""
_SHOWN = 6
_UPSIDE_DOWN = 2.0
"""What falls on a floor is at most that of twice the sky's mean: all of it from the zenith."""
_DARK = 0.5
"""So much of a panorama's floor is black if people in it mostly seem to float."""
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What every choice of one frame may look at."""

    recipe: Recipe
    index: int
    split: Split
    catalogue: Catalogue
    variant: tuple[int | str, ...] = ()  # its choices have streams of their own; () the base

    @property
    def where(self) -> str:
        """Return the frame's name for messages."""
        return f"{self.recipe.name}, frame {self.index}"

    def rng(self, *keys: int | str) -> Generator:
        """Return the frame's own stream of random numbers for one purpose."""
        return stream(self.recipe.stream_seed, "frame", self.index, *keys, *self.variant)

    def shared_rng(self, *keys: int | str) -> Generator:
        """Return the stream that all variants of the frame share for one purpose."""
        return stream(self.recipe.stream_seed, "frame", self.index, *keys)

    def again(self, kind: str, number: int) -> Draw:
        """Return the same frame for variant `number` of a kind, with streams of its own."""
        return dataclasses.replace(self, variant=("variant", kind, number))

    def allowed(
        self, items: Sequence[T], rng: Generator, *, held: Callable[[T], bool]
    ) -> tuple[T, ...]:
        """Return what may be chosen from: never held-out items in train.

        In val and test it is the held-out ones alone as often as `holdout.share` says, else
        all of them. Takes one random number.
        """
        u = rng.random()
        kept = tuple(item for item in items if held(item))
        if not kept:
            return tuple(items)
        if self.split == "train":
            return tuple(item for item in items if item not in kept)
        return kept if u < self.recipe.holdout.share else tuple(items)


def split_of(recipe: Recipe, index: int) -> Split:
    """Return the split of frame `index`.

    Blocks of 20 frames are each a random permutation of 20 evenly spaced places in [0, 1), and
    a block's shift follows the golden ratio; so shares hold in every block (exactly where
    20 times a share is whole) and over any long run.
    """
    block, place = divmod(index, SPLIT_BLOCK)
    order = stream(recipe.stream_seed, "split", block).permutation(SPLIT_BLOCK)
    shift = (float(stream(recipe.stream_seed, "split").random()) + block * _GOLDEN) % 1.0
    at = (int(order[place]) + shift) / SPLIT_BLOCK
    # A share of 0.1 is two twentieths: do not let 0.1 + 0.1 lose a place to rounding.
    if at < recipe.splits.test - 1e-12:
        return "test"
    return "val" if at < recipe.splits.test + recipe.splits.val - 1e-12 else "train"


@functools.lru_cache(maxsize=4096)
def names(asset: AssetRef) -> tuple[str, ...]:
    """Return the names by which a recipe may call an asset: path, file name, bare name."""
    path = PurePosixPath(asset.name)
    return asset.name, path.name, path.stem


def pose_held(recipe: Recipe) -> Callable[[KeyPose], bool]:
    """Return whether a pose is held out, by its name or family."""
    held = set(recipe.holdout.poses)
    return lambda pose: pose.name in held or pose.family in held


def asset_held(called: Iterable[str]) -> Callable[[AssetRef], bool]:
    held = set(called)
    return lambda asset: bool(held) and not held.isdisjoint(names(asset))


def pick_one(
    items: Sequence[T],
    rng: Generator,
    *,
    weights: dict[str, float] | None = None,
    name: Callable[[T], str] = str,
) -> T:
    places = {i: 1.0 if weights is None else weights.get(name(x), 0.0) for i, x in enumerate(items)}
    return items[pick(places, rng)]


def check(recipe: Recipe, catalogue: Catalogue) -> None:
    """Raise RecipeError if the recipe names what the catalogue lacks or leaves nothing to draw."""
    poses = {p.name for p in catalogue.poses}
    families = {p.family for p in catalogue.poses}
    kinds = {t.kind for t in catalogue.things}
    meshes = {n for m in catalogue.meshes for n in names(m.asset)}
    cutouts = {n for c in catalogue.cutouts for n in (c.category, *names(c.asset)) if n}
    behind = [b.asset for b in (*catalogue.backgrounds, *catalogue.hdris)]
    behind += [place.asset for place in catalogue.places]
    places = {n for asset in behind for n in names(asset)}
    options = recipe.people
    _known(recipe, "people.poses.names", options.poses.names or (), poses)
    _known(recipe, "people.poses.families", options.poses.families or (), families)
    _known(
        recipe,
        "people.wardrobe.kinds",
        options.wardrobe.kinds,
        {g.kind for g in catalogue.garments},
    )
    for i, things in enumerate(recipe.things):
        if isinstance(things, ProceduralThings):
            occluders = {t.kind for t in catalogue.things if "occluder" in t.roles}
            _known(recipe, f"things.{i}.kinds", things.kinds or (), occluders)
    held = {t.kind for t in catalogue.things if t.grip}
    _known(recipe, "people.hold.kinds", options.hold.kinds or (), held)
    meetings = {m.name for m in catalogue.meetings}
    _known(recipe, "people.together.kinds", options.together.kinds or (), meetings)
    motions = {m.name for m in catalogue.motions}
    _known(recipe, "motion.names", (recipe.motion and recipe.motion.names) or (), motions)
    moving = motions | {FAMILY} if motions else set()
    _known(recipe, "holdout.poses", recipe.holdout.poses, poses | families | meetings | moving)
    _known(recipe, "holdout.occluders", recipe.holdout.occluders, kinds | meshes | cutouts)
    _known(recipe, "holdout.backgrounds", recipe.holdout.backgrounds, places)
    _something_left(recipe, catalogue)


def usable_photos(options: Photo, images: Sequence[ImageAsset]) -> tuple[ImageAsset, ...]:
    """Return the photos that may be behind people: with `ground: known` those that say how."""
    return tuple(image for image in images if options.ground == "any" or image.ground is not None)


def left_out(recipe: Recipe, catalogue: Catalogue) -> tuple[str, ...]:
    """Return what of the recipe's folders is not used, and why; RecipeError if that is all."""
    check_places(recipe, catalogue)
    out = []
    for options in _photo_options(recipe):
        unused = set(catalogue.backgrounds) - set(usable_photos(options, catalogue.backgrounds))
        if unused:
            many = f"{len(unused)} of {len(catalogue.backgrounds)} photos of {options.folder}"
            out.append(f"{many} are no places for people: {_reasons(unused)}")
    if recipe.cutouts is not None:
        used = usable_cutouts(recipe.cutouts, catalogue.cutouts)
        kinds = sorted({c.category or "no category" for c in set(catalogue.cutouts) - set(used)})
        if kinds:
            many = f"{len(catalogue.cutouts) - len(used)} of {len(catalogue.cutouts)} cut-outs"
            out.append(f"{many} do not stand on floors, or nobody knows their size: {_some(kinds)}")
    return tuple(out)


def doubted(catalogue: Catalogue) -> tuple[str, ...]:
    """Return what of the recipe's folders is used and looks wrong, and why."""
    turned = tuple(
        f"{image.asset.name} looks upside down: below the horizon it is {image.below_above:.3g} "
        "times as bright as above, and no floor throws back more than the light that falls on it. "
        "It is used as it is; if it is upside down, turn it over"
        for image in catalogue.hdris
        if image.below_above is not None and image.below_above > _UPSIDE_DOWN
    )
    dark = tuple(
        f"{image.asset.name} is black in {image.dark_floor:.0%} of where people's feet would be: "
        "they float in the dark. It is used as it is; if no floor is to be seen in it, take it out"
        for image in catalogue.hdris
        if image.dark_floor is not None and image.dark_floor > _DARK
    )
    return turned + dark


def _photo_options(recipe: Recipe) -> list[Photo]:
    return [s.backdrop for s in recipe.backdrops if isinstance(s.backdrop, Photo)]


def _reasons(images: Iterable[ImageAsset]) -> str:
    """Return why photos cannot be used, each reason with how many it is true of and the first."""
    by: dict[str, list[str]] = {}
    for image in sorted(images, key=lambda image: image.asset.name):
        by.setdefault(image.unfit or "no ground", []).append(names(image.asset)[1])
    told = [
        f"{found[0]}{f' and {len(found) - 1} more' if found[1:] else ''}: {reason}"
        for reason, found in by.items()
    ]
    return _some(told, "; ")


def _some(parts: Sequence[str], between: str = ", ") -> str:
    more = len(parts) - _SHOWN
    return between.join([*parts[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])


def usable_cutouts(options: Cutouts, images: Sequence[ImageAsset]) -> tuple[ImageAsset, ...]:
    """Return the cut-outs that may be used: of real size those that stand and are known."""
    return tuple(c for c in images if options.size == "share" or stands_m(c) is not None)


def check_places(recipe: Recipe, catalogue: Catalogue) -> None:
    """Raise RecipeError unless some photo can be a place for people, some cut-out can stand."""
    for options in _photo_options(recipe):
        images = catalogue.backgrounds
        if images and not usable_photos(options, images):
            raise RecipeError(
                "no photo of the folder can be a place for people",
                where=f"{recipe.name}: folder {options.folder}",
                expected="beside a photo NAME.jpg a NAME.camera.yaml with camera_height_m, "
                "pitch_deg or horizon, and vertical_fov_deg",
                got=f"{len(images)} photos: {_reasons(images)}",
                then="Write one for each photo in which somebody could stand (docs/photos.md), or "
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


def may_be_drawn(recipe: Recipe, pose: KeyPose) -> bool:
    """Whether a recipe asks for a pose: all but athletic ones, and those where it says so."""
    options, quotas = recipe.people.poses, recipe.quotas
    asked = {*(options.families or ()), *(options.names or ()), *((quotas and quotas.family) or ())}
    return (
        not pose.athletic or options.athletic > 0 or not asked.isdisjoint({pose.name, pose.family})
    )


def _known(recipe: Recipe, field: str, names_given: Iterable[str], known: set[str]) -> None:
    for name in names_given:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            raise RecipeError(
                "there is nothing of that name",
                where=f"{recipe.name}: {field}",
                expected=", ".join(sorted(known)[:40]) or "no name: there is nothing to choose",
                got=repr(name),
                then=f"Did you mean {near[0]!r}?" if near else None,
            )


def _something_left(recipe: Recipe, catalogue: Catalogue) -> None:
    """Check that folders hold something, and that a hold-out leaves something to train on."""
    photos = catalogue.backgrounds
    for options in _photo_options(recipe):
        photos = usable_photos(options, photos) or photos
    uses = {
        "backgrounds": [b.asset for b in photos],
        "hdris": [b.asset for b in catalogue.hdris],
        "places": [b.asset for b in catalogue.places],
        "cutouts": [c.asset for c in catalogue.cutouts],
        "meshes": [m.asset for m in catalogue.meshes],
        "motions": [m.asset for m in catalogue.motions],
    }
    for use, folder in recipe.folders.items():
        held = asset_held(
            recipe.holdout.backgrounds
            if use in ("backgrounds", "hdris", "places")
            else recipe.holdout.poses
            if use == "motions"
            else (*recipe.holdout.occluders, *_held_categories(recipe, catalogue))
        )
        left = [asset for asset in uses[use] if recipe.splits.train == 0 or not held(asset)]
        if not left:
            raise RecipeError(
                f"nothing to choose from for {use}",
                where=f"{recipe.name}: folder {folder}",
                expected="files that are not all held out",
                got=f"{len(uses[use])} files",
            )
    held_out = pose_held(recipe)
    asked = [pose for pose in catalogue.poses if may_be_drawn(recipe, pose)]
    if recipe.splits.train > 0 and all(held_out(pose) for pose in asked):
        raise RecipeError(
            "holdout.poses leaves no pose to train on", where=f"{recipe.name}: holdout"
        )


def _held_categories(recipe: Recipe, catalogue: Catalogue) -> list[str]:
    held = set(recipe.holdout.occluders)
    return [c.asset.name for c in catalogue.cutouts if c.category in held]


# Stratified numbers ----------------------------------------------------------------------

STRATA = 100


def stratified(seed: int, key: str, *, number: int, block: int = STRATA) -> float:
    """Return sample `number` (from 0) of the stratified stream `key`: a float in [0, 1).

    Samples k block .. (k + 1) block - 1 are (perm[i] + u[i]) / block with a random permutation
    and uniform u: each of the `block` equal intervals holds exactly one, in random order. So the
    share of any n samples from the first on below a threshold t is within block / n of t, and
    that of whole blocks within 1 / block.
    """
    return float(_stratum_block(seed, key, number // block, block)[number % block])


@functools.lru_cache(maxsize=4096)
def _stratum_block(seed: int, key: str, place: int, block: int) -> F64:
    rng = stream(seed, "plan", key, place, block)
    values: F64 = (rng.permutation(block) + rng.random(block)) / block
    return values.clip(0.0, 1.0 - 2.0**-53)
