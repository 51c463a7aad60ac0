"""The editor on a static page with an API in memory (`Alone.now`); a mouse and a finger."""

import base64
import copy
import io
import itertools
import json
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from PIL import Image
from playwright.sync_api import Error
from waiting import wait_for

from synthstudio import studio
from synthstudio.core.skeleton import get_skeleton
from synthstudio.studio.editor.window import skeleton_json
from synthstudio.studio.page_parts import EDITOR_SCRIPTS

HOST = "http://127.0.0.1:9"
JOINTS = get_skeleton("coco17").joints
BOX = {"box": [30.0, 40.0, 180.0, 70.0], "counts": None}
SQUARE = ((30, 40), (125, 40), (125, 75), (30, 75))
_EDITOR = Path(studio.__file__).with_name("editor")
_SHOWN = """(overlaid) => {
  const editor = document.getElementById("host").shadowRoot.querySelector(".ed");
  const over = overlaid && editor?.querySelector(".overlay:not(:empty)");
  return editor && (editor.dataset.shown === editor.dataset.item || over);
}"""
_BODY = """<!doctype html><html lang=en><title>editor</title>
<meta name=viewport content='width=device-width, initial-scale=1'><div id=host></div>"""
_HOST = """
const root = document.getElementById("host").attachShadow({ mode: "open" });
const style = document.createElement("style");
style.textContent = CSS;
root.append(style);
const parentElement = document.createElement("div");
root.append(parentElement);
window.natives = [window.fetch, Storage.prototype.setItem, performance.now];
window.ready = import(SCRIPTS + "/editor.js").then(({ default: editor }) => {
  window.give = (data) => (window.stop = editor({ data, parentElement }));
});
"""
# Whether the page has an editor already, nothing of the browser was replaced, and it was emptied.
_EMPTIED = """() => {
  const now = [window.fetch, Storage.prototype.setItem, performance.now];
  if (!window.give || !now.every((one, k) => one === window.natives[k])) return false;
  window.stop?.();
  localStorage.clear();
  sessionStorage.clear();
  history.replaceState(null, "", "/review");
  return true;
}"""
KEPT = "Object.values(localStorage).map((v) => JSON.parse(v)).filter((v) => v.client)"
"""Edits that the browser keeps."""
_COUNT = itertools.count()
_HELD = []
"""Requests that some test did not answer."""


_PNG = io.BytesIO()
Image.new("RGB", (320, 240), "#444455").save(_PNG, "PNG")
PICTURE = f"data:image/png;base64,{base64.b64encode(_PNG.getvalue()).decode()}"
"""The address of a picture of 320 x 240: no request is needed."""


def item(number, **more):
    base = [[40.0 + 10 * j, 50.0 + 8 * (j % 7), 2, "visible", "rendered"] for j in range(17)]
    state = {"revision": 0, "status": "pending", "reason": "", "joints": {}, "comments": 0}
    state |= dict.fromkeys(("deleted", "added")) | {"who": None}
    found = {"id": f"{number}:1", "frame": number, "instance": 1, "pos": number, "state": state}
    found |= {"w": 320, "h": 240, "image": PICTURE, "clean": PICTURE, "base": base}
    found |= {"exists": True, "next_instance": 2, "facts": ["standing"], "occluder": [None] * 17}
    found |= {"visibility_fractions": [[1, 0, 0, 0, 0]] * 17}
    found |= {"found": [], "threads": [], "risk": []}
    found |= {"xyz": [[0.1 * j, 0.05 * j, 3.0] for j in range(17)]}
    unknown = ("depth", "people", "prediction", "modal", "amodal", "lease", "closed")
    return {**found, **dict.fromkeys(unknown), **more}


def empty_frame(number):
    nothing = [[None, None, None, "unlabelled", "human"]] * 17
    labels = {"base": nothing, "visibility_fractions": None, "occluder": [], "xyz": None}
    labels["exists"] = False
    own = {"id": f"{number}:0", "instance": 0, "next_instance": 1, "facts": ["no people labelled"]}
    return item(number, **labels, **own)


def drop_requests():
    while _HELD:
        with suppress(Error):
            _HELD.pop().fulfill(status=204)


class Editor:
    """An editor on a page."""

    def __init__(self, page):
        self.page = page

    @property
    def root(self):
        return self.page.locator(".ed")

    def reads(self, name):
        return str(self.root.get_attribute(f"data-{name}") or "")

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)


class Alone(Editor):
    """The editor on a page of its own. `now`: what its server knows."""

    def __init__(self, page, *, again=None, **more):
        super().__init__(page)
        self.views, self.messages, self.prompts = [], [], []
        self._waiting = []  # edits that were not answered yet
        self.blind = False  # whether the server saves edits but cannot read people
        self.now = {
            "dataset": again.now["dataset"] if again else f"{next(_COUNT):064}",
            "user": "Ada",
            "can": {"edit": True, "masks": True},
            "members": ["Ada", "Bo", "Ben Li"],
            "skeleton": skeleton_json(get_skeleton("coco17")),
            "queue": {"total": 3, "label": "All", "empty": "Nobody"},
            "at": 0,
            "goto": "",  # another one is another queue
            "items": [item(k) for k in range(3)],
            "predictions": "",
            "history": {"events": []},
            "clip": None,
            "progress": {"done": 0, "total": 3},
            **more,
        }
        if again is not None:
            page.goto("about:blank")  # what the page before sends late is not ours
        page.route(f"{HOST}/**", self._serve)
        if again is None and page.url.startswith(HOST) and page.evaluate(_EMPTIED):
            return
        page.goto(f"{HOST}/review")
        if again is None:
            page.evaluate("localStorage.clear(); sessionStorage.clear()")
        page.evaluate(
            "([scripts, css, host]) => {"
            " new Function('SCRIPTS', 'CSS', host)(scripts, css); return window.ready }",
            [EDITOR_SCRIPTS, (_EDITOR / "editor.css").read_text("utf-8"), _HOST],
        )

    def _serve(self, route):
        request = route.request
        parts = urlsplit(request.url)
        path, kind = parts.path, (request.method, parts.path.split("/")[-2])
        if path.startswith(EDITOR_SCRIPTS):
            script = (_EDITOR / "js" / path.rpartition("/")[2]).read_text("utf-8")
            route.fulfill(content_type="text/javascript", body=script)
        elif not path.startswith("/api/"):
            route.fulfill(content_type="text/html", body=_BODY)
        elif path.endswith("/ops"):
            self._keep(route)
        elif self.blind and kind == ("GET", "queues"):
            route.fulfill(status=503, json={})
        elif path.endswith("/segment"):
            self.prompts.append(request.post_data_json)
            self._tell(route, counts=self.now["segment"])
        elif path.endswith("/queues"):
            self._tell(route, **self._queue(request.post_data_json))
        elif kind == ("GET", "queues"):
            self.views.append({"pos": int(parse_qs(parts.query)["at"][0])})
            self._tell(route, **self._window())
        elif path.endswith("/events"):
            self._tell(route, **self.now["history"])
        elif "/clips/" in path:
            self._tell(route, clip=self.now["clip"], items=[])
        else:
            self._tell(route)

    def _keep(self, route):
        """Leave edits without an answer; those that are sent again are the same."""
        body = route.request.post_data_json
        if self._waiting and self.messages[-1:] == [body]:
            self._waiting.pop()
        else:
            self.messages.append(body)
        self._waiting.append(route)
        _HELD.append(route)

    @staticmethod
    def _tell(route, **values):
        route.fulfill(content_type="application/json", body=json.dumps(values, allow_nan=False))

    def _window(self):
        return {name: self.now[name] for name in ("at", "can", "items", "progress")}

    def _queue(self, asked):
        named = {"key": "k" * 24, "id": asked["queue"], "query": "", "model": asked["model"]}
        person = f"{asked['frame']}:{asked['instance']}" if "frame" in asked else None
        fixed = {name: self.now[name] for name in ("members", "skeleton")}
        queue = {**named, "layer": "main", **self.now["queue"]}
        clips = self.now["clip"] is not None
        return {**fixed, "queue": queue, "person": person, "clips": clips, **self._window()}

    def show(self, **more):
        self.now |= json.loads(json.dumps(more))
        name = self.now["goto"] + ("" if self.now["clip"] is None else " clips")
        queue = {"queue": "all", "query": name, "todo": False}
        queue["model"] = self.now["predictions"]
        given = {"api": "/api/v1", "set": self.now["dataset"], "user": self.now["user"]}
        self.page.evaluate("data => void window.give(data)", {**given, "queue": queue})

    def give(self, **more):
        """Let the server know something else, and the editor hear of it."""
        before = int(self.root.get_attribute("data-windows") or 0) if self.root.count() else 0
        self.show(**more)
        self.page.wait_for_function(
            "n => Number(document.getElementById('host').shadowRoot"
            ".querySelector('.ed').dataset.windows ?? 0) > n",
            arg=before,
        )
        if self.now["items"]:
            self.page.wait_for_function(_SHOWN)
        self.views.clear()
        return self

    def label(self, joint):
        return str(self.page.locator(f".joint-row[data-joint={joint}]").get_attribute("aria-label"))

    def until(self, true, what):
        def is_so():
            self.page.evaluate("0")
            return bool(true())

        wait_for(is_so, what)

    def message(self):
        self.until(lambda: self._waiting, "a message")
        return self.messages[-1]

    def ops(self):
        """Every op once, in order: those sent, and those that wait in the browser's storage."""
        self.page.wait_for_function(_SHOWN, arg=True)
        kept = self.page.evaluate(KEPT)
        output = [op for message in self.messages for op in message["ops"]]
        found = {(op["client"], op["seq"]): op for op in [*kept, *output]}
        return [found[name] for name in sorted(found, key=lambda n: n[1])]

    def answer(self, *, refuse=lambda op: None, wait=""):
        """Answer messages as the server would, until all is said: done, refused, or left."""
        while pending := int(self.reads("pending")):
            message = self.message()
            told = self._answered(message, refuse) if not wait else {}
            told |= {"items": []} if self.blind else {}
            empty = {"done": [], "refused": [], "items": [], "progress": None}
            self._tell(self._waiting.pop(), **{**empty, "wait": wait, **told})
            if wait:
                self.until(lambda: self.reads("saved") == "waiting", "the editor waits")
                return
            left = pending - len(message["ops"])
            self.until(lambda left=left: int(self.reads("pending")) <= left, "the answer")

    def _answered(self, message, refuse):
        items = copy.deepcopy(self.now["items"])
        at = {it["id"]: it for it in items}
        done, refused, touched = [], [], {}
        for op in message["ops"]:
            name = {"client": op["client"], "seq": op["seq"]}
            why, one = refuse(op), at.get(f"{op['frame']}:{op['instance']}")
            if one is not None:
                touched[one["id"]] = one
            if why is not None:
                refused.append({**name, "reason": "revision", "message": why})
                continue
            if one is not None:
                _change(one["state"], op)
            done.append({**name, "event": 100 + op["seq"], "revision": op["revision"] + 1})
        self.now["items"] = items
        return {"done": done, "refused": refused, "items": [*touched.values()]}


def _change(state, op):
    state["revision"] += 1
    for name, row in op.get("joints", {}).items():
        state["joints"][name] = [*row, "human"][:5]
    state["box"] = op.get("box", state.get("box"))
    drawn = {which: mask["counts"] for which, mask in op.get("masks", {}).items()}
    state["masks"] = {**(state.get("masks") or {}), **drawn} or None
    state["status"] = op.get("status", state["status"])


def at(editor, x, y):
    zoom, tx, ty = (float(editor.reads(name)) for name in ("zoom", "tx", "ty"))
    stage = editor.page.locator(".stage").bounding_box()
    return stage["x"] + x * zoom + tx, stage["y"] + y * zoom + ty


def draw(editor, *points):
    mouse = editor.page.mouse
    mouse.move(*at(editor, *points[0]))
    mouse.down()
    for point in points[1:]:
        mouse.move(*at(editor, *point))
    mouse.up()


def touch(editor, kind, *points):
    """Send a touch of the screen: "touchStart", "touchMove" or "touchEnd"."""
    places = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]
    editor.page.fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})


def swipe(editor, *points):
    touch(editor, "touchStart", at(editor, *points[0]))
    for point in points[1:]:
        touch(editor, "touchMove", at(editor, *point))
    touch(editor, "touchEnd")


def pinch(editor, x, y, *, from_px=20, to_px=40):
    touch(editor, "touchStart", (x - from_px, y))
    touch(editor, "touchStart", (x - from_px, y), (x + from_px, y))
    touch(editor, "touchMove", (x - to_px, y), (x + to_px, y))
    touch(editor, "touchEnd", (x - to_px, y))
    touch(editor, "touchEnd")


def predicted(n=1, *, lost=(), dx=3.0, causes=()):
    joints = [
        [40.0 + dx + 10 * j, 50.0 + 8 * (j % 7), 0.9, dict(causes).get(name)]
        if name not in lost
        else None
        for j, name in enumerate(JOINTS)
    ]
    return {"n": n, "score": 0.8, "joints": joints, "oks": 0.912, "off": dx}
