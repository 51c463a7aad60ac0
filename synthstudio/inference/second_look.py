"""Where people are, when nobody says: a detector's boxes, or one about the joints of a look before
(at the picture before, or at the whole picture)."""

from __future__ import annotations

import dataclasses
import functools
import logging
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from synthstudio.core.similarity import object_similarity
from synthstudio.core.threads import threads_allowed
from synthstudio.inference.boxes import FindPeople, source_boxes
from synthstudio.inference.finder import Finder
from synthstudio.inference.predict import F64, PRESENT, Person, Predictor, predict
from synthstudio.inference.sources import Boxes, SourceImage
from synthstudio.models.packaged import default_finder

_log = logging.getLogger("synthstudio")
MARGIN = 0.07
"""Of the joints' longer side, between them and the box: what boxes of rendered people have, in the
median of four sides, the head's 0.09 and the others' 0.04 (23 joints; more where toes have none).
"""
_LEAST_PX, _LEAST_JOINTS = 8.0, 3
UNSURE, AGREED, SAME = 0.2, 0.16, 0.5
"""The least score of the detector, and of detector and network together (chosen on the photos that
the card counts them on); from which OKS two are the same person."""
_MOST_ASKED = 16
_SIGMA = 0.07
"""Of all joints here: the mean of COCO's, who is who does not hang on it."""


def box_about(person: Person, size: tuple[int, int]) -> F64 | None:
    """The box x y w h about somebody's joints inside a picture (W, H); None: too few are there."""
    inside = ((person.xy >= 0) & (person.xy < size)).all(-1)
    there = inside & ~(person.present < PRESENT)  # NaN: not said
    if there.sum() < _LEAST_JOINTS:
        return None
    low, high = person.xy[there].min(0), person.xy[there].max(0)
    longer = float((high - low).max())
    if longer < _LEAST_PX:
        return None
    return np.concatenate([low - MARGIN * longer, high - low + 2 * MARGIN * longer])


def find_people(ask: Predictor, *, size: tuple[int, int]) -> FindPeople:
    """Find who an image says is there; without that, whom the package's detector and `ask` agree
    on (`agreed_people`); if that is nobody, one person by a second look. `size` as below.

    That one has the detector's lowest score. The detector is loaded for the first image that does
    not say who is there, and run on the CPU. Without ONNX Runtime a warning is logged, and
    `second_look` is alone.
    """

    @functools.cache
    def look() -> FindPeople:
        if find_spec("onnxruntime") is not None:
            return agreed_people(_finder(default_finder(), threads_allowed()), ask, size=size)
        _log.warning(
            "one person a picture is looked for: the detector needs ONNX Runtime, "
            'pip install "synthstudio[onnx]"'
        )
        return second_look(ask, size=size)

    return lambda image: look()(image) if image.boxes is None else image.boxes


@functools.cache
def _finder(path: Path, threads: int) -> Finder:
    return Finder.load(path, device="cpu", min_score=UNSURE, threads=threads)


def agreed_people(
    finder: FindPeople, ask: Predictor, *, size: tuple[int, int], least: float = AGREED
) -> FindPeople:
    """Find people by a detector that is unsure and a network that says how good its joints are.

    Somebody's score is that of every prediction, the mean OKS that `ask` expects of their joints
    times the detector's, and at least `least`. Of two whose joints have an OKS above SAME, the
    better one stays.
    """
    alone = second_look(ask, size=size)

    def find(image: SourceImage) -> Boxes:
        if image.boxes is not None:
            return image.boxes
        boxes = finder(image)
        given = dataclasses.replace(
            image, boxes=Boxes(xywh=boxes.xywh[:_MOST_ASKED], score=boxes.score[:_MOST_ASKED])
        )
        people = list(predict(ask, [given], source_boxes, size=size))
        kept = _best(people, least=least)
        if not kept:
            return dataclasses.replace(alone(image), score=np.full(1, UNSURE))
        return Boxes(
            xywh=np.array([person.box for person in kept]),
            score=np.array([person.box_score for person in kept]),
        )

    return find


def _best(people: list[Person], *, least: float) -> list[Person]:
    """Those with a score of at least `least`, the best first, each once."""
    kept: list[Person] = []
    for person in sorted(people, key=lambda each: -each.confidence):
        if person.confidence < least:
            break
        if all(_alike(person, other) <= SAME for other in kept):
            kept.append(person)
    return kept


def _alike(person: Person, other: Person) -> float:
    known = np.atleast_2d(np.isfinite(person.xy + other.xy).all(-1))
    area = np.array([other.box[2] * other.box[3]])
    sigmas = np.full(len(other.xy), _SIGMA)
    return float(object_similarity(person.xy[None], other.xy[None], known, area, sigmas)[0, 0])


def second_look(ask: Predictor, *, size: tuple[int, int]) -> FindPeople:
    """Find who an image says is there; without that, one person by a look at the whole image.

    Their box is that about the joints that `ask` finds there, as far as it lies in the image, or
    the whole image if those are too few. `size`: the (H, W) of the crops that `ask` is asked about.
    """

    def find(image: SourceImage) -> Boxes:
        whole = source_boxes(image)
        if image.boxes is not None:
            return whole
        alone = dataclasses.replace(image, sequence="")
        box = box_about(
            next(predict(ask, [alone], source_boxes, size=size)), image.rgb.shape[1::-1]
        )
        if box is None:
            return whole
        low = np.maximum(box[:2], 0)
        high = np.minimum(box[:2] + box[2:], image.rgb.shape[1::-1])
        return Boxes(xywh=np.concatenate([low, high - low])[None], score=np.ones(1))

    return find
