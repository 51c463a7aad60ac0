"""Blind second reviews: their rate, the agreement of two reviewers, and adjudication."""

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
import streamlit as st

from synthstudio.core.errors import DatasetError
from synthstudio.review import history
from synthstudio.review.check import Base, base_of
from synthstudio.review.team.second_review import (
    Decision,
    Progress,
    Share,
    adjudicate,
    begin_second_reviews,
    progress,
    set_share,
    share_of,
)
from synthstudio.review.team.statistics import (
    Agreement,
    Disagreement,
    Kappa,
    agreement,
    disagreements,
)
from synthstudio.review.values import ItemState, JointLabel, Status, User, may
from synthstudio.studio import frame_data
from synthstudio.studio.context import Context, OpenSet, user_now
from synthstudio.studio.frame_data import legend_html
from synthstudio.studio.gallery import plots
from synthstudio.studio.gallery.view import clear_columns
from synthstudio.studio.page_parts import (
    QUEUE,
    empty_state,
    open_review,
    plain,
    show_refusal,
    show_table,
    shown_refusals,
)


def share_input(
    ctx: Context, me: User, chosen: OpenSet, *, what: Share, label: str, share: float
) -> None:
    """Edit a fraction in percent; a change is stored at once, or its refusal shown."""
    key = f"share_{what}"

    def changed() -> None:
        with shown_refusals(me):
            by = user_now(ctx, me.name)
            set_share(ctx.store, chosen.key, what, st.session_state[key] / 100, by=by)

    st.session_state[key] = round(100 * share)
    st.number_input(label, min_value=0, max_value=100, key=key, on_change=changed, width=170)


_TAKE = 20
_FIGURES = ("spread, sigmas", "mean OKS", "kappa, state", "kappa, cause")


def show_second_review(ctx: Context, me: User, chosen: OpenSet) -> None:
    share = share_of(ctx.store, chosen.key, "second_share")
    st.markdown(progress_words(progress(ctx.store, chosen.table, share=share), share))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if may(me.role, "claim") and st.button(
            "Claim people for a second review", help="People you have not reviewed"
        ):
            _take(ctx, me, chosen, share)
        if may(me.role, "assign"):
            share_input(
                ctx, me, chosen, what="second_share", label="Reviewed twice, %", share=share
            )


def progress_words(done: Progress, share: float) -> str:
    once, rest = done.once - done.twice, done.chosen - done.once
    return (
        f"**{done.chosen:,}** people ({share:.0%}) are reviewed twice, blind: **{rest:,}** not "
        f"yet, **{once:,}** once, **{done.twice:,}** twice, **{done.adjudicated:,}** decided by "
        "a lead."
    )


def _take(ctx: Context, me: User, chosen: OpenSet, share: float) -> None:
    with shown_refusals(me):
        people = begin_second_reviews(ctx.store, chosen.table, who=me, count=_TAKE, share=share)
        if people:  # drawn at random, but listed as stored
            open_review(chosen.key, *min(one.pair for one in people), queue="second")
        empty_state(
            "No second reviews for you: others have to decide first.",
            ("Review people yourself", QUEUE),
        )


def show_agreement(ctx: Context, chosen: OpenSet) -> None:
    found = agreement(ctx.store, chosen.table)
    if not found.people:
        empty_state(
            "No agreement yet: two reviewers have to decide on the same person, the second one by "
            "the button above.",
            ("Begin with the Risk queue", QUEUE),
        )
        return
    st.markdown(agreement_words(found))
    figures = {name: st.column_config.NumberColumn(format="%.2f") for name in _FIGURES}
    show_table(joint_lines(found), "Agreement by joint", column_config=figures)
    names = [one.joint for one in found.joints]
    plotted = (
        ("team_spread", "OKS spread, sigmas", [one.spread for one in found.joints]),
        ("team_kappa", "kappa of the cause", [one.cause.value for one in found.joints]),
    )
    for column, (key, means, values) in zip(st.columns(2, gap="medium"), plotted, strict=True):
        plot = plots.per_joint(np.array(values), names, means=means)
        column.plotly_chart(plot.figure, config=plots.CONFIG, alt=plot.alt, key=key)


def agreement_words(found: Agreement) -> str:
    overall = found.overall
    people = "person" if found.people == 1 else "people"
    parts = [f"**{found.people:,}** {people} reviewed twice."]
    if math.isfinite(overall.spread):
        parts.append(
            f"Positions differ by **{overall.spread:.2f}** sigma per reviewer (mean OKS "
            f"{overall.oks:.3f})."
        )
    parts.append(
        f"Kappa: state **{_kappa(overall.state)}**, cause **{_kappa(overall.cause)}**, "
        f"verdict **{_kappa(found.verdict)}**."
    )
    return " ".join(parts)


def joint_lines(found: Agreement) -> list[dict[str, object]]:
    return [
        {
            "joint": one.joint.replace("_", " "),
            "people": one.n,
            "spread, sigmas": _round(one.spread),
            "mean OKS": _round(one.oks),
            "state agreed": f"{one.state.agreed} of {one.state.n}",
            "kappa, state": _round(one.state.value),
            "cause agreed": f"{one.cause.agreed} of {one.cause.n}",
            "kappa, cause": _round(one.cause.value),
        }
        for one in found.joints
    ]


def _kappa(kappa: Kappa) -> str:
    if math.isfinite(kappa.value):
        return f"{kappa.value:.2f}"
    return "all equal" if kappa.n else "nothing to compare"


def _round(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


_CROP_PX = 460
DELETED: Literal["deleted"] = "deleted"
_WORDS = {2: "visible", 1: "hidden", 0: "outside", None: "unlabelled"}


def show_decisions(ctx: Context, me: User, chosen: OpenSet) -> None:
    if not may(me.role, "adjudicate"):
        empty_state("Only leads decide where two reviews differ.", ("Continue reviewing", QUEUE))
        return
    open_ones = disagreements(ctx.store, chosen.table, by=me.name)
    if not open_ones:
        empty_state(
            "Nothing to decide: no two reviews of one person by others differ, or a lead has "
            "decided already. Take more people under Second review.",
            ("Continue reviewing", QUEUE),
        )
        return
    place = min(int(st.session_state.get("team_pair", 0)), len(open_ones) - 1)
    found = open_ones[place]
    person = found.pair.first.person
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"{person.where.capitalize()}: difference **{found.score:.2f}**, "
            f"{place + 1:,} of {len(open_ones):,}",
            width="content",
        )
        for label, step in (("Previous", -1), ("Next", 1)):
            st.button(
                label,
                key=f"team_{label}",
                on_click=st.session_state.update,
                kwargs={"team_pair": place + step},
                disabled=not 0 <= place + step < len(open_ones),
            )
    base = base_of(chosen.dataset, *person.pair)
    st.html(legend_html())
    _side_by_side(chosen, found)
    _choices(ctx, me, found, base)


def _side_by_side(chosen: OpenSet, found: Disagreement) -> None:
    for column, letter, state in zip(
        st.columns(2), "AB", (found.pair.first, found.pair.second), strict=True
    ):
        with column:
            gone = " · deleted" if state.deleted else ""
            title = f"{plain(state.who or 'no reviewer')} · {state.status}{gone}"
            st.markdown(f"**{letter}** · {title}")
            try:
                picture = frame_data.crop(
                    chosen.source,
                    chosen.table,
                    *state.person.pair,
                    size=_CROP_PX,
                    labels=True,
                    changed=state.joints,
                )
            except DatasetError as error:
                show_refusal(error)
                continue
            st.image(picture, width="stretch", alt=f"Labels of review {letter}")


def _choices(ctx: Context, me: User, found: Disagreement, base: Base) -> None:
    person = found.pair.first.person
    now = history.state(ctx.store, person)
    first, second = found.pair.first, found.pair.second
    key = f"team_{person.frame}_{person.instance}_{now.revision}"
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
            st.markdown(
                "One review deleted the person. Any other verdict keeps the joints of the other."
            )
        elif not found.joints:
            st.markdown("The joints agree; only the verdict differs.")
        status, why, go = st.columns([2, 4, 1.4], vertical_alignment="bottom")
        verdicts = (*history.DECIDED, DELETED) if gone else history.DECIDED
        verdict = status.selectbox("Verdict", verdicts, key=f"{key}_status")
        text = why.text_input("Reason", max_chars=2_000, key=f"{key}_why")
        sent = go.form_submit_button("Decide", type="primary", width="stretch")
    if sent:
        picked = {joint: str(st.session_state[f"{key}_{joint}"]) for joint in found.joints}
        decision = decision_of(found, base, picked, status=verdict, text=text.strip())
        with shown_refusals(me):
            adjudicate(ctx.store, person, decision, revision=now.revision, who=me, base=base)
            clear_columns()
            st.rerun()


def decision_of(
    found: Disagreement,
    base: Base,
    picked: Mapping[str, str],
    *,
    status: Status | Literal["deleted"],
    text: str,
) -> Decision:
    """Return the adjudicated labels: A's, with B's for the joints where `picked` is "B"."""
    if status == DELETED:
        return Decision(deleted=True, text=text)
    taken = {
        joint: _label(found.pair.second, joint, base)
        for joint, letter in picked.items()
        if letter == "B"
    }
    joints = {joint: label for joint, label in taken.items() if label is not None}
    return Decision(joints=joints, status=status, text=text)


def _label(state: ItemState, joint: str, base: Base) -> JointLabel | None:
    return state.joints.get(joint) or (base.joints or {}).get(joint)


def label_words(label: JointLabel | None) -> str:
    if label is None:
        return "nothing"
    state = _WORDS.get(label.state, "unlabelled")
    cause = f" by {label.cause}" if label.state == 1 else ""
    known = label.x_px is not None and label.y_px is not None
    place = f" at {label.x_px:.1f}, {label.y_px:.1f}" if known else ""
    return f"{state}{cause}{place}"
