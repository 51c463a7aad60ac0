"""Ground truth of labelled people for predictions. Without PyTorch.

Letters: P people, J joints.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from synthstudio.core.arrays import F64, I64, Array
from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.visibility import is_ambiguous, is_labelled
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row
from synthstudio.evaluation.precision import Detections
from synthstudio.evaluation.storage import Predictions
from synthstudio.training.data.crops import Crops, columns_of, labelled_people
from synthstudio.training.data.samples import Sample

LABELS_PX = (16, 16)
"""The size of crops with unused pixels."""
Runner = Callable[[Sample, F64], Mapping[str, Array]]
"""An image and the boxes (P, 4: x y w h) of its people to columns of Predictions, (P, J, ...)."""


def predict_all(samples: Iterable[Sample], skeleton: Skeleton, run: Runner | None) -> Predictions:
    """Predictions of all labelled people in the images, with the truth; without `run`
    none. ModelError if no person is labelled."""
    rows: list[dict[str, Any]] = []
    frames: list[Row] = []
    answers: list[Mapping[str, Array]] = []
    for sample in samples:
        people = labelled_people(sample, skeleton, size=LABELS_PX, joints_3d="kinematic")
        frame = np.int64(sample.frame["index"])
        rows += [person.row | {"frame": frame} for person in people]
        frames += [sample.frame] * len(people)
        if people and run is not None:
            answers.append(run(sample, np.stack([p.row["box"] for p in people]).astype(np.float64)))
    if not rows:
        raise ModelError(
            "no person has a labelled joint inside the image",
            where=skeleton.title,
            expected="people with joints, in frames of the chosen split",
        )
    crops = Crops(images=(), cover=(), **columns_of(rows))
    sizes = np.array([[f["width_px"], f["height_px"]] for f in frames], np.float64)
    table = whole_frame_truth(crops, np.arange(len(crops)), sizes, len(skeleton.joints))
    names = answers[0] if answers else ()
    return dataclasses.replace(
        table, **{name: np.concatenate([a[name] for a in answers]) for name in names}
    )


def whole_frame_truth(crops: Crops, rows: I64, sizes: F64, joints: int) -> Predictions:
    """The truth of people in images of `sizes` (P, 2) without predictions; all of a frame is
    visible, so `known` are the labelled joints."""
    windows = np.concatenate([np.zeros((len(rows), 2)), sizes], 1)
    nothing = unpredicted(len(rows), joints)
    nothing["score"] = np.zeros((len(rows), joints))
    nothing["known"] = np.zeros((len(rows), joints), bool)
    table = with_truth(crops, rows, nothing, windows)
    known = is_labelled(table.state) & np.isfinite(table.true_xy).all(-1)
    return dataclasses.replace(table, known=known)


def unpredicted(people: int, joints: int) -> dict[str, Array]:
    """The columns of Predictions that a network may lack, all NaN."""
    lengths = {"xy": 2, "visibility_fractions": 4, "xyz_m": 3}
    columns = {name: np.full((people, joints, n), np.nan) for name, n in lengths.items()}
    unknown = np.full((people, joints), np.nan)
    return columns | {"peak": unknown, "present": unknown, "quality": unknown}


def with_found(table: Predictions, found: Detections, place: I64) -> Predictions:
    """The table with the found person at each index `place` (P,); -1: none, all joints missed."""
    xy, score = table.xy.copy(), table.score.copy()
    xy[place >= 0] = found.xy[place[place >= 0]]
    score[place >= 0] = found.joint_score[place[place >= 0]]
    return dataclasses.replace(table, xy=xy, score=score)


def clip_windows(answers: Predictions, image_sizes: F64) -> Predictions:
    """Clip windows to their images; `image_sizes` (P, 2): width, height."""
    low, high = np.maximum(answers.window[:, :2], 0), np.minimum(answers.window[:, 2:], image_sizes)
    return dataclasses.replace(answers, window=np.concatenate([low, high], 1))


def image_sizes(dataset: Dataset, frames: I64 | Sequence[int]) -> F64:
    """Width and height (P, 2) of each person's image; `frames` (P,)."""
    sizes = {
        int(row["index"]): (row["width_px"], row["height_px"])
        for row in dataset.iter_frames(["index", "width_px", "height_px"])
    }
    return np.array([sizes[int(f)] for f in frames], np.float64).reshape(-1, 2)


def with_truth(crops: Crops, rows: I64, predicted: dict[str, Array], windows: F64) -> Predictions:
    """`predicted` columns and the truth; `windows` (P, 4: x0 y0 x1 y1): the network's inputs."""
    scale = crops.scale[rows].astype(np.float64)
    index = np.full(len(crops) + 1, -1, np.int64)
    index[rows] = np.arange(len(rows))
    fractions = crops.visibility_fractions[rows].astype(np.float64)
    true_xy = crops.xy[rows].astype(np.float64) / scale[:, None, None]
    return Predictions(
        **predicted,
        true_xy=true_xy + crops.corner[rows].astype(np.float64)[:, None],
        true_fractions=fractions,
        true_xyz_m=crops.xyz_m[rows].astype(np.float64),
        state=crops.state[rows],
        cause=crops.cause[rows],
        ambiguous=is_ambiguous(fractions[..., 0]),
        area=crops.area[rows] / scale**2,
        side=crops.side[rows] / scale,
        box=crops.box[rows].astype(np.float64),
        window=windows,
        fraction=crops.fraction[rows].astype(np.float64),
        crowd=crops.crowd[rows].astype(np.float64),
        frame=crops.frame[rows],
        instance=crops.instance[rows],
        group=crops.group[rows],
        clean=index[crops.clean[rows]],
        variant=crops.variant[rows],
        family=crops.family[rows],
    )
