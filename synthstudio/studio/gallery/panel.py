"""The gallery's filter form and plots: set from the query, and writing the query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import streamlit as st

from synthstudio.review.risk.people import facet, joint_facet
from synthstudio.review.values import STATUSES
from synthstudio.studio.context import OpenSet
from synthstudio.studio.drawing import plots
from synthstudio.studio.gallery.filters import (
    MAX_JOINT_TESTS,
    TESTS,
    WHOLE,
    Form,
    JointAsk,
    text_of,
    whiches,
    with_choice,
    with_joint,
    with_range,
)
from synthstudio.studio.gallery.view import Found, Look, form_now, set_form, set_text

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
Changed = Callable[[], None]


def panel(now: Look, chosen: OpenSet, found: Found) -> None:
    """Show the form."""
    joints = chosen.skeleton.joints
    form = form_now(now, joints)
    off = form is None

    def changed() -> None:
        set_form(now, _read(joints), joints)

    shown = form or Form()
    with st.container(key="gallery_form", gap="xsmall"):
        st.markdown("**Filter**")
        for k in range(MAX_JOINT_TESTS):
            _joint(k, shown, joints, changed, off=off)
        for name in _FIRST_SLIDERS:
            _slider(name, shown, changed, off=off)
        for name, label in _FIRST.items():
            _choice(name, label, shown, _values(name, found), changed, off=off)
        with st.expander("More", expanded=_asks_more(shown)):
            for name in _MORE_SLIDERS:
                _slider(name, shown, changed, off=off)
            for name, label in _MORE.items():
                _choice(name, label, shown, _values(name, found), changed, off=off)
        if off:
            st.caption("The query says more than this form can show.")
        st.button(
            "Clear",
            on_click=set_text,
            args=(now, "", joints),
            disabled=not now.text,
            width="stretch",
        )


def _joint(k: int, form: Form, joints: tuple[str, ...], changed: Changed, *, off: bool) -> None:
    ask = form.joints[k] if k < len(form.joints) else None
    if k > len(form.joints):
        for part in ("which", "test"):
            st.session_state.pop(f"gallery_{part}_{k}", None)
        return
    st.session_state[f"gallery_which_{k}"] = ask.which if ask else _ANY
    st.selectbox(
        "Joint" if k == 0 else "And joint",
        (_ANY, *whiches(joints)),
        key=f"gallery_which_{k}",
        on_change=changed,
        format_func=_words,
        disabled=off,
    )
    if ask:
        st.session_state[f"gallery_test_{k}"] = ask.test
        st.selectbox(
            "is",
            TESTS,
            key=f"gallery_test_{k}",
            on_change=changed,
            format_func=_test_words,
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
    asked = form.choices.get(name, ())
    options = (*values, *(value for value in asked if value not in values))
    st.session_state[f"gallery_{name}"] = list(asked)
    st.multiselect(
        label,
        options,
        key=f"gallery_{name}",
        on_change=changed,
        format_func=_words,
        placeholder="any" if options else "none yet",
        disabled=off or not options,
    )


def _read(joints: tuple[str, ...]) -> Form:
    """Return the form as its widgets say it now."""
    state = st.session_state
    asks = []
    for k in range(MAX_JOINT_TESTS):
        which = state.get(f"gallery_which_{k}", _ANY)
        if which in whiches(joints):
            asks.append(JointAsk(which=which, test=state.get(f"gallery_test_{k}") or TESTS[1]))
    form = Form(joints=tuple(dict.fromkeys(asks)))
    for name in _SLIDERS:
        low, high = state.get(f"gallery_{name}", WHOLE)
        # A range of one point would find nobody; the slider's step is its width.
        high = max(high, round(low + 0.01, 2)) if low < 1 else 1.0
        form = with_range(form, name, (min(low, 0.99), high))
    for name in (*_FIRST, *_MORE):
        form = with_choice(form, name, state.get(f"gallery_{name}", ()))
    return form


def _values(name: str, found: Found) -> tuple[str, ...]:
    """Return what a field can be in this data set."""
    if name == "status":
        return STATUSES
    if name in ("reviewer", "assigned"):
        return tuple(sorted({v for v in found.columns[name] if v is not None}))
    names = found.table.codes(name)[1].to_pylist()
    return tuple(sorted(value for value in names if value))


def _asks_more(form: Form) -> bool:
    return any(n in form.ranges for n in _MORE_SLIDERS) or any(n in form.choices for n in _MORE)


def _words(text: str) -> str:
    return text.replace("_", " ")


def _test_words(test: str) -> str:
    return "truncated" if test.startswith("cause") else test


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
