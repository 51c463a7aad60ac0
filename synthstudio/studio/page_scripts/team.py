"""The page Team: members, roles, agreement of reviewers, and adjudication."""

import math
from collections import Counter
from datetime import UTC, datetime

import numpy as np
import streamlit as st

from synthstudio.core.progress import people_text
from synthstudio.review import leases
from synthstudio.review.history import due_days, is_overdue
from synthstudio.review.risk.queue import risk_order
from synthstudio.review.risk.review_fields import Columns
from synthstudio.review.risk.scores import risk_of
from synthstudio.review.team import members
from synthstudio.review.team.members import checked_name
from synthstudio.review.team.second_review import share_of
from synthstudio.review.team.statistics import (
    Throughput,
    decided_by_day,
    throughput,
    total_per_hour,
)
from synthstudio.review.values import ROLES, Person, Role, User, may
from synthstudio.studio.context import Context, OpenSet, context, current_user
from synthstudio.studio.credentials import show_accounts, show_tokens
from synthstudio.studio.gallery import plots
from synthstudio.studio.gallery.view import clear_columns, columns_of
from synthstudio.studio.overview import added_note, count_people
from synthstudio.studio.page_parts import QUEUE, empty_state, plain, show_table, shown_refusals
from synthstudio.studio.second_reviews import show_agreement, show_decisions, show_second_review
from synthstudio.studio.team_lists import show_due, show_threads, show_throughput, whole

_WORDS = {"viewer": "views", "reviewer": "edits", "lead": "assigns", "admin": "manages roles"}


def show_members(ctx: Context, me: User, chosen: OpenSet, columns: Columns) -> None:
    found = members.members(ctx.store)
    if not found:
        st.info(
            "No members yet: all users of this machine are admins. Adding the first member below "
            "makes you an admin too."
        )
    lines = member_lines(ctx, chosen, columns)
    if lines:
        show_table(lines, "Members and their work")
    if may(me.role, "members"):
        _role_form(ctx, me, found)


def member_lines(ctx: Context, chosen: OpenSet, columns: Columns) -> list[dict[str, object]]:
    roles = members.members(ctx.store)
    given = Counter(members.assigned(ctx.store, chosen.key).values())
    held = Counter(lease.who for lease in leases.leases(ctx.store, chosen.key).values())
    decided = np.isin(columns["status"], ("approved", "rejected", "flagged"))
    late: Counter[str] = Counter()
    for one in due_days(ctx.store, chosen.key):
        late[one.who] += one.people if is_overdue(one.day) else 0
    done = Counter(who for who in columns["reviewer"][decided].tolist() if who)
    throughputs: dict[str, list[Throughput]] = {}
    for pace in throughput(ctx.store, chosen.key):
        throughputs.setdefault(pace.who, []).append(pace)
    return [
        {
            "name": name,
            "role": roles.get(name, "none"),
            "decided": done[name],
            "assigned": given[name],
            "working on": held[name],
            "overdue": late[name],
            "people an hour": whole(total_per_hour(throughputs.get(name, []))),
        }
        for name in sorted({*roles, *given, *held, *done, *throughputs})
    ]


def _role_form(ctx: Context, me: User, found: object) -> None:
    with st.form("team_role", border=True):
        name, role, go = st.columns([3, 2, 1], vertical_alignment="bottom")
        who = name.text_input("Name", max_chars=64)
        what = role.selectbox(
            "Role",
            (*ROLES, "none"),
            index=1,
            format_func=lambda r: f"{r}: {_WORDS[r]}" if r in _WORDS else "none: remove",
        )
        sent = go.form_submit_button("Set", width="stretch")
    if not sent:
        return
    with shown_refusals(me):
        given: Role | None = next((r for r in ROLES if r == what), None)
        target = checked_name(who)
        ctx.check_free(target)
        if not found and target != me.name:
            members.set_role(ctx.store, me.name, "admin", by=me)
        members.set_role(ctx.store, target, given, by=me)
        ctx.forget_roles()
        st.rerun()


def show_work(ctx: Context, me: User, chosen: OpenSet, columns: Columns) -> None:
    waiting = np.isin(columns["status"], ("pending", "skipped")) & ~columns["deleted"]
    free = waiting & np.array([name is None for name in columns["assigned"]], bool)
    people = count_people(ctx.store, chosen.key)
    st.markdown(
        f"**{people.waiting:,}** of {people_text(people.total)} to review. {added_note(people)}"
    )
    if may(me.role, "assign"):
        _assign_form(ctx, me, chosen, np.flatnonzero(free))
    show_due(ctx, chosen)
    held = leases.leases(ctx.store, chosen.key)
    if not held:
        st.caption("No active leases.")
        return
    now = datetime.now(UTC)
    counts = Counter(lease.who for lease in held.values())
    until = {who: max(v.until for v in held.values() if v.who == who) for who in counts}
    lines = [
        {
            "reviewer": who,
            "people": counts[who],
            "minutes left": math.ceil((until[who] - now).total_seconds() / 60),
        }
        for who in sorted(counts)
    ]
    show_table(lines, "Who works on how many people now")
    if may(me.role, "assign") and st.button("Release all leases"):
        leases.release(ctx.store, [lease.person for lease in held.values()], who=me)
        st.rerun()


def _assign_form(ctx: Context, me: User, chosen: OpenSet, free: np.ndarray) -> None:
    names = list(members.members(ctx.store)) or [me.name]
    with st.form("team_give", border=True):
        member, count = st.columns([3, 2], vertical_alignment="bottom")
        until, go = st.columns([3, 2], vertical_alignment="bottom")
        st.caption(f"{len(free):,} people to review are unassigned.")
        to = member.selectbox("Assign the riskiest to", names, format_func=plain)
        many = count.number_input("People", min_value=1, max_value=100_000, value=50)
        due = until.date_input("Due", value=None, min_value="today", help="Inclusive, in UTC")
        sent = go.form_submit_button("Assign", width="stretch", disabled=not len(free))
    if sent:
        share = share_of(ctx.store, chosen.key, "control_share")
        order = risk_order(risk_of(ctx.store, chosen.table), share=share, rows=free)
        people = [
            Person(dataset=chosen.key, frame=frame, instance=instance)
            for frame, instance in chosen.table.ids(order.rows[: int(many)])
        ]
        with shown_refusals(me):
            members.assign(ctx.store, people, to=to, by=me, due=due)
            clear_columns()
            st.rerun()


def show_daily_decisions(ctx: Context, chosen: OpenSet) -> None:
    found = decided_by_day(ctx.store, chosen.key)
    if not found:
        empty_state("No decisions yet.", ("Begin with the Risk queue", QUEUE))
        return
    days = sorted({day for day, _ in found})[-30:]
    counts = {who: [found[day, who] for day in days] for who in sorted({who for _, who in found})}
    plot = plots.over_days([day.isoformat() for day in days], counts, means="people decided")
    st.plotly_chart(plot.figure, config=plots.CONFIG, alt=plot.alt, key="team_pace")


PARTS = ("Members", "Threads", "Throughput", "Second review", "Decide", "Tokens")
ACCOUNTS = "Accounts"


def main() -> None:
    ctx, me = context(), current_user()
    chosen = ctx.chosen("Team")
    st.title("Team")
    st.session_state.setdefault("team_part", PARTS[0])
    part = st.segmented_control(
        "Part",
        (*PARTS, ACCOUNTS) if ctx.with_accounts else PARTS,
        key="team_part",
        required=True,
        label_visibility="collapsed",
        persist_state="session",
    )
    if part == "Members":
        columns = columns_of(ctx, chosen, me)
        left, right = st.columns([3, 2], gap="large")
        with left:
            st.subheader("Members")
            show_members(ctx, me, chosen, columns)
            st.subheader("Decided by day")
            show_daily_decisions(ctx, chosen)
        with right:
            st.subheader("Work")
            show_work(ctx, me, chosen, columns)
    elif part == "Threads":
        show_threads(ctx, me, chosen)
    elif part == "Throughput":
        show_throughput(ctx, chosen)
    elif part == "Second review":
        show_second_review(ctx, me, chosen)
        st.subheader("Agreement")
        show_agreement(ctx, chosen)
    elif part == "Decide":
        show_decisions(ctx, me, chosen)
    elif part == ACCOUNTS:
        show_accounts(ctx, me)
    else:
        show_tokens(ctx, me)


main()
