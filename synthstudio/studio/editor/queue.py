"""The page Review: its queues, and the sidebar and address that select one for the editor.

A queue is the order of people as one constant array of rows. The editor itself uses the API
(studio/web_api); runs of the page only select the queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import streamlit as st

from synthstudio.core.arrays import I64, Bool
from synthstudio.core.errors import DatasetError
from synthstudio.review.check import FIRST_OBJECT
from synthstudio.review.history import added_people, empty_frames
from synthstudio.review.leases import SECOND, leases
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.predictions import prediction_layers
from synthstudio.review.risk.queue import risk_order
from synthstudio.review.risk.review_fields import (
    as_reviewed,
    hide_reviews,
    matching_rows,
    parse_query,
    review_columns,
)
from synthstudio.review.risk.scores import Risk, least_confident, rejected_predictions, risk_of
from synthstudio.review.store import Store
from synthstudio.review.team.members import assigned
from synthstudio.review.team.second_review import blinded, share_of
from synthstudio.review.tracks import clip_order, has_clips
from synthstudio.review.values import MAIN, Pair, User
from synthstudio.studio.context import Context, OpenSet, context, current_user, last_chosen
from synthstudio.studio.editor.ops import Strict
from synthstudio.studio.overview import added_note, count_people
from synthstudio.studio.page_parts import API, mount_editor, plain
from synthstudio.studio.team_lists import assigned_waiting

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
    extra: tuple[Pair, ...] = ()
    notes: Mapping[int, str] = field(default_factory=dict)

    def people(self, table: PeopleTable, start: int, stop: int) -> list[Pair]:
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
        query = parse_query(request.query, table.joints)
        rows = matching_rows(as_reviewed(table, columns), query, columns)
    if request.queue in ("assigned", "second"):
        mine = [*leases(store, table.key, layer=request.layer, who=who.name)]
        if request.queue == "assigned":
            mine += assigned(store, table.key, who=who.name)
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
) -> tuple[Pair, ...]:
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


_STYLE = """<style>
.stMainBlockContainer { padding: 2.7rem .75rem .5rem; max-width: none; }
.stMain [data-testid="stVerticalBlock"] { gap: .25rem; }
@media (max-width: 640px) { .stMainBlockContainer { padding-left: 0; padding-right: 0; } }
</style>"""
_CHOICES = ("queue", "query", "todo")


@dataclass
class EditorSession:
    """`place`: frame and instance of the address; `mounted`: whether this run did it."""

    key: str
    user: str
    request: QueueRequest = field(default_factory=QueueRequest)
    place: Pair | None = None
    mounted: bool = False

    def mount(self) -> None:
        """Mount the editor: with the same elements in every run, or the browser restarts it."""
        st.html(_STYLE)
        queue: dict[str, Any] = self.request.model_dump()
        if self.place is not None:
            queue["frame"], queue["instance"] = self.place
        self.mounted = True
        data = {"api": API, "set": self.key, "user": self.user, "queue": queue}
        mount_editor(data, key=f"editor {self.key[:16]} {self.request.layer} {self.user}")


def begin_run(*, entered: bool) -> None:
    if (session := _remembered()) is not None:
        session.mounted = False
    if entered:
        st.session_state["review_entered"] = True


def keep_editor(user: str) -> None:
    """Keep the editor in a run that a busy database ended early; `user`: empty if unknown."""
    session = _remembered()
    if session is None or session.mounted:
        return
    if session.key == last_chosen() and user in ("", session.user):
        session.mount()


def show() -> None:
    ctx, me = context(), current_user()
    chosen = ctx.chosen("Review")
    session = _session(ctx, chosen, me)
    models = list(prediction_layers(ctx.store, chosen.key))
    if session.request.model not in models:
        session.request = session.request.model_copy(update={"model": models[0] if models else ""})
    wanted, wrong = session.request, ""
    try:
        if wanted.query.strip():
            parse_query(wanted.query, chosen.table.joints)
    except DatasetError as error:
        wrong, session.request = str(error), wanted.model_copy(update={"query": ""})
    session.mount()
    session.request = wanted
    with st.sidebar:
        _choices(session, models, [q for q in QUEUES if q != "clips" or has_clips(chosen.table)])
        if wrong:
            st.error(plain(wrong))
        note = added_note(count_people(ctx.store, chosen.key)) if wanted.query.strip() else ""
        if note:
            st.caption(f"The filter covers people on disk. {note}")


def _remembered() -> EditorSession | None:
    session = st.session_state.get("review_session")
    return session if isinstance(session, EditorSession) else None


def _session(ctx: Context, chosen: OpenSet, me: User) -> EditorSession:
    session = before = _remembered()
    if session is None or session.key != chosen.key or session.user != me.name:
        session = EditorSession(key=chosen.key, user=me.name)
        if not chosen.dataset.people:  # photos without labels: the task is to add people
            session.request = QueueRequest(queue="empty")
        st.session_state["review_session"] = session
    address = {n: st.query_params.get(n, "") for n in ("frame", "instance", "q", "queue")}
    if before is None and not any(address.values()) and assigned_waiting(ctx, me, chosen):
        st.query_params["queue"] = address["queue"] = "assigned"
    if st.session_state.pop("review_entered", False) and any(address.values()):
        named = [name for name in QUEUES if name == address["queue"]]
        queue = named[0] if named else session.request.queue
        session.request = QueueRequest(queue=queue, query=address["q"])
        numbers = [address["frame"], address["instance"] or "0"]
        if all(text.isascii() and text.isdecimal() and len(text) < 10 for text in numbers):
            session.place = int(numbers[0]), int(numbers[1])
    return session


def _choices(session: EditorSession, models: list[str], queues: list[str]) -> None:
    for name in (*_CHOICES, "model"):
        st.session_state[f"review_{name}"] = getattr(session.request, name)

    def changed() -> None:
        names = (*_CHOICES, *(("model",) if models else ()))
        values = {name: st.session_state[f"review_{name}"] for name in names}
        session.request, session.place = session.request.model_copy(update=values), None

    st.selectbox(
        "Queue", queues, key="review_queue", format_func=lambda q: QUEUES[q], on_change=changed
    )
    st.text_input(
        "Filter",
        key="review_query",
        max_chars=10_000,
        on_change=changed,
        placeholder="any wrist hidden by object",
        help="Uses the query language of `synthstudio filter`.",
    )
    st.toggle("Undecided only", key="review_todo", on_change=changed)
    if models:
        st.selectbox("Predictions", models, key="review_model", on_change=changed)
