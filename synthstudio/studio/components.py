"""The browser components: the keypoint editor, the grid of people, the camera; no build step."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import streamlit as st


def sequence_number(last: tuple[int, str] | None, text: str) -> tuple[int, str]:
    """A number that rises with each change of the text, also after a restart of the server."""
    if last is not None and last[1] == text:
        return last
    return max(time.time_ns() // 1_000, last[0] + 1 if last else 0), text


API = "/api/v1"
EDITOR_SCRIPTS = "/scripts/editor"
_EDITOR = f"""
const {{ default: editor }} = await import(`${{location.origin}}{EDITOR_SCRIPTS}/editor.js`);
export default editor;
"""


def mount_editor(data: Mapping[str, Any], *, key: str) -> None:
    """Show editor/js/editor.js with {api, set, user, queue}; it restarts where `key` changes."""
    css = _file("editor/editor.css")
    st.components.v2.component("synthstudio_editor", js=_EDITOR, css=css)(key=key, data=_json(data))


MAX_PICKED = 1_000
_ID = re.compile(r"([0-9]{1,12})/([0-9]{1,9})")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A person in the grid. `pictures`: (address, alternative text); "" for none.

    `href`: its deep link; `colour`: of the mark before `status`.
    """

    frame: int
    instance: int
    href: str
    pictures: tuple[tuple[str, str], ...]
    value: str
    status: str
    colour: str
    extra: str = ""
    notes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.frame}/{self.instance}"

    @property
    def name(self) -> str:
        return f"frame {self.frame} · person {self.instance}"


def people_grid(
    cells: Sequence[Cell],
    *,
    key: str,
    page: str,
    label: str,
    wide_px: int = 168,
    pick: bool = False,
) -> tuple[tuple[int, int] | None, list[tuple[int, int]]]:
    """The opened person or None, and the selected ones of `cells`; a new `page` clears them."""
    wide = 300 if cells and len(cells[0].pictures) > 1 else wide_px
    kept = st.session_state.get(key)
    shown = {cell.id: (cell.frame, cell.instance) for cell in cells}
    data = {
        "cells": [{**asdict(cell), "id": cell.id, "name": cell.name} for cell in cells],
        "page": page,
        "label": label,
        "pick": pick,
        "wide": wide,
        "picked": sorted(set(_valid_ids(kept)) & set(shown)),
    }
    text = json.dumps(_json(data))
    st.session_state[f"{key}_turn"] = turn = sequence_number(
        st.session_state.get(f"{key}_turn"), text
    )
    result = _mount(
        "grid",
        data | {"turn": turn[0]},
        key=key,
        default={"picked": []},
        on_picked_change=_ignore,
        on_open_change=_ignore,
    )
    opened = getattr(result, "open", None)
    return (
        shown.get(opened) if isinstance(opened, str) else None,
        [shown[name] for name in _valid_ids(result) if pick and name in shown],
    )


def _ignore() -> None:
    """Streamlit keeps a state only if a callback is registered for it."""


def _valid_ids(result: Any) -> list[str]:
    names = result.get("picked") if hasattr(result, "get") else None
    if not isinstance(names, list):
        return []
    good = (name for name in names[:MAX_PICKED] if isinstance(name, str) and _ID.fullmatch(name))
    return list(dict.fromkeys(good))


def _mount(name: str, data: Mapping[str, Any], *, key: str, **more: Any) -> Any:
    js, css = _file(f"{name}/{name}.js"), _file(f"{name}/{name}.css")
    component = st.components.v2.component(f"synthstudio_{name}", js=js, css=css)
    return component(key=key, data=_json(data), **more)


@lru_cache
def _file(path: str) -> str:
    return (resources.files("synthstudio.studio") / path).read_text("utf-8")


def mount_skeleton(data: Mapping[str, Any], *, key: str, on_save: Callable[[], None]) -> None:
    """Show maker/maker.js, which documents `data`; a saved value is in the state under `key`."""
    _mount("maker", data, key=key, on_saved_change=on_save)


def mount_camera(data: Mapping[str, Any], *, key: str, on_frame: Callable[[], None]) -> None:
    """Show camera/camera.js, `data["answer"]` drawn in; a picture is in the state under `key`."""
    _mount("camera", data, key=key, on_frame_change=on_frame)


def _json(data: Mapping[str, Any]) -> Any:
    """The data; ValueError for a value that Streamlit would silently convert to a string."""
    return json.loads(json.dumps(data, allow_nan=False))
