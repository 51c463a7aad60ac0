"""Requested against achieved: accuracy of a recipe's targets in a data set.

Only base and occluder frames count: other variants deviate deliberately.
Constant memory: distributions are counted in bins of 1e-4.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from synthstudio.core.arrays import I64
from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import STATE_VISIBLE, VISIBILITY
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.rows import as_arrow, as_numbers, is_known

ATOM_WIDTH = 0.02
"""Maximum distance of an achieved value from the atom it counts as."""
ATOM_SHARE = 0.02
"""Minimum fraction of people (and at least three) with the same target for an atom."""
MISSED_SHARE = 0.02
"""Maximum fraction of people with missed targets."""
LISTED = 100
TARGET_VARIANTS = ("base", "occluder")
"""The variants with targets; others follow from their changes."""
COLUMNS = (
    "frame_index",
    "instance",
    "occluded_fraction",
    "cause",
    "state",
    "target_fraction",
    "target_hidden",
    "target_shown",
    "target_causes",
    "target_met",
)
_KS_STEPS = 0.5
_STEPS = 10_000
_FRACTION = "occluded_fraction"
# Multiples of the recipe's tolerance; at its default of 0.05 they are 0.03, 0.10, 0.05, ...
_GOALS = {
    "median": 0.6,
    "p95": 2.0,
    "ks": 1.0,
    "joints": 0.6,
    "causes": 1.0,
    "crowd_index": 2.0,
}


class _Pairs:
    """Counts of requested and achieved values, 0 to 1, and of their absolute differences."""

    def __init__(self) -> None:
        self.count = 0
        self.max_error = 0.0
        self._sums = np.zeros(3)  # requested, achieved, error
        self.histograms = np.zeros((3, _STEPS + 1), np.int64)

    def add(self, requested: float, achieved: float) -> None:
        values = requested, achieved, abs(requested - achieved)
        self.count += 1
        self.max_error = max(self.max_error, values[2])
        self._sums += values
        for line, value in zip(self.histograms, values, strict=True):
            line[round(value * _STEPS)] += 1

    @property
    def means(self) -> dict[str, float | None]:
        named = zip(("requested", "achieved", "mean_error"), self._sums.tolist(), strict=True)
        return {name: total / self.count if self.count else None for name, total in named}

    @property
    def ks(self) -> float:
        return ks_distance(*self.histograms[:2])


class TargetTally:
    def __init__(self, skeleton: Skeleton) -> None:
        self._places = {name: j for j, name in enumerate(skeleton.joints)}
        self._fractions, self._crowd = _Pairs(), _Pairs()
        self._causes = {cause: _Pairs() for cause in VISIBILITY}
        self._joints: dict[str, Counter[str]] = {}
        self._people = self._missed = 0
        self._listed: list[dict[str, Any]] = []

    def add(self, frames: pa.Table, people: pa.Table, own: I64) -> None:
        """Count F frames and their P people; `own` (P,): index of each person's frame."""
        counted = np.isin(frames["variant"].to_pylist(), TARGET_VARIANTS)
        requested, achieved = (
            as_numbers(frames[name])[counted] for name in ("crowd_target", "crowd_index")
        )
        known = ~(np.isnan(requested) | np.isnan(achieved))
        for pair in zip(requested[known].tolist(), achieved[known].tolist(), strict=True):
            self._crowd.add(*pair)
        of_requested = is_known(people["target_met"]) & counted[own]
        for row in people.select(COLUMNS).take(as_arrow(np.flatnonzero(of_requested))).to_pylist():
            self._add_person(row)

    def _add_person(self, row: Mapping[str, Any]) -> None:
        self._people += 1
        requested: dict[str, Any] = {}
        achieved: dict[str, Any] = {}
        if row["target_fraction"] is not None:
            requested[_FRACTION] = row["target_fraction"]
            achieved[_FRACTION] = row["occluded_fraction"]
            if row["occluded_fraction"] is not None:
                self._fractions.add(row["target_fraction"], row["occluded_fraction"])
        groups = [(g, "hidden") for g in row["target_hidden"]]
        groups += [(g, "shown") for g in row["target_shown"]]
        for group, want in groups:
            is_hidden = self._hidden(group, row["state"])
            requested.setdefault(want, []).append(group)
            achieved.setdefault("hidden" if is_hidden else "shown", []).append(group)
            self._joints.setdefault(group, Counter()).update(
                {want: 1, f"{want}_met": (want == "hidden") == is_hidden, "was_hidden": is_hidden}
            )
        for cause, share in zip(VISIBILITY, row["target_causes"] or (), strict=False):
            if not math.isnan(share):
                got = row["cause"].count(cause) / len(row["cause"])
                requested.setdefault("causes", {})[cause] = share
                achieved.setdefault("causes", {})[cause] = got
                self._causes[cause].add(share, got)
        if not row["target_met"]:
            self._missed += 1
            if len(self._listed) < LISTED:
                who = {"frame": row["frame_index"], "person": row["instance"]}
                self._listed.append({**who, "requested": requested, "achieved": achieved})

    def _hidden(self, group: str, state: Sequence[int]) -> bool:
        names = group.split("+")
        if any(name not in self._places for name in names):
            raise DatasetError("a stored target names no joint", where="target_hidden", got=group)
        return all(state[self._places[name]] < STATE_VISIBLE for name in names)

    def result(self) -> dict[str, Any]:
        """JSON-compatible counts; see `stats.dataset_stats`."""
        crowd = self._crowd
        return {
            "people": self._people,
            _FRACTION: self._fraction_result(),
            "joints": {name: _joint_result(self._joints[name]) for name in sorted(self._joints)},
            "causes": {
                cause: {"people": pairs.count, **pairs.means, "ks": pairs.ks}
                for cause, pairs in self._causes.items()
                if pairs.count
            },
            "crowd_index": {
                "frames": crowd.count,
                **crowd.means,
                "max_error": crowd.max_error if crowd.count else None,
            },
            "missed": {
                "count": self._missed,
                "share": self._missed / self._people if self._people else 0.0,
                "first": self._listed,
            },
        }

    def _fraction_result(self) -> dict[str, Any]:
        n = self._fractions.count
        if not n:
            return {"people": 0, "median": None, "p95": None, "max": None, "ks": None}
        cumulative = np.cumsum(self._fractions.histograms[2])
        return {
            "people": n,
            "median": int(np.searchsorted(cumulative, 0.5 * n)) / _STEPS,
            "p95": int(np.searchsorted(cumulative, 0.95 * n)) / _STEPS,
            "max": self._fractions.max_error,
            "ks": self._fractions.ks,
        }


def ks_distance(requested: I64, achieved: I64) -> float:
    """Return the Kolmogorov-Smirnov distance of two histograms over 0..1 of equal counts.

    The maximum difference of the cumulative distributions. If one value is
    requested for many (an atom: {choice: {0.3: 1}}), 0.299 and 0.301 would be half the people apart
    although both meet the target, so requested and achieved values within `ATOM_WIDTH` of an
    atom first move onto it, to the nearest if there are several.
    """
    n = int(requested.sum())
    atoms = np.flatnonzero(requested >= max(3.0, ATOM_SHARE * n))
    a, b = _on_atoms(requested, atoms), _on_atoms(achieved, atoms)
    return float(np.abs(np.cumsum(a) - np.cumsum(b)).max() / n)


def _on_atoms(counts: I64, atoms: I64) -> I64:
    if not atoms.size:
        return counts
    places = np.arange(len(counts))
    right = np.searchsorted(atoms, places).clip(0, atoms.size - 1)
    left = (right - 1).clip(0)
    nearest = np.where(
        np.abs(atoms[left] - places) <= np.abs(atoms[right] - places), atoms[left], atoms[right]
    )
    reach = round(ATOM_WIDTH * _STEPS)
    target = np.where(np.abs(nearest - places) <= reach, nearest, places)
    return np.bincount(target, weights=counts, minlength=len(counts)).astype(np.int64)


def _joint_result(found: Counter[str]) -> dict[str, Any]:
    people = found["hidden"] + found["shown"]
    return {
        "people": people,
        "requested": found["hidden"] / people,
        "achieved": found["was_hidden"] / people,
        "requested_hidden": found["hidden"],
        "requested_hidden_met": found["hidden_met"],
        "requested_shown": found["shown"],
        "requested_shown_met": found["shown_met"],
    }


def unmet(found: Mapping[str, Any], targets: Mapping[str, Any] | None) -> list[str]:
    """Return a sentence for each missed target of a data set's recipe.

    `found`: of `stats.dataset_stats`; `targets`: the recipe's block as `load.dump` writes it
    (None: no targets). With `tolerance` t: the error of the occluded fraction is at most 0.6 t
    in the median and 2 t for 95 %, the Kolmogorov-Smirnov distance t; rates of joints are
    within 0.6 t, mean fractions of causes within t, the crowd index within 2 t on average. A
    single person is always allowed. At most 2 % of the people with targets are missed.
    """
    if targets is None:
        return []
    t, got = float(targets["tolerance"]), found["targets"]
    lines = _nothing_requested(got, targets) + _unmet_fraction(got[_FRACTION], t)
    for kind in ("joints", "causes"):
        for name, row in got[kind].items():
            goal = max(_GOALS[kind] * t, 1 / row["people"])
            if abs(row["requested"] - row["achieved"]) > goal + 1e-9:
                lines.append(
                    f"{kind}: {name}: {row['requested']:.1%} requested, "
                    f"{row['achieved']:.1%} achieved (at most {goal:.1%} apart)"
                )
    crowd = got["crowd_index"]
    if crowd["frames"] and crowd["mean_error"] > _GOALS["crowd_index"] * t:
        lines.append(
            f"crowd_index: mean error {crowd['mean_error']:.3f} "
            f"(at most {_GOALS['crowd_index'] * t:.3f})"
        )
    missed = got["missed"]
    if missed["share"] > MISSED_SHARE:
        lines.append(
            f"{missed['count']} of {got['people']} people missed their targets "
            f"({missed['share']:.1%}; at most {MISSED_SHARE:.0%})"
        )
    return lines


def _unmet_fraction(got: Mapping[str, Any], t: float) -> list[str]:
    if not got["people"]:
        return []
    names = {"median": "error in the median", "p95": "error of 95 %", "ks": "KS distance"}
    out = []
    for key, name in names.items():
        # Distribution functions of few people are coarse.
        steps = _KS_STEPS / math.sqrt(got["people"]) if key == "ks" else 0.0
        goal = max(_GOALS[key] * t, steps)
        if got[key] > goal + 1e-9:
            out.append(f"{_FRACTION}: {name} {got[key]:.3f} (at most {goal:.3f})")
    return out


def _nothing_requested(got: Mapping[str, Any], targets: Mapping[str, Any]) -> list[str]:
    """A sentence for each target without any stored person or frame."""
    empty = {
        _FRACTION: targets.get(_FRACTION) is not None and not got[_FRACTION]["people"],
        "crowd_index": targets.get("crowd_index") is not None and not got["crowd_index"]["frames"],
    }
    for group in targets.get("joints") or {}:
        empty[f"joints: {group}"] = group not in got["joints"]
    for cause, of in (targets.get("causes") or {}).items():
        empty[f"causes: {cause}"] = of is not None and cause not in got["causes"]
    return [f"{name}: no person or frame has this target" for name, is_so in empty.items() if is_so]


def text(found: Mapping[str, Any]) -> list[str]:
    lines = []
    fraction, crowd, missed = found[_FRACTION], found["crowd_index"], found["missed"]
    if fraction["people"]:
        lines.append(
            f"  occluded fraction: median error {fraction['median']:.3f}, "
            f"95th percentile {fraction['p95']:.3f}, maximum {fraction['max']:.3f}; "
            f"KS {fraction['ks']:.3f}"
        )
    rows = [(f"hidden: {name}", row) for name, row in found["joints"].items()]
    rows += [(f"joints by cause: {name}", row) for name, row in found["causes"].items()]
    width = max((len(name) for name, _ in rows), default=0)
    lines += [
        f"  {name:<{width}} {row['requested']:8.1%} requested {row['achieved']:8.1%} achieved"
        + (f"; mean error {row['mean_error']:.1%}, KS {row['ks']:.3f}" if "ks" in row else "")
        for name, row in rows
    ]
    if crowd["frames"]:
        lines.append(
            f"  crowd index: {crowd['requested']:.3f} requested, {crowd['achieved']:.3f} achieved "
            f"on average; mean error {crowd['mean_error']:.3f}, maximum {crowd['max_error']:.3f}"
        )
    if not lines:
        return []
    head = f"requested against achieved ({found['people']} people with targets)"
    if missed["count"]:
        some = ", ".join(f"{m['frame']}/{m['person']}" for m in missed["first"][:6])
        more = ", ..." if missed["count"] > 6 else ""
        lines.append(
            f"  missed: {missed['count']} ({missed['share']:.1%}), frame/person {some}{more}"
        )
    else:
        lines.append("  missed: none")
    return [head, *lines]
