"""The page Generate in a browser: pick, change, preview, order, watch, cancel, open."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import settled
from job_orders import RECIPE
from playwright.sync_api import expect
from reviewing import Desk, eventually

from synthstudio.dataset.reader import Dataset
from synthstudio.review.datasets import content_key
from synthstudio.review.store import open_store
from synthstudio.review.team import members
from synthstudio.review.values import User

pytestmark = pytest.mark.browser
SLOW = 240_000  # ms: what a process needs to begin on a machine that is busy


@pytest.fixture(scope="module")
def maker(start_studio: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a studio without data sets, with two small scenes."""
    scenes = tmp_path_factory.mktemp("scenes")
    tiny = {**RECIPE, "name": "quickstart", "description": "One person, <b>small</b> pictures."}
    (scenes / "quickstart.yaml").write_text(yaml.safe_dump(tiny))
    photo = {**RECIPE, "backdrop": {"kind": "photo", "folder": "photos"}}
    (scenes / "street.yaml").write_text(yaml.safe_dump(photo))
    return start_studio(more=("--scenes", str(scenes), "--admin", "Ada"))


@pytest.fixture
def opened(page: Any, maker: Any, open_as: Callable[..., Any]) -> Any:
    """Return the page Generate, reached from Home as people reach it."""
    open_as(page, maker)
    page.get_by_role("link", name="Generate", exact=True).click()
    page.get_by_role("heading", name="Generate", exact=True).wait_for()
    return page


def fill(page: Any, label: str, value: str, *, role: str = "textbox") -> None:
    field = page.get_by_role(role, name=label, exact=True)
    field.fill(value)
    field.press("Enter")


def start(page: Any) -> Any:
    return page.get_by_role("button", name="Generate", exact=True)


def top(place: Any) -> float:
    """Return where something begins, px from the top; nowhere while it is not painted."""
    box = place.bounding_box()
    return float("nan") if box is None else float(box["y"])


def card(page: Any, name: str) -> Any:
    return page.locator('[class*="st-key-job_"]').filter(has_text=name)


def press(page: Any, name: str, label: str) -> None:
    """Press a job's button once the page stands: one that moves under the pointer hears nothing."""
    button = card(page, name).get_by_role("button", name=label)
    button.wait_for(timeout=SLOW)
    settled(page)
    button.click()


def test_a_set_is_made_through_reload_and_restart(
    opened: Any, maker: Any, open_as: Callable[..., Any], screenshots: Any
) -> None:
    page = opened
    page.get_by_text("One person, <b>small</b> pictures.").wait_for()  # as text
    fill(page, "Frames", "5", role="spinbutton")
    page.get_by_text("5 frames of 160 x 120").wait_for()
    picture = page.get_by_alt_text("frame 0 of this recipe with its labels drawn in")
    picture.wait_for(timeout=SLOW)
    expect(picture).to_have_attribute("src", re.compile("^data:image/jpeg;base64,"))
    first = picture.get_attribute("src")
    settled(page)  # the picture that came moved the button
    page.get_by_role("button", name="Another frame").click()
    second = page.get_by_alt_text("frame 1 of this recipe with its labels drawn in")
    second.wait_for(timeout=SLOW)
    page.wait_for_function(
        "before => [...document.images].some(i => i.alt.startsWith('frame 1') && i.src !== before)",
        arg=first,
        timeout=SLOW,
    )
    fill(page, "Name of the data set", "five")
    start(page).click()
    card(page, "five").get_by_text("running").wait_for(timeout=SLOW)
    screenshots(page, "generate_running")
    page.goto("about:blank")  # the browser is gone
    maker.restart()  # the server is killed; the job goes on
    open_as(page, maker)
    page.get_by_role("link", name="Generate", exact=True).click()
    link = card(page, "five").get_by_role("link", name="Open and review")
    link.wait_for(timeout=SLOW)
    assert Dataset(maker.exports / "five").frames == 5
    assert (maker.exports / "five.yaml").is_file()
    link.click()
    key = content_key(Dataset(maker.exports / "five"))
    page.wait_for_url(lambda url: f"/review?set={key}" in url, timeout=SLOW)
    Desk(page=page, studio=maker).shown(timeout=SLOW / 1000)


def test_faults_stand_beside_fields_and_nothing_starts(opened: Any) -> None:
    page = opened
    for bad in ("../x", "a b", "Ä", "-x", "studio"):
        fill(page, "Name of the data set", bad)
        found = rf"this is no name for an output.* got '{re.escape(bad)}'"
        page.get_by_text(re.compile(found)).wait_for()
        expect(start(page)).to_be_disabled()
    fill(page, "Name of the data set", "good")
    page.get_by_text("this is no name for an output").wait_for(state="detached")
    expect(start(page)).to_be_enabled()
    fill(page, "Width, px", "20", role="spinbutton")
    page.get_by_text("should be greater than or equal to 64; got 20.").wait_for()
    expect(start(page)).to_be_disabled()
    fill(page, "Width, px", "160", role="spinbutton")
    expect(start(page)).to_be_enabled()
    page.get_by_text("Everything else").click()
    fill(page, "identities", "0")
    fault = page.get_by_text("should be greater than or equal to 1; got 0.")
    fault.wait_for()
    expect(start(page)).to_be_disabled()
    field = page.get_by_role("textbox", name="identities", exact=True)

    def below() -> float:
        return top(fault) - top(field)

    eventually(lambda: 0 < below() < 90, True)  # the message stands below its field
    fill(page, "identities", "[1, ")
    page.get_by_text("This is no value in YAML").wait_for()
    no_folder = expect(page.get_by_role("textbox", name="folder"))
    no_folder.to_have_count(0)
    settled(page)
    page.get_by_role("button", name="Reset to the scene's values").click()
    page.get_by_text("This is no value in YAML").wait_for(state="detached")
    expect(start(page)).to_be_enabled()
    settled(page)
    no_folder.to_have_count(0)


def test_a_scene_that_lacks_its_pictures_says_so(opened: Any) -> None:
    page = opened
    page.get_by_role("combobox", name="Scene").click()
    page.get_by_role("option", name="street (not here)").click()
    page.get_by_text("It takes pictures from photos").wait_for()
    expect(start(page)).to_have_count(0)


def test_cancel_and_resume(opened: Any, maker: Any, screenshots: Any) -> None:
    page = opened
    fill(page, "Frames", "3000", role="spinbutton")
    page.get_by_text("3,000 frames").wait_for()
    fill(page, "Name of the data set", "long")
    settled(page)
    start(page).click()
    press(page, "long", "Cancel")
    card(page, "long").get_by_text("cancelled").wait_for(timeout=SLOW)
    screenshots(page, "generate_cancelled")
    press(page, "long", "Resume")
    press(page, "long", "Cancel")
    card(page, "long").get_by_text("cancelled").wait_for(timeout=SLOW)
    assert not (maker.exports / "long" / "index.json").exists()


def test_reviewers_are_sent_away(maker: Any, page: Any, open_as: Callable[..., Any]) -> None:
    store = open_store(f"sqlite:///{maker.db}")
    members.set_role(store, "Rudi", "reviewer", by=User(name="Ada", role="admin"))
    store.close()
    open_as(page, maker, name="Rudi")
    page.get_by_role("link", name="Generate", exact=True).click()
    page.get_by_text("This page needs the role lead").wait_for()
    settled(page)
    expect(start(page)).to_have_count(0)
    assert not Path(maker.exports / "rudi").exists()
