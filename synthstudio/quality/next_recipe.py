"""The next recipe: a data set's recipe with quotas and targets for its thin bins."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import CAUSES, VISIBILITY
from synthstudio.core.people import BODIES, VIEWS
from synthstudio.dataset.reader import Dataset
from synthstudio.quality.coverage import REGIONS, Coverage, thin_below
from synthstudio.recipe.sampling.people import pool_by_body
from synthstudio.recipe.schema.distributions import support
from synthstudio.recipe.schema.load import dump, parse
from synthstudio.recipe.schema.people import FULL_TURN, bodies_in, contradictions
from synthstudio.recipe.schema.recipe import Recipe

SHRINK = 4
"""Default size of the next recipe relative to the data set."""
_NAME_LENGTH = 64
_POOL = 120  # identities for each person of a full frame: a dozen of every body
_MAX_GROUPS = 2
_MAX_OWN = 0.25
"""Maximum self-occlusion rate of joints that can be required visible."""
_MIN_RATE, _MAX_RATE = 0.05, 0.3
# Target occluded fractions, one per bin without the last.
_MIDDLES = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8)
_BY_OTHERS = [VISIBILITY.index("person"), VISIBILITY.index("object")]
_NOT_BY_OTHERS = [VISIBILITY.index("self"), VISIBILITY.index("truncated")]
_KNOWN = [k for k, cause in enumerate(CAUSES) if cause != "unlabelled"]
_BY_PEOPLE = (0.05, 0.15)  # target fractions of joints hidden by other people
_REACHES = 0.15
"""Minimum target for a hidden limb, which is a tenth of a person."""
IMPORTED, PHOTOS = "imported", "photos"  # as formats/imports.py and stage.py mark them


def next_recipe(
    dataset: Dataset,
    found: Coverage,
    *,
    families: Iterable[str],
    frames: int | None = None,
    at_least: float | None = None,
) -> dict[str, Any]:
    """Return a recipe that fills a data set's thin bins, as YAML without defaults.

    `families`: all pose families. `frames`: default a quarter of the set's. A bin is
    thin below `at_least`, by default below half of an even share; then every bin of its axis
    gets a quota by its deficit. It has another seed, so frames do not repeat. That of a set
    of photos is for `occlude`: no quotas, since people in photos are fixed. DatasetError for an
    imported set without a recipe; RecipeError if the stored recipe is damaged.
    """
    made = recipe_of(dataset)
    photos = made.pop(PHOTOS, None)
    own = parse({**made, "frames": dataset.identity.frames}, str(dataset.place / "dataset.json"))
    wanted = copy.deepcopy(dump(own))
    wanted |= {
        "name": f"{own.name[: _NAME_LENGTH - 5]}-next",
        "description": f"What was thin in {found.frames} frames of {own.name}.",
        "seed": own.seed + 1,
        "frames": frames or max(1, own.frames // SHRINK),
    }
    if photos is not None:
        return _of_photos(own, wanted, found, int(photos["count"]), at_least)
    quotas = {
        "view": _lacking(found, "view", _views(own), at_least),
        "family": _lacking(found, "family", _families(own, families), at_least),
        "body": _bodies(own, wanted, found, at_least),
    }
    requested = {**(wanted["quotas"] or {}), **{axis: q for axis, q in quotas.items() if q}}
    wanted["quotas"] = requested or None
    if own.clip is None and own.cutouts is None:  # clips and cut-outs exclude targets
        wanted["targets"] |= _targets(own, wanted, found, at_least)
    return finished(wanted, ("name", "description", "frames", "seed"))


def recipe_of(dataset: Dataset) -> dict[str, Any]:
    """Return a data set's recipe, also of a re-imported export; DatasetError for external sets."""
    made: Any = dataset.identity.recipe
    while isinstance(made, dict) and IMPORTED in made:
        before = made[IMPORTED].get("of") if isinstance(made[IMPORTED], dict) else None
        made = before.get("recipe") if isinstance(before, dict) else None
    if not isinstance(made, dict):
        raise DatasetError(
            "this data set was imported, so it has no recipe",
            where=str(dataset.place),
            then="Write one for the thin bins (scenes/ has examples), or occlude its people with "
            "synthstudio occlude.",
        )
    return dict(made)


def is_of_photos(dataset: Dataset) -> bool:
    """Whether `occlude` made a data set: then the next recipe is for `occlude` too."""
    return PHOTOS in recipe_of(dataset)


def finished(wanted: dict[str, Any], first: Sequence[str]) -> dict[str, Any]:
    short = shortened(wanted)
    parse(short, "the next recipe")
    return {**{key: wanted[key] for key in first}, **short}


def _of_photos(
    own: Recipe, wanted: dict[str, Any], found: Coverage, photos: int, at_least: float | None
) -> dict[str, Any]:
    occlude = dict(wanted["occlude"])
    occlude["each"] = max(1, round(wanted["frames"] / max(1, photos)) - 1)
    by = dict(occlude["by"])
    people, objects = found.of_joints("cause")[_BY_OTHERS].tolist()
    minimum = thin_below(np.array([people, objects]), at_least)
    if people < minimum and by.get("person"):
        by["person"] *= 2
    if objects < minimum:
        by |= {kind: 2 * weight for kind, weight in by.items() if kind != "person"}
    occlude["by"] = by
    hidden = photos * occlude["each"] * sum(support(own.occlude.hide if own.occlude else 1)) / 2
    wanted |= {"occlude": occlude, "quotas": None, "frames": parse({"name": "x"}).frames}
    wanted["targets"] |= _joint_targets(
        own, found, at_least, people=hidden, alone=False
    ) or _fraction_targets(own, found, at_least, anew=True)
    return finished(wanted, ("name", "description", "seed"))


def as_yaml(recipe: Mapping[str, Any], found: Coverage) -> str:
    head = (
        f"# For what is thin in {found.frames} frames with {found.people} people: written by\n"
        "# `synthstudio coverage --write`. Quotas are shares of the people; asset folders are\n"
        "# those of the first recipe: give --assets when this file lies elsewhere.\n"
    )
    return head + plain_yaml(recipe)


def plain_yaml(recipe: Mapping[str, Any]) -> str:
    return yaml.safe_dump(
        dict(recipe), sort_keys=False, default_flow_style=None, width=96, allow_unicode=True
    )


def _lacking(
    found: Coverage, axis: str, allowed: Iterable[str], at_least: float | None
) -> dict[str, int]:
    """Quotas in percent for the thin bins of an axis; empty if none is thin."""
    have = dict(zip(found.labels[axis], found.of_people(axis).tolist(), strict=True))
    counts = {name: have.get(name, 0) for name in allowed}
    here = np.array(list(counts.values()), np.int64)
    if not counts or not (here < thin_below(here, at_least)).any():
        return {}
    even = at_least if at_least is not None else float(here.mean())
    lacks = {name: max(0.0, even - count) for name, count in counts.items()}
    total = sum(lacks.values())
    return {name: max(1, round(100 * n / total)) for name, n in lacks.items() if n > 0}


def _views(own: Recipe) -> list[str]:
    if own.people.interactions.share > 0:
        return []  # interactions fix orientations
    if own.quotas is not None and own.quotas.view is not None:
        return [name for name, share in own.quotas.view.items() if share > 0]
    return list(VIEWS) if own.people.facing_deg == FULL_TURN else []


def _families(own: Recipe, families: Iterable[str]) -> list[str]:
    poses, hold = own.people.poses, own.people.hold
    others = hold.share > 0 or hold.lean > 0 or own.people.interactions.share > 0
    if poses.names is not None or others or own.motion is not None:
        return []  # single poses or motions are selected, so families do not apply
    requested = poses.families if own.quotas is None else own.quotas.family or poses.families
    held = set(own.holdout.poses)
    return sorted(
        name
        for name in families
        if name not in held and (requested is None or requested.get(name, 0) > 0)
    )


def _bodies(
    own: Recipe, wanted: dict[str, Any], found: Coverage, at_least: float | None
) -> dict[str, int]:
    """Quotas for bodies that the next pool holds; enlarge a small pool."""
    allowed = set(BODIES)
    if own.quotas is not None and own.quotas.body is not None:
        allowed = {b for name, share in own.quotas.body.items() if share for b in bodies_in(name)}
    maximum, held = int(support(own.people.count)[1]), own.holdout.identities
    pool = parse({**wanted, "quotas": None})

    def enough(recipe: Recipe) -> list[str]:
        known = recipe.people.identities - held
        by_body = pool_by_body(recipe)
        return sorted(b for b in allowed & set(by_body) if (by_body[b] < known).sum() >= maximum)

    lacks = _lacking(found, "body", enough(pool), at_least)
    larger = max(own.people.identities, min(100_000, _POOL * maximum + held))
    people = {**wanted["people"], "identities": larger}
    bodies = enough(parse({**wanted, "quotas": None, "people": people}))
    more = _lacking(found, "body", bodies, at_least)
    if set(more) - set(lacks):
        wanted["people"] = people
        return more
    return lacks


def _targets(
    own: Recipe, wanted: Mapping[str, Any], found: Coverage, at_least: float | None
) -> dict[str, Any]:
    """Targets: joints rarely hidden by others, else people as occluders, fractions."""
    if not own.objects:  # only people can occlude
        return _cause_targets(own, found, at_least)
    people = wanted["frames"] * sum(support(own.people.count)) / 2
    return (
        _joint_targets(own, found, at_least, people=people)
        or _cause_targets(own, found, at_least)
        or _fraction_targets(own, found, at_least)
    )


def _joint_targets(
    own: Recipe, found: Coverage, at_least: float | None, *, people: float, alone: bool = True
) -> dict[str, Any]:
    """Joints rarely hidden by others, and their target rates.

    With `alone` a rate is above that of self-occlusion and
    truncation; in photos only visible joints are targets.
    """
    fraction = own.targets.occluded_fraction
    if fraction is not None and support(fraction)[1] < _REACHES:
        return {}
    counts = found.of_joints("joint", "cause")
    by_others = counts[:, _BY_OTHERS].sum(axis=1)
    minimum = thin_below(by_others, at_least)
    labelled = np.maximum(1, counts[:, _KNOWN].sum(axis=1))
    hidden = alone * counts[:, _NOT_BY_OTHERS].sum(axis=1) / labelled
    rates: dict[str, float] = {}
    for joints in _regions(found.skeleton.joints):
        have, anyway = float(by_others[joints].mean()), float(hidden[joints].min())
        if have < minimum and anyway <= _MAX_OWN:
            group = "+".join(found.skeleton.joints[j] for j in joints)
            more = np.clip((2 * minimum - have) / max(1.0, people), _MIN_RATE, _MAX_RATE)
            rates[group] = round(float(anyway + more), 2)
    seldom = sorted(rates, key=lambda group: (-rates[group], group))[:_MAX_GROUPS]
    if not seldom:
        return {}
    chosen = {group: rates[group] for group in seldom}
    before = own.targets.joints.items()
    kept = {k: rate for k, rate in before if not contradictions(chosen | {k: rate})}
    return {"joints": kept | chosen}


def _cause_targets(own: Recipe, found: Coverage, at_least: float | None) -> dict[str, Any]:
    """Targets of occlusion by people, if rare; every frame needs two people."""
    by_people, by_objects = found.of_joints("cause")[_BY_OTHERS]
    requested = own.targets.crowd_index is not None or "person" in own.targets.causes
    if support(own.people.count)[0] < 2 or requested:
        return {}
    if by_people >= thin_below(np.array([by_people, by_objects]), at_least):
        return {}
    return {"causes": {**dump(own)["targets"]["causes"], "person": list(_BY_PEOPLE)}}


def _fraction_targets(
    own: Recipe, found: Coverage, at_least: float | None, *, anew: bool = False
) -> dict[str, Any]:
    """The occluded fractions that are thin; with `anew` also if others were requested."""
    people_by = found.of_people("fraction")[: len(_MIDDLES)]
    if own.targets.occluded_fraction is not None and not anew:
        return {}
    if not (people_by < thin_below(people_by, at_least)).any():
        return {}
    lack = np.maximum(0.0, people_by.mean() - people_by)
    choice = {
        str(middle): round(100 * float(n / lack.sum()))
        for middle, n in zip(_MIDDLES, lack, strict=True)
        if n > 0
    }
    return {"occluded_fraction": {"choice": choice}}


def _regions(joints: Sequence[str]) -> list[list[int]]:
    """Indices of joints so close together that one object hides them."""
    found = []
    for ends in REGIONS.values():
        places = [j for j, name in enumerate(joints) if name.endswith(ends)]
        found += [[j for j in places if joints[j].startswith(side)] for side in ("left", "right")]
    return [places for places in found if places]


def shortened(wanted: dict[str, Any]) -> dict[str, Any]:
    """The recipe's values without those that are defaults; `parse` gives the same recipe."""
    recipe = parse(wanted)
    short = recipe.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    found: dict[str, Any] = _with_kinds(short, dump(recipe))
    return found


def _with_kinds(short: Any, full: Any) -> Any:
    """`short` with each part's `kind`, without which `parse` would not know its fields."""
    if isinstance(short, list):
        return [_with_kinds(*pair) for pair in zip(short, full, strict=True)]
    if not isinstance(short, dict):
        return short
    kind = {"kind": full["kind"]} if "kind" in full else {}
    return kind | {key: _with_kinds(value, full[key]) for key, value in short.items()}
