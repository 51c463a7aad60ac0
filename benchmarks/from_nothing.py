"""Photos annotated from nothing in the studio's editor, by what a person can use alone.

    python -m benchmarks.from_nothing --photos FOLDER [--ways WAY ...] [--only NAME] [--log FILE]

FOLDER has `images` and `person_keypoints.json` (COCO). The photos are copied without labels, become
a data set by `import-photos`, and everybody whom the file labels is annotated in Chromium by mouse,
wheel and keys: a box, a skeleton in it, its joints to where the file has them, states and causes by
strokes, approved. `review export` has to hold what was meant, exactly. Three ways:

    drags     the skeleton that the editor fits into the box, each joint dragged
    clicks    the joints one after another, a click each
    ghosts    a network's predictions (the package's own), what is off by more than 3 px clicked

What hides a joint no file says. Here it is, by rule: another annotated person whose box it lies in;
else, of the head, the person itself; else a thing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import chromium
from benchmarks.annotator import LOOK_S, STATES, Annotator, Hands, Label, Somebody
from synthstudio.core.skeleton import get_skeleton

WAYS = ("drags", "clicks", "ghosts")
NEAR_PX = 3.0
_HALF_PX = 0.5
_HEAD = ("nose", "eye", "ear")
_SKELETON = get_skeleton("coco17")
_PRINTED_PX = 0.01
"""Exports print thousandths, and marks of joints are drawn to hundredths of the screen's pixels."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo with those who are to be annotated. `size`: width, height."""

    name: str
    size: tuple[int, int]
    people: tuple[Somebody, ...]


@dataclass(frozen=True, kw_only=True)
class Meant:
    """What was meant to be stored of a person, as the hands did it."""

    box: tuple[float, ...]
    joints: dict[str, Label]


def read_photos(path: Path) -> list[Photo]:
    """The photos of a COCO file with everybody in them who has a labelled joint, by name."""
    value = json.loads(path.read_text("utf-8"))
    found = []
    for image in sorted(value["images"], key=lambda one: one["file_name"]):
        entries = [a for a in value["annotations"] if a["image_id"] == image["id"]]
        entries = [a for a in entries if a.get("num_keypoints") and not a["iscrowd"]]
        people = tuple(_somebody(a, [b for b in entries if b is not a]) for a in entries)
        size = (image["width"], image["height"])
        found.append(Photo(name=image["file_name"], size=size, people=people))
    return found


def _somebody(entry: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> Somebody:
    flat, joints = entry["keypoints"], {}
    for j, name in enumerate(_SKELETON.joints):
        x, y, flag = flat[3 * j : 3 * j + 3]
        cause = "visible" if flag == 2 else _cause(name, x, y, others)
        at = (x + _HALF_PX, y + _HALF_PX) if flag else None
        joints[name] = Label(at=at, cause=cause if flag else "unlabelled")
    return Somebody(box=tuple(entry["bbox"]), joints=joints)


def _cause(name: str, x: float, y: float, others: Sequence[Mapping[str, Any]]) -> str:
    for left, top, w, h in (one["bbox"] for one in others):
        if left <= x <= left + w and top <= y <= top + h:
            return "person"
    return "self" if any(part in name for part in _HEAD) else "object"


# One person, and one photo ---------------------------------------------------------------------


def annotate(hand: Annotator, somebody: Somebody, way: str, *, paint: bool) -> Meant:
    """Annotate one person who is not there yet; return what was meant."""
    box = hand.box(somebody)
    if way == "ghosts" and hand.is_predicted():
        put = hand.correct(somebody, near_px=NEAR_PX)
    else:
        place = hand.place_by_clicks if way != "drags" else hand.place_by_drags
        put = place(somebody)
        hand.call(somebody, ["self", "person", "object"], paint=paint)
    joints = {
        name: Label(at=put.get(name), cause=label.cause) for name, label in somebody.joints.items()
    }
    return Meant(box=box, joints=joints)


def annotate_photo(hand: Annotator, number: int, photo: Photo, way: str) -> list[Meant]:
    """Annotate everybody in the shown photo, approve them and turn to the next one."""
    hand.size = photo.size
    hand.shown(f"Frame {number} · nobody")
    meant = []
    for k, somebody in enumerate(photo.people):
        meant.append(annotate(hand, somebody, way, paint=k % 2 == 0))
        hand.shown(f"Frame {number} · person {k + 1}")
    hand.hands.key("b", len(photo.people) - 1)
    for k in range(len(photo.people)):
        hand.shown(f"Frame {number} · person {k + 1}")
        hand.hands.key("a")
    return meant


# What a user's commands do -----------------------------------------------------------------------


def command(*words: str) -> str:
    """Run synthstudio as a user would; return what it prints."""
    whole = [sys.executable, "-m", "synthstudio", *words]
    done = subprocess.run(whole, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"synthstudio {' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def serving(dataset: Path, work: Path) -> Iterator[str]:
    """Run the studio; yield the address that it prints."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    log = work / "studio.log"
    asked = ("studio", str(dataset), "--exports", str(dataset.parent), "--port", str(port))
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "synthstudio", *asked], stdout=file, stderr=file, cwd=work
        )
    try:
        for _ in range(3000):
            words = log.read_text("utf-8", "replace").split()
            address = next((word for word in words if "key=" in word), None)
            if address or process.poll() is not None:
                break
            time.sleep(0.1)
        if address is None:
            raise SystemExit(f"the studio printed no address:\n{log.read_text('utf-8', 'replace')}")
        yield address
    finally:
        process.terminate()
        process.wait(20)


def sign_in(page: Any, address: str) -> None:
    """Open the printed address, say who one is, and go to Review."""
    page.goto(address)
    page.get_by_role("textbox", name="Your name").fill("Ada")
    page.get_by_role("button", name="Continue").click()
    page.get_by_test_id("stSidebar").get_by_role("link", name="Review").click()
    page.locator(".ed[data-ready]").wait_for(timeout=180_000)


# What the export holds ----------------------------------------------------------------------------


def compare(exported: Path, meant: Sequence[Sequence[Meant]]) -> list[str]:
    """What an exported COCO file holds otherwise than was meant; nothing where all is so."""
    (path,) = (exported / "annotations").glob("*.json")
    value = json.loads(path.read_text("utf-8"))
    number = {image["id"]: int(Path(image["file_name"]).stem) for image in value["images"]}
    held: dict[int, list[Mapping[str, Any]]] = {}
    for entry in sorted(value["annotations"], key=lambda one: one["instance_number"]):
        held.setdefault(number[entry["image_id"]], []).append(entry)
    faults = []
    for frame, people in enumerate(meant):
        entries = held.get(frame, [])
        if len(entries) != len(people):
            faults.append(f"frame {frame}: {len(entries)} people, meant {len(people)}")
        for n, (entry, one) in enumerate(zip(entries, people, strict=False)):
            faults += [f"frame {frame}, person {n + 1}: {text}" for text in _unlike(entry, one)]
    return faults


def _unlike(entry: Mapping[str, Any], meant: Meant) -> Iterator[str]:
    if any(abs(a - b) > _PRINTED_PX for a, b in zip(entry["bbox"], meant.box, strict=True)):
        yield f"box {entry['bbox']}, meant {meant.box}"
    for j, name in enumerate(_SKELETON.joints):
        label = meant.joints[name]
        x, y, flag = entry["keypoints"][3 * j : 3 * j + 3]
        held = (flag, entry["cause"][j])
        wanted = (STATES[label.cause] or 0, label.cause)
        if held != wanted:
            yield f"{name} {held}, meant {wanted}"
        elif label.at is not None:
            off = max(abs(x + _HALF_PX - label.at[0]), abs(y + _HALF_PX - label.at[1]))
            if off > _PRINTED_PX:
                yield f"{name} at {x}, {y}, meant {label.at}"


def far_px(photos: Sequence[Photo], meant: Sequence[Sequence[Meant]]) -> list[float]:
    """How far each labelled joint was put from where the file has it, pixels."""
    return [
        max(abs(label.at[0] - one.joints[name].at[0]), abs(label.at[1] - one.joints[name].at[1]))
        for photo, people in zip(photos, meant, strict=True)
        for somebody, one in zip(photo.people, people, strict=True)
        for name, label in somebody.joints.items()
        if label.at is not None
    ]


# A run -------------------------------------------------------------------------------------------


def run(work: Path, photos: Sequence[Photo], way: str, browser: Any) -> dict[str, Any]:
    """Annotate the photos of WORK/photos in one way, export, compare; return the figures."""
    dataset, export = work / way / "set", work / way / "export"
    command("import-photos", str(work / "photos"), "--out", str(dataset))
    with serving(dataset, work / way) as address:
        if way == "ghosts":
            predict(work, dataset)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        sign_in(page, address)
        hand = Annotator(page, _SKELETON, Hands(page))
        began, meant = time.perf_counter(), []
        for number, photo in enumerate(photos):
            meant.append(annotate_photo(hand, number, photo, way))
            print(f"{way}: {photo.name}: {len(photo.people)} people", flush=True)
        hand.saved()
        seconds = time.perf_counter() - began
        page.close()
        command("review", "export", str(dataset), "--out", str(export), "--only", "approved")
    far = far_px(photos, meant)
    people = sum(len(photo.people) for photo in photos)
    hands = hand.hands
    return {
        "way": way,
        "photos": len(photos),
        "people": people,
        "joints": len(far),
        "largest_px": round(max(far), 2),
        "beyond_3_px": sum(px > NEAR_PX for px in far),
        "unlike_the_export": compare(export, meant),
        **{what: hands.steps[what] for what in ("clicks", "drags", "keys", "notches")},
        "steps_a_person": round(hands.steps.total() / people, 1),
        "hands_s_a_person": round(hands.seconds / people, 1),
        "person_s_a_person": round(hands.seconds / people + LOOK_S * len(_SKELETON.joints), 1),
        "script_s_a_person": round(seconds / people, 1),
    }


def predict(work: Path, dataset: Path) -> None:
    """Let the package's own network say where everybody is, for the review of a data set."""
    db = f"sqlite:///{dataset.parent / 'studio' / 'review.db'}"
    out = dataset.parent / "predictions"
    words = ("--out", str(out), "--draw", "0", "--into", db, "--layer", "default")
    command("predict", "default", str(dataset), *words)


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """The figures as a table of Markdown."""
    columns = ("clicks", "drags", "keys", "steps_a_person", "hands_s_a_person",
               "person_s_a_person", "script_s_a_person")  # fmt: skip
    lines = [f"| way | {' | '.join(c.replace('_', ' ') for c in columns)} |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    lines += [f"| {one['way']} | {' | '.join(str(one[c]) for c in columns)} |" for one in found]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Annotate in each way; return 1 where an export is not what was meant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--only", help="the photos whose names have this in them")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args(arguments)
    from playwright.sync_api import sync_playwright

    photos = read_photos(options.photos / "person_keypoints.json")
    photos = [photo for photo in photos if (options.only or "") in photo.name]
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        work = options.work or Path(temporary)
        (work / "photos").mkdir(parents=True)
        for photo in photos:
            shutil.copy(options.photos / "images" / photo.name, work / "photos" / photo.name)
        browser = playwright.chromium.launch(executable_path=chromium.path(), args=["--no-sandbox"])
        found = [run(work, photos, way, browser) for way in options.ways]
        browser.close()
    text = f"{table(found)}\n\n{json.dumps(found, indent=1)}\n"
    print(text)
    words = " ".join(sys.argv[1:] if arguments is None else arguments)
    if options.log:
        options.log.write_text(f"python -m benchmarks.from_nothing {words}\n\n{text}", "utf-8")
    return int(any(one["unlike_the_export"] or one["beyond_3_px"] for one in found))


if __name__ == "__main__":
    raise SystemExit(main())
