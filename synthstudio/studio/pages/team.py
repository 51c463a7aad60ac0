"""The page Team: who reviews, who has what, how far two agree, and decisions between them."""

from __future__ import annotations

import streamlit as st

from synthstudio.studio.context import context, current_user
from synthstudio.studio.gallery.view import columns_of
from synthstudio.studio.teamwork.decide import decisions
from synthstudio.studio.teamwork.members import pace, team, work
from synthstudio.studio.teamwork.twice import agreeing, second_look

PARTS = ("Members", "Second look", "Decide")


def main() -> None:
    """Show the page."""
    ctx, me = context(), current_user()
    chosen = ctx.chosen("Team")
    st.title("Team")
    st.session_state["team_part"] = st.session_state.get("team_kept", PARTS[0])
    part = st.segmented_control(
        "Part",
        PARTS,
        key="team_part",
        required=True,
        label_visibility="collapsed",
        on_change=lambda: st.session_state.update(team_kept=st.session_state["team_part"]),
    )
    if part == "Members":
        columns = columns_of(ctx, chosen, me)
        left, right = st.columns([3, 2], gap="large")
        with left:
            st.subheader("Members")
            team(ctx, me, chosen, columns)
            st.subheader("Decided by day")
            pace(ctx, chosen)
        with right:
            st.subheader("Work")
            work(ctx, me, chosen, columns)
    elif part == "Second look":
        second_look(ctx, me, chosen)
        st.subheader("Agreement")
        agreeing(ctx, chosen)
    else:
        decisions(ctx, me, chosen)


main()
