"""The gallery in a browser: what it shows is what table and store hold."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from synthstudio.core.labels import CAUSES
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.select.filter import query_of
from synthstudio.dataset.select.matching import matching_people
from synthstudio.review import history, saved
from synthstudio.review.risk.table import PeopleTable, people_table
from synthstudio.review.store import Store, dataset_key, open_store
from synthstudio.review.team import assign, members
from synthstudio.review.values import User

pytestmark = pytest.mark.browser
ADMIN = User(name="Ada", role="admin")


@pytest.fixture(scope="module")
def table(studio_set: Path) -> PeopleTable:
    return people_table(Dataset(studio_set))


@pytest.fixture
def store(studio: Any) -> Any:
    opened = open_store(f"sqlite:///{studio.db}")
    yield opened
    opened.close()


@pytest.fixture
def gallery(page: Any, studio: Any, open_as: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that opens the gallery; (query, name=, more=)."""

    def opened(query: str = "", *, name: str = "Ada", more: str = "") -> Any:
        open_as(page, studio, f"gallery?q={query}{more}", name=name)
        return page

    return opened


def settle(page: Any) -> None:
    page.wait_for_timeout(150)  # until the click has left the browser
    page.locator("[data-test-script-state='notRunning']").wait_for()


def shown(page: Any) -> int:
    """Return how many people the page says it found."""
    text = page.get_by_text(re.compile(r"^[\d,]+ of [\d,]+ people$")).inner_text()
    return int(text.split()[0].replace(",", ""))


def names(page: Any) -> list[tuple[int, int]]:
    """Return (frame, instance) of the cards."""
    ids = page.locator("a.card").evaluate_all("all => all.map(one => one.dataset.id)")
    return [(int(a), int(b)) for a, b in (one.split("/") for one in ids)]


def eventually(found: Callable[[], Any], wanted: Any) -> None:
    """Assert that something becomes so within ten seconds."""
    deadline = time.monotonic() + 10
    while found() != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found() == wanted


def ask(page: Any, text: str) -> None:
    box = page.get_by_role("textbox", name="Query", exact=True)
    box.fill(text)
    box.press("Enter")
    settle(page)


def test_the_grid_shows_everybody_with_what_the_table_says(
    gallery: Callable[..., Any], table: PeopleTable
) -> None:
    page = gallery()
    page.locator("a.card").first.wait_for()
    assert shown(page) == table.people == 24
    eventually(lambda: names(page), table.ids(np.arange(24)))
    for row in (0, 5, 23):
        frame, instance = table.ids(np.array([row]))[0]
        card = page.locator(f"a.card[data-id='{frame}/{instance}']")
        assert f"frame {frame} · person {instance}" in card.inner_text()
        assert f"{table.occluded[row]:.0%}" in card.inner_text()
        picture = card.locator("img")
        picture.scroll_into_view_if_needed()
        page.wait_for_function(
            "i => i.complete && i.naturalWidth === 256", arg=picture.element_handle()
        )
        assert f"frame {frame}, person {instance}" in picture.get_attribute("alt")


@pytest.mark.parametrize(
    "text", ["left_wrist hidden by object", "any knee hidden and occluded > 0.1", "variant = clean"]
)
def test_a_query_finds_whom_the_command_line_finds(
    gallery: Callable[..., Any], studio_set: Path, text: str
) -> None:
    page = gallery()
    ask(page, text)
    dataset = Dataset(studio_set)
    wanted = list(matching_people(dataset, query_of(dataset, text)))
    assert 0 < len(wanted) < 24
    eventually(lambda: shown(page), len(wanted))
    eventually(lambda: names(page), wanted)
    assert parse_qs(urlsplit(page.url).query)["q"] == [text]


def test_form_and_query_say_the_same(gallery: Callable[..., Any]) -> None:
    page = gallery("left_knee hidden by self and status = pending")
    form = page.get_by_test_id("stSidebar")
    form.locator(".st-key-gallery_which_0 input").wait_for()
    said = [form.locator(f".st-key-gallery_{k} input").input_value() for k in ("which_0", "test_0")]
    assert said == ["left knee", "hidden by self"]
    assert "pending" in form.locator(".st-key-gallery_status").inner_text()
    form.locator(".st-key-gallery_test_0 input").click()
    page.get_by_role("option", name="visible", exact=True).click()
    settle(page)
    box = page.get_by_role("textbox", name="Query", exact=True)
    eventually(box.input_value, "left_knee visible and status = pending")
    ask(page, "nose visible or left_ear visible")
    page.get_by_text("says more than this form can show").wait_for()
    page.get_by_role("button", name="Clear", exact=True).click()
    settle(page)
    eventually(box.input_value, "")
    eventually(lambda: shown(page), 24)


def test_a_mistake_has_a_caret_and_the_last_list_stays(gallery: Callable[..., Any]) -> None:
    page = gallery("variant = clean")
    page.locator("a.card").first.wait_for()
    before = names(page)
    ask(page, "variant = clean and ocluded > 0.2")
    code = page.get_by_test_id("stCode").inner_text()
    line, caret = (part for part in code.splitlines() if part.strip())
    assert line[caret.index("^") :].startswith("ocluded")
    assert "occluded" in page.get_by_test_id("stAlert").inner_text()
    eventually(lambda: names(page), before)
    assert parse_qs(urlsplit(page.url).query)["q"] == ["variant = clean"]


def test_a_click_on_the_heat_map_filters(gallery: Callable[..., Any], table: PeopleTable) -> None:
    page = gallery()
    page.get_by_test_id("stButtonGroup").get_by_text("Statistics").click()
    settle(page)
    chart = page.locator(".st-key-gallery_plot_causes_0")
    chart.locator(".scatterlayer").wait_for()
    joint, cause = table.joints.index("left_wrist"), 0
    place = joint * 5 + cause
    point = chart.locator(".scatterlayer .point").nth(place)
    box = point.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.locator(".st-key-gallery_plot_causes_1").wait_for()
    settle(page)
    value = page.get_by_role("textbox", name="Query", exact=True).input_value()
    assert value == "left_wrist visible"
    wanted = int((table.cause[:, joint] == CAUSES.index("visible")).sum())
    eventually(lambda: shown(page), wanted)


def test_cards_are_reached_by_keyboard_and_enter_opens_the_review_page(
    gallery: Callable[..., Any], studio_set: Path
) -> None:
    page = gallery("variant = clean")
    page.locator("a.card").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    focused = page.evaluate(
        "document.querySelector('[data-testid=stBidiComponentIsolated]')"
        ".shadowRoot.activeElement.dataset.id"
    )
    frame, instance = focused.split("/")
    assert (int(frame), int(instance)) == names(page)[1]
    page.keyboard.press("Enter")
    page.wait_for_url("**/review?**")
    asked = {k: v[0] for k, v in parse_qs(urlsplit(page.url).query).items()}
    key = dataset_key(Dataset(studio_set))
    assert (asked["set"], asked["frame"], asked["instance"]) == (key, frame, instance)


def test_beside_clean_shows_the_same_person_without_occluder(
    gallery: Callable[..., Any], watch: Any
) -> None:
    page = gallery("variant = base")
    page.get_by_text("Beside clean").click()
    settle(page)
    card = page.locator("a.card").first
    page.wait_for_function(
        "() => [...document.querySelector('[data-testid=stBidiComponentIsolated]').shadowRoot"
        ".querySelector('a.card').querySelectorAll('img')].filter(i => i.naturalWidth).length === 2"
    )
    first, second = card.locator("img").evaluate_all("all => all.map(i => i.src)")
    assert first != second
    assert "nothing in front" in card.locator("img").nth(1).get_attribute("alt")


def test_leads_flag_and_assign_many_and_every_one_is_an_event(
    gallery: Callable[..., Any], store: Store, studio_set: Path
) -> None:
    key = dataset_key(Dataset(studio_set))
    before = len(history.events(store, key))
    page = gallery("variant = occluder")
    page.get_by_text("Select", exact=True).click()
    settle(page)
    page.locator("a.card input, .pick input").first.wait_for()
    chosen = names(page)[:2]
    for frame, instance in chosen:
        page.locator(f"input[data-id='{frame}/{instance}']").check()
    settle(page)
    page.get_by_role("textbox", name="Reason").fill("=too <b>dark</b>")
    page.get_by_role("textbox", name="Reason").press("Tab")
    settle(page)
    page.get_by_role("button", name="Flag", exact=True).click()
    page.get_by_text("2 people flagged.").wait_for()
    events = history.events(store, key)[before:]
    assert [(e.person.frame, e.person.instance) for e in events] == chosen
    assert {(e.kind, e.who, e.after["status"], e.after["reason"]) for e in events} == {
        ("status", "Ada", "flagged", "=too <b>dark</b>")
    }
    page.locator("a.card").first.wait_for()
    page.locator("a.card").first.get_by_text("flagged").wait_for()
    page.get_by_role("button", name="Assign", exact=True).click()
    page.get_by_text("2 people assigned to Ada.").wait_for()
    assert assign.assigned(store, key) == dict.fromkeys(chosen, "Ada")


def test_views_are_saved_opened_and_their_names_are_text(
    gallery: Callable[..., Any], store: Store, studio_set: Path
) -> None:
    name = "<img src=x onerror=alert(1)> **bold**"
    page = gallery("variant = clean", more="&sort=occluded")
    page.get_by_role("button", name="Views").click()
    page.get_by_role("textbox", name="Save this view as").fill(name)
    page.get_by_role("button", name="Save", exact=True).click()
    settle(page)
    page.get_by_role("button", name=name).wait_for()
    (view,) = saved.views(store, dataset_key(Dataset(studio_set)), who=ADMIN)
    assert (view.name, view.query, view.options["sort"]) == (name, "variant = clean", "occluded")
    page.keyboard.press("Escape")
    wanted = names(page)
    ask(page, "")
    eventually(lambda: len(names(page)), 24)
    page.get_by_role("button", name="Views").click()
    page.get_by_role("button", name=name).click()
    settle(page)
    eventually(lambda: names(page), wanted)
    assert not page.locator("img[src='x']").count()


def test_the_csv_holds_the_list(gallery: Callable[..., Any]) -> None:
    page = gallery("variant = clean")
    with page.expect_download() as told:
        page.get_by_role("button", name="CSV").click()
    lines = list(csv.DictReader(io.StringIO(Path(told.value.path()).read_text("utf-8"))))
    assert [(int(r["frame"]), int(r["instance"])) for r in lines] == names(page)
    assert {r["variant"] for r in lines} == {"clean"}


def test_a_reviewer_cannot_act_on_many(gallery: Callable[..., Any], store: Store) -> None:
    members.set_role(store, "Ada", "admin", by=ADMIN)
    members.set_role(store, "Rex", "reviewer", by=ADMIN)
    page = gallery(name="Rex")
    page.locator("a.card").first.wait_for()
    assert page.get_by_text("Labels", exact=True).count() == 1
    assert page.get_by_text("Select", exact=True).count() == 0


def test_nobody_found_says_what_to_do(gallery: Callable[..., Any]) -> None:
    page = gallery("occluded > 0.99")
    assert "Nobody matches" in page.get_by_test_id("stAlert").inner_text()
    page.get_by_role("button", name="Show everybody").click()
    settle(page)
    eventually(lambda: shown(page), 24)
