"""The order of a streamed epoch: shards are shuffled, then people within windows of shards.

(Seed, epoch) alone decide it: neither how many processes read nor where one begins. When all
shards fit into one window it is the order of people who are held in memory.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.rng import stream

I64 = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Window:
    """The people of a window, in order: person k is number `number[k]` of the shard that is read
    `slot[k]`-th in the epoch. The window's first person is the epoch's `start`-th."""

    start: int
    slot: I64
    number: I64

    @property
    def stop(self) -> int:
        return self.start + len(self.slot)


class BlockOrder:
    """Of S shards with `counts` (S,) people each; `window`: shards shuffled together."""

    def __init__(self, counts: I64, *, window: int, seed: int) -> None:
        self.counts, self.window, self.seed = counts, window, seed
        self.people = int(counts.sum())
        self.windows = -(-len(counts) // window)
        self.shards = functools.lru_cache(2)(self._shards)
        self.starts = functools.lru_cache(2)(self._starts)
        self.of_window = functools.lru_cache(4)(self._of_window)

    def _shards(self, epoch: int) -> I64:
        """The shards (S,) as they are read, rising within each window."""
        order = stream(self.seed, "shards", epoch).permutation(len(self.counts))
        parts = [order[self.slots(w).start : self.slots(w).stop] for w in range(self.windows)]
        return np.concatenate([np.sort(part) for part in parts])

    def slots(self, window: int) -> range:
        """Which of an epoch's shards make up a window, in the order in which they are read."""
        first = window * self.window
        return range(first, min(first + self.window, len(self.counts)))

    def _starts(self, epoch: int) -> I64:
        """Where each window of an epoch starts, and where the last one ends (windows + 1,)."""
        read = self.counts[self.shards(epoch)]
        sums = np.concatenate([[0], np.cumsum(read)])
        edges = np.minimum(np.arange(self.windows + 1) * self.window, len(self.counts))
        return np.asarray(sums[edges], np.int64)

    def _of_window(self, epoch: int, window: int) -> Window:
        slots = self.slots(window)
        counts = self.counts[self.shards(epoch)[slots.start : slots.stop]]
        slot = np.repeat(np.arange(slots.start, slots.stop), counts)
        number = np.arange(len(slot)) - np.repeat(np.cumsum(counts) - counts, counts)
        keys = ("order", epoch) if window == 0 else ("order", epoch, window)
        order = stream(self.seed, *keys).permutation(len(slot))
        start = int(self.starts(epoch)[window])
        return Window(start=start, slot=slot[order], number=number[order])

    def windows_of(self, epoch: int, first: int, last: int) -> range:
        """The windows in which the `first`-th to the `last`-th person of an epoch are."""
        starts = self.starts(epoch)
        low, high = np.searchsorted(starts, [first, last], side="right") - 1
        return range(int(low), int(high) + 1)
