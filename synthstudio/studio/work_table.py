"""Due work and throughput: assignments with due dates, and people per hour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime

import streamlit as st

from synthstudio.core.amounts import people_text
from synthstudio.review.progress import due_days, is_overdue
from synthstudio.review.team.statistics import (
    MAX_PAUSE,
    MIN_LOOK,
    Throughput,
    throughput,
    total_per_hour,
)
from synthstudio.review.values import User, may
from synthstudio.studio.context import Context, OpenSet
from synthstudio.studio.page_parts import QUEUE, empty_state, show_table
from synthstudio.studio.text import csv_bytes, plain

_HEADER = (
    "name",
    "day",
    "active minutes",
    "from",
    "to",
    "people",
    "people in the rate",
    "people an hour",
    "events",
)
_RULE = (
    f"Active time is the time between two events of one person, if at most "
    f"{MAX_PAUSE.total_seconds():.0f} seconds: longer gaps are pauses. People an "
    "hour is of active time, without the first decision after a pause, and without people "
    f"decided on less than {MIN_LOOK.total_seconds():.1f} seconds after the one before, as "
    "in bulk decisions. Days are UTC."
)


def assigned_waiting(ctx: Context, me: User, chosen: OpenSet) -> int:
    """Return how many assigned people of a user are undecided."""
    due = due_days(ctx.store, chosen.key)
    return sum(one.people for one in due if one.who == me.name)


def due_note(ctx: Context, me: User, chosen: OpenSet) -> str:
    """Return overdue people: the user's, or everybody's for leads; "" if none."""
    late: dict[str, int] = {}
    for one in due_days(ctx.store, chosen.key):
        if is_overdue(one.day):
            late[one.who] = late.get(one.who, 0) + one.people
    if may(me.role, "assign") and late:
        names = ", ".join(f"{who} {count:,}" for who, count in sorted(late.items()))
        return f"Overdue: {people_text(sum(late.values()))} ({names})"
    mine = late.get(me.name, 0)
    return f"Overdue: {people_text(mine)} assigned to you" if mine else ""


def show_due(ctx: Context, chosen: OpenSet) -> None:
    found = [one for one in due_days(ctx.store, chosen.key) if one.day is not None]
    if found:
        ordered = sorted(found, key=lambda one: (one.day or date.max, one.who))
        lines = [
            {
                "due": str(one.day),
                "assigned to": one.who,
                "people to review": one.people,
                "": "overdue" if is_overdue(one.day) else "",
            }
            for one in ordered
        ]
        show_table(lines, "Assigned people by due date")


def show_throughput(ctx: Context, chosen: OpenSet) -> None:
    found = throughput(ctx.store, chosen.key)
    if not found:
        empty_state("No activity yet.", ("Begin with the Risk queue", QUEUE))
        return
    st.caption(plain(_RULE))
    names = sorted({pace.who for pace in found})
    st.subheader("Per person")
    lines = [_person_line(who, [pace for pace in found if pace.who == who]) for who in names]
    show_table(lines, "Active time and people an hour of each person")
    st.subheader("Per day")
    days = sorted(found, key=lambda pace: (-pace.day.toordinal(), pace.who))
    lines = [dict(zip(_HEADER, _row(pace), strict=True)) for pace in days]
    show_table(lines, "Active time and people an hour, by day")
    st.download_button(
        "CSV",
        data=csv_bytes(_HEADER, map(_row, found)),
        file_name="throughput.csv",
        mime="text/csv",
    )


def _person_line(who: str, found: Sequence[Throughput]) -> dict[str, object]:
    return {
        "name": who,
        "days": len(found),
        "active minutes": round(60 * sum(pace.active_h for pace in found)),
        "people": sum(pace.people for pace in found),
        "people an hour": whole(total_per_hour(found)),
    }


def _row(pace: Throughput) -> list[object]:
    return [
        pace.who,
        pace.day.isoformat(),
        round(60 * pace.active_h, 1),
        _clock(pace.first),
        _clock(pace.last),
        pace.people,
        pace.paced,
        whole(pace.per_hour),
        pace.events,
    ]


def _clock(when: datetime) -> str:
    return f"{when.astimezone(UTC):%H:%M}"


def whole(value: float) -> int | None:
    return round(value) if math.isfinite(value) else None
