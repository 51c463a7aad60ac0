"""Fixtures that several packages' tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def missing(what: str, why: str) -> None:
    """Skip a test for want of `what`; fail it where SYNTHSTUDIO_REQUIRE names that."""
    if what in os.environ.get("SYNTHSTUDIO_REQUIRE", "").split(","):
        pytest.fail(f"{what} is required here: {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Yield the machine's own Chromium, without a window; skip where there is none."""
    said = os.environ.get("SYNTHSTUDIO_CHROMIUM", "")
    found = next(filter(None, map(shutil.which, (said, *CHROMIUM) if said else CHROMIUM)), None)
    if found is None:
        missing("chromium", f"none of {', '.join(CHROMIUM)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real photos, cut-outs and panoramas beside the checkout, or skip."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside this checkout: real assets are not tried")
    return folder
