"""Counts over a data set, by batches of rows, and differences of two."""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from synthstudio.core.arrays import I64, Array
from synthstudio.core.labels import CAUSES
from synthstudio.core.progress import OnProgress, counter, first_names
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.core.spec import OBJECT_BASE
from synthstudio.dataset.derive import aligned
from synthstudio.dataset.manifest import identity_differences
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import OTHER, as_numpy, list_lengths, one_array, word_codes
from synthstudio.quality import targets

FRAME_COLUMNS = (
    "index",
    "split",
    "variant",
    "object_kind",
    "object_instance",
    "crowd_index",
    "crowd_target",
    "clip_id",
)
PERSON_COLUMNS = (
    *targets.COLUMNS,
    "identity",
    "pose_family",
    "motion",
    "truncated_fraction",
    "ambiguous",
    "occluder_id",
)
"""Columns read by `stats`; masks and specs are most of the size."""

_BINS = 10
EDGES = tuple(i / _BINS for i in range(_BINS + 1))
"""Edges of every histogram: ten bins over 0..1, each with its lower edge; 1 is in the last."""
_COUNTS = ("frames", "people", "identities", "joints_total", "ambiguous")
_HISTOGRAMS = ("occluded_fraction", "truncated_fraction", "crowd_index")
_NAMED = ("pose_families", "objects", "hidden_by_kind", "splits", "variants", "motions")
SHOWN_RATE = 0.01
"""Minimum difference of joint rates listed in the text."""
_STATES = ("2", "1", "0", "none")
_STATE_CODES = (2, 1, 0, 3)


def dataset_stats(dataset: Dataset, *, on_progress: OnProgress | None = None) -> dict[str, Any]:
    """Return JSON-compatible counts with keys in a fixed order.

    `joints` maps each joint to counts by cause, by state ("none": unlabelled) and of ambiguous
    ones; `causes` and `states` are their sums. Histograms (`occluded_fraction`,
    `truncated_fraction` over people, `crowd_index` over frames) have ten bins between `edges`,
    `zero` (exactly 0: also in the first bin), `unknown` (null) and `mean`. `hidden_by_kind`
    counts hidden joints by the kind of object that hides most of them, `no_person_visible` frames
    in which no joint is visible. `clips`: the number of
    clips and of their frames, `motions` counts people by motion.

    `targets` compares requests for the base frames with their labels: for the
    occluded fraction `median`, `p95` and `max` of |requested - achieved| and `ks`, the
    Kolmogorov-Smirnov distance of the two distributions (targets.ks_distance); for each group of
    joints how often all of them were requested hidden, and were; for each cause the mean
    share of joints; for frames the crowd index; `missed`: people whose target was not met, with
    the first hundred of them. They are included in all other counts. Errors are in steps of 1e-4.
    """
    tally = Tally(get_skeleton(dataset.identity.skeleton))
    done, report = 0, counter(on_progress, dataset.frames)
    for chunk in aligned(dataset, frame_columns=FRAME_COLUMNS, person_columns=PERSON_COLUMNS):
        tally.add(chunk.frames, chunk.people, chunk.owners)
        done += len(chunk.frames)
        report(done)
    return tally.result()


class _Histogram:
    def __init__(self) -> None:
        self.counts = np.zeros(_BINS, np.int64)
        self.zero = self.unknown = 0
        self.total = 0.0

    def add(self, column: pa.Array) -> None:
        self.unknown += column.null_count
        values = as_numpy(column.drop_null())
        places = (values * _BINS).astype(np.int64).clip(0, _BINS - 1)
        self.counts += np.bincount(places, minlength=_BINS)
        self.zero += int((values == 0).sum())
        # One after the other: the sum does not depend on batches.
        self.total = float(np.cumsum(np.concatenate([[self.total], values]))[-1])

    def result(self) -> dict[str, Any]:
        known = int(self.counts.sum())
        return {
            "edges": list(EDGES),
            "counts": self.counts.tolist(),
            "zero": self.zero,
            "unknown": self.unknown,
            "mean": self.total / known if known else None,
        }


class Tally:
    """All running counts of one data set. J joints."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.names = skeleton.joints
        self.causes = np.zeros((len(self.names), len(CAUSES)), np.int64)
        self.states = np.zeros((len(self.names), len(_STATES)), np.int64)
        self.ambiguous = np.zeros(len(self.names), np.int64)
        self.histograms = {name: _Histogram() for name in _HISTOGRAMS}
        self.people_per_frame: Counter[int] = Counter()
        self.named: dict[str, Counter[str]] = {
            name: Counter()
            for name in ("splits", "variants", "pose_families", "objects", "motions")
        }
        self.kinds: Counter[str] = Counter()
        self.clips: set[str] = set()
        self.clip_frames = self.showing = 0
        self.targets = targets.TargetTally(skeleton)
        self.identities: set[str] = set()

    def add(self, frames: pa.Table, people: pa.Table, own: I64) -> None:
        """Count F frames and their P people; `own` (P,): index of each person's frame."""
        frames, people = frames.combine_chunks(), people.combine_chunks()
        if len(frames):
            self.people_per_frame.update(np.bincount(own, minlength=len(frames)).tolist())
        for name, column in (("splits", "split"), ("variants", "variant")):
            _count(self.named[name], frames[column])
        _count(self.named["objects"], one_array(frames["object_kind"]).flatten())
        clips = frames["clip_id"].drop_null()
        self.clips.update(clips.unique().to_pylist())
        self.clip_frames += len(clips)
        self.targets.add(frames, people, own)
        families = self.named["pose_families"]
        _count(families, people["pose_family"], UNNAMED)
        if "" in families:
            families[UNNAMED] += families.pop("")
        _count(self.named["motions"], people["motion"])
        self.named["motions"].pop("", None)
        self.identities.update(filter(None, people["identity"].unique().to_pylist()))
        for name, histogram in self.histograms.items():
            histogram.add(one_array((frames if name == "crowd_index" else people)[name]))
        self._add_joints(frames, people, own)

    def _add_joints(self, frames: pa.Table, people: pa.Table, own: I64) -> None:
        shape = (len(people), len(self.names))
        cause, state, ambiguous, occluder = (
            found.reshape(shape)
            for found in (
                word_codes(people["cause"], CAUSES),
                *(_flat(people[name]) for name in ("state", "ambiguous", "occluder_id")),
            )
        )
        joint = np.broadcast_to(np.arange(shape[1]), shape)
        named = cause != OTHER
        np.add.at(self.causes, (joint[named], cause[named]), 1)
        for place, code in enumerate(_STATE_CODES):
            self.states[:, place] += ((state > 2) if code == 3 else (state == code)).sum(axis=0)
        self.ambiguous += ambiguous.sum(axis=0)
        self.showing += len(np.unique(own[(state == _STATE_CODES[0]).any(axis=1)]))
        person, _ = np.nonzero(occluder >= OBJECT_BASE)
        self._add_kinds(frames, own[person], occluder[occluder >= OBJECT_BASE])

    def _add_kinds(self, frames: pa.Table, own: I64, objects: I64) -> None:
        """Count hidden joints by the kind of object: `objects` are instances in frames `own`."""
        lists = one_array(frames["object_instance"])
        instances, kinds = _flat(lists), _flat(frames["object_kind"])
        first = np.repeat(np.arange(len(lists)), list_lengths(lists).clip(0))
        order = np.lexsort((instances, first))
        keys = first[order] * _KEY + instances[order]
        wanted = own * _KEY + objects
        place = np.searchsorted(keys, wanted, side="right") - 1
        found = (place >= 0) & (keys[place] == wanted) if len(keys) else np.zeros(len(own), bool)
        self.kinds.update(kinds[order][place[found]].tolist())
        if not found.all():
            self.kinds["unknown"] += int((~found).sum())

    def result(self) -> dict[str, Any]:
        people = sum(n * times for n, times in self.people_per_frame.items())
        joints = {
            name: {
                **dict(zip(CAUSES, self.causes[j].tolist(), strict=True)),
                "states": dict(zip(_STATES, self.states[j].tolist(), strict=True)),
                "ambiguous": int(self.ambiguous[j]),
            }
            for j, name in enumerate(self.names)
        }
        return {
            "frames": self.people_per_frame.total(),
            "people": people,
            "no_person_visible": self.people_per_frame.total() - self.showing,
            "joints_total": people * len(self.names),
            "identities": len(self.identities),
            "people_per_frame": {
                str(n): self.people_per_frame[n] for n in sorted(self.people_per_frame)
            },
            "causes": dict(zip(CAUSES, self.causes.sum(axis=0).tolist(), strict=True)),
            "states": dict(zip(_STATES, self.states.sum(axis=0).tolist(), strict=True)),
            "ambiguous": int(self.ambiguous.sum()),
            "joints": joints,
            "hidden_by_kind": _sorted(self.kinds),
            **{name: found.result() for name, found in self.histograms.items()},
            **{name: _sorted(found) for name, found in self.named.items()},
            "clips": {"count": len(self.clips), "frames": self.clip_frames},
            "targets": self.targets.result(),
        }


_KEY = 1 << 40
UNNAMED = "unknown"


def _count(into: Counter[str], column: pa.ChunkedArray, missing: str | None = None) -> None:
    """Count texts; null counts as `missing`, or not at all."""
    for found in column.value_counts().to_pylist():
        name = missing if found["values"] is None else found["values"]
        if name is not None:
            into[name] += found["counts"]


def _flat(column: pa.ChunkedArray) -> Array:
    return as_numpy(one_array(column).flatten())


def _sorted(found: Counter[str]) -> dict[str, int]:
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def text(found: dict[str, Any]) -> str:
    causes = [cause for cause in CAUSES if found["causes"][cause]]
    width = max(len(name) for name in found["joints"])
    identities = f"{found['identities']} identities, " if found["identities"] else ""
    lines = [
        f"{found['frames']} frames, {found['people']} people, {identities}"
        f"{_percent(found['ambiguous'], found['joints_total'])} of joints ambiguous; "
        f"{found['no_person_visible']} frames without visible people",
        "",
        " " * width + "".join(f"{cause:>12}" for cause in causes),
    ]
    for joint, counts in found["joints"].items():
        lines.append(f"{joint:<{width}}" + "".join(f"{counts[c]:12d}" for c in causes))
    total = found["joints_total"]
    fractions = "".join(f"{_percent(found['causes'][c], total):>12}" for c in causes)
    lines.append(f"{'all':<{width}}{fractions}")
    if maximum := max(bins := found["occluded_fraction"]["counts"]):
        lines += ["", "occluded fraction of people"]
    for low, count in zip(EDGES, bins if maximum else (), strict=False):
        bar = "#" * round(40 * count / maximum)
        lines.append(f"  {low:.1f} to {low + 1 / _BINS:.1f} {count:8d} {bar}")
    occluders = list(found["hidden_by_kind"].items())[:8]
    if occluders:
        lines += ["", "hidden by: " + ", ".join(f"{kind} {count}" for kind, count in occluders)]
    lines += _kinds_of_frames(found)
    compared = targets.text(found["targets"])
    return "\n".join([*lines, "", *compared] if compared else lines)


def _kinds_of_frames(found: dict[str, Any]) -> list[str]:
    lines = []
    if set(found["variants"]) - {"base", ""}:
        lines.append("variants: " + _listed(found["variants"]))
    if found["clips"]["count"]:
        clips = found["clips"]
        lines.append(f"clips: {clips['count']} with {clips['frames']} frames")
        if found["motions"]:
            lines.append("motions: " + _listed(found["motions"]))
    return ["", *lines] if lines else []


def _listed(counts: dict[str, int], maximum: int = 8) -> str:
    return first_names([f"{name} {count}" for name, count in counts.items()], maximum)


def _percent(part: int, whole: int) -> str:
    return f"{part / max(1, whole):.1%}"


def diff(
    a: Dataset,
    b: Dataset,
    *,
    on_step: Callable[[str], OnProgress] = lambda title: lambda done, total, per_second: None,
) -> dict[str, Any]:
    """Return the differences, JSON-compatible; every pair is [a, b].

    `identity`: a line for each field of dataset.json; `counts`; `distances`: the total variation
    distance (0 equal, 1 disjoint) of each distribution; `joints`: the rate of each
    cause of each joint that both skeletons have; `names`: counts of names, by kind.
    """
    had = dataset_stats(a, on_progress=on_step("counting the first"))
    has = dataset_stats(b, on_progress=on_step("counting the second"))
    longer = a.identity.frames > b.identity.frames
    wants = dataclasses.replace(b.identity, frames=a.identity.frames) if longer else b.identity
    return {
        "identity": identity_differences(a.identity, wants),
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


def diff_text(found: Mapping[str, Any]) -> str:
    lines = ["how they were made"]
    made = [line.replace(": had ", ": ").replace(", wants ", " -> ") for line in found["identity"]]
    lines += [f"  {line}" for line in made[:40]] or ["  alike"]
    if len(made) > 40:
        lines.append(f"  and {len(made) - 40} more")
    lines += ["how much"]
    lines += [f"  {name:<22}{a:>12}{b:>12}" for name, (a, b) in found["counts"].items()]
    lines += ["distributions (0 equal, 1 disjoint)"]
    for name, far in found["distances"].items():
        mean = found["means"].get(name)
        means = "" if mean is None else f"   mean {_number(mean[0])} and {_number(mean[1])}"
        lines.append(f"  {name:<22}{_number(far):>8}{means}")
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
