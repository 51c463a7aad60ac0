"""The people held by a browser: a part of the queue, with all data to draw.

The browser moves on without requests; it requests more before the window ends.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.rows import Row, hidden_by
from synthstudio.review.check import FIRST_OBJECT, finite_or_none, labels_of
from synthstudio.review.history import events, states
from synthstudio.review.leases import SECOND, leases
from synthstudio.review.masks import WHICH, sound_counts
from synthstudio.review.models import LeaseRow
from synthstudio.review.risk.predictions import predictions_in
from synthstudio.review.store import Store
from synthstudio.review.threads import Thread, mentions_of, threads_in
from synthstudio.review.values import (
    FRAME,
    MAIN,
    NO_PEOPLE,
    PREDICTED,
    UNLABELLED,
    Event,
    ItemState,
    JointLabel,
    Pair,
    Person,
    User,
)
from synthstudio.studio.context import OpenSet
from synthstudio.studio.editor.suggestions import frame_predictions, limbs
from synthstudio.studio.frame_data import UNTOUCHED, FrameRows, Frames, people_now
from synthstudio.studio.page_parts import API

BACK, AHEAD = 5, 18
"""How many people behind and ahead of the current one a browser holds."""
_THREADS, _ANSWERS = 30, 12
"""Threads of a person, and answers in each, shown without loading the history."""


@dataclass(frozen=True, kw_only=True)
class QueueWindow:
    """A window of a queue: `people` are (frame, instance) from place `start` on."""

    people: Sequence[Pair]
    start: int = 0
    layer: str = MAIN
    reasons: Sequence[Sequence[str]] = ()
    """Why each of `people` is listed; empty if not requested."""
    blinded: Collection[Pair] = ()
    """People in these frames whose reviews must be hidden."""
    elsewhere: Collection[Pair] = ()
    """People not on disk with a place of their own in the queue."""
    model: str = ""
    """The model whose predictions are shown under the labels; "": none."""
    alone: bool = False
    """Whether the browser may lack items of other people here: their masks are included."""


def span(at: int, total: int) -> tuple[int, int]:
    at = min(max(at, 0), max(total - 1, 0))
    return max(0, at - BACK), min(total, at + AHEAD + 1)


def items(store: Store, chosen: OpenSet, window: QueueWindow, *, who: User) -> list[dict[str, Any]]:
    """The people of a window as JSON values, with people added to their frames.

    The first item of a frame has its `people`, the others None: all people of the frame as edited,
    without deleted and with added ones. `closed` of an item and of one of these: why
    the person cannot be changed now, None if it can. Damaged masks are left out.
    """
    key, frames, layer = chosen.key, chosen.frames, window.layer
    listed = list(window.people)
    state_of = states(store, key, frames={frame for frame, _ in listed}, layer=layer)
    apart = {*listed, *window.elsewhere}
    others = (p for p in state_of if p not in apart and p[1] != FRAME)
    added = [p for p in others if p[1] not in frames.get(p[0]).people]
    held = leases(store, key, layer=layer)
    closed = partial(_closed, window=window, held=held, who=who)
    for person in window.blinded:
        state_of.pop(person, None)
    talk = threads_in(store, key, [p for p, s in state_of.items() if s.comments], layer=layer)
    known = predictions_in(store, key, window.model, {f for f, _ in listed}) if window.model else {}
    overlays = {
        frame: frame_predictions(some, frames.get(frame), state_of, frames.skeleton)
        for frame, some in known.items()
    }
    found: list[dict[str, Any]] = []
    described: set[int] = set()
    for place, person in enumerate(listed):
        frame = person[0]
        is_last = all(other != frame for other, _ in listed[place + 1 :])
        extra = [p for p in added if p[0] == frame] if is_last else []
        for one in [person, *extra]:
            lease = held.get(one)
            why = window.reasons[place] if window.reasons and one is person else ()
            item = _item(chosen, one, state_of.get(one, UNTOUCHED))
            item["people"] = None
            if frame not in described:
                described.add(frame)
                own = () if window.alone else {n for f, n in (*listed, *added) if f == frame}
                item["people"] = _people(frames, frame, state_of, closed, own)
            item["closed"] = closed(one)
            of, unmatched = overlays.get(frame, ({}, []))
            item["prediction"], item["found"] = of.get(one[1]), unmatched
            item["threads"] = [_thread(thread) for thread in talk.get(one, [])[-_THREADS:]]
            item["next_instance"] = _free_number(frames.get(frame), state_of)
            item["pos"] = window.start + place
            item["lease"] = lease.who if lease is not None and lease.who != who.name else None
            item["risk"], item["blinded"] = list(why), one in window.blinded
            found.append(item)
    return found


def skeleton_json(skeleton: Skeleton, poses: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """`poses`: see `suggestions.poses_of`."""
    return {
        "name": skeleton.title,
        "joints": list(skeleton.joints),
        "sides": list(skeleton.sides),
        "bones": [list(bone) for bone in skeleton.edges],
        "flip": skeleton.flip.tolist(),
        "limbs": limbs(skeleton),
        "poses": list(poses),
    }


def _free_number(found: FrameRows, state_of: Mapping[Pair, ItemState]) -> int:
    """The first number above those on disk that no added person has."""
    number = max([n for n in found.people if n < FIRST_OBJECT], default=0) + 1
    while (found.frame["index"], number) in state_of:
        number += 1
    return number


def picture_url(key: str, frame: int, kind: str) -> str:
    return f"{API}/sets/{key}/frames/{frame}/{kind}"


def _item(chosen: OpenSet, person: Pair, state: ItemState) -> dict[str, Any]:
    frame, instance = person
    found, skeleton = chosen.frames.get(frame), chosen.frames.skeleton
    row = found.people.get(instance)
    clean = chosen.source.clean_of(frame) not in (None, frame)
    depth = "depth" in found.frame["layers"]
    return {
        "id": f"{frame}:{instance}",
        "frame": frame,
        "instance": instance,
        "w": found.frame["width_px"],
        "h": found.frame["height_px"],
        "image": picture_url(chosen.key, frame, "image"),
        "clean": picture_url(chosen.key, frame, "clean") if clean else None,
        "depth": picture_url(chosen.key, frame, "depth") if depth else None,
        "exists": row is not None,
        "clip": found.frame["clip_id"],
        **(
            _labels(found, row, skeleton)
            if row is not None
            else _no_labels(skeleton, "added by hand" if instance else "no people labelled")
        ),
        "state": _state(state),
    }


def _labels(found: FrameRows, row: Row, skeleton: Skeleton) -> dict[str, Any]:
    """A person's constant data; every answer to an edit repeats it."""
    if row["instance"] not in found.made:
        found.made[row["instance"]] = _make_labels(found, row, skeleton)
    return found.made[row["instance"]]


def _make_labels(found: FrameRows, row: Row, skeleton: Skeleton) -> dict[str, Any]:
    labels = labels_of(row, skeleton.joints)
    joints = len(skeleton.joints)
    return {
        "base": [_joint(labels[name]) for name in skeleton.joints],
        "visibility_fractions": [
            [_rounded(v, 3) for v in row["visibility_fractions"][5 * j : 5 * j + 5]]
            for j in range(joints)
        ],
        "occluder": _occluders(found, row),
        "xyz": _points_3d(row["joints_camera_m"], joints),
        **{which: _mask(found, row, which) for which in WHICH},
        "facts": _facts(found.frame, row),
    }


def _no_labels(skeleton: Skeleton, fact: str) -> dict[str, Any]:
    return {
        "base": [_joint(UNLABELLED)] * len(skeleton.joints),
        "visibility_fractions": None,
        "occluder": [],
        **dict.fromkeys(("xyz", *WHICH)),
        "facts": [fact],
    }


def _joint(label: JointLabel) -> list[Any]:
    return [
        _rounded(label.x_px, 4),
        _rounded(label.y_px, 4),
        label.state,
        label.cause,
        label.origin,
    ]


def _thread(thread: Thread) -> dict[str, Any]:
    first, *answers = thread.comments
    shown = [first, *answers[-_ANSWERS:]]
    return {
        "id": thread.id,
        "open": thread.is_open,
        "joint": thread.joint,
        "more": len(thread.comments) - len(shown),
        "comments": [
            {
                "who": event.who,
                "when": event.when.strftime("%d %b %H:%M"),
                "text": str(event.after["comment"]),
                "mentions": mentions_of(event),
                "event": event.id,
            }
            for event in shown
        ],
    }


def _people(
    frames: Frames,
    frame: int,
    state_of: Mapping[Pair, ItemState],
    closed: Callable[[Pair], str | None],
    held: Collection[int],
) -> list[dict[str, Any]]:
    """All people of a frame as edited; `closed`: why one cannot be changed now.

    `held`: people with an item of their own, including masks. Of others, `masks` are those on disk
    and `drawn` those drawn by users, as in their items.
    """
    found = frames.get(frame)
    shown = []
    for number, state, labels in people_now(found, state_of, frames.skeleton.joints):
        row = found.people.get(number)
        if state.deleted:
            continue
        disk = _labels(found, row, frames.skeleton) if row is not None else {}
        counts = {which: disk[which]["counts"] for which in WHICH if disk}
        masks = {which: code for which, code in counts.items() if code}
        shown.append(
            {
                "instance": number,
                "joints": [_joint(labels.get(name, UNLABELLED)) for name in frames.skeleton.joints],
                "revision": state.revision,
                "status": state.status,
                "closed": closed((frame, number)),
                "masks": None if number in held else masks,
                "drawn": None if number in held else state.masks,
            }
        )
    return shown


def _closed(
    person: Pair, window: QueueWindow, held: Mapping[Pair, LeaseRow], who: User
) -> str | None:
    lease = held.get(person)
    if person in window.blinded:
        return "a second review is open"
    if lease is not None and lease.who != who.name:
        return f"held by {lease.who}"
    return "not among your second reviews" if window.layer == SECOND and lease is None else None


def _occluders(found: FrameRows, row: Row) -> list[str | None]:
    """What or who hides each joint; None: nothing else, or unknown."""
    kinds = zip(found.frame["object_instance"], found.frame["object_kind"], strict=True)
    kind_of = {instance: str(kind).replace("_", " ") for instance, kind in kinds}
    names: list[str | None] = []
    for j, pairs in enumerate(hidden_by(row)):
        others = [instance for instance, _ in pairs if instance != row["instance"]]
        objects = [kind_of.get(n, "object") for n in others if n >= FIRST_OBJECT]
        people = [f"person {n}" for n in others if n < FIRST_OBJECT]
        named = {"object": objects, "person": people}.get(row["cause"][j])
        names.append(named[0] if named else None)
    return names


def _facts(frame: Row, row: Row) -> list[str]:
    facts = [str(row["pose"]).replace("_", " ")] if row["pose"] else []
    if frame["variant"] not in (None, "", "base"):
        facts.append(f"variant {frame['variant']}")
    for column, word in (("occluded_fraction", "hidden"), ("truncated_fraction", "outside")):
        value = row[column]
        if value is not None and math.isfinite(value) and value >= 0.005:
            facts.append(f"{value:.0%} {word}")
    if row["depth_m"] is not None and math.isfinite(row["depth_m"]):
        facts.append(f"{row['depth_m']:.1f} m away")
    return facts


def _points_3d(flat: Sequence[float] | None, joints: int) -> list[list[float] | None] | None:
    if flat is None or len(flat) != 3 * joints:
        return None
    points = [flat[3 * j : 3 * j + 3] for j in range(joints)]
    found = [[round(v, 3) for v in p] if all(map(math.isfinite, p)) else None for p in points]
    return found if any(found) else None


def _mask(found: FrameRows, row: Row, which: str) -> dict[str, Any]:
    box = row[f"{which}_box_px"]
    rounded = None if box is None else [round(v, 2) for v in box]
    return {"box": rounded, "counts": sound_counts(row, which, found.size)}


def _state(state: ItemState) -> dict[str, Any]:
    joints = {name: _joint(label) for name, label in state.joints.items()}
    own = {"joints": joints, "rejected_models": state.rejected_models or []}
    return {name: v for name, v in (vars(state) | own).items() if name not in ("person", "when")}


def _rounded(value: float | None, digits: int) -> float | None:
    number = None if value is None else finite_or_none(value)
    return None if number is None else round(number, digits)


_SHAPES = {"box": "the box", "masks": "the masks"}
_MAX = 40  # events of a person shown


def newest_events(store: Store, person: Person) -> list[dict[str, str]]:
    found = events(store, person.dataset, person=person, limit=_MAX, newest=True)
    return [describe_event(event) for event in reversed(found)]


def describe_event(event: Event) -> dict[str, str]:
    after = event.after
    what: str = event.kind
    if event.kind in ("edit", "add"):
        joints: Mapping[str, Any] = after.get("joints", {})  # type: ignore[assignment]
        names = [*(word for field, word in _SHAPES.items() if after.get(field)), *joints]
        what = ", ".join(n.replace("_", " ") for n in names[:3]) + (
            f" and {len(names) - 3} more" if len(names) > 3 else ""
        )
        what = f"added a person ({len(joints)} joints)" if event.kind == "add" else what
        if joints and all(label["origin"] == PREDICTED for label in joints.values()):
            what += ", as predicted"
        what = ", ".join(filter(None, (what, *_over_time(event))))
    elif event.kind == "status":
        status = "no person in this frame" if after["status"] == NO_PEOPLE else str(after["status"])
        what = status + (f": {after['reason']}" if after["reason"] else "")
    elif event.kind == "reject_prediction":
        what = f"the prediction is wrong ({', '.join(after['rejected_models'])})"  # type: ignore[arg-type]
    elif event.kind == "comment":
        what = f"“{after['comment']}”" + (" (an answer)" if "thread" in after else "")
    elif event.kind in ("resolve", "reopen"):
        what = "resolved a thread" if event.kind == "resolve" else "reopened a thread"
    elif event.kind == "revert":
        what = f"reverted event {event.reverts}"
    return {"who": event.who, "when": event.when.strftime("%d %b %H:%M"), "what": what}


def _over_time(event: Event) -> Iterator[str]:
    before, after = event.before, event.after
    if "track" in after:
        yield f"track {after['track']}"
    mark = after.get("keyframe")
    if "keyframe" in after and (event.kind != "edit" or mark != before.get("keyframe")):
        yield "a key frame" if mark else "filled in" if after.get("joints") else "no key frame"
