"""Lists of the page Team: comment threads, due work, and throughput."""

import math
from collections.abc import Callable
from datetime import UTC, date
from functools import partial
from typing import Any, Literal

import streamlit as st

from synthstudio.core.progress import people_text
from synthstudio.review.history import due_days, is_overdue
from synthstudio.review.models import ThreadRow
from synthstudio.review.team.second_review import blinded_among, share_of
from synthstudio.review.team.statistics import (
    MAX_PAUSE,
    MIN_LOOK,
    Throughput,
    throughput,
    total_per_hour,
)
from synthstudio.review.threads import (
    thread_count,
    thread_list,
    threads_in,
    threads_of_people,
)
from synthstudio.review.values import Pair, Role, User, may
from synthstudio.studio import guard
from synthstudio.studio.context import Context, OpenSet, browser, session_cookie
from synthstudio.studio.page_parts import (
    QUEUE,
    REVIEW,
    csv_bytes,
    csv_download,
    empty_state,
    open_review,
    plain,
    show_table,
)

Choice = Literal["Mentions of you", "Open", "Resolved", "All"]
CHOICES: tuple[Choice, ...] = ("Open", "Mentions of you", "Resolved", "All")
_SHOWN, _LETTERS = 25, 160
_NO_MEMBER = "Only members get threads. Sign in again, or ask an admin to add you on the Team page."
_HEADER = ("thread", "frame", "instance", "joint", "state", "began", "last", "comments", "mentions")
_RULE = (
    f"Active time is the time between two events of one person, if at most "
    f"{MAX_PAUSE.total_seconds():.0f} seconds: longer gaps are pauses. People an "
    "hour is of active time, without the first decision after a pause, and without people "
    f"decided on less than {MIN_LOOK.total_seconds():.1f} seconds after the one before, as "
    "in bulk decisions. Days are UTC."
)


Threads = tuple[int, Callable[..., list[ThreadRow]]]
"""How many threads a user sees, and a reader of the latest `limit` ones."""


def shown_threads(ctx: Context, me: User, chosen: OpenSet, choice: Choice) -> Threads:
    is_open = None if choice == "All" else choice != "Resolved"
    mentions = me.name if choice == "Mentions of you" else None
    return _threads(ctx, me, chosen, is_open=is_open, mentions=mentions)


def threads_csv(
    ctx: Context, name: str, role_now: Callable[[], Role | None], chosen: OpenSet, choice: Choice
) -> bytes:
    """All threads of a choice, by the permissions of now: the page may be old. For any thread."""
    role = role_now()
    if role is None:
        guard.log_refusal("a list of threads", user=name)
        return csv_bytes([_NO_MEMBER], ())
    _, latest = shown_threads(ctx, User(name=name, role=role), chosen, choice)
    return csv_bytes(_HEADER, map(_thread_row, latest()))


def _threads(
    ctx: Context, me: User, chosen: OpenSet, *, is_open: bool | None, mentions: str | None = None
) -> Threads:
    """Threads for `me`; people are read only for members with blind reviews."""
    store, key, hidden = ctx.store, chosen.key, frozenset[Pair]()
    which: dict[str, Any] = {"is_open": is_open, "mentions": mentions}
    count, share = thread_count(store, key, **which), share_of(store, key, "second_share")
    if count and share and not may(me.role, "adjudicate"):
        people = threads_of_people(store, key, **which)
        hidden = frozenset(blinded_among(store, chosen.table, people, who=me, share=share))
        count = sum(many for pair, many in people.items() if pair not in hidden)
    return count, partial(thread_list, store, key, latest=True, hidden=hidden, **which)


def threads_note(ctx: Context, me: User, chosen: OpenSet) -> str:
    found, _ = _threads(ctx, me, chosen, is_open=True)
    if not found:
        return ""
    mine, _ = _threads(ctx, me, chosen, is_open=True, mentions=me.name)
    threads = "1 open thread" if found == 1 else f"{found:,} open threads"
    return threads + (f", {mine:,} mention{'s' * (mine == 1)} you" if mine else "")


def show_threads(ctx: Context, me: User, chosen: OpenSet) -> None:
    which = st.segmented_control("Threads", CHOICES, default=CHOICES[0], key="threads_which")
    choice = which or CHOICES[0]
    count, latest = shown_threads(ctx, me, chosen, choice)
    some = latest(limit=_SHOWN)
    if not some:
        empty_state(
            "No such thread. In Review `e` writes a comment, and @ with a name mentions a member.",
            ("Go to Review", REVIEW),
        )
        return
    pairs = {(one.frame, one.instance) for one in some}
    talk = threads_in(ctx.store, chosen.key, pairs).values()
    first = {thread.id: str(thread.comments[0].after["comment"]) for t in talk for thread in t}
    for one in some:
        text, go = st.columns([7, 2], vertical_alignment="center")
        text.markdown(_line(one, first.get(one.id, "")))
        where = f"Frame {one.frame}, person {one.instance}"
        if go.button(where, key=f"thread {one.id}", width="stretch", help="Open in Review"):
            open_review(chosen.key, one.frame, one.instance)
    if count > len(some):
        st.caption(
            f"The latest {len(some)} of {count:,}. In the Gallery the query "
            "`threads = open` or `mentions = me` finds all of them."
        )
    role_now = partial(ctx.role_in, me.name, browser(), session_cookie(ctx))
    made = partial(threads_csv, ctx, me.name, role_now, chosen, choice)
    csv_download(made, "threads.csv", on_click="ignore", help="All of them; read on request")


def _line(one: ThreadRow, text: str) -> str:
    short = text if len(text) <= _LETTERS else f"{text[:_LETTERS]}..."
    joint = f" at {plain(one.joint.replace('_', ' '))}" if one.joint else ""
    facts = [f"{one.comments:,} comment{'s' * (one.comments != 1)}", f"{one.when:%d %b %H:%M} UTC"]
    facts += ["resolved"] * (not one.is_open)
    return f"**{plain(one.who)}**{joint}: {plain(short)}  \n:gray[{plain(' · '.join(facts))}]"


def _thread_row(one: ThreadRow) -> list[object]:
    when = one.when.isoformat(timespec="seconds")
    state = "open" if one.is_open else "resolved"
    names = ", ".join(one.mentions)
    place = [one.id, one.frame, one.instance, one.joint or ""]
    return [*place, state, one.who, when, one.comments, names]


def assigned_waiting(ctx: Context, me: User, chosen: OpenSet) -> int:
    return sum(one.people for one in due_days(ctx.store, chosen.key) if one.who == me.name)


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
        lines = [
            {
                "due": str(one.day),
                "assigned to": one.who,
                "people to review": one.people,
                "": "overdue" if is_overdue(one.day) else "",
            }
            for one in sorted(found, key=lambda one: (one.day or date.max, one.who))
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
    by_name = {who: [pace for pace in found if pace.who == who] for who in names}
    people = [
        {
            "name": who,
            "days": len(mine),
            "active minutes": round(60 * sum(pace.active_h for pace in mine)),
            "people": sum(pace.people for pace in mine),
            "people an hour": whole(total_per_hour(mine)),
        }
        for who, mine in by_name.items()
    ]
    show_table(people, "Active time and people an hour of each person")
    st.subheader("Per day")
    days = sorted(found, key=lambda pace: (-pace.day.toordinal(), pace.who))
    show_table([*map(_day_line, days)], "Active time and people an hour, by day")
    rows = [_day_line(pace) for pace in found]
    csv_download(csv_bytes([*rows[0]], ([*row.values()] for row in rows)), "throughput.csv")


def _day_line(pace: Throughput) -> dict[str, object]:
    return {
        "name": pace.who,
        "day": pace.day.isoformat(),
        "active minutes": round(60 * pace.active_h, 1),
        "from": f"{pace.first.astimezone(UTC):%H:%M}",
        "to": f"{pace.last.astimezone(UTC):%H:%M}",
        "people": pace.people,
        "people in the rate": pace.paced,
        "people an hour": whole(pace.per_hour),
        "events": pace.events,
    }


def whole(value: float) -> int | None:
    return round(value) if math.isfinite(value) else None
