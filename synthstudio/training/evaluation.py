"""What evaluations of all networks share: challenges, the truth beside predictions, the folder.

A challenge's clip is one exposure: its frames are averaged in linear light, as by an open shutter,
and labels are those of the middle one. Without PyTorch. Letters: P people, J joints.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from synthstudio.core.arrays import F64, I64, U8, Array
from synthstudio.core.errors import ModelError
from synthstudio.core.images import linear_to_srgb_u8, srgb_to_linear
from synthstudio.core.places import Place, resolved
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.visibility import is_ambiguous, is_labelled
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row
from synthstudio.evaluation import storage
from synthstudio.evaluation.diagnostics import AttentionExample, Sensitivity
from synthstudio.evaluation.metrics import compute_metrics
from synthstudio.evaluation.precision import Detections
from synthstudio.evaluation.storage import Evaluation, Predictions, interval, percent, value_of
from synthstudio.report import evaluation as pages
from synthstudio.training.data.crops import Crops, columns_of, labelled_people
from synthstudio.training.data.samples import Sample

Step = Callable[[str], Callable[[int, int, float], None]]
"""Begin a progress step by its title; the result takes (done, total, per second)."""
Decode = Literal["peak", "hits"]
"""Decode a joint at the highest peak, or by expected hits."""
_WORST = 8


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Options of an evaluation. `bank`: fuse a plain block's maps with its training poses."""

    splits: tuple[str, ...] = ()
    decode: Decode = "hits"
    flip: bool = False
    bank: bool = False
    frames: tuple[int, ...] | None = None
    """Only these frames of the data set, rising; None: all."""

    def default_folder(self, weights: Path, dataset: Place, *, name: str = "") -> Path:
        """RUN/evaluations/DATASET, or beside a file NAME-DATASET, with the options that differ from
        the defaults."""
        extras = [*self.splits, *(["peak"] if self.decode == "peak" else [])]
        extras += [name for name in ("flip", "bank") if getattr(self, name)]
        if self.frames is not None:
            digest = hashlib.sha256(repr(self.frames).encode()).hexdigest()
            extras.append(f"part-{digest[:8]}")
        parts = [*([name] if name else []), resolved(dataset).name, *extras]
        return weights.parent / "evaluations" / "-".join(parts)


def untimed(report: Callable[[int, int, float], None]) -> Callable[[int, int], None]:
    """Progress (done, total) passed on without a rate."""
    return lambda done, total: report(done, total, 0.0)


def measured(
    answers: Predictions, skeleton: Skeleton, found: Detections | None, step: Step, *, where: str
) -> dict[str, Any]:
    """The metrics of predictions; ModelError when no joint is labelled."""
    if not answers.known.any():
        raise ModelError("no joint of these people is labelled", where=where)
    step("computing metrics")(0, 1, 0.0)
    return compute_metrics(answers, skeleton, found)


def write(
    out: Path,
    evaluation: Evaluation,
    source: Dataset,
    skeleton: Skeleton,
    step: Step,
    *,
    examples: Sequence[AttentionExample] = (),
    patched: Sequence[Sensitivity] = (),
) -> None:
    """Write an evaluation with its page into the new folder `out`; DiskError."""
    step("drawing the page")(0, 1, 0.0)
    answers = evaluation.predictions
    cases = pages.cases(source, answers, pages.worst(answers, count=_WORST), skeleton)
    page = pages.report(evaluation, skeleton, cases=cases, examples=examples, patched=patched)
    storage.write(out, evaluation, page)


def dataset_sha256(dataset: Place) -> str:
    """The hash of a data set's identity, for `compare`."""
    digest, folder = hashlib.sha256(), Dataset(dataset).folder
    for name in ("dataset.json", "index.json"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def headline(evaluation: Evaluation) -> str:
    """The most important metrics as a line; "-" if not measured."""
    metrics, answers = evaluation.metrics, evaluation.predictions
    found = metrics["localization"]
    hidden, visible = (interval(found[part]["PCK@0.1"]) for part in ("hidden", "visible"))
    lost = metrics["counterfactual"].get("newly_hidden")
    cost = (
        ""
        if value_of(lost) is None
        else f", an occluder changes it by {interval(lost, signed=True)}"
    )
    line = (
        f"{len(answers)} people, {len(np.unique(answers.group))} moments: PCK@0.1 hidden {hidden}, "
        f"visible {visible}{cost}; AP {percent(metrics['precision']['all']['AP'])}"
    )
    if parts := metrics.get("whole_body"):
        shown = ("whole", "body", "foot", "face", "hands")
        line += "; COCO-WholeBody AP "
        line += ", ".join(f"{k} {percent(parts[k]['AP'])}" for k in shown)
    return line


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
            expected="people with joints, in frames of the chosen split (imported frames have none "
            "unless their file names it: synthstudio split sets it)",
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


FIRST = 1
"""The instance of a frame's first person."""
SamplePredictor = Callable[[Iterable[Sample], Skeleton], tuple[Predictions, Skeleton]]
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
    predict: SamplePredictor,
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
