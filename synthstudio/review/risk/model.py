"""Where a model and the labels disagree: distances in units of each joint's OKS sigma.

e = |predicted - labelled| / (2 sigma sqrt(area))         OKS of a joint = exp(-e^2 / 2)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthstudio.review.predictions import Prediction
from synthstudio.review.risk.people import F64, I64, PeopleTable
from synthstudio.review.risk.signal import Signal, in_chunks, signal, worst

_HIDDEN_COUNTS = 0.5  # models guess hidden joints, and so do people
_PAGE = 4096


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """Predictions of one model of N people of a table. `px` is NaN where it found no joint."""

    rows: I64  # (N,) rising
    px: NDArray[np.float32]  # (N, J, 2)
    confidence: NDArray[np.float32]  # (N, J), 0 where it found no joint


def predicted(table: PeopleTable, predictions: Iterable[Prediction]) -> Predicted:
    """Gather predictions as arrays; those of people whom the table lacks are left out."""
    places = {name: j for j, name in enumerate(table.joints)}
    ids: list[tuple[int, int]] = []
    parts: list[NDArray[np.float32]] = []
    page: list[NDArray[np.float32]] = []
    for one in predictions:
        points = np.full((len(places), 3), np.nan, np.float32)
        for name, point in one.joints.items():
            if name in places:
                points[places[name]] = point
        ids.append((one.frame, one.instance))
        page.append(points)
        if len(page) == _PAGE:
            parts.append(np.stack(page))
            page = []
    if page:
        parts.append(np.stack(page))
    points = np.concatenate([np.zeros((0, len(places), 3), np.float32), *parts])
    numbers = np.array(ids, np.int64).reshape(-1, 2)
    rows = table.rows_of(numbers[:, 0], numbers[:, 1])
    order = np.argsort(rows, kind="stable")
    order = order[rows[order] >= 0]
    return Predicted(
        rows=rows[order],
        px=points[order, :, :2],
        confidence=np.nan_to_num(points[order, :, 2]),
    )


def errors(table: PeopleTable, found: Predicted) -> F64:
    """Return (J, N) distances e; NaN for joints that nobody labelled or the model did not find."""
    out = np.full((len(table.joints), len(found.rows)), np.nan)
    scale = 2.0 * table.skeleton.sigmas[:, None]
    area = np.sqrt(table.area_px)
    for some in in_chunks(len(found.rows)):
        rows = found.rows[some]
        labelled = table.arrays["px"][:, rows].astype(np.float64)
        told = found.px[some].astype(np.float64)
        off = np.hypot(labelled[0::2] - told[:, :, 0].T, labelled[1::2] - told[:, :, 1].T)
        known = np.isin(table.arrays["state"][:, rows], (1, 2))
        out[:, some] = np.where(known, off / (scale * area[rows]), np.nan)
    return out


def model(table: PeopleTable, found: Predicted) -> Signal:
    """Labelled joints that a model sees elsewhere, weighed by its confidence."""
    off = errors(table, found)
    visible = table.arrays["state"][:, found.rows] == 2
    sure = found.confidence.T.astype(np.float64) * np.where(visible, 1.0, _HIDDEN_COUNTS)
    doubt = sure * (1.0 - np.exp(-0.5 * (off / 2.0) ** 2))
    score, joint, value = np.zeros(table.people), np.full(table.people, -1), np.zeros(table.people)
    score[found.rows], joint[found.rows], value[found.rows] = worst(doubt, off)
    return signal(
        "model",
        weight=0.7,
        score=score,
        joint=joint,
        value=value,
        text="{joint}: a model sees it elsewhere ({value:.1f} times the tolerance)",
    )


def disagreement(table: PeopleTable, found: Predicted) -> F64:
    """Return (P,) 1 - OKS between labels and predictions over labelled joints; NaN: not known.

    A labelled joint that the model did not find counts as wholly missed.
    """
    off = errors(table, found)
    known = np.isin(table.arrays["state"][:, found.rows], (1, 2))
    known &= np.isfinite(table.arrays["px"][0::2, :][:, found.rows])
    oks = np.where(known, np.exp(-0.5 * np.nan_to_num(off, nan=np.inf) ** 2), 0.0)
    counts = known.sum(axis=0)
    out = np.full(table.people, np.nan)
    out[found.rows] = np.where(counts > 0, 1.0 - oks.sum(axis=0) / np.maximum(counts, 1), np.nan)
    return out
