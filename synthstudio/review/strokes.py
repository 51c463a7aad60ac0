"""Strokes: edits of many people that share a client, found again by it and taken back together."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from synthstudio.review.history import event_of
from synthstudio.review.models import EventRow, ItemRow
from synthstudio.review.reverting import reverted_ids
from synthstudio.review.values import MAIN, Event, Op


def events_of(session: Session, dataset: str, client: str) -> list[Event]:
    """The events of a stroke in the layer main, in order."""
    row = EventRow
    mine = select(row).where(row.dataset == dataset, row.layer == MAIN, row.client == client)
    return [event_of(found) for found in session.scalars(mine.order_by(row.id))]


def standing(session: Session, dataset: str, client: str) -> list[Event]:
    """The events of a stroke that were not taken back, in order."""
    row, again = EventRow, aliased(EventRow)
    reverts = (
        select(again)
        .join(
            row,
            (row.dataset == again.dataset)
            & (row.layer == again.layer)
            & (row.frame == again.frame)
            & (row.instance == again.instance),
        )
        .where(row.dataset == dataset, row.client == client, again.kind == "revert")
    )
    events = events_of(session, dataset, client)
    gone = reverted_ids(event_of(found) for found in session.scalars(reverts))
    return [event for event in events if event.id not in gone]


def reverts(session: Session, events: Sequence[Event], again: str) -> list[Op]:
    """Ops by which events are taken back, as a stroke named `again`."""
    return [
        Op(
            client=again,
            seq=seq,
            person=event.person,
            revision=session.get_one(ItemRow, event.person.key).revision,
            kind="revert",
            event=event.id,
        )
        for seq, event in enumerate(events, start=1)
    ]
