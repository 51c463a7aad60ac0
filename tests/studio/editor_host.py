"""The editor alone, in a page without a server: a small host stands in for Streamlit.

`Alone` is the editor and answers as the server would; below it are a mouse and a finger.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from synthstudio.core.skeleton import get_skeleton
from synthstudio.studio.components import editor_source
from synthstudio.studio.editor.window import skeleton_json

HOST = "http://127.0.0.1:9"
JOINTS = get_skeleton("coco17").joints
BOX = {"box": [30.0, 40.0, 180.0, 70.0], "counts": None}
SQUARE = ((30, 40), (125, 40), (125, 75), (30, 75))
_SETTLED = """() => {
  const editor = document.getElementById("host").shadowRoot.querySelector(".ed");
  const veil = editor?.querySelector(".veil.on");
  return editor && (editor.dataset.shown === editor.dataset.item || veil);
}"""
_NEWER = "n => window.sent.some(([name, value]) => name === 'outbox' && value.n > n)"
_BODY = """<!doctype html><html lang=en><title>editor</title>
<meta name=viewport content='width=device-width, initial-scale=1'><div id=host></div>"""
# A picture of 320 x 240 that the page itself makes: no request is needed.
_HOST = """
const canvas = document.createElement("canvas");
[canvas.width, canvas.height] = [320, 240];
const context = canvas.getContext("2d");
context.fillStyle = "#445"; context.fillRect(0, 0, 320, 240);
context.fillStyle = "#aab"; context.fillRect(100, 40, 80, 160);
window.picture = canvas.toDataURL("image/png");
window.sent = [];
const root = document.getElementById("host").attachShadow({ mode: "open" });
const style = document.createElement("style");
style.textContent = CSS;
root.append(style);
const place = document.createElement("div");
root.append(place);
const url = URL.createObjectURL(new Blob([JS], { type: "text/javascript" }));
window.natives = [window.fetch, Storage.prototype.setItem, performance.now];
window.ready = import(url).then((module) => {
  window.give = (data) => {
    for (const item of data.items) {
      for (const name of ["image", "clean", "depth"]) {
        if (item[name] === "picture") item[name] = window.picture;
      }
    }
    window.stop = module.default({
      name: "editor", key: "k", data: { json: JSON.stringify(data) }, parentElement: place,
      setStateValue: (name, value) => window.sent.push([name, structuredClone(value)]),
      setTriggerValue: () => { throw new Error("triggers lose edits"); },
    });
  };
});
"""


# Whether the page has an editor already, nothing of the browser was replaced, and it was emptied.
_EMPTIED = """() => {
  const now = [window.fetch, Storage.prototype.setItem, performance.now];
  if (!window.give || !now.every((one, k) => one === window.natives[k])) return false;
  window.stop?.();
  window.sent = [];
  localStorage.clear();
  sessionStorage.clear();
  history.replaceState(null, "", "/review");
  return true;
}"""
_COUNT = itertools.count()


def item(number: int, **more: Any) -> dict[str, Any]:
    """Return a person as the server would send it: a plain pose, all visible."""
    base = [[40.0 + 10 * j, 50.0 + 8 * (j % 7), 2, "visible", "rendered"] for j in range(17)]
    state = {
        "revision": 0,
        "status": "pending",
        "reason": "",
        "joints": {},
        "deleted": False,
        "added": False,
        "who": None,
        "comments": 0,
    }
    return {
        "id": f"{number}:1",
        "frame": number,
        "instance": 1,
        "w": 320,
        "h": 240,
        "pos": number,
        "image": "picture",
        "clean": "picture",
        "depth": None,
        "exists": True,
        "next_instance": 2,
        "people": None,
        "ghost": None,
        "found": [],
        "base": base,
        "shares": [[1, 0, 0, 0, 0]] * 17,
        "occluder": [None] * 17,
        "xyz": [[0.1 * j, 0.05 * j, 3.0] for j in range(17)],
        "modal": None,
        "amodal": None,
        "facts": ["standing"],
        "threads": [],
        "state": state,
        "lease": None,
        "closed": None,
        "risk": [],
        **more,
    }


def empty_frame(number: int) -> dict[str, Any]:
    """Return a frame without people as the server would send it."""
    nothing = [[None, None, None, "unlabelled", "human"]] * 17
    labels = {"base": nothing, "shares": None, "occluder": [], "xyz": None, "exists": False}
    own = {"id": f"{number}:0", "instance": 0, "next_instance": 1, "facts": ["nobody is labelled"]}
    return item(number, **labels, **own)


def data(items: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Return what the server would send."""
    return {
        "dataset": "d" * 64,
        "user": "Ada",
        "can": {"edit": True, "masks": True},
        "members": ["Ada", "Bo", "Ben Li"],
        "skeleton": skeleton_json(get_skeleton("coco17")),
        "queue": {"total": len(items), "label": "All", "empty": "Nobody"},
        "at": 0,
        "goto": "1",
        "items": items,
        "predictions": "",
        "history": None,
        "progress": {"done": 0, "total": len(items)},
        "results": {"tab": "", "n": 0, "done": [], "refused": [], "wait": ""},
        **more,
    }


class Alone:
    """The editor on a page of its own. `now`: what the server last said."""

    answered = -1  # the message that was answered last

    def __init__(self, page: Any, *, again: Alone | None = None, **more: Any) -> None:
        """Put up an editor of another data set, or that of `again` as after a reload."""
        self.page = page
        dataset = again.now["dataset"] if again else f"{next(_COUNT):064}"
        self.now = data([item(k) for k in range(3)], dataset=dataset, **more)
        page.route(f"{HOST}/**", lambda route: route.fulfill(content_type="text/html", body=_BODY))
        if again is None and page.url.startswith(HOST) and page.evaluate(_EMPTIED):
            return
        page.goto(f"{HOST}/review")
        if again is None:
            page.evaluate("localStorage.clear(); sessionStorage.clear()")
        js, css = editor_source()
        page.evaluate(
            "([js, css, host]) => {"
            " new Function('JS', 'CSS', host)(js, css); return window.ready }",
            [js, css, _HOST],
        )

    def give(self, **more: Any) -> None:
        """Say something as the server would."""
        self.now |= more
        self.page.evaluate("data => window.give(data)", json.loads(json.dumps(self.now)))
        if self.now["items"]:
            expect_shown(self)

    @property
    def root(self) -> Any:
        return self.page.locator(".ed")

    def reads(self, name: str) -> str:
        return str(self.root.get_attribute(f"data-{name}") or "")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def label(self, joint: str) -> str:
        return str(self.page.locator(f".joint-row[data-joint={joint}]").get_attribute("aria-label"))

    def sent(self, name: str = "outbox") -> list[dict[str, Any]]:
        """Return what the editor told its host under a name."""
        return [value for key, value in self.page.evaluate("window.sent") if key == name]

    def message(self) -> dict[str, Any]:
        """Wait for a message that was not answered yet; return the newest."""
        self.page.wait_for_function(_NEWER, arg=self.answered)
        return self.sent()[-1]

    def ops(self) -> list[dict[str, Any]]:
        """Return every op once, in order: those that were sent, and those that wait.

        An edit is in the browser's storage as soon as it is made.
        """
        self.page.wait_for_function(_SETTLED)
        kept = self.page.evaluate("Object.values(localStorage).map((v) => JSON.parse(v))")
        output = [op for message in self.sent() for op in message["ops"]]
        found = {(op["client"], op["seq"]): op for op in [*kept, *output]}
        return [found[name] for name in sorted(found, key=lambda n: n[1])]

    def answer(
        self, *, refuse: Callable[[dict[str, Any]], str | None] = lambda op: None, wait: str = ""
    ) -> None:
        """Answer messages as the server would, until all is said: done, refused, or left."""
        for _ in range(20):
            if self.reads("pending") == "0":
                return
            message = self.message()
            self.answered = message["n"]
            self._answer(message, refuse, wait)
            if wait:
                return
        raise AssertionError("the editor does not come to an end")

    def _answer(
        self, message: dict[str, Any], refuse: Callable[[dict[str, Any]], str | None], wait: str
    ) -> None:
        items = copy.deepcopy(self.now["items"])
        at = {it["id"]: it["state"] for it in items}
        done, refused = [], []
        for op in message["ops"] if not wait else []:
            why = refuse(op)
            state = at.get(f"{op['frame']}:{op['instance']}")
            if why is not None:
                refused.append([op["client"], op["seq"], "revision", why])
                continue
            if state is not None:
                state["revision"] += 1
                for name, row in op.get("joints", {}).items():
                    state["joints"][name] = [*row, "human"][:5]
                state["box"] = op.get("box", state.get("box"))
                drawn = {which: mask["counts"] for which, mask in op.get("masks", {}).items()}
                state["masks"] = {**(state.get("masks") or {}), **drawn} or None
                state["status"] = op.get("status", state["status"])
            done.append([op["client"], op["seq"], 100 + op["seq"], op["revision"] + 1])
        results = {
            "tab": message["tab"],
            "n": message["n"],
            "done": done,
            "refused": refused,
            "wait": wait,
        }
        self.give(items=items, results=results)


def expect_shown(editor: Alone) -> None:
    """Wait until the picture of the item is painted."""
    editor.page.wait_for_function(
        "() => { const e = document.getElementById('host').shadowRoot.querySelector('.ed');"
        " return e && e.dataset.shown === e.dataset.item }"
    )


def at(editor: Alone, x: float, y: float) -> tuple[float, float]:
    """Return where a place of the picture is on the screen."""
    zoom, tx, ty = (float(editor.reads(name)) for name in ("zoom", "tx", "ty"))
    stage = editor.page.locator(".stage").bounding_box()
    return stage["x"] + x * zoom + tx, stage["y"] + y * zoom + ty


def draw(editor: Alone, *points: tuple[float, float]) -> None:
    """Draw a line through places of the picture by mouse."""
    mouse = editor.page.mouse
    mouse.move(*at(editor, *points[0]))
    mouse.down()
    for point in points[1:]:
        mouse.move(*at(editor, *point))
    mouse.up()


def touch(editor: Alone, kind: str, *points: tuple[float, float]) -> None:
    """Send a touch of the screen: "touchStart", "touchMove" or "touchEnd"."""
    places = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]
    editor.page.fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})


def swipe(editor: Alone, *points: tuple[float, float]) -> None:
    """Draw a line through places of the picture by a finger."""
    touch(editor, "touchStart", at(editor, *points[0]))
    for point in points[1:]:
        touch(editor, "touchMove", at(editor, *point))
    touch(editor, "touchEnd")


def pinch(editor: Alone, x: float, y: float, *, from_px: float = 20, to_px: float = 40) -> None:
    """Draw two fingers apart on the screen, round a place of it."""
    touch(editor, "touchStart", (x - from_px, y))
    touch(editor, "touchStart", (x - from_px, y), (x + from_px, y))
    touch(editor, "touchMove", (x - to_px, y), (x + to_px, y))
    touch(editor, "touchEnd", (x - to_px, y))
    touch(editor, "touchEnd")


def ghost(
    n: int = 1, *, lost: Sequence[str] = (), dx: float = 3.0, causes: Mapping[str, str] = {}
) -> dict[str, Any]:
    """Return a prediction as the server would send it: the person's joints moved by `dx`."""
    joints = [
        [40.0 + dx + 10 * j, 50.0 + 8 * (j % 7), 0.9, causes.get(name)]
        if name not in lost
        else None
        for j, name in enumerate(JOINTS)
    ]
    return {"n": n, "score": 0.8, "joints": joints, "oks": 0.912, "off": dx}
