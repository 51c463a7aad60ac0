"""What the page Review does: a session's session at the editor, and the editor over its queue."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from synthstudio.core.errors import DatasetError, Refused
from synthstudio.review import clip_edits
from synthstudio.review.leases import SECOND
from synthstudio.review.risk.predictions import prediction_layers
from synthstudio.review.settings import share_of
from synthstudio.review.team import members
from synthstudio.review.team.second_review import blinded_among
from synthstudio.review.tracks import has_clips
from synthstudio.review.values import MAIN, Person, User, may
from synthstudio.studio import guard
from synthstudio.studio.components import mount_editor
from synthstudio.studio.context import Context, OpenSet, context, current_user, image_url, user_now
from synthstudio.studio.editor import clips, window
from synthstudio.studio.editor.ghosts import poses_of
from synthstudio.studio.editor.outbox import (
    Answer,
    HeldLeases,
    apply_message,
    parse_message,
    release_decided,
    renew_leases,
    storage_key,
)
from synthstudio.studio.editor.queue import (
    EMPTY_TEXTS,
    NO_MATCH,
    QUEUES,
    QueueRequest,
    ReviewQueue,
    build_queue,
)
from synthstudio.studio.editor.window import newest_events
from synthstudio.studio.overview import added_note, count_people, review_progress
from synthstudio.studio.set_names import last_chosen
from synthstudio.studio.text import plain

_MOST_RESULTS = 300  # answers that a session says again, for a browser that missed a run
_STYLE = """<style>
.stMainBlockContainer { padding: 2.7rem .75rem .5rem; max-width: none; }
.stMain [data-testid="stVerticalBlock"] { gap: .25rem; }
@media (max-width: 640px) { .stMainBlockContainer { padding-left: 0; padding-right: 0; } }
</style>"""


def show() -> None:
    """Show the editor and take in what it says."""
    ctx, me = context(), current_user()
    chosen = ctx.chosen()
    session = _session(chosen, me, fresh=not _is_open(chosen, me))
    st.html(_STYLE)
    session.drawn = 1
    queues = [q for q in QUEUES if q != "clips" or has_clips(chosen.table)]
    _choices(session, list(prediction_layers(ctx.store, chosen.key)), queues)
    if session.queue is None:
        session.queue = _build_queue(ctx, chosen, me, session)
    if session.query_error:
        st.error(plain(session.query_error))
    if session.request.query.strip() and (note := added_note(count_people(ctx.store, chosen.key))):
        st.caption(f"The filter knows the people on disk. {note}")

    layer = session.request.layer
    name = _editor_key(chosen, me, layer)

    def on_change() -> None:
        value = st.session_state[name]
        _take_view(session, value.get("view"))
        with session.storing, suppress(Refused):  # the run that begins asks again, and says why
            _take_outbox(ctx, me.name, chosen, session, value.get("outbox"), layer=layer)
            _take_clip(ctx, me.name, chosen, session, value.get("clip"))

    answers = session.answer, session.clips.answer
    data = _browser_data(ctx, me, chosen, session)
    session.sent, session.drawn = (name, data), 2
    received = mount_editor(data, key=name, on_change=on_change)
    # After a restart of the server no callbacks are called for what the browser says again.
    with session.storing:
        new = _take_view(session, received["view"])
        new = _take_clip(ctx, me.name, chosen, session, received["clip"]) or new
        new = _take_outbox(ctx, me.name, chosen, session, received["outbox"], layer=layer) or new
    if new or (session.answer, session.clips.answer) != answers:
        st.rerun()


def begin_run() -> None:
    """Say that a run of the page begins, in which nothing is drawn yet."""
    if (session := _remembered()) is not None:
        session.drawn, session.stands_in = 0, False


def can_stand_in(user: str) -> bool:
    """Whether the editor can stay open as it was while the database does not answer.

    If so the page, run again, shows it: run by another page it would be another editor. `user`:
    whose it has to be, "" where the database did not say who is there.
    """
    session = _remembered()
    if session is None or session.sent is None:
        return False
    session.stands_in = session.key == last_chosen() and user in ("", session.user)
    return session.stands_in


def stand_in() -> bool:
    """Show the editor as it was, if the database does not answer; say whether that is so.

    What is edited meanwhile is kept in the browser, which says so, and sent again. The editor has
    the same place among the page's elements as ever, or the browser would put up a second one.
    """
    session = _remembered()
    if session is None or session.sent is None or not session.stands_in:
        return False
    name, data = session.sent
    if session.drawn < 1:
        st.html(_STYLE)
    if session.drawn < 2:
        mount_editor(data, key=name, on_change=lambda: None)
    return True


def _remembered() -> EditorSession | None:
    session = st.session_state.get("review_session")
    return session if isinstance(session, EditorSession) else None


def _editor_key(chosen: OpenSet, me: User, layer: str) -> str:
    """Return the editor's key: each layer has an editor, and a box of edits, of its own."""
    return f"editor {chosen.key[:16]} {layer} {me.name}"


def _is_open(chosen: OpenSet, me: User) -> bool:
    return any(_editor_key(chosen, me, layer) in st.session_state for layer in (MAIN, SECOND))


def _session(chosen: OpenSet, me: User, *, fresh: bool) -> EditorSession:
    session = _remembered()
    if session is None or session.key != chosen.key or session.user != me.name:
        session = EditorSession(key=chosen.key, user=me.name, poses=poses_of(chosen.table))
        if not chosen.dataset.people:  # photos without labels: the first people are to be added
            session.request = QueueRequest(queue="empty")
        st.session_state["review_session"] = session
    requested = tuple(st.query_params.get(name, "") for name in ("frame", "instance", "q", "queue"))
    if fresh and any(requested) and requested != session.address:
        session.address = requested
        queue = requested[3] if requested[3] in QUEUES else session.request.queue
        session.request = QueueRequest(queue=queue, query=requested[2] or "", todo=False)
        session.queue = None
    return session


def _choices(session: EditorSession, models: list[str], queues: list[str]) -> None:
    """Show what can be chosen beside the editor; `models`: those that have predictions here."""
    if session.ghosts not in models:
        session.ghosts = models[0] if models else ""
    for name in ("queue", "query", "todo"):
        st.session_state[f"review_{name}"] = getattr(session.request, name)

    def changed() -> None:
        values = {n: st.session_state[f"review_{n}"] for n in ("queue", "query", "todo")}
        session.request = QueueRequest(**values)
        session.queue, session.address = None, ()

    with st.sidebar:
        st.selectbox(
            "Queue",
            queues,
            key="review_queue",
            format_func=lambda q: QUEUES[q],
            on_change=changed,
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
            place = models.index(session.ghosts)
            session.ghosts = st.selectbox("Predictions", models, index=place)
    request = session.request
    if request.queue == "unsure" and request.model != session.ghosts:
        session.request = replace(request, model=session.ghosts)
        session.queue = None


def _build_queue(ctx: Context, chosen: OpenSet, me: User, session: EditorSession) -> ReviewQueue:
    table = chosen.table
    session.query_error = ""
    try:
        order = build_queue(ctx.store, table, session.request, who=me)
    except DatasetError as error:
        session.query_error = str(error)
        order = build_queue(ctx.store, table, QueueRequest(queue=session.request.queue), who=me)
    session.position, session.goto, session.person = 0, secrets.token_hex(6), ""
    if session.address and all(text.isdecimal() and len(text) < 10 for text in session.address[:2]):
        frame, instance = int(session.address[0]), int(session.address[1])
        order = order.with_first(table, frame, instance)
        session.person = f"{frame}:{instance}"
        session.position = order.place_near(table, frame, instance)
    return order


def _browser_data(
    ctx: Context, me: User, chosen: OpenSet, session: EditorSession
) -> dict[str, Any]:
    assert session.queue is not None
    # Answers first: a run before may still be storing; what is done is in people read from here on.
    results, asked = results_of(session), session.clips.answer
    order, total = session.queue, len(session.queue.rows)
    start, stop = window.span(session.position, total)
    shown = order.people(chosen.table, start, stop)
    stretch = window.QueueWindow(
        start=start,
        people=shown,
        reasons=order.reasons(start, stop),
        veiled=_veiled(
            ctx, me, chosen, session.request.layer, window.people_in(chosen.frames, shown)
        ),
        elsewhere=order.extra,
        ghosts=session.ghosts,
    )
    people = [
        Person(dataset=chosen.key, frame=frame, instance=instance, layer=session.request.layer)
        for frame, instance in stretch.people
    ]
    renew_leases(ctx.store, session.leases, people, who=me)
    found = window.items(
        ctx.store,
        chosen.key,
        chosen.frames,
        stretch,
        who=me,
        layer=session.request.layer,
        url=lambda kind, frame: image_url(ctx, me, chosen, kind=kind, frame=frame),  # type: ignore[arg-type]
        clean_of=chosen.source.clean_of,
    )
    held = {item["id"] for item in found}
    clip, aside = _clip_data(ctx, me, chosen, session, held, asked=asked)
    return {
        "dataset": storage_key(chosen.key, session.request.layer),
        "user": me.name,
        "can": {"edit": may(me.role, "edit"), "masks": session.request.layer == MAIN},
        "members": [*members.members(ctx.store)],
        "skeleton": window.skeleton_json(chosen.skeleton, session.poses),
        "queue": {
            "id": order.request.queue,
            "query": order.request.query,
            "total": total,
            "label": QUEUES[order.request.queue],
            "empty": EMPTY_TEXTS.get(order.request.queue, NO_MATCH),
        },
        "at": session.position,
        "goto": session.goto,
        "person": session.person,
        "items": [*found, *aside],
        "clip": clip,
        "results": results,
        "predictions": session.ghosts,
        "history": _history(ctx, me, chosen, session),
        "progress": review_progress(ctx.store, chosen.key),
    }


def _clip_data(
    ctx: Context,
    me: User,
    chosen: OpenSet,
    session: EditorSession,
    held: Collection[str],
    *,
    asked: Mapping[str, Any],  # what the last question came to
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The strip of the shown person and its items that no window holds; None: no clips here."""
    if session.request.layer != MAIN or not has_clips(chosen.table):
        return None, []
    base, look = {"answer": asked}, session.clips.look
    scene = None if look is None else _scene(ctx, me, chosen, look.frame)
    if look is None or scene is None:
        return base, []
    everybody = scene.members()
    pairs = clips.beside(look, scene, everybody)
    stretch = window.QueueWindow(start=session.position, people=pairs, veiled=scene.blinded)
    found = window.items(
        ctx.store,
        chosen.key,
        chosen.frames,
        stretch,
        who=me,
        url=lambda kind, frame: image_url(ctx, me, chosen, kind=kind, frame=frame),  # type: ignore[arg-type]
        clean_of=chosen.source.clean_of,
    )
    strip = clips.strip(
        look,
        scene,
        everybody,
        lambda f: image_url(ctx, me, chosen, kind="crop", frame=f, size=clips.THUMB_PX),
        log=session.clips.log,
    )
    here = {"pos": session.position, "aside": True}
    return base | strip, [item | here for item in found if item["id"] not in held]


def _scene(ctx: Context, me: User, chosen: OpenSet, frame: int) -> clip_edits.Scene | None:
    return clips.scene_of(
        ctx.store, chosen, frame, lambda people: _veiled(ctx, me, chosen, MAIN, people)
    )


def _veiled(
    ctx: Context,
    me: User,
    chosen: OpenSet,
    layer: str,
    people: Collection[tuple[int, int]],
) -> set[tuple[int, int]]:
    if layer != MAIN:
        return set()
    share = share_of(ctx.store, chosen.key, "second_share")
    return blinded_among(ctx.store, chosen.table, people, who=me, share=share)


def _take_outbox(
    ctx: Context, who: str, chosen: OpenSet, session: EditorSession, payload: object, *, layer: str
) -> bool:
    """Do what the browser says; say whether that was anything new."""
    if not take_new(session, "outbox", payload):
        return False
    try:
        message = parse_message(payload, dataset=chosen.key, layer=layer)
    except Refused as error:
        guard.log_refusal("a message of the editor", user=who, why=error)
        return False
    # What a person may do is asked now: the run that mounted the editor may be long ago.
    me = user_now(ctx, who)
    edited = {received.op.person for received in message.ops}
    renew_leases(ctx.store, session.leases, tuple(session.leases.people), who=me, edited=edited)
    answer = apply_message(
        ctx.store,
        message,
        who=me,
        base_of=chosen.frames.base_of,
        veiled=lambda people: _veiled(ctx, me, chosen, layer, people),
    )
    release_decided(ctx.store, session.leases, message, answer, who=me)
    for client, seq, why, text in answer.refused:
        guard.log_refusal("an edit", user=who, client=client, seq=seq, why=why, text=text)
    answers: list[tuple[Any, ...]] = [*answer.done, *answer.refused]
    for row in answers:
        session.results.pop((row[0], row[1]), None)
        session.results[row[0], row[1]] = row
    while len(session.results) > _MOST_RESULTS:
        session.results.pop(next(iter(session.results)))
    session.answer = answer
    return True


def _take_clip(
    ctx: Context, who: str, chosen: OpenSet, session: EditorSession, payload: object
) -> bool:
    """Do what is asked of a clip; say whether that was anything new."""
    if not take_new(session, "clip", payload):
        return False
    name = dict(zip(("tab", "n"), session.last_messages["clip"], strict=True))
    me = user_now(ctx, who)
    try:
        question = clips.parse_question(payload, chosen.key)
        scene = _scene(ctx, me, chosen, question.person.frame)
        if scene is None or session.request.layer != MAIN:
            raise Refused("this frame is of no clip", where=question.person.where, reason="gone")
    except Refused as error:
        guard.log_refusal("a question about a clip", user=who, why=error)
        session.clips.answer = name | {"error": str(error)}
        return True
    session.clips.answer = name | clips.answer(session.clips, question, scene, me)
    return True


def _take_view(session: EditorSession, payload: object) -> bool:
    if not take_new(session, "view", payload):
        return False
    assert isinstance(payload, Mapping)
    at, past = payload.get("pos"), payload.get("history")
    total = len(session.queue.rows) if session.queue is not None else 0
    if payload.get("v") != 1 or type(at) is not int or not 0 <= at < max(total, 1):
        guard.log_refusal("a view of the editor", user=session.user, at=repr(at)[:40])
        return False
    session.position = at
    session.history_of = past if isinstance(past, str) and len(past) < 40 else None
    session.clips.look = clips.parse_look(payload.get("clip"))
    session.clips.log = payload.get("log") is True
    return True


def _history(
    ctx: Context, me: User, chosen: OpenSet, session: EditorSession
) -> dict[str, Any] | None:
    frame, _, instance = (session.history_of or "").partition(":")
    if not (frame.isdecimal() and instance.isdecimal() and max(len(frame), len(instance)) < 10):
        return None
    person = Person(
        dataset=chosen.key, frame=int(frame), instance=int(instance), layer=session.request.layer
    )
    if _veiled(ctx, me, chosen, person.layer, [(person.frame, person.instance)]):
        return {"id": session.history_of, "events": []}
    return {"id": session.history_of, "events": newest_events(ctx.store, person)}


@dataclass
class EditorSession:
    """What a session remembers of its editor.

    `position`: the place in the queue round which the browser holds people; `goto` changes when
    the browser shall turn to it, or to `person`; `results`: answers by (client, seq).
    """

    key: str
    user: str
    request: QueueRequest = field(default_factory=QueueRequest)
    queue: ReviewQueue | None = None
    position: int = 0
    goto: str = ""
    answer: Answer = field(default_factory=Answer)
    results: dict[tuple[str, int], tuple[Any, ...]] = field(default_factory=dict)
    last_messages: dict[str, tuple[str, int]] = field(default_factory=dict)
    history_of: str | None = None
    person: str = ""
    address: tuple[str, ...] = ()
    query_error: str = ""
    leases: HeldLeases = field(default_factory=HeldLeases)
    ghosts: str = ""
    poses: Sequence[Mapping[str, Any]] = ()
    sent: tuple[str, Mapping[str, Any]] | None = None
    """The editor's key and what it was told last."""
    drawn: int = 0
    """How many of the page's elements this run has drawn: the style, then the editor."""
    stands_in: bool = False
    """Whether the editor is to stay as it was: in this run the database did not answer."""
    clips: clips.ClipSession = field(default_factory=clips.ClipSession)
    storing: threading.Lock = field(default_factory=threading.Lock)
    """Held while edits are stored: a run that begins meanwhile waits and tells of them."""


def results_of(session: EditorSession) -> dict[str, Any]:
    """Answers to a browser's edits, as it is told them."""
    results = [row for row in [*session.results.values()] if len(row) == 4]  # other runs add to it
    return {
        "tab": session.answer.tab,
        "n": session.answer.n,
        "done": [list(row) for row in results if type(row[2]) is int],
        "refused": [list(row) for row in results if type(row[2]) is str],
        "wait": session.answer.wait,
    }


def take_new(session: EditorSession, what: str, payload: object) -> bool:
    """Whether a state of the browser was not taken yet; it is from now on."""
    if not isinstance(payload, dict):
        return False
    name = (str(payload.get("tab"))[:80], payload.get("n"))
    if session.last_messages.get(what) == name:
        return False
    session.last_messages[what] = name  # type: ignore[assignment]
    return True
