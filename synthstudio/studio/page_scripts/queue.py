"""The page Risk queue: likely label errors with reasons, and the estimated error rate."""

import numpy as np
import streamlit as st

from synthstudio.core.progress import people_text
from synthstudio.review.risk.findings import last_runs
from synthstudio.review.risk.queue import Estimate, Order, estimate, next_people, risk_order
from synthstudio.review.risk.review_fields import Columns
from synthstudio.review.risk.scores import risk_of
from synthstudio.review.team.second_review import share_of
from synthstudio.review.values import User, may
from synthstudio.studio.context import Context, OpenSet, context, current_user
from synthstudio.studio.frame_data import legend_html
from synthstudio.studio.gallery import plots
from synthstudio.studio.gallery.view import columns_of, crop_url, page_of, pager
from synthstudio.studio.overview import added_note, checks_summary, count_people
from synthstudio.studio.page_parts import (
    GALLERY,
    HOME,
    REVIEW,
    TEAM,
    Cell,
    empty_state,
    no_people,
    open_review,
    people_grid,
    review_href,
    shown_refusals,
)
from synthstudio.studio.second_reviews import share_input

_SIZE = 24
_TAKE = 20
_ENOUGH = 100


def main() -> None:
    ctx, me = context(), current_user()
    chosen = ctx.chosen("Risk queue")
    st.title("Risk queue")
    table = chosen.table
    if not table.people:
        no_people()
        return
    share = share_of(ctx.store, chosen.key, "control_share")
    order = risk_order(risk_of(ctx.store, table), share=share)
    columns = columns_of(ctx, chosen, me)
    waiting = np.isin(columns["status"], ("pending", "skipped")) & ~columns["deleted"]
    places = np.flatnonzero(waiting[order.rows])
    left, right = st.columns([3, 2], gap="large")
    with left:
        _progress(ctx, me, chosen, order, places, share)
    with right:
        _error_rate(estimate(ctx.store, table, share=share))
    if not len(places):
        left_over = added_note(count_people(ctx.store, chosen.key))
        empty_state(
            f"Nothing left to review: all people listed here are decided. {left_over}".strip(),
            ("Export the labels on Home", HOME),
            ("See them in the Gallery", GALLERY),
            *([("Go to Review", REVIEW)] if left_over else []),
            good=True,
        )
        return
    _people(chosen, order, columns, places)


def _progress(
    ctx: Context, me: User, chosen: OpenSet, order: Order, places: np.ndarray, share: float
) -> None:
    people, control = count_people(ctx.store, chosen.key), int(order.control.sum())
    left_of_control = int(order.control[places].sum())
    risky = int((order.risk.score[order.rows[places]] >= 0.5).sum())
    st.markdown(
        f"**{people.waiting:,}** of {people_text(people.total)} to review, **{risky:,}** with a "
        "risk of 0.5 or more. Order: likely errors first, with a random sample "
        f"({share:.0%}) in between: {control:,} people, {left_of_control:,} of them to review. "
        f"{added_note(people)}"
    )
    st.progress(people.decided / max(1, people.total))
    st.caption(checks_summary(last_runs(ctx.store, chosen.key), frames=chosen.table.frames))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.button("Review these in this order", type="primary", disabled=not len(places)):
            row = int(order.rows[places[0]])
            open_review(chosen.key, *chosen.table.ids(np.array([row]))[0], queue="risk")
        if may(me.role, "claim") and st.button(
            f"Claim {_TAKE} people",
            disabled=not len(places),
            help="Reserved for you for half an hour",
        ):
            _take(ctx, me, chosen, order)
        if may(me.role, "assign"):
            share_input(
                ctx, me, chosen, what="control_share", label="Random sample, %", share=share
            )


def _take(ctx: Context, me: User, chosen: OpenSet, order: Order) -> None:
    with shown_refusals(me):
        people = next_people(ctx.store, order, who=me, count=_TAKE)
        if people:
            open_review(chosen.key, people[0].frame, people[0].instance, queue="assigned")
        empty_state("All people to review are claimed by others.", ("See who, on Team", TEAM))


def _error_rate(found: Estimate) -> None:
    st.markdown("**Estimated error rate**")
    if not found.n:
        st.markdown(no_estimate_text(found))
        return
    st.markdown(error_words(found))
    plot = plots.interval(found.rate, found.low, found.high)
    st.plotly_chart(plot.figure, config=plots.CONFIG, alt=plot.alt, key="queue_interval")
    st.caption(rest_words(found))


def no_estimate_text(found: Estimate) -> str:
    if found.control and found.undecided == found.control:
        return "No estimate yet: decide the flagged and skipped people, or enlarge the sample."
    return "No estimate yet: review the random sample in queue order."


def error_words(found: Estimate) -> str:
    text = (
        f"Random sample: {found.wrong:,} of {people_text(found.n)} had wrong labels, "
        f"**{found.rate:.1%}**. All people: **{found.low:.1%}** to **{found.high:.1%}** (95 %)."
    )
    if found.n < _ENOUGH:
        text += " More decisions narrow the interval."
    return text


def rest_words(found: Estimate) -> str:
    parts = [
        f"{found.control - found.n - found.undecided - found.waiting:,} of the sample to review"
    ]
    if found.undecided:
        parts.append(f"{found.undecided:,} flagged or skipped excluded")
    if found.waiting:
        parts.append(f"{found.waiting:,} decided out of order, counted once those before are")
    return "; ".join(parts) + "."


def _people(chosen: OpenSet, order: Order, columns: Columns, places: np.ndarray) -> None:
    st.html(legend_html())
    number = int(st.session_state.get("queue_page", 0))
    page = page_of(places, number=number, size=_SIZE)
    cells = [_cell(chosen, order, columns, int(place)) for place in page.rows]
    opened, _ = people_grid(
        cells,
        key="queue_grid",
        page=f"{chosen.key} {page.number}",
        wide_px=210,
        label=f"people {page.first + 1} to {page.first + len(cells)} of {page.total}",
    )
    if opened is not None:
        open_review(chosen.key, *opened, queue="risk")
    pager(page, "queue", lambda number: st.session_state.update(queue_page=number))


def _cell(chosen: OpenSet, order: Order, columns: Columns, place: int) -> Cell:
    row = int(order.rows[place])
    table = order.risk.table
    frame, instance = int(table.frame[row]), int(table.instance[row])
    status, score = str(columns["status"][row]), float(order.risk.score[row])
    reasons = tuple(order.reasons(place)[:3])
    address = crop_url(chosen, columns, row, labels=True)
    return Cell(
        frame=frame,
        instance=instance,
        status=status,
        pictures=((address, f"frame {frame}, person {instance}, {status}"),),
        colour=plots.STATUS_COLOURS.get(status, "#8b9199"),
        value=f"risk {score:.2f}",
        extra="random" if order.control[place] else "",
        notes=reasons,
        href=review_href(chosen.key, frame, instance, queue="risk"),
    )


main()
