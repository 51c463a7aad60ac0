"""The page round the picture: what is where, its words, where keys go, own keys, the tour."""

import json

import pytest
from editor_host import Alone, at, draw, empty_frame, item, predicted
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
SIZES = {"desk": (1440, 900), "small": (1024, 768), "phone": (390, 844)}
# Texts under 12 px; what leaves the screen or is cut; bars of two lines; buttons of another style.
FAULTS = """() => {
  const ed = document.getElementById("host").shadowRoot.querySelector(".ed");
  const seen = [...ed.querySelectorAll("*")].filter((one) => one.checkVisibility());
  const said = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const faults = seen.filter((one) => said(one) && parseFloat(getComputedStyle(one).fontSize) < 12)
    .map((one) => `small: ${one.textContent}`);
  for (const one of seen.filter((one) => one.matches(".btn"))) {
    const { left, right, bottom } = one.getBoundingClientRect();
    const style = getComputedStyle(one);
    if (left < 0 || right > innerWidth + 0.5) faults.push(`out: ${one.textContent}`);
    if (one.scrollWidth > one.clientWidth + 1) faults.push(`cut: ${one.textContent}`);
    if (style.borderWidth !== "1px" || style.borderRadius !== "6px")
      faults.push(`style: ${one.textContent}`);
    if (one.matches(".decide *") && bottom > innerHeight) faults.push(`below: ${one.textContent}`);
  }
  for (const bar of ed.querySelectorAll(".bar, .foot")) {
    const shown = seen.filter((one) => one.parentElement === bar && !one.popover);
    const boxes = shown.map((one) => one.getBoundingClientRect());
    const middles = boxes.map(({ top, bottom }) => (top + bottom) / 2);
    if (Math.max(...middles) - Math.min(...middles) > 4) faults.push(`wraps: ${bar.className}`);
  }
  if (ed.scrollWidth > ed.clientWidth) faults.push("wide");
  return faults;
}"""


def focus(editor):
    return editor.page.evaluate(
        "document.getElementById('host').shadowRoot.activeElement?.className ?? ''"
    )


@pytest.mark.parametrize("size", SIZES.values(), ids=list(SIZES))
def test_nothing_wraps_is_cut_or_small(desktop, size):
    before = desktop.viewport_size
    desktop.set_viewport_size({"width": size[0], "height": size[1]})
    try:
        one = item(0, prediction=predicted(), risk=["left wrist and 2 more: about half hidden"])
        editor = Alone(desktop).give(items=[one, empty_frame(1)], predictions="net")
        for keys in ((), ("Tab", "Tab"), ("Shift+M",), ("Escape", "Shift+O"), ("Escape", "n")):
            editor.press(*keys)
            assert desktop.evaluate(FAULTS) == [], keys
        desktop.get_by_role("button", name="View", exact=True).click()
        assert desktop.evaluate(FAULTS) == []
        editor.press("Escape", "b", "Tab")
        marks = desktop.locator("[data-action^='cause '] .glyph")
        shapes = marks.evaluate_all("nodes => nodes.map(node => node.innerHTML)")
        assert len({*shapes}) == len(shapes) > 5  # no symbol for two states
        editor.press("Escape")
        joints = desktop.locator(".joint-row").first.bounding_box()
        assert joints["y"] < 230 or size[0] < 640
    finally:
        desktop.set_viewport_size(before)


def test_keys_are_the_pictures_after_any_button_and_another_queue(alone):
    page = alone.page
    alone.press("Tab", "s")
    for name in ("Visible", "Undo", "Draw this person's box", "View", "Next"):
        page.get_by_role("button", name=name, exact=True).click()
        assert focus(alone) == "stage", name
    count = len(alone.ops())
    page.evaluate("document.body.append(document.createElement('input'))")
    page.evaluate("document.querySelector('input').focus()")
    alone.press("a")
    assert len(alone.ops()) == count, "it was written there"
    alone.give(goto="another")
    assert focus(alone) == "stage"
    page.evaluate("document.querySelector('input').remove(); document.activeElement.blur()")
    alone.press("a")
    assert [op.get("status") for op in alone.ops()[count:]] == ["approved"]


@pytest.mark.parametrize("clip", [None, {"id": "", "frames": [], "tracks": [], "log": None}])
def test_an_empty_frame_stands_in_the_middle(desktop, clip):
    items = [item(0), empty_frame(1) | {"clip": clip and "a"}]
    editor = Alone(desktop).give(items=items, clip=clip)
    editor.press("n")
    expect(editor.root).to_have_attribute("data-shown", "1:0")
    stage = desktop.locator(".stage").bounding_box()
    middle = (stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
    assert at(editor, 160, 120) == pytest.approx(middle, abs=1)


def test_an_edited_joint_names_no_occluder_of_before(desktop):
    editor = Alone(desktop)
    base = [[40.0 + 10 * j, 50.0, 1, "object", "rendered"] for j in range(17)]
    editor.give(items=[item(0, base=base, occluder=["box"] * 17)])
    editor.press("Tab")
    tag = desktop.locator(".marks .tag")
    expect(tag).to_have_text("nose · hidden by object (box)")
    editor.press("p")
    expect(tag).to_have_text("nose · hidden by person")
    assert "box" not in editor.label("nose")


def test_ten_keys_come_first_and_own_ones_instead(alone):
    page = alone.page
    alone.press("?")
    expect(page.locator(".first dt")).to_have_count(10)
    assert page.locator(".first").bounding_box()["y"] < page.locator("details").bounding_box()["y"]
    page.locator("summary").click()
    page.get_by_role("button", name="Reject with a reason: change").click()
    alone.press("a")  # who had it gets the other one
    alone.press("Escape", "x")
    assert [op["status"] for op in alone.ops()] == ["approved"]
    again = Alone(page, again=alone).give()
    again.press("a")
    expect(page.get_by_text("Why is it rejected?")).to_be_visible()


FILES = [("{", "not JSON"), ("[1]", "not an object"), ('{"aprove": "g"}', 'action "aprove"'),
         ('{"accept joint": "g"}', 'action "accept joint"'), ('{"approve": 5}', "invalid key"),
         ('{"approve": "G"}', "approve: invalid key"),
         ('{"approve": "x"}', "approve and reject have the same key")]  # fmt: skip


def test_keys_go_to_a_file_and_come_back_and_a_bad_file_changes_nothing(alone):
    page = alone.page
    alone.press("?")

    def load(text):
        file = {"name": "keys.json", "mimeType": "application/json", "buffer": text.encode()}
        page.locator("input[type=file]").set_input_files(file)

    with page.expect_download() as saved:
        page.get_by_role("button", name="Save keys as file").click()
    before = saved.value.path().read_text("utf-8")
    keys = json.loads(before)
    assert keys["approve"] == "a" and "accept joint" not in keys
    for text, wrong in FILES:
        load(text)
        expect(page.locator(".wrong")).to_contain_text(wrong)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save keys as file").click()
    assert saved.value.path().read_text("utf-8") == before
    load(json.dumps(keys | {"approve": "F2"}))
    expect(page.locator(".first")).to_contain_text("F2")
    alone.press("Escape", "a", "F2")
    assert [op["status"] for op in alone.ops()] == ["approved"]


def test_the_tour_begins_at_the_first_empty_frame_and_ends_for_good(desktop):
    editor = Alone(desktop).give(items=[item(0), empty_frame(1)])
    tour = desktop.locator(".tour")
    expect(tour).to_be_hidden()
    editor.press("n")
    expect(tour).to_contain_text("1 of 5")
    expect(desktop.locator(".toured")).to_have_attribute("data-action", "someone")
    editor.press("Shift+N")  # it stands beside what it speaks of
    draw(editor, (100, 40), (180, 200))
    assert [op["kind"] for op in editor.ops()] == ["add"]
    for _ in range(5):
        desktop.get_by_role("button", name="Next step of the tour").click()
    expect(tour).to_be_hidden()
    Alone(desktop, again=editor).give(items=[empty_frame(0)])
    expect(tour).to_be_hidden()
