"""Operations that only look: data sets, frames, people, decisions, comments, predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from synthstudio.core.errors import Refused
from synthstudio.review.check import labels_of
from synthstudio.review.comments import Listed, thread_list, threads_in
from synthstudio.review.history import (
    DECIDING,
    added_people,
    event_json,
    events,
    is_decision,
    states,
    states_in,
)
from synthstudio.review.masks import WHICH, Size, as_rle, box_of, masks_on_disk
from synthstudio.review.risk.predictions import Prediction, prediction_layers, predictions_in
from synthstudio.review.risk.review_fields import ME
from synthstudio.review.threads import mentions_of
from synthstudio.review.values import (
    FRAME,
    NOBODY,
    STATUSES,
    Event,
    ItemState,
    JointLabel,
    Kind,
)
from synthstudio.studio.context import OpenSet
from synthstudio.studio.drawing import pictures
from synthstudio.studio.editor.outbox import invalid
from synthstudio.studio.overview import count_people
from synthstudio.studio.web_api.calls import (
    MAX_NUMBER,
    Call,
    Json,
    Pair,
    Picture,
    to_whole,
)

_AT_ONCE = 500
_SCANNED = 20_000
"""So many people a page looks at, for a status that few have."""


def me(call: Call) -> Json:
    return {"name": call.me.name, "role": call.me.role}


def sets(call: Call) -> Json:
    return {"sets": [_set(call, chosen) for chosen in call.ctx.sets.values()]}


def one_set(call: Call) -> Json:
    return _set(call, call.chosen)


def _set(call: Call, chosen: OpenSet) -> Json:
    people = count_people(call.ctx.store, chosen.key)
    return {
        "key": chosen.key,
        "name": chosen.name,
        "frames": chosen.dataset.frames,
        "people": people.total,
        "status": dict(people.status),
        "nobody": people.nobody,
        "skeleton": chosen.skeleton.title,
        "joints": list(chosen.skeleton.joints),
    }


def frames(call: Call) -> Json:
    """A page of frames, by number."""
    chosen, limit = call.chosen, call.limit
    after = to_whole(call.query["after"], "after") if "after" in call.query else -1
    stop = min(after + 1 + limit, chosen.dataset.frames)
    found = _frames(call, range(after + 1, stop))
    return {"frames": found, "next": stop - 1 if stop < chosen.dataset.frames else None}


def _frames(call: Call, indices: Sequence[int]) -> list[Json]:
    """Return frames; `nobody` and `revision`: whether nobody is in it, as was decided."""
    chosen, pairs = call.chosen, [(index, FRAME) for index in indices]
    now = states(call.ctx.store, chosen.key, people=pairs, masks=False)
    for pair in call.hidden([*now]):
        del now[pair]
    return [_frame(chosen, pair[0], now.get(pair)) for pair in pairs]


def _frame(chosen: OpenSet, index: int, state: ItemState | None) -> Json:
    found = chosen.frames.get(index)
    return {
        "frame": index,
        "width_px": found.frame["width_px"],
        "height_px": found.frame["height_px"],
        "on_disk": sorted(found.people),
        "nobody": state is not None and state.status == NOBODY,
        "revision": 0 if state is None else state.revision,
    }


def one_frame(call: Call) -> Json:
    """A frame with all its people as they stand."""
    chosen, index = call.chosen, _frame_number(call)
    found = chosen.frames.get(index)
    added = [n for f, n in states_in(call.ctx.store, chosen.key, [index]) if n not in found.people]
    pairs = [(index, n) for n in [*found.people, *added] if n != FRAME]
    return _frames(call, [index])[0] | {"people": _people(call, pairs)}


def image(call: Call) -> Picture:
    source, index = call.chosen.source, _frame_number(call)
    return Picture(pictures.image(source, index), pictures.media_type(source, index))


def _frame_number(call: Call) -> int:
    index = call.whole("frame")
    if index >= call.chosen.dataset.frames:
        raise Refused("the data set does not hold this frame", where=str(index), reason="gone")
    return index


def people(call: Call) -> Json:
    """A page of people on disk and added ones, by frame and number, without deleted ones.

    With a `status` those are left out whose status may not be told: a second look is blind.
    """
    status = call.query.get("status")
    if status is not None and status not in STATUSES:
        invalid("no such status", "status", ", ".join(STATUSES), status)
    chosen, limit = call.chosen, call.limit
    waiting = _numbers(call)
    waiting = waiting[waiting > _cursor(call.query.get("after"))]
    found: list[Json] = []
    looked = 0
    while looked < min(len(waiting), _SCANNED) and len(found) < limit:
        some = waiting[looked : looked + _AT_ONCE]
        pairs = [(int(n) >> 32, int(n) & MAX_NUMBER) for n in some]
        now = states(call.ctx.store, chosen.key, people=pairs, masks=False)
        hidden = call.hidden(pairs)
        for pair in pairs:
            looked += 1
            state = None if pair in hidden else now.get(pair)
            gone = state is not None and state.deleted
            blind = pair in hidden
            now_is = None if blind else "pending" if state is None else state.status
            if not gone and status in (None, now_is):
                found.append(_brief(pair, state, blind=blind))
                if len(found) == limit:
                    break
    last = int(waiting[looked - 1]) if looked else 0
    more = looked < len(waiting)
    return {"people": found, "next": f"{last >> 32}:{last & MAX_NUMBER}" if more else None}


def _numbers(call: Call) -> Any:
    """Return all people as one rising number each: frame and number."""
    table, store = call.chosen.table, call.ctx.store
    on_disk = (table.frame.astype(np.int64) << 32) | table.instance.astype(np.int64)
    added = [(frame << 32) | n for frame, n in added_people(store, call.chosen.key)]
    return np.unique(np.concatenate([on_disk, np.array(added, np.int64)]))


def _cursor(text: str | None) -> int:
    if text is None:
        return -1
    frame, colon, instance = text.partition(":")
    if not colon:
        invalid("this is no place in the list", "after", "`next` of the page before", text)
    return (to_whole(frame, "after") << 32) | to_whole(instance, "after")


def _brief(pair: Pair, state: ItemState | None, *, blind: bool = False) -> Json:
    """Return where somebody stands; `blind`: as if nobody had looked, for a second look."""
    return {
        "frame": pair[0],
        "instance": pair[1],
        "status": "pending" if state is None else state.status,
        "revision": 0 if state is None else state.revision,
        "who": None if state is None else state.who,
        "added": state is not None and state.added,
        "blind": blind,
    }


def person(call: Call) -> Json:
    """One person as reviewers left it."""
    found = _people(call, [(_frame_number(call), call.whole("instance"))])
    if not found:
        raise Refused("there is no such person", where=call.person.where, reason="gone")
    return found[0]


def _people(call: Call, pairs: list[Pair]) -> list[Json]:
    """Return people with their joints; those who are neither on disk nor added are left out."""
    chosen, store = call.chosen, call.ctx.store
    hidden = call.hidden(pairs)
    now = states(store, chosen.key, people=pairs)
    talk = threads_in(store, chosen.key, [p for p in pairs if p not in hidden])
    found = []
    for pair in pairs:
        row = chosen.frames.get(pair[0]).people.get(pair[1])
        state = None if pair in hidden else now.get(pair)
        if row is None and (state is None or not state.added):
            continue
        labels = labels_of(row, chosen.skeleton.joints) if row is not None else {}
        labels |= dict(state.joints) if state is not None else {}
        size = chosen.frames.get(pair[0]).size
        masks = masks_on_disk(row, size)
        box = list(row["modal_box_px"]) if row is not None and row["modal_box_px"] else None
        if state is not None:
            masks |= state.masks or {}
            box = box_of(masks["modal"], size) if "modal" in masks else state.box or box
        found.append(
            _brief(pair, state, blind=pair in hidden)
            | {
                "exists": row is not None,
                "deleted": state is not None and state.deleted,
                "reason": "" if state is None else state.reason,
                "box": box,
                "masks": {which: as_rle(masks.get(which), size) for which in WHICH},
                "joints": {
                    name: joint_json(labels[name]) if name in labels else _UNLABELLED
                    for name in chosen.skeleton.joints
                },
                "comments": sorted(
                    (_comment(event) for thread in talk.get(pair, []) for event in thread.comments),
                    key=lambda one: one["event"],
                ),
                "threads": [
                    {"thread": thread.id, "open": thread.is_open, "joint": thread.joint}
                    for thread in talk.get(pair, [])
                ],
            }
        )
    return found


_UNLABELLED = [None, None, None, "unlabelled", "human"]


def joint_json(label: JointLabel) -> list[Any]:
    """Return a joint as [x, y, state, cause, origin], as ops say it."""
    return [label.x_px, label.y_px, label.state, label.cause, label.origin]


def state_json(state: ItemState, size: Size) -> Json:
    """Return what a refused op should have seen; `size`: height and width of the picture."""
    joints = {name: joint_json(label) for name, label in state.joints.items()}
    pair = state.person.frame, state.person.instance
    masks = {which: as_rle(counts, size) for which, counts in (state.masks or {}).items()}
    shapes = {"box": state.box, "masks": masks or None}
    return _brief(pair, state) | {"deleted": state.deleted, "joints": joints, **shapes}


def _comment(event: Event) -> Json:
    return {
        "event": event.id,
        "who": event.who,
        "when": event.when.isoformat(),
        "text": event.after.get("comment"),
        "thread": event.after.get("thread", event.id),
        "joint": event.after.get("joint"),
        "mentions": mentions_of(event),
    }


def threads(call: Call) -> Json:
    """A page of threads by their number, without those on people whose first look is hidden."""
    is_open = {"yes": True, "no": False, None: None}.get(call.query.get("open"), "")
    if is_open == "":
        invalid("this is no choice", "open", "yes or no", call.query.get("open"))
    mentions = call.query.get("mentions")
    found = thread_list(
        call.ctx.store,
        call.chosen.key,
        is_open=is_open if isinstance(is_open, bool) else None,
        mentions=call.me.name if mentions == ME else mentions,
        after_id=call.after,
        limit=call.limit,
    )
    hidden = call.hidden([(one.frame, one.instance) for one in found])
    shown = [_thread(one) for one in found if (one.frame, one.instance) not in hidden]
    return {"threads": shown, "next": found[-1].id if len(found) == call.limit else None}


def _thread(one: Listed) -> Json:
    return {
        "thread": one.id,
        "frame": one.frame,
        "instance": one.instance,
        "joint": one.joint,
        "open": one.is_open,
        "who": one.who,
        "when": one.when.isoformat(),
        "comments": one.comments,
        "mentions": list(one.mentions),
    }


def decisions(call: Call) -> Json:
    """A page of decisions, as webhooks are told of them."""
    found, last = _events(call, DECIDING)
    return {"decisions": [event_json(e) for e in found if is_decision(e)], "next": last}


def comments(call: Call) -> Json:
    """A page of comments on all people, also of those that were taken back."""
    found, last = _events(call, ("comment",))
    told = [_comment(e) | {"frame": e.person.frame, "instance": e.person.instance} for e in found]
    return {"comments": told, "next": last}


def _events(call: Call, kinds: tuple[Kind, ...]) -> tuple[list[Event], int | None]:
    limit = call.limit
    store, key = call.ctx.store, call.chosen.key
    found = events(store, key, kinds=kinds, after_id=call.after, limit=limit)
    hidden = call.hidden(list({(e.person.frame, e.person.instance) for e in found}))
    told = [e for e in found if (e.person.frame, e.person.instance) not in hidden]
    return told, found[-1].id if len(found) == limit else None


def layers(call: Call) -> Json:
    """The networks whose predictions are stored, with how many people."""
    return {"layers": dict(prediction_layers(call.ctx.store, call.chosen.key))}


def predictions(call: Call) -> Json:
    """The predictions of a network in a stretch of frames."""
    chosen, limit = call.chosen, call.limit
    after = to_whole(call.query["after"], "after") if "after" in call.query else -1
    stop = min(after + 1 + limit, chosen.dataset.frames)
    told = predictions_in(
        call.ctx.store, chosen.key, str(call.path["layer"]), range(after + 1, stop)
    )
    rows = [prediction_json(p) for _, some in sorted(told.items()) for p in some]
    return {"predictions": rows, "next": stop - 1 if stop < chosen.dataset.frames else None}


def prediction_json(p: Prediction) -> Json:
    return {
        "frame": p.frame,
        "instance": p.instance,
        "score": p.score,
        "joints": {name: list(point) for name, point in p.joints.items()},
        "causes": dict(p.causes),
    }
