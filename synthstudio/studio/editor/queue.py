"""Queues: in which order people come, as one array of rows that stays as it is while one works."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from synthstudio.review.leases import SECOND, leases
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.queue import risk_order
from synthstudio.review.risk.review_fields import matching_rows, parse_query, review_columns
from synthstudio.review.risk.scores import Risk, risk_of
from synthstudio.review.settings import share_of
from synthstudio.review.store import Store
from synthstudio.review.team.members import assigned
from synthstudio.review.team.second_pass import blinded
from synthstudio.review.values import MAIN, User
from synthstudio.studio.gallery.view import hide_reviews

I64 = NDArray[np.int64]
QUEUES = {
    "risk": "Likely wrong first",
    "all": "As they are stored",
    "mine": "Mine",
    "second": "My second looks",
}
"""Name of a queue -> what the page calls it."""


@dataclass(frozen=True, kw_only=True)
class QueueRequest:
    """What a queue shall hold. `query`: as `filter` takes it; `todo`: only who is undecided."""

    queue: str = "risk"
    query: str = ""
    todo: bool = False

    @property
    def layer(self) -> str:
        return SECOND if self.queue == "second" else MAIN


@dataclass(frozen=True, kw_only=True)
class ReviewQueue:
    """A queue: `rows` (N,) of the people table in their order; `control` (N,): drawn at random."""

    request: QueueRequest
    rows: I64
    control: NDArray[np.bool_]
    risk: Risk

    def people(self, table: PeopleTable, start: int, stop: int) -> list[tuple[int, int]]:
        return table.ids(self.rows[start:stop])

    def reasons(self, start: int, stop: int) -> list[list[str]]:
        """Return for each of a stretch why that person is worth a look."""
        return [
            [text.replace("_", " ") for text in self.risk.reasons(int(self.rows[k]), most=4)]
            or (["drawn at random"] if self.control[k] else [])
            for k in range(start, stop)
        ]

    def place_of(self, table: PeopleTable, frame: int, instance: int) -> int | None:
        """Return where a person comes, None for nowhere."""
        row = int(table.rows_of(np.array([frame]), np.array([instance]))[0])
        if row < 0:
            return None
        found = np.flatnonzero(self.rows == row)
        return int(found[0]) if len(found) else None

    def place_near(self, table: PeopleTable, frame: int, instance: int) -> int:
        """Return where a person comes; for one whom reviewers added where its frame does; or 0."""
        place = self.place_of(table, frame, instance)
        if place is None:
            same = np.flatnonzero(table.frame[self.rows] == frame)
            place = int(same[-1]) if len(same) else 0
        return place

    def with_first(self, table: PeopleTable, frame: int, instance: int) -> ReviewQueue:
        """Return the queue; a person whom it leaves out is put first."""
        row = table.rows_of(np.array([frame]), np.array([instance]))
        if row[0] < 0 or row[0] in self.rows:
            return self
        control = np.concatenate([[False], self.control])
        return replace(self, rows=np.concatenate([row, self.rows]), control=control)


def build_queue(
    store: Store, table: PeopleTable, request: QueueRequest, *, who: User
) -> ReviewQueue:
    """Return a queue; DatasetError for a query that cannot be read."""
    columns = review_columns(store, table, layer=request.layer)
    hidden = np.zeros(table.people, bool)
    if request.layer == MAIN:
        share = share_of(store, table.key, "second_share")
        hidden = blinded(store, table, who=who, share=share)
        hide_reviews(columns, hidden)
    rows = np.arange(table.people, dtype=np.int64)
    if request.query.strip():
        rows = matching_rows(table, parse_query(request.query, table.joints), columns)
    if request.queue == "mine":
        rows = rows[np.isin(rows, _mine(store, table, who))]
    elif request.queue == "second":
        rows = rows[
            np.isin(rows, _rows(table, leases(store, table.key, layer=SECOND, who=who.name)))
        ]
    rows = rows[~columns["deleted"][rows]]
    if request.todo:
        rows = rows[np.isin(columns["status"][rows], ["pending", "skipped"]) & ~hidden[rows]]
    risk = risk_of(store, table)
    control = np.zeros(len(rows), bool)
    if request.queue == "risk":
        share = share_of(store, table.key, "control_share")
        found = risk_order(risk, share=share, rows=rows)
        rows, control = found.rows, found.control
    return ReviewQueue(request=request, rows=rows.astype(np.int64), control=control, risk=risk)


def _mine(store: Store, table: PeopleTable, who: User) -> I64:
    return _rows(
        table, [*leases(store, table.key, who=who.name), *assigned(store, table.key, who=who.name)]
    )


def _rows(table: PeopleTable, found: Iterable[tuple[int, int]]) -> I64:
    people = list(found)
    if not people:
        return np.zeros(0, np.int64)
    frames, instances = np.array(people, np.int64).T
    return table.rows_of(frames, instances)
