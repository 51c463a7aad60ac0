"""Elements of several pages: empty states, refusals, links to Review."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn
from urllib.parse import urlencode

import streamlit as st

from synthstudio.core.errors import RecipeError, Refused, StudioError, SynthStudioError
from synthstudio.review.values import User
from synthstudio.studio import guard
from synthstudio.studio.text import log_text, plain, without_paths

HOME, REVIEW, GALLERY, QUEUE, TEAM, GENERATE = (
    f"page_scripts/{name}.py" for name in ("home", "review", "gallery", "queue", "team", "generate")
)
_logged: set[str] = set()


def empty_state(why: str, *links: tuple[str, str], good: bool = False) -> None:
    """Explain why a page is empty, which may be `good`; `links`: buttons (label, page)."""
    (st.success if good else st.info)(why)
    if links:
        with st.container(horizontal=True):
            for k, (label, page) in enumerate(links):
                if st.button(label, key=f"way {label}", type="secondary" if k else "primary"):
                    st.switch_page(page)


def no_people() -> None:
    links = ("Other data sets", HOME), ("Generate one", GENERATE)
    empty_state("This data set has no people to show or review.", *links)


def show_table(lines: Sequence[dict[str, Any]], alt: str, **more: Any) -> None:
    """Show lines with equal fields; `alt`: a description for screen readers."""
    st.dataframe(lines, hide_index=True, row_height=30, alt=alt, **more)


def csv_download(data: Any, file_name: str, **more: Any) -> None:
    """A button; `data`: the file's bytes, or a function that makes them on a click."""
    st.download_button("CSV", data, file_name=file_name, mime="text/csv", **more)


def show_unreadable(name: str, error: SynthStudioError) -> None:
    log_unreadable(name, error)
    st.warning(
        f"{plain(name)} cannot be read: a file of it is missing or damaged. Copy it again or make "
        "it again; the server's log names it."
    )


def log_unreadable(name: str, error: SynthStudioError) -> None:
    """Log what is wrong with a data set, once per process."""
    if str(error) not in _logged:
        _logged.add(str(error))
        guard.LOG.warning("cannot read %s: %s", log_text(name), log_text(error, longest=2_000))


def show_refusal(error: SynthStudioError, *, user: str = "") -> None:
    guard.log_refusal("what a page asked for", user=user, why=error)
    st.error(plain(without_paths(error)))


@contextmanager
def shown_refusals(me: User) -> Iterator[None]:
    """Show refusals inside this block on the page, and continue after it."""
    try:
        yield
    except (Refused, RecipeError, StudioError) as error:
        show_refusal(error, user=me.name)


def _review_params(key: str, at: Sequence[int], more: dict[str, str]) -> dict[str, str]:
    found = {"set": key, **dict(zip(("frame", "instance"), map(str, at), strict=False)), **more}
    return {name: value for name, value in found.items() if value}


def review_href(key: str, *at: int, **more: str) -> str:
    """Return the relative address of the review page: a data set, frame and person, q or queue."""
    return f"review?{urlencode(_review_params(key, at, more))}"


def open_review(key: str, *at: int, **more: str) -> NoReturn:
    st.switch_page(REVIEW, query_params=_review_params(key, at, more))


def field_error(text: str) -> None:
    st.markdown(f":red[{plain(without_paths(text))}]")
