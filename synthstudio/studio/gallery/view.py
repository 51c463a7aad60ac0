"""A session's state in the gallery: the query and the display options.

The query text is authoritative; form, plots and saved views change it, and widgets are set from
it at the start of every run.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from synthstudio.core.arrays import F64, I64, Array
from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import CAUSES
from synthstudio.dataset.matching import LIST_MARK
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.review_fields import (
    ME,
    REVIEW_FIELDS,
    Columns,
    as_reviewed,
    hide_reviews,
    last_event_id,
    matching_rows,
    parse_query,
    review_columns,
)
from synthstudio.review.store import Store
from synthstudio.review.team.second_review import blinded, share_of
from synthstudio.review.values import Pair, User
from synthstudio.studio.context import Context, OpenSet
from synthstudio.studio.gallery.filters import Form, form_from_query
from synthstudio.studio.page_parts import API

SORTS: dict[str, str] = {
    "frame": "frame",
    "risk": "risk, highest first",
    "occluded": "most occluded first",
    "shown": "least occluded first",
    "edited": "last edited first",
}
PAGE_SIZES = (24, 48, 96, 192)
_FACTS = ("occluded", "truncated", "crowd", "depth")
_TEXTS = ("pose family", "view", "variant", "split", "group", "identity")


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of a list: `number` from 0 of `pages`, its rows of the people table."""

    rows: I64
    number: int
    pages: int
    first: int
    total: int


def sort_rows(rows: I64, how: str, table: PeopleTable, columns: Mapping[str, Array]) -> I64:
    """Return rows sorted by one of SORTS; unknown values last, ties by frame."""
    keys: dict[str, Callable[[], F64]] = {
        "risk": lambda: -columns["risk"][rows],
        "occluded": lambda: -table.occluded[rows],
        "shown": lambda: table.occluded[rows],
        "edited": lambda: -columns["edited"][rows],
    }
    if how not in keys:
        return rows
    return rows[np.argsort(keys[how](), kind="stable")]  # argsort puts NaN last


def page_of(rows: I64, *, number: int, size: int) -> Page:
    """Return a page; numbers beyond the last page give the last."""
    pages = max(1, -(-len(rows) // size))
    number = min(max(number, 0), pages - 1)
    first = number * size
    return Page(
        rows=rows[first : first + size], number=number, pages=pages, first=first, total=len(rows)
    )


def csv_header(joints: Sequence[str]) -> list[str]:
    texts = [name.replace(" ", "_") for name in _TEXTS]
    return ["frame", "instance", *REVIEW_FIELDS, "edited", *_FACTS, *texts, *joints]


def csv_rows(rows: I64, table: PeopleTable, columns: Mapping[str, Array]) -> Iterator[list[object]]:
    """Yield one line per person: review, numbers, texts, and each joint's cause."""
    numbers = [table.number(name)[rows] for name in _FACTS]
    texts = [table.texts(name, rows) for name in _TEXTS]
    causes = table.arrays["cause"][:, rows]
    for k, row in enumerate(rows.tolist()):
        yield [
            int(table.frame[row]),
            int(table.instance[row]),
            *(_csv_value(columns[name][row]) for name in REVIEW_FIELDS),
            _iso_time(columns["edited"][row]),
            *(_csv_value(values[k]) for values in numbers),
            *(values[k] for values in texts),
            *(CAUSES[code] if code < len(CAUSES) else "" for code in causes[:, k]),
        ]


def percent(value: float) -> str:
    return f"{value:.0%}" if np.isfinite(value) else ""


def _csv_value(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}" if np.isfinite(value) else ""
    if isinstance(value, str) and LIST_MARK in value:
        return ", ".join(name for name in value.split(LIST_MARK) if name not in ("", ME))
    return value


def _iso_time(seconds: float) -> str:
    if not np.isfinite(seconds):
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


_CROP_PX = 256
_KEPT_S = 5
SHOWS = ("People", "Statistics", "Map")


@dataclass(kw_only=True)
class GalleryState:
    """One session's state in one data set.

    `text`: as typed; `query`: the last valid one, which the page shows.
    `like`: the person, by frame and number, to whose pose people are sorted by similarity; None:
    sorted by `sort`. `among`: the only people shown, None: all.
    """

    text: str = ""
    query: str = ""
    query_error: str = ""
    like: Pair | None = None
    among: tuple[Pair, ...] | None = None
    sort: str = "frame"
    size: int = PAGE_SIZES[0]
    number: int = 0
    show: str = SHOWS[0]
    labels: bool = True
    clean: bool = False
    picking: bool = False
    clicks: int = 0  # renames the plots, to clear their selection
    notice: str = ""  # result of the last action, shown once


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    rows: I64
    page: Page
    columns: Columns
    table: PeopleTable


def gallery_state(chosen: OpenSet) -> GalleryState:
    looks = st.session_state.setdefault("gallery", {})
    if chosen.key not in looks:
        looks[chosen.key] = GalleryState()
        _read_address(looks[chosen.key], chosen)
    found: GalleryState = looks[chosen.key]
    return found


def _read_address(state: GalleryState, chosen: OpenSet) -> None:
    parameters = st.query_params
    set_query(state, parameters.get("q", ""), chosen.skeleton.joints)
    if parameters.get("sort") in SORTS:
        state.sort = parameters["sort"]
    if parameters.get("page", "").isdecimal():
        state.number = max(0, int(parameters["page"][:9]) - 1)
    frame, _, instance = parameters.get("like", "").partition("-")
    if frame.isdecimal() and instance.isdecimal():
        show_like(state, chosen, (int(frame[:9]), int(instance[:9])))


def write_address(state: GalleryState, ctx: Context, chosen: OpenSet) -> None:
    parameters = {
        "set": chosen.key if len(ctx.sets) > 1 else "",
        "q": state.query,
        "sort": state.sort if state.sort != "frame" else "",
        "page": str(state.number + 1) if state.number else "",
        "like": "{}-{}".format(*state.like) if state.like else "",
    }
    for name, value in parameters.items():
        if value:
            st.query_params[name] = value
        elif name in st.query_params:
            del st.query_params[name]


def set_query(state: GalleryState, text: str, joints: tuple[str, ...]) -> None:
    """Set a query as typed; if invalid, the last valid one stays."""
    state.text = text.strip()
    state.number = 0
    try:
        if state.text:
            parse_query(state.text, joints)
    except DatasetError as error:
        state.query_error = str(error)
    else:
        state.query, state.query_error = state.text, ""


def show_like(state: GalleryState, chosen: OpenSet, person: Pair) -> None:
    """Sort all people by similarity to one pose; no effect without a pose."""
    if chosen.table.rows_at([person])[0] >= 0:
        state.like, state.among, state.show, state.number = person, None, SHOWS[0], 0


@st.cache_resource(max_entries=4, show_spinner=False)
def poses_of(_chosen: OpenSet, key: str) -> F64:
    """The poses of all people on disk, cached for all sessions. `key`: of the set."""
    return normalised(_chosen.table.joints_px)


def current_form(state: GalleryState, joints: tuple[str, ...]) -> Form | None:
    return form_from_query(parse_query(state.query, joints) if state.query else None)


def find_people(ctx: Context, chosen: OpenSet, me: User, state: GalleryState) -> SearchResult:
    columns = columns_of(ctx, chosen, me)
    table = as_reviewed(chosen.table, columns)
    joints = chosen.skeleton.joints
    if state.query:
        rows = matching_rows(table, parse_query(state.query, joints), columns)
    else:
        rows = np.arange(table.people, dtype=np.int64)
    rows = rows[~columns["deleted"][rows]]
    if state.among is not None:
        rows = rows[np.isin(rows, table.rows_at(state.among))]
    if state.like is not None:
        like = int(table.rows_at([state.like])[0])
        apart = distances(poses_of(chosen, chosen.key), like)
        rows = rows[np.argsort(apart[rows], kind="stable")]  # argsort puts NaN last
    else:
        rows = sort_rows(rows, state.sort, table, columns)
    page = page_of(rows, number=state.number, size=state.size)
    state.number = page.number
    return SearchResult(rows=rows, page=page, columns=columns, table=table)


def columns_of(ctx: Context, chosen: OpenSet, me: User) -> Columns:
    """Reviews of all people, at most seconds old but for edits; blinded people appear untouched."""
    store, table = ctx.store, chosen.table
    share, event = share_of(store, chosen.key, "second_share"), last_event_id(store, table.key)
    key = f"{me.role} {me.name}", store.url, table.key, event
    return _columns(store, table, me, share, key)


def crop_url(
    chosen: OpenSet, columns: Columns, row: int, *, labels: bool, frame: int | None = None
) -> str:
    """Return the address of a person's crop, also from another `frame`; new after each edit."""
    edited, table = float(columns["edited"][row]), chosen.table
    frame = int(table.frame[row]) if frame is None else frame
    person = f"{API}/sets/{chosen.key}/people/{frame}/{int(table.instance[row])}"
    number = int(edited * 1000) if labels and np.isfinite(edited) else 0
    return f"{person}/crop?size={_CROP_PX}&labels={str(labels).lower()}&edited={number}"


def clear_columns() -> None:
    """Reload on the next run: the store changed by other means than an event."""
    _columns.clear()


@st.cache_resource(ttl=_KEPT_S, max_entries=8, show_spinner=False)
def _columns(
    _store: Store, _table: PeopleTable, _me: User, share: float, key: tuple[object, ...]
) -> Columns:
    hidden = blinded(_store, _table, who=_me, share=share)
    return hide_reviews(review_columns(_store, _table, me=_me.name), hidden)


def view_options(state: GalleryState) -> dict[str, str]:
    return {"sort": state.sort, "size": str(state.size), "clean": "yes" if state.clean else "no"}


def apply_options(state: GalleryState, options: Mapping[str, Any]) -> None:
    state.sort = options["sort"] if options.get("sort") in SORTS else state.sort
    size = str(options.get("size", ""))
    state.size = int(size) if size in map(str, PAGE_SIZES) else state.size
    state.clean = options.get("clean") == "yes"


def pager(page: Page, key: str, turn: Callable[[int], None]) -> None:
    if page.pages == 1:
        return
    now, last = page.number, page.pages - 1
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="center"):
        turns = {"First": 0, "Previous": now - 1, "Next": now + 1, "Last": last}
        for label, number in turns.items():
            if label == "Next":
                st.markdown(f"page {now + 1:,} of {page.pages:,}", width="content")
            off = now == (0 if label in ("First", "Previous") else last)
            st.button(label, on_click=turn, args=(number,), disabled=off, key=f"{key}_{label}")


MIN_JOINTS = 6
"""Minimum joints in common for comparing two people."""


def normalised(joints_px: NDArray[np.floating]) -> F64:
    """Poses (P, J, 2) relative to the mean of their known joints, scaled to mean distance one.

    NaN for unknown joints, and for all joints of poses with fewer than MIN_JOINTS.
    """
    poses = joints_px.astype(np.float64)
    known = np.isfinite(poses[..., 0]) & np.isfinite(poses[..., 1])
    count = np.maximum(known.sum(1), 1)[:, None]
    poses = np.where(known[..., None], poses, 0)
    poses -= (poses.sum(1) / count)[:, None]
    size = np.where(known, np.linalg.norm(poses, axis=2), 0).sum(1) / count[:, 0]
    enough = (known.sum(1) >= MIN_JOINTS) & (size > 0)
    fine = known & enough[:, None]
    return np.where(fine[..., None], poses / np.maximum(size, 1e-9)[:, None, None], np.nan)


def distances(poses: F64, row: int) -> F64:
    """(P,) mean distance of common joints to one person; NaN with fewer than MIN_JOINTS."""
    apart = np.linalg.norm(poses - poses[row], axis=2)
    common = np.isfinite(apart)
    enough = common.sum(1) >= MIN_JOINTS
    total = np.where(common, apart, 0).sum(1)
    return np.where(enough, total / np.maximum(common.sum(1), 1), np.nan)


def pose_map(poses: F64) -> F64:
    """Places (P, 2) by the first two principal components of poses; NaN without a pose.

    Unknown joints are set to the mean pose. Signs are fixed: the largest weight of each
    component is positive.
    """
    there = np.isfinite(poses).any((1, 2))
    places = np.full((len(poses), 2), np.nan)
    if not there.any():
        return places
    flat = poses[there].reshape(int(there.sum()), -1)
    known = np.isfinite(flat)
    mean = np.where(known, flat, 0).sum(0) / np.maximum(known.sum(0), 1)
    offsets = np.where(known, flat - mean, 0)
    axes = np.linalg.eigh(offsets.T @ offsets)[1][:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), [0, 1]])
    places[there] = offsets @ axes
    return places
