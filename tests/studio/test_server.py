"""The studio starts, asks for a name, looks calm in both themes, and survives a restart."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from imported_photos import import_photos
from playwright.sync_api import expect

from synthstudio.dataset.reader import Dataset
from synthstudio.review.datasets import content_key
from synthstudio.studio.context import Context
from synthstudio.studio.settings import parse

served = pytest.mark.nightly("a served studio, in a browser")


@served
@pytest.mark.browser
def test_first_visit(page, studio, open_as):
    page.goto(studio.url)
    page.get_by_role("textbox", name="Your name").wait_for()
    open_as(page, studio, name="Ada")
    page.get_by_text("Ada · admin").wait_for()
    page.reload()  # the name is kept for this browser
    page.get_by_text("Ada · admin").wait_for()


@served
@pytest.mark.browser
def test_a_browser_that_was_ended_shows_pictures_again(page, studio, open_as):
    open_as(page, studio)
    page.context.clear_cookies()  # those of a session end with the browser; what it cached stays
    open_as(page, studio)
    picture = page.locator("img[src*='/img/']").first
    loaded = "image => image.complete && image.naturalWidth > 0"
    page.wait_for_function(loaded, arg=picture.element_handle())


@served
@pytest.mark.browser
def test_the_set_that_the_address_names(start_studio, studio_set, tmp_path, page, open_as):
    other = tmp_path / "other"
    import_photos(other, 40)
    studio = start_studio(studio_set, other)
    box = page.get_by_role("combobox", name="Data set")
    for folder in (other, studio_set):
        open_as(page, studio, f"gallery?set={content_key(Dataset(folder))}")
        expect(box).to_have_value(folder.name)
    open_as(page, studio, "gallery?set=nonsense")
    expect(box).to_have_value("")
    page.get_by_text("The data set of this address, nonsense, is not open here.").wait_for()


def test_sets_below_the_exports_folder_are_opened_and_no_link_leads_out(small_photo_set, tmp_path):
    exports = tmp_path / "exports"
    exports.mkdir()
    (exports / "link").symlink_to(small_photo_set)
    (exports / "empty").mkdir()
    found = Context(parse(["--exports", str(exports)], {}))
    assert not found.sets
    shutil.copytree(small_photo_set, exports / "mine")
    (exports / "mine" / "index.json").rename(exports / "mine" / "index")
    assert found.refresh() == [] and not found.sets  # unfinished
    (exports / "mine" / "index").rename(exports / "mine" / "index.json")
    assert found.refresh() == [] and [s.name for s in found.sets.values()] == ["mine"]
    found.store.close()


def test_a_data_set_is_read_by_many_threads(small_photo_set):
    """What one thread returns is what it read, though others read other shards meanwhile."""

    class Raced(Dataset):
        kept: Any = None

        @property
        def _kept(self):
            return self.kept

        @_kept.setter
        def _kept(self, value):
            self.kept = {99: ("another", "thread's")}  # at once what another thread read

    plain, raced = Dataset(small_photo_set), Raced(small_photo_set)
    assert raced.frame(3) == plain.frame(3)
    assert raced.instances(3) == plain.instances(3)
    assert raced.image_bytes(3) == plain.image_bytes(3)
