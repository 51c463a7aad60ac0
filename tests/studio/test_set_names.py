"""Two data sets whose folders have one name: each address opens the one that it means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import settled
from playwright.sync_api import expect
from review_ops import make_set
from streamlit.testing.v1 import AppTest

from synthstudio.core.places import Url
from synthstudio.dataset.reader import Dataset
from synthstudio.review.datasets import content_key
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
    assert meant(sets, KEYS[1]) == meant(sets, f"{KEYS[1]}.second") == [KEYS[1]]
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


@pytest.fixture(scope="module")
def twins(
    start_studio: Callable[..., Any], small_photo_set: Path, tmp_path_factory: Any
) -> tuple[Any, str]:
    """A studio of two sets in folders of one name; the key of the second."""
    other = make_set(tmp_path_factory.mktemp("other") / "set", skeleton="coco23")
    found = start_studio(small_photo_set, other.folder)
    return found, content_key(Dataset(other.folder))


@pytest.mark.nightly("browser journey of a served studio")
@pytest.mark.browser
def test_each_page_opens_the_one_that_is_meant(
    twins: tuple[Any, str], page: Any, open_as: Callable[..., Any]
) -> None:
    studio, second = twins
    box = page.get_by_role("combobox", name="Data set")
    open_as(page, studio, f"review?set={second}")
    page.locator(".ed[data-ready]").wait_for()
    assert page.locator(".joint-row").count() == 23
    mine = box.first.input_value() or box.first.text_content()
    for name in ("gallery", "queue", "team", "review"):
        page.goto(f"{studio.url}/{name}?set={second}")
        page.get_by_test_id("stSidebar").wait_for()
        settled(page)
        assert (box.first.input_value() or box.first.text_content()) == mine, name
    # a name that two have, and a set that is not here, open none of them
    for text, why in (("set", "2 data sets here are called set"), ("0" * 64, "is not open here")):
        page.goto(f"{studio.url}/review?set={text}")
        page.get_by_text(why).wait_for()
        assert page.locator(".ed").count() == 0
    box.first.click()
    page.get_by_role("option").nth(1).click()
    page.locator(".ed[data-ready]").wait_for()
    assert page.locator(".joint-row").count() == 23
    box.first.click()
    page.get_by_role("option").nth(0).click()  # of one label two options would be the last one
    expect(page.locator(".joint-row")).to_have_count(17)
    # what is chosen is in the gallery's address, which can be passed on
    page.goto(f"{studio.url}/gallery")
    settled(page)
    box.first.click()
    page.get_by_role("option").nth(1).click()
    page.wait_for_url(f"**set={second}**")
