"""Addresses of people in the review page, and the way there."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn
from urllib.parse import urlencode

import streamlit as st

from synthstudio.studio.listing import Page

REVIEW = "pages/review.py"


def review_params(
    key: str, *, frame: int | None = None, instance: int | None = None, q: str = "", queue: str = ""
) -> dict[str, str]:
    """Return the address parameters of a person in the review page. `key`: of the data set."""
    found = {"set": key, "frame": frame, "instance": instance, "q": q, "queue": queue}
    return {name: str(value) for name, value in found.items() if value not in (None, "")}


def review_href(params: dict[str, str]) -> str:
    """Return the relative address of the review page, for links that a browser may open."""
    return f"review?{urlencode(params)}"


def open_review(params: dict[str, str]) -> NoReturn:
    """Leave this page for the review page."""
    st.switch_page(REVIEW, query_params=params)


def pager(page: Page, key: str, turn: Callable[[int], None]) -> None:
    """Show buttons that turn pages, if there are several; `turn` hears the new page's number."""
    if page.pages == 1:
        return
    last = page.pages - 1
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="center"):
        for label, number, off in (
            ("First", 0, page.number == 0),
            ("Previous", page.number - 1, page.number == 0),
        ):
            st.button(label, on_click=turn, args=(number,), disabled=off, key=f"{key}_{label}")
        st.markdown(f"page {page.number + 1:,} of {page.pages:,}", width="content")
        for label, number, off in (
            ("Next", page.number + 1, page.number == last),
            ("Last", last, page.number == last),
        ):
            st.button(label, on_click=turn, args=(number,), disabled=off, key=f"{key}_{label}")
