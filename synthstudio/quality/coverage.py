"""What a data set shows, and what is thin in it: joints counted along six axes at once.

joint x cause x occluded fraction x view x pose family x body. A view is the side of the body
that the camera sees, told by shoulders and hips in the world (core/bins.py has the bins).
Streaming: rows come in Arrow batches and only counts stay, one dense array of
families x J x causes x fractions x views x bodies (36 MB for 23 joints and 41 families).
Letters: P people of a batch, J joints.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from synthstudio.core.bins import (
    BODIES,
    FRACTIONS,
    VIEWS,
    body_places,
    camera_azimuth_rad,
    fraction_of,
    view_of,
)
from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import CAUSES
from synthstudio.core.scene import F64, I32
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.quality.examples import Examples

I64 = NDArray[np.int64]
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

OnProgress = Callable[[int, int, float], None]
"""Called with people done, people in all and people a second."""


class Coverage:
    """Counts of joints along `AXES`, and for the sheet an example of each of its bins."""

    def __init__(self, skeleton: Skeleton) -> None:
        """Begin with nothing."""
        self.skeleton = skeleton
        self.frames = 0
        self.families: list[str] = []
        self.examples = Examples(skeleton)
        self._shape = (
            len(skeleton.joints),
            len(CAUSES),
            len(FRACTIONS) + 1,
            len(VIEWS) + 1,
            len(BODIES) + 1,
        )
        self._counts = np.zeros((0, *self._shape), np.int32)

    def add(self, batch: pa.RecordBatch, eyes_m: F64, groups: I64 | None = None) -> None:
        """Count a batch of people (P); `eyes_m` (P, 3) is where each one's camera stands.

        `groups` (P,): a number that frames of a group share; None: each frame is its own.
        """
        people = batch.num_rows
        if not people:
            return
        joints = len(self.skeleton.joints)
        cause = pc.index_in(batch["cause"].flatten(), pa.array(CAUSES))
        causes = _filled(cause, len(CAUSES) - 1).reshape(people, joints)
        fraction = fraction_of(_reals(batch["occluded_fraction"]))
        fraction[_nulls(batch["occluded_fraction"])] = len(FRACTIONS)
        view = self._views(batch, eyes_m)
        body = _bodies(batch["phenotype"])
        family = self._family_places(batch["pose_family"])
        joint = np.tile(np.arange(joints), (people, 1))
        a, b, c, d = (each[:, None] for each in (family, fraction, view, body))
        np.add.at(self._counts, (a, joint, causes, b, c, d), 1)
        own = batch["frame_index"].to_numpy().astype(np.int64) if groups is None else groups
        self.examples.add(batch, groups=own, causes=causes, fraction=fraction, view=view, body=body)

    def _family_places(self, column: pa.Array) -> I32:
        """Return places in `families`, which grows by those that are new."""
        names = pc.fill_null(column, UNKNOWN).to_pylist()
        new = sorted(set(names) - set(self.families))
        if new:
            more = np.zeros((len(new), *self._shape), np.int32)
            self._counts = np.concatenate([self._counts, more])
            self.families += new
        where = {name: k for k, name in enumerate(self.families)}
        return np.array([where[name] for name in names], np.int32)

    def _views(self, batch: pa.RecordBatch, eyes_m: F64) -> I32:
        names = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
        column = batch["joints_world_m"]
        out = np.full(batch.num_rows, len(VIEWS), np.int32)
        if all(name in self.skeleton.joints for name in names):
            known = ~_nulls(column)
            points = column.flatten().to_numpy().reshape(-1, len(self.skeleton.joints), 3)
            wanted = points[:, [self.skeleton.joints.index(name) for name in names]]
            angle = camera_azimuth_rad(wanted, eyes_m[known])
            seen = view_of(np.nan_to_num(angle))
            out[known] = np.where(np.isfinite(angle), seen, len(VIEWS))
        return out

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the bins along each of `AXES`."""
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
        counts: I64 = np.moveaxis(self._counts[order].astype(np.int64), 0, 4)
        return counts

    @property
    def people(self) -> int:
        """Return how many people were counted."""
        return int(self._counts[:, 0].sum())

    def of_people(self, *axes: str) -> I64:
        """Return counts of people along one or two axes, none of them joint or cause."""
        return _summed(self.counts[:1], axes)

    def of_joints(self, *axes: str) -> I64:
        """Return counts of joints along one or two axes."""
        return _summed(self.counts, axes)

    def as_json(self) -> dict[str, Any]:
        """Return every count that is not 0.

        `cells` holds columns of equal length: for each of `axes` places in its `labels`, and
        `count`.
        """
        counts, labels = self.counts, self.labels
        places = np.nonzero(counts)
        people_axes = ("fraction", "view", "family", "body")
        named = [(axis, self.of_people(axis)) for axis in people_axes]
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
    """Count a data set. Memory does not grow with it."""
    found = Coverage(get_skeleton(dataset.identity.skeleton))
    beside, done, people, started = _Frames(dataset), 0, dataset.people, time.monotonic()
    for batch in dataset.iter_batches("instances", PERSON_COLUMNS):
        found.add(batch, *beside.of(batch["frame_index"].to_numpy()))
        done += batch.num_rows
        if on_progress is not None:
            on_progress(done, people, done / max(1e-6, time.monotonic() - started))
    found.frames = dataset.frames
    return found


class _Frames:
    """Cameras and groups of frames, read beside the people as far as they have come."""

    def __init__(self, dataset: Dataset) -> None:
        self._batches: Iterator[pa.RecordBatch] = dataset.iter_batches(
            "frames", ("index", "world_to_camera", "group_id")
        )
        self._indices = np.zeros(0, np.int64)
        self._eyes = np.zeros((0, 3))
        self._groups = np.zeros(0, np.int64)

    def of(self, frames: I64) -> tuple[F64, I64]:
        """Return (P, 3) the camera's place and (P,) the group of each of some frames.

        They come in the order of the set. DatasetError when the table of frames lacks one of them.
        """
        keep = self._indices >= frames.min()
        self._indices, self._eyes = self._indices[keep], self._eyes[keep]
        self._groups = self._groups[keep]
        while not self._indices.size or self._indices[-1] < frames.max():
            batch = next(self._batches, None)
            if batch is None:
                break
            self._indices = np.concatenate([self._indices, batch["index"].to_numpy()])
            self._eyes = np.concatenate([self._eyes, _eyes_m(batch["world_to_camera"])])
            self._groups = np.concatenate([self._groups, _group_numbers(batch)])
        at = np.searchsorted(self._indices, frames)
        lost = frames[~np.isin(frames, self._indices)]
        if lost.size:
            raise DatasetError(
                "the tables of frames and instances do not fit",
                where="instances",
                got=f"a person of frame {int(lost[0])}, which is not stored",
                then="Check the data set with: synthstudio validate.",
            )
        return self._eyes[at], self._groups[at]


def _eyes_m(column: pa.Array) -> F64:
    """Return (F, 3) camera centres of 4x4 `world_to_camera`; NaN where there is none."""
    out = np.full((len(column), 3), np.nan)
    matrices = column.flatten().to_numpy().reshape(-1, 4, 4)
    out[~_nulls(column)] = -np.einsum("nji,nj->ni", matrices[:, :3, :3], matrices[:, :3, 3])
    return out


def _group_numbers(batch: pa.RecordBatch) -> I64:
    """Return (F,) numbers that are the same for the same group, whatever came before.

    A frame without a group is its own.
    """
    coded = pc.dictionary_encode(batch["group_id"])
    names = [name.encode("utf-8", "surrogatepass") for name in coded.dictionary.to_pylist()]
    digests = [hashlib.blake2b(name, digest_size=6).digest() for name in names]
    numbers = np.array([int.from_bytes(d, "little") for d in digests], np.int64)
    alone = np.array([not name for name in names], np.bool_)
    places = coded.indices.to_numpy()
    found: I64 = np.where(alone[places], batch["index"].to_numpy(), numbers[places])
    return found


def _bodies(column: pa.Array) -> I32:
    out = np.full(len(column), len(BODIES), np.int32)
    axes = column.flatten().to_numpy().reshape(-1, _PHENOTYPE)
    out[~_nulls(column)] = body_places(axes[:, 0], axes[:, 3], axes[:, 4])
    return out


def _nulls(column: pa.Array) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = column.is_null().to_numpy(zero_copy_only=False)
    return found


def _reals(column: pa.Array) -> F64:
    """Return a column of numbers, 0 for null."""
    values: F64 = pc.fill_null(column, 0).to_numpy(zero_copy_only=False).astype(np.float64)
    return values


def _filled(column: pa.Array, value: int) -> I32:
    places: I32 = pc.fill_null(column, value).to_numpy(zero_copy_only=False).astype(np.int32)
    return places


def thin_pairs(
    found: Coverage, pair: tuple[str, str], *, at_least: float | None = None
) -> list[tuple[str, str, int]]:
    """Return the bins of two axes with fewer than `at_least`, thinnest first, with their counts.

    People are counted, or joints where one axis is joint or cause. By default a bin is thin
    with less than half of an even share of what is there. Bins that nothing can be in
    (unknown, unlabelled) do not count.
    """
    joints = {"joint", "cause"} & set(pair)
    counts = found.of_joints(*pair) if joints else found.of_people(*pair)
    rows, columns = (known_places(found, axis) for axis in pair)
    here = counts[np.ix_(rows, columns)]
    least = thin_below(here, at_least)
    names = [found.labels[axis] for axis in pair]
    bins = [
        (names[0][i], names[1][j], int(here[a, b]))
        for (a, i), (b, j) in itertools.product(enumerate(rows), enumerate(columns))
        if here[a, b] < least
    ]
    return sorted(bins, key=lambda each: each[2])


def known_places(found: Coverage, axis: str) -> list[int]:
    """Return the places along an axis that a rendered joint can have."""
    names = found.labels[axis]
    return [k for k, name in enumerate(names) if name not in (UNKNOWN, "unlabelled")]


def thin_below(counts: I64, at_least: float | None) -> float:
    """Return the count from which a bin is not thin."""
    if at_least is not None:
        return at_least
    return 0.5 * float(counts.sum()) / max(1, counts.size)
