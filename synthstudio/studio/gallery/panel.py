"""The gallery's filter form and plots: set from the query, and setting it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st

from synthstudio.core.progress import people_text
from synthstudio.review.risk.people import facet, joint_facet
from synthstudio.review.values import STATUSES
from synthstudio.studio.context import OpenSet
from synthstudio.studio.gallery import plots
from synthstudio.studio.gallery.filters import (
    MAX_JOINT_TESTS,
    TESTS,
    WHOLE,
    Form,
    JointCondition,
    joint_choices,
    merged,
    query_text,
)
from synthstudio.studio.gallery.view import (
    GalleryState,
    SearchResult,
    current_form,
    pose_map,
    poses_of,
    set_query,
)
from synthstudio.studio.page_parts import show_table

_ANY = "any"
_SLIDERS = {
    "occluded": "Occluded",
    "truncated": "Outside the frame",
    "crowd": "Crowd index",
    "disagreement": "Model disagreement",
}
_FIRST = {"pose family": "Pose family", "view": "View", "status": "Status"}
_MORE = {"reviewer": "Reviewer", "assigned": "Assigned to", "variant": "Variant", "split": "Split"}
_FIRST_SLIDERS, _MORE_SLIDERS = ("occluded", "crowd"), ("truncated", "disagreement")
MAX_POINTS = 20_000
"""Maximum points of the map of poses."""
Changed = Callable[[], None]


def panel(state: GalleryState, chosen: OpenSet, found: SearchResult) -> None:
    joints = chosen.skeleton.joints
    form = current_form(state, joints)
    off = form is None

    def changed() -> None:
        set_query(state, query_text(_read(joints)), joints)

    shown = form or Form()
    with st.container(key="gallery_form", gap="xsmall"):
        st.markdown("**Filter**")
        for k in range(MAX_JOINT_TESTS):
            _joint(k, shown, joints, changed, off=off)
        for name in _FIRST_SLIDERS:
            _slider(name, shown, changed, off=off)
        for name, label in _FIRST.items():
            _choice(name, label, shown, _values(name, found), changed, off=off)
        more = {*shown.ranges, *shown.choices} & {*_MORE_SLIDERS, *_MORE}
        with st.expander("More", expanded=bool(more)):
            for name in _MORE_SLIDERS:
                _slider(name, shown, changed, off=off)
            for name, label in _MORE.items():
                _choice(name, label, shown, _values(name, found), changed, off=off)
        if off:
            st.caption("This query is too complex for the form.")
        st.button(
            "Clear",
            on_click=set_query,
            args=(state, "", joints),
            disabled=not state.text,
            width="stretch",
        )


def _joint(k: int, form: Form, joints: tuple[str, ...], changed: Changed, *, off: bool) -> None:
    condition = form.joints[k] if k < len(form.joints) else None
    if k > len(form.joints):
        for part in ("which", "test"):
            st.session_state.pop(f"gallery_{part}_{k}", None)
        return
    st.session_state[f"gallery_which_{k}"] = condition.which if condition else _ANY
    st.selectbox(
        "Joint" if k == 0 else "And joint",
        (_ANY, *joint_choices(joints)),
        key=f"gallery_which_{k}",
        on_change=changed,
        format_func=_label,
        disabled=off,
    )
    if condition:
        st.session_state[f"gallery_test_{k}"] = condition.test
        st.selectbox(
            "is",
            TESTS,
            key=f"gallery_test_{k}",
            on_change=changed,
            format_func=lambda test: "truncated" if test.startswith("cause") else test,
            disabled=off,
        )
    else:
        st.session_state.pop(f"gallery_test_{k}", None)


def _slider(name: str, form: Form, changed: Changed, *, off: bool) -> None:
    st.session_state[f"gallery_{name}"] = form.ranges.get(name, WHOLE)
    st.slider(
        _SLIDERS[name], 0.0, 1.0, step=0.01, key=f"gallery_{name}", on_change=changed, disabled=off
    )


def _choice(
    name: str, label: str, form: Form, values: tuple[str, ...], changed: Changed, *, off: bool
) -> None:
    chosen = form.choices.get(name, ())
    options = (*values, *(value for value in chosen if value not in values))
    st.session_state[f"gallery_{name}"] = list(chosen)
    st.multiselect(
        label,
        options,
        key=f"gallery_{name}",
        on_change=changed,
        format_func=_label,
        placeholder="any" if options else "none yet",
        disabled=off or not options,
    )


def _read(joints: tuple[str, ...]) -> Form:
    state = st.session_state
    conditions = []
    for k in range(MAX_JOINT_TESTS):
        which = state.get(f"gallery_which_{k}", _ANY)
        if which in joint_choices(joints):
            conditions.append(
                JointCondition(which=which, test=state.get(f"gallery_test_{k}") or TESTS[1])
            )
    ranges = {}
    for name in _SLIDERS:
        low, high = state.get(f"gallery_{name}", WHOLE)
        # A range of one point would match nobody; the slider's step is its width.
        high = max(high, round(low + 0.01, 2)) if low < 1 else 1.0
        ranges[name] = (min(low, 0.99), high)
    choices = {name: tuple(state.get(f"gallery_{name}", ())) for name in (*_FIRST, *_MORE)}
    joints_tested = tuple(dict.fromkeys(conditions))
    return merged(Form(), Form(joints=joints_tested, ranges=ranges, choices=choices))


def _values(name: str, found: SearchResult) -> tuple[str, ...]:
    if name == "status":
        return STATUSES
    if name in ("reviewer", "assigned"):
        return tuple(sorted({v for v in found.columns[name] if v is not None}))
    names = found.table.codes(name)[1].to_pylist()
    return tuple(sorted(value for value in names if value))


def _label(text: str) -> str:
    return text.replace("_", " ")


def statistics(state: GalleryState, chosen: OpenSet, found: SearchResult) -> None:
    rows, table = found.rows, found.table
    joints = chosen.skeleton.joints
    if not len(rows):
        return
    names, counts = joint_facet(table, rows=rows)
    families = facet(table, "pose family", rows=rows)
    statuses = Counter(found.columns["status"][rows].tolist())
    by_joint = plots.heat_map(counts, joints, dark=st.context.theme.type == "dark")
    fractions = plots.histogram(plots.occluded_counts(table.occluded[rows]))
    by_status = plots.bars(statuses, field="status", colours=plots.STATUS_COLOURS)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _plot(state, joints, "Joints by cause, % of people", "causes", by_joint)
    with right:
        _plot(state, joints, "Occluded fraction, people", "occluded", fractions)
        bars = plots.bars(families, field="pose family")
        _plot(state, joints, "Pose family, people", "families", bars)
        _plot(state, joints, "Status, people", "statuses", by_status)
    with st.expander("Joints by cause as numbers"):
        lines = [
            {"joint": joint.replace("_", " "), **dict(zip(names, line, strict=True))}
            for joint, line in zip(joints, counts.tolist(), strict=True)
        ]
        show_table(lines, "People by joint and cause")


def _plot(
    state: GalleryState, joints: tuple[str, ...], title: str, name: str, plot: plots.Plot
) -> None:
    key = f"gallery_plot_{name}_{state.clicks}"

    def clicked() -> None:
        points = _chosen_points(st.session_state.get(key), len(plot.filters))
        if points:
            state.clicks += 1
            narrow(state, plot.filters[points[0]], joints)

    st.markdown(f"**{title}**")
    st.plotly_chart(
        plot.figure,
        key=key,
        on_select=clicked,
        selection_mode="points",
        config=plots.CONFIG,
        alt=plot.alt,
    )


def map_of_poses(state: GalleryState, chosen: OpenSet, found: SearchResult) -> None:
    places = pose_map(poses_of(chosen, chosen.key)[found.rows])
    there = np.flatnonzero(np.isfinite(places).all(1))
    rows = found.rows[there]
    shown = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MAX_POINTS)).astype(np.int64))
    key = f"gallery_map_{state.clicks}"

    def chose() -> None:
        points = _chosen_points(st.session_state.get(key), len(shown))
        if points:
            state.clicks += 1
            state.among = tuple(found.table.ids(rows[shown[points]]))
            state.show, state.number = "People", 0

    few = "" if len(shown) == len(rows) else f"; every {len(rows) / len(shown):.1f}th of them"
    none = len(found.rows) - len(rows)
    left = f" {people_text(none)} with too few joints are not shown." if none else ""
    st.markdown(
        f"**Poses of {people_text(len(rows))}{few}**: similar poses lie close together. "
        f"Draw round some to show only them.{left}"
    )
    if len(shown):
        ids, occluded = found.table.ids(rows[shown]), found.table.occluded[rows[shown]]
        st.plotly_chart(
            plots.points(places[there[shown]], ids, occluded).figure,
            key=key,
            on_select=chose,
            selection_mode=("lasso", "box"),
            config=plots.TOOLS,
            alt="A map of poses; the grid of people shows the same people.",
        )


def _chosen_points(event: Any, count: int) -> list[int]:
    try:
        places = [point["point_index"] for point in event["selection"]["points"]]
    except (KeyError, TypeError):
        return []
    return [place for place in places if type(place) is int and 0 <= place < count]


def narrow(state: GalleryState, clicked: Form, joints: tuple[str, ...]) -> None:
    """Add this condition: in the form, or appended to a query without a form."""
    form = current_form(state, joints)
    if form is None:
        set_query(state, f"({state.query}) and {query_text(clicked)}", joints)
    else:
        set_query(state, query_text(merged(form, clicked)), joints)
