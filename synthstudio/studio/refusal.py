"""A refusal of the store, shown on the page that asked and written to the guard's log."""

from __future__ import annotations

import streamlit as st

from synthstudio.core.errors import SynthStudioError
from synthstudio.studio import guard
from synthstudio.studio.text import plain


def show(error: SynthStudioError, *, user: str = "") -> None:
    """Log what was refused, with who asked, and say it on the page."""
    guard.refused("what a page asked for", user=user, why=error)
    st.error(plain(error))
