"""The editor as a Streamlit component, from the files beside this one; no build step."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

import streamlit as st

from synthstudio.studio.editor import __name__ as _package
from synthstudio.studio.turns import turn_of

STATE = ("outbox", "view")
"""What the browser may say; anything else that it sends is not read."""


@lru_cache(1)
def source() -> tuple[str, str]:
    """Return the editor's module and style sheet."""
    folder = resources.files(_package)
    parts = sorted((p for p in (folder / "js").iterdir() if p.name.endswith(".js")), key=str)
    js = "\n".join(part.read_text("utf-8") for part in parts)
    return js, (folder / "editor.css").read_text("utf-8")


def mount(
    data: Mapping[str, Any], *, key: str, on_outbox: Callable[[], None], on_view: Callable[[], None]
) -> dict[str, Any]:
    """Show the editor; return what it says: the values of STATE, None for what it did not say.

    `key` must be the same in every run, or everything in the browser begins anew. ValueError for
    data that JSON cannot hold: it would reach the browser as one string, silently.
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    st.session_state[f"{key}_turn"] = turn = turn_of(st.session_state.get(f"{key}_turn"), text)
    result = _component()(
        key=key,
        data={"json": text, "turn": turn[0]},
        on_outbox_change=on_outbox,
        on_view_change=on_view,
    )
    return {name: getattr(result, name, None) for name in STATE}


def _component() -> Any:
    js, css = source()
    return st.components.v2.component("synthstudio_editor", js=js, css=css)
