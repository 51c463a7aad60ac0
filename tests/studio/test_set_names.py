"""Two data sets whose folders have one name: each address opens the one that it means."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from streamlit.testing.v1 import AppTest

from synthstudio.core.places import Url
from synthstudio.studio.set_names import meant, titles

KEYS = "a" * 64, "b" * 64, "c" * 64


def opened(*places: Any) -> dict[str, Any]:
    named = [(p.parent if p.name == "dataset" else p).name for p in places]
    return {
        key: SimpleNamespace(key=key, name=name, dataset=SimpleNamespace(place=place))
        for key, name, place in zip(KEYS, named, places, strict=False)
    }


def test_sets_of_one_name_differ() -> None:
    def shown(*places: Any) -> list[str]:
        return list(titles(opened(*places).values()).values())

    assert shown(Path("/x/people"), Path("/y/dogs")) == ["people", "dogs"]
    assert shown(Path("/x/people"), Path("/y/people/dataset")) == ["people (x)", "people (y)"]
    assert shown(Path("/people"), Url("s3", "bucket/people")) == ["people", "people (bucket)"]
    same = shown(Path("/1/x/people"), Path("/2/x/people"), Path("/y/people"))
    assert same == ["people (x) (aaaaaaaa)", "people (x) (bbbbbbbb)", "people (y)"]
    assert len(set(shown(Path("/x/a"), Path("/y/a"), Path("/z/a (x)")))) == 3


def test_what_an_address_means() -> None:
    sets = opened(Path("/x/people"), Path("/y/people"), Path("/y/dogs"))
    assert meant(sets, KEYS[1]) == [KEYS[1]]
    assert meant(sets, "people (y)") == [KEYS[1]] and meant(sets, "dogs") == [KEYS[2]]
    assert meant(sets, "people") == [KEYS[0], KEYS[1]]
    assert meant(sets, "") == meant(sets, "../people") == meant(sets, KEYS[1][:8]) == []


def _page(sets, answers):  # type: ignore[no-untyped-def]
    import streamlit as st

    from synthstudio.studio.set_names import choose_set, last_chosen

    if answers[0]:  # else the run ends before, as where the database does not answer
        choose_set(lambda: sets, lambda: None)
    st.text(last_chosen())


def test_the_choice_outlasts_a_run_in_which_nobody_could_choose() -> None:
    sets, answers = opened(Path("/x/people"), Path("/y/dogs")), [True]
    page = AppTest.from_function(_page, args=(sets, answers), default_timeout=120).run()
    assert page.text[0].value == KEYS[0]
    page.selectbox(key="set").select(KEYS[1]).run()
    for answered in (True, False, False, True):
        answers[0] = answered
        page.run()
        assert page.text[0].value == KEYS[1]
    assert page.selectbox(key="set").value == KEYS[1]
    sets.pop(KEYS[1])  # it was removed
    page.run()
    assert page.selectbox(key="set").value == KEYS[0]
