"""Where two looks differ: both drawn side by side, and a lead's choice joint by joint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import streamlit as st

from synthstudio.core.errors import DatasetError, Refused
from synthstudio.review import history
from synthstudio.review.check import Base, base_of
from synthstudio.review.team.second_pass import Decision, adjudicate
from synthstudio.review.team.statistics import Disagreement, disagreements
from synthstudio.review.values import ItemState, JointLabel, Person, Status, User, may
from synthstudio.studio import pictures, refusal
from synthstudio.studio.context import Context, OpenSet
from synthstudio.studio.empty import QUEUE, nothing
from synthstudio.studio.gallery.view import forget_columns
from synthstudio.studio.marks import legend_html
from synthstudio.studio.text import plain

_CROP_PX = 460
_STATUSES: tuple[Status, ...] = ("approved", "rejected", "flagged")
DELETED: Literal["deleted"] = "deleted"
_WORDS = {2: "visible", 1: "hidden", 0: "outside", None: "unlabelled"}


def decisions(ctx: Context, me: User, chosen: OpenSet) -> None:
    """Show the largest difference that nobody has decided on yet."""
    if not may(me.role, "adjudicate"):
        nothing(
            "Leads decide where two looks differ, and you are no lead.", ("Go on reviewing", QUEUE)
        )
        return
    open_ones = disagreements(ctx.store, chosen.table)
    if not open_ones:
        nothing(
            "There is nothing to decide: no two looks at one person differ, or a lead has decided "
            "already. More people are looked at twice under Second look.",
            ("Go on reviewing", QUEUE),
        )
        return
    place = min(int(st.session_state.get("team_pair", 0)), len(open_ones) - 1)
    found = open_ones[place]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"Frame {found.frame}, person {found.instance}: difference **{found.score:.2f}**, "
            f"{place + 1:,} of {len(open_ones):,}",
            width="content",
        )
        for label, step in (("Previous", -1), ("Next", 1)):
            st.button(
                label,
                key=f"team_{label}",
                on_click=_turn,
                args=(place + step,),
                disabled=not 0 <= place + step < len(open_ones),
            )
    base = base_of(chosen.dataset, found.frame, found.instance)
    st.html(legend_html())
    _side_by_side(chosen, found)
    _choices(ctx, me, chosen, found, base)


def _turn(place: int) -> None:
    st.session_state["team_pair"] = place


def _side_by_side(chosen: OpenSet, found: Disagreement) -> None:
    for column, letter, state in zip(
        st.columns(2), "AB", (found.pair.first, found.pair.second), strict=True
    ):
        with column:
            gone = " · deleted" if state.deleted else ""
            said = f"{plain(state.who or 'nobody')} · {state.status}{gone}"
            st.markdown(f"**{letter}** · {said}")
            try:
                picture = pictures.crop(
                    chosen.source,
                    found.frame,
                    found.instance,
                    size=_CROP_PX,
                    labels=True,
                    changed=state.joints,
                )
            except DatasetError as error:
                refusal.show(error)
                continue
            st.image(picture, width="stretch", alt=f"The labels of look {letter}")


def _choices(ctx: Context, me: User, chosen: OpenSet, found: Disagreement, base: Base) -> None:
    person = Person(dataset=chosen.key, frame=found.frame, instance=found.instance)
    now = history.state(ctx.store, person)
    first, second = found.pair.first, found.pair.second
    key = f"team_{found.frame}_{found.instance}_{now.revision}"
    with st.form(key, border=True):
        for joint in found.joints:
            name, a, b, choice = st.columns([2, 3, 3, 1.6], vertical_alignment="center")
            name.markdown(f"**{plain(joint.replace('_', ' '))}**")
            a.markdown(plain(f"A: {label_words(_label(first, joint, base))}"))
            b.markdown(plain(f"B: {label_words(_label(second, joint, base))}"))
            choice.radio(
                f"Take for {joint.replace('_', ' ')}",
                ("A", "B"),
                key=f"{key}_{joint}",
                horizontal=True,
                label_visibility="collapsed",
            )
        gone = first.deleted or second.deleted
        if gone:
            st.markdown("One look deleted the person. Any other verdict keeps the other's joints.")
        elif not found.joints:
            st.markdown("The joints agree; only the verdict differs.")
        status, why, go = st.columns([2, 4, 1.4], vertical_alignment="bottom")
        verdicts = (*_STATUSES, DELETED) if gone else _STATUSES
        verdict = status.selectbox("Verdict", verdicts, key=f"{key}_status")
        text = why.text_input("Reason", max_chars=2_000, key=f"{key}_why")
        sent = go.form_submit_button("Decide", type="primary", width="stretch")
    if sent:
        picked = {joint: str(st.session_state[f"{key}_{joint}"]) for joint in found.joints}
        decision = decision_of(found, base, picked, status=verdict, text=text.strip())
        try:
            adjudicate(ctx.store, person, decision, revision=now.revision, who=me, base=base)
        except Refused as error:
            refusal.show(error, user=me.name)
            return
        forget_columns()
        st.rerun()


def decision_of(
    found: Disagreement,
    base: Base,
    picked: Mapping[str, str],
    *,
    status: Status | Literal["deleted"],
    text: str,
) -> Decision:
    """Return what a lead chose: A's labels, with B's for the joints where `picked` says "B"."""
    if status == DELETED:
        return Decision(choice="own", deleted=True, text=text)
    taken = {
        joint: _label(found.pair.second, joint, base)
        for joint, letter in picked.items()
        if letter == "B"
    }
    joints = {joint: label for joint, label in taken.items() if label is not None}
    return Decision(choice="own", joints=joints, status=status, text=text)


def _label(state: ItemState, joint: str, base: Base) -> JointLabel | None:
    return state.joints.get(joint) or (base.joints or {}).get(joint)


def label_words(label: JointLabel | None) -> str:
    """Return a label as words: state, cause, place."""
    if label is None:
        return "nothing"
    state = _WORDS.get(label.state, "unlabelled")
    cause = f" by {label.cause}" if label.state == 1 else ""
    known = label.x_px is not None and label.y_px is not None
    place = f" at {label.x_px:.1f}, {label.y_px:.1f}" if known else ""
    return f"{state}{cause}{place}"
