"""The gallery in a browser: what it shows is what table and store hold."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import settled
from playwright.sync_api import expect
from reviewing import address, eventually

from synthstudio.core.labels import CAUSES
from synthstudio.dataset.filter import query_of
from synthstudio.dataset.matching import matching_people
from synthstudio.dataset.reader import Dataset
from synthstudio.review import history, settings
from synthstudio.review.datasets import content_key
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.table import people_table
from synthstudio.review.store import Store, open_store
from synthstudio.review.team import members
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


def shows(page: Any, people: int) -> None:
    """Wait until the page says that it found so many of 24, and no part of an older run is left."""
    output = page.get_by_text(re.compile(r"^[\d,]+ of [\d,]+ people$"))
    expect(output).to_have_text([f"{people} of 24 people"])
    settled(page)


def names(page: Any) -> list[tuple[int, int]]:
    """Return (frame, instance) of the cards."""
    ids = page.locator("a.card").evaluate_all("all => all.map(one => one.dataset.id)")
    return [(int(a), int(b)) for a, b in (one.split("/") for one in ids)]


def query(page: Any) -> Any:
    return page.get_by_role("textbox", name="Query", exact=True)


def ask(page: Any, text: str) -> None:
    settled(page)  # each run writes its query into the box
    query(page).fill(text)
    query(page).press("Enter")


def resting(place: Any) -> tuple[float, float]:
    """Return the middle of something, px, once it has stopped to move."""
    seen: list[tuple[float, float]] = []

    def stands() -> bool:
        box = place.bounding_box() or dict.fromkeys(("x", "y", "width", "height"), float("nan"))
        seen.append((box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))
        return seen[-3:] == [seen[-1]] * 3

    eventually(stands, True)
    return seen[-1]


def test_the_grid_shows_everybody_with_what_the_table_says(
    gallery: Callable[..., Any], table: PeopleTable
) -> None:
    page = gallery()
    page.locator("a.card").first.wait_for()
    assert table.people == 24
    shows(page, 24)
    eventually(lambda: names(page), table.ids(np.arange(24)))
    width = "i => { i.scrollIntoView(); return i.complete && i.naturalWidth; }"
    for row in (0, 5, 23):
        frame, instance = table.ids(np.array([row]))[0]
        card = page.locator(f"a.card[data-id='{frame}/{instance}']")
        expect(card).to_contain_text(f"frame {frame} · person {instance}")
        expect(card).to_contain_text(f"{table.occluded[row]:.0%}")
        picture = card.locator("img")
        eventually(lambda picture=picture: picture.evaluate(width), 256)
        expect(picture).to_have_attribute("alt", re.compile(f"frame {frame}, person {instance}"))


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
    shows(page, len(wanted))
    eventually(lambda: names(page), wanted)
    eventually(lambda: address(page).get("q"), text)


def test_form_and_query_say_the_same(gallery: Callable[..., Any]) -> None:
    page = gallery("left_knee hidden by self and status = pending")
    form = page.get_by_test_id("stSidebar")
    for k, output in (("which_0", "left knee"), ("test_0", "hidden by self")):
        expect(form.locator(f".st-key-gallery_{k} input")).to_have_value(output)
    form.locator(".st-key-gallery_status").get_by_text("pending").first.wait_for()
    form.locator(".st-key-gallery_test_0 input").click()
    page.get_by_role("option", name="visible", exact=True).click()
    expect(query(page)).to_have_value("left_knee visible and status = pending")
    ask(page, "nose visible or left_ear visible")
    page.get_by_text("too complex for the form").wait_for()
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(query(page)).to_have_value("")
    shows(page, 24)


def test_a_mistake_has_a_caret_and_the_last_list_stays(gallery: Callable[..., Any]) -> None:
    page = gallery("variant = clean")
    page.locator("a.card").first.wait_for()
    before = names(page)
    assert 0 < len(before) < 24

    def marked() -> str:
        """Return what the caret points at."""
        code = page.get_by_test_id("stCode").inner_text()
        line, caret = ([part for part in code.splitlines() if part.strip()] + ["", ""])[:2]
        return line[caret.find("^") :][:7] if "^" in caret else ""

    ask(page, "variant = clean and ocluded > 0.2")
    eventually(marked, "ocluded")
    expect(page.get_by_test_id("stAlert")).to_contain_text("occluded")
    page.get_by_text("Still showing the last valid query: variant = clean").wait_for()
    settled(page)
    eventually(lambda: names(page), before)
    eventually(lambda: address(page).get("q"), "variant = clean")


def test_a_click_on_the_heat_map_filters(gallery: Callable[..., Any], table: PeopleTable) -> None:
    page = gallery()
    page.get_by_test_id("stButtonGroup").get_by_text("Statistics").click()
    points = page.locator(".st-key-gallery_plot_causes_0 .scatterlayer .point")
    expect(points).to_have_count(len(table.joints) * 5)
    page.locator(".st-key-gallery_plot_statuses_0 .js-plotly-plot").wait_for()
    expect(page.locator("a.card")).to_have_count(0)
    settled(page)
    joint, cause = table.joints.index("left_wrist"), 0
    x, y = resting(points.nth(joint * 5 + cause))
    page.mouse.click(x, y)
    page.locator(".st-key-gallery_plot_causes_1").wait_for()
    expect(query(page)).to_have_value("left_wrist visible")
    wanted = int((table.cause[:, joint] == CAUSES.index("visible")).sum())
    assert wanted < 24
    shows(page, wanted)


def test_cards_are_reached_by_keyboard_and_enter_opens_the_review_page(
    gallery: Callable[..., Any], studio_set: Path
) -> None:
    page = gallery("variant = clean")
    cards = page.locator("a.card")
    cards.first.focus()
    expect(cards.first).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(cards.nth(2)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(cards.nth(1)).to_be_focused()
    frame, instance = map(str, names(page)[1])
    page.keyboard.press("Enter")
    page.wait_for_url("**/review?**")
    wanted = [content_key(Dataset(studio_set)), frame, instance]
    eventually(lambda: [address(page).get(k) for k in ("set", "frame", "instance")], wanted)


def test_beside_clean_shows_the_same_person_without_occluder(
    gallery: Callable[..., Any], watch: Any
) -> None:
    page = gallery("variant = base")
    page.get_by_text("Compare with unoccluded").click()
    pictures = page.locator("a.card").first.locator("img")
    loaded = "all => all.filter(i => i.naturalWidth).map(i => i.src)"
    eventually(lambda: len(set(pictures.evaluate_all(loaded))), 2)  # two, of different addresses
    expect(pictures.nth(1)).to_have_attribute("alt", re.compile("nothing in front"))


def test_leads_flag_and_assign_many_and_every_one_is_an_event(
    gallery: Callable[..., Any], store: Store, studio_set: Path
) -> None:
    key = content_key(Dataset(studio_set))
    before = len(history.events(store, key))
    page = gallery("variant = occluder")
    page.get_by_text("Select", exact=True).click()
    page.locator("a.card input, .pick input").first.wait_for()
    chosen = names(page)[:2]
    for k, (frame, instance) in enumerate(chosen, start=1):
        page.locator(f"input[data-id='{frame}/{instance}']").check()
        expect(page.locator(".pick input:checked")).to_have_count(k)
        expect(page.get_by_role("button", name="Assign", exact=True)).to_be_enabled()
        page.get_by_text(f"{('1 person', '2 people')[k - 1]}: the selected").wait_for()
    settled(page)
    page.get_by_role("textbox", name="Reason").fill("=too <b>dark</b>")
    page.get_by_role("textbox", name="Reason").press("Tab")
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
    assert members.assigned(store, key) == dict.fromkeys(chosen, "Ada")


def test_views_are_saved_opened_and_their_names_are_text(
    gallery: Callable[..., Any], store: Store, studio_set: Path
) -> None:
    name = "<img src=x onerror=alert(1)> **bold**"
    page = gallery("variant = clean", more="&sort=occluded")
    page.get_by_role("button", name="Views").click()
    page.get_by_role("textbox", name="Save this view as").fill(name)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name=name).wait_for()
    (view,) = settings.views(store, content_key(Dataset(studio_set)), who=ADMIN)
    assert (view.name, view.query, view.options["sort"]) == (name, "variant = clean", "occluded")
    page.keyboard.press("Escape")
    expect(page.get_by_role("textbox", name="Save this view as")).not_to_be_visible()
    settled(page)
    wanted = names(page)
    assert 0 < len(wanted) < 24
    ask(page, "")
    shows(page, 24)
    eventually(lambda: len(names(page)), 24)
    page.get_by_role("button", name="Views").click()
    page.get_by_role("button", name=name).click()
    eventually(lambda: names(page), wanted)
    expect(page.locator("img[src='x']")).to_have_count(0)


def test_the_csv_holds_the_list(gallery: Callable[..., Any]) -> None:
    page = gallery("variant = clean")
    with page.expect_download() as found:
        page.get_by_role("button", name="CSV").click()
    lines = list(csv.DictReader(io.StringIO(Path(found.value.path()).read_text("utf-8"))))
    assert lines
    eventually(lambda: names(page), [(int(r["frame"]), int(r["instance"])) for r in lines])
    assert {r["variant"] for r in lines} == {"clean"}


def test_a_reviewer_cannot_act_on_many(gallery: Callable[..., Any], store: Store) -> None:
    members.set_role(store, "Ada", "admin", by=ADMIN)
    members.set_role(store, "Rex", "reviewer", by=ADMIN)
    page = gallery(name="Rex")
    page.locator("a.card").first.wait_for()
    page.get_by_text("Labels", exact=True).wait_for()
    settled(page)
    page.get_by_text("Select", exact=True).click()
    page.get_by_role("button", name="Find people in this pose").wait_for()
    settled(page)
    for name in ("Assign", "Flag", "Relabel joints"):
        expect(page.get_by_text(name, exact=True)).to_have_count(0)


def test_nobody_found_says_what_to_do(gallery: Callable[..., Any]) -> None:
    page = gallery("occluded > 0.99")
    expect(page.get_by_test_id("stAlert")).to_contain_text("Nobody is found")
    page.get_by_role("button", name="Show everybody").click()
    shows(page, 24)
