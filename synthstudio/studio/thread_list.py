"""Threads of comments as pages list them: what is open, and where somebody is mentioned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import streamlit as st

from synthstudio.review.comments import (
    Listed,
    open_count,
    open_of_people,
    thread_list,
    threads_in,
)
from synthstudio.review.settings import share_of
from synthstudio.review.team.second_pass import blinded_among
from synthstudio.review.values import User, may
from synthstudio.studio.context import Context, OpenSet
from synthstudio.studio.page_parts import REVIEW, empty_state, open_review, review_params
from synthstudio.studio.text import csv_bytes, plain

Choice = Literal["Mentions of you", "Open", "Resolved", "All"]
CHOICES: tuple[Choice, ...] = ("Open", "Mentions of you", "Resolved", "All")
_SHOWN, _LETTERS = 25, 160
_HEADER = ("thread", "frame", "instance", "joint", "state", "began", "last", "comments", "mentions")


def shown_threads(ctx: Context, me: User, chosen: OpenSet, which: Choice) -> list[Listed]:
    """Return threads, the latest first, without those on people whose first look is hidden."""
    found = thread_list(
        ctx.store,
        chosen.key,
        is_open=None if which == "All" else which != "Resolved",
        mentions=me.name if which == "Mentions of you" else None,
    )
    pairs = {(one.frame, one.instance) for one in found}
    share = share_of(ctx.store, chosen.key, "second_share")
    hidden = blinded_among(ctx.store, chosen.table, pairs, who=me, share=share)
    kept = [one for one in found if (one.frame, one.instance) not in hidden]
    return sorted(kept, key=lambda one: (one.when, one.id), reverse=True)


def threads_note(ctx: Context, me: User, chosen: OpenSet) -> str:
    """Return how many threads are open and how many of them mention somebody; "" for none."""
    share = share_of(ctx.store, chosen.key, "second_share")
    found = _open(ctx, me, chosen, share, mentions=None)
    if not found:
        return ""
    mine = _open(ctx, me, chosen, share, mentions=me.name)
    threads = "1 open thread" if found == 1 else f"{found:,} open threads"
    return threads + (f", {mine:,} mention{'s' * (mine == 1)} you" if mine else "")


def _open(ctx: Context, me: User, chosen: OpenSet, share: float, *, mentions: str | None) -> int:
    """How many threads are open that this user may see; only whose looks are blind asks of whom."""
    found = open_count(ctx.store, chosen.key, mentions=mentions)
    if not found or not share or may(me.role, "adjudicate"):
        return found
    people = open_of_people(ctx.store, chosen.key, mentions=mentions)
    hidden = blinded_among(ctx.store, chosen.table, people, who=me, share=share)
    return sum(count for pair, count in people.items() if pair not in hidden)


def show_threads(ctx: Context, me: User, chosen: OpenSet) -> None:
    """Show threads with the way to each, and all of them as a file."""
    which = st.segmented_control("Threads", CHOICES, default=CHOICES[0], key="threads_which")
    found = shown_threads(ctx, me, chosen, which or CHOICES[0])
    if not found:
        empty_state(
            "There is no such thread. In Review `e` writes a comment, and @ with a name "
            "mentions a member.",
            ("Go to Review", REVIEW),
        )
        return
    first = _first_comments(ctx, chosen, found[:_SHOWN])
    for one in found[:_SHOWN]:
        text, go = st.columns([7, 2], vertical_alignment="center")
        text.markdown(_line(one, first.get(one.id, "")))
        where = f"Frame {one.frame}, person {one.instance}"
        if go.button(where, key=f"thread {one.id}", width="stretch", help="Open in Review"):
            open_review(review_params(chosen.key, frame=one.frame, instance=one.instance))
    if len(found) > _SHOWN:
        st.caption(
            f"The latest {_SHOWN} of {len(found):,}. In the Gallery the query "
            "`threads = open` or `mentions = me` finds all of them."
        )
    st.download_button(
        "CSV", data=csv_bytes(_HEADER, map(_row, found)), file_name="threads.csv", mime="text/csv"
    )


def _first_comments(ctx: Context, chosen: OpenSet, some: Sequence[Listed]) -> dict[int, str]:
    pairs = {(one.frame, one.instance) for one in some}
    return {
        thread.id: str(thread.comments[0].after["comment"])
        for threads in threads_in(ctx.store, chosen.key, pairs).values()
        for thread in threads
    }


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
