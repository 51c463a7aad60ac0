"""A share that a lead sets: of people drawn at random, of people looked at twice."""

from __future__ import annotations

import streamlit as st

from synthstudio.core.errors import Refused
from synthstudio.review.settings import Share, set_share
from synthstudio.review.values import User
from synthstudio.studio import refusal
from synthstudio.studio.context import Context, OpenSet


def share_input(
    ctx: Context, me: User, chosen: OpenSet, *, what: Share, label: str, share: float
) -> None:
    """Show a share in percent; a change is stored at once, or refused in words."""
    key = f"share_{what}"

    def changed() -> None:
        try:
            set_share(ctx.store, chosen.key, what, st.session_state[key] / 100, by=me)
        except Refused as error:
            refusal.show(error, user=me.name)

    st.session_state[key] = round(100 * share)
    st.number_input(label, min_value=0, max_value=100, key=key, on_change=changed, width=170)
