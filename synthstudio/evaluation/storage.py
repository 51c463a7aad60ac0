"""Predictions beside the truth, and evaluations on disk. Letters: P people, J joints.

RUN/evaluations/NAME/predictions.npz      Predictions, one array a field; Detections as found_...
RUN/evaluations/NAME/metrics.json    `about` and all metrics; null: none
RUN/evaluations/NAME/report.html      the same as a page

Folders are written atomically.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.arrays import F64, I64, U8, Array, Bool
from synthstudio.core.errors import DatasetError, ModelError
from synthstudio.core.labels import CAUSES, STATE_HIDDEN, STATE_OUTSIDE, STATE_VISIBLE
from synthstudio.core.safe_files import UNREADABLE
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import canonical_json, file_sha256, read_json, whole_folder
from synthstudio.dataset.durable import json_ready as json_ready
from synthstudio.dataset.rows import NO_STATE
from synthstudio.evaluation.precision import Detections

Words = NDArray[np.str_]
Table = TypeVar("Table", "Predictions", Detections)
FORMAT = "synthstudio-evaluation-3"
PREDICTIONS_FILE, METRICS_FILE, PAGE_FILE = "predictions.npz", "metrics.json", "report.html"
_FOUND = "found_"
_MAX_BYTES = 8 << 30
_STATES = (STATE_VISIBLE, STATE_HIDDEN, STATE_OUTSIDE, NO_STATE)
_KINDS: dict[Any, str] = {F64: "f", Bool: "b", U8: "u", I64: "i", Words: "U"}


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Predictions beside the truth: columns (P, ...), other axes in the annotation.

    Positions: continuous pixels. `known`: labelled and inside the network's window. `area`: of the
    amodal mask; `side`: the amodal box's longer one; `box` x y w h; `window` x0 y0 x1 y1. `clean`:
    the row of the same person without occluders, or -1. NaN: not predicted. `xyz_m` is
    root-relative; `visibility_fractions`: visible, self, person, object.
    """

    xy: Annotated[F64, "J", 2]  # predicted
    score: Annotated[F64, "J"]  # confidence from the heat maps
    peak: Annotated[F64, "J"]  # the first map's highest value: the baseline for visibility
    present: Annotated[F64, "J"]
    visibility_fractions: Annotated[F64, "J", 4]
    quality: Annotated[F64, "J"]
    xyz_m: Annotated[F64, "J", 3]
    true_xy: Annotated[F64, "J", 2]
    true_fractions: Annotated[F64, "J", 5]
    true_xyz_m: Annotated[F64, "J", 3]
    known: Annotated[Bool, "J"]
    state: Annotated[U8, "J"]
    cause: Annotated[U8, "J"]  # index into core.labels.CAUSES
    ambiguous: Annotated[Bool, "J"]
    area: F64
    side: F64
    box: Annotated[F64, 4]
    window: Annotated[F64, 4]
    fraction: F64
    crowd: F64
    frame: I64
    instance: I64
    group: I64
    clean: I64
    variant: Words
    family: Words

    def __len__(self) -> int:
        return len(self.xy)


def select(predictions: Predictions, rows: I64 | Bool) -> Predictions:
    """Some of the people; `clean` is renumbered, -1 where its row is not among them."""
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows
    place = np.full(len(predictions) + 1, -1, np.int64)
    place[rows] = np.arange(len(rows))
    parts = {f.name: getattr(predictions, f.name)[rows] for f in fields(Predictions)}
    parts["clean"] = place[parts["clean"]]
    return Predictions(**parts)


def with_joints(table: Table, columns: Sequence[int]) -> Table:
    """Some joints, in this order, of `Predictions` or `Detections`."""
    hints = get_type_hints(type(table), include_extras=True)
    names = [name for name, hint in hints.items() if "J" in getattr(hint, "__metadata__", ())]
    return replace(table, **{name: getattr(table, name)[:, columns] for name in names})


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """`about`: run, weights, data set, split, decoding, skeleton. `metrics`: by section, those of
    `compute_metrics` and those that need the network: latency, attention, sensitivity.
    `found`: all people of a bottom-up network. `folder`: its location."""

    about: dict[str, Any]
    metrics: dict[str, Any]
    predictions: Predictions
    found: Detections | None = None
    folder: Path | None = None


def write(out: Path, evaluation: Evaluation, page: bytes) -> None:
    """Write an evaluation into a new folder; DiskError."""
    with whole_folder(out) as unfinished:
        archive = io.BytesIO()
        found = {} if evaluation.found is None else vars(evaluation.found)
        columns = vars(evaluation.predictions) | {f"{_FOUND}{k}": v for k, v in found.items()}
        np.savez_compressed(archive, **columns)
        (unfinished / PREDICTIONS_FILE).write_bytes(archive.getvalue())
        kept = {"format": FORMAT, "about": evaluation.about, "metrics": evaluation.metrics}
        (unfinished / METRICS_FILE).write_bytes(canonical_json(json_ready(kept)))
        (unfinished / PAGE_FILE).write_bytes(page)


def read(folder: Path) -> Evaluation:
    """Read an evaluation; ModelError when it is damaged or of another kind."""
    path = folder / METRICS_FILE
    try:
        kept = read_json(path)
    except DatasetError as error:
        raise _damaged(path, str(error)) from error
    if kept.get("format") != FORMAT:
        raise ModelError(
            "not an evaluation of this version",
            where=str(path),
            expected=FORMAT,
            got=str(kept.get("format"))[:80],
            then="Run it again: synthstudio evaluate.",
        )
    about, metrics = kept.get("about"), kept.get("metrics")
    if not isinstance(about, dict) or not isinstance(metrics, dict):
        raise _damaged(path, "about or metrics is missing")
    predictions, found = _read_predictions(folder / PREDICTIONS_FILE)
    return Evaluation(about=about, metrics=metrics, predictions=predictions, found=found)


def find(path: Path) -> Path:
    """An evaluation's folder, or the only evaluation of a run; ModelError for none, for several,
    and for one of weights that the run no longer has."""
    if (path / METRICS_FILE).is_file():
        return path
    found = sorted(p.parent for p in (path / "evaluations").glob(f"*/{METRICS_FILE}"))
    if len(found) == 1:
        _check_weights(path, found[0])
        return found[0]
    names = ", ".join(str(p) for p in found[:8])
    raise ModelError(
        "the run has several evaluations" if found else "no evaluation",
        where=str(path),
        expected="an evaluation's folder, or a run with one",
        got=names or None,
        then="Pass one of them." if found else "Make one: synthstudio evaluate RUN DATASET.",
    )


def _check_weights(run: Path, folder: Path) -> None:
    about = read_json(folder / METRICS_FILE).get("about")
    known = about if isinstance(about, dict) else {}
    weights = run / Path(str(known.get("weights"))).name
    if weights.is_file() and file_sha256(weights) != known.get("weights_sha256"):
        raise ModelError(
            "the evaluation is of other weights than the run has now",
            where=str(folder),
            then=f"Evaluate the run again, or pass {folder} to read this one.",
        )


def skeleton_of(evaluation: Evaluation, where: str) -> Skeleton:
    """The skeleton of an evaluation's predictions; ModelError if they have other joints."""
    name, joints = evaluation.about.get("skeleton"), evaluation.predictions.known.shape[1]
    if not isinstance(name, str):
        raise ModelError("the skeleton is not recorded", where=where)
    skeleton = get_skeleton(name)
    if len(skeleton.joints) != joints:
        raise ModelError(
            "number of joints differs from the skeleton",
            where=where,
            expected=f"{len(skeleton.joints)} ({skeleton.title})",
            got=str(joints),
            then="Run the evaluation again.",
        )
    return skeleton


def _read_predictions(path: Path) -> tuple[Predictions, Detections | None]:
    names = [f.name for f in fields(Predictions)]
    more = [f"{_FOUND}{f.name}" for f in fields(Detections)]
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(i.file_size for i in archive.infolist()) > _MAX_BYTES:
                raise _damaged(path, "it is too large unpacked")
        with np.load(path, allow_pickle=False) as stored:
            if sorted(stored.files) not in (sorted(names), sorted([*names, *more])):
                raise _damaged(path, f"fields {', '.join(sorted(stored.files))[:200]}")
            columns: dict[str, Array] = {name: stored[name] for name in names}
            table = {
                f.name: stored[n]
                for f, n in zip(fields(Detections), more, strict=True)
                if n in stored.files
            }
    except UNREADABLE as error:
        raise _damaged(path, str(error) or type(error).__name__) from error
    people, joints = (*columns["xy"].shape, 0, 0)[:2]
    _check_columns(Predictions, columns, people, joints, path)
    clean, group = columns["clean"], columns["group"]
    if ((clean < -1) | (clean >= people)).any() or (group < 0).any() or not people:
        raise _damaged(path, "references to missing rows")
    if (columns["cause"] >= len(CAUSES)).any() or not np.isin(columns["state"], _STATES).all():
        raise _damaged(path, "a joint state or cause out of range")
    if not table:
        return Predictions(**columns), None
    _check_columns(Detections, table, (*table["image"].shape, 0)[0], joints, path)
    return Predictions(**columns), Detections(**table)


def _check_columns(
    table: type, columns: dict[str, Array], rows: int, joints: int, path: Path
) -> None:
    """ModelError unless columns have the shapes and dtypes of a table's annotations."""
    for name, hint in get_type_hints(table, include_extras=True).items():
        axes = getattr(hint, "__metadata__", ())
        shape = (rows, *(joints if axis == "J" else axis for axis in axes))
        value, kind = columns[name], _KINDS[hint.__origin__ if axes else hint]
        if value.shape != shape or value.dtype.kind != kind:
            raise _damaged(path, f"{name} has shape {value.shape} of {value.dtype}")


def _damaged(path: Path, got: str) -> ModelError:
    return ModelError(
        "the evaluation is damaged",
        where=str(path),
        got=got[:200],
        then="Run it again: synthstudio evaluate.",
    )


def lookup(metrics: Mapping[str, Any], *path: str) -> Any:
    """The value at a path of keys; None if missing."""
    found: Any = metrics
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def value_of(found: Any) -> float | None:
    """A number, or the value of an interval; None if missing."""
    value = found.get("value") if isinstance(found, Mapping) else found
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def number(found: Any, digits: int) -> str:
    value = value_of(found)
    return "-" if value is None else f"{value:.{digits}f}"


def percent(found: Any, *, signed: bool = False) -> str:
    """A fraction in percent, without the "%"; `signed`: a difference, with + or -."""
    value = value_of(found)
    return "-" if value is None else f"{100 * value:{'+' if signed else ''}.1f}"


def range_text(found: Any) -> str:
    """The bounds of an interval of fractions: "40.1 to 45.2"."""
    if value_of(found) is None or value_of(found["low"]) is None:
        return "unknown"
    return f"{100 * found['low']:.1f} to {100 * found['high']:.1f}"


def interval(found: Any, *, signed: bool = False) -> str:
    """A fraction with its interval: "43.0 (40.1 to 45.2)"; `signed`: a difference."""
    text = percent(found, signed=signed)
    return text if value_of(found) is None else f"{text} ({range_text(found)})"


def ratio(found: Mapping[str, Any], digits: int = 2) -> str:
    """An interval unscaled: "0.41 (0.38 to 0.45)"."""
    value, low, high = (number(found[name], digits) for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
