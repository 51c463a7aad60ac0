"""Predictions of people in a challenge's frames or clips.

A clip is one exposure: its frames are averaged in linear light, as by an open
shutter, and labels are those of the middle one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from synthstudio.core.arrays import U8
from synthstudio.core.errors import ModelError
from synthstudio.core.images import linear_to_srgb_u8, srgb_to_linear
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row
from synthstudio.evaluation.storage import Predictions
from synthstudio.training.data.samples import Sample

FIRST = 1
"""The instance of a frame's first person."""
Predict = Callable[[Iterable[Sample], Skeleton], tuple[Predictions, Skeleton]]
"""Function from samples of a data set and a skeleton to predictions and their joints:
`predictions.predict_samples` of a run, `outside.predict_samples` of any other network."""


def exposures(
    dataset: Dataset, *, moments: int, blurred: bool, all_people: bool = False
) -> Iterator[Sample]:
    """The first moments of a data set, of clips the average or unless `blurred` the middle frame,
    with their first person or `all_people`. ModelError if there are fewer."""
    length = int(dataset.frame(0)["clip_frames"] or 1)
    if len(dataset) < moments * length:
        raise ModelError(
            "the challenge has too few frames",
            where=str(dataset.place),
            expected=f"{moments * length}",
            got=str(len(dataset)),
            then="Generate the rest of it, or request fewer frames.",
        )
    for place in range(moments):
        rows = [dataset.frame(place * length + k) for k in range(length)]
        middle = rows[length // 2]
        seen = rows if blurred else [middle]
        people = dataset.instances(middle["index"])
        people = [p for p in people if all_people or p["instance"] == FIRST]

        def rgb(seen: list[Row] = seen) -> U8:
            return averaged([dataset.rgb_of(row) for row in seen])

        yield Sample(frame=middle, people=people, rgb=rgb)


def averaged(pictures: Sequence[U8]) -> U8:
    """The mean of pictures (H, W, 3) in linear light: as one exposure."""
    if len(pictures) == 1:
        return pictures[0]
    return linear_to_srgb_u8(np.mean([srgb_to_linear(p) for p in pictures], axis=0))


def predict_challenge(
    predict: Predict,
    dataset: Dataset,
    *,
    moments: int,
    blurred: bool = False,
    all_people: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Predictions, Skeleton]:
    """Predictions of people of a data set's first moments, numbered by `frame`; ModelError."""

    def numbered() -> Iterator[Sample]:
        shown = exposures(dataset, moments=moments, blurred=blurred, all_people=all_people)
        for place, sample in enumerate(shown):
            yield dataclasses.replace(sample, frame=sample.frame | {"index": place})
            progress(place + 1, moments)

    return predict(numbered(), dataset.skeleton)
