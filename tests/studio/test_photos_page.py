"""Own background photos on the page Generate, and attacks on that way into the server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from attackers import log_of, state_of
from conftest import settled
from hostile_pictures import bomb, picture
from job_orders import RECIPE
from playwright.sync_api import expect
from reviewing import eventually

from synthstudio.review.store import open_store
from synthstudio.review.team import members
from synthstudio.review.values import User

pytestmark = pytest.mark.browser
SLOW = 240_000  # ms: what a process needs to begin on a machine that is busy
ADA = User(name="Ada", role="admin")
PHOTO = picture(size=(320, 240), kind="JPEG")


@pytest.fixture(scope="module")
def maker(start_studio: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a studio with two small scenes; Ada is its admin, Vi looks, Lea leads."""
    scenes = tmp_path_factory.mktemp("scenes")
    (scenes / "quickstart.yaml").write_text(yaml.safe_dump({**RECIPE, "name": "quickstart"}))
    behind = {"kind": "photo", "folder": "street", "ground": "any"}
    street = {**RECIPE, "name": "street", "backdrop": behind}
    (scenes / "street.yaml").write_text(yaml.safe_dump(street))
    studio = start_studio(more=("--scenes", str(scenes), "--admin", "Ada"))
    role(studio, Vi="viewer", Lea="lead")
    return studio


def role(studio: Any, **roles: Any) -> None:
    store = open_store(f"sqlite:///{studio.db}")
    for name, given in roles.items():
        members.set_role(store, name, given, by=ADA)
    store.close()


@pytest.fixture
def photos(page: Any, maker: Any, open_as: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that opens the part for own photos, as somebody."""

    def opened(name: str = "Ada") -> Any:
        open_as(page, maker, "generate", name=name)
        # At rest: the first preview draws the page anew.
        page.get_by_text("Preview with labels, frame 0").wait_for(timeout=SLOW)
        settled(page)
        page.get_by_text("Your own background photos").click()
        page.get_by_role("textbox", name="Name for these photos").wait_for()
        return page

    return opened


def choose(page: Any, *files: tuple[str, str, bytes], folder: str = "street") -> None:
    field = page.get_by_role("textbox", name="Name for these photos")
    field.fill(folder)
    page.locator("input[type=file]").set_input_files(
        [{"name": name, "mimeType": kind, "buffer": data} for name, kind, data in files]
    )


def send(page: Any, *files: tuple[str, str, bytes], folder: str = "street") -> None:
    choose(page, *files, folder=folder)
    arrived(page, *files)
    page.get_by_role("button", name="Upload these photos").click()


def arrived(page: Any, *files: tuple[str, str, bytes]) -> None:
    """Wait until files are with the server: what could be cancelled can then be removed."""
    for name, _, _ in files:
        page.get_by_role("button", name=f"Remove {name}", exact=True).wait_for()
    expect(page.get_by_role("button", name="Upload these photos")).to_be_enabled()


def kept(maker: Any) -> list[Path]:
    return sorted((maker.exports / "uploads").rglob("*"))


def refused(maker: Any, words: str) -> None:
    eventually(lambda: words in log_of(maker), True)


def test_a_bomb_is_refused(photos: Callable[..., Any], maker: Any) -> None:
    page, before = photos(), state_of(maker)
    send(page, ("bomb.png", "image/png", bomb(20_000)))
    page.get_by_text("bomb.png").filter(has_text="pixels").wait_for()
    refused(maker, "an upload")
    assert kept(maker) == [] and state_of(maker) == before


def test_what_only_calls_itself_a_picture_is_refused(
    photos: Callable[..., Any], maker: Any
) -> None:
    page, before = photos(), state_of(maker)
    evil = "<img src=x onerror=window.evil=1>.png"
    send(
        page,
        ("page.jpg", "image/jpeg", b"<html><script>window.evil=2</script>"),
        (evil, "image/png", b"<svg onload='window.evil=3'/>"),
    )
    page.get_by_text("page.jpg").filter(has_text="upload").wait_for()
    page.get_by_text("onerror").filter(has_text="upload").wait_for()
    settled(page)
    assert page.evaluate("window.evil ?? null") is None
    choose(page, ("run.sh", "text/x-sh", b"#!/bin/sh\n"))
    page.get_by_text("not allowed").wait_for()
    assert kept(maker) == [] and state_of(maker) == before


def test_what_is_too_large_is_refused(
    photos: Callable[..., Any], maker: Any, tmp_path: Path
) -> None:
    page, before = photos(), state_of(maker)
    (tmp_path / "large.jpg").write_bytes(PHOTO + bytes(21 * 2**20))
    page.locator("input[type=file]").set_input_files(tmp_path / "large.jpg")
    page.get_by_text("must be 20.0MB or smaller").wait_for()
    settled(page)
    page.get_by_role("button", name="Upload these photos").click()
    page.get_by_text("Choose some photos first").wait_for()
    assert kept(maker) == [] and state_of(maker) == before


@pytest.mark.parametrize("folder", ["../../etc", "/tmp/x", "A b"])
def test_no_name_leads_out(folder: str, photos: Callable[..., Any], maker: Any) -> None:
    page, before = photos(), state_of(maker)
    send(page, ("street.jpg", "image/jpeg", PHOTO), folder=folder)
    page.get_by_text("this cannot be a folder of photos").wait_for()
    assert kept(maker) == [] and state_of(maker) == before


def test_a_viewer_has_no_way_in(
    page: Any, maker: Any, open_as: Callable[..., Any], watch: Any
) -> None:
    before = state_of(maker)
    open_as(page, maker, "generate", name="Vi")
    page.get_by_text("This page needs the role lead").wait_for()
    settled(page)
    expect(page.locator("input[type=file]")).to_have_count(0)
    refused(maker, "a page for another role")
    assert kept(maker) == [] and state_of(maker) == before


def test_who_is_no_lead_any_more_keeps_nothing(photos: Callable[..., Any], maker: Any) -> None:
    page = photos("Lea")
    choose(page, street := ("street.jpg", "image/jpeg", PHOTO))
    arrived(page, street)
    role(maker, Lea="viewer")
    before = state_of(maker)
    page.wait_for_timeout(11_000)  # roles are asked for every ten seconds
    keep = page.get_by_role("button", name="Upload these photos")
    refusal = page.get_by_text("This page needs the role lead")
    keep.or_(refusal).first.wait_for()
    settled(page)
    if keep.count():  # the page was not drawn again by itself meanwhile
        keep.click()
    refusal.wait_for()
    assert kept(maker) == [] and state_of(maker) == before


def test_a_photo_becomes_the_background(
    photos: Callable[..., Any], maker: Any, screenshots: Any
) -> None:
    page = photos()
    send(
        page,
        ("my street.jpg", "image/jpeg", PHOTO),
        ("b.png", "image/png", picture(size=(400, 300))),
        ("clear.png", "image/png", picture("RGBA", (400, 300))),
    )
    page.get_by_text("2 photos are kept as street").wait_for()
    page.get_by_text("clear.png").filter(has_text="transparent").wait_for()
    names = [path.name for path in kept(maker) if path.is_file()]
    assert len(names) == 2 and all(len(n) == 68 and n.endswith(".jpg") for n in names)
    page.get_by_role("combobox", name="Background").click()
    page.get_by_role("option", name="Your photos: street (2)").click()
    page.get_by_alt_text("frame 0 of this recipe").wait_for(timeout=SLOW)
    name = page.get_by_role("textbox", name="Name of the data set")
    expect(name).to_have_value("quickstart-street")
    page.get_by_text("Preview with labels, frame 0").wait_for(timeout=SLOW)
    screenshots(page, "generate_photos")
    page.get_by_role("button", name="Generate", exact=True).click()
    job = page.locator('[class*="st-key-job_"]').filter(has_text="quickstart-street")
    job.get_by_role("link", name="Open and review").wait_for(timeout=SLOW)
    found = (maker.exports / "quickstart-street" / "dataset.json").read_text("utf-8")
    assert str(maker.exports) not in found and '"street"' in found
    page.get_by_role("combobox", name="Scene").click()
    page.get_by_role("option", name="street", exact=True).click()  # now it is here
    expect(name).to_have_value("street")
    page.get_by_alt_text("frame 0 of this recipe").wait_for(timeout=SLOW)
