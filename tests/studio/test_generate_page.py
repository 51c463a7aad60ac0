"""The page Generate: fields are checked, photos kept, jobs ordered."""

import pytest
import yaml
from attackers import bomb, picture
from job_orders import RECIPE

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


def start(app):
    return app.button(key="start")


FAULTS = [
    ("Name of the data set", "../x", "invalid output name"),
    ("Name of the data set", "studio", "invalid output name"),
    ("Width, px", 20, "should be greater than or equal to 64; got 20."),
    ("identities", "0", "should be greater than or equal to 1; got 0."),
    ("identities", "[1, ", "Not a YAML value"),
]


def test_a_fault_is_said_and_nothing_starts(pages):
    app = pages.open("generate")
    for label, value, fault in FAULTS:
        assert not start(app).disabled and fault not in pages.words(app)
        before = pages.field(app, label).value
        pages.fill(app, label, value)
        assert fault in pages.words(app) and start(app).disabled
        if label == "Width, px":
            pages.press(app, "Reset to the scene's values")
        else:
            pages.fill(app, label, "good" if label.startswith("Name") else before)
        assert fault not in pages.words(app) and not start(app).disabled
    assert job_store.jobs(pages.ctx.store) == []


def test_a_job_is_ordered_as_filled_in(pages):
    app = pages.open("generate")
    assert "One person, <b>small</b> pictures." in pages.words(app)
    pages.fill(app, "Frames", 5)
    assert "5 frames of 160 x 120" in pages.words(app)
    pages.fill(app, "Name of the data set", "five")
    start(app).click().run()
    (job,) = job_store.jobs(pages.ctx.store)
    assert (job.kind, job.who, job.out) == ("generate", "Ada", "five")
    assert (job.spec["recipe"]["frames"], job.spec["recipe"]["seed"]) == (5, RECIPE["seed"])
    said = pages.words(app.run())
    assert "queued" in said and pages.field(app, "Name of the data set").value == "quickstart"
    pages.press(app, "Cancel")
    (job,) = job_store.jobs(pages.ctx.store)
    assert job.stopping or job.state == "cancelled"


def test_who_does_not_lead_is_sent_away(pages):
    members.set_role(pages.ctx.store, "Rudi", "reviewer", by=ADA)
    app = pages.open("generate", user="Rudi")
    assert "This page needs the role lead" in app.warning[0].value
    assert "Generate" not in {one.label for one in app.button} and not app.file_uploader


def send(pages, app, *files, folder="street"):
    app.file_uploader[0].set_value([(name, data, kind) for name, kind, data in files])
    pages.field(app, "Name for these photos").set_value(folder)
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
    assert pages.field(app, "Name of the data set").value == "quickstart-street"
    assert not start(app).disabled
    app.selectbox(key="scene").set_value("street").run()  # now it is here
    assert not start(app).disabled


def test_no_name_leads_out_and_who_is_no_lead_any_more_keeps_nothing(pages):
    app = pages.open("generate", user="Lea")
    said = send(pages, app, ("a.jpg", "image/jpeg", PHOTO), folder="../../etc")
    assert "invalid name of a photo folder" in said and kept(pages) == []
    members.set_role(pages.ctx.store, "Lea", "viewer", by=ADA)
    pages.ctx.forget_roles()
    app.file_uploader[0].set_value([("a.jpg", PHOTO, "image/jpeg")])
    pages.press(app, "Upload these photos")
    assert "This page needs the role lead" in pages.words(app) and kept(pages) == []
