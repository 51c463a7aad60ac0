"""Coverage of a data set: joints counted along six axes jointly, thin bins and significant gaps.

joint x cause x occluded fraction x view x pose family x body. A view is the side of the body facing
the camera, by shoulders and hips in the world (core/people.py has the bins). Streaming: Arrow
batches are reduced to counts, one dense array of families x J x causes x fractions x views x bodies
(36 MB for 23 joints and 41 families). Letters: P people of a batch, J joints.
"""

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import pdtr

from synthstudio.core.arrays import F64, I32, I64, Bool
from synthstudio.core.labels import CAUSES, VISIBILITY
from synthstudio.core.people import BODIES, FRACTIONS, VIEWS, body_places, fraction_of
from synthstudio.core.progress import OnProgress, counter
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.derive import aligned
from synthstudio.dataset.matching import camera_places, view_codes
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import OTHER, as_numpy, is_known, number_lists, one_array, word_codes

UNKNOWN = "unknown"
AXES = ("joint", "cause", "fraction", "view", "family", "body")
PERSON_COLUMNS = (
    "frame_index",
    "instance",
    "pose_family",
    "phenotype",
    "joints_world_m",
    "cause",
    "occluded_fraction",
    "truncated_fraction",
    "modal_area_px",
)
_PHENOTYPE = 6  # gender age muscle weight height proportions
REGIONS = {
    "head": ("nose", "eye", "ear"),
    "shoulders": ("shoulder",),
    "elbows": ("elbow",),
    "wrists": ("wrist",),
    "hips": ("hip",),
    "knees": ("knee",),
    "ankles": ("ankle",),
    "feet": ("toe", "heel"),
}
"""Joints by body region, by the end of their names."""
HIDDEN = VISIBILITY[1:]
KEPT = 8
"""Number of candidates per bin, so that neighbouring bins can show other people."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A person in a frame, of `count` in the bin; `joint`: the example's joint, or -1.

    `subject` is equal for all pictures of one person: those of a moment, a clip or a photo.
    """

    frame: int
    instance: int
    joint: int
    count: int
    subject: int


class Bins:
    """Counts, and the best examples per bin: of one person (`subject`) only the best."""

    def __init__(self, size: int) -> None:
        self.counts = np.zeros(size, np.int64)
        self._scores = np.full((size, KEPT), -np.inf)
        self._who = np.full((size, KEPT, 4), -1, np.int64)

    def offer(self, places: I32, scores: F64, who: I64) -> None:
        """Add n candidates for bins: scores (n,), who (n, 4) frame, instance, joint, subject."""
        self.counts += np.bincount(places, minlength=self.counts.size)
        hopeful = scores > self._scores[places, -1]
        touched = np.unique(places[hopeful])
        had = np.isfinite(self._scores[touched])
        place = np.concatenate([np.repeat(touched, had.sum(axis=1)), places[hopeful]])
        score = np.concatenate([self._scores[touched][had], scores[hopeful]])
        found = np.concatenate([self._who[touched][had], who[hopeful]])
        order = np.lexsort((np.arange(len(place)), -score, place))
        _, first = np.unique(
            np.stack([place[order], found[order, 3]], axis=1), axis=0, return_index=True
        )
        order = order[np.sort(first)]
        place = place[order]
        rank = np.arange(len(place)) - np.searchsorted(place, place)
        kept = rank < KEPT
        self._scores[touched], self._who[touched] = -np.inf, -1
        self._scores[place[kept], rank[kept]] = score[order][kept]
        self._who[place[kept], rank[kept]] = found[order][kept]

    def grow(self, size: int) -> None:
        more = size - self.counts.size
        self.counts = np.concatenate([self.counts, np.zeros(more, np.int64)])
        self._scores = np.concatenate([self._scores, np.full((more, KEPT), -np.inf)])
        self._who = np.concatenate([self._who, np.full((more, KEPT, 4), -1, np.int64)])

    def example(self, place: int, used: Set[int] = frozenset()) -> Example | None:
        """Return the best of a bin, preferring people not in `used`; None if empty."""
        known = np.isfinite(self._scores[place])
        if not known.any():
            return None
        those = self._who[place][known].tolist()
        frame, instance, joint, subject = next((w for w in those if w[3] not in used), those[0])
        count = int(self.counts[place])
        return Example(frame=frame, instance=instance, joint=joint, count=count, subject=subject)


class Examples:
    """Examples by (fraction, view), by family, by body and by (cause, region of the body)."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.by_view = Bins((len(FRACTIONS) + 1) * (len(VIEWS) + 1))
        self.by_family = Bins(0)
        self.by_body = Bins(len(BODIES) + 1)
        self.by_cause = Bins(len(CAUSES) * len(REGIONS))
        self._region = np.full(len(skeleton.joints), -1)
        for k, ends in enumerate(REGIONS.values()):
            self._region[[name.endswith(ends) for name in skeleton.joints]] = k

    def add(self, batch: pa.RecordBatch, groups: I64, causes: I32, at: Mapping[str, I32]) -> None:
        """Add a batch of people (P); `causes` (P, J) and the places `at` (P,) are bin indices.

        `groups` (P,): the group number of each one's frame.
        """
        scores = _reals(batch["modal_area_px"]) * (1.0 - _reals(batch["truncated_fraction"]))
        frames = as_numpy(batch["frame_index"])
        instances = as_numpy(batch["instance"])
        subject = groups * 1009 + instances  # may wrap around: a collision only costs an example
        columns = (frames, instances, np.full(len(frames), -1), subject)
        who = np.column_stack(columns).astype(np.int64)
        self.by_view.offer(at["fraction"] * (len(VIEWS) + 1) + at["view"], scores, who)
        self.by_body.offer(at["body"], scores, who)
        self.by_family.grow(max(self.by_family.counts.size, int(at["family"].max()) + 1))
        self.by_family.offer(at["family"], scores, who)
        person, joint = np.nonzero(np.broadcast_to(self._region >= 0, causes.shape))
        who = np.column_stack([frames[person], instances[person], joint, subject[person]])
        places = causes[person, joint] * len(REGIONS) + self._region[joint]
        self.by_cause.offer(places, scores[person], who)


class Coverage:
    """Counts of joints along `AXES`, and examples of bins for the sheet."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self.frames = 0
        self.families: list[str] = []
        self.examples = Examples(skeleton)
        with_unknown = (len(FRACTIONS) + 1, len(VIEWS) + 1, len(BODIES) + 1)
        self._shape = (len(skeleton.joints), len(CAUSES), *with_unknown)
        self._counts = np.zeros((0, *self._shape), np.int32)

    def add(self, batch: pa.RecordBatch, cameras_m: F64, groups: I64 | None = None) -> None:
        """Count a batch of people (P); `cameras_m` (P, 3): camera positions.

        `groups` (P,): a number that frames of a group share; None: one group per frame.
        """
        people = batch.num_rows
        if not people:
            return
        joints = len(self.skeleton.joints)
        causes = word_codes(batch["cause"], CAUSES).astype(np.int32).reshape(people, joints)
        causes[causes == OTHER] = len(CAUSES) - 1
        fraction = fraction_of(_reals(batch["occluded_fraction"]))
        fraction[~is_known(batch["occluded_fraction"])] = len(FRACTIONS)
        view = view_codes(batch["joints_world_m"], self.skeleton.known_as, cameras_m)
        view[view < 0] = len(VIEWS)
        body = _bodies(batch["phenotype"])
        family = self._family_places(batch["pose_family"])
        joint = np.tile(np.arange(joints), (people, 1))
        a, b, c, d = (each[:, None] for each in (family, fraction, view, body))
        np.add.at(self._counts, (a, joint, causes, b, c, d), 1)
        own = as_numpy(batch["frame_index"]).astype(np.int64) if groups is None else groups
        places = {"fraction": fraction, "view": view, "family": family, "body": body}
        self.examples.add(batch, own, causes, places)

    def _family_places(self, column: pa.Array) -> I32:
        names = [UNKNOWN if name is None else name for name in column.to_pylist()]
        new = sorted(set(names) - set(self.families))
        if new:
            more = np.zeros((len(new), *self._shape), np.int32)
            self._counts = np.concatenate([self._counts, more])
            self.families += new
        where = {name: k for k, name in enumerate(self.families)}
        return np.array([where[name] for name in names], np.int32)

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        return {
            "joint": self.skeleton.joints,
            "cause": CAUSES,
            "fraction": (*FRACTIONS, UNKNOWN),
            "view": (*VIEWS, UNKNOWN),
            "family": tuple(sorted(self.families)),
            "body": (*BODIES, UNKNOWN),
        }

    @property
    def counts(self) -> I64:
        """Return the counts with the axes of `AXES`, families in the order of their names."""
        order = sorted(range(len(self.families)), key=self.families.__getitem__)
        return np.moveaxis(self._counts[order].astype(np.int64), 0, 4)

    @property
    def people(self) -> int:
        return int(self._counts[:, 0].sum())

    def of_people(self, *axes: str) -> I64:
        """Return counts of people along one or two axes, none of them joint or cause."""
        return _summed(self.counts[:1], axes)

    def of_joints(self, *axes: str) -> I64:
        return _summed(self.counts, axes)

    def table(
        self, pair: tuple[str, str], chosen: Callable[[str, I64], list[int]]
    ) -> tuple[I64, list[list[str]]]:
        """Return counts along two axes and the names there, selected by axis, summed over the rest.

        People are counted, or joints where one axis is joint or cause.
        """
        joints = {"joint", "cause"} & set(pair)
        counts = self.of_joints(*pair) if joints else self.of_people(*pair)
        places = [chosen(axis, counts.sum(axis=1 - k)) for k, axis in enumerate(pair)]
        names = [[self.labels[a][k] for k in at] for a, at in zip(pair, places, strict=True)]
        return counts[np.ix_(*places)], names

    def as_json(self) -> dict[str, Any]:
        """Return every count that is not 0.

        `cells` holds columns of equal length: for each of `axes` indices into its `labels`, and
        `count`.
        """
        counts, labels = self.counts, self.labels
        places = np.nonzero(counts)
        named = [(axis, self.of_people(axis)) for axis in ("fraction", "view", "family", "body")]
        named += [(axis, self.of_joints(axis)) for axis in ("joint", "cause")]
        return {
            "frames": self.frames,
            "people": self.people,
            "axes": list(AXES),
            "labels": {axis: list(labels[axis]) for axis in AXES},
            "marginals": {
                axis: dict(zip(labels[axis], found.tolist(), strict=True)) for axis, found in named
            },
            "cells": {
                **{axis: column.tolist() for axis, column in zip(AXES, places, strict=True)},
                "count": counts[places].tolist(),
            },
        }


def _summed(counts: I64, axes: tuple[str, ...]) -> I64:
    kept = [AXES.index(axis) for axis in axes]
    away = tuple(k for k in range(len(AXES)) if k not in kept)
    found: I64 = counts.sum(axis=away)
    return found if kept == sorted(kept) else found.T


def coverage(dataset: Dataset, *, on_progress: OnProgress | None = None) -> Coverage:
    found = Coverage(get_skeleton(dataset.identity.skeleton))
    done, report = 0, counter(on_progress, dataset.people)
    for chunk in aligned(
        dataset,
        frame_columns=("index", "world_to_camera", "group_id"),
        person_columns=PERSON_COLUMNS,
    ):
        frames = {name: one_array(chunk.frames[name]) for name in chunk.frames.column_names}
        cameras_m = camera_places(number_lists(frames["world_to_camera"], 16))
        groups = _group_numbers(frames)
        own = chunk.owners
        for batch in chunk.people.combine_chunks().to_batches():
            found.add(batch, cameras_m[own], groups[own])
        done += len(chunk.people)
        report(done)
    found.frames = dataset.frames
    return found


def _group_numbers(frames: Mapping[str, pa.Array]) -> I64:
    """(F,) numbers equal for equal groups, independent of batches; none is its own group."""
    coded = pc.dictionary_encode(frames["group_id"])
    names = [name.encode("utf-8", "surrogatepass") for name in coded.dictionary.to_pylist()]
    digests = [hashlib.blake2b(name, digest_size=6).digest() for name in names]
    numbers = np.array([int.from_bytes(d, "little") for d in digests], np.int64)
    alone = np.array([not name for name in names], np.bool_)
    places = as_numpy(coded.indices)
    return np.where(alone[places], as_numpy(frames["index"]), numbers[places])


def _bodies(column: pa.Array) -> I32:
    out = np.full(len(column), len(BODIES), np.int32)
    axes = as_numpy(column.flatten()).reshape(-1, _PHENOTYPE)
    out[is_known(column)] = body_places(axes[:, 0], axes[:, 3], axes[:, 4])
    return out


def _reals(column: pa.Array) -> F64:
    return np.asarray(np.nan_to_num(as_numpy(column), nan=0.0), np.float64)


def known_places(found: Coverage, axis: str) -> list[int]:
    names = found.labels[axis]
    return [k for k, name in enumerate(names) if name not in (UNKNOWN, "unlabelled")]


def thin_below(counts: I64, at_least: float | None) -> float:
    if at_least is not None:
        return at_least
    return 0.5 * float(counts.sum()) / max(1, counts.size)


# Gaps ---------------------------------------------------------------------------------------------

GAP_PAIRS = (("joint", "cause"), ("family", "view"))
"""Without cause x fraction, where most bins follow from the definition."""
CHANCE = 0.01
"""Probability of a false gap per table."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A value of one axis, or of a pair of axes, with far less than `expected`.

    For one axis an even share is expected; for a pair, the product of both
    frequencies. Counts are joints if an axis is joint or cause, else people.
    """

    axes: tuple[str, ...]
    names: tuple[str, ...]
    count: int
    expected: float


def gaps(found: Coverage, *, at_least: float | None = None) -> list[Gap]:
    """Gaps along single axes and `GAP_PAIRS`, emptiest first.

    A bin is a gap when it holds less than half of what is expected (or less than `at_least`)
    and the Poisson probability of that is below one in a hundred tables (Bonferroni over
    its bins). Joints of one person are hidden together, so for bins that one person can be in
    several times the test counts people. Pairs with a value that is a gap itself
    are not repeated.
    """
    single = [
        gap
        for axis in ("cause", "fraction", "view", "family", "body")
        for gap in _of_axis(found, axis, at_least)
    ]
    alone = {(gap.axes[0], gap.names[0]) for gap in single}
    pairs = [
        gap
        for pair in GAP_PAIRS
        for gap in _of_pair(found, pair, at_least)
        if alone.isdisjoint(zip(gap.axes, gap.names, strict=True))
    ]
    return [g for kind in (single, pairs) for g in sorted(kind, key=lambda g: g.count / g.expected)]


def _of_axis(found: Coverage, axis: str, at_least: float | None) -> list[Gap]:
    counts = found.of_joints(axis) if axis == "cause" else found.of_people(axis)
    places = known_places(found, axis)
    here = counts[places]
    expected = np.full(here.shape, here.sum() / max(1, here.size))
    several = len(found.skeleton.joints) if axis == "cause" else 1
    names = [[found.labels[axis][k] for k in places]]
    return _listed((axis,), names, here, expected, _is_gap(here, expected, several, at_least))


def _of_pair(found: Coverage, pair: tuple[str, str], at_least: float | None) -> list[Gap]:
    here, names = _known(found, pair)
    down, across = here.sum(axis=1), here.sum(axis=0)
    expected = np.outer(down, across) / max(1, here.sum())
    return _listed(pair, names, here, expected, _is_gap(here, expected, 1, at_least))


def _listed(
    axes: tuple[str, ...], names: Sequence[Sequence[str]], here: I64, expected: F64, which: Bool
) -> list[Gap]:
    return [
        Gap(
            axes=axes,
            names=tuple(line[k] for line, k in zip(names, at, strict=True)),
            count=int(here[at]),
            expected=float(expected[at]),
        )
        for at in map(tuple, np.argwhere(which))
    ]


def _is_gap(counts: I64, expected: F64, several: int, at_least: float | None) -> Bool:
    few = counts < (0.5 * expected if at_least is None else at_least)
    chance = pdtr(np.ceil(counts / several), expected / several)  # Poisson's cdf
    return np.asarray(few & (expected > 0) & (chance < CHANCE / max(1, counts.size)))


def thin_pairs(
    found: Coverage, pair: tuple[str, str], *, at_least: float | None = None
) -> list[tuple[str, str, int]]:
    """Return the bins of two axes with fewer than `at_least`, thinnest first, with their counts.

    Counts people, or joints if one axis is joint or cause. By default a bin is thin with less than
    half of an even share. Impossible bins (unknown, unlabelled) are excluded.
    """
    here, names = _known(found, pair)
    minimum = thin_below(here, at_least)
    bins = [
        (a, b, int(here[i, j]))
        for (i, a), (j, b) in itertools.product(enumerate(names[0]), enumerate(names[1]))
        if here[i, j] < minimum
    ]
    return sorted(bins, key=lambda each: each[2])


def _known(found: Coverage, pair: tuple[str, str]) -> tuple[I64, list[list[str]]]:
    return found.table(pair, lambda axis, sums: known_places(found, axis))
