"""The page Home in a browser: an empty start, sets at a glance, labels exported."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import settled
from imported_photos import import_photos
from playwright.sync_api import expect
from reviewing import eventually

from synthstudio.dataset.reader import Dataset
from synthstudio.review.check import base_of
from synthstudio.review.datasets import content_key
from synthstudio.review.edits import apply
from synthstudio.review.models import DatasetRow, utc_now
from synthstudio.review.store import open_store
from synthstudio.review.values import JointLabel, Op, Person, User

pytestmark = pytest.mark.browser
SLOW = 240_000
ADA = User(name="Ada", role="admin")


def approve(studio: Any, folder: Path, frame: int, **joints: JointLabel) -> None:
    """Let somebody change joints of person 1 of a frame and approve that person."""
    store, dataset = open_store(f"sqlite:///{studio.db}"), Dataset(folder)
    person = Person(dataset=content_key(dataset), frame=frame, instance=1)
    common = {"client": f"test{frame}", "person": person}
    ops = [Op(seq=1, revision=0, kind="edit", joints=joints, **common)] if joints else []
    ops.append(Op(seq=2, revision=len(ops), kind="status", status="approved", **common))
    for op in ops:
        apply(store, op, who=ADA, base=base_of(dataset, frame, 1))
    store.close()


def test_an_empty_start_leads_to_generate(
    start_studio: Callable[..., Any], page: Any, open_as: Callable[..., Any], screenshots: Any
) -> None:
    open_as(page, start_studio())
    page.get_by_role("heading", name="Generate your first set").wait_for()
    page.get_by_text("synthstudio import annotations.json --images photos").wait_for()
    page.get_by_text("synthstudio import-photos photos").wait_for()
    page.get_by_text("The documentation says more").wait_for()
    screenshots(page, "home_empty")
    page.get_by_role("button", name="Generate your first set").click()
    page.get_by_role("heading", name="Generate", exact=True).wait_for(timeout=SLOW)


def test_a_set_at_a_glance(
    studio: Any, studio_set: Path, page: Any, open_as: Callable[..., Any], screenshots: Any
) -> None:
    open_as(page, studio)
    dataset = Dataset(studio_set)
    one = page.locator('[class*="st-key-set_"]').filter(has_text="crates")
    one.get_by_text(f"{dataset.frames} frames · {dataset.people} people").wait_for()
    one.get_by_text(f"Nobody reviewed yet: {dataset.people} people wait").wait_for()
    one.get_by_text("sound").wait_for(timeout=SLOW)
    width = "image => image.complete && image.naturalWidth"
    eventually(lambda: one.locator("img").evaluate(width), 320)
    approve(studio, studio_set, 0)
    page.reload()
    one.get_by_text(f"{1 / dataset.people:.0%} reviewed · 1 approved").wait_for(timeout=SLOW)
    one.get_by_text("last edit").wait_for()
    expect(one.get_by_role("button", name="Go on reviewing")).to_be_visible()
    way_in = page.get_by_text("synthstudio import annotations.json")
    expect(way_in).to_be_hidden()
    page.get_by_text("Bring in your own photos and labels").click()
    expect(way_in).to_be_visible()
    screenshots(page, "home")
    one.get_by_role("button", name="Risk queue").click()
    page.get_by_role("heading", name="Risk queue").wait_for(timeout=SLOW)


def test_a_set_that_is_damaged_is_told(
    start_studio: Callable[..., Any],
    studio_set: Path,
    page: Any,
    open_as: Callable[..., Any],
    tmp_path: Path,
    screenshots: Any,
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(studio_set, broken)
    image = next(broken.glob("shards/*/images/*.jpg"))
    image.write_bytes(b"not a picture")
    studio = start_studio(broken)
    open_as(page, studio)
    one = page.locator('[class*="st-key-set_"]')
    one.get_by_text(re.compile(r"\d errors")).first.wait_for(timeout=SLOW)
    settled(page)
    one.get_by_text("What was found").click()
    one.get_by_role("listitem").first.wait_for()
    screenshots(page, "home_damaged")


def test_finished_sets_below_the_exports_appear(
    studio: Any, studio_set: Path, page: Any, open_as: Callable[..., Any]
) -> None:
    open_as(page, studio)
    page.get_by_text("crates").first.wait_for()
    for name, shade in (("photos", 40), ("others", 90)):  # the same dataset.json
        import_photos(studio.folder / name, shade).folder.rename(studio.exports / name)
    shutil.copytree(studio_set, studio.exports / "twin")
    page.reload()
    sets = page.locator('[class*="st-key-set_"]')
    for name in ("photos", "others"):
        sets.filter(has_text=name).wait_for(timeout=SLOW)
    page.get_by_text("twin is a copy of crates: they are one data set here.").wait_for()
    expect(sets).to_have_count(3)


def test_reviews_that_nobody_can_assign_are_told(
    start_studio: Callable[..., Any], tmp_path: Path, page: Any, open_as: Callable[..., Any]
) -> None:
    sets = [import_photos(tmp_path / name, shade) for name, shade in (("a", 40), ("b", 90))]
    studio = start_studio(*(dataset.folder for dataset in sets))
    store = open_store(f"sqlite:///{studio.db}")
    old = hashlib.sha256((sets[0].folder / "dataset.json").read_bytes()).hexdigest()
    with store.session() as session:  # as an earlier release left it
        session.add(DatasetRow(key=old, name="a", skeleton="coco17", people=3, added_at=utc_now()))
    person = Person(dataset=old, frame=0, instance=1)
    op = Op(client="t", seq=1, person=person, revision=0, kind="status", status="approved")
    apply(store, op, who=ADA, base=base_of(sets[0], 0, 1))
    store.close()
    open_as(page, studio)
    page.get_by_text("Edits under the name a (1) were made in an earlier release").wait_for()
    expect(page.get_by_text("Nobody reviewed yet: 3 people wait")).to_have_count(2)


def test_a_set_that_cannot_be_read_is_told_by_its_name(
    start_studio: Callable[..., Any],
    studio_set: Path,
    page: Any,
    open_as: Callable[..., Any],
    tmp_path: Path,
    screenshots: Any,
) -> None:
    hollow = tmp_path / "hollow"
    shutil.copytree(studio_set, hollow)
    studio = start_studio(hollow)
    torn = studio.exports / "torn"
    torn.mkdir()
    for name in ("dataset.json", "index.json"):
        (torn / name).write_text("{")
    next(hollow.glob("shards/*/instances.parquet")).write_bytes(b"no table")
    next(hollow.glob("shards/*/shard.json")).write_text("{")
    open_as(page, studio)
    page.get_by_text("torn, a folder of the exports folder, cannot be read").wait_for()
    page.get_by_text("hollow cannot be read: a file of it is missing or damaged").wait_for()
    screenshots(page, "home_unreadable")
    for name in ("", "gallery"):
        page.goto(f"{studio.url}/{name}")
        page.get_by_text("cannot be read").first.wait_for()
        settled(page)
        assert str(tmp_path) not in page.content() and str(studio.exports) not in page.content()
    log = (studio.db.parent / "studio-guard.log").read_text("utf-8")
    assert str(torn) in log and str(hollow) in log
    assert log.count("cannot read torn") == 1, "not anew on every visit"


def test_reviewed_labels_are_exported(
    studio: Any, studio_set: Path, page: Any, open_as: Callable[..., Any], screenshots: Any
) -> None:
    moved = JointLabel(x_px=12.5, y_px=20.25, state=2, cause="visible")
    approve(studio, studio_set, 3, nose=moved)
    open_as(page, studio)
    one = page.locator('[class*="st-key-set_"]').filter(has_text="crates")
    one.get_by_role("button", name="Export labels").click()
    page.get_by_role("button", name="Export", exact=True).click()
    link = page.locator('[class*="st-key-job_"]').get_by_role("link", name="Download")
    link.wait_for(timeout=SLOW)
    settled(page)
    screenshots(page, "home_exported")
    address = link.get_attribute("href")
    answer = page.context.request.get(f"{studio.url}{address}")
    assert answer.status == 200 and "attachment" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.body())) as archive:
        files = [n for n in archive.namelist() if "/person_keypoints_" in n]
        found = [json.loads(archive.read(name)) for name in files]
    noses = [a["keypoints"][:3] for part in found for a in part["annotations"]]
    assert [12.0, 19.75, 2] in noses  # pixel indices: continuous - 0.5
    stranger = page.context.browser.new_context()
    assert stranger.request.get(f"{studio.url}{address}").status == 403
    stranger.close()
