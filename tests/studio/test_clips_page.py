"""A clip in the browser: copied labels, key frames and tracks, by keys alone."""

import pytest
from clip_sets import TIMES, make_clips
from reviewing import sit_down, stored

pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly("a browser journey; clips have quick tests without a server"),
]


@pytest.fixture(scope="module")
def clip_set(tmp_path_factory):
    return make_clips(tmp_path_factory.mktemp("clips") / "walks").folder


def test_a_clip_is_labelled_by_keys_alone(open_as, page, start_studio, clip_set):
    studio = start_studio(clip_set)
    desk = sit_down(open_as, page, studio, "review?queue=clips&frame=0&instance=1")
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
        desk.shown()
    at(4)
    desk.press("Shift+K")
    desk.wait(lambda: page.locator(".thumb[data-frame='4']").get_attribute("data-mark") == "key")
    desk.press("Shift+U")
    page.locator(".form button").first.wait_for()
    assert "3 frames" in str(page.locator(".form label").text_content())
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
    page.locator(".form input").fill("12")
    desk.press("Enter")
    desk.wait(lambda: "Track 12" in str(where.text_content()))
    desk.press("Shift+Y")
    log = page.locator(".clipLog li")
    desk.wait(lambda: log.count() == 2)
    assert "Ada: frames 4 to 7 (4): track 3 to track 12" in str(log.first.text_content())
    desk.press("&")
    page.locator(".form select").select_option("1")
    page.get_by_role("button", name="Save").click()
    desk.wait(lambda: "Track 1 " in str(where.text_content()))
    for gone in ("Track 12", "Track 3", "Track 1 "):
        desk.press("z")
        desk.wait(lambda gone=gone: gone in str(where.text_content()))
    desk.press("n")  # the queue goes on where the strip was left
    at(1)
