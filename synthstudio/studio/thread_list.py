"""Lists of comment threads: open ones, and those mentioning a user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypedDict

import streamlit as st

from synthstudio.review.comments import (
    Listed,
    latest_threads,
    thread_count,
    threads_in,
    threads_of_people,
)
from synthstudio.review.settings import share_of
from synthstudio.review.team.second_review import blinded_among
from synthstudio.review.values import Role, User, may
from synthstudio.studio import guard
from synthstudio.studio.context import Context, OpenSet, browser, session_cookie
from synthstudio.studio.page_parts import REVIEW, empty_state, open_review
from synthstudio.studio.text import csv_bytes, plain

Choice = Literal["Mentions of you", "Open", "Resolved", "All"]
CHOICES: tuple[Choice, ...] = ("Open", "Mentions of you", "Resolved", "All")
_SHOWN, _LETTERS = 25, 160
_NO_MEMBER = "Only members get threads. Sign in again, or ask an admin to add you on the Team page."
_HEADER = ("thread", "frame", "instance", "joint", "state", "began", "last", "comments", "mentions")


class _Filter(TypedDict):
    is_open: bool | None
    mentions: str | None


@dataclass(frozen=True)
class ThreadList:
    """Threads visible to a user: `count`, and a reader of the latest ones (None: all)."""

    count: int
    latest: Callable[[int | None], list[Listed]]


def shown_threads(ctx: Context, me: User, chosen: OpenSet, choice: Choice) -> ThreadList:
    which: _Filter = {
        "is_open": None if choice == "All" else choice != "Resolved",
        "mentions": me.name if choice == "Mentions of you" else None,
    }
    return _threads(ctx, me, chosen, which, share_of(ctx.store, chosen.key, "second_share"))


def threads_csv(
    ctx: Context, name: str, role_now: Callable[[], Role | None], chosen: OpenSet, choice: Choice
) -> bytes:
    """Return all threads of a choice as a table, by current permissions.

    The page was drawn earlier: people decided on since are left out in blind reviews, and users
    no longer members get an error. For any thread.
    """
    role = role_now()
    if role is None:
        guard.log_refusal("a list of threads", user=name)
        return csv_bytes([_NO_MEMBER], ())
    found = shown_threads(ctx, User(name=name, role=role), chosen, choice)
    return csv_bytes(_HEADER, map(_row, found.latest(None)))


def _threads(ctx: Context, me: User, chosen: OpenSet, which: _Filter, share: float) -> ThreadList:
    """Threads for `me`; people are read only for members with blind reviews."""
    store, key, hidden = ctx.store, chosen.key, frozenset[tuple[int, int]]()
    count = thread_count(store, key, **which)
    if count and share and not may(me.role, "adjudicate"):
        people = threads_of_people(store, key, **which)
        hidden = frozenset(blinded_among(store, chosen.table, people, who=me, share=share))
        count = sum(many for pair, many in people.items() if pair not in hidden)
    return ThreadList(
        count, lambda limit: latest_threads(store, key, hidden=hidden, limit=limit, **which)
    )


def threads_note(ctx: Context, me: User, chosen: OpenSet) -> str:
    """Return how many threads are open and how many mention the user; "" for none."""
    share = share_of(ctx.store, chosen.key, "second_share")
    found = _threads(ctx, me, chosen, {"is_open": True, "mentions": None}, share).count
    if not found:
        return ""
    mine = _threads(ctx, me, chosen, {"is_open": True, "mentions": me.name}, share).count
    threads = "1 open thread" if found == 1 else f"{found:,} open threads"
    return threads + (f", {mine:,} mention{'s' * (mine == 1)} you" if mine else "")


def show_threads(ctx: Context, me: User, chosen: OpenSet) -> None:
    which = st.segmented_control("Threads", CHOICES, default=CHOICES[0], key="threads_which")
    choice = which or CHOICES[0]
    found = shown_threads(ctx, me, chosen, choice)
    some = found.latest(_SHOWN)
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
    if found.count > len(some):
        st.caption(
            f"The latest {len(some)} of {found.count:,}. In the Gallery the query "
            "`threads = open` or `mentions = me` finds all of them."
        )
    role_now = partial(ctx.role_in, me.name, browser(), session_cookie(ctx))
    st.download_button(
        "CSV",
        partial(threads_csv, ctx, me.name, role_now, chosen, choice),
        file_name="threads.csv",
        mime="text/csv",
        on_click="ignore",
        help="All of them; read on request",
    )


def _line(one: Listed, text: str) -> str:
    short = text if len(text) <= _LETTERS else f"{text[:_LETTERS]}..."
    joint = f" at {plain(one.joint.replace('_', ' '))}" if one.joint else ""
    facts = [f"{one.comments:,} comment{'s' * (one.comments != 1)}", f"{one.when:%d %b %H:%M} UTC"]
    facts += ["resolved"] * (not one.is_open)
    return f"**{plain(one.who)}**{joint}: {plain(short)}  \n:gray[{plain(' · '.join(facts))}]"


def _row(one: Listed) -> list[object]:
    when = one.when.isoformat(timespec="seconds")
    state = "open" if one.is_open else "resolved"
    names = ", ".join(one.mentions)
    place = [one.id, one.frame, one.instance, one.joint or ""]
    return [*place, state, one.who, when, one.comments, names]
