"""Counts over a data set, row by row: nothing but the counts is held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from synthstudio.core.labels import CAUSES
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.spec import THING_BASE
from synthstudio.dataset.rows import Sample
from synthstudio.quality import asked
from synthstudio.quality.asked import unmet

__all__ = ["EDGES", "FRAME_COLUMNS", "PERSON_COLUMNS", "stats", "text", "unmet"]

FRAME_COLUMNS = (
    "index",
    "split",
    "variant",
    "thing_kind",
    "thing_instance",
    "crowd_index",
    "crowd_ask",
    "clip_id",
)
PERSON_COLUMNS = (
    "frame_index",
    "instance",
    "identity",
    "pose_family",
    "motion",
    "occluded_fraction",
    "truncated_fraction",
    "cause",
    "state",
    "ambiguous",
    "occluder_id",
    "ask_fraction",
    "ask_hidden",
    "ask_shown",
    "ask_causes",
    "ask_met",
)
"""What `stats` reads of rows; masks and specs are most of their size."""

_BINS = 10
EDGES = tuple(i / _BINS for i in range(_BINS + 1))
"""Edges of every histogram: ten bins over 0..1, each with its lower edge; 1 is in the last."""


def stats(samples: Iterable[Sample], skeleton: Skeleton) -> dict[str, Any]:
    """Return counts that JSON can hold, keys in a fixed order.

    `joints` maps each joint to counts by cause, by state ("none": unlabelled) and of ambiguous
    ones; `causes` and `states` are their sums. Histograms (`occluded_fraction`,
    `truncated_fraction` over people, `crowd_index` over frames) have ten bins between `edges`,
    `zero` (exactly 0: also in the first bin), `unknown` (null) and `mean`. `hidden_by_kind`
    counts hidden joints by the kind of thing that hides most of them. `clips` says how many
    there are and how many frames they have, `motions` counts people by motion.

    `targets` compares what was asked of the base frames with what their labels say: for the
    occluded fraction `median`, `p95` and `max` of |asked - achieved| and `ks`, the
    Kolmogorov-Smirnov distance of the two distributions (asked.ks_distance); for each group of
    joints how often all of them were asked to be hidden, and were; for each cause the mean
    share of joints; for frames the crowd index; `missed`: people whose ask was not met, with
    the first hundred of them. They stay in all other counts. Errors are in steps of 1e-4.
    """
    tally = _Tally(skeleton)
    for frame, people in samples:
        tally.add(frame, people)
    return tally.result()


class _Histogram:
    """Ten bins over 0..1."""

    def __init__(self) -> None:
        self.counts = [0] * _BINS
        self.zero = self.unknown = 0
        self.total = 0.0

    def add(self, value: float | None) -> None:
        if value is None:
            self.unknown += 1
            return
        self.counts[min(_BINS - 1, max(0, int(value * _BINS)))] += 1
        self.zero += value == 0
        self.total += value

    def result(self) -> dict[str, Any]:
        known = sum(self.counts)
        return {
            "edges": list(EDGES),
            "counts": self.counts,
            "zero": self.zero,
            "unknown": self.unknown,
            "mean": self.total / known if known else None,
        }


class _Tally:
    """All running counts of one data set."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.names = skeleton.joints
        self.causes: list[Counter[str]] = [Counter() for _ in self.names]
        self.states: list[Counter[str]] = [Counter() for _ in self.names]
        self.ambiguous = [0] * len(self.names)
        self.occluded, self.truncated = _Histogram(), _Histogram()
        self.crowd = _Histogram()
        self.people_per_frame: Counter[int] = Counter()
        self.named: dict[str, Counter[str]] = {
            name: Counter() for name in ("splits", "variants", "pose_families", "things", "motions")
        }
        self.kinds: Counter[str] = Counter()
        self.clips: set[str] = set()
        self.clip_frames = 0
        self.asked = asked.Asked(skeleton)
        self.identities: set[str] = set()

    def add(self, frame: Mapping[str, Any], people: Sequence[Mapping[str, Any]]) -> None:
        self.people_per_frame[len(people)] += 1
        self.named["splits"][frame["split"]] += 1
        self.named["variants"][frame["variant"]] += 1
        self.named["things"].update(frame["thing_kind"])
        self.crowd.add(frame["crowd_index"])
        if frame["clip_id"] is not None:
            self.clips.add(frame["clip_id"])
            self.clip_frames += 1
        self.asked.add(frame, people)
        kinds = dict(zip(frame["thing_instance"], frame["thing_kind"], strict=True))
        for row in people:
            self._add_person(row, kinds)

    def _add_person(self, row: Mapping[str, Any], kinds: Mapping[int, str]) -> None:
        self.named["pose_families"][row["pose_family"] or "unknown"] += 1
        if row["motion"]:
            self.named["motions"][row["motion"]] += 1
        if row["identity"]:
            self.identities.add(row["identity"])
        self.occluded.add(row["occluded_fraction"])
        self.truncated.add(row["truncated_fraction"])
        joints = zip(row["cause"], row["state"], row["ambiguous"], row["occluder_id"], strict=True)
        for j, (cause, state, ambiguous, occluder) in enumerate(joints):
            self.causes[j][cause] += 1
            self.states[j][_state_name(state)] += 1
            self.ambiguous[j] += ambiguous
            if occluder >= THING_BASE:
                self.kinds[kinds.get(occluder, "unknown")] += 1

    def result(self) -> dict[str, Any]:
        counts = self.people_per_frame
        people = sum(n * times for n, times in counts.items())
        joints = {
            name: {
                **{cause: self.causes[j][cause] for cause in CAUSES},
                "states": {state: self.states[j][state] for state in _STATES},
                "ambiguous": self.ambiguous[j],
            }
            for j, name in enumerate(self.names)
        }
        return {
            "frames": counts.total(),
            "people": people,
            "joints_total": people * len(self.names),
            "identities": len(self.identities),
            "people_per_frame": {str(n): counts[n] for n in sorted(counts)},
            "causes": {c: sum(row[c] for row in self.causes) for c in CAUSES},
            "states": {s: sum(row[s] for row in self.states) for s in _STATES},
            "ambiguous": sum(self.ambiguous),
            "joints": joints,
            "hidden_by_kind": _sorted(self.kinds),
            "occluded_fraction": self.occluded.result(),
            "truncated_fraction": self.truncated.result(),
            "crowd_index": self.crowd.result(),
            **{name: _sorted(found) for name, found in self.named.items()},
            "clips": {"count": len(self.clips), "frames": self.clip_frames},
            "targets": self.asked.result(),
        }


_STATES = ("2", "1", "0", "none")


def _state_name(state: int) -> str:
    return str(state) if state <= 2 else "none"


def _sorted(found: Counter[str]) -> dict[str, int]:
    """Return counts, the largest first, then by name."""
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def text(found: dict[str, Any]) -> str:
    """Return the counts of `stats` for people to read: joints by cause, then who is hidden."""
    causes = [cause for cause in CAUSES if found["causes"][cause]]
    width = max(len(name) for name in found["joints"])
    lines = [
        f"{found['frames']} frames, {found['people']} people, {found['identities']} identities, "
        f"{_percent(found['ambiguous'], found['joints_total'])} of joints ambiguous",
        "",
        " " * width + "".join(f"{cause:>12}" for cause in causes),
    ]
    for joint, counts in found["joints"].items():
        lines.append(f"{joint:<{width}}" + "".join(f"{counts[c]:12d}" for c in causes))
    total = found["joints_total"]
    shares = "".join(f"{_percent(found['causes'][c], total):>12}" for c in causes)
    lines += [f"{'all':<{width}}{shares}", "", "occluded fraction of people"]
    bins = found["occluded_fraction"]["counts"]
    for low, count in zip(EDGES, bins, strict=False):
        bar = "#" * round(40 * count / max(1, *bins))
        lines.append(f"  {low:.1f} to {low + 1 / _BINS:.1f} {count:8d} {bar}")
    hiders = list(found["hidden_by_kind"].items())[:8]
    if hiders:
        lines += ["", "hidden by: " + ", ".join(f"{kind} {count}" for kind, count in hiders)]
    lines += _kinds_of_frames(found)
    compared = asked.text(found["targets"])
    return "\n".join([*lines, "", *compared] if compared else lines)


def _kinds_of_frames(found: dict[str, Any]) -> list[str]:
    """Return lines on variants and clips, where there are any."""
    lines = []
    if set(found["variants"]) - {"base"}:
        lines.append("variants: " + _listed(found["variants"]))
    if found["clips"]["count"]:
        clips = found["clips"]
        lines.append(f"clips: {clips['count']} with {clips['frames']} frames")
        lines.append("motions: " + _listed(found["motions"]))
    return ["", *lines] if lines else []


def _listed(counts: dict[str, int], most: int = 8) -> str:
    """Return the largest counts in a line."""
    shown = ", ".join(f"{name} {count}" for name, count in list(counts.items())[:most])
    return shown + (f" and {len(counts) - most} more" if len(counts) > most else "")


def _percent(part: int, whole: int) -> str:
    return f"{part / max(1, whole):.1%}"
