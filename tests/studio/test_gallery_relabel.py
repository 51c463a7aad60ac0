"""Relabelling by query in a browser: the preview says what happens, and one undo takes it back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import settled
from playwright.sync_api import expect
from reviewing import eventually

from synthstudio.dataset.reader import Dataset
from synthstudio.review import history
from synthstudio.review.check import base_of
from synthstudio.review.datasets import content_key
from synthstudio.review.store import open_store

pytestmark = pytest.mark.browser
QUERY = "left_wrist hidden by self"


def choose(page: Any, key: str, option: str) -> None:
    settled(page)  # a page that is drawn anew closes the list
    page.locator(f".st-key-{key} input").click()
    page.get_by_role("option", name=option, exact=True).click()
    settled(page)


def test_who_is_found_is_relabelled_and_back(
    page: Any, studio: Any, open_as: Callable[..., Any], studio_set: Path
) -> None:
    dataset = Dataset(studio_set)
    key = content_key(dataset)
    hidden = {
        (row["frame_index"], row["instance"])
        for row in dataset.iter_instances()
        if base_of(dataset, row["frame_index"], row["instance"]).joints["left_wrist"].cause
        == "self"
    }
    assert hidden
    store = open_store(f"sqlite:///{studio.db}")

    def wrists() -> dict[tuple[int, int], str]:
        found = history.states(store, key)
        return {
            p: s.joints["left_wrist"].cause for p, s in found.items() if "left_wrist" in s.joints
        }

    before = wrists()
    open_as(page, studio, f"gallery?q={QUERY}", name="Ada")
    page.get_by_text("Select", exact=True).click()
    page.get_by_role("button", name="Flag", exact=True).wait_for()
    choose(page, "gallery_scope", "all that were found")
    page.get_by_text("Relabel joints").click()
    expect(page.get_by_role("button", name="Preview")).to_be_disabled()
    settled(page)
    box = page.locator(".st-key-relabel_joints input")
    option = page.get_by_role("option", name="left wrist", exact=True)

    def offered() -> bool:
        if not option.is_visible():  # a page that is drawn anew meanwhile closes the list
            box.fill("")
            box.press_sequentially("left wr", delay=20)
            page.wait_for_timeout(500)
        return option.is_visible()

    eventually(offered, True)
    option.click()
    settled(page)
    page.keyboard.press("Escape")
    choose(page, "relabel_now", "hidden by the person itself")
    choose(page, "relabel_to", "hidden by a thing")
    page.get_by_role("button", name="Preview").click()
    people = f"{len(hidden)} {'person' if len(hidden) == 1 else 'people'}"
    page.get_by_role("button", name=f"of {people}").wait_for()
    assert wrists() == before  # a preview changes nothing
    page.get_by_role("button", name=f"of {people}").click()
    page.get_by_text(f"{people} relabelled.").wait_for()
    eventually(wrists, before | dict.fromkeys(hidden, "object"))

    page.get_by_text("Relabel joints").click()
    page.get_by_text(f"{people} relabelled by Ada").wait_for()
    page.get_by_role("button", name="Undo", exact=True).click()
    page.get_by_text(f"{people} as before.").wait_for()
    eventually(wrists, before)
    store.close()
