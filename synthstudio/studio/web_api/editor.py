"""Operations of the editor: queues, windows of people, histories, clips.

A queue is constant; the server caches recent ones. A dropped one (it was reopened) is refused
as "gone": its client opens it again.
"""

import secrets
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from synthstudio.core.errors import DatasetError, Refused
from synthstudio.core.images import decode_rgb
from synthstudio.core.last_used import LastUsed
from synthstudio.core.masks import encode
from synthstudio.review import clip_edits
from synthstudio.review.leases import SECOND
from synthstudio.review.team import members
from synthstudio.review.tracks import has_clips
from synthstudio.review.values import MAIN, may
from synthstudio.studio import frame_data
from synthstudio.studio.editor import clips, window
from synthstudio.studio.editor.ops import MAX_JOINTS, HeldLeases, Model, Strict, renew_leases
from synthstudio.studio.editor.queue import (
    EMPTY_TEXTS,
    NO_MATCH,
    QUEUES,
    QueueRequest,
    ReviewQueue,
    build_queue,
)
from synthstudio.studio.editor.suggestions import poses_of, segmented
from synthstudio.studio.overview import count_people, frames_left
from synthstudio.studio.web_api.calls import MAX_NUMBER, Json, Number, OnSet, SetCall, needs

MAX_QUEUES, MAX_EDITORS = 50, 2_000
"""Open queues of a user; users."""
Queues = LastUsed[str, tuple[str, ReviewQueue]]
router = APIRouter()


class Editors:
    """Open queues of each user, by name with their data set; leases, and previews of clips."""

    def __init__(self) -> None:
        self._queues: LastUsed[str, Queues] = LastUsed(MAX_EDITORS)
        self._leases: LastUsed[tuple[str, str, str], HeldLeases] = LastUsed(MAX_EDITORS)
        self._previews: LastUsed[tuple[str, str], clips.Previews] = LastUsed(MAX_EDITORS)

    def open(self, call: SetCall, order: ReviewQueue) -> str:
        name = secrets.token_hex(12)
        self._of(call).put(name, (call.chosen.key, order))
        return name

    def queue(self, call: SetCall, name: str) -> ReviewQueue:
        key, order = self._of(call).get(name) or (None, None)
        if order is None or key != call.chosen.key:
            raise Refused("this queue is no longer open", where="queue", reason="gone")
        return order

    def _of(self, call: SetCall) -> Queues:
        return self._queues.get_or(call.me.name, lambda: LastUsed(MAX_QUEUES))

    def leases(self, call: SetCall, layer: str) -> HeldLeases:
        return self._leases.get_or((call.me.name, call.chosen.key, layer), HeldLeases)

    def previews(self, call: SetCall) -> clips.Previews:
        return self._previews.get_or((call.me.name, call.chosen.key), dict)


class QueueBody(QueueRequest):
    """Selection and start: `frame` and `instance` go first if `query` omits them.

    `query`: as of `synthstudio filter`; `todo`: only undecided people; `model`: whose predictions
    are shown.
    """

    query: str = Field("", max_length=10_000)
    model: Model = ""
    frame: Annotated[int, Field(ge=0, le=MAX_NUMBER)] | None = None
    instance: Annotated[int, Field(ge=0, le=MAX_NUMBER)] = 0


@router.post("/sets/{set}/queues")
def open_queue(call: OnSet, body: QueueBody, request: Request) -> JSONResponse:
    """Open a queue of people; returns it with its first window and the set's constants."""
    table, editors = call.chosen.table, _editors(request)
    try:
        order = build_queue(call.ctx.store, table, body, who=call.me)
    except DatasetError as error:
        raise Refused(str(error), where="query", reason="invalid") from error
    at, person = 0, None
    if body.frame is not None:
        order = order.with_first(table, body.frame, body.instance)
        person = f"{body.frame}:{body.instance}"
        at = order.place_near(table, body.frame, body.instance)
    name = editors.open(call, order)
    return JSONResponse(
        {
            "queue": {
                "key": name,
                "id": body.queue,
                "query": body.query,
                "total": len(order.rows),
                "label": QUEUES[body.queue],
                "empty": EMPTY_TEXTS.get(body.queue, NO_MATCH),
                "layer": body.layer,
                "model": body.model,
            },
            "person": person,
            "members": [*members.members(call.ctx.store)],
            "skeleton": window.skeleton_json(call.chosen.skeleton, poses_of(table)),
            "clips": body.layer == MAIN and has_clips(table),
        }
        | _window(call, editors, order, at)
    )


@router.get("/sets/{set}/queues/{queue}")
def get_window(
    call: OnSet, queue: str, request: Request, at: Annotated[int, Query(ge=0, le=MAX_NUMBER)] = 0
) -> JSONResponse:
    """The people around a place of a queue, as shown in the editor."""
    editors = _editors(request)
    return JSONResponse(_window(call, editors, editors.queue(call, queue), at))


def _editors(request: Request) -> Editors:
    found: Editors = request.app.state.editors
    return found


def _window(call: SetCall, editors: Editors, order: ReviewQueue, at: int) -> Json:
    layer = order.request.layer
    at = min(at, max(len(order.rows) - 1, 0))
    start, stop = window.span(at, len(order.rows))
    people = order.people(call.chosen.table, start, stop)
    wanted = [call.person(*pair, layer) for pair in people]
    renew_leases(call.ctx.store, editors.leases(call, layer), wanted, who=call.me)
    with call.ctx.store.snapshot():
        shown = window.QueueWindow(
            start=start,
            people=people,
            layer=layer,
            model=order.request.model,
            reasons=[*map(order.reasons, range(start, stop))],
            elsewhere=order.extra,
        )
        items, progress = items_of(call, shown), progress_of(call)
    can = {"edit": may(call.me.role, "edit"), "masks": layer == MAIN}
    return {"at": at, "can": can, "items": items, "progress": progress}


def progress_of(call: SetCall) -> Json:
    people = count_people(call.ctx.store, call.chosen.key)
    found = {"done": people.decided, "total": people.total, "empty_frames": people.empty_frames}
    if not call.chosen.dataset.people:  # only frames remain
        found["frames"] = call.chosen.dataset.frames
        found["frames_left"] = frames_left(call.ctx.store, call.chosen)
    return found


def items_of(call: SetCall, shown: window.QueueWindow) -> list[Json]:
    frames = {frame: call.chosen.frames.get(frame) for frame, _ in shown.people}
    beside = {(frame, n) for frame, found in frames.items() for n in found.people}
    shown = replace(shown, blinded=call.hidden({*shown.people, *beside}, shown.layer))
    return window.items(call.ctx.store, call.chosen, shown, who=call.me)


@router.get("/sets/{set}/people/{frame}/{instance}/events")
def get_events(
    call: OnSet, frame: Number, instance: Number, layer: Literal["main", "second"] = "main"
) -> Json:
    """A person's events in words, the newest first; none in blind reviews."""
    if layer == SECOND and not call.browser:
        raise Refused("blind second reviews require the studio", where="layer", reason="role")
    if call.hidden([(frame, instance)], layer):
        return {"events": []}
    person = call.person(call.frame(frame), instance, layer)
    return {"events": window.newest_events(call.ctx.store, person)}


_Px = Annotated[float, Field(strict=False, ge=-1e6, le=1e6)]


class SegmentBody(Strict):
    """`points`: x, y of the person; `box`: x, y, width, height round the person; pixels."""

    points: list[Annotated[tuple[_Px, _Px], Field(strict=False)]] = Field(
        min_length=1, max_length=MAX_JOINTS
    )
    box: Annotated[tuple[_Px, _Px, _Px, _Px], Field(strict=False)] | None = None


@router.post("/sets/{set}/frames/{frame}/segment", dependencies=[needs("edit")])
def segment(call: OnSet, frame: Number, body: SegmentBody) -> Json:
    """Suggest a mask for the person at some points, by GrabCut or the studio's `--segmenter`."""
    data = frame_data.image(call.chosen.source, call.frame(frame))
    rgb = decode_rgb(data, f"frame {frame}")
    model = call.ctx.settings.segmenter
    return dict(encode(segmented(rgb, body.points, body.box, model, who=call.me.name)))


class StripQuery(BaseModel):
    """`track`: of a frame without it; `log`: whether to include the track's changes."""

    track: int | None = Field(None, ge=0, le=MAX_NUMBER)
    log: bool = False


@router.get("/sets/{set}/clips/{frame}/{instance}")
def get_strip(
    call: OnSet, frame: Number, instance: Number, query: Annotated[StripQuery, Query()]
) -> JSONResponse:
    """The strip of a person's clip, and the person in the neighbouring frames."""
    scene = _scene(call, call.frame(frame))
    strip, beside = clips.strip(scene, (frame, instance), query.track, log=query.log)
    return JSONResponse({"clip": strip, "items": items_of(call, window.QueueWindow(people=beside))})


@router.post("/sets/{set}/clips", dependencies=[needs("edit")])
def edit_clip(call: OnSet, body: clips.ClipRequest, request: Request) -> Json:
    """Preview and fill interpolated labels, split, join and renumber tracks, undo one of these."""
    scene = _scene(call, call.frame(body.frame))
    return clips.answer(_editors(request).previews(call), body, scene, call.me)


def _scene(call: SetCall, frame: int) -> clip_edits.Scene:
    found = clips.scene_of(call.ctx.store, call.chosen, frame, call.hidden)
    if found is None:
        raise Refused("this frame belongs to no clip", where=f"frame {frame}", reason="gone")
    return found
