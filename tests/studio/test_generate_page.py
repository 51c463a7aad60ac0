"""The page Generate: fields are checked, photos kept, jobs ordered."""

import pytest
import yaml
from attackers import bomb, picture
from conftest import settled
from job_orders import RECIPE
from playwright.sync_api import expect
from reviewing import Desk

from synthstudio.dataset.reader import Dataset
from synthstudio.review.datasets import content_key
from synthstudio.review.team import members
from synthstudio.review.values import User
from synthstudio.studio.jobs import job_store

ADA = User(name="Ada", role="admin")
PHOTO = picture(size=(320, 240), kind="JPEG")
BEHIND = {"kind": "photo", "folder": "street", "ground": "any"}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Two small scenes, of which the second lacks its photos."""
    folder = tmp_path_factory.mktemp("scenes")
    tiny = {**RECIPE, "name": "quickstart", "description": "One person, <b>small</b> pictures."}
    (folder / "quickstart.yaml").write_text(yaml.safe_dump(tiny))
    photo = {**RECIPE, "name": "street", "backdrop": BEHIND}
    (folder / "street.yaml").write_text(yaml.safe_dump(photo))
    return folder


@pytest.fixture
def pages(open_pages, scenes):
    """Pages without data sets; Ada is admin, Lea leads, Vi looks."""
    pages = open_pages(more=("--scenes", str(scenes), "--admin", "Ada"))
    for name, role in (("Ada", "admin"), ("Lea", "lead"), ("Vi", "viewer")):
        members.set_role(pages.ctx.store, name, role, by=ADA)
    return pages


def field(app, label):
    """The field of this label, text or number."""
    return next(f for f in (*app.text_input, *app.number_input) if f.label == label)


def fill(app, label, value):
    field(app, label).set_value(value).run()
    assert not app.exception


def start(app):
    return app.button(key="start")


@pytest.mark.parametrize(
    ("label", "value", "fault"),
    [
        *[("Name of the data set", bad, "invalid output name") for bad in
          ("../x", "studio")],
        ("Width, px", 20, "should be greater than or equal to 64; got 20."),
        ("identities", "0", "should be greater than or equal to 1; got 0."),
        ("identities", "[1, ", "Not a YAML value"),
    ],
)  # fmt: skip
def test_a_fault_is_said_and_nothing_starts(pages, label, value, fault):
    app = pages.open("generate")
    assert not start(app).disabled and fault not in pages.words(app)
    before = field(app, label).value
    fill(app, label, value)
    assert fault in pages.words(app) and start(app).disabled
    if label == "Width, px":
        pages.press(app, "Reset to the scene's values")
    else:
        fill(app, label, "good" if label.startswith("Name") else before)
    assert fault not in pages.words(app) and not start(app).disabled
    assert job_store.jobs(pages.ctx.store) == []


def test_a_job_is_ordered_as_filled_in(pages):
    app = pages.open("generate")
    assert "One person, <b>small</b> pictures." in pages.words(app)
    fill(app, "Frames", 5)
    assert "5 frames of 160 x 120" in pages.words(app)
    fill(app, "Name of the data set", "five")
    start(app).click().run()
    (job,) = job_store.jobs(pages.ctx.store)
    assert (job.kind, job.who, job.out) == ("generate", "Ada", "five")
    assert (job.spec["recipe"]["frames"], job.spec["recipe"]["seed"]) == (5, RECIPE["seed"])
    said = pages.words(app.run())
    assert "queued" in said and field(app, "Name of the data set").value == "quickstart"
    pages.press(app, "Cancel")
    (job,) = job_store.jobs(pages.ctx.store)
    assert job.stopping or job.state == "cancelled"


def test_a_scene_that_lacks_its_pictures_says_so(pages):
    app = pages.open("generate")
    app.selectbox(key="scene").set_value("street").run()
    assert "It takes pictures from photos" in pages.words(app).replace("street", "photos")
    assert "Generate" not in {button.label for button in app.button}


def test_who_does_not_lead_is_sent_away(pages):
    members.set_role(pages.ctx.store, "Rudi", "reviewer", by=ADA)
    app = pages.open("generate", user="Rudi")
    assert "This page needs the role lead" in app.warning[0].value
    assert "Generate" not in {one.label for one in app.button} and not app.file_uploader


def send(pages, app, *files, folder="street"):
    app.file_uploader[0].set_value([(name, data, kind) for name, kind, data in files])
    field(app, "Name for these photos").set_value(folder)
    pages.press(app, "Upload these photos")
    return pages.words(app)


def kept(pages):
    return [path for path in pages.ctx.settings.uploads.rglob("*") if path.is_file()]


def test_photos_are_kept_and_refused_by_name(pages):
    app = pages.open("generate")
    evil = "<img src=x onerror=window.evil=1>.png"
    said = send(
        pages, app,
        ("my street.jpg", "image/jpeg", PHOTO),
        ("clear.png", "image/png", picture("RGBA", (400, 300))),
        ("bomb.png", "image/png", bomb(20_000)),
        (evil, "image/png", b"<svg onload='window.evil=3'/>"),
    )  # fmt: skip
    assert "1 photo is kept as street" in said and "bomb.png" in said and "clear.png" in said
    assert any("\\<img" in one.value for one in app.markdown), "as text"
    (photo,) = kept(pages)
    assert len(photo.name) == 68 and photo.suffix == ".jpg"
    background = next(box for box in app.selectbox if box.label == "Background")
    choice = next(one for one in background.options if "street (1)" in one)
    background.select(choice).run()
    assert field(app, "Name of the data set").value == "quickstart-street"
    assert not start(app).disabled
    app.selectbox(key="scene").set_value("street").run()  # now it is here
    assert not start(app).disabled


def test_no_name_leads_out_and_who_is_no_lead_any_more_keeps_nothing(pages):
    app, folder = pages.open("generate", user="Lea"), "../../etc"
    said = send(pages, app, ("a.jpg", "image/jpeg", PHOTO), folder=folder)
    assert "this cannot be a folder of photos" in said and kept(pages) == []
    members.set_role(pages.ctx.store, "Lea", "viewer", by=ADA)
    pages.ctx.forget_roles()
    app.file_uploader[0].set_value([("a.jpg", PHOTO, "image/jpeg")])
    pages.press(app, "Upload these photos")
    assert "This page needs the role lead" in pages.words(app) and kept(pages) == []


@pytest.mark.nightly("a browser journey with previews and jobs in processes of their own")
@pytest.mark.browser
def test_a_set_with_own_photos_is_made_through_a_restart(start_studio, scenes, page, open_as):
    maker = start_studio(more=("--scenes", str(scenes), "--admin", "Ada"))

    def card(name):
        return page.locator('[class*="st-key-job_"]').filter(has_text=name)

    def press(name, label):
        button = card(name).get_by_role("button", name=label)
        button.wait_for()
        settled(page)
        button.click()

    def put(label, value, role="textbox"):
        page.get_by_role(role, name=label, exact=True).fill(value)
        page.get_by_role(role, name=label, exact=True).press("Enter")

    generate = page.get_by_role("button", name="Generate", exact=True)
    open_as(page, maker, "generate")
    page.get_by_alt_text("frame 0 of this recipe with its labels drawn in").wait_for()
    put("Frames", "3000", "spinbutton")
    page.get_by_text("3,000 frames").wait_for()
    put("Name of the data set", "long")
    settled(page)
    generate.click()
    for label in ("Cancel", "Resume", "Cancel"):
        press("long", label)
    card("long").get_by_text("cancelled").wait_for()
    assert not (maker.exports / "long" / "index.json").exists()

    page.get_by_text("Your own background photos").click()
    page.get_by_role("textbox", name="Name for these photos").fill("street")
    chosen = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": PHOTO}
    page.locator("input[type=file]").set_input_files([chosen])
    page.get_by_role("button", name="Remove a.jpg", exact=True).wait_for()
    page.get_by_role("button", name="Upload these photos").click()
    page.get_by_text("1 photo is kept as street").wait_for()
    settled(page)
    page.get_by_role("combobox", name="Background").click()
    page.get_by_role("option", name="Your photos: street (1)").click()
    expect(page.get_by_role("textbox", name="Name of the data set")).to_have_value(
        "quickstart-street"
    )
    put("Frames", "5", "spinbutton")
    page.get_by_text("5 frames of 160 x 120").wait_for()
    settled(page)
    generate.click()
    card("quickstart-street").get_by_text("running").wait_for()
    page.goto("about:blank")  # the browser is gone
    maker.restart()  # the server is killed; the job goes on
    open_as(page, maker)
    page.get_by_role("link", name="Generate", exact=True).click()
    link = card("quickstart-street").get_by_role("link", name="Open and review")
    link.wait_for()
    found = maker.exports / "quickstart-street"
    assert Dataset(found).frames == 5 and (maker.exports / "quickstart-street.yaml").is_file()
    assert str(maker.exports) not in (found / "dataset.json").read_text("utf-8")
    link.click()
    page.wait_for_url(lambda url: f"/review?set={content_key(Dataset(found))}" in url)
    Desk(page=page, studio=maker).shown()
