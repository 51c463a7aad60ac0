"""What the page Review does: a session's seat at the editor, and the editor over its queue."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from synthstudio.core.errors import DatasetError, Refused
from synthstudio.review import history
from synthstudio.review.leases import SECOND
from synthstudio.review.settings import share_of
from synthstudio.review.team.second_pass import blinded_among
from synthstudio.review.values import MAIN, Event, Person, User, may
from synthstudio.studio import guard
from synthstudio.studio.components import mount_editor
from synthstudio.studio.context import Context, OpenSet, context, current_user, image_url
from synthstudio.studio.editor import window
from synthstudio.studio.editor.outbox import Answer, Held, book_of, deliver, keep, let_go, read
from synthstudio.studio.editor.queue import QUEUES, Ask, Order, order_of
from synthstudio.studio.overview import progress_of
from synthstudio.studio.text import plain

_TOLD = 300  # answers that a session says again, for a browser that missed a run
_STYLE = """<style>
.stMainBlockContainer { padding: 2.7rem .75rem .5rem; max-width: none; }
.stMain [data-testid="stVerticalBlock"] { gap: .25rem; }
</style>"""


@dataclass
class Seat:
    """What a session remembers of its editor.

    `at`: the place in the queue round which the browser holds people; `goto` changes when the
    browser shall turn to it, or to `person`; `told`: answers by (client, seq).
    """

    key: str
    user: str
    ask: Ask = field(default_factory=Ask)
    order: Order | None = None
    at: int = 0
    goto: str = ""
    answer: Answer = field(default_factory=Answer)
    told: dict[tuple[str, int], tuple[Any, ...]] = field(default_factory=dict)
    seen: dict[str, tuple[str, int]] = field(default_factory=dict)
    past: str | None = None
    person: str = ""
    address: tuple[str, ...] = ()
    mistake: str = ""
    held: Held = field(default_factory=Held)


def show() -> None:
    """Show the editor and take in what it says."""
    ctx, me = context(), current_user()
    chosen = ctx.chosen()
    seat = _seat(chosen, me, fresh=not _is_open(chosen, me))
    st.html(_STYLE)
    _choices(seat)
    if seat.order is None:
        seat.order = _ordered(ctx, chosen, me, seat)
    if seat.mistake:
        st.error(plain(seat.mistake))

    layer = seat.ask.layer
    name = _name(chosen, me, layer)

    def heard() -> None:
        value = st.session_state[name]
        _take_view(seat, value.get("view"))
        _take_outbox(ctx, me.name, chosen, seat, value.get("outbox"), layer=layer)

    said = mount_editor(
        _data(ctx, me, chosen, seat),
        key=name,
        on_outbox=heard,
        on_view=heard,
    )
    # After a restart of the server a session is new: its callbacks are not called for what the
    # browser says again.
    new = _take_view(seat, said["view"])
    if _take_outbox(ctx, me.name, chosen, seat, said["outbox"], layer=layer) or new:
        st.rerun()


def _name(chosen: OpenSet, me: User, layer: str) -> str:
    """Return the editor's key: each layer has an editor, and a box of edits, of its own."""
    return f"editor {chosen.key[:16]} {layer} {me.name}"


def _is_open(chosen: OpenSet, me: User) -> bool:
    return any(_name(chosen, me, layer) in st.session_state for layer in (MAIN, SECOND))


def _seat(chosen: OpenSet, me: User, *, fresh: bool) -> Seat:
    seat = st.session_state.get("review_seat")
    if not isinstance(seat, Seat) or seat.key != chosen.key or seat.user != me.name:
        seat = Seat(key=chosen.key, user=me.name)
        st.session_state["review_seat"] = seat
    asked = tuple(st.query_params.get(name, "") for name in ("frame", "instance", "q", "queue"))
    if fresh and any(asked) and asked != seat.address:
        seat.address = asked
        queue = asked[3] if asked[3] in QUEUES else seat.ask.queue
        seat.ask = Ask(queue=queue, query=asked[2] or "", todo=False)
        seat.order = None
    return seat


def _choices(seat: Seat) -> None:
    """Let the person choose the queue."""
    for name in ("queue", "query", "todo"):
        st.session_state[f"review_{name}"] = getattr(seat.ask, name)

    def changed() -> None:
        values = {n: st.session_state[f"review_{n}"] for n in ("queue", "query", "todo")}
        seat.ask = Ask(**values)
        seat.order, seat.address = None, ()

    with st.sidebar:
        st.selectbox(
            "Queue",
            list(QUEUES),
            key="review_queue",
            format_func=lambda q: QUEUES[q],
            on_change=changed,
        )
        st.text_input(
            "Only people who",
            key="review_query",
            max_chars=10_000,
            on_change=changed,
            placeholder="any wrist hidden by object",
            help="The language of `synthstudio filter`.",
        )
        st.toggle("Only undecided", key="review_todo", on_change=changed)


def _ordered(ctx: Context, chosen: OpenSet, me: User, seat: Seat) -> Order:
    """Return the queue anew and set where the browser shall begin."""
    table = chosen.table
    seat.mistake = ""
    try:
        order = order_of(ctx.store, table, seat.ask, who=me)
    except DatasetError as error:
        seat.mistake = str(error)
        order = order_of(ctx.store, table, Ask(queue=seat.ask.queue), who=me)
    seat.at, seat.goto, seat.person = 0, secrets.token_hex(6), ""
    if seat.address and all(text.isdecimal() and len(text) < 10 for text in seat.address[:2]):
        frame, instance = int(seat.address[0]), int(seat.address[1])
        order = order.with_first(table, frame, instance)
        seat.person = f"{frame}:{instance}"
        seat.at = order.place_near(table, frame, instance)
    return order


def _data(ctx: Context, me: User, chosen: OpenSet, seat: Seat) -> dict[str, Any]:
    """Return what the browser shall hold now."""
    assert seat.order is not None
    order, total = seat.order, len(seat.order.rows)
    start, stop = window.span(seat.at, total)
    shown = order.people(chosen.table, start, stop)
    stretch = window.Stretch(
        start=start,
        people=shown,
        reasons=order.reasons(start, stop),
        veiled=_veiled(ctx, me, chosen, seat, shown),
    )
    people = [
        Person(dataset=chosen.key, frame=frame, instance=instance, layer=seat.ask.layer)
        for frame, instance in stretch.people
    ]
    keep(ctx.store, seat.held, people, who=me)
    found = window.items(
        ctx.store,
        chosen.key,
        frames_of(chosen),
        stretch,
        who=me,
        layer=seat.ask.layer,
        url=lambda kind, frame: image_url(ctx, me, chosen, kind=kind, frame=frame),  # type: ignore[arg-type]
        clean_of=chosen.source.clean_of,
    )
    return {
        "dataset": book_of(chosen.key, seat.ask.layer),
        "user": me.name,
        "can": {"edit": may(me.role, "edit")},
        "skeleton": window.skeleton_json(chosen.skeleton),
        "queue": {
            "id": order.ask.queue,
            "query": order.ask.query,
            "total": total,
            "label": QUEUES[order.ask.queue],
            "empty": _EMPTY.get(order.ask.queue, _NOBODY),
        },
        "at": seat.at,
        "goto": seat.goto,
        "person": seat.person,
        "items": found,
        "results": _results(seat),
        "history": _history(ctx, me, chosen, seat),
        "progress": progress_of(ctx.store, chosen.key),
    }


def _veiled(
    ctx: Context, me: User, chosen: OpenSet, seat: Seat, people: Sequence[tuple[int, int]]
) -> set[tuple[int, int]]:
    """Return those of `people` of whom the layer main may not be shown yet."""
    if seat.ask.layer != MAIN:
        return set()
    share = share_of(ctx.store, chosen.key, "second_share")
    return blinded_among(ctx.store, chosen.table, people, who=me, share=share)


_NOBODY = "Nobody here fits. Ask for less in the sidebar."
_EMPTY = {
    "second": "You hold nobody for a second look. Take people on the page Team.",
    "mine": "Nobody is assigned or leased to you. Claim people on the page Risk queue.",
}


@st.cache_resource(max_entries=16, show_spinner=False)
def _frames(key: str, _chosen: OpenSet) -> window.Frames:
    return window.Frames(_chosen.dataset, _chosen.skeleton)


def frames_of(chosen: OpenSet) -> window.Frames:
    """Return the frames of a data set that all sessions share."""
    return _frames(f"{chosen.key} {id(chosen)}", chosen)


def _results(seat: Seat) -> dict[str, Any]:
    told = [row for row in seat.told.values() if len(row) == 4]
    return {
        "tab": seat.answer.tab,
        "n": seat.answer.n,
        "done": [list(row) for row in told if type(row[2]) is int],
        "refused": [list(row) for row in told if type(row[2]) is str],
        "wait": seat.answer.wait,
    }


def _is_new(seat: Seat, what: str, payload: object) -> bool:
    """Say whether a state of the browser was not taken yet; it is from now on."""
    if not isinstance(payload, dict):
        return False
    name = (str(payload.get("tab"))[:80], payload.get("n"))
    if seat.seen.get(what) == name:
        return False
    seat.seen[what] = name  # type: ignore[assignment]
    return True


def _take_outbox(
    ctx: Context, who: str, chosen: OpenSet, seat: Seat, payload: object, *, layer: str
) -> bool:
    """Do what the browser says; say whether that was anything new."""
    if not _is_new(seat, "outbox", payload):
        return False
    try:
        message = read(payload, dataset=chosen.key, layer=layer)
    except Refused as error:
        guard.refused("a message of the editor", user=who, why=error)
        return False
    # What a person may do is asked now: the run that mounted the editor may be long ago.
    me = User(name=who, role=ctx.role_of(who) or "viewer")
    edited = {said.op.person for said in message.ops}
    keep(ctx.store, seat.held, tuple(seat.held.people), who=me, edited=edited)
    answer = deliver(ctx.store, message, who=me, base_of=frames_of(chosen).base_of)
    let_go(ctx.store, seat.held, message, answer, who=me)
    for client, seq, why, text in answer.refused:
        guard.refused("an edit", user=who, client=client, seq=seq, why=why, text=text)
    answers: list[tuple[Any, ...]] = [*answer.done, *answer.refused]
    for row in answers:
        seat.told.pop((row[0], row[1]), None)
        seat.told[row[0], row[1]] = row
    while len(seat.told) > _TOLD:
        seat.told.pop(next(iter(seat.told)))
    seat.answer = answer
    return True


def _take_view(seat: Seat, payload: object) -> bool:
    if not _is_new(seat, "view", payload):
        return False
    assert isinstance(payload, Mapping)
    at, past = payload.get("pos"), payload.get("history")
    total = len(seat.order.rows) if seat.order is not None else 0
    if payload.get("v") != 1 or type(at) is not int or not 0 <= at < max(total, 1):
        guard.refused("a view of the editor", user=seat.user, at=repr(at)[:40])
        return False
    seat.at = at
    seat.past = past if isinstance(past, str) and len(past) < 40 else None
    return True


def _history(ctx: Context, me: User, chosen: OpenSet, seat: Seat) -> dict[str, Any] | None:
    frame, _, instance = (seat.past or "").partition(":")
    if not (frame.isdecimal() and instance.isdecimal() and max(len(frame), len(instance)) < 10):
        return None
    person = Person(
        dataset=chosen.key, frame=int(frame), instance=int(instance), layer=seat.ask.layer
    )
    if _veiled(ctx, me, chosen, seat, [(person.frame, person.instance)]):
        return {"id": seat.past, "events": []}
    found = history.events(ctx.store, chosen.key, person=person)
    return {"id": seat.past, "events": [_told(event) for event in reversed(found[-40:])]}


def _told(event: Event) -> dict[str, str]:
    """Return an event in words."""
    after = event.after
    what: str = event.kind
    if event.kind in ("edit", "add"):
        names = list(after["joints"])  # type: ignore[call-overload]
        what = ", ".join(n.replace("_", " ") for n in names[:3]) + (
            f" and {len(names) - 3} more" if len(names) > 3 else ""
        )
        what = f"added a person ({len(names)} joints)" if event.kind == "add" else what
    elif event.kind == "status":
        what = str(after["status"]) + (f": {after['reason']}" if after["reason"] else "")
    elif event.kind == "comment":
        what = f"“{after['comment']}”"
    elif event.kind == "revert":
        what = f"took event {event.reverts} back"
    return {"who": event.who, "when": event.when.strftime("%d %b %H:%M"), "what": what}
