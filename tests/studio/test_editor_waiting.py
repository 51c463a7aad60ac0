"""Keys that wait for a picture are done on the person they were meant for, or not at all."""

import re

import pytest
from editor_host import JOINTS, Alone, item
from playwright.sync_api import expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly("rare ways of waiting; test_editor_alone.py waits for a picture"),
]
HOLD = """() => {
  const fetch_ = window.fetch;
  const held = new Promise((go) => { window.letGo = go });
  window.fetch = (...a) => {
    return a[0].startsWith('/api/') ? fetch_(...a) : held.then(() => fetch_(...a));
  };
}"""


@pytest.fixture
def waiting(desktop):
    """The first picture does not come before `window.letGo()`."""
    editor = Alone(desktop)
    desktop.evaluate(HOLD)
    return editor


def begin(editor, **more):
    editor.show(**more)
    expect(editor.root).to_have_attribute("data-item", re.compile(".+"))


def shown(editor, name):
    expect(editor.root).to_have_attribute("data-shown", name)


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_a_picture_turns_out_broken(waiting, watch, how):
    page = waiting.page
    watch.expected.append("404")
    gone = {"status": 404} if how == "gone" else {"status": 200, "body": b"\xff\xd8\xff no picture"}
    page.route("**/broken.jpg*", lambda route: route.fulfill(**gone))
    begin(waiting, items=[item(0, image="/broken.jpg"), item(1), item(2)])
    waiting.press("Tab", "s", "a")
    page.evaluate("window.letGo()")
    page.locator(".overlay.on").filter(has_text="could not be loaded").wait_for()
    expect(page.locator(".flash")).to_contain_text("what you pressed before was not done")
    waiting.press("n")
    shown(waiting, "1:1")
    assert waiting.ops() == []
    waiting.press("b", "Tab", "n", "Tab", "o")  # and nothing of it waits for later
    shown(waiting, "1:1")
    assert [op["joints"] for op in waiting.ops()] == [{JOINTS[0]: [40, 50, 1, "object"]}]


def test_somebody_else_comes_by_a_button_or_from_the_server(waiting):
    page = waiting.page
    begin(waiting)
    waiting.press("Delete")
    page.get_by_role("button", name="Next", exact=True).click()  # buttons do not wait
    expect(page.locator(".flash")).to_contain_text("was not done")
    waiting.press("Tab", "s")  # for the second, who is taken from the queue now
    begin(waiting, goto="2", at=2, items=waiting.now["items"][2:])
    page.evaluate("window.letGo()")
    shown(waiting, "2:1")
    assert waiting.ops() == []
