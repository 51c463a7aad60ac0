"""What was decided on people, as other programs are told of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from synthstudio.review.history import event_of
from synthstudio.review.models import EventRow
from synthstudio.review.store import Store
from synthstudio.review.values import MAIN, Event, Kind

DECIDING: tuple[Kind, ...] = ("status", "delete", "restore", "revert")
TALKED: tuple[Kind, ...] = ("comment", "resolve", "reopen")
_DECIDED = ("status", "reason", "deleted", "added")
_SAID = ("comment", "joint", "mentions", "resolved", "thread")


def events_of(
    store: Store,
    dataset: str,
    kinds: Sequence[Kind],
    *,
    after_id: int = 0,
    limit: int = 100,
) -> list[Event]:
    """Return the events of some kinds of the layer main, oldest first, at most `limit`."""
    query = select(EventRow).where(
        EventRow.dataset == dataset,
        EventRow.layer == MAIN,
        EventRow.id > after_id,
        EventRow.kind.in_(kinds),
    )
    with store.reading() as session:
        return [event_of(row) for row in session.scalars(query.order_by(EventRow.id).limit(limit))]


def is_decision(event: Event) -> bool:
    """Whether an event sets a status or deletes somebody, or takes that back."""
    return event.kind in DECIDING and any(name in event.after for name in _DECIDED)


def event_json(event: Event) -> dict[str, Any]:
    """Return a decision, or an event of a thread, as plain JSON values.

    Who made it of whom, and what is so since.
    """
    return {
        "event": event.id,
        "dataset": event.person.dataset,
        "frame": event.person.frame,
        "instance": event.person.instance,
        "revision": event.revision,
        "kind": event.kind,
        "who": event.who,
        "when": event.when.isoformat(),
        "takes_back": event.reverts,
        **{name: event.after[name] for name in (*_DECIDED, *_SAID) if name in event.after},
    }
