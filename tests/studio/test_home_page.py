"""The page Home: an empty start, sets at a glance, what cannot be read, labels exported."""

import shutil

import pytest
from imported_photos import import_photos
from waiting import wait_for

from synthstudio.review.check import base_of
from synthstudio.review.edits import apply
from synthstudio.review.team import members
from synthstudio.review.values import Op, Person, User
from synthstudio.studio import overview
from synthstudio.studio.jobs import job_store
from synthstudio.studio.overview import health_checks

ADA = User(name="Ada", role="admin")


def approve(store, dataset, key):
    person = Person(dataset=key, frame=0, instance=1)
    op = Op(client="test", seq=1, person=person, revision=0, kind="status", status="approved")
    apply(store, op, who=ADA, base=base_of(dataset, 0, 1))


def test_a_set_at_a_glance(pages):
    app = pages.open()
    (found,) = pages.ctx.sets.values()
    people = found.dataset.people
    said = pages.words(app)
    assert f"{found.dataset.frames} frames · {people} people" in said
    assert f"0 of {people} people reviewed" in said and "Start reviewing" in said
    assert any('alt="frame 0"' in one.proto.body for one in app.get("html"))
    approve(pages.ctx.store, found.dataset, found.key)
    said = pages.words(app.run())
    assert f"{1 / people:.0%} reviewed · 1 approved" in said
    assert "last edit" in said and "by Ada" in said and "Continue reviewing" in said
    assert not app.expander[0].proto.expanded, "how to bring in photos"
    pages.press(app, "Risk queue")
    assert app.title[0].value == "Risk queue"


@pytest.mark.parametrize(("role", "button"), [("reviewer", "Start reviewing"), ("viewer", "View")])
def test_buttons_are_those_of_the_role(pages, role, button):
    members.set_role(pages.ctx.store, "Ada", "admin", by=ADA)
    members.set_role(pages.ctx.store, "Rex", role, by=ADA)
    labels = {button.label for button in pages.open(user="Rex").button}
    assert button in labels and "Export" not in labels


@pytest.mark.parametrize("words", ["no errors", "errors]"])
def test_a_check_says_whether_a_set_is_sound(
    open_pages, small_photo_set, tmp_path, monkeypatch, words
):
    folder = tmp_path / "set"
    shutil.copytree(small_photo_set, folder)
    if words != "no errors":
        next(folder.glob("shards/*/images/*.jpg")).write_bytes(b"not a picture")
    pages = open_pages(folder)
    monkeypatch.setattr(overview, "health_checks", health_checks)
    app = pages.open()
    wait_for(lambda: words in pages.words(app.run()), f"the page says {words}")
    found = "Findings" in [one.label for one in app.expander]
    assert found == ("(error)" in pages.words(app)) == (words != "no errors")


def test_finished_sets_in_the_exports_folder_appear(pages, studio_set):
    app, exports = pages.open(), pages.ctx.settings.exports
    exports.mkdir(exist_ok=True)
    for name, shade in (("photos", 40), ("others", 90)):  # the same dataset.json
        import_photos(exports.parent / name, shade).folder.rename(exports / name)
    shutil.copytree(studio_set, exports / "twin")
    said = pages.words(app.run())
    assert "##### photos" in said and "##### others" in said
    assert "twin is a copy of crates: they are one data set here." in said
    assert len(pages.ctx.sets) == 3


def test_a_set_that_cannot_be_read_is_named_without_its_folder(
    open_pages, studio_set, tmp_path, caplog
):
    hollow = tmp_path / "hollow"
    shutil.copytree(studio_set, hollow)
    pages = open_pages(hollow)
    torn = pages.ctx.settings.exports / "torn"
    torn.mkdir(parents=True)
    for name in ("dataset.json", "index.json"):
        (torn / name).write_text("{")
    next(hollow.glob("shards/*/instances.parquet")).write_bytes(b"no table")
    next(hollow.glob("shards/*/shard.json")).write_text("{")
    app = pages.open()
    said = pages.words(app)
    assert "torn, a folder of the exports folder, cannot be read" in said
    assert "hollow cannot be read: a file of it is missing or damaged" in said
    gallery = pages.words(pages.open("gallery"))
    assert "cannot be read" in gallery
    assert str(tmp_path) not in said + gallery
    assert str(torn) in caplog.text and str(hollow) in caplog.text
    assert caplog.text.count("cannot read torn") == 1, "not anew on every visit"


def test_an_export_is_ordered(pages):
    app = pages.open()
    pages.press(app, "Export")
    (job,) = job_store.jobs(pages.ctx.store)
    (found,) = pages.ctx.sets.values()
    assert (job.kind, job.out, job.who) == ("export", "crates-coco", "Ada")
    assert job.spec["dataset"] == str(found.dataset.place)
    assert (job.spec["form"], job.spec["only"]) == ("coco", "all")
    pages.press(app, "Export")
    assert {one.out for one in job_store.jobs(pages.ctx.store)} == {"crates-coco", "crates-coco-2"}


def test_what_is_assigned_to_me_is_my_first_queue(pages):
    (found,) = pages.ctx.sets.values()
    people = [Person(dataset=found.key, frame=0, instance=n) for n in (1, 2)]
    members.assign(pages.ctx.store, people, to="Ada", by=ADA)
    assert pages.open("review").query_params["queue"] == "assigned"
    app = pages.open()
    assert "2 people assigned to you" in pages.words(app).replace("**", "")
    assert pages.press(app, "Review 2 assigned to me").query_params["queue"] == "assigned"
    approve(pages.ctx.store, found.dataset, found.key)
    assert "Review 1 assigned to me" in pages.words(pages.open())
