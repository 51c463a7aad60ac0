"""Threads in the editor: read, answered and resolved by keys alone; names are offered after @."""

import pytest
from editor_host import Alone, item
from playwright.sync_api import expect


def wrote(event, who, text, mentions=()):
    when = "01 Jan 10:00"
    return {"who": who, "when": when, "text": text, "mentions": list(mentions), "event": event}


@pytest.fixture
def editor(desktop):
    found = Alone(desktop)
    threads = [
        {"id": 4, "open": True, "joint": "left_wrist", "more": 0,
         "comments": [wrote(4, "Bo", "<b>left</b> or @Ada?", ["Ada"]), wrote(6, "Ada", "left")]},
        {"id": 5, "open": False, "joint": None, "more": 0, "comments": [wrote(5, "Bo", "fine")]},
    ]  # fmt: skip
    state = item(0)["state"] | {"comments": 3, "revision": 4}
    found.give(items=[item(0, threads=threads, state=state)])
    return found


def test_threads_are_read_answered_and_resolved_by_keys(editor):
    threads = editor.page.get_by_role("list", name="Comments")
    expect(threads).to_contain_text("Bo: <b>left</b> or @Ada?")
    expect(threads.locator("li.resolved")).to_contain_text("fine")
    editor.press("E")
    editor.page.keyboard.type("sure, @be")
    expect(editor.page.get_by_role("button", name="Mention Ben Li")).to_be_visible()
    editor.press("Enter")
    editor.page.keyboard.type("?")
    editor.press("Enter")
    expect(threads.locator("li.open")).to_contain_text("you: sure, @Ben Li ?")
    editor.press("Alt+e")
    expect(threads.locator("li.open")).to_have_count(0)
    editor.press("z")
    expect(threads.locator("li.open")).to_have_count(1)


def test_by_mouse_a_joint_is_chosen_and_a_comment_taken_back(editor):
    threads = editor.page.get_by_role("list", name="Comments")
    threads.get_by_role("button", name="Select left wrist, the subject of this comment").click()
    assert editor.reads("joint") == "left_wrist"
    threads.get_by_role("button", name="Remove: left").click()
    expect(threads.locator("li.open")).not_to_contain_text("Ada: left")
    threads.get_by_role("button", name="Reopen the thread of Bo").click()
    expect(threads.locator("li.open")).to_have_count(2)


def test_a_comment_points_at_the_chosen_joint_unless_told_otherwise(editor):
    threads = editor.page.get_by_role("list", name="Comments")
    for take_off in (False, True):
        editor.press("Tab", "e")
        if take_off:
            editor.press("Alt+1")
        editor.page.keyboard.type(f"look {take_off}")
        editor.press("Enter", "Escape")
    first = threads.locator("li", has_text="look False")
    expect(first.get_by_role("button", name="Select nose")).to_have_count(1)
    other = threads.locator("li", has_text="look True")
    expect(other.get_by_role("button", name="Select")).to_have_count(0)
