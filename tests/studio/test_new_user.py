"""Somebody new: from a demo's output to the first corrected label, exported, by what pages say."""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import TimeoutError as PageTimeout
from reviewing import Desk

from synthstudio.dataset.reader import Dataset
from synthstudio.review import history
from synthstudio.review.datasets import content_key
from synthstudio.review.store import open_store

pytestmark = pytest.mark.browser
SLOW = 240_000


def says(page: Any, text: str) -> None:
    """Fail unless the page says what the next step relies on."""
    page.get_by_text(text).first.wait_for(timeout=SLOW)


def exported(page: Any, studio: Any, link: Any) -> dict[str, Any]:
    """Return the COCO file behind a link on the page."""
    answer = page.context.request.get(f"{studio.url}{link.get_attribute('href')}")
    assert answer.status == 200
    with zipfile.ZipFile(io.BytesIO(answer.body())) as archive:
        (name,) = [n for n in archive.namelist() if "/person_keypoints_" in n]  # of one person
        return json.loads(archive.read(name))


def stored(studio: Any, folder: Path, joint: int) -> float:
    """Return where a joint of the one approved person is on disk, px from the left."""
    dataset, store = Dataset(folder), open_store(f"sqlite:///{studio.db}")
    states = history.states(store, content_key(dataset))
    store.close()
    (frame, instance), *others = [who for who, s in states.items() if s.status == "approved"]
    assert not others
    row = next(r for r in dataset.instances(frame) if r["instance"] == instance)
    return float(row["joints_px"][2 * joint])


def test_the_first_corrected_label(
    studio: Any, studio_set: Path, page: Any, screenshots: Any, capsys: Any
) -> None:
    began = time.monotonic()
    page.goto(f"{studio.url}/?key={studio.key}")  # as the server prints it
    says(page, "Your name")
    page.get_by_role("textbox", name="Your name").fill("Nia")
    page.get_by_role("button", name="Continue").click()
    says(page, "Nobody reviewed yet")
    start = page.get_by_role("button", name="Start reviewing")
    editor = page.get_by_text("Tab chooses a joint").first
    for _ in range(4):  # Streamlit drops a click that comes while it draws the page again
        if start.is_visible():
            start.click()
        with suppress(PageTimeout):
            editor.wait_for(timeout=SLOW / 4)
            break
    says(page, "Tab chooses a joint")
    says(page, "a approves")
    desk = Desk(page=page, studio=studio)
    desk.shown(timeout=SLOW / 1000)
    desk.root.focus()
    page.keyboard.press("Tab")
    says(page, "arrows move")  # it names the joint that was chosen, and what can be done to it
    desk.wait(lambda: desk.reads("joint") != "")
    joint = desk.reads("joint")
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("a")
    desk.saved(timeout=SLOW / 1000)
    says(page, "All edits saved")
    screenshots(page, "new_user_reviewed")
    page.get_by_role("link", name="Home", exact=True).click()
    says(page, "1 approved")
    page.get_by_role("button", name="Export labels").click()
    page.get_by_role("button", name="Export", exact=True).click()
    link = page.locator('[class*="st-key-job_"]').get_by_role("link", name="Download")
    link.wait_for(timeout=SLOW)
    found = exported(page, studio, link)
    took = time.monotonic() - began
    with capsys.disabled():
        sys.stdout.write(f"\na new user's first corrected label was out after {took:.0f} s\n")
    labelled = [a for a in found["annotations"] if a["num_keypoints"]]
    assert len(found["images"]) == len(labelled) == 1  # one person was approved
    place = found["categories"][0]["keypoints"].index(joint)
    before = stored(studio, studio_set, place)
    assert labelled[0]["keypoints"][3 * place] + 0.5 == pytest.approx(before + 12, abs=0.01)
