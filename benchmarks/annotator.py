"""Hands at the studio's editor: mouse, wheel and keys alone, each counted; for `from_nothing`.

What is read from the page is what a person sees: the words on it, where the picture and the marks
of joints lie on the screen, and which buttons there are.

The time of a practised person is that of the keystroke-level model (Card, Moran and Newell 1980,
"The keystroke-level model for user performance time with interactive systems", Communications of
the ACM 23(7)): K, B and P below, one hand on the mouse and one on the keys. M, the time to look and
decide, is counted once a joint of the skeleton, whatever way it is set.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.skeleton import Skeleton

F64 = NDArray[np.float64]
Place = tuple[float, float]
KEY_S, POINT_S, BUTTON_S, LOOK_S = 0.28, 1.1, 0.1, 1.35
"""K of a person who is no typist, P, B (a press or a release) and M, seconds."""
CAUSE_KEYS = {"visible": "2", "object": "o", "person": "p", "self": "s", "unlabelled": "r"}
STATES = {"visible": 2, "object": 1, "person": 1, "self": 1, "unlabelled": None}
_NOTCH = 100.0


@dataclass
class Hands:
    """A mouse and a keyboard. `steps`: how many clicks, drags, keys and wheel notches so far;
    `seconds`: what they would take a person."""

    page: Any
    steps: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def _did(self, what: str, seconds: float, count: int = 1) -> None:
        self.steps[what] += count
        self.seconds += seconds * count

    def key(self, name: str, times: int = 1) -> None:
        """Press a key, with its modifiers, so many times."""
        for _ in range(times):
            self.page.keyboard.press(name)
        self._did("keys", KEY_S * len(name.split("+")), times)

    def click(self, at: Place, *, held: str = "") -> None:
        """Click, with a key held down."""
        if held:
            self.page.keyboard.down(held)
        self.page.mouse.click(*at)
        if held:
            self.page.keyboard.up(held)
        self._did("clicks", POINT_S + 2 * BUTTON_S + (KEY_S if held else 0.0))

    def press(self, button: Any) -> None:
        """Click a button of the page."""
        button.click()
        self._did("clicks", POINT_S + 2 * BUTTON_S)

    def drag(self, line: Sequence[Place]) -> None:
        """Press at the first place, go along the line, let go at its end.

        Along a line of many corners the hand takes as long as to three places.
        """
        self.page.mouse.move(*line[0])
        self.page.mouse.down()
        for at in line[1:]:
            self.page.mouse.move(*at)
        self.page.mouse.up()
        self._did("drags", POINT_S * (1 + min(len(line) - 1, 3)) + 2 * BUTTON_S)

    def wheel(self, at: Place, notches: int) -> None:
        """Turn the wheel to come closer."""
        self.page.mouse.move(*at)
        for _ in range(notches):
            self.page.mouse.wheel(0, -_NOTCH)
        self._did("notches", KEY_S, notches)


@dataclass(frozen=True, kw_only=True)
class Label:
    """What a joint shall be: `at` in continuous pixels (None: no label) and what hides it."""

    at: Place | None
    cause: str


@dataclass(frozen=True, kw_only=True)
class Somebody:
    """A person to annotate. `box`: x, y, width, height; `joints`: by name, all of the skeleton."""

    box: tuple[float, float, float, float]
    joints: dict[str, Label]


@dataclass
class Annotator:
    """Annotates people in the editor. `size`: width and height of the shown photo, which a person
    knows by looking."""

    page: Any
    skeleton: Skeleton
    hands: Hands
    size: tuple[int, int] = (0, 0)
    began: float = field(default_factory=time.perf_counter)

    def seen(self, selector: str) -> Any:
        return self.page.locator(f".ed {selector}")

    def wait(self, true: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        """Wait until something is seen; AssertionError with what the page says."""
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                raise AssertionError(f"{what}: {self.seen('.status').text_content()}")
            self.page.wait_for_timeout(15)

    def who(self) -> str:
        return str(self.seen(".head h2").text_content())

    def shown(self, who: str) -> None:
        """Wait until somebody is named and their photo is there."""
        self.wait(lambda: self.who() == who, f"{who} is not shown")
        self.wait(lambda: not self.seen(".veil.on").count(), f"the photo of {who} is not shown")

    def saved(self) -> None:
        """Wait until the status line says that all is saved."""
        self.wait(lambda: "saved" in str(self.seen(".status").text_content()), "nothing is saved")

    def _frame(self) -> tuple[float, float, float]:
        """Left, top and scale of the photo on the screen."""
        box = box_of(self.seen("canvas.picture").first)
        return box["x"], box["y"], box["width"] / self.size[0]

    def to_screen(self, places: Iterable[Place]) -> list[Place]:
        x, y, zoom = self._frame()
        return [(x + px * zoom, y + py * zoom) for px, py in places]

    def to_photo(self, at: Place) -> Place:
        x, y, zoom = self._frame()
        return (at[0] - x) / zoom, (at[1] - y) / zoom

    def whole(self, place: Place) -> Place:
        """The pixel of the screen on which a place of the photo lies: mice know no others."""
        ((x, y),) = self.to_screen([place])
        return float(round(x)), float(round(y))

    def inside(self, place: Place) -> Place:
        """The same, and in the photo: nobody clicks beside its edge who means a joint in it."""
        self.reach(place)
        left, top, zoom = self._frame()
        x, y = self.whole(place)
        right, low = left + self.size[0] * zoom, top + self.size[1] * zoom
        return min(max(x, math.ceil(left)), math.floor(right)), min(
            max(y, math.ceil(top)), math.floor(low)
        )

    def reach(self, place: Place) -> None:
        """Zoom out until a place of the photo is in the part that is shown."""
        stage = box_of(self.seen(".stage"))
        for _ in range(20):
            ((x, y),) = self.to_screen([place])
            across, down = x - stage["x"], y - stage["y"]
            if 2 < across < stage["width"] - 2 and 2 < down < stage["height"] - 2:
                return
            self.hands.key("-")
        raise AssertionError(f"{place} cannot be reached in {self.who()}")

    def marks(self) -> dict[str, Place]:
        """Where the marks of the joints are that one sees, on the screen."""
        stage = box_of(self.seen(".stage"))
        right, low = stage["x"] + stage["width"], stage["y"] + stage["height"]
        where = "nodes => nodes.map(node => node.getBoundingClientRect())"
        boxes = self.seen("g.joint .ring").evaluate_all(where)
        found = {}
        for name, box in zip(self.skeleton.joints, boxes, strict=True):
            x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            if box["width"] and stage["x"] < x < right and stage["y"] < y < low:
                found[name] = (x, y)
        return found

    def causes(self) -> dict[str, str]:
        """What the list says of each joint."""
        words = {"thing": "object", "no label": "unlabelled", "outside": "truncated"}
        texts = self.seen(".joint-row .reason").all_text_contents()
        return {n: words.get(t, t) for n, t in zip(self.skeleton.joints, texts, strict=True)}

    # What is done with them ------------------------------------------------------------------

    def box(self, somebody: Somebody) -> tuple[float, ...]:
        """Draw the box of somebody new; return it as it was drawn, in the photo's pixels."""
        x, y, w, h = somebody.box
        self.hands.key("Shift+F")
        self.hands.key("Shift+N")
        corners = [self.whole((x, y)), self.whole((x + w, y + h))]
        self.hands.drag(corners)
        (left, top), (right, low) = map(self.to_photo, corners)
        left, top = max(left, 0.0), max(top, 0.0)
        right, low = min(right, self.size[0]), min(low, self.size[1])
        self.hands.key("f")
        return left, top, right - left, low - top

    def is_predicted(self) -> bool:
        """Whether the page says that who was just added stands as predicted."""
        return "as predicted" in str(self.seen(".flash").text_content())

    def place_by_clicks(self, somebody: Somebody) -> dict[str, Place]:
        """Place all joints one after another; return where each with a label was put."""
        self.hands.key("Shift+J")
        put = {}
        for name in self.skeleton.joints:
            label = somebody.joints[name]
            if label.at is None:
                self.hands.key("r")
                continue
            put[name] = self.click_at(label.at)
        return put

    def place_by_drags(self, somebody: Somebody) -> dict[str, Place]:
        """Drag the joints that have a label to their places; return where each was put."""
        self.call(somebody, ["unlabelled"])
        return {
            name: self.drag(name, label.at)
            for name, label in somebody.joints.items()
            if label.at is not None
        }

    def correct(self, somebody: Somebody, *, near_px: float) -> dict[str, Place]:
        """Leave predicted joints that are near enough, place the others by clicks, and say of all
        what hides them; return where each joint with a label is."""
        marks = self.marks()
        self.hands.key("Shift+J")
        put = {}
        for name in self.skeleton.joints:
            label = somebody.joints[name]
            seen = self.to_photo(marks[name]) if name in marks else None
            if label.at is None:
                self.hands.key("Tab" if seen is None else "r")
            elif seen is not None and _far(seen, label.at) <= near_px:
                self.hands.key("Tab")
                put[name] = seen
            else:
                put[name] = self.click_at(label.at)
        self.call(somebody, ["visible", "self", "person", "object"])
        return put

    def click_at(self, place: Place) -> Place:
        """Click a place of the photo; return which one was met."""
        at = self.inside(place)
        self.hands.click(at)
        return self.to_photo(at)

    def drag(self, name: str, to: Place) -> Place:
        """Drag one joint's mark to a place; return where it was put."""
        self.reach(to)  # before anything is measured: it may zoom
        mark = self.apart(name)[name]
        start, end = (float(round(mark[0])), float(round(mark[1]))), self.inside(to)
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        self.hands.drag([start, middle, end])
        return self.to_photo((end[0] + mark[0] - start[0], end[1] + mark[1] - start[1]))

    def apart(self, name: str) -> dict[str, Place]:
        """Choose a joint in the list where another mark lies over its own; return the marks."""
        marks = self.marks()
        near = [other for other in marks if other != name and _far(marks[other], marks[name]) < 4]
        if near:
            self.hands.press(self.row(name))
            marks = self.marks()
        return marks

    def row(self, name: str) -> Any:
        return self.seen(f".joint-row[data-joint={name}]")

    def call(self, somebody: Somebody, causes: Sequence[str], *, paint: bool = False) -> None:
        """Say of the joints of each cause that they are so, by a stroke round them or the list.

        `paint`: by an occluder that is painted over them, where a thing or a person hides them.
        """
        for cause in causes:
            now = self.causes()
            wanted = [name for name, label in somebody.joints.items() if label.cause == cause]
            self.say([name for name in wanted if now[name] != cause], cause, paint=paint)

    def say(self, names: Sequence[str], cause: str, *, paint: bool = False) -> None:
        """Say of some joints what hides them."""
        if not names:
            return
        marks = self.marks()
        line = loop(names, marks) if all(name in marks for name in names) else None
        if paint and line is not None and cause in ("object", "person"):
            self.paint(line, cause)
            return
        if line is not None and len(names) > 1:
            self.hands.key("Shift+L")
            self.hands.drag(line)
        else:
            self.hands.press(self.row(names[0]))
            for name in names[1:]:
                self.hands.click(_middle(self.row(name)), held="Shift")
        self.hands.key(CAUSE_KEYS[cause])

    def paint(self, line: Sequence[Place], cause: str) -> None:
        """Paint an occluder that hides nobody but the shown person."""
        self.hands.key("Shift+O")
        if cause == "person":
            self.hands.key("p")
        own = self.who().split("person ")[-1]
        for button in self.seen(".hides .btn[data-person]").all():
            mine = button.get_attribute("data-person").split(":")[1] == own
            if (button.get_attribute("aria-pressed") == "true") != mine:
                self.hands.press(button)
        self.hands.drag(line)


def loop(names: Sequence[str], marks: dict[str, Place]) -> list[Place] | None:
    """A closed line on the screen with the marks of these joints in it and no other; or None."""
    inside = np.array([marks[name] for name in names])
    others = np.array([at for name, at in marks.items() if name not in names]).reshape(-1, 2)
    turns = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    for radius in (9.0, 5.0, 3.0):
        around = np.stack([np.cos(turns), np.sin(turns)], 1) * radius
        rim = hull((inside[:, None] + around).reshape(-1, 2))
        if not any(within(rim, at) for at in others):
            return [*map(tuple, rim), tuple(rim[0])]
    return None


def hull(points: F64) -> F64:
    """The corners (C, 2) of the convex hull of points (N, 2), in order."""
    from scipy.spatial import ConvexHull

    return np.asarray(points[ConvexHull(points).vertices])


def within(rim: F64, at: F64) -> bool:
    """Whether a place lies in a convex line, or within two pixels of it."""
    along = np.roll(rim, -1, axis=0) - rim
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / np.linalg.norm(along, axis=1)[:, None]
    return bool((((at - rim) * normal).sum(1) > -2.0).all())


def box_of(node: Any, seconds: float = 60.0) -> dict[str, float]:
    """Where a node is on the screen; AssertionError if it is nowhere for so long.

    On a busy machine Chromium has said of a node that was there that it has no box (seen once, and
    why is not known), so it is asked again.
    """
    end = time.monotonic() + seconds
    while (box := node.bounding_box()) is None:
        if time.monotonic() > end:
            raise AssertionError(f"{node} is not on the screen")
        node.page.wait_for_timeout(15)
    return dict(box)


def _middle(node: Any) -> Place:
    node.scroll_into_view_if_needed()
    box = box_of(node)
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def _far(a: Place, b: Place) -> float:
    return math.hypot(a[0] - b[0], a[1] - b[1])
