"""What differs between two data sets: how they were made, how much is in them, and of what."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from synthstudio.core.labels import CAUSES
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.manifest import identity_differences
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import pair_rows
from synthstudio.quality.stats import FRAME_COLUMNS, PERSON_COLUMNS, stats

_COUNTS = ("frames", "people", "identities", "joints_total", "ambiguous")
_HISTOGRAMS = ("occluded_fraction", "truncated_fraction", "crowd_index")
_NAMED = ("pose_families", "things", "hidden_by_kind", "splits", "variants", "motions")
SHOWN_RATE = 0.01
"""Joint rates that differ by less are not listed in the text."""


def counted(dataset: Dataset) -> dict[str, Any]:
    """Return the statistics of a data set, reading only the columns they need."""
    samples = pair_rows(dataset.iter_frames(FRAME_COLUMNS), dataset.iter_instances(PERSON_COLUMNS))
    return stats(samples, get_skeleton(dataset.identity.skeleton))


def diff(a: Dataset, b: Dataset) -> dict[str, Any]:
    """Return what differs, as JSON can hold it; every pair is [a, b].

    `made`: a line for each field of dataset.json; `counts`; `distances`: the total variation
    distance (0 the same, 1 nothing in common) of each distribution; `joints`: the rate of each
    cause of each joint that both skeletons have; `names`: counts of what is named, by kind.
    """
    had, has = counted(a), counted(b)
    longer = a.identity.frames > b.identity.frames
    wants = dataclasses.replace(b.identity, frames=a.identity.frames) if longer else b.identity
    return {
        "made": identity_differences(a.identity, wants),
        "counts": {name: [had[name], has[name]] for name in _COUNTS},
        "distances": {
            **{name: distance(_bins(had[name]), _bins(has[name])) for name in _HISTOGRAMS},
            "people_per_frame": distance(had["people_per_frame"], has["people_per_frame"]),
            "causes": distance(had["causes"], has["causes"]),
            **{name: distance(had[name], has[name]) for name in _NAMED},
        },
        "means": {name: [had[name]["mean"], has[name]["mean"]] for name in _HISTOGRAMS},
        "causes": {cause: _rates(cause, had["causes"], has["causes"]) for cause in CAUSES},
        "joints": {
            joint: {
                cause: _rates(cause, had["joints"][joint], has["joints"][joint]) for cause in CAUSES
            }
            for joint in had["joints"]
            if joint in has["joints"]
        },
        "names": {
            kind: {
                name: [had[kind].get(name, 0), has[kind].get(name, 0)]
                for name in sorted({*had[kind], *has[kind]})
                if had[kind].get(name, 0) != has[kind].get(name, 0)
            }
            for kind in _NAMED
        },
    }


def distance(a: Mapping[str, float], b: Mapping[str, float]) -> float | None:
    """Return the total variation distance of two counts by name; None when one is empty."""
    if not sum(a.values()) or not sum(b.values()):
        return None
    names = sorted({*a, *b})
    p = [a.get(n, 0) / sum(a.values()) for n in names]
    q = [b.get(n, 0) / sum(b.values()) for n in names]
    return sum(abs(x - y) for x, y in zip(p, q, strict=True)) / 2


def text(found: Mapping[str, Any]) -> str:
    """Return the differences for people to read."""
    lines = ["how they were made"]
    made = [line.replace(": had ", ": ").replace(", wants ", " -> ") for line in found["made"]]
    lines += [f"  {line}" for line in made[:40]] or ["  alike"]
    if len(made) > 40:
        lines.append(f"  and {len(made) - 40} more")
    lines += ["how much"]
    lines += [f"  {name:<22}{a:>12}{b:>12}" for name, (a, b) in found["counts"].items()]
    lines += ["distributions (0 alike, 1 nothing in common)"]
    for name, far in found["distances"].items():
        mean = found["means"].get(name)
        told = "" if mean is None else f"   mean {_number(mean[0])} and {_number(mean[1])}"
        lines.append(f"  {name:<22}{_number(far):>8}{told}")
    rows = [
        (abs(b - a), joint, cause, a, b)
        for joint, causes in found["joints"].items()
        for cause, (a, b) in causes.items()
        if abs(b - a) >= SHOWN_RATE
    ]
    lines.append(f"joints whose rate differs by {SHOWN_RATE:.0%} or more: {len(rows)}")
    for _, joint, cause, a, b in sorted(rows, reverse=True)[:20]:
        lines.append(f"  {joint:<18}{cause:<12}{a:>8.1%}{b:>8.1%}")
    return "\n".join(lines)


def _bins(histogram: Mapping[str, Any]) -> dict[str, float]:
    pairs = zip(histogram["edges"], histogram["counts"], strict=False)
    found = {f"{low:.1f}": float(count) for low, count in pairs}
    found["0.0"] -= histogram["zero"]
    return {**found, "zero": histogram["zero"]}


def _rates(cause: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> list[float]:
    return [row[cause] / max(1, sum(row[c] for c in CAUSES)) for row in (a, b)]


def _number(value: float | None) -> str:
    return "none" if value is None or math.isnan(value) else f"{value:.3f}"
