"""What models say of people: layers of predicted joints beside the labels, one layer a model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import delete, func, select

from synthstudio.core.errors import Refused, ReviewError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.review.check import check_int, check_name
from synthstudio.review.models import DatasetRow, PredictionRow
from synthstudio.review.store import Store, upsert

_AT_ONCE = 500
FURTHEST_PX = 1e6
Point = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A model's joints of one person: name -> x and y in continuous pixels, confidence 0 to 1.

    Joints that the model does not find are left out. `score`: that of the whole person.
    """

    frame: int
    instance: int
    joints: Mapping[str, Point] = field(default_factory=dict)
    score: float = 1.0


def put_predictions(
    store: Store, key: str, layer: str, rows: Iterable[Prediction], *, anew: bool = False
) -> int:
    """Store predictions of a model under `layer`; return how many.

    Those of the same people are replaced, and with `anew` all that the layer had. All are stored
    or none. `rows` may be lazy. ReviewError for a data set the store does not know, Refused
    ("invalid") for joints the skeleton lacks and numbers that are none.
    """
    check_name(layer, "layer")
    done, waiting = 0, iter(rows)
    with store.session() as session:
        known = session.get(DatasetRow, key)
        if known is None:
            raise ReviewError(
                "the store does not know this data set", where=key[:16], then="Register it first."
            )
        joints = frozenset(get_skeleton(known.skeleton).joints)
        if anew:
            session.execute(
                delete(PredictionRow).where(
                    PredictionRow.dataset == key, PredictionRow.layer == layer
                )
            )
        while some := list(islice(waiting, _AT_ONCE)):
            values = {(p.frame, p.instance): _values(p, key, layer, joints) for p in some}
            upsert(session, PredictionRow, list(values.values()))
            done += len(some)
    return done


def iter_predictions(store: Store, key: str, layer: str) -> Iterator[Prediction]:
    """Yield all predictions of a model in the order of the data set, a page in memory at a time."""
    query = select(PredictionRow).where(PredictionRow.dataset == key, PredictionRow.layer == layer)
    query = query.order_by(PredictionRow.frame, PredictionRow.instance)
    with store.reading() as session:
        for row in session.scalars(query.execution_options(yield_per=2000)):
            yield _prediction(row)
            session.expunge(row)


def layers(store: Store, key: str) -> dict[str, int]:
    """Return the models that said something of a data set: layer -> people."""
    query = (
        select(PredictionRow.layer, func.count().label("people"))
        .where(PredictionRow.dataset == key)
        .group_by(PredictionRow.layer)
        .order_by(PredictionRow.layer)
    )
    with store.reading() as session:
        return {row.layer: row.people for row in session.execute(query)}


def _values(p: Prediction, key: str, layer: str, joints: frozenset[str]) -> dict[str, Any]:
    check_int(p.frame, "frame")
    check_int(p.instance, "instance", least=1)
    where = f"frame {p.frame}, person {p.instance}"
    if not _is_share(p.score):
        raise _invalid("the score of a person", where, "0 to 1", p.score)
    for name, point in p.joints.items():
        if name not in joints:
            raise _invalid("the skeleton has no such joint", where, "joints of the data set", name)
        if not _is_point(point):
            raise _invalid(f"the place of {name}", where, "x, y and confidence 0 to 1", point)
    return {
        "dataset": key,
        "layer": layer,
        "frame": p.frame,
        "instance": p.instance,
        "joints": {name: [float(v) for v in point] for name, point in p.joints.items()},
        "score": float(p.score),
    }


def _is_point(point: object) -> bool:
    if not isinstance(point, tuple | list) or len(point) != 3:
        return False
    places = all(_is_number(v) and abs(v) <= FURTHEST_PX for v in point[:2])
    return places and _is_share(point[2])


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1  # type: ignore[operator]


def _is_number(value: object) -> bool:
    fine = isinstance(value, int | float) and not isinstance(value, bool)
    return fine and math.isfinite(value)  # type: ignore[arg-type]


def _invalid(what: str, where: str, expected: str, got: object) -> Refused:
    return Refused(what, where=where, expected=expected, got=repr(got)[:80], reason="invalid")


def _prediction(row: PredictionRow) -> Prediction:
    joints = {name: (p[0], p[1], p[2]) for name, p in row.joints.items()}
    return Prediction(frame=row.frame, instance=row.instance, joints=joints, score=row.score)
