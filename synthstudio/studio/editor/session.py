"""The page Review: sidebar and address select a queue, shown by the editor.

The editor itself uses the API (studio/web_api). Runs of the page only select the queue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from synthstudio.core.errors import DatasetError
from synthstudio.review.risk.predictions import prediction_layers
from synthstudio.review.risk.review_fields import parse_query
from synthstudio.review.tracks import has_clips
from synthstudio.review.values import User
from synthstudio.studio.components import API, mount_editor
from synthstudio.studio.context import Context, OpenSet, context, current_user, last_chosen
from synthstudio.studio.editor.queue import QUEUES, QueueRequest
from synthstudio.studio.overview import added_note, count_people
from synthstudio.studio.team_lists import assigned_waiting
from synthstudio.studio.text import plain

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
    place: tuple[int, int] | None = None
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
