"""Inputs of all choices of a frame: its split, random streams, hold-outs, and quotas as a plan."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, TypeVar

from synthstudio.core.arrays import F64
from synthstudio.core.catalogue import (
    VEHICLE,
    Catalogue,
    GeometryQueries,
    ImageAsset,
    KeyPose,
    MeshAsset,
    ObjectKind,
)
from synthstudio.core.errors import RecipeError
from synthstudio.core.rng import Generator, stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.spec import AssetRef, PersonSpec, Split
from synthstudio.recipe.sampling.true_sizes import stands_m
from synthstudio.recipe.schema.distributions import at_share, pick, support
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.recipe.schema.scene import Cutouts, Photo

T = TypeVar("T")
Unit = tuple[PersonSpec, KeyPose]

SPLIT_BLOCK = 20
"""Frames in a block; each block holds every split by its share."""
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, kw_only=True)
class SampleContext:
    recipe: Recipe
    index: int
    split: Split
    geometry: GeometryQueries
    variant: tuple[int | str, ...] = ()  # with separate random streams; () the base
    places: frozenset[str] = frozenset()  # of ObjectKind.places; empty: unknown

    @property
    def catalogue(self) -> Catalogue:
        return self.geometry.catalogue

    @property
    def where(self) -> str:
        return f"{self.recipe.name}, frame {self.index}"

    def rng(self, *keys: int | str) -> Generator:
        """The frame's own stream of random numbers for one purpose."""
        return stream(self.recipe.stream_seed, "frame", self.index, *keys, *self.variant)

    def shared_rng(self, *keys: int | str) -> Generator:
        """The stream shared by all variants of the frame for one purpose."""
        return stream(self.recipe.stream_seed, "frame", self.index, *keys)

    def quota(self, axis: Axis, place: int) -> str | None:
        """The bin planned for the person at a place (from 0); None without such a quota."""
        return bin_of(self.recipe, axis, person_number(self.recipe, self.index, place))

    def again(self, kind: str, number: int) -> SampleContext:
        """The same frame for variant `number` of a kind, with streams of its own."""
        return dataclasses.replace(self, variant=("variant", kind, number))

    @property
    def joint_names(self) -> tuple[str, ...]:
        return get_skeleton(self.recipe.skeleton).joints

    def joints_m(self, person: PersonSpec) -> dict[str, F64]:
        """(3,) the place of each of a person's joints."""
        return dict(zip(self.joint_names, self.geometry.joints_m(person), strict=True))

    def occluder_held(self, item: ObjectKind | ImageAsset | MeshAsset) -> bool:
        held = self.recipe.holdout.occluders
        if isinstance(item, ObjectKind):
            return item.kind in held
        by_category = isinstance(item, ImageAsset) and item.category in held
        return by_category or asset_held(held)(item.asset)

    def fitting(self, kinds: tuple[ObjectKind, ...]) -> tuple[ObjectKind, ...]:
        """The kinds fitting the frame's place; all if none fits."""
        return tuple(k for k in kinds if self.suits(k)) or kinds

    def suits(self, kind: ObjectKind) -> bool:
        known = self.places or kind.places - VEHICLE
        return not kind.places or bool(kind.places & known)

    def nothing_left(self, field: str, use: str) -> RecipeError:
        return RecipeError(
            f"no kind of object is left {use}",
            where=f"{self.where}: {field}",
            then="Name more kinds, or hold out fewer.",
        )

    def allowed(
        self, items: Sequence[T], rng: Generator, *, held: Callable[[T], bool]
    ) -> tuple[T, ...]:
        """The candidates: never held-out items in train.

        In val and test only the held-out ones, with probability `holdout.share`, else all of
        them. Takes one random number.
        """
        u = rng.random()
        kept = tuple(item for item in items if held(item))
        if not kept:
            return tuple(items)
        if self.split == "train":
            return tuple(item for item in items if item not in kept)
        return kept if u < self.recipe.holdout.share else tuple(items)


def split_of(recipe: Recipe, index: int) -> Split:
    """The split of frame `index`.

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
    """The names of an asset in a recipe: path, file name, bare name."""
    path = PurePosixPath(asset.name)
    return asset.name, path.name, path.stem


def pose_held(recipe: Recipe) -> Callable[[KeyPose], bool]:
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


def may_be_drawn(recipe: Recipe, pose: KeyPose) -> bool:
    """Whether a recipe allows a pose: all but athletic ones, unless it includes them."""
    options, quotas = recipe.people.poses, recipe.quotas
    if not pose.athletic or options.athletic > 0:
        return True
    named = {*(options.families or ()), *(options.names or ()), *((quotas and quotas.family) or ())}
    return not named.isdisjoint({pose.name, pose.family})


def usable_photos(options: Photo, images: Sequence[ImageAsset]) -> tuple[ImageAsset, ...]:
    """The possible background photos: with `ground: known` those with known camera pose."""
    return tuple(image for image in images if options.ground == "any" or image.ground is not None)


def usable_cutouts(options: Cutouts, images: Sequence[ImageAsset]) -> tuple[ImageAsset, ...]:
    """The usable cut-outs: of real size, those that stand and have known size."""
    return tuple(c for c in images if options.size == "share" or stands_m(c) is not None)


# Stratified numbers ----------------------------------------------------------------------

STRATA = 100


def stratified(seed: int, key: str, *, number: int) -> float:
    """Sample `number` (from 0) of the stratified stream `key`: a float in [0, 1).

    Each block of STRATA samples is (perm[i] + u[i]) / STRATA with a random permutation and
    uniform u: each of the equal intervals holds exactly one, in random order. So the share of
    any n samples from the first on below a threshold t is within STRATA / n of t.
    """
    block, place = divmod(number, STRATA)
    return float(_stratum_block(seed, key, block)[place])


@functools.lru_cache(maxsize=4096)
def _stratum_block(seed: int, key: str, block: int) -> F64:
    rng = stream(seed, "plan", key, block, STRATA)
    values: F64 = (rng.permutation(STRATA) + rng.random(STRATA)) / STRATA
    return values.clip(0.0, 1.0 - 2.0**-53)


# Quotas: every axis is a stratified stream over the people of a run, numbered in order ----------

Axis = Literal["view", "family", "body"]


def bin_of(recipe: Recipe, axis: Axis, number: int) -> str | None:
    """The bin of person `number` of the run; None without such a quota."""
    fractions: dict[str, float] | None = getattr(recipe.quotas, axis, None)
    if fractions is None:
        return None
    u = stratified(recipe.stream_seed, f"quota {axis}", number=number)
    # In the order of names: a stored recipe has its keys sorted.
    return at_share(dict(sorted(fractions.items())), u)


def person_number(recipe: Recipe, index: int, place: int) -> int:
    """The number in the run of the person at a place (from 0) of frame or moment `index`."""
    return index * int(support(recipe.people.count)[1]) + place
