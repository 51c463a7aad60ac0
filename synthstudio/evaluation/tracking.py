"""How well people are tracked: MOTA and IDF1. NumPy; letters: T frames, G true people, P found.

CLEAR MOT (Bernardin and Stiefelhagen 2008): in every frame a true person keeps the track that they
were matched with last while both are alike enough; the others are matched to make most pairs, the
most alike. "Last" is in any frame before, as motmetrics counts; MOTChallenge's devkit looks one
frame back. Who keeps a track that two had last is left open: here the most alike. MOTA = 1 -
(misses + false positives + switches) / true people. It asks how often an identity changes. IDF1
(Ristani et al. 2016) asks for how long it is right: each true person gets one track for the whole
clip, so that most sightings agree; F1 of those sightings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from synthstudio.core.errors import ArgumentError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TrackedFrame:
    """One frame: `truth` (G,) and `found` (P,) are numbers of people, each once; `alike` (G, P)
    their similarity from 0 to 1, such as the overlap of boxes or OKS."""

    truth: I64
    found: I64
    alike: F64


@dataclass(frozen=True, kw_only=True)
class TrackScores:
    """Counts over a clip. `agreed`: sightings with their true identity (IDTP)."""

    truth: int
    found: int
    misses: int
    false_positives: int
    switches: int
    agreed: int

    @property
    def mota(self) -> float:
        """At most 1, below 0 with more errors than people; NaN without anybody."""
        wrong = self.misses + self.false_positives + self.switches
        return 1 - wrong / self.truth if self.truth else float("nan")

    @property
    def idf1(self) -> float:
        """From 0 to 1; NaN without anybody."""
        both = self.truth + self.found
        return 2 * self.agreed / both if both else float("nan")


def score_tracks(frames: Sequence[TrackedFrame], *, least: float = 0.5) -> TrackScores:
    """Judge the tracks of a clip. A true and a found person may be one from `least` alike on.

    ArgumentError for a frame whose arrays do not fit or that has a number twice.
    """
    for t, frame in enumerate(frames):
        _check(frame, f"frame {t}")
    last: dict[int, int] = {}
    matched = switches = 0
    together: dict[tuple[int, int], int] = {}
    for frame in frames:
        fits = frame.alike >= least
        for g, p in zip(*np.nonzero(fits), strict=True):
            pair = int(frame.truth[g]), int(frame.found[p])
            together[pair] = together.get(pair, 0) + 1
        for g, p in _matches(frame, fits, last):
            name, track = int(frame.truth[g]), int(frame.found[p])
            switches += last.get(name, track) != track
            matched += 1
            last[name] = track
    truth, found = sum(len(f.truth) for f in frames), sum(len(f.found) for f in frames)
    return TrackScores(
        truth=truth,
        found=found,
        misses=truth - matched,
        false_positives=found - matched,
        switches=switches,
        agreed=_agreed(together),
    )


def _check(frame: TrackedFrame, where: str) -> None:
    shape = len(frame.truth), len(frame.found)
    if frame.alike.shape != shape:
        raise ArgumentError(
            "not a similarity for each pair",
            where=where,
            expected=f"{shape}",
            got=f"{frame.alike.shape}",
        )
    for name, numbers in (("truth", frame.truth), ("found", frame.found)):
        if len(np.unique(numbers)) < len(numbers):
            raise ArgumentError(
                "a number stands twice", where=f"{where}, {name}", got=f"{numbers.tolist()}"
            )


def _matches(
    frame: TrackedFrame, fits: NDArray[np.bool_], last: dict[int, int]
) -> list[tuple[int, int]]:
    """Pairs (g, p) of one frame: those of before that still fit, then the most and most alike."""
    value = np.where(fits, 1 + frame.alike / (1 + fits.size), 0)
    kept = frame.found[None] == np.array([last.get(int(g), _NONE) for g in frame.truth])[:, None]
    # One kept pair outweighs any number of others: no assignment gives it up for them.
    value[kept & fits] = 2 * (1 + fits.size)
    pairs = zip(*linear_sum_assignment(-value), strict=True)
    return [(int(g), int(p)) for g, p in pairs if fits[g, p]]


_NONE = np.iinfo(np.int64).min


def _agreed(together: dict[tuple[int, int], int]) -> int:
    """The most sightings that one track for each true person can explain (IDTP)."""
    people = {g: k for k, g in enumerate(sorted({g for g, _ in together}))}
    names = {p: k for k, p in enumerate(sorted({p for _, p in together}))}
    count = np.zeros((len(people), len(names)), np.int64)
    for (g, p), shared in together.items():
        count[people[g], names[p]] = shared
    return int(count[linear_sum_assignment(-count)].sum())
