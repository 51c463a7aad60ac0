"""Previews: drawn by one warm process, bounded, and never in the way of the server."""

import os
import signal
import threading

import pytest
from job_orders import RECIPE, settings_in
from waiting import PATIENCE_S, wait_for

from synthstudio.core.errors import Refused
from synthstudio.core.images import decode_rgb
from synthstudio.recipe.schema.load import dump, parse
from synthstudio.studio.jobs import preview as previewing
from synthstudio.studio.jobs.preview import Previews
from synthstudio.studio.jobs.workers import MAX_PIXELS, bounded

TINY = parse(RECIPE)


@pytest.fixture
def settings(tmp_path):
    return settings_in(tmp_path)


@pytest.fixture
def drawer(settings):
    made = Previews(settings)
    yield made
    made.close()


def waited(drawer, key):
    def drawn():
        return None if (seen := drawer.status(key)).state == "waiting" else seen

    return wait_for(drawn, "a preview", patience_s=240)


@pytest.mark.nightly("a process draws previews, and is killed")
def test_one_process_draws_them_all(drawer):
    key = drawer.request(TINY, assets=0, index=0)
    assert drawer.request(TINY, assets=0, index=0) == key  # asked twice, drawn once
    first = waited(drawer, key)
    assert first.state == "done", first.message
    height, width, _ = decode_rgb(first.picture, "preview").shape
    assert width / 4 == height / 3
    pid = drawer._worker.pid
    other = waited(drawer, drawer.request(TINY, assets=0, index=1))
    assert other.state == "done" and other.picture != first.picture
    assert drawer._worker.pid == pid
    bad = parse({**RECIPE, "people": {"count": 1, "poses": {"names": {"no such pose": 1}}}})
    failed = waited(drawer, drawer.request(bad, assets=0, index=0))
    assert failed.state == "failed" and "no such pose" in failed.message
    assert drawer._worker.pid == pid  # an error of ours does not end it
    key_of_bad = drawer.request(bad, assets=0, index=0)
    assert drawer.status(key_of_bad).state == "failed"  # a page that asks again changes nothing
    drawer.forget(key_of_bad)
    assert "no longer exists" in drawer.status(key_of_bad).message
    os.kill(pid, signal.SIGKILL)
    again = waited(drawer, drawer.request(TINY, assets=0, index=2))
    assert again.state == "done" and drawer._worker.pid != pid
    drawer.close()
    assert drawer.status(key).state == "done"  # kept on disk


def test_the_queue_and_the_requests_are_bounded(drawer, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(Previews, "_draw", lambda *_: gate.wait(PATIENCE_S))
    with pytest.raises(Refused, match="too many queued previews"):
        for index in range(previewing.MAX_WAITING + 1):
            drawer.request(TINY, assets=0, index=index)
    for index in (-1, previewing.LAST_FRAME + 1):
        with pytest.raises(Refused, match="no such frame"):
            drawer.request(TINY, assets=0, index=index)
    photo = parse({**RECIPE, "backdrop": {"kind": "photo", "folder": "photos"}})
    with pytest.raises(Refused, match="asset folders are missing"):
        drawer.request(photo, assets=0, index=0)
    assert drawer.status("0" * 32).state == "failed"
    drawer.close()
    gate.set()


@pytest.mark.parametrize(("width", "height"), [(4096, 4096), (4096, 64), (640, 480), (64, 64)])
def test_pictures_keep_their_shape_and_stay_small(width, height):
    image = {"width_px": width, "height_px": height, "supersample": 4}
    small = bounded(dump(parse({**RECIPE, "image": image, "layers": ["depth"]})))
    size = small["image"]["width_px"], small["image"]["height_px"]
    assert size[0] * size[1] <= MAX_PIXELS * 1.2 and min(size) >= 64
    assert small["layers"] == [] and small["image"]["supersample"] == 2
    if min(width, height) > 64:
        assert size[0] / size[1] == pytest.approx(width / height, rel=0.01)
    assert parse(small)
