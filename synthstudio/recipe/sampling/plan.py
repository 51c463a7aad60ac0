"""Stratified numbers: what every part of a run is asked for, planned and never steered by results.

Sample `number` of a stream is known from the number alone, so frames can be made in any order,
yet every block of them covers [0, 1) evenly.
"""

from __future__ import annotations

from functools import lru_cache

from synthstudio.core.rng import stream
from synthstudio.core.scene import F64

BLOCK = 100


def permuted(seed: int, key: str, *, number: int, block: int = BLOCK) -> float:
    """Return sample `number` (from 0) of the stratified stream `key`: a float in [0, 1).

    Samples k block .. (k + 1) block - 1 are (perm[i] + u[i]) / block with a random permutation
    and uniform u: each of the `block` equal intervals holds exactly one, in random order. So the
    share of any n samples from the first on below a threshold t is within block / n of t, and
    that of whole blocks within 1 / block.
    """
    return float(_block(seed, key, number // block, block)[number % block])


@lru_cache(maxsize=4096)
def _block(seed: int, key: str, place: int, block: int) -> F64:
    rng = stream(seed, "plan", key, place, block)
    values: F64 = (rng.permutation(block) + rng.random(block)) / block
    return values.clip(0.0, 1.0 - 2.0**-53)
