"""Displayed names of data sets, and the data set of an address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import streamlit as st

from synthstudio.core.places import Place, Url
from synthstudio.dataset.reader import Dataset
from synthstudio.review.datasets import INNER
from synthstudio.studio.text import plain

_REQUESTED, _LOST, _LAST = "set_requested", "set_lost", "set_last"
_LETTERS = 40


class Named(Protocol):
    """An open data set: its key, the name of its folder, and its place."""

    key: str
    name: str
    dataset: Dataset


def name_of(place: Place) -> str:
    if isinstance(place, Url):
        return place.path.removesuffix(f"/{INNER}").rpartition("/")[2]
    return place.resolve().parent.name if place.name == INNER else place.name


def titles(sets: Iterable[Named]) -> dict[str, str]:
    """Key -> a distinguishing title of each data set: its name, extended if not unique.

    The extension is the folder above or, if still not unique, the start of the key.
    """
    found = list(sets)
    named = _apart({s.key: s.name for s in found}, {s.key: _above(s.dataset.place) for s in found})
    return _apart(named, {s.key: s.key[:8] for s in found})


def _apart(names: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """The names; ambiguous ones with their `more`."""
    many = Counter(names.values())
    return {k: f"{n} ({more[k]})" if many[n] > 1 and more[k] else n for k, n in names.items()}


def matching_keys(sets: Mapping[str, Named], text: str) -> list[str]:
    """Keys of the data sets that match an address by key, title or name."""
    if text in sets:
        return [text]
    shown = titles(sets.values())
    return [key for key in sets if shown[key] == text] or [k for k in sets if sets[k].name == text]


def choose_set(read: Callable[[], Mapping[str, Named]], refresh: Callable[[], object]) -> None:
    """Show the selection among the sets returned by `read`: the address's one.

    If it matches none or several, none is selected. `refresh` opens new ones.
    """
    requested = st.query_params.get("set")
    if requested != st.session_state.get(_REQUESTED):
        st.session_state[_REQUESTED] = requested
        found = matching_keys(read(), requested) if requested else []
        if requested and not found:
            refresh()
            found = matching_keys(read(), requested)
        if len(found) == 1:
            st.session_state["set"] = found[0]
        st.session_state[_LOST] = (requested, len(found)) if requested and len(found) != 1 else None
    sets = read()
    if not sets:
        st.session_state[_LOST] = None
        return
    lost = st.session_state.get(_LOST) is not None
    if lost or st.session_state.get("set") not in sets:
        st.session_state.pop("set", None)
        # A run that ended early, such as on a database failure, has lost the choice.
        if not lost and (last := st.session_state.get(_LAST)) in sets:
            st.session_state["set"] = last
    shown = titles(sets.values())
    st.session_state[_LAST] = st.selectbox(
        "Data set",
        list(sets),
        key="set",
        index=None if lost else 0,
        format_func=shown.__getitem__,
        placeholder="Choose a data set",
        on_change=_select,
    )


def _select() -> None:
    """A manual choice overrides the address, which may still name another one."""
    st.session_state.update({_LOST: None, _REQUESTED: st.query_params.get("set")})


def last_chosen() -> str | None:
    """The key of the selected data set, also after a run that ended early; or None."""
    return st.session_state.get("set") or st.session_state.get(_LAST)


def stop_if_unknown() -> None:
    """Stop a page that shows a data set if the address matches no open one."""
    lost = st.session_state.get(_LOST)
    if lost is None:
        return
    lookup, count = lost
    text = plain(lookup if len(lookup) <= _LETTERS else f"{lookup[:_LETTERS]}...")
    what = (
        f"{count} data sets here are called {text}, so this address may mean any of them."
        if count
        else f"The data set of this address, {text}, is not open here."
    )
    st.warning(f"{what} Choose one under *Data set* in the sidebar.")
    st.stop()


def _above(place: Place) -> str:
    """The name of the folder that a data set's own lies in; "" for none."""
    if isinstance(place, Url):
        names = place.path.removesuffix(f"/{INNER}").split("/")
        return names[-2] if len(names) > 1 else ""
    folder = place.resolve()
    return (folder.parent if folder.name == INNER else folder).parent.name
