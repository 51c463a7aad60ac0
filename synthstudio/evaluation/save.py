"""Evaluations on disk: answers beside the truth, figures, the page. Whole or not at all.

RUN/evaluations/NAME/answers.npz      evaluation.table.Answers, one array a field
RUN/evaluations/NAME/measures.json    what was asked (`about`) and every figure; null: none
RUN/evaluations/NAME/report.html      the same for people
"""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import DatasetError, ModelError
from synthstudio.core.labels import CAUSES, STATE_HIDDEN, STATE_OUTSIDE, STATE_VISIBLE
from synthstudio.core.safe_npz import UNREADABLE
from synthstudio.dataset.durable import canonical_json, disk_errors, read_json, whole_folder
from synthstudio.dataset.rows import NO_STATE
from synthstudio.evaluation.table import Answers

FORMAT = "synthstudio-evaluation-2"
ANSWERS, MEASURES, PAGE = "answers.npz", "measures.json", "report.html"
_MOST_BYTES = 8 << 30
_STATES = (STATE_VISIBLE, STATE_HIDDEN, STATE_OUTSIDE, NO_STATE)
# Letters after P: a field's other axes, as lengths or "J".
_SHAPES: dict[str, tuple[Any, ...]] = {
    "xy": ("J", 2),
    "score": ("J",),
    "peak": ("J",),
    "present": ("J",),
    "shares": ("J", 4),
    "quality": ("J",),
    "xyz_m": ("J", 3),
    "true_xy": ("J", 2),
    "true_shares": ("J", 5),
    "true_xyz_m": ("J", 3),
    "known": ("J",),
    "state": ("J",),
    "cause": ("J",),
    "ambiguous": ("J",),
    "box": (4,),
    "window": (4,),
}
_KINDS = {
    "known": "b",
    "ambiguous": "b",
    "state": "u",
    "cause": "u",
    "variant": "U",
    "family": "U",
    "frame": "i",
    "instance": "i",
    "group": "i",
    "clean": "i",
}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """`about`: run, weights, data set, split, decoding, skeleton. `measures`: figures by section
    (measure.measure's, and what only a network can tell: latency, attention, sensitivity)."""

    about: dict[str, Any]
    measures: dict[str, Any]
    answers: Answers


def write(out: Path, made: Evaluation, page: bytes) -> None:
    """Write an evaluation into a new folder; ModelError when one is there, DiskError on failure."""
    check_free(out)
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(out) as unfinished:
            unfinished.mkdir()
            (unfinished / ANSWERS).write_bytes(_npz(made.answers))
            told = {"format": FORMAT, "about": made.about, "measures": made.measures}
            (unfinished / MEASURES).write_bytes(canonical_json(plain(told)))
            (unfinished / PAGE).write_bytes(page)


def check_free(out: Path) -> None:
    """ModelError when something is at `out` already: an evaluation is never written over."""
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise ModelError(
            "there is something already",
            where=str(out),
            expected="a new folder",
            then="Delete it, or choose another --out.",
        )


def read(folder: Path) -> Evaluation:
    """Return an evaluation as it was written; ModelError when it is damaged or of another kind."""
    try:
        told = read_json(folder / MEASURES)
    except DatasetError as error:
        raise _damaged(folder / MEASURES, str(error)) from error
    if told.get("format") != FORMAT:
        raise ModelError(
            "this is no evaluation of ours",
            where=str(folder / MEASURES),
            expected=FORMAT,
            got=str(told.get("format"))[:80],
            then="Make it again: synthstudio evaluate.",
        )
    about, measures = told.get("about"), told.get("measures")
    if not isinstance(about, dict) or not isinstance(measures, dict):
        raise _damaged(folder / MEASURES, "about or measures is missing")
    return Evaluation(about=about, measures=measures, answers=_answers(folder / ANSWERS))


def find(path: Path) -> Path:
    """Return the evaluation that a path means: itself, or the only one of a run.

    ModelError when there is none, or several to choose from.
    """
    if (path / MEASURES).is_file():
        return path
    found = sorted(p.parent for p in (path / "evaluations").glob(f"*/{MEASURES}"))
    if len(found) == 1:
        return found[0]
    names = ", ".join(str(p) for p in found[:8])
    raise ModelError(
        "the run has several evaluations" if found else "there is no evaluation",
        where=str(path),
        expected="an evaluation's folder, or a run with one of them",
        got=names or None,
        then="Name one of them." if found else "Make one: synthstudio evaluate RUN DATASET.",
    )


def plain(value: Any) -> Any:
    """Return plain values with null for every number that JSON has none for."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _npz(answers: Answers) -> bytes:
    data = io.BytesIO()
    np.savez_compressed(data, **{f.name: getattr(answers, f.name) for f in fields(Answers)})
    return data.getvalue()


def _answers(path: Path) -> Answers:
    names = [f.name for f in fields(Answers)]
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(i.file_size for i in archive.infolist()) > _MOST_BYTES:
                raise _damaged(path, "it unpacks to too much")
        with np.load(path, allow_pickle=False) as stored:
            if sorted(stored.files) != sorted(names):
                raise _damaged(path, f"fields {', '.join(sorted(stored.files))[:200]}")
            columns: dict[str, NDArray[Any]] = {name: stored[name] for name in names}
    except UNREADABLE as error:
        raise _damaged(path, str(error) or type(error).__name__) from error
    people, joints = (*columns["xy"].shape, 0, 0)[:2]
    for name, value in columns.items():
        rest = tuple(joints if n == "J" else n for n in _SHAPES.get(name, ()))
        if value.shape != (people, *rest) or value.dtype.kind != _KINDS.get(name, "f"):
            raise _damaged(path, f"{name} has shape {value.shape} of {value.dtype}")
    clean, group = columns["clean"], columns["group"]
    if ((clean < -1) | (clean >= people)).any() or (group < 0).any() or not people:
        raise _damaged(path, "rows that it does not have")
    if (columns["cause"] >= len(CAUSES)).any() or not np.isin(columns["state"], _STATES).all():
        raise _damaged(path, "a state or a cause of a joint that there is not")
    return Answers(**columns)


def _damaged(path: Path, got: str) -> ModelError:
    return ModelError(
        "the evaluation is damaged",
        where=str(path),
        got=got[:200],
        then="Make it again: synthstudio evaluate.",
    )
