"""Predictions on a running studio: taken in the browser, stored as events, exported, by axe."""

import json
import sqlite3
from contextlib import closing

import pytest
from conftest import settled
from imported_photos import import_photos
from playwright.sync_api import expect
from reviewing import sit_down, stored
from test_pages_a11y import axe, violations  # noqa: F401 - a fixture

from synthstudio.api.review import import_predictions
from synthstudio.core.skeleton import get_skeleton
from synthstudio.review.reviewed import reviewed
from synthstudio.review.store import open_store

pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly("browser journeys; predictions have quick tests without a server"),
]
JOINTS = get_skeleton("coco17").joints


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three photos with a person in the first two, and what a network says of all three."""
    folder = tmp_path_factory.mktemp("ghosts")
    dataset = import_photos(folder / "photos", 60, empty=2)
    people = [(0, 14, 22), (1, 14, 21), (1, 14, 38), (2, 20, 10)]
    value = [
        {"image_id": image, "category_id": 1, "score": 0.9,
         "keypoints": [v for j in range(17) for v in (x + j, y, 0.7)]}
        for image, x, y in people
    ]  # fmt: skip
    (folder / "results.json").write_text(json.dumps(value))
    return dataset


@pytest.fixture(scope="module")
def served(start_studio, photos):
    studio = start_studio(photos.folder)
    db = f"sqlite:///{studio.db}"
    results = photos.folder.parent / "results.json"
    made = import_predictions(photos.folder, results, layer="net", db=db)
    assert (made.matched, made.found) == (2, 2)
    return studio


def test_predictions_are_taken_and_stored_as_events(served, photos, page, open_as, screenshots):
    desk = sit_down(open_as, page, served, "review?queue=all&frame=0&instance=1")
    panel = page.get_by_role("group", name="Prediction", exact=True)
    expect(panel).to_contain_text("2.0 px off")
    expect(page.get_by_role("combobox", name="Predictions")).to_be_visible()
    desk.press("Tab", "Enter")  # the nose
    page.get_by_role("button", name="Accept the prediction of the whole person").click()
    desk.press("z", "Shift+Z", "n")
    desk.shown("1:1")
    expect(panel).to_contain_text("1 not labelled")
    screenshots(page, "ghosts")
    page.get_by_role("button", name="Add a person who was predicted").click()
    desk.shown("1:2")
    desk.saved()
    settled(page)
    desk.press("y")
    history = page.locator(".events:not(.cliplog)")
    expect(history).to_contain_text("added a person (17 joints), as predicted")
    expect(panel).to_contain_text("OKS 1.00, 0.0 px off")
    kinds = [event.kind for event in stored(served, photos.folder)]
    assert kinds == ["edit", "edit", "revert", "revert", "add"]
    with closing(open_store(f"sqlite:///{served.db}")) as store:
        rows = list(reviewed(store, photos, only="all").iter_instances())
    assert [row["origin"] for row in rows] == [
        ["predicted"] * 17,
        ["human"] * 17,
        ["predicted"] * 17,
    ]
    assert rows[0]["joints_px"][:4] == [14.5, 22.5, 15.5, 22.5]


def test_a_place_that_no_model_predicts_is_refused(served, photos, page, open_as):
    desk = sit_down(open_as, page, served, "review?queue=all&frame=1&instance=1")
    desk.press("Tab")
    with closing(sqlite3.connect(served.db)) as store, store:
        store.execute("update prediction set joints = '{}' where frame = 1 and instance = 1")
    desk.press("Enter")
    refusal = page.get_by_role("alert").filter(has_text="An edit was not taken")
    expect(refusal).to_contain_text("no model predicts these joints there any more")
    page.get_by_role("button", name="Drop my edit").click()
    assert not stored(served, photos.folder, person="1:1")


def test_a_drawn_box_is_stored_and_exported(served, photos, page, open_as):
    desk = sit_down(open_as, page, served, "review?queue=all&frame=1&instance=1")
    desk.press("Shift+B", "ArrowRight", "Tab", "ArrowUp", "Enter")  # from 8 8 40 30
    desk.press("y")
    desk.saved()
    expect(page.locator(".events:not(.cliplog)")).to_contain_text("the box")
    page.reload()
    page.locator(".ed[data-ready]").wait_for()
    desk.shown("1:1")
    desk.press("3")
    width = float(page.locator(".box.modal").get_attribute("width"))
    assert width / float(desk.reads("zoom")) == pytest.approx(39, abs=0.1)
    with closing(open_store(f"sqlite:///{served.db}")) as store:
        rows = list(reviewed(store, photos, only="all").iter_instances())
    assert rows[1]["modal_box_px"] == [9, 8, 39, 29]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(served, new_page, open_as, axe, scheme, screenshots):  # noqa: F811
    page = new_page(color_scheme=scheme, viewport={"width": 1440, "height": 900})
    desk = sit_down(open_as, page, served, "review?queue=all&frame=0&instance=1")
    desk.press("Tab")
    expect(page.get_by_role("group", name="Prediction", exact=True)).to_be_visible()
    page.get_by_role("button", name="More buttons").click()
    page.get_by_role("button", name="Place the joints one after another").click()
    screenshots(page, f"ghosts_1440_{scheme}")
    assert violations(page, axe) == []
    page.set_viewport_size({"width": 390, "height": 844})
    settled(page)
    desk.press("Shift+B")
    screenshots(page, f"ghosts_390_{scheme}")
    assert violations(page, axe) == []
