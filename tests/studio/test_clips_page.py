"""Clips in the browser: the strip, copied labels, key frames, tracks, by keys, mouse and touch."""

import re

import pytest
from clip_sets import TIMES, make_clips
from reviewing import sit_down, stored

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def clip_set(tmp_path_factory):
    return make_clips(tmp_path_factory.mktemp("clips") / "set").folder


@pytest.fixture(scope="module")
def studio(start_studio, clip_set):
    return start_studio(clip_set)


def test_a_clip_is_labelled_by_keys_alone(open_as, page, studio, clip_set):
    desk = sit_down(open_as, page, studio, "review?queue=clips&frame=0&instance=1")
    where = page.locator(".cliphead .where")

    def at(frame, *, person=1):
        desk.shown(f"{frame}:{person}")
        desk.wait(lambda: f"frame {frame + 1} of {TIMES}" in str(where.text_content()))

    at(0)
    desk.press("Tab", "ArrowRight")  # somebody edits: a key frame
    thumb = page.locator(".thumb[data-frame='0']")
    desk.wait(lambda: thumb.get_attribute("data-mark") == "key")
    desk.press("Shift+E")
    at(1)
    desk.press("Shift+C")
    desk.saved()
    (event,) = stored(studio, clip_set, person="1:1")
    assert len(event.after["joints"]) > 10, "one edit of all that differs"
    desk.press("z")
    desk.saved()
    assert len(stored(studio, clip_set, person="1:1")) == 2, "one undo"
    for _ in range(3):
        desk.press("Shift+E")
        desk.wait(lambda: desk.reads("shown") == desk.reads("item"))
    at(4)
    desk.press("Shift+K")
    desk.wait(lambda: page.locator(".thumb[data-frame='4']").get_attribute("data-mark") == "key")
    desk.press("Shift+M")
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

    desk.press("Shift+T")
    desk.wait(lambda: "Track 3" in str(where.text_content()))
    desk.press("Shift+R")
    page.locator(".clipask input").fill("12")
    desk.press("Enter")
    desk.wait(lambda: "Track 12" in str(where.text_content()))
    desk.press("Shift+Y")
    log = page.locator(".cliplog li")
    desk.wait(lambda: log.count() == 2)
    assert "Ada: frames 4 to 7 (4): track 3 to track 12" in str(log.first.text_content())
    desk.press("Shift+J")
    page.locator(".clipask select").select_option("1")
    desk.press("Tab", "Enter")
    desk.wait(lambda: "Track 1 " in str(where.text_content()))
    for gone in ("Track 12", "Track 3", "Track 1 "):
        desk.press("z")
        desk.wait(lambda gone=gone: gone in str(where.text_content()))
    desk.press("n")  # the queue goes on where the strip was left
    at(1)


def test_by_mouse_and_without_a_clip_there_is_nothing(
    open_as, page, studio, small_photo_set, start_studio
):
    desk = sit_down(open_as, page, studio, "review?queue=all&frame=8&instance=2")
    page.locator(".thumb[data-frame='14']").click()
    desk.shown("14:2")
    page.get_by_role("button", name="The same person in the frame before").click()
    desk.shown("13:2")
    desk.press("n")
    desk.shown("9:1")
    page.get_by_role("button", name="Fill in between key frames").click()
    desk.wait(lambda: "Two key frames" in str(page.locator(".flash").text_content()))
    other = start_studio(small_photo_set)
    desk = sit_down(open_as, page, other)
    assert page.locator(".clips").is_hidden()
    assert not re.search("Fill in between", page.locator(".help").inner_text())


def test_touch_turns_frames_and_copies(open_as, new_page, studio):
    phone = new_page(has_touch=True)
    desk = sit_down(open_as, phone, studio, "review?queue=clips&frame=8&instance=1")
    desk.page.locator(".thumb[data-frame='9']").tap()
    desk.shown("9:1")
    desk.page.get_by_role("button", name="Copy the labels of the frame before").tap()
    desk.saved()
    desk.wait(lambda: "Copied" in str(desk.page.locator(".flash").text_content()))
