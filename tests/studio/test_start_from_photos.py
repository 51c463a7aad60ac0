"""Photos without labels in the studio: every page shows them, and the first person is added."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import settled
from reviewing import Desk

from synthstudio.api.exchange import import_photos
from synthstudio.core.images import encode_jpeg
from synthstudio.dataset.reader import Dataset
from synthstudio.review import history
from synthstudio.review.datasets import content_key
from synthstudio.review.progress import empty_frames
from synthstudio.review.store import open_store
from synthstudio.review.team import members
from synthstudio.review.tokens import make_token
from synthstudio.review.values import User

pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly("a browser journey over every page"),
]


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unlabelled")
    (folder / "photos").mkdir()
    for k in range(3):
        stripes = np.arange(240)[:, None, None] * (k + 1) * np.array([1, 2, 3]) % 200
        pixels = np.repeat(stripes, 320, axis=1).astype(np.uint8)
        (folder / "photos" / f"{k}.jpg").write_bytes(encode_jpeg(pixels, 90))
    import_photos(folder / "photos", folder / "set")
    return folder / "set"


def test_the_first_person(
    start_studio: Callable[..., Any],
    unlabelled: Path,
    page: Any,
    open_as: Callable[..., Any],
    screenshots: Callable[[Any, str], None],
) -> None:
    studio = start_studio(unlabelled)
    for name in ("", "gallery", "queue", "team"):
        open_as(page, studio, name)
        settled(page)
        assert page.get_by_test_id("stException").count() == 0, name
        screenshots(page, f"unlabelled_{name or 'home'}")
    open_as(page, studio, "review")
    desk = Desk(page=page, studio=studio)
    desk.shown()
    assert desk.reads("item") == "0:0"
    desk.root.focus()
    page.keyboard.press("n")
    desk.wait(lambda: desk.shown() == "1:0")
    page.keyboard.press("a")
    desk.wait(lambda: desk.shown() == "2:0")
    page.get_by_role("button", name="Nobody is in this frame: say so").click()
    page.locator(".ed .progress", has_text="nobody in 2 frames").wait_for()
    page.keyboard.press("b")
    page.locator(".ed .chip", has_text="nobody here").wait_for()
    page.keyboard.press("z")
    page.locator(".ed .progress", has_text="nobody in 1 frame").wait_for()
    screenshots(page, "unlabelled_nobody")
    page.keyboard.press("b")
    desk.wait(lambda: desk.shown() == "0:0")
    page.keyboard.press("i")
    desk.wait(lambda: desk.reads("item") == "0:1")
    screenshots(page, "unlabelled_review")
    desk.saved()
    page.get_by_role("link", name="Home").click()
    page.get_by_text("nobody in 1 frame, as was decided").wait_for()
    store = open_store(f"sqlite:///{studio.db}")
    try:
        key = content_key(Dataset(unlabelled))
        assert empty_frames(store, key) == {2}
        desk.wait(lambda: (0, 1) in history.added_people(store, key))
        by = User(name="Ada", role="admin")
        members.set_role(store, "Ada", "admin", by=by)
        token = make_token(store, "Ada", role="viewer", by=by)[1]
    finally:
        store.close()
    bearer = {"Authorization": f"Bearer {token}"}
    asked = page.request.get(f"{studio.url}/api/v1/sets/{key}/people", headers=bearer)
    assert [(p["frame"], p["instance"]) for p in asked.json()["people"]] == [(0, 1)]
    page.goto(f"{studio.url}/api/v1/docs")
    page.get_by_role("heading", name="The studio for programs").wait_for()
    screenshots(page, "api_docs")
    assert token not in studio.output
