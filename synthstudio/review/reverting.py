"""Reverted and revertible events of a person."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from synthstudio.review.values import Event

Field = tuple[str, str | int]
PLAIN = ("status", "reason", "box", "masks", "deleted", "added", "rejected_models", "track",
         "keyframe")  # fmt: skip
"""Fields of a person that an event sets directly."""


def reverted_ids(events: Iterable[Event]) -> set[int]:
    """The ids of those of an item's events that were reverted, by reverts in force."""
    found: set[int] = set()
    for event in sorted(events, key=lambda e: e.revision, reverse=True):
        if event.reverts is not None and event.id not in found:
            found.add(event.reverts)
    return found


def blocking_event(events: Sequence[Event], target: Event) -> Event | None:
    """The event of the same item that must be reverted before `target`; None if none.

    `events`: all of the item. Values form one stack per field; a revert removes an event
    from its stacks, and the revert of a revert restores it. An event on its stacks can be
    reverted when it is on top of all; a revert, if the stacks are unchanged since.
    """
    by_id = {event.id: event for event in events}
    stacks: dict[Field, tuple[int, ...]] = {}
    left: dict[Field, tuple[int, ...]] = {}
    last: dict[Field, Event] = {}
    reverted = reverted_ids(events)
    for event in sorted(events, key=lambda e: e.revision):
        root, puts = root_of(event, by_id)
        for field in _fields(root):
            others = tuple(id for id in stacks.get(field, ()) if id != root.id)
            stacks[field] = (*others, root.id) if puts else others
            if event.id not in reverted:
                last[field] = event
        if event.id == target.id:
            left = dict(stacks)
    root, puts = root_of(target, by_id)
    answers = _answers(events, reverted, root) if puts else []
    if answers:
        return answers[-1]
    for field in sorted(_fields(root)):
        free = stacks[field][-1:] == (root.id,) if puts else stacks[field] == left[field]
        if not free:
            return last[field]
    return None


def root_of(event: Event, by_id: Mapping[int, Event]) -> tuple[Event, bool]:
    """The event that this one enables or disables, and which of the two."""
    puts = True
    while event.reverts is not None:
        event, puts = by_id[event.reverts], not puts
    return event, puts


def _fields(root: Event) -> set[Field]:
    """The values set by a non-revert event, in separately revertible parts."""
    joints: Mapping[str, Any] = root.after.get("joints", {})  # type: ignore[assignment]
    found: set[Field] = {("joint", name) for name in joints}
    found |= {("field", name) for name in PLAIN if name in root.after}
    if "comment" in root.after:
        found.add(("comment", root.id))
    if "resolved" in root.after:
        found.add(("resolved", int(root.after["thread"])))  # type: ignore[call-overload]
    return found


def is_orphan(events: Iterable[Event], gone: Collection[int], root: Event) -> bool:
    """Whether an event belongs to a reverted comment."""
    return "thread" in root.after and any(
        event.id == root.after["thread"] and event.id in gone for event in events
    )


def _answers(events: Iterable[Event], gone: Collection[int], first: Event) -> list[Event]:
    """The other events in force of a first comment's thread, oldest first."""
    return [
        event
        for event in events
        if event.reverts is None and event.id not in gone and event.after.get("thread") == first.id
    ]
