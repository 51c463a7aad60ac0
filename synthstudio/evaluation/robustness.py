"""PCK of challenges against the plain scene, paired by person: frame k of both shows the same
people. Letters: P people, J joints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.evaluation.intervals import Interval, paired_interval, ratio_interval, table_text
from synthstudio.evaluation.metrics import joint_subsets, pck_of
from synthstudio.evaluation.storage import Predictions, percent

F64 = NDArray[np.float64]
PARTS = ("visible", "hidden")
AT = 0.1
_SEED, _ROUNDS = 2030, 1000
Sums = tuple[F64, F64]


@dataclass(frozen=True, kw_only=True)
class ChallengePair:
    """What a network predicts of the same P people in a challenge and in the plain scene."""

    challenge: Predictions
    plain: Predictions


@dataclass(frozen=True, kw_only=True)
class Row:
    """PCK@0.1 of one network and one part of the joints. `change`: challenge less plain;
    `to_first`: this network less the first on the challenge, None for the first."""

    challenge: str
    part: str
    run: str
    value: Interval
    plain: Interval
    change: Interval
    to_first: Interval | None
    pairs: int
    joints: int


def robustness_rows(runs: Mapping[str, Mapping[str, ChallengePair]]) -> list[Row]:
    """Rows of runs by name, each with its challenges by name; within a challenge all runs predict
    the same people in the same order."""
    rows = []
    first = next(iter(runs.values()))
    for challenge in first:
        for part in PARTS:
            baseline = _sums(first[challenge].challenge, part)
            for run, shown in runs.items():
                both = shown[challenge]
                ours, plain = _sums(both.challenge, part), _sums(both.plain, part)
                rows.append(
                    Row(
                        challenge=challenge,
                        part=part,
                        run=run,
                        value=ratio_interval(*ours, seed=_SEED, rounds=_ROUNDS),
                        plain=ratio_interval(*plain, seed=_SEED, rounds=_ROUNDS),
                        change=paired_interval(ours, plain, seed=_SEED, rounds=_ROUNDS),
                        to_first=None
                        if shown is first
                        else paired_interval(ours, baseline, seed=_SEED, rounds=_ROUNDS),
                        pairs=len(both.challenge),
                        joints=int(ours[1].sum()),
                    )
                )
    return rows


def _sums(predictions: Predictions, part: str) -> Sums:
    """Hits and counts (1, P) of a part's joints."""
    subset = joint_subsets(predictions)[part]
    hits = pck_of(predictions, at=AT)
    use = subset & np.isfinite(hits)
    return np.where(use, hits, 0.0).sum(1)[None], use.sum(1)[None].astype(np.float64)


def pairs(challenge: Predictions, plain: Predictions) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows of both that show the first person of a frame, in the order of frames; people wholly
    outside one of the pictures are left out."""
    places = []
    for predictions in (challenge, plain):
        rows = np.flatnonzero(predictions.instance == predictions.instance.min())
        places.append(dict(zip(predictions.frame[rows].tolist(), rows.tolist(), strict=True)))
    frames = sorted(set(places[0]) & set(places[1]))
    ours, theirs = ([place[frame] for frame in frames] for place in places)
    return np.array(ours, np.int64), np.array(theirs, np.int64)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as plain values; intervals are value, low, high from 0 to 1."""
    return [
        {
            key: vars(value) if isinstance(value, Interval) else value
            for key, value in vars(row).items()
        }
        for row in rows
    ]


def text(rows: Sequence[Row]) -> str:
    """Rows as a table for a terminal."""
    lines = [["challenge", "joints", "run", "PCK@0.1", "plain", "challenge less plain"]]
    for row in rows:
        figures = [percent(row.value.value), percent(row.plain.value), row.change.marked()]
        lines.append([row.challenge, row.part, row.run, *figures])
    return f"{table_text(lines)}\nIn brackets: 95 % intervals, paired by person; * excludes zero."
