"""The page Try it: photo and camera; what is uploaded is checked, answered beside it, and goes."""

import tempfile
from importlib import resources
from pathlib import Path

import pytest
from attackers import picture
from served import settled
from test_pages_a11y import violations

FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture
def trying(open_pages, tmp_path):
    """The page, with the network that comes with the package."""
    pages = open_pages(more=("--runs", str(tmp_path), "--admin", "Ada"))
    return pages, pages.open("tryit")


def test_a_photo_is_answered_beside_it_and_the_upload_goes(trying):
    pages, app = trying
    assert app.selectbox(key="try_model").value == "default"
    assert "The prediction appears here" in pages.words(app)
    app.text_input(key="try_boxes").set_value("20, 10, 100, 100").run()
    turn = app.file_uploader[0].key
    app.file_uploader[0].set_value(("a.png", picture(size=(160, 120)), "image/png")).run()
    assert not app.exception, app.exception[0].value
    said = [one.label for one in app.expander]
    assert any("hidden joints" in label for label in said), pages.words(app)
    assert app.file_uploader[0].key != turn, "the uploader is another one"
    assert not list(Path(tempfile.gettempdir()).glob("synthstudio-try-*"))
    app.file_uploader[0].set_value(("a.png", b"<svg onload='x'/>" * 9, "image/png")).run()
    assert "not a picture that can be read" in pages.words(app)


@pytest.fixture
def camera_page(browser, chromium_path, watch):
    """A page in another Chromium, with a camera that shows a test picture and is always allowed."""
    args = ["--no-sandbox", "--disable-dev-shm-usage", *FAKE_CAMERA]
    opened = browser.browser_type.launch(executable_path=chromium_path, args=args)
    yield watch.on(opened.new_page())
    opened.close()
    watch.check()


@pytest.mark.nightly("a second browser, with a camera")
@pytest.mark.browser
def test_the_camera_is_followed_and_axe_finds_nothing(camera_page, new_page, start_studio, open_as):
    studio, page = start_studio(more=("--admin", "Ada")), camera_page
    axe = (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        open_as(page, studio, "tryit")
        page.get_by_text("Camera", exact=True).click()
        button = page.get_by_role("button", name="Start the camera")
        button.wait_for()
        settled(page)
        button.click()
        stage = page.locator(".stage[data-first-ms]")
        stage.wait_for()
        over = page.locator("canvas.over")
        assert int(over.get_attribute("data-joints")) == 23
        page.wait_for_function(
            "n => [...document.querySelectorAll('*')].some(e => "
            "(e.shadowRoot ?? e).querySelector?.('canvas.over')?.dataset.answers > n)",
            arg=int(over.get_attribute("data-answers") or 0) + 3,
        )
        assert violations(page, axe) == []
        page.get_by_role("button", name="Stop the camera").click()
        stage.wait_for(state="hidden")
    without = new_page()
    open_as(without, studio, "tryit")
    without.get_by_text("Camera", exact=True).click()
    without.get_by_role("button", name="Start the camera").click()
    without.get_by_text("The camera cannot be used (").wait_for()
