"""Which events of a person were taken back, and which may be now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from synthstudio.review.values import Event

Field = tuple[str, str | int]
PLAIN = ("status", "reason", "box", "masks", "deleted", "added", "distrusts", "track", "keyed")
"""Fields of a person that an event sets as they are."""


def reverted_ids(events: Iterable[Event]) -> set[int]:
    """The ids of those of an item's events that were reverted, by reverts that hold."""
    found: set[int] = set()
    for event in sorted(events, key=lambda e: e.revision, reverse=True):
        if event.reverts is not None and event.id not in found:
            found.add(event.reverts)
    return found


def blocking_event(events: Sequence[Event], target: Event) -> Event | None:
    """The event of the same item that must be reverted before `target`; None if nothing must.

    `events`: all of the item. What they set lies in one stack per field; a revert takes an event
    off its stacks, and the revert of a revert puts it back. An event that is on its stacks can be
    reverted when it is on top of all; one that took another off, when they are as it left them.
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
    """What an event puts into force or takes out of it, and which of the two it does."""
    puts = True
    while event.reverts is not None:
        event, puts = by_id[event.reverts], not puts
    return event, puts


def _fields(root: Event) -> set[Field]:
    """What an event that reverts nothing set, in parts that can be reverted one by one."""
    joints: Mapping[str, Any] = root.after.get("joints", {})  # type: ignore[assignment]
    found: set[Field] = {("joint", name) for name in joints}
    found |= {("field", name) for name in PLAIN if name in root.after}
    if "comment" in root.after:
        found.add(("comment", root.id))
    if "resolved" in root.after:
        found.add(("resolved", int(root.after["thread"])))  # type: ignore[call-overload]
    return found


def is_orphan(events: Iterable[Event], gone: Collection[int], root: Event) -> bool:
    """Whether what an event says belongs to a comment that was taken back."""
    return "thread" in root.after and any(
        event.id == root.after["thread"] and event.id in gone for event in events
    )


def _answers(events: Iterable[Event], gone: Collection[int], first: Event) -> list[Event]:
    """What still holds in the thread of a first comment beside it, oldest first."""
    return [
        event
        for event in events
        if event.reverts is None and event.id not in gone and event.after.get("thread") == first.id
    ]
