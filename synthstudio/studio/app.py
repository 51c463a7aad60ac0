"""The frame of all pages: navigation, the data set, the user."""

from pathlib import Path

import streamlit as st

from synthstudio.core.errors import DatasetError, Refused
from synthstudio.studio.context import (
    choose_set,
    context,
    current_user,
    refuse_unguarded,
    show_user,
)
from synthstudio.studio.editor.queue import begin_run, keep_editor
from synthstudio.studio.page_parts import show_refusal, show_unreadable
from synthstudio.studio.settings import ICON, PAGES, STYLE

_FOLDER = Path(__file__).with_name("page_scripts")
_AGAIN_S = 3
"""Retry interval of a database that does not answer."""


def main() -> None:
    st.html(STYLE)
    refuse_unguarded()
    ctx = context()
    pages = [
        st.Page(_FOLDER / f"{name}.py", title=title, url_path=name, default=name == "home")
        for name, title in PAGES.items()
    ]
    page, name = st.navigation(pages, position="hidden"), ""
    st.set_page_config(
        page_title="synthstudio",
        page_icon=str(ICON),
        layout="wide",
        initial_sidebar_state="collapsed" if page.url_path == "review" else "auto",
    )
    begin_run(entered=st.session_state.get("page") != page.url_path)
    st.session_state["page"] = page.url_path
    try:
        me = current_user()
        name = me.name
        with st.sidebar:
            for one in pages:
                st.page_link(one)
            choose_set(ctx)
            show_user(me)
        page.run()
    except Refused as error:  # pages handle expected ones; a role may be revoked at any time
        if error.reason != "busy":
            show_refusal(error, user=name)
            return
        stays = page.url_path == "review"
        if stays:
            keep_editor(name)
        with st.sidebar if stays else st.container():
            show_refusal(error, user=name)
            st.caption("This page tries again by itself.")
        st.fragment(_again, run_every=_AGAIN_S)([])
    except DatasetError as error:
        show_unreadable(ctx.chosen().name, error)


def _again(runs: list[None]) -> None:
    """Run the page again: on the second run, as the first is the page's own."""
    if runs:
        st.rerun()
    runs.append(None)


main()
