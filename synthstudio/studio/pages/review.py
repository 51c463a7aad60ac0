"""The page Review: the editor over a queue of people."""

from __future__ import annotations

import streamlit as st

from synthstudio.studio.context import context, current_user
from synthstudio.studio.editor import session
from synthstudio.studio.overview import count_people
from synthstudio.studio.page_parts import GENERATE, HOME, NO_PEOPLE, empty_state
from synthstudio.studio.work_table import assigned_waiting


def main() -> None:
    if session.stand_in():
        return
    ctx, me = context(), current_user()
    chosen = ctx.chosen("Review")
    if chosen.dataset.people and not count_people(ctx.store, chosen.key).total:
        st.title("Review")
        empty_state(NO_PEOPLE, ("Other data sets", HOME), ("Generate one", GENERATE))
        return
    # Without an address, what is assigned to somebody comes first.
    asked = {"frame", "instance", "q", "queue"} & set(st.query_params)
    if not asked and "review_session" not in st.session_state:
        if assigned_waiting(ctx, me, chosen):
            st.query_params["queue"] = "mine"
    session.show()


main()
