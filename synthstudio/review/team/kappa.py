"""Cohen's kappa: how far two agree beyond what chance would give them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Kappa:
    """Agreement of two on `n` things. `counts[a, b]`: the first said a, the second b.

    `value`: 1 is full agreement, 0 what chance gives, below 0 less. NaN when there is nothing to
    agree on, or when both said one and the same thing throughout: chance then explains it all.
    """

    value: float
    n: int
    agreed: int
    counts: NDArray[np.int64]
    names: tuple[str, ...]


def kappa(counts: NDArray[np.int64], names: tuple[str, ...]) -> Kappa:
    """Return Cohen's kappa of a square table of counts, a row for what the first said."""
    n, agreed = int(counts.sum()), int(np.trace(counts))
    value = math.nan
    if n:
        seen = agreed / n
        by_chance = float((counts.sum(axis=1) * counts.sum(axis=0)).sum()) / n**2
        value = (seen - by_chance) / (1 - by_chance) if by_chance < 1 else math.nan
    return Kappa(value=value, n=n, agreed=agreed, counts=counts, names=names)
