"""Evaluate networks of other programs: COCO results files, and top-down functions.

They yield the same predictions, metrics and page as a run, so `compare` and
`suggest` accept these evaluations too. Works without PyTorch.
"""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.core.arrays import F64, I64, U8, Array, Bool
from synthstudio.core.errors import ModelError
from synthstudio.core.places import Place, free_folder, resolved
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.durable import file_sha256
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation.precision import Detections, match
from synthstudio.evaluation.storage import Evaluation, Predictions
from synthstudio.formats.coco import results
from synthstudio.training.config import Source
from synthstudio.training.data.samples import Sample, dataset_samples
from synthstudio.training.evaluation import (
    EvaluationOptions,
    Runner,
    SamplePredictor,
    Step,
    dataset_sha256,
    measured,
    predict_all,
    with_found,
    write,
)

Predict = Callable[[U8, F64], Any]
"""RGB (H, W, 3) and boxes (P, 4: x y w h) to joints (P, J, 2 or 3: x, y and perhaps a score), in
continuous pixels; NaN for missing joints."""
_ANY_OKS = 1e-12
"""Score threshold 0: every joint is evaluated by position."""
_OVER = "scores over 1 count as 1"


@dataclass(frozen=True, kw_only=True)
class Network:
    """A top-down predictor. `joints`: None: the data set's. `predict` may also return columns of
    Predictions: xy (P, J, 2), score (P, J) and more."""

    name: str
    predict: Predict
    joints: results.Order | None = None
    sha256: str = ""
    kind: str = "a function"


class SkeletonPredictor:
    """`Network.predict` for the joints of a skeleton; remarks are in `notes`."""

    def __init__(self, *, network: Network, skeleton: Skeleton) -> None:
        self.network, self.skeleton = network, skeleton
        self.notes: list[str] = []
        order = network.joints or skeleton
        numbers = results.numbers_in(order, skeleton)
        self._column = [k for k, j in enumerate(numbers) if j is not None]
        self._target = [j for j in numbers if j is not None]
        if not self._target:
            raise ModelError(
                "no common joints of network and data set",
                where=network.name,
                expected=", ".join(skeleton.joints)[:300],
                got=", ".join(results.names_of(order))[:300],
            )

    @property
    def predicted(self) -> Bool:
        """(J,) whether the network predicts a joint."""
        return np.isin(np.arange(len(self.skeleton.joints)), self._target)

    def __call__(self, sample: Sample, boxes: F64) -> Mapping[str, Array]:
        """Columns (P, J, ...) of Predictions; ModelError."""
        frame, rgb = int(sample.frame["index"]), sample.rgb()
        answer = self._called(rgb, boxes, frame)
        if not self.notes:
            again = self._called(rgb, boxes, frame)["xy"]
            same = np.array_equal(again, answer["xy"], equal_nan=True)
            self.notes.append("" if same else "Not deterministic: two calls on one image differ.")
        xy = answer["xy"]
        lost = ~np.isfinite(xy).all(-1) | ~np.isfinite(answer["score"])
        xy[lost] = np.nan
        if (answer["score"] > 1).any() and (note := f"Some {_OVER}.") not in self.notes:
            self.notes.append(note)
        answer["score"] = np.where(lost, 0.0, np.clip(answer["score"], 0, 1))
        out = {}
        for name, value in answer.items():
            joints = (len(boxes), len(self.skeleton.joints), *value.shape[2:])
            out[name] = np.full(joints, 0.0 if name == "score" else np.nan)
            out[name][:, self._target] = value[:, self._column]
        return out

    def _called(self, rgb: U8, boxes: F64, frame: int) -> dict[str, F64]:
        where = f"{self.network.name}, frame {frame}"
        shape = (len(boxes), len(results.names_of(self.network.joints or self.skeleton)))
        try:
            given = self.network.predict(rgb, boxes.copy())
            if isinstance(given, Mapping):
                columns = {name: np.array(value, np.float64) for name, value in given.items()}
            else:
                columns = {"xy": np.array(_plain(given), np.float64)}
        except ModelError:
            raise
        except Exception as error:  # external code
            raise ModelError(
                f"the function raised {type(error).__name__}: {str(error)[:200]}", where=where
            ) from error
        points = columns.get("xy", np.zeros(0))
        fits = points.shape[:-1] == shape and points.shape[-1] in (2, 3)
        if not fits or any(value.shape[:2] != shape for value in columns.values()):
            raise ModelError(
                "the function returned a wrong shape",
                where=where,
                expected=f"({shape[0]}, {shape[1]}, 2 or 3): people, joints, x y and a score",
                got=", ".join(f"{name} {value.shape}" for name, value in columns.items())[:200],
                then="Return one row per box; pass the order of its joints: keypoints=.",
            )
        score = points[..., 2] if points.shape[-1] == 3 else np.ones(shape)
        return {"score": score, **columns, "xy": points[..., :2]}


def _plain(given: Any) -> Any:
    """What NumPy cannot read of a PyTorch tensor: its gradient, its device, bfloat16."""
    return given.detach().float().cpu().numpy() if hasattr(given, "detach") else given


def evaluate_network(
    network: Network, dataset: Place, out: Path, options: EvaluationOptions, step: Step
) -> Evaluation:
    """Evaluate a network by images and true amodal boxes; ModelError, DatasetError, DiskError."""
    free_folder(out)
    source = Dataset(dataset)
    adapter = SkeletonPredictor(network=network, skeleton=source.skeleton)
    answers, _ = _of_dataset(source, options, step, adapter)
    about = {
        "name": network.name,
        "weights_sha256": network.sha256 or hashlib.sha256(answers.xy.tobytes()).hexdigest(),
        "block": network.kind,
        "notes": results.unknown_note(network.joints, source.skeleton)
        + [note for note in adapter.notes if note]
        + _implausible(answers.xy),
    }
    return _evaluation(answers, adapter.predicted, about, source, out, options, step)


def _implausible(xy: F64) -> list[str]:
    placed = xy[np.isfinite(xy).all(-1)]
    if not len(placed):
        return ["No joint has a finite position: all are missed."]
    if np.abs(placed).max() <= 1:
        return ["All joints lie from 0 to 1: positions are pixels."]
    return []


def predict_samples(network: Network) -> SamplePredictor:
    """The predictor of challenges; joints that the network lacks are unknown."""

    def predict(samples: Iterable[Sample], skeleton: Skeleton) -> tuple[Predictions, Skeleton]:
        adapter = SkeletonPredictor(network=network, skeleton=skeleton)
        found = predict_all(samples, skeleton, adapter)
        return dataclasses.replace(found, known=found.known & adapter.predicted), skeleton

    return predict


def evaluate_results(
    path: Path,
    dataset: Place,
    out: Path,
    options: EvaluationOptions,
    step: Step,
    *,
    keypoints: str | Sequence[str] | None = None,
) -> Evaluation:
    """Evaluate a COCO results or keypoints file; FormatError, ModelError, DatasetError, DiskError.

    Images are matched by id (of the imported file, else the frame's number) or file name, people
    by `instance_number`, else by OKS (evaluation/precision.py). `keypoints`: as in `read_results`.
    """
    free_folder(out)
    source = Dataset(dataset)
    skeleton = source.skeleton
    own, lost, matched_by = results.own_results(path, source, keypoints)
    truth, frames = _of_dataset(source, options, step, None)
    points = np.full((len(own), len(skeleton.joints), 3), np.nan)
    for row, (_, entry) in zip(points, own, strict=True):
        for name, point in entry.joints.items():
            row[skeleton.joints.index(name)] = point
    points[~np.isfinite(points).all(-1)] = np.nan
    found = Detections(
        image=np.array([frame for frame, _ in own], np.int64),
        xy=points[..., :2],
        joint_score=np.nan_to_num(points[..., 2]),
        score=np.array([entry.score for _, entry in own], np.float64),
    )
    many = Counter((frame, e.instance) for frame, e in own)
    known = {
        (frame, e.instance): k
        for k, (frame, e) in enumerate(own)
        if e.instance is not None and many[frame, e.instance] == 1
    }
    place = _pairs(truth, found, known, skeleton)
    answers = with_found(truth, found, place)
    notes = results.unknown_note(results.order_of(keypoints), skeleton)
    if lost:
        notes.append(f"{lost} of {lost + len(own)} predictions belong to no image of the data set.")
    here = np.isin(found.image, frames)
    if unmatched := int(here.sum() - (place >= 0).sum()):
        notes.append(
            f"{unmatched} of {here.sum()} predictions match no person: they lower AP alone."
        )
    if unsure := sum(entry.unsure for _, entry in own):
        notes.append(f"{unsure} joints with a score of 0 count as not found.")
    if missed := int((place < 0).sum()):
        notes.append(f"{missed} of {len(place)} people have no prediction: all joints missed.")
    if clipped := sum(entry.clipped for _, entry in own):
        notes.append(f"{clipped} {_OVER}.")
    about = {
        "name": path.stem,
        "weights_sha256": file_sha256(path),
        "block": "predictions of another program",
        "images_matched_by": matched_by,
        "notes": notes,
    }
    predicted = np.isin(skeleton.joints, sorted({n for _, e in own for n in e.names}))
    predicted |= not own
    found = Detections(**{name: value[here] for name, value in vars(found).items()})
    return _evaluation(answers, predicted, about, source, out, options, step, found)


def _pairs(truth: Predictions, found: Detections, known: dict[Any, int], skeleton: Skeleton) -> I64:
    """(P,) the found person of each true one, or -1: by the `known` (frame, instance), or OKS."""
    keys = zip(truth.frame.tolist(), truth.instance.tolist(), strict=True)
    place = np.array([known.get(key, -1) for key in keys], np.int64)
    rest = np.flatnonzero(place < 0)
    free = np.flatnonzero(~np.isin(np.arange(len(found)), place))
    if len(rest) and len(free):
        of_rest = match(
            Detections(**{name: value[free] for name, value in vars(found).items()}),
            truth.frame[rest],
            truth.true_xy[rest],
            truth.known[rest],
            truth.area[rest],
            sigmas=skeleton.sigmas,
            minimum=_ANY_OKS,
        )
        place[rest] = np.where(of_rest >= 0, free[of_rest], -1)
    return place


def _of_dataset(
    source: Dataset, options: EvaluationOptions, step: Step, run: Runner | None
) -> tuple[Predictions, list[int]]:
    """Predictions, or without `run` the truth alone; and all frames, also those without people."""
    frames: list[int] = []
    only = Source(dataset=str(source.place), splits=options.splits)
    chosen = None if options.frames is None else set(options.frames)
    total = len(source) if chosen is None else len(chosen)
    report = step("reading the labels" if run is None else "predicting")

    def counted() -> Any:
        for done, sample in enumerate(dataset_samples(source, "outline", only), 1):
            if chosen is None or sample.frame["index"] in chosen:
                frames.append(sample.frame["index"])
                yield sample
            report(min(done, total), total, 0.0)
        if not frames:
            raise ModelError(
                "no frames are left",
                where=str(source.place),
                expected=f"splits {options.splits or 'any'}"
                + ("" if chosen is None else f", and the query's {len(chosen)} frames"),
                got=f"splits {sorted({row['split'] for row in source.iter_frames(['split'])})}",
            )

    return predict_all(counted(), source.skeleton, run), frames


def _evaluation(
    answers: Predictions,
    predicted: Bool,
    about: dict[str, Any],
    source: Dataset,
    out: Path,
    options: EvaluationOptions,
    step: Step,
    found: Detections | None = None,
) -> Evaluation:
    """Measure and write; joints that are not predicted are left out."""
    skeleton, dataset = source.skeleton, source.place
    answers = dataclasses.replace(answers, known=answers.known & predicted)
    if not predicted.all():
        lacking = np.array(skeleton.joints)[~predicted]
        about["notes"].append(f"Not predicted, and left out: {', '.join(lacking)}.")
    about = {
        "weights": about["name"],
        "note": "",
        "seed": 0,
        "skeleton": skeleton.name,
        "dataset": resolved(dataset).name,
        "dataset_sha256": dataset_sha256(dataset),
        "splits": list(options.splits),
        **({} if options.frames is None else {"frames": list(options.frames)}),
        "decode": "its own",
        "joints_3d": "kinematic",
        "flip": False,
        "bank": False,
        "trained_here": False,
        **about,
    }
    metrics = measured(answers, skeleton, found, step, where=str(dataset))
    evaluation = Evaluation(about=about, metrics=metrics, predictions=answers, found=found)
    if options.frames is not None:
        source = source.of_frames(np.array(options.frames, np.int64))
    write(out, evaluation, source, skeleton, step)
    return evaluation
