"""One kind of doubt about everybody's labels: a score a person, and words for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from synthstudio.review.risk.people import F64, PeopleTable

F32 = NDArray[np.float32]
I16 = NDArray[np.int16]
NOBODY = -1


@dataclass(frozen=True, kw_only=True)
class Signal:
    """What one check says of P people.

    `score` (P,) from 0 (nothing) to 1 (certain); `weight`: how sure a score of 1 is that a label
    is wrong. `joint` (P,): the joint it is about, -1 for none; `value` (P,): the number that
    `text` tells, as in "{joint}: {value:.0f} px away"; "{more}": " and 2 more" where it counts
    joints. `texts`: row -> words of its own.
    """

    name: str
    weight: float
    text: str = ""
    score: F32
    joint: I16
    value: F32
    texts: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def words(self, table: PeopleTable, row: int) -> tuple[str, ...]:
        """Return why a person is here, in words; empty where the score is 0."""
        if not self.score[row] > 0:
            return ()
        if row in self.texts:
            return self.texts[row]
        joint = int(self.joint[row])
        name = spoken(table.joints[joint]) if joint >= 0 else "a joint"
        value = float(self.value[row])
        more = f" and {value - 1:.0f} more" if value >= 2 else ""
        return (self.text.format(joint=name, value=value, more=more),)


def spoken(joint: str) -> str:
    """Return a joint's name as people read it."""
    return joint.replace("_", " ")


def signal(
    name: str,
    *,
    weight: float,
    text: str,
    score: F64,
    joint: NDArray[np.integer] | None = None,
    value: F64 | None = None,
    texts: Mapping[int, tuple[str, ...]] | None = None,
) -> Signal:
    """Return a signal; NaN scores are 0, others are held to 0..1."""
    held = np.clip(np.nan_to_num(score, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    people = len(held)
    return Signal(
        name=name,
        weight=weight,
        text=text,
        score=held.astype(np.float32),
        joint=np.full(people, NOBODY, np.int16) if joint is None else joint.astype(np.int16),
        value=np.zeros(people, np.float32) if value is None else value.astype(np.float32),
        texts=texts or {},
    )


def worst(scores: F64, values: F64) -> tuple[F64, NDArray[np.int64], F64]:
    """Return the largest of scores (J, P) over joints, which joint it is, and its value."""
    if not len(scores):
        nothing = np.zeros(scores.shape[1])
        return nothing, np.full(scores.shape[1], NOBODY, np.int64), nothing
    known = np.nan_to_num(scores, nan=0.0)
    joint = known.argmax(axis=0)
    columns = np.arange(scores.shape[1])
    return known[joint, columns], joint, np.nan_to_num(values[joint, columns])


def ramp(values: F64, start: float, stop: float) -> F64:
    """Return 0 up to `start`, 1 from `stop`, straight between; NaN is 0."""
    return np.clip((np.nan_to_num(values, nan=start) - start) / (stop - start), 0.0, 1.0)


def in_chunks(people: int, size: int = 65_536) -> list[slice]:
    """Return slices that cover all people: float64 of many planes are held for one at a time."""
    return [slice(start, min(start + size, people)) for start in range(0, people, size)]
