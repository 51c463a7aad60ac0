"""The blind second look: how many, how far, and how far two reviewers agree."""

from __future__ import annotations

import math

import numpy as np
import streamlit as st

from synthstudio.core.errors import Refused
from synthstudio.review.settings import share_of
from synthstudio.review.team.second_pass import Progress, begin_second_looks, progress
from synthstudio.review.team.statistics import Agreement, JointAgreement, Kappa, agreement
from synthstudio.review.values import User, may
from synthstudio.studio import links, plots, refusal
from synthstudio.studio.context import Context, OpenSet
from synthstudio.studio.empty import QUEUE, nothing
from synthstudio.studio.teamwork.share import share_input

_TAKE = 20
_FIGURES = ("spread, sigmas", "mean OKS", "kappa, state", "kappa, cause")


def second_look(ctx: Context, me: User, chosen: OpenSet) -> None:
    """Show how far the second look is; leads choose its share, reviewers take people."""
    share = share_of(ctx.store, chosen.key, "second_share")
    done = progress(ctx.store, chosen.table, share=share)
    st.markdown(progress_words(done, share))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if may(me.role, "claim") and st.button(
            "Take people for a second look", help="Those whom you have not touched"
        ):
            _take(ctx, me, chosen, share)
        if may(me.role, "assign"):
            share_input(
                ctx, me, chosen, what="second_share", label="Looked at twice, %", share=share
            )


def progress_words(done: Progress, share: float) -> str:
    """Return how far the second look is, each person in one number: not, once or twice."""
    once, rest = done.once - done.twice, done.chosen - done.once
    return (
        f"**{done.chosen:,}** people ({share:.0%}) are to be looked at twice, by two who do not "
        f"see each other's labels. So far: **{rest:,}** not yet, **{once:,}** once, "
        f"**{done.twice:,}** twice; of these a lead has decided **{done.adjudicated:,}**."
    )


def _take(ctx: Context, me: User, chosen: OpenSet, share: float) -> None:
    try:
        people = begin_second_looks(ctx.store, chosen.table, who=me, count=_TAKE, share=share)
    except Refused as error:
        refusal.show(error, user=me.name)
        return
    if not people:
        nothing(
            "Nobody waits for your second look: others have to decide on people first.",
            ("Review people yourself", QUEUE),
        )
        return
    links.open_review(
        links.review_params(
            chosen.key, frame=people[0].frame, instance=people[0].instance, queue="second"
        )
    )


def agreeing(ctx: Context, chosen: OpenSet) -> None:
    """Show how far two looks at the same people agree, joint by joint."""
    found = agreement(ctx.store, chosen.table)
    if not found.people:
        nothing(
            "Nobody has been looked at twice yet, so there is no agreement to show. Two people "
            "have to decide on the same person, the second one by the button above.",
            ("Begin with the Risk queue", QUEUE),
        )
        return
    st.markdown(agreement_words(found))
    figures = {name: st.column_config.NumberColumn(format="%.2f") for name in _FIGURES}
    st.dataframe(
        joint_lines(found),
        hide_index=True,
        alt="Agreement by joint",
        width="stretch",
        row_height=28,
        column_config=figures,
    )
    names = [one.joint for one in found.joints]
    left, right = st.columns(2, gap="medium")
    spread = plots.per_joint(
        np.array([one.spread for one in found.joints]), names, means="OKS spread, sigmas"
    )
    kappas = plots.per_joint(
        np.array([one.cause.value for one in found.joints]), names, means="kappa of the cause"
    )
    with left:
        st.plotly_chart(spread.figure, config=plots.CONFIG, alt=spread.alt, key="team_spread")
    with right:
        st.plotly_chart(kappas.figure, config=plots.CONFIG, alt=kappas.alt, key="team_kappa")


def agreement_words(found: Agreement) -> str:
    """Return the whole as a sentence."""
    overall = found.overall
    people = "person" if found.people == 1 else "people"
    parts = [f"**{found.people:,}** {people} looked at twice."]
    if math.isfinite(overall.spread):
        parts.append(
            f"Places differ by **{overall.spread:.2f}** sigma a reviewer (mean OKS "
            f"{overall.oks:.3f})."
        )
    parts.append(
        f"Kappa: state **{_kappa(overall.state)}**, cause **{_kappa(overall.cause)}**, "
        f"verdict **{_kappa(found.verdict)}**."
    )
    return " ".join(parts)


def joint_lines(found: Agreement) -> list[dict[str, object]]:
    """Return a line a joint."""
    return [_line(one) for one in found.joints]


def _line(one: JointAgreement) -> dict[str, object]:
    return {
        "joint": one.joint.replace("_", " "),
        "people": one.n,
        "spread, sigmas": _round(one.spread),
        "mean OKS": _round(one.oks),
        "state agreed": f"{one.state.agreed} of {one.state.n}",
        "kappa, state": _round(one.state.value),
        "cause agreed": f"{one.cause.agreed} of {one.cause.n}",
        "kappa, cause": _round(one.cause.value),
    }


def _kappa(kappa: Kappa) -> str:
    if math.isfinite(kappa.value):
        return f"{kappa.value:.2f}"
    return "all alike" if kappa.n else "nothing to compare"


def _round(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None
