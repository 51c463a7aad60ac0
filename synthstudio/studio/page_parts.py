"""Elements of several pages: escaped text, tables, refusals, links to Review, browser components.

The components (the keypoint editor, the grid of people, the camera, the maker of skeletons) are
JavaScript modules without a build step.
"""

import csv
import io
import json
import re
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, NoReturn
from urllib.parse import urlencode

import streamlit as st

from synthstudio.core.errors import RecipeError, Refused, StudioError, SynthStudioError
from synthstudio.review.values import Pair, User
from synthstudio.studio import guard
from synthstudio.studio.guard import log_text

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:$&@/=^\"'])")
_LINK = re.compile(r"(:(?=//)|www(?=\.)|@)", re.IGNORECASE)
_JOINER = "\u2060"
"""Zero-width separator. Bare addresses become links despite escaping, unless it splits them."""
_FULL_WIDTH = "\uff1d\uff0b\uff0d\uff20"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", *_FULL_WIDTH)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_PATH = re.compile(
    r"(?:\b(?:sqlite|file):/{2,3}|(?<![\w:/.]))"  # the start of a path
    r"(?!/api/v1/)/(?:[^/\s;:,'\"()]+/)+([^/\s;:,'\"()]*)"
)
_DATABASE = re.compile(r"\bpostgres\w*(?:\+\w+)?://[^\s;,'\"()]*[^\s;,'\"():]")


def plain(text: object) -> str:
    """Text shown verbatim in Markdown fields: no markup, link, icon or formula; on one line."""
    hidden = ("Cc", "Cf", "Cs", "Co", "Cn")  # invisible ones may reorder text
    shown = (" " if unicodedata.category(c) in hidden else c for c in str(text))
    one_line = " ".join("".join(shown).split())
    return _MARKDOWN.sub(r"\\\1", _LINK.sub(r"\1" + _JOINER, one_line))


def csv_cell(value: object) -> str:
    """Return a value as a CSV cell that no spreadsheet interprets as a formula."""
    text = "" if value is None else str(value)
    if text.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    for row in (header, *rows):
        writer.writerow([csv_cell(value) for value in row])
    return file.getvalue().encode("utf-8")


def without_paths(text: object) -> str:
    """Return a message with paths reduced to their last part, and without a database's address."""
    if isinstance(text, Refused) and text.reason == "busy":
        text = f"{text.what.rstrip('.')}: try again in a moment"
    shown = text.with_options if isinstance(text, SynthStudioError) else str(text)
    return _PATH.sub(r"\1", _DATABASE.sub("database", shown))


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
) -> tuple[Pair | None, list[Pair]]:
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
    result = mount(
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


def mount(name: str, data: Mapping[str, Any], *, key: str, **more: Any) -> Any:
    """Show NAME/NAME.js with `data`; what it sends is in the state under `key`."""
    js, css = _file(f"{name}/{name}.js"), _file(f"{name}/{name}.css")
    component = st.components.v2.component(f"synthstudio_{name}", js=js, css=css)
    return component(key=key, data=_json(data), **more)


@lru_cache
def _file(path: str) -> str:
    return (resources.files("synthstudio.studio") / path).read_text("utf-8")


def _json(data: Mapping[str, Any]) -> Any:
    """The data; ValueError for a value that Streamlit would silently convert to a string."""
    return json.loads(json.dumps(data, allow_nan=False))


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
    st.dataframe(lines, hide_index=True, row_height=30, placeholder="", alt=alt, **more)


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
