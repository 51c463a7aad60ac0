"""What every edit keeps to in clips: nobody is in a frame twice; what a move of a joint is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from synthstudio.review.check import Base, invalid
from synthstudio.review.models import ItemRow
from synthstudio.review.values import FRAME, ItemState, JointLabel


def check_track(session: Session, old: ItemState, after: Mapping[str, Any], base: Base) -> None:
    """Refuse a change by which two people of a frame would have one track."""
    person = old.person
    was = (base.exists or old.added) and not old.deleted
    now = (base.exists or after.get("added", old.added)) and not after.get("deleted", old.deleted)
    track = after.get("track", old.track)
    track = base.tracks.get(person.instance) if track is None else track
    if track is None or not now or (was and "track" not in after):
        return
    found = session.execute(
        select(ItemRow.instance, ItemRow.track, ItemRow.deleted, ItemRow.added).where(
            ItemRow.dataset == person.dataset,
            ItemRow.layer == person.layer,
            ItemRow.frame == person.frame,
            ItemRow.instance.not_in((FRAME, person.instance)),
        )
    ).all()
    tracks = {number: one for number, one in base.tracks.items() if number != person.instance}
    for number, one, deleted, added in found:
        if deleted or not (added or number in base.people):
            tracks.pop(number, None)
        elif one is not None:
            tracks[number] = one
    other = next((number for number, one in tracks.items() if one == track), None)
    if other is not None:
        invalid(
            "somebody else in this frame has this track",
            person.where,
            expected="a track once in a frame",
            got=f"track {track} is person {other}",
        )


def moved(now: JointLabel, to: JointLabel) -> bool:
    """Whether a joint's place is another one, beyond what rounding to a hundredth pixel does."""
    places = ((now.x_px, to.x_px), (now.y_px, to.y_px))
    return any(
        (a is None) != (b is None) or (a is not None and b is not None and abs(a - b) > 0.01)
        for a, b in places
    )
