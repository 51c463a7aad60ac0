"""The page Try it: photo, video and camera in a browser; what is uploaded is checked and goes."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import settled
from PIL import Image
from playwright.sync_api import expect
from test_pages_a11y import violations

import synthstudio as ss
from synthstudio.core.skeleton import get_skeleton
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.training import checkpoint, networks
from synthstudio.training import config as configs

pytestmark = pytest.mark.browser
FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
FIRST_JOINTS_MS = 3_000


@pytest.fixture(scope="session")
def exported(once: Callable[..., Path]) -> Path:
    """A folder of runs with one exported network, untrained."""

    def make(folder: Path) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(1)
        stated = {
            "train": [{"dataset": "none"}],
            "name": "tiny",
            "network": {"size": [96, 72], "block": "orn"},
        }
        config, own = configs.parse(stated), get_skeleton("coco23")
        bank = PoseBank(torch.rand(6, len(own.joints), 2))
        net = networks.build_network(config.network, own, bank=bank)
        (folder / "nano").mkdir()
        weights = folder / "nano" / "best.safetensors"
        checkpoint.save_weights(weights, net, config, skeleton=own, note="untrained")
        ss.Model.load(weights, device="cpu").export(folder / "nano" / "model.onnx")

    return once("tryit", make)


@pytest.fixture(scope="module")
def trying(start_studio: Callable[..., Any], exported: Path) -> Any:
    return start_studio(more=("--runs", str(exported), "--admin", "Ada"))


@pytest.fixture(scope="session")
def camera_browser(browser: Any, chromium_path: str) -> Iterator[Any]:
    """Another Chromium, with a camera that shows a test picture and is always allowed."""
    opened = browser.browser_type.launch(
        executable_path=chromium_path,
        args=["--no-sandbox", "--disable-dev-shm-usage", *FAKE_CAMERA],
    )
    yield opened
    opened.close()


def photo(size: tuple[int, int] = (120, 160)) -> bytes:
    file = io.BytesIO()
    ramp = np.linspace(0, 255, size[0] * size[1] * 3).reshape(*size, 3).astype(np.uint8)
    Image.fromarray(ramp).save(file, "PNG")
    return file.getvalue()


def test_a_photo_is_answered_beside_it_and_the_upload_goes(
    page: Any, trying: Any, open_as: Callable[..., Any]
) -> None:
    open_as(page, trying, "tryit")
    page.get_by_role("heading", name="Try it", exact=True).wait_for()
    chooser = page.locator('input[type="file"]')
    chooser.set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": photo()})
    page.get_by_text("1 found").wait_for()
    expect(page.get_by_text("joints are hidden")).to_be_visible()
    settled(page)
    assert page.get_by_text("a.png").count() == 0  # the uploader is another one
    assert not list(Path(tempfile.gettempdir()).glob("synthstudio-try-*"))


def test_what_is_no_photo_is_refused_in_words(
    page: Any, trying: Any, open_as: Callable[..., Any]
) -> None:
    open_as(page, trying, "tryit")
    chooser = page.locator('input[type="file"]')
    chooser.set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": b"<svg onload='x'/>" * 9}
    )
    page.get_by_text("not a picture that can be read").wait_for()


def test_boxes_are_read_and_wrong_ones_told(
    page: Any, trying: Any, open_as: Callable[..., Any]
) -> None:
    open_as(page, trying, "tryit")
    field = page.get_by_role("textbox", name="Boxes of people")
    field.fill("1, 2, 3")
    field.press("Enter")
    page.get_by_text("these are no boxes").wait_for()


def test_without_a_run_the_network_of_the_package_is_there(
    page: Any, start_studio: Callable[..., Any], open_as: Callable[..., Any], tmp_path: Path
) -> None:
    bare = start_studio(more=("--runs", str(tmp_path), "--admin", "Ada"))
    open_as(page, bare, "tryit")
    page.get_by_text("The answer appears here").wait_for()
    expect(page.get_by_role("combobox", name="Network")).to_have_value("default")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_camera_is_followed_within_seconds_and_axe_finds_nothing(
    camera_browser: Any,
    watch: Any,
    trying: Any,
    open_as: Callable[..., Any],
    scheme: str,
    screenshots: Any,
) -> None:
    context = camera_browser.new_context(color_scheme=scheme, locale="en-GB")
    context.set_default_timeout(60_000)
    page = watch.on(context.new_page())
    try:
        open_as(page, trying, "tryit")
        page.get_by_text("Camera", exact=True).click()
        button = page.get_by_role("button", name="Start the camera")
        button.wait_for()
        settled(page)
        button.click()
        stage = page.locator(".stage[data-first-ms]")
        stage.wait_for()
        first_ms = int(stage.get_attribute("data-first-ms"))
        assert first_ms < FIRST_JOINTS_MS
        assert int(page.locator("canvas.over").get_attribute("data-joints")) == 23
        before = page.locator("canvas.over").get_attribute("data-answers")
        page.wait_for_function(
            "n => [...document.querySelectorAll('*')].some(e => "
            "(e.shadowRoot ?? e).querySelector?.('canvas.over')?.dataset.answers > n)",
            arg=int(before or 0) + 3,
        )
        screenshots(page, f"tryit_{scheme}")
        axe = (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
        left = violations(page, axe)
        assert not left, "\n".join(f"{rule} {where}\n    {what}" for rule, where, what in left)
        page.get_by_role("button", name="Stop the camera").click()
        stage.wait_for(state="hidden")
    finally:
        context.close()
    watch.check()


def test_without_a_camera_it_says_so(page: Any, trying: Any, open_as: Callable[..., Any]) -> None:
    open_as(page, trying, "tryit")
    page.get_by_text("Camera", exact=True).click()
    page.get_by_role("button", name="Start the camera").click()
    page.get_by_text("The camera cannot be used (").wait_for()
