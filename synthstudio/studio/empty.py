"""What a page says when it has nothing to show: why, and the way to what helps."""

from __future__ import annotations

import streamlit as st

from synthstudio.core.errors import SynthStudioError
from synthstudio.studio import guard
from synthstudio.studio.text import log_text, plain

HOME, REVIEW, GALLERY, QUEUE, TEAM, GENERATE = (
    f"pages/{name}.py" for name in ("home", "review", "gallery", "queue", "team", "generate")
)
NO_PEOPLE = "This data set holds no people, so there is nobody to show or review."
_told: set[str] = set()


def nothing(why: str, *ways: tuple[str, str], good: bool = False) -> None:
    """Say in a sentence why nothing is here; each of `ways` is a button: (its words, a page).

    `good`: it is as it should be.
    """
    (st.success if good else st.info)(why)
    if ways:
        with st.container(horizontal=True):
            for k, (label, page) in enumerate(ways):
                if st.button(label, key=f"way {label}", type="secondary" if k else "primary"):
                    st.switch_page(page)


def cannot_read(name: str, error: SynthStudioError) -> None:
    """Say that a data set cannot be read, by its name; what the error tells goes to the log."""
    log_unreadable(name, error)
    st.warning(
        f"{plain(name)} cannot be read: a file of it is missing or damaged. Copy it again or make "
        "it anew; the server's log says which file."
    )


def log_unreadable(name: str, error: SynthStudioError) -> None:
    """Write to the log what is wrong with a data set, once a process."""
    if str(error) not in _told:
        _told.add(str(error))
        guard.LOG.warning("cannot read %s: %s", log_text(name), log_text(error, longest=2_000))
