"""Tracking of people in a stream: detected once, then tracked by their joints.

A person's box encloses their joints of the previous picture; the detector (`find`) runs only
when no one is tracked, and every `every` pictures. The one-euro filter smooths reported joints,
not boxes, so that quick people are not lost.
"""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass, field

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.inference.finder import box_around
from synthstudio.inference.predict import Person, Predictor, predict, tracking_weights
from synthstudio.inference.sources import Boxes, FindPeople, SourceImage
from synthstudio.inference.stream import LiveFrame
from synthstudio.inference.tracking import REPEATED, Tracker, overlaps

_SAME = 0.3
"""Minimum IoU of a detected box with a tracked person's."""
MAX_PEOPLE = 50
_GAP_S = 1.0
"""Maximum gap of a track."""


@dataclass(frozen=True, kw_only=True)
class OneEuro:
    """The one-euro filter (Casiez, Roussel and Vogel 2012) on joints; speed is measured in person
    sizes a second. `min_cutoff_hz`: lower is steadier at rest; `beta`: hertz of cutoff per unit of
    speed, higher lags less; `speed_cutoff_hz`: of the speed itself (1 in the paper)."""

    min_cutoff_hz: float = 1.0
    beta: float = 3.0
    speed_cutoff_hz: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Filtered:
    """Filtered joints (J, 2), their velocity (J, 2) in pixels per second, and the time."""

    xy: F64
    velocity: F64
    time_s: float


def filtered(
    settings: OneEuro, before: Filtered | None, xy: F64, *, time_s: float, size_px: float
) -> Filtered:
    """Joints (J, 2) after the filter; `size_px`: the person's. Missing ones stay NaN."""
    step_s = math.inf if before is None else time_s - before.time_s
    if before is None or not 0 < step_s <= _GAP_S:
        return Filtered(xy=xy.copy(), velocity=np.zeros_like(xy), time_s=time_s)
    share = _share(np.float64(settings.speed_cutoff_hz), step_s)
    moved = xy - before.xy
    known = np.isfinite(moved)
    moved = np.where(known, moved, 0.0)
    velocity = np.where(known, before.velocity + share * (moved / step_s - before.velocity), 0.0)
    speed = np.linalg.norm(velocity, axis=-1, keepdims=True) / max(size_px, 1.0)
    share = _share(settings.min_cutoff_hz + settings.beta * speed, step_s)
    xy = np.where(known, before.xy + share * moved, xy)
    return Filtered(xy=xy, velocity=velocity, time_s=time_s)


def _share(cutoff_hz: F64 | np.float64, step_s: float) -> F64:
    return np.asarray(1 / (1 + 1 / (2 * math.pi * cutoff_hz * step_s)))


@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """`every`: pictures between two detections while people are tracked, 0: never. `minimum`:
    confidence below which a person is lost. `euro`: None: no smoothing."""

    every: int = 30
    minimum: float = 0.2
    euro: OneEuro | None = field(default_factory=OneEuro)


@dataclass(frozen=True, kw_only=True)
class TrackedFrame:
    """The people of a picture. `searched`: detected anew; `latency_s`: from arrival to result."""

    frame: LiveFrame
    people: list[Person]
    searched: bool
    latency_s: float


class Follower:
    """Tracks people through pictures. `size`: the (H, W) of crops. Errors as of `predict`."""

    def __init__(
        self,
        predictor: Predictor,
        find: FindPeople,
        *,
        size: tuple[int, int],
        options: LiveOptions | None = None,
    ) -> None:
        self._predict, self._find, self._size = predictor, find, size
        self._options = options or LiveOptions()
        self._tracker = Tracker()
        self._people: list[Person] = []
        self._filters: dict[int, Filtered] = {}
        self._since = 0

    def step(self, frame: LiveFrame) -> TrackedFrame:
        image = SourceImage(
            number=frame.number,
            name=f"picture {frame.number}",
            rgb=frame.rgb,
            sequence="live",
            time=frame.number,
        )
        boxes, searched = self._boxes(image)
        found = Boxes(xywh=boxes, score=np.ones(len(boxes)))
        predicted = predict(self._predict, [image], lambda image: found, size=self._size)
        confident = [person for person in predicted if person.confidence >= self._options.minimum]
        self._people = self._named(confident, frame.number)
        steady = [self._steadied(person, frame.time_s) for person in self._people]
        seen = {person.track for person in steady}
        self._filters = {track: f for track, f in self._filters.items() if track in seen}
        return TrackedFrame(
            frame=frame,
            people=steady,
            searched=searched,
            latency_s=time.perf_counter() - frame.arrived_s,
        )

    def _boxes(self, image: SourceImage) -> tuple[F64, bool]:
        """Boxes (P, 4) of tracked people and, if due, of detected ones; whether detection ran."""
        size = (image.rgb.shape[1], image.rgb.shape[0])
        about = [box for p in self._people if (box := box_around(p, size)) is not None]
        boxes = np.array(about, np.float64).reshape(-1, 4)
        self._since += 1
        every = self._options.every
        if len(boxes) and not (every and self._since >= every):
            return boxes, False
        self._since = 0
        more = np.asarray(self._find(image).xywh, np.float64).reshape(-1, 4)
        if len(boxes):
            more = more[(overlaps(more, boxes) < _SAME).all(-1)]
        return np.concatenate([boxes, more])[:MAX_PEOPLE], True

    def _named(self, people: list[Person], number: int) -> list[Person]:
        if not people:
            return []
        names = self._tracker.name(
            np.stack([p.box for p in people]),
            np.stack([p.xy for p in people]),
            np.stack([tracking_weights(p) for p in people]),
            at=number,
        )
        return [
            dataclasses.replace(person, track=int(name))
            for person, name in zip(people, names, strict=True)
            if name != REPEATED
        ]

    def _steadied(self, person: Person, time_s: float) -> Person:
        euro, track = self._options.euro, person.track
        if euro is None or track is None:
            return person
        size_px = float(person.box[2:].max())
        now = filtered(euro, self._filters.get(track), person.xy, time_s=time_s, size_px=size_px)
        self._filters[track] = now
        return dataclasses.replace(person, xy=now.xy)
