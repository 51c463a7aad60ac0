"""A process's part of a batch, whose random choices are those of one process that takes all of it.

So several processes learn from the same augmented people as one. Letters: B people of this
process's part.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
Draws = TypeVar("Draws")


@dataclass(frozen=True, kw_only=True)
class BatchPart:
    """`rows` (B,) of the samples; they stand at `places` (B,) of a batch of `count` people.

    `beside`: the rows of the batch whose pictures are at hand, of which pieces are pasted.
    """

    rows: I64
    places: I64
    count: int
    beside: I64

    @classmethod
    def of(cls, rows: I64, *, rank: int = 0, size: int = 1) -> BatchPart:
        """The part of process `rank` of `size` in a batch of `rows`."""
        places = np.arange(len(rows))[rank::size]
        return cls(rows=rows[places], places=places, count=len(rows), beside=rows)

    def drawn(self, draws: Draws) -> Draws:
        """Of what was drawn for the whole batch (a dataclass of arrays, or of dicts of them) that
        of this part."""
        taken = {name: self._taken(value) for name, value in vars(draws).items()}
        return dataclasses.replace(draws, **taken)  # type: ignore[type-var]

    def _taken(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: array[self.places] for name, array in value.items()}
        return value[self.places]


def as_part(rows: I64 | BatchPart) -> BatchPart:
    """A whole batch's rows as a part of it."""
    return rows if isinstance(rows, BatchPart) else BatchPart.of(np.asarray(rows))
