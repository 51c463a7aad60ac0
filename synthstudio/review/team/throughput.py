"""How fast reviewers are: people decided an hour, by reviewer and day, without their pauses.

Events of one reviewer that lie at most PAUSE apart are one sitting; its length is from its first to
its last event. How long somebody looked before the first event of a sitting is not known, so a
decision that opens a sitting counts as done, but not for the pace. A person counts once a day,
at the last decision.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo

from sqlalchemy import select

from synthstudio.review.models import EventRow
from synthstudio.review.store import Store

PAUSE = timedelta(minutes=5)
LEAST_ACTIVE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Something that happened: who did it to whom, when, and whether it was a decision."""

    who: str
    when: datetime
    person: tuple[int, int, str]
    decision: bool


@dataclass(frozen=True, kw_only=True)
class Pace:
    """A reviewer's day. `per_hour`: NaN below a minute of work; `active_h`: without pauses."""

    who: str
    day: date
    people: int
    events: int
    active_h: float
    per_hour: float


@dataclass
class _Day:
    """What is counted of a day: person -> whether the last decision counts for the pace."""

    people: dict[tuple[int, int, str], bool] = field(default_factory=dict)
    events: int = 0
    active: timedelta = timedelta()


def throughput(store: Store, key: str, *, zone: tzinfo = UTC) -> list[Pace]:
    """Return reviewers' paces by day (of `zone`) and name."""
    columns = (
        EventRow.who,
        EventRow.when,
        EventRow.frame,
        EventRow.instance,
        EventRow.layer,
        EventRow.kind,
    )
    query = select(*columns).where(EventRow.dataset == key).order_by(EventRow.id)
    with store.reading() as session:
        rows = session.execute(query.execution_options(yield_per=5000))
        return paces(
            (
                Moment(
                    who=row.who,
                    when=row.when,
                    person=(row.frame, row.instance, row.layer),
                    decision=row.kind in ("status", "delete"),
                )
                for row in rows
            ),
            zone=zone,
        )


def paces(moments: Iterable[Moment], *, zone: tzinfo = UTC) -> list[Pace]:
    """Return paces of moments that come in the order in which they happened."""
    days: dict[tuple[date, str], _Day] = {}
    last: dict[str, datetime] = {}
    for moment in moments:
        before = last.get(moment.who)
        gap = None if before is None else moment.when - before
        last[moment.who] = moment.when
        local = moment.when.astimezone(zone).date()
        day = days.setdefault((local, moment.who), _Day())
        day.events += 1
        working = gap is not None and timedelta() <= gap <= PAUSE
        if working and gap is not None:
            day.active += gap
        if moment.decision:
            day.people[moment.person] = working
    return [_pace(who, day, found) for (day, who), found in sorted(days.items())]


def _pace(who: str, day: date, found: _Day) -> Pace:
    hours = found.active / timedelta(hours=1)
    enough = found.active >= LEAST_ACTIVE
    return Pace(
        who=who,
        day=day,
        people=len(found.people),
        events=found.events,
        active_h=hours,
        per_hour=sum(found.people.values()) / hours if enough else math.nan,
    )
