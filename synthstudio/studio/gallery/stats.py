"""The gallery's plots of the people that were found; a click on one filters."""

from __future__ import annotations

from collections import Counter
from typing import Any

import streamlit as st

from synthstudio.review.risk.people import facet, joint_facet
from synthstudio.studio import plots
from synthstudio.studio.context import OpenSet
from synthstudio.studio.filters import (
    Form,
    JointAsk,
    text_of,
    with_choice,
    with_joint,
    with_range,
)
from synthstudio.studio.gallery.view import Found, Look, form_now, set_text


def statistics(now: Look, chosen: OpenSet, found: Found) -> None:
    """Show four plots of all people found."""
    rows, table = found.rows, found.table
    joints = chosen.skeleton.joints
    if not len(rows):
        return
    names, counts = joint_facet(table, "cause", rows=rows)
    families = facet(table, "pose family", rows=rows)
    statuses = Counter(found.columns["status"][rows].tolist())
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _plot(
            now,
            joints,
            "Joints by cause, % of people",
            "causes",
            plots.heat_map(counts, joints, dark=st.context.theme.type == "dark"),
        )
    with right:
        _plot(
            now,
            joints,
            "Occluded fraction, people",
            "occluded",
            plots.histogram(plots.occluded_counts(table.occluded[rows])),
        )
        shown = dict(zip(families.values, families.counts.tolist(), strict=True))
        _plot(
            now, joints, "Pose family, people", "families", plots.bars(shown, field="pose family")
        )
        _plot(
            now,
            joints,
            "Status, people",
            "statuses",
            plots.bars(dict(statuses), field="status", colours=plots.STATUS_COLOURS),
        )
    with st.expander("Joints by cause as numbers"):
        lines = [
            {"joint": joint.replace("_", " "), **dict(zip(names, line, strict=True))}
            for joint, line in zip(joints, counts.tolist(), strict=True)
        ]
        st.dataframe(lines, hide_index=True, alt="People by joint and cause")


def _plot(now: Look, joints: tuple[str, ...], title: str, name: str, plot: plots.Plot) -> None:
    key = f"gallery_plot_{name}_{now.clicks}"

    def clicked() -> None:
        place = _place(st.session_state.get(key), len(plot.asks))
        if place is not None:
            now.clicks += 1
            narrow(now, plot.asks[place], joints)

    st.markdown(f"**{title}**")
    st.plotly_chart(
        plot.figure,
        key=key,
        on_select=clicked,
        selection_mode="points",
        config=plots.CONFIG,
        alt=plot.alt,
    )


def _place(event: Any, count: int) -> int | None:
    """Return which point a browser says was clicked, if there is such a one."""
    try:
        place = event["selection"]["points"][0]["point_index"]
    except (KeyError, IndexError, TypeError):
        return None
    return place if type(place) is int and 0 <= place < count else None


def narrow(now: Look, ask: plots.Ask, joints: tuple[str, ...]) -> None:
    """Ask for this too: in the form's words, or behind a query that no form can say."""
    form = form_now(now, joints)
    if form is None:
        set_text(now, f"({now.query}) and {text_of(_with(Form(), ask))}", joints)
    else:
        set_text(now, text_of(_with(form, ask)), joints)


def _with(form: Form, ask: plots.Ask) -> Form:
    if ask.which:
        return with_joint(form, JointAsk(which=ask.which, test=ask.test))
    if ask.limits is not None:
        return with_range(form, ask.field, ask.limits)
    return with_choice(form, ask.field, ask.values)
