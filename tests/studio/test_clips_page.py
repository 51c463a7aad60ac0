"""Clips in the browser: the strip, copied labels, key frames, tracks, by keys, mouse and touch."""

from importlib import resources

import cv2
import numpy as np
import pytest
from clip_sets import TIMES, make_clips
from reviewing import sit_down, stored
from test_pages_a11y import excused, violations

from synthstudio.api.exchange import import_photos
from synthstudio.dataset.reader import Dataset
from synthstudio.review.datasets import content_key

pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly("browser journeys; clips have quick tests without a server"),
]


@pytest.fixture(scope="module")
def clip_set(tmp_path_factory):
    return make_clips(tmp_path_factory.mktemp("clips") / "walks").folder


@pytest.fixture(scope="module")
def video_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("video")
    film = cv2.VideoWriter(str(folder / "a.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 5, (160, 120))
    for k in range(6):
        film.write(np.full((120, 160, 3), 40 * k, np.uint8))
    film.release()
    import_photos(folder / "a.mp4", folder / "film", rate_hz=5.0)
    return folder / "film"


@pytest.fixture(scope="module")
def studio(start_studio, clip_set, video_set):
    return start_studio(clip_set, video_set)


def address(folder, queue, frame, instance):
    key = content_key(Dataset(folder))
    return f"review?set={key}&queue={queue}&frame={frame}&instance={instance}"


def test_a_clip_is_labelled_by_keys_alone(open_as, page, studio, clip_set):
    desk = sit_down(open_as, page, studio, address(clip_set, "clips", 0, 1))
    where = page.locator(".cliphead .where")

    def at(frame, *, person=1):
        desk.shown(f"{frame}:{person}")
        desk.wait(lambda: f"frame {frame + 1} of {TIMES}" in str(where.text_content()))

    at(0)
    desk.press("Tab", "ArrowRight")  # somebody edits: a key frame
    thumb = page.locator(".thumb[data-frame='0']")
    desk.wait(lambda: thumb.get_attribute("data-mark") == "key")
    desk.press("Shift+R")
    at(1)
    desk.press("Shift+V")
    desk.saved()
    (event,) = stored(studio, clip_set, person="1:1")
    assert len(event.after["joints"]) > 10, "one edit of all that differs"
    desk.press("z")  # one undo
    desk.wait(lambda: len(stored(studio, clip_set, person="1:1")) == 2)
    for _ in range(3):
        desk.press("Shift+R")
        desk.wait(lambda: desk.reads("shown") == desk.reads("item"))
    at(4)
    desk.press("Shift+K")
    desk.wait(lambda: page.locator(".thumb[data-frame='4']").get_attribute("data-mark") == "key")
    desk.press("Shift+U")
    page.locator(".clipask button").first.wait_for()
    assert "3 frames" in str(page.locator(".clipask p").text_content())
    desk.press("Enter")
    filled = page.locator(".thumb[data-mark='filled']")
    desk.wait(lambda: filled.count() == 3)
    assert len(stored(studio, clip_set, person="2:1")) == 1
    desk.press("z")
    desk.wait(lambda: filled.count() == 0)
    desk.press("Shift+Z")
    desk.wait(lambda: filled.count() == 3)

    desk.press("Shift+D")
    desk.wait(lambda: "Track 3" in str(where.text_content()))
    desk.press("#")
    page.locator(".clipask input").fill("12")
    desk.press("Enter")
    desk.wait(lambda: "Track 12" in str(where.text_content()))
    desk.press("Shift+Y")
    log = page.locator(".cliplog li")
    desk.wait(lambda: log.count() == 2)
    assert "Ada: frames 4 to 7 (4): track 3 to track 12" in str(log.first.text_content())
    desk.press("&")
    page.locator(".clipask select").select_option("1")
    desk.press("Tab", "Enter")
    desk.wait(lambda: "Track 1 " in str(where.text_content()))
    for gone in ("Track 12", "Track 3", "Track 1 "):
        desk.press("z")
        desk.wait(lambda gone=gone: gone in str(where.text_content()))
    desk.press("n")  # the queue goes on where the strip was left
    at(1)


def reachable(page):
    """The strip with its log and a form open: axe-core finds nothing in the editor."""
    page.get_by_role("button", name="What became of the track").click()
    page.locator(".cliplog li").first.wait_for()
    page.get_by_role("button", name="Join with another track").click()
    page.locator(".clipask select").wait_for()
    axe = (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
    found = [v for v in violations(page, axe) if not excused(*v[:2])]
    page.keyboard.press("Escape")
    assert found == []


def test_by_mouse_the_queue_goes_on_where_the_strip_was_left(open_as, page, studio, clip_set):
    desk = sit_down(open_as, page, studio, address(clip_set, "all", 8, 2))
    page.locator(".thumb[data-frame='14']").click()
    desk.shown("14:2")
    page.get_by_role("button", name="The same person in the frame before").click()
    desk.shown("13:2")
    desk.press("n")
    desk.shown("9:1")
    page.get_by_role("button", name="Fill in between key frames").click()
    desk.wait(lambda: "Two key frames" in str(page.locator(".flash").text_content()))
    reachable(page)


def test_a_video_is_labelled_from_nothing(open_as, page, studio, video_set):
    """Somebody is added, gets a track, and is filled in where nobody was."""
    desk = sit_down(open_as, page, studio, address(video_set, "empty", 0, 0))
    desk.press("i")
    desk.saved()
    where = page.locator(".cliphead .where")
    desk.wait(lambda: "no track" in str(where.text_content()))
    desk.press("Shift+D")
    desk.wait(lambda: "Track 1" in str(where.text_content()))
    for frame in (1, 2, 3, 4):
        desk.press("Shift+R")
        desk.shown(f"{frame}:0")
    desk.press("Shift+Q")
    desk.shown("3:0")
    desk.press("Shift+V")
    desk.wait(lambda: "does not have" in str(page.locator(".flash").text_content()))
    page.locator(".thumb[data-frame='1']").click()
    desk.shown("1:0")
    desk.press("Shift+V")  # copied from frame 0: this person is here now
    desk.shown("1:1")
    desk.saved()
    assert stored(studio, video_set, person="1:1")[0].after["track"] == 1


def test_touch_turns_frames_and_copies(open_as, new_page, studio, clip_set):
    phone = new_page(has_touch=True, color_scheme="dark")
    desk = sit_down(open_as, phone, studio, address(clip_set, "clips", 8, 1))
    desk.page.locator(".thumb[data-frame='9']").tap()
    desk.shown("9:1")
    desk.page.get_by_role("button", name="Copy the labels of the frame before").tap()
    desk.saved()
    desk.wait(lambda: "Copied" in str(desk.page.locator(".flash").text_content()))
    reachable(phone)
