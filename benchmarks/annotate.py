"""Photos annotated from nothing in the studio's editor by mouse and keys, and the export compared.

    python -m benchmarks.annotate --photos FOLDER [--log FILE]

FOLDER has `images` and `person_keypoints.json` (COCO). The photos become a set without labels;
everybody whom the file labels is annotated in Chromium: a box, then joint after joint, each by
Enter where the fitted pose has it within 3 px, else by a click; causes by keys. What occludes a
joint no file says: here another annotated person whose box it lies in; else, of the head, the own
body; else an object.

Seconds are those of the keystroke-level model (Card, Moran and Newell 1980, Communications of the
ACM 23(7)): K of a person who is no typist, P and B, one hand on the mouse and one on the keys.
"""

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import chromium
from benchmarks.studio import Editor, serving
from synthstudio.core.skeleton import get_skeleton
from synthstudio.studio.access import load_secret, local_key

KEY_S, POINT_S, BUTTON_S = 0.28, 1.1, 0.1
NEAR_PX = 3.0
CAUSE_KEYS = {"object": "o", "person": "p", "self": "s"}
_PRINTED_PX = 0.01
"""Exports print thousandths; marks of joints are drawn to hundredths of the screen's pixels."""
_JOINTS = get_skeleton("coco17").joints
Place = tuple[float, float]
Entry = Mapping[str, Any]


@dataclass
class Hands:
    """A mouse and a keyboard; `steps` counts, `seconds` is what they take a person."""

    page: Any
    steps: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def _count(self, what: str, seconds: float) -> None:
        self.steps[what] += 1
        self.seconds += seconds

    def key(self, name: str) -> None:
        self.page.keyboard.press(name)
        self._count("keys", KEY_S * len(name.split("+")))

    def click(self, at: Place) -> None:
        self.page.mouse.click(*at)
        self._count("clicks", POINT_S + 2 * BUTTON_S)

    def drag(self, start: Place, end: Place) -> None:
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end)
        self.page.mouse.up()
        self._count("drags", 2 * (POINT_S + BUTTON_S))


@dataclass
class Annotator:
    """Hands at the editor. `size`: width and height of the shown photo."""

    editor: Editor
    hands: Hands
    size: tuple[int, int] = (1, 1)

    def seen(self, selector: str) -> Any:
        return self.editor.page.locator(f".ed {selector}")

    def shown(self, item: str) -> None:
        """Wait until an item whose id begins so is shown."""
        self.editor.wait(f"ed.dataset.item.startsWith('{item}')")
        self.editor.wait("ed.dataset.shown === ed.dataset.item")

    def saved(self) -> None:
        self.editor.wait("ed.dataset.pending === '0'")

    def view(self) -> tuple[float, float, float]:
        """Left, top and scale of the photo on the screen."""
        box = self.seen("canvas.picture").first.bounding_box()
        return box["x"], box["y"], box["width"] / self.size[0]

    def to_screen(self, place: Place) -> Place:
        """The pixel of the screen nearest to a place of the photo, in the photo."""
        x, y, zoom = self.view()
        right, low = x + self.size[0] * zoom, y + self.size[1] * zoom
        return (
            min(max(round(x + place[0] * zoom), math.ceil(x)), math.floor(right)),
            min(max(round(y + place[1] * zoom), math.ceil(y)), math.floor(low)),
        )

    def to_photo(self, at: Place) -> Place:
        x, y, zoom = self.view()
        return (at[0] - x) / zoom, (at[1] - y) / zoom

    def reach(self, place: Place) -> Place:
        """Zoom out until a place of the photo is in the view; return its pixel of the screen."""
        for _ in range(20):
            stage, (x, y) = self.seen(".stage").bounding_box(), self.to_screen(place)
            if 2 < x - stage["x"] < stage["width"] - 2 and 2 < y - stage["y"] < stage["height"] - 2:
                return x, y
            self.hands.key("-")
        raise AssertionError(f"{place} cannot be reached")

    def guide(self, joint: int) -> Place | None:
        """Where the fitted pose shows a joint, in the photo."""
        box = self.seen("g.joint .ring").nth(joint).bounding_box()
        return box and self.to_photo((box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))

    def annotate(self, entry: Entry, causes: Sequence[str | None]) -> dict[str, Any]:
        """Annotate an unlabelled person; return the box and the places as they were set."""
        x, y, w, h = entry["bbox"]
        self.hands.key("Shift+N")
        self.editor.wait("ed.dataset.joint === ''")
        corners = self.to_screen((x, y)), self.to_screen((x + w, y + h))
        (left, top), (right, low) = map(self.to_photo, corners)
        self.hands.drag(*corners)
        self.editor.wait(f"ed.dataset.joint === '{_JOINTS[0]}'")
        places: list[Place | None] = [None] * len(_JOINTS)
        last = max(j for j, cause in enumerate(causes) if cause)
        for j, cause in enumerate(causes[: last + 1]):
            if cause is None:
                self.hands.key("r")
                continue
            if cause != "visible":
                self.hands.key(CAUSE_KEYS[cause])
            at, seen = joint_at(entry, j), self.guide(j)
            if seen and math.dist(seen, at) <= NEAR_PX:
                self.hands.key("Enter" if cause == "visible" else "Tab")
                places[j] = seen
                self.hands.steps["fitted"] += 1
            else:
                pixel = self.reach(at)
                places[j] = self.to_photo(pixel)
                self.hands.click(pixel)
        if last < len(_JOINTS) - 1:
            self.hands.key("Escape")
        return {"box": (left, top, right - left, low - top), "places": places, "causes": causes}


def joint_at(entry: Entry, j: int) -> Place:
    """A labelled joint in continuous pixels: COCO's are pixel numbers."""
    return entry["keypoints"][3 * j] + 0.5, entry["keypoints"][3 * j + 1] + 0.5


def causes_of(entry: Entry, others: Sequence[Entry]) -> list[str | None]:
    """The cause of every joint; None: without a label."""

    def cause(j: int) -> str | None:
        x, y, flag = entry["keypoints"][3 * j : 3 * j + 3]
        if flag != 1:
            return "visible" if flag else None
        boxes = [other["bbox"] for other in others if other is not entry]
        if any(a <= x <= a + w and b <= y <= b + h for a, b, w, h in boxes):
            return "person"
        head = any(part in _JOINTS[j] for part in ("nose", "eye", "ear"))
        return "self" if head else "object"

    return [cause(j) for j in range(len(_JOINTS))]


def read_photos(path: Path) -> list[tuple[Entry, list[Entry]]]:
    """Every photo with its labelled people, by name."""
    value = json.loads(path.read_text("utf-8"))
    labelled = [a for a in value["annotations"] if a.get("num_keypoints") and not a["iscrowd"]]
    images = sorted(value["images"], key=lambda image: image["file_name"])
    return [(i, [a for a in labelled if a["image_id"] == i["id"]]) for i in images]


def compare(export: Path, given: Sequence[Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """What an exported COCO file has otherwise than was given."""
    (path,) = (export / "annotations").glob("*.json")
    value = json.loads(path.read_text("utf-8"))
    frame = {image["id"]: int(Path(image["file_name"]).stem) for image in value["images"]}
    for number, people in enumerate(given):
        entries = [a for a in value["annotations"] if frame[a["image_id"]] == number]
        entries.sort(key=lambda entry: entry["instance_number"])
        if len(entries) != len(people):
            yield f"frame {number}: {len(entries)} people (expected {len(people)})"
        for n, (entry, one) in enumerate(zip(entries, people, strict=False)):
            where = f"frame {number}, person {n + 1}"
            if any(
                abs(a - b) > _PRINTED_PX for a, b in zip(entry["bbox"], one["box"], strict=True)
            ):
                yield f"{where}: box {entry['bbox']} (expected {one['box']})"
            for j, (name, at) in enumerate(zip(_JOINTS, one["places"], strict=True)):
                cause = one["causes"][j] or "unlabelled"
                held = entry["keypoints"][3 * j + 2], entry["cause"][j]
                if held != ({"visible": 2, "unlabelled": 0}.get(cause, 1), cause):
                    yield f"{where}: {name} {held} (expected {cause})"
                elif at and math.dist(joint_at(entry, j), at) > 2 * _PRINTED_PX:
                    yield f"{where}: {name} at {joint_at(entry, j)} (expected {at})"


def run(work: Path, photos: Sequence[Any], browser: Any) -> dict[str, Any]:
    """Annotate the photos of WORK/photos; return the figures."""
    command = [sys.executable, "-m", "synthstudio"]
    new = [*command, "import-photos", str(work / "photos"), "--out", str(work / "set")]
    subprocess.run(new, check=True, capture_output=True)
    with serving(work / "set", work) as (url, _):
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        editor = Editor(page, url, local_key(load_secret(work)), "empty")
        annotator = Annotator(editor, Hands(page))
        hands, given, began = annotator.hands, [], time.perf_counter()
        for number, (image, entries) in enumerate(photos):
            annotator.size = image["width"], image["height"]
            annotator.shown(f"{number}:")
            given.append([annotator.annotate(e, causes_of(e, entries)) for e in entries])
            for k in range(len(entries) - 1, 0, -1):
                hands.key("b")
                annotator.shown(f"{number}:{k}")
            for k in range(1, len(entries) + 1):
                annotator.shown(f"{number}:{k}")
                hands.key("a")
        annotator.saved()
        seconds = time.perf_counter() - began
        page.context.close()
    out = [*command, "review", "export", str(work / "set"), "--out", str(work / "out")]
    subprocess.run([*out, "--db", f"sqlite:///{work / 'review.db'}"], check=True)
    pairs = [(e, one["places"]) for (_, entries), people in zip(photos, given, strict=True)
             for e, one in zip(entries, people, strict=True)]  # fmt: skip
    far = [math.dist(joint_at(e, j), at) for e, at_s in pairs for j, at in enumerate(at_s) if at]
    return {
        "photos": len(photos),
        "people": len(pairs),
        "joints": len(far),
        "largest_px": round(max(far), 2),
        **hands.steps,
        "hands_s_a_person": round(hands.seconds / len(pairs), 1),
        "script_s_a_person": round(seconds / len(pairs), 1),
        "unlike_the_export": list(compare(work / "out", given)),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Annotate; return 1 where the export is not what was given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--first", type=int, help="only so many photos")
    parser.add_argument("--log", type=Path)
    options = parser.parse_args(arguments)
    from playwright.sync_api import sync_playwright

    photos = read_photos(options.photos / "person_keypoints.json")[: options.first]
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        (folder := Path(temporary) / "photos").mkdir()
        for image, _ in photos:
            shutil.copy(options.photos / "images" / image["file_name"], folder)
        browser = playwright.chromium.launch(executable_path=chromium.path(), args=["--no-sandbox"])
        found = run(Path(temporary), photos, browser)
        browser.close()
    print(text := json.dumps(found))
    if options.log:
        options.log.write_text(
            f"python -m benchmarks.annotate --photos FOLDER\n\n{text}\n", "utf-8"
        )
    return int(bool(found["unlike_the_export"]))


if __name__ == "__main__":
    raise SystemExit(main())
