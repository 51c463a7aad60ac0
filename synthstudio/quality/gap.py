"""The gap between a data set and photos: all measurements, as figures and as text.

gap_sides.py reads both alike, gap_distance.py compares, gap_labels.py, gap_pictures.py,
gap_poses.py and gap_classifier.py measure, gap_recipe.py fits the recipe. docs/gap.md explains
each figure means.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from synthstudio.core.progress import OnProgress, counter
from synthstudio.core.threads import one_thread
from synthstudio.dataset.durable import json_ready
from synthstudio.dataset.reader import Dataset
from synthstudio.quality.gap_classifier import Classifier, classify
from synthstudio.quality.gap_distance import Difference
from synthstudio.quality.gap_labels import STATES, Labels, measure_labels
from synthstudio.quality.gap_pictures import MAX_CROPS, Crops, Pixels, crop_side, measure_pixels
from synthstudio.quality.gap_poses import Poses, measure_poses
from synthstudio.quality.gap_sides import Side, generated_side, photo_side

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
