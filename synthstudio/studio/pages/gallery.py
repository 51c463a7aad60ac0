"""The page Gallery: thousands of people as a grid, filtered by everything that is known of them."""

from __future__ import annotations

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from synthstudio.review.values import User, may
from synthstudio.studio.components import Cell, people_grid
from synthstudio.studio.context import Context, OpenSet, context, current_user, image_url
from synthstudio.studio.drawing import plots
from synthstudio.studio.drawing.marks import legend_html
from synthstudio.studio.gallery.actions import bulk, csv_button, views_menu
from synthstudio.studio.gallery.panel import panel, statistics
from synthstudio.studio.gallery.view import (
    PAGE_SIZES,
    SHOWS,
    SORTS,
    Found,
    Look,
    find_people,
    look,
    pager,
    percent,
    set_text,
    to_address,
)
from synthstudio.studio.overview import added_words, people_of
from synthstudio.studio.page_parts import (
    GENERATE,
    HOME,
    NO_PEOPLE,
    nothing,
    open_review,
    review_href,
    review_params,
)
from synthstudio.studio.text import plain

_CROP_PX = 256


def main() -> None:
    """Show the page."""
    ctx, me = context(), current_user()
    chosen = ctx.chosen("Gallery")
    now = look(chosen)
    st.title("Gallery")
    bar = st.container(horizontal=True, vertical_alignment="bottom", key="gallery_head")
    _query(now, chosen, bar)
    found = find_people(ctx, chosen, me, now)
    with bar:
        views_menu(ctx, me, now, chosen)
        csv_button(chosen, found)
    with st.sidebar:
        panel(now, chosen, found)
    _toolbar(ctx, me, now, chosen, found)
    if now.said:
        st.success(plain(now.said))
        now.said = ""
    if not found.page.total:
        _nobody(now, chosen, found)
    elif now.show == "Statistics":
        statistics(now, chosen, found)
    else:
        _people(ctx, me, now, chosen, found)
    to_address(now)


def _query(now: Look, chosen: OpenSet, bar: DeltaGenerator) -> None:
    """Show the query as text; a mistake with a caret below its place."""
    joints = chosen.skeleton.joints
    st.session_state["gallery_text"] = now.text
    bar.text_input(
        "Query",
        key="gallery_text",
        max_chars=10_000,
        on_change=lambda: set_text(now, st.session_state["gallery_text"], joints),
        placeholder="left_wrist hidden by object and occluded > 0.3 and status = pending",
        help="The language of `synthstudio filter`, and: status, reviewer, assigned, changed, "
        "comments, risk, disagreement. The form on the left writes it too.",
    )
    if now.mistake:
        said, _, place = now.mistake.partition("\n")
        st.error(plain(said))
        if place:
            st.code(place, language=None)
        st.caption(f"Shown until it can be read: {plain(now.query) or 'everybody'}")


def _toolbar(ctx: Context, me: User, now: Look, chosen: OpenSet, found: Found) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="gallery_bar"):
        people = people_of(ctx.store, chosen.key)
        st.markdown(
            f"**{found.page.total:,}** of {people.total:,} people",
            width="content",
            help=added_words(people) or None,
        )
        _kept(
            now,
            "show",
            st.segmented_control,
            "Show",
            SHOWS,
            required=True,
            label_visibility="collapsed",
        )
        if now.show != SHOWS[0]:
            return
        _kept(
            now,
            "sort",
            st.selectbox,
            "Sort by",
            tuple(SORTS),
            format_func=SORTS.get,
            label_visibility="collapsed",
            width=175,
        )
        _kept(
            now,
            "size",
            st.selectbox,
            "People on a page",
            PAGE_SIZES,
            format_func=lambda n: f"{n} a page",
            label_visibility="collapsed",
            width=125,
        )
        _kept(now, "labels", st.toggle, "Labels")
        _kept(
            now,
            "clean",
            st.toggle,
            "Beside clean",
            help="Each person beside the same moment without occluders",
        )
        if may(me.role, "assign"):
            _kept(now, "picking", st.toggle, "Select", help="Assign or flag many at once")


def _kept(now: Look, name: str, widget, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
    """Show a widget whose value is kept in `now`, also while other pages are open."""
    key = f"gallery_{name}"
    st.session_state[key] = getattr(now, name)

    def changed() -> None:
        setattr(now, name, st.session_state[key])
        if name in ("sort", "size"):
            now.number = 0

    widget(*args, key=key, on_change=changed, **kwargs)


def _people(ctx: Context, me: User, now: Look, chosen: OpenSet, found: Found) -> None:
    if now.labels:
        st.html(legend_html())
    cells = [_cell(ctx, me, now, chosen, found, row) for row in found.page.rows.tolist()]
    page = found.page
    above = st.container() if now.picking and may(me.role, "assign") else None
    opened, picked = people_grid(
        cells,
        key="gallery_grid",
        pick=above is not None,
        page=f"{chosen.key} {now.query} {now.sort} {page.number} {now.size}",
        label=f"people {page.first + 1} to {page.first + len(cells)} of {page.total}",
    )
    if opened is not None:
        open_review(_params(now, chosen, *opened))
    pager(page, "gallery", lambda number: setattr(now, "number", number))
    if above is not None:
        with above:
            bulk(ctx, me, now, chosen, found, picked=picked)


def _cell(ctx: Context, me: User, now: Look, chosen: OpenSet, found: Found, row: int) -> Cell:
    table, columns = found.table, found.columns
    frame, instance = int(table.frame[row]), int(table.instance[row])
    status, fraction = str(columns["status"][row]), float(table.occluded[row])
    where = f"frame {frame}, person {instance}"
    hidden = f"{percent(fraction)} occluded" if percent(fraction) else "occlusion unknown"

    def crop(of: int, *, labels: bool) -> str:
        stamp = int(columns["edited"][row] * 1000) if columns["changed"][row] == "yes" else 0
        return image_url(
            ctx,
            me,
            chosen,
            kind="crop",
            frame=of,
            instance=instance,
            size=_CROP_PX,
            labels=labels,
            revision=stamp if labels else 0,
        )

    pictures = [(crop(frame, labels=now.labels), f"{where}, {hidden}, {status}")]
    if now.clean:
        clean = _clean(chosen, frame, instance)
        address = "" if clean is None else crop(clean, labels=False)
        pictures.append((address, f"{where}, nothing in front"))
    risk = float(columns["risk"][row])
    return Cell(
        frame=frame,
        instance=instance,
        pictures=tuple(pictures),
        status=status,
        href=review_href(_params(now, chosen, frame, instance)),
        colour=plots.STATUS_COLOURS.get(status, "#8b9199"),
        value=percent(fraction),
        extra=f"risk {risk:.2f}" if risk == risk else "",
    )


def _clean(chosen: OpenSet, frame: int, instance: int) -> int | None:
    """Return the frame that shows this person with nothing in front, None for none."""
    clean = chosen.source.clean_of(frame)
    if clean is None:
        return None
    row = chosen.table.rows_of(np.array([clean]), np.array([instance]))
    return clean if row[0] >= 0 else None


def _params(now: Look, chosen: OpenSet, frame: int, instance: int) -> dict[str, str]:
    return review_params(chosen.key, frame=frame, instance=instance, q=now.query)


def _nobody(now: Look, chosen: OpenSet, found: Found) -> None:
    """Say why nobody is found, and what helps."""
    if not found.table.people:
        nothing(NO_PEOPLE, ("Other data sets", HOME), ("Generate one", GENERATE))
        return
    if "disagreement" in now.query and not np.isfinite(found.columns["disagreement"]).any():
        nothing(
            "Nobody is found because no model's predictions of this data set are stored, and "
            "`disagreement` asks for them. This command stores some:"
        )
        line = f"synthstudio predict RUN {chosen.name} --out predictions --into DB --layer NAME"
        st.code(line, language=None)
    else:
        nothing(f"Nobody is found: {_why_nobody(now)}.")
    st.button("Show everybody", on_click=set_text, args=(now, "", chosen.skeleton.joints))


def _why_nobody(now: Look) -> str:
    if now.query:
        return "none of these people is all that the query asks for"
    return "reviewers have deleted all of its people"


main()
