"""The page Gallery: a grid of people with filters, sorting and bulk actions."""

import functools

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from synthstudio.core.progress import people_text
from synthstudio.review.values import User, may
from synthstudio.studio.context import Context, OpenSet, context, current_user
from synthstudio.studio.frame_data import legend_html
from synthstudio.studio.gallery import plots
from synthstudio.studio.gallery.actions import bulk_actions, csv_button, views_menu
from synthstudio.studio.gallery.panel import map_of_poses, panel, statistics
from synthstudio.studio.gallery.view import (
    PAGE_SIZES,
    SHOWS,
    SORTS,
    GalleryState,
    SearchResult,
    crop_url,
    find_people,
    gallery_state,
    pager,
    percent,
    set_query,
    show_like,
    write_address,
)
from synthstudio.studio.overview import added_note, count_people
from synthstudio.studio.page_parts import (
    Cell,
    empty_state,
    no_people,
    open_review,
    people_grid,
    plain,
    review_href,
)


def main() -> None:
    ctx, me = context(), current_user()
    chosen = ctx.chosen("Gallery")
    state = gallery_state(chosen)
    st.title("Gallery")
    bar = st.container(horizontal=True, vertical_alignment="bottom", key="gallery_head")
    _query(state, chosen, bar)
    found = find_people(ctx, chosen, me, state)
    with bar:
        views_menu(ctx, me, state, chosen)
        csv_button(chosen, found)
    with st.sidebar:
        panel(state, chosen, found)
    _toolbar(ctx, me, state, chosen, found)
    _narrowed(state)
    if state.notice:
        st.success(plain(state.notice))
        state.notice = ""
    if not found.page.total:
        _empty_result(state, chosen, found)
        if state.picking and may(me.role, "assign"):  # undo those who match no more
            bulk_actions(ctx, me, state, chosen, found, picked=())
    elif state.show == "Statistics":
        statistics(state, chosen, found)
    elif state.show == "Map":
        map_of_poses(state, chosen, found)
    else:
        _people(ctx, me, state, chosen, found)
    write_address(state, ctx, chosen)


def _query(state: GalleryState, chosen: OpenSet, bar: DeltaGenerator) -> None:
    joints = chosen.skeleton.joints
    st.session_state["gallery_text"] = state.text
    bar.text_input(
        "Query",
        key="gallery_text",
        max_chars=10_000,
        on_change=lambda: set_query(state, st.session_state["gallery_text"], joints),
        placeholder="left_wrist hidden by object and occluded > 0.3 and status = pending",
        help="Uses the query language of `synthstudio filter`, plus: status, reviewer, assigned, "
        "changed, comments, risk, disagreement. The form on the left edits this query too.",
    )
    if state.query_error:
        problem, _, place = state.query_error.partition("\n")
        st.error(plain(problem))
        if place:
            st.code(place, language=None)
        st.caption(f"Still showing the last valid query: {plain(state.query) or 'all people'}")


def _toolbar(
    ctx: Context, me: User, state: GalleryState, chosen: OpenSet, found: SearchResult
) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="gallery_bar"):
        people = count_people(ctx.store, chosen.key)
        st.markdown(f"**{found.page.total:,}** of {people_text(people.total)}", width="content")
        if note := added_note(people):
            st.caption(note, width="content")
        bound = functools.partial(_bound_widget, state)
        choose = functools.partial(st.selectbox, label_visibility="collapsed")
        show = functools.partial(st.segmented_control, label_visibility="collapsed", required=True)
        bound("show", show, "Show", SHOWS)
        if state.show != SHOWS[0]:
            return
        bound("sort", choose, "Sort by", tuple(SORTS), format_func=SORTS.get, width=175)
        a_page = "{} a page".format
        bound("size", choose, "People on a page", PAGE_SIZES, format_func=a_page, width=125)
        bound("labels", st.toggle, "Labels")
        beside = "Show each person next to the same moment without occluders"
        bound("clean", st.toggle, "Compare with unoccluded", help=beside)
        many = "Assign, flag or relabel many at once; find" if may(me.role, "assign") else "Find"
        bound("picking", st.toggle, "Select", help=f"{many} people in a similar pose")


def _narrowed(state: GalleryState) -> None:
    if state.like is None and state.among is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="gallery_narrowed"):
        if state.like is not None:
            frame, instance = state.like
            words = f"Most similar poses to frame {frame}, person {instance} first"
            st.markdown(words, width="content")
        if state.among is not None:
            st.markdown(f"{people_text(len(state.among))} chosen on the map", width="content")
        if st.button("Show all as before", key="gallery_widen"):
            state.like, state.among, state.number = None, None, 0
            st.rerun()


def _bound_widget(state: GalleryState, name: str, widget, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
    """Show a widget whose value is in `state`, also while other pages are open."""
    key = f"gallery_{name}"
    st.session_state[key] = getattr(state, name)

    def changed() -> None:
        setattr(state, name, st.session_state[key])
        if name in ("sort", "size"):
            state.number = 0

    widget(*args, key=key, on_change=changed, **kwargs)


def _people(
    ctx: Context, me: User, state: GalleryState, chosen: OpenSet, found: SearchResult
) -> None:
    if state.labels:
        st.html(legend_html())
    cells = [_cell(state, chosen, found, row) for row in found.page.rows.tolist()]
    page = found.page
    above = st.container() if state.picking else None
    opened, picked = people_grid(
        cells,
        key="gallery_grid",
        pick=above is not None,
        page=f"{chosen.key} {state.query} {state.sort} {page.number} {state.size}",
        label=f"people {page.first + 1} to {page.first + len(cells)} of {page.total}",
    )
    if opened is not None:
        open_review(chosen.key, *opened, q=state.query)
    pager(page, "gallery", lambda number: setattr(state, "number", number))
    if above is not None:
        with above:
            if may(me.role, "assign"):
                bulk_actions(ctx, me, state, chosen, found, picked=picked)
            like = st.button(
                "Find similar poses",
                disabled=len(picked) != 1,
                key="gallery_like",
                help=None if len(picked) == 1 else "Select one person.",
            )
            if like:
                show_like(state, chosen, picked[0])
                st.rerun()


def _cell(state: GalleryState, chosen: OpenSet, found: SearchResult, row: int) -> Cell:
    table, columns = found.table, found.columns
    frame, instance = int(table.frame[row]), int(table.instance[row])
    status, fraction = str(columns["status"][row]), float(table.occluded[row])
    where = f"frame {frame}, person {instance}"
    hidden = f"{percent(fraction)} occluded" if percent(fraction) else "occlusion unknown"
    crop = functools.partial(crop_url, chosen, columns, row)
    pictures = [(crop(labels=state.labels), f"{where}, {hidden}, {status}")]
    if state.clean:
        clean = _clean(chosen, frame, instance)
        address = "" if clean is None else crop(labels=False, frame=clean)
        pictures.append((address, f"{where}, nothing in front"))
    risk = float(columns["risk"][row])
    return Cell(
        frame=frame,
        instance=instance,
        pictures=tuple(pictures),
        status=status,
        href=review_href(chosen.key, frame, instance, q=state.query),
        colour=plots.STATUS_COLOURS.get(status, "#8b9199"),
        value=percent(fraction),
        extra=f"risk {risk:.2f}" if risk == risk else "",
    )


def _clean(chosen: OpenSet, frame: int, instance: int) -> int | None:
    clean = chosen.source.clean_of(frame)
    if clean is None:
        return None
    return clean if chosen.table.rows_at([(clean, instance)])[0] >= 0 else None


def _empty_result(state: GalleryState, chosen: OpenSet, found: SearchResult) -> None:
    if not found.table.people:
        no_people()
        return
    if "disagreement" in state.query and not np.isfinite(found.columns["disagreement"]).any():
        empty_state(
            "No people match: no model predictions are stored for this data set, and "
            "`disagreement` needs them. These commands store some, the second those of a file:"
        )
        lines = (
            f"synthstudio predict RUN {chosen.name} --out predictions --into DB --layer NAME",
            f"synthstudio review predictions {chosen.name} FILE --db DB --layer NAME",
        )
        st.code("\n".join(lines), language=None)
    else:
        reviewed = "all people were deleted by reviewers"
        why = "the query excludes all of them" if state.query else reviewed
        empty_state(f"No people match: {why}.")
    st.button("Show all people", on_click=set_query, args=(state, "", chosen.skeleton.joints))


main()
