"""Risk of each person: probability of wrong labels from all checks.

Each check is a plain function table -> Signal; `signals.CHECKS` has their weights. Findings of
`synthstudio validate` and of audits are stored (findings.py), as are models' predictions
(predictions.py). A prediction marked as wrong is ignored for that person, who is "rejected" while
pending: hard for models, perhaps for people.

    risk = 1 - product over checks of (1 - weight x score)

i.e. independent checks with probability weight x score. So one certain sign outranks
many weak ones, and additional signs break ties.

Results are cached: a table's own checks by content, findings and
predictions by a version of the store.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import Select, func, select

from synthstudio.core.arrays import F64
from synthstudio.core.last_used import LastUsed
from synthstudio.review.history import DECIDED
from synthstudio.review.models import ItemRow, PredictionRow, RiskRow, in_layer
from synthstudio.review.risk.findings import last_runs, stored_signals
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.predictions import (
    disagreement,
    gather_predictions,
    iter_predictions,
    model_signal,
)
from synthstudio.review.risk.signals import (
    Signal,
    bones,
    contradiction,
    hidden,
    position,
    projection,
    sides,
    signal,
    threshold,
)
from synthstudio.review.store import Store
from synthstudio.review.values import Pair

T = TypeVar("T")
Rows = tuple[tuple[Any, ...], ...]
_MIN_WEIGHT = 0.02
_cache: LastUsed[object, Any] = LastUsed(6)


@dataclass(frozen=True, kw_only=True)
class Risk:
    """Probability of wrong labels of P people, and the signals."""

    table: PeopleTable
    score: F64  # (P,) 0 to 1
    signals: tuple[Signal, ...]

    def reasons(self, row: int, *, maximum: int = 5) -> list[str]:
        """Reasons of a person's score, by falling weight."""
        reasons = [
            (signal.weight * float(signal.score[row]), words)
            for signal in self.signals
            for words in signal.words(self.table, row)
        ]
        reasons.sort(key=lambda pair: -pair[0])
        return [words for weight, words in reasons if weight >= _MIN_WEIGHT][:maximum]


def risk(table: PeopleTable, signals: Sequence[Signal]) -> Risk:
    """The risk of all people by the formula at the top of this file."""
    correct = np.ones(table.people)
    for one in signals:
        correct *= 1.0 - one.weight * one.score
    return Risk(table=table, score=1.0 - correct, signals=tuple(signals))


def table_signals(table: PeopleTable) -> tuple[Signal, ...]:
    checks = (contradiction, projection, sides, position, bones, threshold, hidden)
    return tuple(check(table) for check in checks)


@dataclass(frozen=True, kw_only=True)
class Models:
    """Signals of models. `disagreement` (P,): the largest of them, NaN without predictions."""

    signals: tuple[Signal, ...]
    disagreement: F64


def risk_of(store: Store, table: PeopleTable) -> Risk:
    """The risk of every person of a table; cached until the store changes."""
    key = "risk", store.url, table.key, table.content, _mark(store, table.key)
    return _cache.get_or(key, lambda: _risk(store, table))


def models_of(store: Store, table: PeopleTable) -> Models:
    """Where models and labels disagree, over all models with predictions."""
    key = "models", store.url, table.key, table.content, _mark(store, table.key)[1:]
    return _cache.get_or(key, lambda: _models(store, table))


def least_confident(store: Store, key: str, layer: str) -> dict[Pair, tuple[float, str]]:
    """(frame, instance) -> the lowest confidence of the model `layer`, 0 to 1, and its joint."""
    found = next((row for row in _mark(store, key)[1] if row[0] == layer), None)

    def gather() -> dict[Pair, tuple[float, str]]:
        return {
            (p.frame, p.instance): min((sure, name) for name, (_, _, sure) in p.joints.items())
            for p in iter_predictions(store, key, layer)
            if p.joints
        }

    return _cache.get_or(("sure", store.url, key, found), gather)


def rejected_predictions(store: Store, key: str, layer: str) -> set[Pair]:
    """(frame, instance) with a prediction of the model `layer` marked as wrong."""
    with store.reading() as session:
        found = session.execute(_rejected_models(key)).all()
    return {(frame, instance) for frame, instance, layers in found if layer in (layers or ())}


def _rejected_models(key: str) -> Select[int, int, list[str] | None]:
    query = select(ItemRow.frame, ItemRow.instance, ItemRow.rejected_models)
    return query.where(in_layer(ItemRow, key), ItemRow.rejected_models.is_not(None))


def _risk(store: Store, table: PeopleTable) -> Risk:
    own = _cache.get_or(("own", table.key, table.content), lambda: table_signals(table))
    return risk(table, (*own, *stored_signals(store, table), *models_of(store, table).signals))


def _models(store: Store, table: PeopleTable) -> Models:
    signals: list[Signal] = []
    maximum = np.full(table.people, np.nan)
    _, layers, wrong = _mark(store, table.key)
    refused = {(frame, instance, layer) for frame, instance, some in wrong for layer in some}
    for layer, _, _ in layers:
        predictions = iter_predictions(store, table.key, str(layer))
        kept = [p for p in predictions if (p.frame, p.instance, layer) not in refused]
        found = gather_predictions(table, kept)
        signals.append(model_signal(table, found))
        maximum = np.fmax(maximum, disagreement(table, found))
    return Models(signals=(*signals, _rejected(table, wrong)), disagreement=maximum)


def _rejected(table: PeopleTable, wrong: Rows) -> Signal:
    texts = {
        row: (f"a reviewer called the prediction of {', '.join(layers)} wrong",)
        for row, (_, _, layers) in table.placed(wrong)
    }
    score = np.zeros(table.people)
    score[list(texts)] = 1.0
    return signal("rejected", score, texts=texts)


def _mark(store: Store, key: str) -> tuple[tuple[Any, ...], Rows, Rows]:
    risks = select(func.count(), func.sum(RiskRow.score)).where(RiskRow.dataset == key)
    models = select(PredictionRow.layer, func.count(), func.sum(PredictionRow.score))
    models = models.where(PredictionRow.dataset == key).group_by(PredictionRow.layer)
    wrong = _rejected_models(key).where(ItemRow.deleted.is_(False), ItemRow.status.not_in(DECIDED))
    ran = tuple(last_runs(store, key).items())
    with store.reading() as session:
        first = (*session.execute(risks).one(), ran)
        rest = tuple(tuple(row) for row in session.execute(models.order_by(PredictionRow.layer)))
        found = session.execute(wrong.order_by(ItemRow.frame, ItemRow.instance))
        last = tuple((frame, instance, tuple(layers or ())) for frame, instance, layers in found)
    return first, rest, last
