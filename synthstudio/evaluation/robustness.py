"""PCK of challenges against the plain scene, paired by person: frame k of both shows the same
people. Letters: P people, J joints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.core.labels import CAUSES, STATE_HIDDEN
from synthstudio.evaluation.intervals import (
    Interval,
    group_sums,
    paired_interval,
    ratio_interval,
    table_text,
)
from synthstudio.evaluation.metrics import joint_subsets, pck_of
from synthstudio.evaluation.storage import Predictions, percent, select

PARTS = ("visible", "hidden")
_SEED, _ROUNDS = 2030, 1000
Sums = tuple[F64, F64]


@dataclass(frozen=True, kw_only=True)
class ChallengePair:
    """Predictions for the same P people in a challenge and in the plain scene."""

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


def robustness_rows(
    runs: Mapping[str, Mapping[str, ChallengePair]],
    *,
    same_joints: bool = False,
    causes: Mapping[str, str] = MappingProxyType({}),
) -> list[Row]:
    """Rows of runs by name, each with its challenges by name; within a challenge all runs predict
    the same people in the same order. `same_joints`: in the plain scene those of a part are those
    of the challenge. `causes`: by challenge, a cause of which the hidden joints are one more part.
    """
    rows = []
    first = next(iter(runs.values()))
    for challenge in first:
        for part in (*PARTS, *filter(None, [causes.get(challenge)])):
            baseline = part_sums(first[challenge].challenge, part)
            for run, shown in runs.items():
                both = shown[challenge]
                sums = part_sums(both.challenge, part)
                where = both.challenge if same_joints else both.plain
                plain = part_sums(both.plain, part, state_of=where)
                rows.append(
                    Row(
                        challenge=challenge,
                        part=part,
                        run=run,
                        value=ratio_interval(*sums, seed=_SEED, rounds=_ROUNDS),
                        plain=ratio_interval(*plain, seed=_SEED, rounds=_ROUNDS),
                        change=paired_interval(sums, plain, seed=_SEED, rounds=_ROUNDS),
                        to_first=None
                        if shown is first
                        else paired_interval(sums, baseline, seed=_SEED, rounds=_ROUNDS),
                        pairs=len(both.challenge),
                        joints=int(sums[1].sum()),
                    )
                )
    return rows


def part_interval(predictions: Predictions, part: str) -> Interval:
    return ratio_interval(*part_sums(predictions, part), seed=_SEED, rounds=_ROUNDS)


def part_sums(predictions: Predictions, part: str, *, state_of: Predictions | None = None) -> Sums:
    """Hits and counts (1, G) of a part's joints by frame; `state_of`: whose states are used."""
    states = predictions if state_of is None else state_of
    if part in PARTS:
        subset = joint_subsets(states)[part]
    else:
        subset = (states.state == STATE_HIDDEN) & (states.cause == CAUSES.index(part))
    return group_sums(pck_of(predictions), subset & predictions.known, predictions.frame)


def paired(challenge: Predictions, plain: Predictions) -> ChallengePair:
    """The same people of both, in the order of frames; people wholly outside one of the pictures
    are left out."""
    keys = [zip(p.frame.tolist(), p.instance.tolist(), strict=True) for p in (challenge, plain)]
    own, other = ({key: row for row, key in enumerate(each)} for each in keys)
    shared = sorted(own.keys() & other.keys())
    rows, others = (np.array([each[k] for k in shared], np.int64) for each in (own, other))
    return ChallengePair(challenge=select(challenge, rows), plain=select(plain, others))


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
