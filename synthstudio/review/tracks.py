"""Clips and tracks of people, as reviewed.

A clip: the frames of one `clip_id`, variant and camera, by time. A track: people of a clip with one
number, at most one in a frame. The number is the data set's `track_id` until corrected.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from synthstudio.review.check import FIRST_OBJECT, MAX_INT
from synthstudio.review.history import in_frames, states
from synthstudio.review.models import EventRow, event_of, in_layer
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.store import Store
from synthstudio.review.values import FRAME, Event, ItemState, JointLabel, Pair, Person

_OF_CLIP = ("frame.clip_id", "frame.variant", "frame.camera_id")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip of a data set (`dataset`: its key). `frames`: time (from 0) -> frame, by time."""

    dataset: str
    frames: Mapping[int, int]


@dataclass(frozen=True, kw_only=True)
class Member:
    """A person in a frame of a clip; `time`: the frame's, from 0. `track` None: none yet."""

    person: Person
    time: int
    track: int | None
    state: ItemState
    on_disk: bool

    @property
    def exists(self) -> bool:
        return (self.on_disk or self.state.added) and not self.state.deleted

    @property
    def is_key(self) -> bool:
        """Whether it is a key frame: edited, added, approved or marked; not an interpolated one."""
        state = self.state
        by_hand = state.keyframe is None and bool(state.joints or state.added)
        return self.exists and bool(state.keyframe or by_hand or state.status == "approved")


def has_clips(table: PeopleTable) -> bool:
    return bool((table.arrays["frame.clip_id"] >= 0).any())


def clip_of(table: PeopleTable, frame: int) -> Clip | None:
    arrays = table.arrays
    index = arrays["frame.index"]
    rows = np.flatnonzero(index == frame)
    if not len(rows) or arrays["frame.clip_id"][rows[0]] < 0:
        return None
    same = np.ones(len(index), bool)
    for column in _OF_CLIP:
        same &= arrays[column] == arrays[column][rows[0]]
    found = zip(arrays["frame.clip_frame"][same].tolist(), index[same].tolist(), strict=True)
    return Clip(
        dataset=table.key, frames={int(time): int(number) for time, number in sorted(found)}
    )


def clip_order(table: PeopleTable, rows: Sequence[int]) -> list[int]:
    """Rows of people in clips, by person over time; others are left out."""
    arrays, at = table.arrays, table.arrays["frame_row"]
    track = np.nan_to_num(arrays["person.track_id"], nan=-1)
    clip, *others = (arrays[name][at] for name in _OF_CLIP)
    own = np.array([row for row in rows if clip[row] >= 0], np.int64)
    keys = (arrays["frame.clip_frame"][at], track, *others[::-1], clip)  # the first sorts last
    return [int(row) for row in own[np.lexsort([key[own] for key in keys])]]


def members(
    store: Store,
    table: PeopleTable,
    clip: Clip,
    *,
    blinded: Collection[Pair] = (),
    session: Session | None = None,
) -> list[Member]:
    """All people of a clip by time, also deleted ones; `blinded` (frame, instance) as on disk."""
    times = {frame: time for time, frame in clip.frames.items()}
    disk = _tracks_on_disk(table, clip)
    touched = states(store, clip.dataset, frames=times, session=session)
    found = []
    for pair in dict.fromkeys([*disk, *touched]):
        if pair[1] == FRAME or (pair not in disk and pair in blinded):
            continue
        person = Person(dataset=clip.dataset, frame=pair[0], instance=pair[1])
        state = ItemState(person=person)
        state = state if pair in blinded else touched.get(pair, state)
        track = state.track if state.track is not None else disk.get(pair)
        one = Member(
            person=person,
            time=times[pair[0]],
            track=track,
            state=state,
            on_disk=pair in disk,
        )
        found.append(one)
    return sorted(found, key=lambda m: (m.time, m.person.instance))


def _tracks_on_disk(table: PeopleTable, clip: Clip) -> dict[Pair, int | None]:
    """(frame, instance) -> track of all on disk in a clip."""
    rows = np.flatnonzero(np.isin(table.frame, list(clip.frames.values())))
    tracks = table.arrays["person.track_id"][rows].tolist()
    return {
        pair: None if np.isnan(track) else int(track)
        for pair, track in zip(table.ids(rows), tracks, strict=True)
    }


def same_track(people: Iterable[Member], track: int | None, only: Person) -> list[Member]:
    """The people of a track; without a track that person alone."""
    if track is None:
        return [one for one in people if one.person == only]
    return [one for one in people if one.track == track]


def free_track(people: Iterable[Member]) -> int:
    """The first number above all of a clip; the lowest free one if too large."""
    taken = {one.track for one in people if one.track is not None}
    above = max(taken, default=0) + 1
    return above if above <= MAX_INT else next(n for n in count(1) if n not in taken)


def free_instance(people: Iterable[Member], frame: int) -> int:
    """The first never used number above those of a frame."""
    numbers = (m.person.instance for m in people if m.person.frame == frame)
    return max((n for n in numbers if n < FIRST_OBJECT), default=0) + 1


def interpolated(
    first: Mapping[str, JointLabel],
    last: Mapping[str, JointLabel],
    share: float,
    size: tuple[int, int],
) -> dict[str, JointLabel]:
    """Labels between two key frames; `share`: elapsed fraction of the time between them.

    State and cause are those of the nearer, of the earlier in the middle. The position is linearly
    interpolated if both have one, else that of the nearer; none outside the picture.
    """
    near = first if share <= 0.5 else last
    found = {}
    for name in first.keys() & last.keys():
        label, a, b = near[name], first[name].place, last[name].place
        if a is not None and b is not None:
            x, y = (p + (q - p) * share for p, q in zip(a, b, strict=True))
            label = replace(label, x_px=round(x, 3), y_px=round(y, 3))
        found[name] = _placed(replace(label, origin="human"), size)
    return {name: found[name] for name in first if name in found}


def _placed(label: JointLabel, size: tuple[int, int]) -> JointLabel:
    if label.place is None or label.state is None:
        return label
    inside = label.is_inside(*size)
    if label.state == 0:
        return replace(label, x_px=None, y_px=None) if inside else label
    return label if inside else replace(label, state=0, cause="truncated")


def track_log(
    store: Store,
    table: PeopleTable,
    clip: Clip,
    track: int | None,
    *,
    blinded: Collection[Pair] = (),
) -> list[dict[str, str]]:
    """The log of a track, newest first: changes that added or removed people, and the earlier log
    of their previous tracks. Who, when (UTC) and what."""
    disk = _tracks_on_disk(table, clip)
    groups: dict[tuple[str, int | None, int | None], list[Event]] = {}
    kinds = EventRow.kind.in_(("edit", "add", "revert"))
    query = select(EventRow).where(in_layer(EventRow, clip.dataset), kinds)
    with store.reading() as session:
        rows = in_frames(session, query, EventRow.frame, clip.frames.values())
        events = [event for row in rows if "track" in (event := event_of(row)).after]
    for event in sorted(events, key=lambda e: e.id):
        pair = event.person.pair
        was, to = (
            disk.get(pair) if values["track"] is None else values["track"]
            for values in (event.before, event.after)
        )
        if was != to and pair not in blinded:
            groups.setdefault((event.client, was, to), []).append(event)  # type: ignore[arg-type]
    found, tracks = [], {track}
    for (_, was, to), some in sorted(groups.items(), key=lambda item: -item[1][-1].id):
        if tracks & {was, to}:
            found.append((was, to, some))
            tracks |= {was} if to in tracks and was is not None else set()
    return [
        {
            "who": some[-1].who,
            "when": some[-1].when.strftime("%d %b %H:%M"),
            "what": _change_text(was, to, some),
        }
        for was, to, some in found
    ]


def _change_text(was: int | None, to: int | None, events: Sequence[Event]) -> str:
    frames = sorted(event.person.frame for event in events)
    where = f"frame {frames[0]}" if len(frames) == 1 else f"frames {frames[0]} to {frames[-1]}"
    names = ["no track" if t is None else f"track {t}" for t in (was, to)]
    undo = ", undo" if events[-1].reverts is not None else ""
    return f"{where} ({len(frames)}): {names[0]} to {names[1]}{undo}"
