"""Read operations: data sets, frames, people, decisions, comments, predictions."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import FileResponse, Response

from synthstudio.core.errors import FormatError, Refused
from synthstudio.core.masks import as_rle, counts_box
from synthstudio.core.safe_files import file_inside
from synthstudio.review.check import labels_of
from synthstudio.review.history import (
    DECIDING,
    added_people,
    event_json,
    events,
    is_decision,
    states,
)
from synthstudio.review.masks import WHICH, Size, masks_on_disk
from synthstudio.review.risk.predictions import prediction_layers, predictions_in
from synthstudio.review.risk.review_fields import ME
from synthstudio.review.threads import mentions_of, thread_list, threads_in
from synthstudio.review.values import (
    FRAME,
    NO_PEOPLE,
    UNLABELLED,
    Event,
    ItemState,
    JointLabel,
    Kind,
    Pair,
    Status,
)
from synthstudio.studio import frame_data
from synthstudio.studio.frame_data import UNTOUCHED
from synthstudio.studio.jobs import job_store
from synthstudio.studio.jobs.orders import output_folder
from synthstudio.studio.overview import count_people
from synthstudio.studio.web_api.calls import (
    MAX_NUMBER,
    AnyCall,
    Json,
    Number,
    OnSet,
    Page,
    Paged,
    SetCall,
    needs,
    on_set,
)

router = APIRouter()
_SET = "/sets/{set}"
_AT_ONCE = 500
_SCANNED = 20_000
"""People examined per page, for rare statuses."""


@router.get("/me")
def me(call: AnyCall) -> Json:
    """This token's owner and role."""
    return {"name": call.me.name, "role": call.me.role}


@router.get("/sets")
def sets(call: AnyCall) -> Json:
    """The open data sets."""
    return {"sets": [one_set(on_set(call, key)) for key in call.ctx.sets]}


@router.get(_SET)
def one_set(call: OnSet) -> Json:
    """One data set: its size, joints and progress."""
    chosen, people = call.chosen, count_people(call.ctx.store, call.chosen.key)
    return {
        "key": chosen.key,
        "name": chosen.name,
        "frames": chosen.dataset.frames,
        "people": people.total,
        "status": dict(people.status),
        "empty_frames": people.empty_frames,
        "skeleton": chosen.skeleton.title,
        "joints": list(chosen.skeleton.joints),
    }


@router.get(f"{_SET}/frames")
def frames(call: OnSet, page: Paged) -> Json:
    """Frames, by number."""
    found, last = _stretch(call, page)
    return {"frames": _frames(call, found), "next": last}


def _stretch(call: SetCall, page: Page) -> tuple[range, int | None]:
    """The frames of a page, and the cursor of the next."""
    start = 0 if page.after is None else page.after + 1
    stop = min(start + page.limit, call.chosen.dataset.frames)
    return range(start, stop), stop - 1 if stop < call.chosen.dataset.frames else None


def _frames(call: SetCall, indices: Sequence[int]) -> list[Json]:
    """Frames; `empty` and `revision`: whether marked as without people."""
    chosen, pairs = call.chosen, [(index, FRAME) for index in indices]
    now = states(call.ctx.store, chosen.key, people=pairs, masks=False)
    for pair in call.hidden([*now]):
        del now[pair]
    found = []
    for pair in pairs:
        rows, state = chosen.frames.get(pair[0]), now.get(pair, UNTOUCHED)
        found.append(
            {
                "frame": pair[0],
                "width_px": rows.frame["width_px"],
                "height_px": rows.frame["height_px"],
                "on_disk": sorted(rows.people),
                "empty": state.status == NO_PEOPLE,
                "revision": state.revision,
            }
        )
    return found


@router.get(f"{_SET}/frames/{{frame}}")
def one_frame(call: OnSet, frame: Number) -> Json:
    """A frame with the current state of its people."""
    chosen, index = call.chosen, call.frame(frame)
    found = chosen.frames.get(index)
    touched = states(call.ctx.store, chosen.key, frames=[index])
    added = [n for _, n in touched if n not in found.people]
    pairs = [(index, n) for n in [*found.people, *added] if n != FRAME]
    return _frames(call, [index])[0] | {"people": _people(call, pairs)}


_PICTURE_HEADERS = {
    "Cache-Control": "private, max-age=1800, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
_THUMB_PX = 96
MAX_CROP_PX = 1024


@router.get(f"{_SET}/frames/{{frame}}/{{kind}}", response_class=Response)
def picture(
    call: OnSet, frame: Number, kind: Literal["image", "clean", "depth", "thumbnail"]
) -> Response:
    """Its picture, that without occluders, its depth (near is bright), or a small picture."""
    source, index = call.chosen.source, call.frame(frame)
    if kind == "clean" and (clean := source.clean_of(index)) is not None:
        index = clean
    elif kind == "clean":
        raise Refused("no variant without occluders", where=f"frame {index}", reason="gone")
    if kind == "depth":
        data, media = frame_data.depth(source, call.chosen.frames.get(index).frame), "image/png"
    elif kind == "thumbnail":
        key, cache, media = ("thumbnail", call.chosen.key, index), call.ctx.cache, "image/jpeg"
        data = cache.get_or(key, lambda: frame_data.small(source, index, size=_THUMB_PX))
    else:
        data, media = frame_data.image(source, index), frame_data.media_type(source, index)
    return Response(data, media_type=media, headers=_PICTURE_HEADERS)


class CropQuery(BaseModel):
    size: int = Field(256, ge=16, le=MAX_CROP_PX, description="its side, px")
    labels: bool = Field(False, description="draw the current labels")
    edited: int = Field(0, description="any number; a new one bypasses a browser's cache")


@router.get(f"{_SET}/people/{{frame}}/{{instance}}/crop", response_class=Response)
def crop(
    call: OnSet, frame: Number, instance: Number, query: Annotated[CropQuery, Query()]
) -> Response:
    """A crop of a person as a JPEG; in blind second reviews, with the labels on disk."""
    chosen, pair = call.chosen, (call.frame(frame), instance)
    now = states(call.ctx.store, chosen.key, people=[pair], masks=False) if query.labels else {}
    state = None if pair not in now or call.hidden([pair]) else now[pair]
    data = call.ctx.cache.get_or(
        (chosen.key, *pair, query.size, query.labels, 0 if state is None else state.revision),
        lambda: frame_data.crop(
            chosen.source,
            chosen.table,
            *pair,
            size=query.size,
            labels=query.labels,
            changed=None if state is None else state.joints,
        ),
    )
    return Response(data, media_type="image/jpeg", headers=_PICTURE_HEADERS)


@router.get("/jobs/{job}/archive", response_class=FileResponse, dependencies=[needs("export")])
def archive(call: AnyCall, job: Number) -> FileResponse:
    """The archive of an export."""
    found, settings = job_store.job(call.ctx.store, job), call.ctx.settings
    if found.kind != "export" or found.state != "done":
        raise Refused("not a finished export", where=f"job {job}", reason="gone")
    name = output_folder(settings, found.out).with_suffix(".zip").name
    try:
        path = file_inside(settings.exports, name, where=f"job {job}")
    except FormatError as error:
        raise Refused("its file no longer exists", where=f"job {job}", reason="gone") from error
    headers = _PICTURE_HEADERS | {"Cache-Control": "no-store"}
    return FileResponse(path, filename=name, media_type="application/zip", headers=headers)


class PeoplePage(Page):
    after: str | None = Field(None, pattern="^[0-9]{1,10}:[0-9]{1,10}$")  # type: ignore[assignment]
    status: Status | None = Field(None, description="only these; without blinded people")


@router.get(f"{_SET}/people")
def people(call: OnSet, page: Annotated[PeoplePage, Query()]) -> Json:
    """People on disk and added ones, by frame and number, without deleted ones.

    With `status`, people hidden by a blind second review are left out.
    """
    chosen, limit, status = call.chosen, page.limit, page.status
    first, _, instance = (page.after or "0:-1").partition(":")
    table, added = chosen.table, added_people(call.ctx.store, chosen.key)
    on_disk = (table.frame.astype(np.int64) << 32) | table.instance.astype(np.int64)
    more = np.array([(frame << 32) | n for frame, n in added], np.int64)
    waiting = np.unique(np.concatenate([on_disk, more]))
    waiting = waiting[waiting > (int(first) << 32) + int(instance)]
    found: list[Json] = []
    looked = 0
    while looked < min(len(waiting), _SCANNED) and len(found) < limit:
        some = waiting[looked : looked + _AT_ONCE]
        pairs = [(int(n) >> 32, int(n) & MAX_NUMBER) for n in some]
        now = states(call.ctx.store, chosen.key, people=pairs, masks=False)
        hidden = call.hidden(pairs)
        for pair in pairs:
            looked += 1
            blinded = pair in hidden
            state = UNTOUCHED if blinded else now.get(pair, UNTOUCHED)
            if not state.deleted and status in (None, None if blinded else state.status):
                found.append(_brief(pair, state, blinded=blinded))
                if len(found) == limit:
                    break
    last = int(waiting[looked - 1]) if looked else 0
    after = f"{last >> 32}:{last & MAX_NUMBER}" if looked < len(waiting) else None
    return {"people": found, "next": after}


def _brief(pair: Pair, state: ItemState, *, blinded: bool = False) -> Json:
    """`blinded`: for a second review, with a state as unreviewed."""
    return {
        "frame": pair[0],
        "instance": pair[1],
        "status": state.status,
        "revision": state.revision,
        "who": state.who,
        "added": state.added,
        "blinded": blinded,
    }


@router.get(f"{_SET}/people/{{frame}}/{{instance}}")
def person(call: OnSet, frame: Number, instance: Number) -> Json:
    """A person's current state: status, revision, joints, box, masks, comments."""
    found = _people(call, [(call.frame(frame), instance)])
    if not found:
        where = call.person(frame, instance).where
        raise Refused("no such person", where=where, reason="gone")
    return found[0]


def _people(call: SetCall, pairs: list[Pair]) -> list[Json]:
    chosen, store = call.chosen, call.ctx.store
    hidden = call.hidden(pairs)
    now = states(store, chosen.key, people=pairs)
    talk = threads_in(store, chosen.key, [p for p in pairs if p not in hidden])
    found = []
    for pair in pairs:
        row, size = chosen.frames.get(pair[0]).people.get(pair[1]), chosen.frames.get(pair[0]).size
        reviewed = pair in now and pair not in hidden
        state = now[pair] if reviewed else UNTOUCHED
        if row is None and not state.added:
            continue
        labels = labels_of(row, chosen.skeleton.joints) if row is not None else {}
        labels |= dict(state.joints)
        masks = masks_on_disk(row, size) | (state.masks or {})
        box = list(row["modal_box_px"]) if row is not None and row["modal_box_px"] else None
        if reviewed:
            box = counts_box(masks["modal"], size) if "modal" in masks else state.box or box
        found.append(
            _brief(pair, state, blinded=pair in hidden)
            | {
                "exists": row is not None,
                "deleted": state.deleted,
                "reason": state.reason,
                "box": box,
                "masks": {which: as_rle(masks.get(which), size) for which in WHICH},
                "joints": {
                    name: joint_json(labels.get(name, UNLABELLED))
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


def joint_json(label: JointLabel) -> list[Any]:
    """Return a joint as [x, y, state, cause, origin], as in ops."""
    return [label.x_px, label.y_px, label.state, label.cause, label.origin]


def state_json(state: ItemState, size: Size) -> Json:
    """Return the current state for a refused op; `size`: height and width of the picture."""
    joints = {name: joint_json(label) for name, label in state.joints.items()}
    pair = state.person.pair
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


class ThreadPage(Page):
    open: Literal["yes", "no"] | None = None
    mentions: str | None = Field(None, description="only those mentioning this name; me: caller")


@router.get(f"{_SET}/threads")
def threads(call: OnSet, page: Annotated[ThreadPage, Query()]) -> Json:
    """Threads of comments by their first event; without those hidden by a second review."""
    found = thread_list(
        call.ctx.store,
        call.chosen.key,
        is_open=None if page.open is None else page.open == "yes",
        mentions=call.me.name if page.mentions == ME else page.mentions,
        after_id=page.after or 0,
        limit=page.limit,
    )
    hidden = call.hidden([(one.frame, one.instance) for one in found])
    shown = [
        {
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
        for one in found
        if (one.frame, one.instance) not in hidden
    ]
    return {"threads": shown, "next": found[-1].id if len(found) == page.limit else None}


@router.get(f"{_SET}/decisions")
def decisions(call: OnSet, page: Paged) -> Json:
    """Decisions, oldest first, as sent to webhooks."""
    found, last = _events(call, page, DECIDING)
    return {"decisions": [event_json(e) for e in found if is_decision(e)], "next": last}


@router.get(f"{_SET}/comments")
def comments(call: OnSet, page: Paged) -> Json:
    """Comments on all people, oldest first; including reverted ones."""
    found, last = _events(call, page, ("comment",))
    shown = [_comment(e) | {"frame": e.person.frame, "instance": e.person.instance} for e in found]
    return {"comments": shown, "next": last}


def _events(call: SetCall, page: Page, kinds: tuple[Kind, ...]) -> tuple[list[Event], int | None]:
    store, key = call.ctx.store, call.chosen.key
    found = events(store, key, kinds=kinds, after_id=page.after or 0, limit=page.limit)
    hidden = call.hidden(list({e.person.pair for e in found}))
    shown = [e for e in found if e.person.pair not in hidden]
    return shown, found[-1].id if len(found) == page.limit else None


@router.get(f"{_SET}/predictions")
def layers(call: OnSet) -> Json:
    """The networks with stored predictions, with their numbers of people."""
    return {"layers": dict(prediction_layers(call.ctx.store, call.chosen.key))}


@router.get(f"{_SET}/predictions/{{layer}}")
def predictions(call: OnSet, layer: str, page: Paged) -> Json:
    """A network's predictions for the people of some frames."""
    found, last = _stretch(call, page)
    stored = predictions_in(call.ctx.store, call.chosen.key, layer, found)
    rows = [vars(p) for _, some in sorted(stored.items()) for p in some]
    return {"predictions": rows, "next": last}
