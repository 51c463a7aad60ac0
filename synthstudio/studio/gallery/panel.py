"""The gallery's filter form. Every widget is set from the query, and writes the query."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from synthstudio.review.values import STATUSES
from synthstudio.studio.context import OpenSet
from synthstudio.studio.filters import (
    MAX_JOINT_TESTS,
    TESTS,
    WHOLE,
    Form,
    JointAsk,
    whiches,
    with_choice,
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
