"""Keys that wait for a picture are done on the person they were meant for, or not at all."""

import json

import pytest
from editor_host import JOINTS, Alone, item
from playwright.sync_api import expect
from test_editor_clips import clip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly("rare ways of waiting; test_editor_alone.py waits for a picture"),
]
HOLD = """() => {
  const fetch_ = window.fetch;
  const held = new Promise((go) => { window.letGo = go });
  window.fetch = (...a) => held.then(() => fetch_(...a));
}"""

FOUND = {"score": 0.9, "joints": [[50 + j, 60 + j, 0.9, None] for j in range(17)]}
FOUND |= {"oks": None, "off": None}
THREE = {"total": 3, "label": "All", "empty": "Nobody"}


@pytest.fixture
def waiting(desktop):
    """The first picture does not come before `window.letGo()`."""
    editor = Alone(desktop)
    desktop.evaluate(HOLD)
    return editor


def begin(editor, **more):
    editor.now |= more
    editor.page.evaluate("data => window.give(data)", json.loads(json.dumps(editor.now)))


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
    page.locator(".veil.on").filter(has_text="could not be loaded").wait_for()
    expect(page.locator(".flash")).to_contain_text("what you pressed before was not done")
    waiting.press("n")
    shown(waiting, "1:1")
    assert waiting.ops() == []
    waiting.press("b", "Tab", "n", "Tab", "o")  # and nothing of it waits for later
    shown(waiting, "1:1")
    assert [op["joints"] for op in waiting.ops()] == [{JOINTS[0]: [40, 50, 1, "object"]}]


def test_the_next_ones_picture_is_broken(waiting, watch):
    """What was pressed after n was for that person, not for whoever comes then."""
    page = waiting.page
    watch.expected.append("404")
    page.route("**/broken.jpg*", lambda route: route.fulfill(status=404))
    begin(waiting, items=[item(0), item(1, image="/broken.jpg"), item(2)])
    waiting.press("Tab", "s", "n", "Delete", "a")
    page.evaluate("window.letGo()")
    page.locator(".veil.on").filter(has_text="could not be loaded").wait_for()
    waiting.press("n")
    shown(waiting, "2:1")
    assert [(op["frame"], op["kind"]) for op in waiting.ops()] == [(0, "edit")]


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


@pytest.mark.parametrize("how", ["queue", "strip"])
def test_who_was_left_gets_a_picture_while_another_is_fetched(waiting, how):
    """What is pressed then waits for whoever is fetched, and the page goes on saying so."""
    page, at = waiting.page, 1 if how == "queue" else 5
    left, come = (item(k, clip="a", found=[{**FOUND, "n": k}]) for k in (0, at))
    begin(waiting, items=[left], clip=clip(6), predictions="net", queue={**THREE, "total": 2})
    page.evaluate("window.letGo()")
    shown(waiting, "0:1")
    waiting.press("Tab", "s")
    page.evaluate(HOLD)
    page.evaluate("window.stop()")  # the page takes it down and puts it up again, without pictures
    begin(waiting)
    if how == "queue":
        page.get_by_role("button", name="Next", exact=True).click()
    else:
        page.locator(".thumb[data-frame='5']").click()
    page.locator(".stage").focus()
    waiting.press("z", "I", "i", "Tab", "s", "a")
    page.evaluate("window.letGo()")
    expect(waiting.root).to_have_attribute("data-fetching", "0")
    veil = page.locator(".veil.on")
    expect(veil).to_contain_text("Fetching")
    assert [(op["frame"], op["kind"]) for op in waiting.ops()] == [(0, "edit")]
    there = {**come, "pos": 1}
    begin(waiting, items=[left, there], clip=clip(6, id=f"{at}:1"))
    expect(veil).to_have_count(0)
    found = [(op["frame"], op["kind"]) for op in waiting.ops()[1:]]
    assert found == [(at, kind) for kind in ("add", "add", "edit", "status")]


def test_nobody_or_the_same_one_comes_instead(waiting):
    """What waited for somebody else is not done, the page says so, and nothing waits for ever."""
    page, flash = waiting.page, waiting.page.locator(".flash.on")
    following = page.get_by_role("button", name="Next", exact=True)
    page.evaluate("window.letGo()")
    begin(waiting, items=[item(0)], queue=THREE)
    shown(waiting, "0:1")
    following.click()
    waiting.press("Delete")
    begin(waiting, goto="2")  # another queue, in which the same person is the first
    expect(flash).to_contain_text("was not done")
    page.locator(".stage").focus()
    waiting.press("Tab", "s")
    following.click()
    waiting.press("Delete")
    begin(waiting, items=[item(0, pos=1)])  # who was before is in no queue any more
    expect(flash).to_contain_text("was not done")
    page.locator(".stage").focus()
    waiting.press("Tab", "o", "n", "Delete")
    begin(waiting, items=[])
    expect(flash).to_contain_text("Nobody is left in this queue, so what you pressed")
    begin(waiting, items=[item(0), item(1)], goto="3")
    shown(waiting, "0:1")
    assert [op["kind"] for op in waiting.ops()] == ["edit", "edit"]
