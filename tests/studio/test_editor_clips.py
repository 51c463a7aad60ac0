"""The strip of a clip in the editor alone: what its buttons, keys and undo do."""

import pytest
from editor_host import Alone, item
from playwright.sync_api import expect

from synthstudio.studio.page_parts import EDITOR_SCRIPTS

pytestmark = pytest.mark.browser

ACTIONS_OF = """async ([scripts, hints]) => {
  const { keyAction } = await import(`${scripts}/actions.js`);
  return hints.map((hint) => {
    const parts = hint === "+" ? ["+"] : hint.split("+");
    const shiftKey = parts.includes("Shift");
    const name = parts.at(-1);
    const key = shiftKey && name.length === 1 ? name.toUpperCase() : name;
    const event = { key, shiftKey, altKey: parts.includes("Alt"), ctrlKey: parts.includes("Ctrl") };
    return keyAction({ ownKeys: {} }, event);
  });
}"""


def clip(frames=3, **more):
    seen = {"exists": True, "blinded": False, "status": "pending", "mark": "", "edited": False}
    seen |= {"instance": 1, "box": None, "thumb": "data:,"}
    found = {"id": "0:1", "track": 1, "free_track": 3, "place": 0, "total": frames, "start": 0}
    found |= {"people": frames, "keys": [], "frames": [{"frame": k, **seen} for k in range(frames)]}
    return found | {"tracks": [], "log": None, **more}


@pytest.fixture
def alone(alone):
    return alone.give(items=[item(k, clip="a") for k in range(3)], clip=clip())


def test_each_button_names_the_key_of_its_own_action(alone):
    buttons = alone.page.evaluate(
        """() => [...document.getElementById('host').shadowRoot.querySelectorAll('[data-action]')]
        .map((b) => [b.dataset.action, (b.title.match(/\\((\\S+)\\)$/) ?? [])[1]])"""
    )
    hinted = [(action, hint) for action, hint in buttons if hint]
    assert {"clip split", "clip join", "approve", "layer boxes"} <= {a for a, _ in hinted}
    found = alone.page.evaluate(ACTIONS_OF, [EDITOR_SCRIPTS, [h for _, h in hinted]])
    wrong = [(*h, k) for h, k in zip(hinted, found, strict=True) if k != h[0]]
    assert wrong == []


def test_buttons_wait_for_a_frame_that_is_fetched(alone):
    """Nothing is written of the frame that was left; it is done in the one that comes."""
    page = alone.page
    items = alone.now["items"]
    alone.give(items=items, clip=clip(6, id="0:1"), goto="six")
    page.locator(".thumb[data-frame='5']").click()
    page.get_by_role("button", name="Set or remove a key frame").click()
    page.get_by_role("button", name="Edit the whole person").click()
    page.get_by_role("button", name="Delete this person").click()
    page.get_by_role("button", name="Approve, or mark as empty").click()
    page.locator(".joint-row").first.click()
    alone.press("Alt+ArrowRight")
    assert alone.ops() == [] and alone.reads("item") == "0:1"
    far = item(5, clip="a", pos=3)
    alone.give(items=[*items, far], clip=clip(6, id="5:1"))
    alone.until(lambda: len(alone.ops()) > 1, "what waited is done")
    assert {(op["frame"], op["kind"]) for op in alone.ops()[:2]} == {(5, "edit"), (5, "delete")}


def test_without_a_clip_there_is_nothing(desktop):
    editor = Alone(desktop).give()
    expect(desktop.locator(".clips")).to_be_hidden()
    editor.press("Shift+R", "Shift+U", "Shift+V", "?")
    desktop.locator("summary").click()
    assert "Fill in between" not in desktop.locator(".help").inner_text()
    assert editor.reads("item") == "0:1"
