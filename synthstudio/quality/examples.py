"""An example of each bin that the coverage sheet shows: the person who is seen largest."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from synthstudio.core.bins import BODIES, FRACTIONS, VIEWS
from synthstudio.core.labels import CAUSES, SHARES
from synthstudio.core.scene import F64, I32
from synthstudio.core.skeleton import Skeleton

I64 = NDArray[np.int64]

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
"""Joints by the part of the body that they are in, told by the end of their names."""
HIDDEN = SHARES[1:]


KEPT = 8
"""How many people are remembered for a bin, so that its neighbours need not show the same."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A person in a frame, of `count` in the bin; `joint`: the one to look at, or -1.

    `whom` is the same for all pictures of one person: those of a moment, a clip or a photo.
    """

    frame: int
    instance: int
    joint: int
    count: int
    whom: int


class Bins:
    """The best examples of each of some bins so far, and how many there were.

    Of one person (`whom`, a number that its frames share) only the best is kept.
    """

    def __init__(self, size: int) -> None:
        """Begin with nothing."""
        self.counts = np.zeros(size, np.int64)
        self._scores = np.full((size, KEPT), -np.inf)
        self._who = np.full((size, KEPT, 4), -1, np.int64)

    def offer(self, places: I32, scores: F64, who: I64) -> None:
        """Take n candidates for bins: scores (n,), who (n, 4) frame, instance, joint, whom."""
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
        """Add empty bins at the end."""
        more = size - self.counts.size
        self.counts = np.concatenate([self.counts, np.zeros(more, np.int64)])
        self._scores = np.concatenate([self._scores, np.full((more, KEPT), -np.inf)])
        self._who = np.concatenate([self._who, np.full((more, KEPT, 4), -1, np.int64)])

    def example(self, place: int, used: Set[int] = frozenset()) -> Example | None:
        """Return the best of a bin, rather one whose person is not in `used`; None: no one."""
        known = np.isfinite(self._scores[place])
        if not known.any():
            return None
        those = self._who[place][known].tolist()
        frame, instance, joint, whom = next((w for w in those if w[3] not in used), those[0])
        return Example(
            frame=frame, instance=instance, joint=joint, count=int(self.counts[place]), whom=whom
        )


class Examples:
    """Examples by (fraction, view), by family, by body and by (cause, region of the body)."""

    def __init__(self, skeleton: Skeleton) -> None:
        """Begin with nothing."""
        self.families: list[str] = []
        self.by_view = Bins((len(FRACTIONS) + 1) * (len(VIEWS) + 1))
        self.by_family = Bins(0)
        self.by_body = Bins(len(BODIES) + 1)
        self.by_cause = Bins(len(CAUSES) * len(REGIONS))
        self._region = np.array(
            [
                next((k for k, ends in enumerate(REGIONS.values()) if name.endswith(ends)), -1)
                for name in skeleton.joints
            ]
        )

    def add(
        self,
        batch: pa.RecordBatch,
        *,
        groups: I64,
        causes: I32,
        fraction: I32,
        view: I32,
        body: I32,
    ) -> None:
        """Offer a batch of people (P); `causes` (P, J), the others (P,) are places in bins.

        `groups` (P,): a number for the group of frames that each one is in.
        """
        area = pc.fill_null(batch["modal_area_px"], 0).to_numpy(zero_copy_only=False)
        cut = pc.fill_null(batch["truncated_fraction"], 0).to_numpy(zero_copy_only=False)
        scores = area * (1.0 - cut)
        frames, instances = batch["frame_index"].to_numpy(), batch["instance"].to_numpy()
        whom = groups * 1009 + instances  # wraps around: a doubled number only costs a picture
        who = np.column_stack([frames, instances, np.full(len(frames), -1), whom]).astype(np.int64)
        self.by_view.offer(fraction * (len(VIEWS) + 1) + view, scores, who)
        self.by_body.offer(body, scores, who)
        self.by_family.offer(self._family_places(batch["pose_family"]), scores, who)
        person, joint = np.nonzero(np.broadcast_to(self._region >= 0, causes.shape))
        who = np.column_stack([frames[person], instances[person], joint, whom[person]])
        places = causes[person, joint] * len(REGIONS) + self._region[joint]
        self.by_cause.offer(places, scores[person], who)

    def _family_places(self, column: pa.Array) -> I32:
        names = pc.fill_null(column, "unknown").to_pylist()
        self.families += sorted(set(names) - set(self.families))
        self.by_family.grow(len(self.families))
        where = {name: k for k, name in enumerate(self.families)}
        return np.array([where[name] for name in names], np.int32)
