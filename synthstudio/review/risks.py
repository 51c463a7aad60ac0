"""Everybody's risk as it is now: own checks of the table, stored findings, predictions of models.

What does not change is reckoned once: a table's own checks by what it holds, findings and
predictions by a mark of what is stored.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import func, select

from synthstudio.review.models import PredictionRow, RiskRow
from synthstudio.review.predictions import iter_predictions
from synthstudio.review.risk.findings import runs, stored
from synthstudio.review.risk.model import disagreement, model, predicted
from synthstudio.review.risk.people import F64, PeopleTable
from synthstudio.review.risk.signal import Signal
from synthstudio.review.risk.signals import Risk, combined, own_signals
from synthstudio.review.store import Store

T = TypeVar("T")
_KEPT = 6
_lock = threading.Lock()
_cache: OrderedDict[object, Any] = OrderedDict()


@dataclass(frozen=True, kw_only=True)
class Models:
    """What models say of a table's people. `disagreement` (P,): the largest of them, or NaN."""

    signals: tuple[Signal, ...]
    disagreement: F64


def risk_of(store: Store, table: PeopleTable) -> Risk:
    """Return the risk of every person of a table; quick when nothing was stored since."""
    found = _mark(store, table.key)
    return _once(("risk", store.url, *_name(table), found), lambda: _risk(store, table))


def models_of(store: Store, table: PeopleTable) -> Models:
    """Return where models and labels disagree, over all models that said something."""
    found = _mark(store, table.key)[1]
    return _once(("models", store.url, *_name(table), found), lambda: _models(store, table))


def _risk(store: Store, table: PeopleTable) -> Risk:
    own = _once(("own", *_name(table)), lambda: own_signals(table))
    signals = (*own, *stored(store, table), *models_of(store, table).signals)
    return Risk(table=table, score=combined(signals, table.people), signals=signals)


def _models(store: Store, table: PeopleTable) -> Models:
    signals: list[Signal] = []
    most = np.full(table.people, np.nan)
    for layer, _, _ in _mark(store, table.key)[1]:
        found = predicted(table, iter_predictions(store, table.key, str(layer)))
        signals.append(model(table, found))
        most = np.fmax(most, disagreement(table, found))
    return Models(signals=tuple(signals), disagreement=most)


def _name(table: PeopleTable) -> tuple[str, str]:
    return table.key, table.content


def _mark(store: Store, key: str) -> tuple[tuple[Any, ...], tuple[tuple[Any, ...], ...]]:
    """Return what tells one state of the stored findings and predictions from another."""
    risks = select(func.count(), func.sum(RiskRow.score)).where(RiskRow.dataset == key)
    models = select(PredictionRow.layer, func.count(), func.sum(PredictionRow.score))
    models = models.where(PredictionRow.dataset == key).group_by(PredictionRow.layer)
    ran = tuple(runs(store, key).items())
    with store.reading() as session:
        first = (*session.execute(risks).one(), ran)
        rest = tuple(tuple(row) for row in session.execute(models.order_by(PredictionRow.layer)))
    return first, rest


def _once(key: object, make: Callable[[], T]) -> T:
    """Return what is kept under a key, made now if it is not; a few are kept."""
    with _lock:
        if key in _cache:
            _cache.move_to_end(key)
            kept: T = _cache[key]
            return kept
    made = make()
    with _lock:
        _cache[key] = made
        while len(_cache) > _KEPT:
            _cache.popitem(last=False)
    return made
