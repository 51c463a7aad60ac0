"""Boxes about the joints of a look before: of the picture before, or at the whole picture."""

from __future__ import annotations

import dataclasses

import numpy as np

from synthstudio.inference.answers import F64, PRESENT, Ask
from synthstudio.inference.boxes import FindPeople, source_boxes
from synthstudio.inference.predict import Person, predict
from synthstudio.inference.sources import Boxes, SourceImage

MARGIN = 0.07
"""Of the joints' longer side, between them and the box: what boxes of rendered people have, in the
median of four sides, the head's 0.09 and the others' 0.04 (23 joints; more where toes have none).
"""
_LEAST_PX, _LEAST_JOINTS = 8.0, 3


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


def second_look(ask: Ask, *, size: tuple[int, int]) -> FindPeople:
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
