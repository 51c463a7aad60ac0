"""The gap between a data set and photos: all measurements, as figures and as text; a fitted recipe.

gap_sides.py reads both alike, gap_distance.py compares, gap_labels.py and gap_pictures.py measure.
docs/gap.md explains what each figure means.

A recipe is fitted in the fields that photos determine, by quantile mapping (Panofsky and Brier
1968): at each of LEVELS quantiles the recipe's value is shifted by the difference of the estimate
between photos and generated people, so that common biases cancel, and photos like the data set do
not change its recipe. Only significant differences are applied. Fields are drawn independently, as
in every recipe; in photos they are not (the nearer, the fewer).
"""

import copy
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.core.errors import DatasetError, RecipeError
from synthstudio.core.progress import OnProgress, counter
from synthstudio.core.threads import one_thread
from synthstudio.dataset.durable import json_ready
from synthstudio.dataset.reader import Dataset
from synthstudio.quality.gap_distance import MIN, Difference
from synthstudio.quality.gap_labels import (
    STATES,
    Labels,
    Poses,
    measure_labels,
    measure_poses,
    middle_x,
    outside_share,
    touches_edge,
)
from synthstudio.quality.gap_pictures import (
    MAX_CROPS,
    Classifier,
    Crops,
    Pixels,
    classify,
    crop_side,
    measure_pixels,
)
from synthstudio.quality.gap_sides import Side, generated_side, photo_side
from synthstudio.quality.next_recipe import PHOTOS, finished, plain_yaml, recipe_of
from synthstudio.recipe.schema.distributions import AnyNumber, quantile
from synthstudio.recipe.schema.load import dump, parse
from synthstudio.recipe.schema.recipe import Recipe

Step = Callable[[str], OnProgress]
_FIRST = 8
_IN = {"generated": "the data set", "photos": "the photos"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Gap:
    """Result of `measure`; pairs are (generated, photos). None: too little data."""

    sides: tuple[Side, Side]
    labels: Labels
    crops: tuple[Crops, Crops]
    pixels: Pixels
    poses: Poses | None
    classifier: Classifier | None

    @property
    def differences(self) -> tuple[Difference, ...]:
        poses = (self.poses.difference,) if self.poses is not None else ()
        return (*self.labels.differences, *poses, *self.pixels.differences)

    @property
    def ranked(self) -> list[Difference]:
        """Significant differences, largest (in pooled standard deviations) first.

        Poses of photos nearer than generated ones among themselves are not a gap.
        """
        found = [d for d in self.differences if d.beyond_chance]
        found = [d for d in found if d.key != "pose" or d.shift > 0]
        return sorted(found, key=lambda d: (-d.effect, d.key))

    @property
    def notes(self) -> list[str]:
        out = [f"In {_IN[side.name]}, {note}" for side in self.sides for note in side.notes]
        for side, crops in zip(self.sides, self.crops, strict=True):
            if crops.unreadable:
                out.append(f"In {_IN[side.name]}, {crops.unreadable} people of damaged pictures.")
        if self.labels.missing:
            out.append(
                f"The photos' skeleton ({self.sides[1].skeleton.title}) has no "
                f"{', '.join(n.replace('_', ' ') for n in self.labels.missing)}: left out."
            )
        return out

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "sides": {
                s.name: {"people": s.people, "pictures": s.pictures, "crops": len(c)}
                for s, c in zip(self.sides, self.crops, strict=True)
            },
            "notes": self.notes,
            "ranked": [d.key for d in self.ranked],
            "differences": {d.key: _difference(d) for d in self.differences},
            "states": list(STATES),
            "joints": {j.joint: asdict(j) for j in self.labels.joints},
            "missing_joints": list(self.labels.missing),
            "camera": {
                "assumed": asdict(self.labels.assumed),
                "validated": [asdict(v) for v in self.labels.validated],
            },
            "orientations": {
                "fractions": self.pixels.orientations,
                "distance": self.pixels.orientation_distance,
                "chance": self.pixels.orientation_chance,
            },
            "poses": _poses(self.poses),
            "classifier": _classifier(self.classifier),
        }
        return dict(json_ready(found))

    def text(self) -> str:
        a, b = self.sides
        lines = [
            f"{a.people} generated people in {a.pictures} frames, {b.people} people in "
            f"{b.pictures} photos",
            *self.notes,
        ]
        lines.append(classifier_summary(self.classifier))
        if self.poses is not None and math.isfinite(self.poses.far):
            lines.append(
                f"{self.poses.far:.0%} of {len(self.poses.found)} real poses are farther from any "
                "generated one than 95 % of those are from one another"
            )
        few = [d.name for d in self.differences if not math.isfinite(d.distance)]
        lines += [f"Too few people to compare: {', '.join(few)}."] if few else []
        ranked = self.ranked
        lines.append(
            "Significant differences, largest first:" if ranked else "No significant differences."
        )
        for d in ranked[:_FIRST]:
            lines.append(
                f"  {d.name}: {d.middle_is} {d.middle[0]:.3g} generated, {d.middle[1]:.3g} photos; "
                f"{d.distance:.3g} {d.unit} apart (chance up to {d.chance:.3g}): {d.fields[0]}"
            )
        if len(ranked) > _FIRST:
            lines.append(f"  and {len(ranked) - _FIRST} more")
        return "\n".join(lines)


def measure(dataset: Dataset, annotations: Path, images: Path, *, step: Step) -> Gap:
    """Measure a data set against photos. Deterministic.

    DatasetError for a set without people; FormatError or AssetError for unusable
    photos. See gap_sides.py.
    """
    with one_thread():
        photos = photo_side(annotations, images)
        generated = generated_side(dataset)
        sides = (generated, photos)
        labels = measure_labels(generated, photos)
        crops = (_cropped(generated, step), _cropped(photos, step))
        return Gap(
            sides=sides,
            labels=labels,
            crops=crops,
            pixels=measure_pixels(sides, crops),
            poses=measure_poses(generated, photos, labels.common),
            classifier=classify(sides, crops),
        )


def _cropped(side: Side, step: Step) -> Crops:
    report = step(f"cropping people: {side.name}")
    return crop_side(side, on_crop=counter(report, min(MAX_CROPS, side.people)))


def classifier_summary(found: Classifier | None) -> str:
    if found is None:
        return "Too few pictures to train a classifier on."
    a = found.accuracy
    return (
        f"a small classifier distinguishes {a.value:.0%} of held-out crops ({a.low:.0%} to "
        f"{a.high:.0%}; 50 % is chance)"
    )


def _difference(d: Difference) -> dict[str, Any]:
    names = ["name", "unit", "fields", "count", "middle_is", "middle", "low", "high"]
    names += ["distance", "chance", "beyond_chance", "effect", "edges", "fractions"]
    return {name: getattr(d, name) for name in names}


def _poses(found: Poses | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "people": len(found.found),
        "far": found.far,
        "far_beyond": found.far_beyond,
        "joints": found.common,
        "farthest": [asdict(n) for n in found.found[:_FIRST]],
    }


def _classifier(found: Classifier | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "crops": len(found.real),
        "accuracy": asdict(found.accuracy),
        "by_cue": {name: asdict(a) for name, a in found.by_cue.items()},
    }


# The fitted recipe --------------------------------------------------------------------------------


LEVELS = (np.arange(10) + 0.5) / 10
_NAME_LENGTH = 64
_MIN_CUT, _MAX_CUT = 0.1, 0.6
"""Truncation targets: fractions of joints outside the picture."""
_PLACING = {"camera.distance_m", "camera.aim_height_m", "camera.pitch_deg", "camera.off_centre"}
UNSEEN = {
    "camera.height_m, camera.vertical_fov_deg": "a crop shows neither; both sides were read by "
    "the generated medians",
    "people.shape, poses, wardrobe": "the page measures them without a remedy",
    "light, lens, backdrop, objects": "several fields make one figure; change them by the page",
}
"""Fields that are not fitted, and why."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A recipe as YAML holds it; `moved`: changed fields with the figures used,
    `kept`: unchanged fields with reasons."""

    recipe: dict[str, Any]
    moved: dict[str, str]
    kept: dict[str, str]


def fit_recipe(dataset: Dataset, labels: Labels, sides: tuple[Side, Side]) -> Fitted:
    """Fit a recipe to photos; DatasetError for imported or photo sets, which place no people."""
    made = recipe_of(dataset)
    if PHOTOS in made:
        raise DatasetError(
            "the recipe of a photo set places no people",
            where=str(dataset.place),
            expected="a set that synthstudio generate made",
        )
    made = {**made, "frames": dataset.identity.frames}
    own = parse(made, str(dataset.place / "dataset.json"))
    wanted = copy.deepcopy(dump(own))
    wanted |= {
        "name": f"{own.name.removesuffix('-fitted')[: _NAME_LENGTH - 7]}-fitted",
        "description": f"{own.name}, fitted to {sides[1].people} people of "
        f"{sides[1].pictures} photos.",
        "seed": own.seed + 1,
    }
    found = {d.key: d for d in labels.differences}
    moved: dict[str, str] = {}
    kept = dict(UNSEEN)
    for field, key, change in _changes(own, labels, sides):
        why = _unmoved(found.get(key)) or _only_spread(field, found[key])
        if field == "targets.causes" and not _PLACING.isdisjoint(moved):
            why = why or "the camera moved, which cuts people too: measure what it makes first"
        if why:
            kept[field] = why
            continue
        tried = copy.deepcopy(wanted)
        _put(tried, field, change())
        try:
            parse(tried)
        except RecipeError as error:
            kept[field] = f"the recipe does not allow it: {str(error)[:200]}"
            continue
        wanted, d = tried, found[key]
        moved[field] = (
            f"{d.name}, {d.unit}: {d.middle_is} {d.middle[0]:.3g} of {d.count[0]} generated, "
            f"{d.middle[1]:.3g} of {d.count[1]} in photos"
        )
    recipe = finished(wanted, ("name", "description", "frames", "seed"))
    return Fitted(recipe=recipe, moved=moved, kept=kept)


def fitted_yaml(fitted: Fitted) -> str:
    """The recipe as YAML, with comments on what was fitted from what."""
    head = [
        "Written by `synthstudio gap --write`: the data set's own recipe, fitted to photos. Asset",
        "folders are those of the first recipe: give --assets when this file lies elsewhere.",
        "Fitted:" if fitted.moved else "Nothing was fitted.",
        *(f"  {field}: {why}" for field, why in fitted.moved.items()),
        "As they were:",
        *(f"  {field}: {why}" for field, why in fitted.kept.items()),
    ]
    comments = "".join(f"# {line}\n" for lines in head for line in lines.splitlines())
    return comments + plain_yaml(fitted.recipe)


def _changes(
    own: Recipe, labels: Labels, sides: tuple[Side, Side]
) -> list[tuple[str, str, Callable[[], Any]]]:
    """(field, its figure, function of the new value)."""
    camera, (generated, photos) = own.camera, labels.cameras
    pitched = camera.pitch_deg

    def shifted() -> Any:
        by = np.nanmedian(photos.roll_deg) - np.nanmedian(generated.roll_deg)
        return _choice(_levels(camera.roll_deg) + by, -45, 45)

    def placed() -> Any:
        return _mapped(camera.off_centre, _picture_means(sides[0]), _picture_means(sides[1]), 0.6)

    def nearer() -> Any:
        values = _levels(camera.distance_m) * _quantiles(photos.distance_m)
        return _choice(values / _quantiles(generated.distance_m), 0.6, 60)

    def aimed() -> Any:
        # Rows become metres at the lower quartile of distances: nearer people are truncated.
        near = [c.distance_m[np.isfinite(c.distance_m)] for c in labels.cameras]
        usual = quantile(camera.distance_m, 0.25)
        metres = [np.percentile(d, 25) if len(d) else usual for d in near]
        focal, own = labels.assumed.focal, (generated, photos)
        rows = [c.row * m / focal for c, m in zip(own, metres, strict=True)]
        return _mapped(camera.aim_height_m, rows[0], rows[1], 4, -1)

    def pitch() -> Any:
        assert pitched is not None
        return _mapped(pitched, generated.pitch_deg, photos.pitch_deg, 60, -85)

    known = own.people.identities - own.holdout.identities
    out: list[tuple[str, str, Callable[[], Any]]] = [
        ("camera.distance_m", "distance_m", nearer),
        ("camera.aim_height_m", "row", aimed)
        if pitched is None
        else ("camera.pitch_deg", "pitch_deg", pitch),
        ("camera.roll_deg", "roll_deg", shifted),
        ("camera.off_centre", "place", placed),
        ("people.count", "count", lambda: _counts(sides[1], known)),
    ]
    if own.clip is None and own.cutouts is None:  # clips and cut-outs exclude targets
        causes = dump(own)["targets"]["causes"]
        cut = _cut(sides[1], labels.common)
        out.append(("targets.causes", "edge", lambda: {**causes, "truncated": cut}))
    return out


def _unmoved(found: Difference | None) -> str:
    """Why a difference is not applied, or ""."""
    if found is None or not np.isfinite(found.distance):
        counts = (0, 0) if found is None else found.count
        return f"too few people tell it ({counts[0]} generated, {counts[1]} in photos)"
    if not found.beyond_chance:
        return (
            f"{found.name} differs by {found.distance:.3g} {found.unit}, chance by up to "
            f"{found.chance:.3g}"
        )
    return ""


def _only_spread(field: str, d: Difference) -> str:
    """Why roll is kept if only its spread differs: people lean."""
    if field != "camera.roll_deg" or abs(d.shift) >= d.distance / 2:
        return ""
    return (
        f"medians differ by {d.shift:.2g} degrees only; how far {d.name} spreads is how people lean"
    )


def _mapped(of: AnyNumber, generated: F64, real: F64, high: float, low: float | None = None) -> Any:
    values = _levels(of) + _quantiles(real) - _quantiles(generated)
    return _choice(values, -high if low is None else low, high)


def _levels(of: AnyNumber) -> F64:
    return np.array([quantile(of, float(u)) for u in LEVELS])


def _quantiles(values: F64) -> F64:
    return np.percentile(values[np.isfinite(values)], 100 * LEVELS)


def _choice(values: F64, low: float, high: float) -> Any:
    counts = Counter(round(float(v), 2) for v in np.clip(np.sort(values), low, high))
    return next(iter(counts)) if len(counts) == 1 else {"choice": dict(counts)}


def _picture_means(side: Side) -> F64:
    """Mean position of the people per non-empty picture, in picture widths."""
    sums = np.bincount(side.picture, middle_x(side), side.pictures)
    some = side.per_picture > 0
    return sums[some] / side.per_picture[some]


def _counts(photos: Side, known: int) -> Any:
    """Number of people per non-empty photo, at most the data set's maximum."""
    counts = Counter(np.minimum(photos.per_picture[photos.per_picture > 0], known).tolist())
    if len(counts) == 1:
        return next(iter(counts))
    return {"choice": {int(n): int(counts[n]) for n in sorted(counts)}}


def _cut(photos: Side, common: tuple[str, ...]) -> Any:
    """None, or the truncation target from the joints missing at the edge."""
    edge = touches_edge(photos) > 0
    share = round(float(edge.mean()), 2)
    lacking = outside_share(photos, common) if common else np.full(photos.people, np.nan)
    at, away = (lacking[which][np.isfinite(lacking[which])] for which in (edge, ~edge))
    more = float(at.mean() - (away.mean() if len(away) else 0.0)) if len(at) >= MIN else 0.3
    amount = round(min(max(more, _MIN_CUT), _MAX_CUT), 2)
    if share <= 0 or share >= 1:
        return amount if share else 0.0
    return {"choice": {0.0: round(1 - share, 2), amount: share}}


def _put(recipe: Mapping[str, Any], field: str, value: Any) -> None:
    *path, last = field.split(".")
    part: Any = recipe
    for name in path:
        part = part[name]
    part[last] = value
