"""Evaluate networks of other programs: COCO results files, and callables.

What they predict becomes the same predictions, metrics and page as those of a run, so `compare` and
`suggest` take such an evaluation too.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import FormatError, ModelError
from synthstudio.core.outputs import free_folder
from synthstudio.core.places import Place, resolved
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import file_sha256
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation.precision import Found, match
from synthstudio.evaluation.storage import Evaluation, Predictions
from synthstudio.formats.coco.results import frames_by_id, joint_names, order_of, read_results
from synthstudio.training import evaluate as runs
from synthstudio.training.config import Config
from synthstudio.training.data.batches import CropSubset
from synthstudio.training.frame_predictions import (
    LABELS_PX,
    image_of,
    whole_frame_truth,
    with_found,
)

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
Predict = Callable[[U8, F64], Any]
"""RGB (H, W, 3) and boxes (P, 4: x y w h) to joints (P, J, 2 or 3: x, y and perhaps a score), in
continuous pixels; NaN where a joint is not found."""
_ANY_OKS = 1e-12
"""Every joint is judged by its place, so a bad prediction counts as one and not as none."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """`keypoints`: the order of the predicted joints (formats/coco/results.py); None: as the file
    says, of a callable the data set's."""

    evaluation: runs.EvaluationOptions
    keypoints: str | Sequence[str] | None
    cache: Path
    step: runs.Step


@dataclass(frozen=True)
class _Table:
    """Predictions of D people: who they are, if that is known, and which joints are predicted."""

    found: Found
    instance: NDArray[np.int64]  # (D,) -1 unknown
    predicted: NDArray[np.bool_]  # (J,)
    notes: tuple[str, ...]


def evaluate_results(path: Path, dataset: Place, out: Path, options: Options) -> Evaluation:
    """Evaluate a COCO results or keypoints file; FormatError, ModelError, DatasetError, DiskError.

    Images are matched by id (of the imported file, else the frame's number) or file name, people
    by `instance_number`, else by OKS (evaluation/precision.py).
    """

    def table(source: Dataset, people: CropSubset, skeleton: Skeleton) -> _Table:
        entries, names = read_results(path, skeleton, options.keypoints)
        frames = frames_by_id(source, names)
        own = [(frames[e.image], e) for e in entries if e.image in frames]
        if not own:
            raise FormatError(
                "no prediction belongs to an image of the data set",
                where=str(path),
                expected=f"image ids such as {', '.join(map(repr, list(frames)[:3]))}",
                got=", ".join(dict.fromkeys(repr(e.image) for e in entries[:3])) or "no entry",
                then="Use the image ids of the file that the images were exported or imported by.",
            )
        place = {name: j for j, name in enumerate(skeleton.joints)}
        points = np.full((len(own), len(place), 3), np.nan)
        for row, (_, entry) in zip(points, own, strict=True):
            for name, point in entry.joints.items():
                row[place[name]] = point
        many = Counter((frame, e.instance) for frame, e in own)
        instance = [
            -1 if e.instance is None or many[frame, e.instance] > 1 else e.instance
            for frame, e in own
        ]
        lost = len(entries) - len(own)
        notes = [f"{lost} of {len(entries)} predictions belong to no image of the data set."]
        return _Table(
            found=_found([frame for frame, _ in own], points, [e.score for _, e in own]),
            instance=np.array(instance),
            predicted=np.isin(skeleton.joints, sorted({n for _, e in own for n in e.names})),
            notes=tuple(notes if lost else ()),
        )

    digest = file_sha256(path) if path.is_file() else ""
    return _evaluated(path.stem, digest, table, dataset, out, options)


def evaluate_callable(
    predict: Predict, dataset: Place, out: Path, options: Options, *, name: str
) -> Evaluation:
    """Evaluate a function that gets each image and the true amodal boxes of its people.

    ModelError when it raises or returns another shape.
    """

    def table(source: Dataset, people: CropSubset, skeleton: Skeleton) -> _Table:
        given = options.keypoints
        order = skeleton.joints if given is None else order_of(given)
        own = joint_names(skeleton)
        columns = {own[n]: k for k, n in enumerate(order) if n in own}
        target = [skeleton.joints.index(joint) for joint in columns]
        frame, instance = people.crops.frame[people.rows], people.crops.instance[people.rows]
        boxes = people.crops.box[people.rows].astype(np.float64)
        points = np.full((len(people), len(skeleton.joints), 3), np.nan)
        report = options.step("predicting")
        wanted = set(frame.tolist())
        rows = (row for row in source.iter_frames() if row["index"] in wanted)
        for done, row in enumerate(rows, 1):
            here = np.flatnonzero(frame == row["index"])
            answer = _called(predict, image_of(source, row), boxes[here], len(order), row["index"])
            points[here[:, None], target] = answer[:, list(columns.values())]
            report(done, len(wanted), 0.0)
        return _Table(
            found=_found(frame.tolist(), points, np.ones(len(people)).tolist()),
            instance=instance,
            predicted=np.isin(skeleton.joints, list(columns)),
            notes=(),
        )

    return _evaluated(name, "", table, dataset, out, options)


def _called(predict: Predict, rgb: U8, boxes: F64, joints: int, frame: int) -> F64:
    """(P, J, 3) of one image; ModelError."""
    try:
        given = np.asarray(predict(rgb, boxes.copy()), np.float64)
    except Exception as error:  # somebody else's code
        raise ModelError(
            f"the function raised {type(error).__name__}: {str(error)[:200]}",
            where=f"predict, frame {frame}",
        ) from error
    if given.ndim != 3 or given.shape[:2] != (len(boxes), joints) or given.shape[2] not in (2, 3):
        raise ModelError(
            "the function returned another shape",
            where=f"predict, frame {frame}",
            expected=f"({len(boxes)}, {joints}, 2 or 3): people, joints, x y and a score",
            got=str(given.shape),
            then="Return one row a box; name the order of its joints: keypoints=.",
        )
    scores = given[..., 2:] if given.shape[2] == 3 else np.ones((*given.shape[:2], 1))
    return np.concatenate([given[..., :2], scores], axis=2)


def _found(frames: Sequence[int], points: F64, scores: Sequence[float]) -> Found:
    lost = ~np.isfinite(points).all(-1)
    points[lost] = np.nan
    return Found(
        image=np.array(frames, np.int64),
        xy=points[..., :2],
        joint_score=np.where(lost, 0.0, np.clip(points[..., 2], 0, 1)),
        score=np.array(scores, np.float64),
    )


def _evaluated(
    name: str,
    digest: str,
    table: Callable[[Dataset, CropSubset, Skeleton], _Table],
    dataset: Place,
    out: Path,
    options: Options,
) -> Evaluation:
    free_folder(out)
    asked, step = options.evaluation, options.step
    skeleton = get_skeleton(Dataset(dataset).identity.skeleton)
    config = Config.model_validate({"name": "outside", "train": [{"dataset": str(dataset)}]})
    network = config.network.model_copy(update={"size": LABELS_PX})
    config = config.model_copy(update={"network": network})
    people = runs.load_people(dataset, config, skeleton, asked, options.cache, step)
    source, people = runs.part_of(Dataset(dataset), people, asked.frames)
    made = table(source, people, skeleton)
    sizes = runs.image_sizes(source, people.crops.frame[people.rows])
    answers, missed = _joined(people, made, sizes, skeleton)
    notes = list(made.notes)
    if missed:
        notes.append(f"{missed} of {len(answers)} people have no prediction: all joints missed.")
    if not made.predicted.all():
        lacking = np.array(skeleton.joints)[~made.predicted]
        notes.append(f"Not predicted, and left out: {', '.join(lacking)}.")
    about = {
        "name": name,
        "weights": name,
        "weights_sha256": digest or hashlib.sha256(answers.xy.tobytes()).hexdigest(),
        "note": "",
        "block": "predictions of another program",
        "seed": 0,
        "skeleton": skeleton.name,
        "dataset": resolved(dataset).name,
        "dataset_sha256": runs.dataset_sha256(dataset),
        "splits": list(asked.splits),
        **({} if asked.frames is None else {"frames": list(asked.frames)}),
        "decode": "its own",
        "joints_3d": "kinematic",
        "flip": False,
        "bank": False,
        "trained_here": False,
        "notes": notes,
    }
    metrics = runs.measured(answers, skeleton, None, step, where=str(dataset))
    evaluation = Evaluation(about=about, metrics=metrics, predictions=answers)
    runs.write(out, evaluation, source, skeleton, step)
    return evaluation


def _joined(
    people: CropSubset, made: _Table, sizes: F64, skeleton: Skeleton
) -> tuple[Predictions, int]:
    """The predictions beside the truth, and how many people have none."""
    answers = whole_frame_truth(people, sizes, len(skeleton.joints))
    answers = dataclasses.replace(answers, known=answers.known & made.predicted)
    whose = zip(made.found.image.tolist(), made.instance.tolist(), strict=True)
    of = {key: k for k, key in enumerate(whose) if key[1] >= 0}
    keys = zip(answers.frame.tolist(), answers.instance.tolist(), strict=True)
    place = np.array([of.get(key, -1) for key in keys], np.int64)
    rest = np.flatnonzero(place < 0)
    free = np.flatnonzero(~np.isin(np.arange(len(made.found)), place))
    if len(rest) and len(free):
        left = dataclasses.replace(
            made.found, **{f: getattr(made.found, f)[free] for f in vars(made.found)}
        )
        found = match(
            left,
            answers.frame[rest],
            answers.true_xy[rest],
            answers.known[rest],
            answers.area[rest],
            sigmas=skeleton.sigmas,
            least=_ANY_OKS,
        )
        place[rest] = np.where(found >= 0, free[found], -1)
    return with_found(answers, made.found, place), int((place < 0).sum())
