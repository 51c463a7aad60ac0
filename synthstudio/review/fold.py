"""What events add up to. One rule makes the stored items and proves them again.

An event's `before` and `after` hold the same keys: joints (name -> label, None: as the data set
says), status and reason, deleted, added, comment (None: taken back).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from synthstudio.review.models import EventRow, ItemRow
from synthstudio.review.values import Event, ItemState, JointLabel, Person

Field = tuple[str, str | int]


def label_json(label: JointLabel) -> dict[str, Any]:
    """Return a joint as the store keeps it."""
    return asdict(label)


def labels(joints: Mapping[str, Any]) -> dict[str, JointLabel]:
    """Return stored joints as labels; those that are None are left out."""
    return {name: JointLabel(**value) for name, value in joints.items() if value is not None}


def state_of(row: ItemRow) -> ItemState:
    """Return a stored item."""
    return ItemState(
        person=Person(dataset=row.dataset, frame=row.frame, instance=row.instance, layer=row.layer),
        revision=row.revision,
        status=row.status,  # type: ignore[arg-type]
        reason=row.reason,
        joints=labels(row.joints),
        deleted=row.deleted,
        added=row.added,
        who=row.who,
        when=row.when,
        comments=row.comments,
    )


def event_of(row: EventRow) -> Event:
    """Return a stored event."""
    return Event(
        id=row.id,
        person=Person(dataset=row.dataset, frame=row.frame, instance=row.instance, layer=row.layer),
        revision=row.revision,
        kind=row.kind,  # type: ignore[arg-type]
        who=row.who,
        when=row.when,
        before=row.before,
        after=row.after,
        client=row.client,
        seq=row.seq,
        reverts=row.reverts,
    )


def step(state: ItemState, event: Event) -> ItemState:
    """Return what an item is after one more event."""
    after: Mapping[str, Any] = event.after
    changed: Mapping[str, Any] = after.get("joints", {})
    kept = {name: label for name, label in state.joints.items() if name not in changed}
    comments = (after.get("comment") is not None) - (event.before.get("comment") is not None)
    return replace(
        state,
        revision=event.revision,
        who=event.who,
        when=event.when,
        joints=kept | labels(changed),
        comments=state.comments + comments,
        **{name: after[name] for name in _PLAIN if name in after},
    )


_PLAIN = ("status", "reason", "deleted", "added")


def snapshot(state: ItemState, after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an item says now of all that `after` will change: an event's `before`."""
    before: dict[str, Any] = {name: getattr(state, name) for name in _PLAIN if name in after}
    if "joints" in after:
        before["joints"] = {
            name: label_json(state.joints[name]) if name in state.joints else None
            for name in after["joints"]
        }
    if "comment" in after:
        before["comment"] = None
    return before


def undone(events: Iterable[Event]) -> set[int]:
    """Return the ids of an item's events that are taken back by others that hold."""
    found: set[int] = set()
    for event in sorted(events, key=lambda e: e.revision, reverse=True):
        if event.reverts is not None and event.id not in found:
            found.add(event.reverts)
    return found


def in_the_way(events: Sequence[Event], target: Event) -> list[Event]:
    """Return the later events that changed what `target` changed, and still hold.

    `events`: all of the item. A revert of a later event only takes that one back, so it is not
    in the way.
    """
    by_id = {event.id: event for event in events}
    gone, wanted = undone(events), _fields(target, by_id)
    return [
        event
        for event in events
        if event.revision > target.revision
        and event.id not in gone
        and not (event.reverts is not None and by_id[event.reverts].revision > target.revision)
        and wanted & _fields(event, by_id)
    ]


def _fields(event: Event, by_id: Mapping[int, Event]) -> set[Field]:
    """Return what an event changed, in parts that can be taken back one by one."""
    joints: Mapping[str, Any] = event.after.get("joints", {})  # type: ignore[assignment]
    found: set[Field] = {("joint", name) for name in joints}
    found |= {("field", name) for name in _PLAIN if name in event.after}
    if "comment" in event.after:
        root = event
        while root.reverts is not None:
            root = by_id[root.reverts]
        found.add(("comment", root.id))
    return found
