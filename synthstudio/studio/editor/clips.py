"""Clips in the editor: the strip of a person's frames, and edits over all of them.

A clip edit is named by the browser, so one sent twice is applied once; only what the last
preview counted is filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from synthstudio.core.errors import DatasetError, Refused
from synthstudio.review import clip_edits
from synthstudio.review.clip_edits import Interpolation, Result, Scene
from synthstudio.review.risk.predictions import box_of
from synthstudio.review.store import Store
from synthstudio.review.tracks import Member, clip_of, free_track, same_track, track_log
from synthstudio.review.values import FRAME, JointLabel, Pair, Person, User
from synthstudio.studio.context import OpenSet
from synthstudio.studio.editor.ops import Number, Strict
from synthstudio.studio.editor.window import picture_url
from synthstudio.studio.page_parts import without_paths

AROUND = 20
"""Frames before and after the current one in a strip."""
BESIDE = 2
"""Frames before and after the current one whose items a browser holds."""
_MAX_LEFT = 12
_MAX_LOG = 20
Previews = dict[bool, tuple[Person, Interpolation]]
"""The last previews, by whether they cover the whole track."""


_EditName = Annotated[str, Field(pattern="^clip[A-Za-z0-9]{8,60}$")]


class ClipRequest(Strict):
    """An edit over a clip, from a person on. `client`: its name; `undoes`: the edit to undo;
    `to`: a track; `whole`: fill the whole track, not only around the current frame."""

    action: Literal["preview", "fill", "split", "join", "rename", "undo"]
    frame: Number
    instance: Annotated[Number, Field(ge=1)]
    client: _EditName
    undoes: _EditName | None = None
    to: Number = 0
    whole: bool = False

    @model_validator(mode="after")
    def _names_what_it_undoes(self) -> ClipRequest:
        if self.action == "undo" and self.undoes is None:
            raise ValueError("an undo must name its edit")
        return self


def scene_of(
    store: Store,
    chosen: OpenSet,
    frame: int,
    blinded: Callable[[Sequence[Pair]], Collection[Pair]],
) -> Scene | None:
    """The clip of a frame; None outside clips. `blinded`: people hidden from the user."""
    table = chosen.table
    clip = clip_of(table, frame)
    if clip is None:
        return None
    rows = np.flatnonzero(np.isin(table.frame, list(clip.frames.values())))
    return Scene(
        store=store,
        table=table,
        clip=replace(clip, dataset=chosen.key),
        base_of=chosen.frames.base_of,
        blinded=blinded(table.ids(rows)),
    )


def answer(previews: Previews, body: ClipRequest, scene: Scene, who: User) -> dict[str, Any]:
    """Apply the edit; return its result as JSON values, an "error" if refused."""
    echo = {"action": body.action, "client": body.client}
    person = Person(dataset=scene.clip.dataset, frame=body.frame, instance=body.instance)
    try:
        if body.action == "preview":
            for whole in (False, True):
                found = clip_edits.interpolation(scene, person, around=not whole)
                previews[whole] = person, found
            return {**echo, "near": _preview(previews[False]), "whole": _preview(previews[True])}
        done = _run(previews, body, person, scene, who)
    except Refused as refused:
        return {**echo, "error": without_paths(refused)}
    except DatasetError:
        return {**echo, "error": "This frame cannot be read."}
    left = [*done.left[:_MAX_LEFT]]
    more = len(done.left) - len(left)
    return {**echo, "people": done.people, "unchanged": left + ([f"{more} more"] if more else [])}


def _run(previews: Previews, body: ClipRequest, person: Person, scene: Scene, who: User) -> Result:
    client = body.client
    if body.action == "split":
        return clip_edits.split(scene, person, client, who=who)
    if body.action == "join":
        return clip_edits.join(scene, person, body.to, client, who=who)
    if body.action == "rename":
        return clip_edits.rename(scene, person, body.to, client, who=who)
    if body.action == "undo":
        return clip_edits.undo(scene, str(body.undoes), client, who=who)
    of, found = previews.get(body.whole, (None, None))
    if of != person or found is None:
        raise Refused(
            "the preview has expired",
            where=person.where,
            then="Preview again.",
            reason="gone",
        )
    return clip_edits.interpolate(scene, found, client, who=who)


def _preview(preview: tuple[Person, Interpolation]) -> dict[str, Any]:
    _, found = preview
    return {
        "keys": list(found.keys),
        "people": len(found.fills),
        "added": sum(one.kind == "add" for one in found.fills),
        "joints": found.joints,
        "unchanged": list(found.left[:_MAX_LEFT]),
    }


def strip(
    scene: Scene, of: Pair, track: int | None, *, log: bool
) -> tuple[dict[str, Any], list[Pair]]:
    """The strip of a person as JSON values; the person beside, (frame, 0) where absent.

    `of`: a frame and person, or (frame, 0) for the place of `track` in a frame without it.
    """
    members, frames = scene.members(), list(scene.clip.frames.values())
    if of[1] != FRAME:
        track = next((m.track for m in members if m.person.pair == of), None)
    only = Person(dataset=scene.clip.dataset, frame=of[0], instance=of[1])
    # Existing people before deleted ones.
    shown = sorted(same_track(members, track, only), key=lambda m: m.exists)
    mine, at = {one.person.frame: one for one in shown}, frames.index(of[0])
    start = max(0, at - AROUND)
    there = [one for one in mine.values() if one.exists]
    found = {
        "id": f"{of[0]}:{of[1]}",
        "track": track,
        "free_track": free_track(members),
        "place": at,
        "total": len(frames),
        "start": start,
        "people": len(there),
        "keys": [one.person.frame for one in there if one.is_key],
        "frames": [_frame(f, mine.get(f), scene) for f in frames[start : at + AROUND + 1]],
        "tracks": _tracks(members),
        "log": None,
    }
    if log:
        lines = track_log(scene.store, scene.table, scene.clip, track, blinded=scene.blinded)
        found["log"] = lines[:_MAX_LOG]
    near = frames[max(0, at - BESIDE) : at + BESIDE + 1]
    return found, [(f, mine[f].person.instance if f in mine else FRAME) for f in near]


def _frame(frame: int, one: Member | None, scene: Scene) -> dict[str, Any]:
    shown = one if one is not None and one.exists else None
    blinded = one is not None and (frame, one.person.instance) in scene.blinded
    state = one.state if one is not None else None
    edited = state is not None and bool(state.joints or state.added)
    filled = edited and state is not None and state.keyframe is False
    return {
        "frame": frame,
        "instance": one.person.instance if one is not None else FRAME,
        "exists": shown is not None,
        "blinded": blinded,
        "status": "deleted" if one and not shown else state.status if state else "",
        "mark": "key" if shown and shown.is_key else "filled" if filled else "",
        "edited": edited,
        "box": _box(shown, scene) if shown else None,
        "thumb": picture_url(scene.clip.dataset, frame, "thumbnail"),
    }


def _box(one: Member, scene: Scene) -> list[float] | None:
    """The box round a person's joints, relative to the picture: x, y, width, height."""
    base = scene.base_of(one.person)
    labels: dict[str, JointLabel] = {**(base.joints or {}), **one.state.joints}
    places = [label.place for label in labels.values() if label.state and label.place is not None]
    size = base.size[::-1]
    box = box_of(np.clip(np.array(places, np.float64).reshape(-1, 2), 0, size) / size)
    return [round(v, 4) for v in box] if places else None


def _tracks(members: Sequence[Member]) -> list[dict[str, Any]]:
    found: dict[int, list[int]] = {}
    for one in members:
        if one.exists and one.track is not None:
            found.setdefault(one.track, []).append(one.person.frame)
    return [
        {"track": track, "people": len(frames), "first": frames[0], "last": frames[-1]}
        for track, frames in sorted(found.items())
    ]
