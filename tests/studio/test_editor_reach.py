"""What the editor's list of keys names can be done by fingers alone: by button or gesture."""

import pytest
from editor_host import BOX, PICTURE, at, item, pinch, predicted, swipe, touch

from synthstudio.studio.page_parts import EDITOR_SCRIPTS

pytestmark = pytest.mark.browser
OTHERS = ("Clips", "Refused edits")  # test_editor_clips.py and test_editor_alone.py
LISTED = "(scripts) => import(`${scripts}/keys.js`).then(({ KEYS }) => KEYS)"
# Actions of buttons that can be tapped now, or once a menu is opened whose button can be.
REACHED = """() => {
  const ed = document.getElementById("host").shadowRoot.querySelector(".ed");
  const can = (one) => one.checkVisibility() && one.getBoundingClientRect().height >= 24;
  const openers = [...ed.querySelectorAll(".opens")].filter(can);
  const menus = openers.map((one) => one.popoverTargetElement);
  return [...ed.querySelectorAll("[data-action]")]
    .filter((one) => can(one) || menus.includes(one.closest("[popover]")))
    .map((one) => one.dataset.action);
}"""


def tap(name):
    return lambda e: e.page.get_by_role("button", name=name, exact=True).first.tap()


def spot(x, y):
    return lambda e: e.page.touchscreen.tap(*at(e, x, y))


def line(*places):
    return lambda e: swipe(e, *places)


def handle(selector, by_px):
    def drag(e):
        box = e.page.locator(selector).bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        touch(e, "touchStart", (x, y))
        touch(e, "touchMove", (x + by_px, y))
        touch(e, "touchEnd")

    return drag


def shown(name):
    return lambda e: e.reads(name)


def edits(e):
    """What was done, without places: fingers meet them less exactly."""
    rows = []
    for op in e.ops():
        joints = {name: row[2:] for name, row in (op.get("joints") or {}).items()}
        rows.append((op["kind"], op.get("status"), bool(op.get("box")), joints))
    return rows


def kinds(e):
    return [(op["kind"], sorted(op.get("masks") or {})) for op in e.ops()]


def changed(name):
    return lambda e: e.reads(name) != e.start[name]


NOSE, SECOND = spot(40, 50), spot(50, 58)
SEVERAL, ADD = tap("Select several joints"), tap("Taps add joints to the selection, or remove them")
MASK, PLACE = (
    tap("Draw the mask of the visible part"),
    tap("Place joint after joint, each by a click"),
)
OCCLUDER, HIDES = tap("Draw an occluder: hide the joints under it"), "It hides person 1"
LASSO = [tap("Select the joints inside a line"), line((34, 44), (34, 120), (212, 120), (212, 44))]
BOXED = [tap("Draw this person's box"), line((30, 40), (120, 60), (215, 108))]
TURN = [handle(".handle:not(.turn)", 0), handle(".handle.turn", 8)]
# What a gesture does, of the list; keys pressed; fingers; what both come to.
ROWS = [
    (["Tab · Shift+Tab", "click"], ["Tab", "Tab", "Shift+Tab"], [SECOND, NOSE], shown("joint")),
    (["Esc"], ["Tab", "Escape"], [NOSE, spot(120, 20)], shown("joint")),
    (["Shift+drag"], ["Shift+L", "Enter"], LASSO, shown("picked")),
    (["Shift+click", "extend 1", "extend -1"], ["Tab", "."], [NOSE, SEVERAL, ADD, SECOND],
     shown("picked")),
    (["arrows · Tab · Enter"],
     ["Shift+B", "Shift+ArrowRight", "Tab", "Shift+ArrowDown", "Enter"], BOXED, edits),
    (["hides"], ["Shift+O", "Shift+H"], [OCCLUDER, tap(HIDES)],
     lambda e: [b.get_attribute("aria-pressed") for b in e.page.get_by_label(HIDES).all()]),
    (["state 0"], ["Tab", "0"], [NOSE, tap("Outside the picture")], edits),
    (["drag", "arrows"], ["Tab", "ArrowRight"], [line((40, 50), (45, 50), (52, 50))], edits),
    (["whole"], ["g", "ArrowRight"], [handle(".handle:not(.turn)", 8)], edits),
    (["turn -1", "turn 1", "size -1", "size 1", "Shift+wheel · Alt+wheel"], ["("], TURN, kinds),
    (["Alt+click"], ["Tab", "ArrowDown"], [NOSE, PLACE, spot(60, 80)], edits),
    (["mask amodal"], ["Shift+A", "Enter"],
     [MASK, tap("The mask of the whole person"), spot(120, 80)], kinds),
    (["mask tool"], ["Shift+M", "Shift+T"], [MASK, tap("Draw by outline")], shown("masking")),
    (["Shift+wheel"], ["Shift+M", "]", "[", "Enter"], [MASK, line((60, 60), (100, 70), (140, 80))],
     kinds),
    (["answer"], ["Shift+E"], [tap("Answer Ada")],
     lambda e: e.page.locator(".form input").is_visible()),
    (["settle"], ["Alt+e"], [tap("Resolve the thread of Ada")], kinds),
    (["wheel", "closer", "farther"], ["+"], [lambda e: pinch(e, *at(e, 120, 80))], changed("zoom")),
    (["drag · Space · arrows"], ["ArrowRight"], [line((120, 20), (100, 20), (80, 20))],
     changed("tx")),
]  # fmt: skip


def people():
    wrote = {"who": "Ada", "when": "2026-11-23T10:00:00", "text": "?", "mentions": [], "event": 4}
    threads = [{"id": 4, "open": True, "joint": None, "more": 0, "comments": [wrote]}]
    more = {"modal": BOX, "prediction": predicted(), "depth": PICTURE, "threads": threads}
    more["state"] = item(0)["state"] | {"comments": 1, "revision": 4}
    return [item(k, found=[predicted(1000, dx=90.0)] * (k == 0), **more) for k in range(3)]


def anew(editor, number):
    editor.page.evaluate("window.stop?.(); localStorage.clear()")
    editor.messages.clear()
    editor.give(items=people(), predictions="net", dataset=f"{10**9 + number:064}")
    editor.start = {name: editor.reads(name) for name in ("zoom", "tx", "ty")}
    return editor


def test_each_key_has_a_button_or_a_gesture(phone):
    listed = phone.page.evaluate(LISTED, EDITOR_SCRIPTS)
    rows = [row for group, rows in listed if group not in OTHERS for row in rows]
    reached = set()
    for number, taps in enumerate(([], [NOSE], [MASK, tap("Draw by outline")], [OCCLUDER])):
        anew(phone, number)
        for touched in taps:
            touched(phone)
        reached |= set(phone.page.evaluate(REACHED))
    left = {action or key for action, key, *_ in rows} - reached
    assert left == {name for names, *_ in ROWS for name in names}


@pytest.mark.nightly("each gesture by keys and by fingers; quick tests have the common ones")
def test_keys_and_fingers_come_to_the_same(alone, phone):
    for number, (names, keys, touches, result) in enumerate(ROWS):
        anew(alone, number).press(*keys)
        start = result(anew(phone, number))
        for touched in touches:
            touched(phone)
        assert result(phone) == result(alone), names
        assert result(phone) != start or names == ["Esc"], names
