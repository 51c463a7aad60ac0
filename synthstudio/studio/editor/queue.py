"""Review queues: the order of people, as one constant array of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from synthstudio.core.arrays import I64, Bool
from synthstudio.review.check import FIRST_OBJECT
from synthstudio.review.history import added_people, empty_frames
from synthstudio.review.leases import SECOND, leases
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.queue import risk_order
from synthstudio.review.risk.review_fields import (
    hide_reviews,
    matching_rows,
    parse_query,
    review_columns,
)
from synthstudio.review.risk.scores import Risk, least_confident, rejected_predictions, risk_of
from synthstudio.review.store import Store
from synthstudio.review.team.members import assigned
from synthstudio.review.team.second_review import blinded, share_of
from synthstudio.review.tracks import clip_order
from synthstudio.review.values import MAIN, Pair, User
from synthstudio.studio.editor.ops import Strict

TODO = ("pending", "skipped")
QueueName = Literal["risk", "all", "uncertain", "assigned", "second", "added", "empty", "clips"]
QUEUES: dict[QueueName, str] = {
    "risk": "Likely wrong first",
    "all": "In stored order",
    "uncertain": "Least confident predictions first",
    "assigned": "Assigned to me",
    "second": "My second reviews",
    "added": "Added by reviewers",
    "empty": "Frames without people",
    "clips": "Person by person through clips",
}
NO_MATCH = "No people match. Relax the filter in the sidebar, or choose Frames without people."
EMPTY_TEXTS = {
    "second": "You have no second reviews to do. Claim people on the Team page.",
    "added": "No people were added to this data set.",
    "clips": "This data set has no clips.",
    "empty": "Every frame has people.",
    "uncertain": "No predictions are stored here (synthstudio review predictions).",
    "assigned": "No people are assigned to you. Claim people on the Risk queue page.",
}


class QueueRequest(Strict):
    """`query`: as in `filter`; `todo`: only undecided people; `model`: of the predictions."""

    queue: QueueName = "risk"
    query: str = ""
    todo: bool = False
    model: str = ""

    @property
    def layer(self) -> str:
        return SECOND if self.queue == "second" else MAIN


@dataclass(frozen=True, kw_only=True)
class ReviewQueue:
    """A queue: `rows` (N,) in order; `control` (N,): random sample.

    A row is one of the people table, or -1 - its place in `extra`: (frame, instance) of added
    people, and (frame, 0) for a frame without people. `notes`: row -> reason.
    """

    request: QueueRequest
    rows: I64
    control: Bool
    risk: Risk
    extra: tuple[tuple[int, int], ...] = ()
    notes: Mapping[int, str] = field(default_factory=dict)

    def people(self, table: PeopleTable, start: int, stop: int) -> list[tuple[int, int]]:
        rows = self.rows[start:stop]
        on_disk = iter(table.ids(rows[rows >= 0]))
        return [self.extra[-1 - row] if row < 0 else next(on_disk) for row in rows.tolist()]

    def reasons(self, place: int) -> list[str]:
        row = int(self.rows[place])
        if row in self.notes:
            return [self.notes[row]]
        if row < 0:
            return []
        found = [text.replace("_", " ") for text in self.risk.reasons(row, maximum=4)]
        return found or (["random sample"] if self.control[place] else [])

    def place_of(self, table: PeopleTable, frame: int, instance: int) -> int | None:
        row = self._row(table, frame, instance)
        found = np.flatnonzero(self.rows == row) if row is not None else np.zeros(0, np.int64)
        return int(found[0]) if len(found) else None

    def place_near(self, table: PeopleTable, frame: int, instance: int) -> int:
        """Return a person's place; for an added one its frame's place; or 0."""
        for number in (instance, 0):
            if (place := self.place_of(table, frame, number)) is not None:
                return place
        there = table.frame[np.maximum(self.rows, 0)] == frame
        same = np.flatnonzero((self.rows >= 0) & there)
        return int(same[-1]) if len(same) else 0

    def with_first(self, table: PeopleTable, frame: int, instance: int) -> ReviewQueue:
        """Return the queue; a person or empty frame missing from it is put first."""
        row, extra = self._row(table, frame, instance), self.extra
        if row is None:
            index = table.arrays["frame.index"]
            if frame not in index or frame in table.frame or any(f == frame for f, _ in extra):
                return self
            row, extra = -1 - len(extra), (*extra, (frame, 0))
        if row in self.rows:
            return self
        control = np.concatenate([[False], self.control])
        rows = np.concatenate([[row], self.rows])
        return replace(self, rows=rows, control=control, extra=extra)

    def _row(self, table: PeopleTable, frame: int, instance: int) -> int | None:
        if (frame, instance) in self.extra:
            return -1 - self.extra.index((frame, instance))
        row = int(table.rows_at([(frame, instance)])[0])
        return row if row >= 0 else None


def build_queue(
    store: Store, table: PeopleTable, request: QueueRequest, *, who: User
) -> ReviewQueue:
    """Return a queue; DatasetError for an invalid query."""
    columns = review_columns(store, table, layer=request.layer, me=who.name)
    hidden = np.zeros(table.people, bool)
    if request.layer == MAIN:
        share = share_of(store, table.key, "second_share")
        hidden = blinded(store, table, who=who, share=share)
        hide_reviews(columns, hidden)
    there = table.frame[~columns["deleted"]]
    rows = np.arange(table.people, dtype=np.int64)
    if request.query.strip() and request.queue != "empty":
        rows = matching_rows(table, parse_query(request.query, table.joints), columns)
    if request.queue == "assigned":
        held = leases(store, table.key, who=who.name)
        mine = [*held, *assigned(store, table.key, who=who.name)]
        rows = rows[np.isin(rows, table.rows_at(mine))]
    elif request.queue == "second":
        mine = [*leases(store, table.key, layer=SECOND, who=who.name)]
        rows = rows[np.isin(rows, table.rows_at(mine))]
    rows = rows[~columns["deleted"][rows]]
    extra = _extra(store, table, request, there)
    if request.queue in ("added", "empty"):
        rows = rows[:0]
    if request.todo:
        rows = rows[np.isin(columns["status"][rows], TODO) & ~hidden[rows]]
    risk = risk_of(store, table)
    control = np.zeros(len(rows), bool)
    if request.queue == "clips":
        rows = np.array(clip_order(table, rows.tolist()), np.int64)
    if request.queue in ("risk", "assigned"):
        share = share_of(store, table.key, "control_share")
        found = risk_order(risk, share=share, rows=rows)
        rows, control = found.rows, found.control
    rows = rows.astype(np.int64)
    queue = ReviewQueue(request=request, rows=rows, control=control, risk=risk, extra=extra)
    if request.queue == "uncertain":
        conf = least_confident(store, table.key, request.model) if request.model else {}
        wrong = rejected_predictions(store, table.key, request.model)
        kept = hidden[rows] | ~np.isin(rows, table.rows_at(wrong))
        return _unsure(replace(queue, rows=rows[kept]), table, conf)
    at = _places_after_frames(rows, table, [frame for frame, _ in extra])
    added = np.insert(rows, at, -1 - np.arange(len(extra)))
    return replace(queue, rows=added, control=np.insert(control, at, False))


def _unsure(
    queue: ReviewQueue, table: PeopleTable, conf: Mapping[Pair, tuple[float, str]]
) -> ReviewQueue:
    frames: dict[int, tuple[float, str]] = {}
    for (frame, instance), one in conf.items():
        if instance >= FIRST_OBJECT:
            frames[frame] = min(one, frames.get(frame, one))
    found = {
        int(r): conf[p] for r, p in zip(queue.rows, table.ids(queue.rows), strict=True) if p in conf
    }
    found |= {-1 - k: frames[f] for k, (f, _) in enumerate(queue.extra) if f in frames}
    rows = sorted(found, key=lambda row: (found[row][0], row))
    notes = {
        row: f"{joint.replace('_', ' ')}: predicted, confidence {confidence:.2f}"
        for row, (confidence, joint) in found.items()
    }
    return replace(
        queue, rows=np.array(rows, np.int64), control=np.zeros(len(rows), bool), notes=notes
    )


def _extra(
    store: Store, table: PeopleTable, request: QueueRequest, inhabited: I64
) -> tuple[tuple[int, int], ...]:
    """Entries beside people on disk, who are in the frames `inhabited`."""
    added = added_people(store, table.key) if request.layer == MAIN else {}
    if request.queue in ("empty", "uncertain"):
        here = {*inhabited.tolist(), *(frame for frame, _ in added)}
        if request.todo:
            here |= empty_frames(store, table.key)
        return tuple(
            (f, 0) for f in table.arrays["frame.index"].astype(np.int64).tolist() if f not in here
        )
    if request.query.strip() or request.queue == "assigned":
        return ()  # neither applies to added people
    return tuple(p for p, status in added.items() if not request.todo or status in TODO)


def _places_after_frames(rows: I64, table: PeopleTable, frames: list[int]) -> list[int]:
    """The insertion place of each of `frames` in a queue of people on disk; else its end."""
    last = dict.fromkeys(frames, len(rows))
    of_rows = table.frame[rows]
    for place in np.flatnonzero(np.isin(of_rows, frames)).tolist():
        last[int(of_rows[place])] = place + 1
    return [last[frame] for frame in frames]
