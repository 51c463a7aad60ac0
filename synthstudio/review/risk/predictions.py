"""Predicted joints of models, a layer each: matched to people, stored, and the risk they imply."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from sqlalchemy import Select, delete, func, select

from synthstudio.core.arrays import F32, F64, I64, Bool
from synthstudio.core.errors import ReviewError
from synthstudio.core.masks import box_overlap, object_similarity
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.formats.coco.results import CAUSES_PREDICTED
from synthstudio.quality.checks import is_number
from synthstudio.review.check import check_int, check_name, is_share
from synthstudio.review.history import in_frames
from synthstudio.review.models import DatasetRow, PredictionRow
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.signals import Signal, in_chunks, signal, worst
from synthstudio.review.store import Store, upsert
from synthstudio.review.values import JointLabel, Pair, invalid

MIN_SIMILARITY = 0.1
"""Minimum similarity (OKS, or overlap of boxes) of a match."""


@dataclass(frozen=True, kw_only=True)
class LabelledPerson:
    """A person of a frame. `px` (J, 2) continuous pixels, NaN if the joint has no label
    in the picture; `box`: x, y, width, height."""

    instance: int
    px: F64
    box: Sequence[float]

    @property
    def known(self) -> Bool:
        return np.asarray(np.isfinite(self.px).all(axis=1))


def labelled_person(
    instance: int,
    labels: Mapping[str, JointLabel],
    names: Sequence[str],
    box: Sequence[float] | None = None,
) -> LabelledPerson:
    """A person by their labels; without a box it is that of the joints."""
    px = np.full((len(names), 2), np.nan)
    for j, name in enumerate(names):
        label = labels.get(name)
        if label is not None and label.state in (1, 2) and label.place is not None:
            px[j] = label.place
    return LabelledPerson(
        instance=instance, px=px, box=box_of(px) if not box or box[2] <= 0 or box[3] <= 0 else box
    )


def box_of(px: F64) -> list[float]:
    """x, y, width and height round the known ones of (J, 2) points; zeros for none."""
    there = px[np.isfinite(px).all(axis=1)]
    if not len(there):
        return [0.0] * 4
    low, high = there.min(axis=0), there.max(axis=0)
    return [*low.tolist(), *(high - low).tolist()]


def similarity(px: F64, box: Sequence[float], person: LabelledPerson, skeleton: Skeleton) -> float:
    """OKS of points (J, 2) and a person's labels; overlap of boxes without labels."""
    if not person.known.any():
        return box_overlap(box, person.box)
    area = np.array([max(person.box[2] * person.box[3], 1.0)])
    oks = object_similarity(px[None], person.px[None], person.known[None], area, skeleton.sigmas)
    return float(oks[0, 0])


def mean_distance_px(px: F64, person: LabelledPerson) -> float | None:
    """Mean distance of points (J, 2) from a person's labels; None without a common joint."""
    apart = np.hypot(*(px - person.px).T)
    return float(np.nanmean(apart)) if np.isfinite(apart).any() else None


def match(
    found: Sequence[tuple[F64, Sequence[float]]],
    people: Sequence[LabelledPerson],
    skeleton: Skeleton,
) -> list[int | None]:
    """For each of `found` (points (J, 2), box) its person's number, most similar first."""
    scores = (
        (similarity(px, box, person, skeleton), place, n)
        for place, (px, box) in enumerate(found)
        for n, person in enumerate(people)
    )
    chosen = greedy_matches(scores, MIN_SIMILARITY)
    return [people[chosen[k]].instance if k in chosen else None for k in range(len(found))]


def greedy_matches(scores: Iterable[tuple[float, int, int]], minimum: float) -> dict[int, int]:
    """Greedy one-to-one pairs of (similarity, one, other), best first."""
    chosen: dict[int, int] = {}
    for alike, one, other in sorted(scores, key=lambda score: (-score[0], *score[1:])):
        if alike >= minimum and one not in chosen and other not in chosen.values():
            chosen[one] = other
    return chosen


def joint_positions(joints: Mapping[str, Sequence[float]], names: Sequence[str]) -> F64:
    """(J, 2) positions of joints by name; NaN if missing."""
    nowhere = (math.nan, math.nan)
    return np.array([tuple(joints[n][:2]) if n in joints else nowhere for n in names], np.float64)


_AT_ONCE = 500
MAX_COORDINATE_PX = 1e6
SAME_PX = 0.01
"""Tolerance of positions, which are rounded for browsers."""
Point = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A model's joints of one person: name -> x and y in continuous pixels, confidence 0 to 1.

    Missing joints are left out. `score`: of the person. `causes`: "visible" or the cause of a
    joint, if predicted. `instance`: the matched person; from 1,000 on people not in the data set.
    """

    frame: int
    instance: int
    joints: Mapping[str, Point] = field(default_factory=dict)
    score: float = 1.0
    causes: Mapping[str, str] = field(default_factory=dict)


def put_predictions(
    store: Store, key: str, layer: str, rows: Iterable[Prediction], *, replace: bool = False
) -> int:
    """Store predictions of a model under `layer`; return the number.

    Those of the same people are replaced, and with `replace` the whole layer. Stored atomically.
    `rows` may be lazy. ReviewError for a data set that is not in the store, Refused
    ("invalid") for joints missing in the skeleton and invalid numbers.
    """
    check_name(layer, "layer")
    done, waiting = 0, iter(rows)
    with store.session() as session:
        known = session.get(DatasetRow, key)
        if known is None:
            raise ReviewError(
                "the data set is not in the store", where=key[:16], then="Register it first."
            )
        joints = frozenset(get_skeleton(known.skeleton).joints)
        if replace:
            mine = PredictionRow.dataset == key, PredictionRow.layer == layer
            session.execute(delete(PredictionRow).where(*mine))
        while some := list(islice(waiting, _AT_ONCE)):
            values = {(p.frame, p.instance): _values(p, key, layer, joints) for p in some}
            upsert(session, PredictionRow, list(values.values()))
            done += len(some)
    return done


def iter_predictions(store: Store, key: str, layer: str) -> Iterator[Prediction]:
    """Yield all predictions of a model in the order of the data set, a page in memory at a time."""
    query = _of_layer(key, layer).execution_options(yield_per=2000)
    with store.reading() as session, session.scalars(query) as rows:
        for row in rows:
            yield _prediction(row)
            session.expunge(row)


def predictions_in(
    store: Store, key: str, layer: str, frames: Iterable[int]
) -> dict[int, list[Prediction]]:
    """Frame -> predictions of a model, by number; only non-empty frames."""
    found: dict[int, list[Prediction]] = {}
    with store.reading() as session:
        for row in in_frames(session, _of_layer(key, layer), PredictionRow.frame, frames):
            found.setdefault(row.frame, []).append(_prediction(row))
    return found


def _of_layer(key: str, layer: str) -> Select[PredictionRow]:
    query = select(PredictionRow).where(PredictionRow.dataset == key, PredictionRow.layer == layer)
    return query.order_by(PredictionRow.frame, PredictionRow.instance)


def is_predicted(store: Store, key: str, frame: int, joints: Mapping[str, JointLabel]) -> bool:
    """Whether one prediction of this frame, of any model, has these joints at these positions."""
    query = select(PredictionRow.joints)
    query = query.where(PredictionRow.dataset == key, PredictionRow.frame == frame)
    with store.reading() as session:
        stored = session.scalars(query).all()
    return any(all(_lies_at(p.get(n), label) for n, label in joints.items()) for p in stored)


def _lies_at(point: list[Any] | None, label: JointLabel) -> bool:
    if point is None or label.place is None:
        return False
    return math.dist(point[:2], label.place) <= SAME_PX


def prediction_layers(store: Store, key: str) -> dict[str, int]:
    layer = PredictionRow.layer
    query = select(layer, func.count().label("people")).where(PredictionRow.dataset == key)
    with store.reading() as session:
        rows = session.execute(query.group_by(layer).order_by(layer))
        return {row.layer: row.people for row in rows}


def _values(p: Prediction, key: str, layer: str, joints: frozenset[str]) -> dict[str, Any]:
    check_int(p.frame, "frame")
    check_int(p.instance, "instance", minimum=1)
    where = f"frame {p.frame}, person {p.instance}"
    if not is_share(p.score):
        invalid("the score of a person", where, expected="0 to 1", got=p.score)
    for name, cause in p.causes.items():
        if name not in p.joints or cause not in CAUSES_PREDICTED:
            invalid(f"the cause of {name}", where, expected=", ".join(CAUSES_PREDICTED), got=cause)
    for name, point in p.joints.items():
        if name not in joints:
            expected = "joints of the data set"
            invalid("the skeleton has no such joint", where, expected=expected, got=name)
        has_place = all(is_number(v) and abs(v) <= MAX_COORDINATE_PX for v in point[:2])
        if not has_place or not is_share(point[2]):
            invalid(f"the place of {name}", where, expected="x, y and confidence 0 to 1", got=point)
    return {
        "dataset": key,
        "layer": layer,
        "frame": p.frame,
        "instance": p.instance,
        "joints": {
            name: [*(float(v) for v in point), *([p.causes[name]] if name in p.causes else [])]
            for name, point in p.joints.items()
        },
        "score": float(p.score),
    }


def _prediction(row: PredictionRow) -> Prediction:
    joints = {name: (p[0], p[1], p[2]) for name, p in row.joints.items()}
    causes = {name: p[3] for name, p in row.joints.items() if len(p) > 3}
    return Prediction(
        frame=row.frame, instance=row.instance, joints=joints, score=row.score, causes=causes
    )


_HIDDEN_COUNTS = 0.5  # hidden joints are guessed by models and people


@dataclass(frozen=True, kw_only=True)
class PredictionArrays:
    """Predictions of one model of N people of a table. `px` is NaN where it found no joint."""

    rows: I64  # (N,) rising
    px: F32  # (N, J, 2)
    confidence: F32  # (N, J), 0 where it found no joint


def gather_predictions(table: PeopleTable, predictions: Iterable[Prediction]) -> PredictionArrays:
    """Gather predictions as arrays; those of people missing in the table are left out."""
    places = {name: j for j, name in enumerate(table.joints)}
    ids: list[Pair] = []
    parts = [np.zeros((0, len(places), 3), np.float32)]
    for one in predictions:
        here = np.full((1, len(places), 3), np.nan, np.float32)
        for name, point in one.joints.items():
            if name in places:
                here[0, places[name]] = point
        ids.append((one.frame, one.instance))
        parts.append(here)
    points = np.concatenate(parts)
    rows = table.rows_at(ids)
    order = np.argsort(rows, kind="stable")
    order = order[rows[order] >= 0]
    return PredictionArrays(
        rows=rows[order],
        px=points[order, :, :2],
        confidence=np.nan_to_num(points[order, :, 2]),
    )


def joint_errors(table: PeopleTable, found: PredictionArrays) -> F64:
    """(J, N) distances e; NaN for joints unlabelled or missing in the prediction."""
    out = np.full((len(table.joints), len(found.rows)), np.nan)
    scale = 2.0 * table.skeleton.sigmas[:, None]
    area = np.sqrt(table.area_px)
    for some in in_chunks(len(found.rows)):
        rows = found.rows[some]
        labelled = table.arrays["px"][:, rows].astype(np.float64)
        predicted = found.px[some].astype(np.float64)
        error = np.hypot(
            labelled[0::2] - predicted[:, :, 0].T, labelled[1::2] - predicted[:, :, 1].T
        )
        known = np.isin(table.arrays["state"][:, rows], (1, 2))
        out[:, some] = np.where(known, error / (scale * area[rows]), np.nan)
    return out


def model_signal(table: PeopleTable, found: PredictionArrays) -> Signal:
    """Labelled joints that a model predicts elsewhere, weighted by its confidence."""
    error = joint_errors(table, found)
    visible = table.arrays["state"][:, found.rows] == 2
    confidence = found.confidence.T.astype(np.float64) * np.where(visible, 1.0, _HIDDEN_COUNTS)
    doubt = confidence * (1.0 - np.exp(-0.5 * (error / 2.0) ** 2))
    score, joint, value = np.zeros(table.people), np.full(table.people, -1), np.zeros(table.people)
    score[found.rows], joint[found.rows], value[found.rows] = worst(doubt, error)
    return signal("model", score, joint, value)


def disagreement(table: PeopleTable, found: PredictionArrays) -> F64:
    """(P,) 1 - OKS between labels and predictions over labelled joints; NaN: unknown."""
    error = joint_errors(table, found)
    known = np.isin(table.arrays["state"][:, found.rows], (1, 2))
    known &= np.isfinite(table.arrays["px"][0::2, :][:, found.rows])
    oks = np.where(known, np.exp(-0.5 * np.nan_to_num(error, nan=np.inf) ** 2), 0.0)
    counts = known.sum(axis=0)
    out = np.full(table.people, np.nan)
    out[found.rows] = np.where(counts > 0, 1.0 - oks.sum(axis=0) / np.maximum(counts, 1), np.nan)
    return out
