"""Top-down predictions on unlabelled images: from boxes to joints and causes of occlusion."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from synthstudio.core.arrays import F64, U8
from synthstudio.core.errors import FormatError
from synthstudio.core.labels import VISIBILITY
from synthstudio.core.visibility import is_visible
from synthstudio.inference.sources import Boxes, FindPeople, SourceImage
from synthstudio.inference.tracking import REPEATED, smooth, track_people
from synthstudio.training.data.windows import crop_and_resize, crop_window

TRUNCATED = VISIBILITY[4]
PRESENT = 0.5
"""Minimum probability of a joint inside the image."""
_MAX_BOX = 2
"""The longest side of a drawn or detected box, in longer sides of the image: a larger one belongs
to another image."""


@dataclass(frozen=True, kw_only=True)
class CropPredictions:
    """Predictions for B crops, in continuous pixels of the crop; NaN: no such output.
    `visibility_fractions` (B, J, 4): visible, self, person, object; `quality` (B, J): expected OKS;
    `present` (B, J): probability inside the image; `peaks` (B, J, K, 3): x, y, value."""

    xy: F64  # (B, J, 2)
    score: F64  # (B, J)
    visibility_fractions: F64
    quality: F64
    present: F64
    peaks: F64


Predictor = Callable[[U8], CropPredictions]
"""Crops (B, H, W, 3) RGB to predictions."""


def cause_of(fractions: F64, present: float) -> str | None:
    """Cause of a joint, one of core.labels.VISIBILITY; None: not predicted."""
    if present < PRESENT:  # NaN is not
        return TRUNCATED
    if not np.isfinite(fractions).all():
        return None
    if is_visible(fractions[0]):
        return VISIBILITY[0]
    return VISIBILITY[1 + int(fractions[1:].argmax())]


@dataclass(frozen=True, kw_only=True)
class Person:
    """One predicted person; positions are continuous pixels, NaN: no such output.
    `visibility_fractions` (J, 4): visible, self, person, object; `quality` (J,): expected OKS;
    `present` (J,): probability inside the image; `instance`: the source's number; `track`: constant
    within a clip; `peaks` (J, K, 3): x, y, value of each map's highest separate peaks."""

    image: int
    name: str
    instance: int | None
    box: F64  # (4,) x y w h
    box_score: float
    xy: F64  # (J, 2) NaN: not found, or outside the picture
    score: F64  # (J,) probability of a hit, from the maps
    visibility_fractions: F64
    quality: F64
    present: F64
    sequence: str = ""
    time: int = 0
    track: int | None = None
    peaks: F64 = field(default_factory=lambda: np.zeros((0, 0, 3)))
    found_score: float | None = None  # score of a person found without a box

    @property
    def confidence(self) -> float:
        """The person's score: the mean expected OKS, or else score of the located joints,
        times the box's score; without a box `found_score`."""
        if self.found_score is not None:
            return float(np.clip(self.found_score, 0, 1))
        known = np.isfinite(self.quality).all()
        placed = np.isfinite(self.xy).all(-1)
        quality = (self.quality if known else self.score)[placed]
        return float(np.clip(quality.mean() * self.box_score, 0, 1)) if placed.any() else 0.0

    @property
    def causes(self) -> tuple[str | None, ...]:
        """Cause of each joint, one of core.labels.VISIBILITY; None: no such output."""
        return tuple(map(cause_of, self.visibility_fractions, self.present))


@dataclass(frozen=True, kw_only=True)
class PredictedBoxes(Boxes):
    """Boxes of people whom the network has predicted already."""

    people: tuple[Person, ...]


Crop = tuple[U8, dict[str, Any]]
"""The pixels (H, W, 3) of a crop, and the fields of Person that are known before the prediction."""


def predict(
    predictor: Predictor,
    images: Iterable[SourceImage],
    find: FindPeople,
    *,
    size: tuple[int, int],
    batch: int = 64,
    again: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Iterator[Person]:
    """Yield a prediction for each box of `find`, in the images' order. `size`: the (H, W) of crops,
    `batch` at once; `again`: also of PredictedBoxes. FormatError for a box outside its image;
    ModelError when out of memory."""
    waiting: list[Crop] = []
    for done, image in enumerate(images, 1):
        boxes = find(image)
        if isinstance(boxes, PredictedBoxes) and not again:
            if waiting:
                yield from _predict_batch(predictor, waiting, size)
            yield from boxes.people
            waiting = []
        else:
            waiting += _crops(image, boxes, size)
        while len(waiting) >= batch:
            yield from _predict_batch(predictor, waiting[:batch], size)
            waiting = waiting[batch:]
        progress(done)
    if waiting:
        yield from _predict_batch(predictor, waiting, size)


def _crops(image: SourceImage, boxes: Boxes, size: tuple[int, int]) -> Iterator[Crop]:
    height, width = image.rgb.shape[:2]
    for p, box in enumerate(boxes.xywh):
        touches = (box[:2] < [width, height]).all() and (box[:2] + box[2:] > 0).all()
        large = not boxes.measured and box[2:].max() > _MAX_BOX * max(width, height)
        if not touches or large:
            raise FormatError(
                "the box is outside the image",
                where=f"{image.name}, box {p}",
                expected=f"x y w h inside {width} x {height}",
                got=", ".join(f"{v:g}" for v in box),
                then="Check that boxes and images match.",
            )
        x, y, w, _ = crop_window(box, size)
        known = {
            "image": image.number,
            "name": image.name,
            "instance": None if boxes.instance is None else boxes.instance[p],
            "box": box,
            "box_score": float(boxes.score[p]),
            "sequence": image.sequence,
            "time": image.time,
        }
        yield crop_and_resize(image.rgb, np.array([x, y]), size[1] / w, size), known


def _predict_batch(net: Predictor, crops: list[Crop], size: tuple[int, int]) -> Iterator[Person]:
    answers = net(np.stack([crop for crop, _ in crops]))
    for k, (_, known) in enumerate(crops):
        x, y, w, _ = crop_window(known["box"], size)
        scale = w / size[1]
        yield Person(
            **known,
            xy=answers.xy[k] * scale + [x, y],
            score=answers.score[k],
            visibility_fractions=answers.visibility_fractions[k],
            quality=answers.quality[k],
            present=answers.present[k],
            peaks=answers.peaks[k] * [scale, scale, 1] + [x, y, 0],
        )


def smoothed(people: list[Person], *, frames: int) -> list[Person]:
    """Smooth joints of clips and videos over time and number tracks, by the source's instances or
    tracking.py. `frames`: the window, odd; below 3 only tracks are numbered."""
    out = list(people)
    by_sequence: dict[str, list[int]] = {}
    for k, person in enumerate(people):
        if person.sequence:
            by_sequence.setdefault(person.sequence, []).append(k)
    for rows in by_sequence.values():
        for track, own in _tracked(people, rows).items():
            times = np.array([people[k].time for k in own])
            xy = np.stack([people[k].xy for k in own])
            xy = smooth(xy, np.stack([people[k].score for k in own]), at=times, window=frames)
            for at, k in enumerate(own):
                out[k] = dataclasses.replace(people[k], xy=xy[at], track=track)
    return out


def _tracked(people: list[Person], rows: list[int]) -> dict[int, list[int]]:
    rows = sorted(rows, key=lambda k: people[k].time)
    found: dict[int, list[int]] = {}
    if all(people[k].instance is not None for k in rows):
        for k in rows:
            found.setdefault(int(people[k].instance or 0), []).append(k)
        return found
    at: dict[int, list[int]] = {}
    for k in rows:
        at.setdefault(people[k].time, []).append(k)
    columns = (tracking_columns([people[k] for k in own]) for own in at.values())
    tracks = track_people(*zip(*columns, strict=True), at=list(at))
    alone = 1 + max(int(names.max()) for names in tracks)  # duplicates in a frame get unique tracks
    for own, names in zip(at.values(), tracks, strict=True):
        for k, name in zip(own, names, strict=True):
            found.setdefault(alone if name == REPEATED else int(name), []).append(k)
            alone += name == REPEATED
    return found


def tracking_columns(people: Sequence[Person]) -> tuple[F64, F64, F64]:
    """Boxes (P, 4), joints (P, J, 2) and their weights (P, J) in tracking: scores, reduced by
    occlusion."""
    visible = np.stack([person.visibility_fractions[:, 0] for person in people])
    weights = np.stack([person.score for person in people])
    weights = weights * np.where(np.isfinite(visible), visible, 1)
    return np.stack([p.box for p in people]), np.stack([p.xy for p in people]), weights
