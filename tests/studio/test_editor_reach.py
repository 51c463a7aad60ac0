"""Everything that the editor's list of keys names can be done by keys alone and by fingers alone.

Each row: what the list says, the keys, the fingers, and what both have to come to. A row that is
missing here, or one that the list lost, fails.
"""

import pytest
from editor_host import BOX, PICTURE, at, item, pinch, predicted, swipe, touch
from test_studio_docs import keys_of_the_editor

pytestmark = pytest.mark.browser


def tap(name):
    """Tap a button of this name; one that scrolls into view is reached by a swipe."""
    return lambda e: e.page.get_by_role("button", name=name, exact=True).first.tap()


def spot(x, y):
    """Tap a place of the picture."""
    return lambda e: e.page.touchscreen.tap(*at(e, x, y))


def line(*places):
    """Draw a line by a finger."""
    return lambda e: swipe(e, *places)


def apart(e):
    """Zoom by two fingers."""
    pinch(e, *at(e, 120, 80))


def attribute(name):
    return lambda e: e.reads(name)


def pressed(name):
    def read(e):
        button = e.page.get_by_label(name, exact=True)  # a menu may hide it
        return button.first.get_attribute("aria-pressed") if button.count() else None

    return read


def edits(e):
    """What was done, without places: fingers meet them less exactly."""
    kept = e.page.evaluate("Object.values(localStorage).map((v) => JSON.parse(v))")
    rows = []
    for op in sorted(kept, key=lambda op: op["seq"]):
        joints = {name: row[2:] for name, row in (op.get("joints") or {}).items()}
        rows.append((op["kind"], op.get("status"), bool(op.get("box")), joints))
    return rows


def masks(e):
    """Which masks were drawn: a finger's pixels are not a key's."""
    kept = e.page.evaluate("Object.values(localStorage).map((v) => JSON.parse(v))")
    return [sorted(op.get("masks") or {}) for op in kept]


def zoomed(e):
    return float(e.reads("zoom")) > e.start["zoom"]


def panned(e):
    return float(e.reads("tx")) != e.start["tx"]


def history(e):
    e.page.evaluate("0")
    return e.page.locator(".past").get_attribute("data-look")


def visible(selector):
    return lambda e: e.page.locator(selector).first.is_visible()


def light(e):
    return e.page.locator("canvas.picture").first.get_attribute("style").split("filter")[1:]


NOSE = spot(40, 50)
VIEW, SEVERAL = tap("View"), tap("Select several joints")
EDIT, MASK, OCCLUDER = (
    tap("Edit the whole person"),
    tap("Draw the mask of the visible part"),
    tap("Draw an occluder: hide the joints under it"),
)
PLACE, LASSO, ADD = (
    tap("Place joint after joint, each by a click"),
    tap("Select the joints inside a line"),
    tap("Taps on joints select one more, or one less"),
)
PALETTE = {"0": "Outside the picture", "s": "Hidden by the own body",
           "p": "Hidden by another person", "o": "Hidden by an object", "t": "Outside the picture",
           "u": "Hidden, cause unknown", "r": "No label",
           "1": "Hidden, by the likely cause"}  # fmt: skip
BOX_KEYS = ["Shift+ArrowRight", "Tab", "Shift+ArrowDown", "Enter"]
AREA = line((30, 40), (120, 60), (215, 108))
ROUND = line((34, 44), (34, 120), (212, 120), (212, 44))
LAYERS = ("Show boxes", "Show the visible mask", "Show the amodal mask", "Show other people",
          "Show the joint's name", "Show the prediction")  # fmt: skip
CUT = "Cut the occluder out of the masks of whom it hides"
CLOSE = spot(300, 235)  # beside a menu


def tapped(*names):
    return [tap(name) for name in names]


# (key of the list, keys pressed, fingers, what both show)
ROWS = [
    ("Tab · Shift+Tab", ["Tab", "Tab", "Shift+Tab"], [spot(50, 58), NOSE], attribute("joint")),
    ("click", ["Tab"], [NOSE], attribute("joint")),
    ("Esc", ["Tab", "Escape"], [NOSE, spot(120, 20)], attribute("joint")),
    ("Shift+l", ["Shift+L", "Enter"], [LASSO, ROUND], attribute("picked")),
    ("Shift+drag", ["Shift+L", "Enter"], [LASSO, ROUND], attribute("picked")),
    ("arrows · Tab · Enter", ["Shift+B", *BOX_KEYS], [tap("Draw this person's box"), AREA], edits),
    ("Shift+click", ["Tab", "."], [NOSE, SEVERAL, ADD, spot(50, 58)], attribute("picked")),
    (",", ["Tab", "Tab", ","], [NOSE, SEVERAL, ADD, spot(50, 58)], attribute("picked")),
    (".", ["Tab", "."], [NOSE, SEVERAL, ADD, spot(50, 58)], attribute("picked")),
    ("Shift+g", ["Tab", "Shift+G"],
     [NOSE, SEVERAL, tap("Select the limb of the selected joint")], attribute("picked")),
    ("<", ["<"], [SEVERAL, tap("Select the person's left side")], attribute("picked")),
    (">", [">"], [SEVERAL, tap("Select the person's right side")], attribute("picked")),
    ("Ctrl+a", ["Control+a"], [SEVERAL, tap("Select all joints")], attribute("picked")),
    ("Shift+o", ["Shift+O", "p", "o", "Enter"], [OCCLUDER, ROUND], edits),
    ("Shift+h", ["Shift+O", "Shift+H"], [OCCLUDER, tap("It hides person 1")],
     pressed("It hides person 1")),
    ("2", ["Tab", "o", "2"], [NOSE, tap("Hidden by an object"), tap("Visible")], edits),
    *[(key, ["Tab", key], [NOSE, tap(name)], edits) for key, name in PALETTE.items()],
    ("drag", ["Tab", "ArrowRight"], [line((40, 50), (45, 50), (52, 50))], edits),
    ("arrows", ["Tab", "Shift+ArrowDown"], [line((40, 50), (40, 55), (40, 62))], edits),
    ("g", ["g", "ArrowRight"], ["handle"], edits),
    *[(key, [key], ["turn"], lambda e: [row[:3] for row in edits(e)]) for key in "()/*"],
    ("Shift+wheel · Alt+wheel", ["*"], ["turn"], lambda e: [row[:3] for row in edits(e)]),
    ("Alt+click", ["Tab", "ArrowDown"], [NOSE, PLACE, spot(60, 80)], edits),
    ("Shift+j", ["Shift+J", "ArrowDown", "Tab", "r", "Escape"],
     [PLACE, spot(60, 80), tap("No label")], edits),
    ("m", ["m"], [EDIT, tap("Mirror the pose")], edits),
    ("w", ["w"], [EDIT, tap("Swap left and right")], edits),
    ("Shift+w", ["Tab", "Tab", "Shift+W"],
     [spot(50, 58), SEVERAL, tap("Swap the selected joint and its twin")], edits),
    ("Enter", ["Tab", "Enter"], [NOSE, tap("Accept the prediction of the selected joint")], edits),
    ("Shift+Enter", ["Tab", "Shift+Enter"],
     [NOSE, tap("Accept the prediction of the joint's limb")], edits),
    ("Ctrl+Enter", ["Control+Enter"], [tap("Accept the prediction of the person")], edits),
    ("Shift+i", ["Shift+I"], [tap("Add a predicted person without labels")], edits),
    ("Shift+p", ["Shift+P"], [tap("Accept a page: the next people nobody touched")], edits),
    ("Shift+x", ["Shift+X"], [tap("Reject the prediction of this person")], edits),
    ("Shift+b", ["Shift+B", *BOX_KEYS], [tap("Draw this person's box"), AREA], edits),
    ("Shift+n", ["Shift+N", *BOX_KEYS], [tap("Draw the box of a new person"), AREA],
     lambda e: [row[:3] for row in edits(e)]),
    ("Shift+m", ["Shift+M", "Enter"], [MASK, spot(120, 80)], masks),
    ("Shift+a", ["Shift+A", "Enter"], [MASK, tap("The mask of the whole person"), spot(120, 80)],
     masks),
    ("Shift+t", ["Shift+M", "Shift+T"], [MASK, tap("Draw by outline")], attribute("masking")),
    ("Shift+e", ["Shift+M", "Shift+E"], [MASK, tap("Erase instead of adding")],
     attribute("masking")),
    *[(key, ["Shift+M", "]", "[", "Enter"],
       [MASK, line((60, 60), (100, 70), (140, 80))], masks) for key in ("[", "]", "Shift+wheel")],
    ("Shift+c", ["Shift+M", "Enter", "Escape", "Shift+O", "Shift+C"],
     [MASK, spot(120, 80), tap("End drawing masks (Esc)"), OCCLUDER, tap(CUT)], pressed(CUT)),
    ("i", ["i"], [EDIT, tap("Add a standing person")], edits),
    ("Delete", ["Delete", "Delete"], [EDIT, *[tap("Delete this person, or bring it back")] * 2],
     edits),
    ("z", ["m", "z"], [EDIT, tap("Mirror the pose"), CLOSE, tap("Undo")], edits),
    ("Shift+z", ["m", "z", "Shift+Z"],
     [EDIT, tap("Mirror the pose"), CLOSE, tap("Undo"), tap("Redo")], edits),
    ("a", ["a"], [tap("Approve, or decide that nobody is here, and go on")], edits),
    ("x", ["x", "Alt+1"], tapped("Reject with a reason", "joints wrong"), edits),
    ("q", ["q", "Alt+1"], tapped("Flag with a reason", "cannot tell"), edits),
    ("j", ["j"], [tap("Skip")], edits),
    ("e", ["e"], [tap("Comment")], visible(".form input")),
    ("Shift+e", ["Shift+E"], [tap("Answer Ada")], visible(".form input")),
    ("Alt+e", ["Alt+e"], [tap("Resolve the thread of Ada")], edits),
    ("n", ["n"], [tap("Next")], attribute("item")),
    ("b", ["n", "n", "b"], tapped("Next", "Next", "Back"), attribute("item")),
    ("y", ["y"], [EDIT, tap("Show the history of this person")], history),
    *[(key, [key.replace("wheel", "+")], [apart], zoomed) for key in ("wheel", "+")],
    ("-", ["+", "+", "-"], [apart], zoomed),
    ("drag · Space · arrows", ["ArrowRight"], [line((120, 20), (100, 20), (80, 20))], panned),
    *[(key, ["+", "Shift+F", "f"],
       [apart, VIEW, *tapped("Fit the whole picture", "Fit the person")],
       lambda e: float(e.reads("zoom")) == e.start["zoom"]) for key in ("f", "Shift+f")],
    *[(key, [f"+{key}"], [VIEW, tap(name)], attribute("peek"))
      for key, name in (("h", "Hold: without labels"), ("c", "Hold: without occluders"),
                        ("v", "Hold: amodal mask"), ("k", "Hold: 3D skeleton"),
                        ("d", "Hold: depth"))],
    ("l", ["Tab", "l"], [NOSE, VIEW, tap("Magnifier")], visible(".loupe")),
    *[(key, ["]", "]", "["], [VIEW, *tapped("Brighter", "Brighter", "Darker")], light)
      for key in ("[", "]")],
    *[(key, ["}", "}", "{"], [VIEW, *tapped("More contrast", "More contrast", "Less contrast")],
       light) for key in ("{", "}")],
    ("\\", ["]", "\\"], [VIEW, *tapped("Brighter", "Original light")], light),
    ("?", ["?"], [tap("Keys")], visible("dialog")),
    *[(key, [key], [VIEW, tap(name)], pressed(name))
      for key, name in zip("345678", LAYERS, strict=True)],
]  # fmt: skip


def people():
    wrote = {"who": "Ada", "when": "2026-11-23T10:00:00", "text": "?", "mentions": [], "event": 4}
    threads = [{"id": 4, "open": True, "joint": None, "more": 0, "comments": [wrote]}]
    return [
        item(k, modal=BOX, prediction=predicted(), depth=PICTURE,
             found=[predicted(1000, dx=90.0)] * (k == 0), threads=threads,
             state=item(k)["state"] | {"comments": 1, "revision": 4})
        for k in range(3)
    ]  # fmt: skip


def anew(editor, number):
    """Put the editor up for another data set: nothing is left of the last one."""
    editor.page.evaluate("window.stop?.(); localStorage.clear()")
    editor.give(items=people(), predictions="net", dataset=f"{number:064}")
    editor.start = {name: float(editor.reads(name)) for name in ("zoom", "tx", "ty")}


def take(editor, selector, *, by_px):
    box = editor.page.locator(selector).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch(editor, "touchStart", (x, y))
    touch(editor, "touchMove", (x + by_px, y))
    touch(editor, "touchEnd")


def hand(editor, action):
    if action == "turn":  # which is there once the person is chosen by the other
        take(editor, ".handle:not(.turn)", by_px=0)
        return take(editor, ".handle.turn", by_px=8)
    if action == "handle":
        return take(editor, ".handle:not(.turn)", by_px=8)
    if not isinstance(action, str):
        return action(editor)
    if len(action) > 1 and action[0] == "+":
        return editor.page.keyboard.down(action[1:])
    return editor.press(action)


def test_the_rows_are_those_of_the_list():
    """Clips: test_clips_page.py; edits that were refused: test_editor_alone.py."""
    listed = keys_of_the_editor()
    first = next(k for k, (key, _) in enumerate(listed) if key == "Shift+q")
    last = next(k for k, (key, _) in enumerate(listed) if key == "Alt+r")
    others = [key for key, _ in [*listed[:first], *listed[last + 1 :]]]
    assert sorted({key for key, *_ in ROWS}) == sorted({*others})


@pytest.mark.nightly(
    "60 rows by keys and by fingers; the editor's tests have quick ones of each part"
)
def test_keys_and_fingers_come_to_the_same(alone, phone):
    unlike = []
    for number, (name, keys, touches, result) in enumerate(ROWS):
        found = []
        for editor, actions in ((alone, keys), (phone, touches)):
            anew(editor, number)
            start = result(editor)
            for action in actions:
                hand(editor, action)
            found.append(result(editor))
        for held in keys:
            if len(held) > 1 and held[0] == "+":
                alone.page.keyboard.up(held[1:])
        changed = found[0] != start or name in ("Esc", "f", "Shift+f", "\\")
        if found[0] != found[1] or not changed:
            unlike.append((name, start, *found))
    assert unlike == []
