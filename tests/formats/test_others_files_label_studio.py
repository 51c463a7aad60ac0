"""Label Studio's JSON and JSON-MIN as it writes them: labels, parents, addresses, odd entries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from others_files import (
    COCO,
    HEIGHT,
    WIDTH,
    keypoints,
    place,
    rectangle,
    region,
    save_pictures,
    save_tasks,
    task,
)

from synthstudio.core.errors import FormatError
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.imports import Imported, import_from


def imported(root: Path, tasks: Any, pictures: tuple[str, ...] = ("a.jpg",)) -> Imported:
    save_pictures(root, pictures)
    save_tasks(root, tasks)
    return import_from("label-studio", root, root / "out")


def people(root: Path, frame: int = 0) -> list[dict]:
    return Dataset(root / "out").instances(frame)


def check_joints(row: dict, person: int = 0, joints: range = range(17)) -> None:
    px = np.array(row["joints_px"]).reshape(-1, 2)
    assert [s != 255 for s in row["state"]] == [j in joints for j in range(17)]
    for number in joints:
        assert px[number] == pytest.approx(place(number, person))


BOXED = [rectangle("P", "person"), *keypoints(parent="P")]
ARROW = {"type": "relation", "from_id": "k0", "to_id": "P", "direction": "right"}
ODD: dict[str, tuple[list[dict[str, Any]], str]] = {
    "nothing": ([], ""),
    "other rectangles": ([rectangle("C", "car"), rectangle("D", "dog")], "label car"),
    "rectangle without a label": ([rectangle("C", None)], "label none"),
    "emptied label": ([region("rectanglelabels", "C", rectangle("C", None)["value"]
                              | {"rectanglelabels": []})], "label none"),
    "relation": ([ARROW], "type relation"),
    "ghost": ([region("keypointlabels", "g", {"keypointlabels": ["nose"]})], "without a place"),
    "null place": ([region("keypointlabels", "g", {"x": None, "y": 1})], "without a place"),
    "no value": ([{"id": "g", "type": "keypointlabels"}], "keypointlabels"),
    "emptied keypoint": ([region("keypointlabels", "g", {"x": 1, "y": 1, "keypointlabels": []})],
                         "keypoint of the label none"),
    "other keypoint": ([region("keypointlabels", "g",
                               {"x": 1, "y": 1, "keypointlabels": ["ball"]})], "label ball"),
    "turned ellipse": ([region("ellipselabels", "E", {"x": 1, "y": 1, "rotation": 30})],
                       "ellipselabels"),
    "mask": ([region("brushlabels", "B", {"rle": [1, 2]})], "brushlabels"),
    "choice": ([{"id": "c", "type": "choices", "value": {"choices": ["day"]}}], "choices"),
    "of a turned picture": ([rectangle("T", "person") | {"image_rotation": 90}], "turned"),
    "box id twice": ([rectangle("P", "person")], "twice"),
    "joint twice": ([keypoints(parent="P", prefix="again")[0]], "comes twice"),
}  # fmt: skip


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("case", ODD)
def test_odd_entries_are_counted_and_the_person_comes_in(
    tmp_path: Path, case: str, before: bool
) -> None:
    extra, told = ODD[case]
    late = case in ("joint twice", "box id twice")
    made = imported(tmp_path, [task([*extra, *BOXED] if before and not late else BOXED + extra)])
    assert (made.frames, made.people) == (1, 1), made.notes
    (row,) = people(tmp_path)
    check_joints(row)
    assert row["modal_box_px"] == pytest.approx([0, 6, 80, 108])
    assert told in " ".join(made.notes) and bool(told) == bool(made.notes)


LEFT_BOX, RIGHT_BOX = rectangle("P", "person"), rectangle("Q", "person", x=50)
HALF = keypoints(COCO[:5])
FAR = [region("keypointlabels", f"f{n}", {"x": 80, "y": 20, "keypointlabels": [joint]})
       for n, joint in enumerate(COCO[:2])]  # fmt: skip
LOOSE: dict[str, tuple[list[dict[str, Any]], list[int], int]] = {  # people's joints, left out
    "one box, loose joints": ([LEFT_BOX, *keypoints()], [17], 0),
    "no box": (keypoints(), [17], 0),
    "a car's box": ([rectangle("C", "car"), *keypoints()], [17], 0),
    "by an arrow": ([LEFT_BOX, RIGHT_BOX, *keypoints(COCO[:1]), ARROW], [1, 0], 0),
    "by where they lie": ([LEFT_BOX, RIGHT_BOX, *HALF, *FAR], [5, 2], 0),
    "in both": ([LEFT_BOX, rectangle("Q", "person", x=1), *HALF], [0, 0], 5),
    "two people without boxes": ([*HALF, *keypoints(COCO[:5], prefix="o", person=3)], [], 10),
    "one with a parent": ([*BOXED, RIGHT_BOX, *FAR], [17, 2], 0),
    "parent that is not there": (keypoints(COCO[:4], parent="gone"), [4], 0),
    "box of another label with joints": ([rectangle("P", "player"), *keypoints(parent="P")],
                                         [17], 0),
    "only label": ([rectangle("P", "player")], [0], 0),
}  # fmt: skip


@pytest.mark.parametrize("case", LOOSE)
def test_whose_joints_are(tmp_path: Path, case: str) -> None:
    result, joints, left = LOOSE[case]
    made = imported(tmp_path, [task(result)])
    assert [sum(s != 255 for s in row["state"]) for row in people(tmp_path)] == joints
    told = f"{left} x joint of which it is not clear"
    assert (told in " ".join(made.notes)) == bool(left)


ADDRESSES = {
    "a.jpg": "a.jpg",
    "images/a.jpg": "images/a.jpg",
    "/data/local-files/?d=images/a.jpg": "images/a.jpg",
    "/data/local-files/?d=images%2Fa%20b.jpg": "images/a b.jpg",
    r"/data/local-files/?d=images\a.jpg": "images/a.jpg",
    "/data/upload/3/0a1b2c3d-a.jpg": "a.jpg",
    "/data/upload/3/0a1b2c3d-x.jpg": "0a1b2c3d-x.jpg",
    "/data/upload/gr%C3%B6%C3%9Fe.jpg": "größe.jpg",
    "s3://bucket/day/a.jpg": "day/a.jpg",
    "gs://bucket/day/a%20b.jpg": "a b.jpg",
    "http://localhost:8080/data/upload/1/a.jpg": "a.jpg",
    "https://host/a.jpg?token=1": "a.jpg",
    r"C:\Users\me\a.jpg": "a.jpg",
    r"images\a.jpg": "images/a.jpg",
    "a%20b.jpg": "a b.jpg",
    "100%.jpg": "100%.jpg",
}


@pytest.mark.parametrize("url", ADDRESSES)
def test_addresses_of_pictures(tmp_path: Path, url: str) -> None:
    made = imported(tmp_path, [task(BOXED, url)], (ADDRESSES[url],))
    assert (made.frames, made.people) == (1, 1)
    check_joints(people(tmp_path)[0])


@pytest.mark.parametrize(
    "data",
    [
        {"img": "a.jpg"},
        {"photo": "/data/upload/a.jpg", "title": "a day", "number": 3},
        {"image": "a.jpg", "other": "b.jpg"},
        {"one": "a.jpg", "same": "a.jpg"},
    ],
)
@pytest.mark.parametrize("form", ["json", "json-min", "completions"])
def test_the_key_of_the_picture_is_free(tmp_path: Path, data: dict[str, Any], form: str) -> None:
    if form == "json-min":
        boxes = [r["value"] for r in BOXED if r["type"] == "rectanglelabels"]
        points = [r["value"] for r in BOXED if r["type"] == "keypointlabels"]
        one = {**data, "id": 1, "box": boxes, "kp": points, "annotator": 1, "annotation_id": 2}
    else:
        key = "annotations" if form == "json" else "completions"
        one = {"id": 1, "data": data, key: [{"id": 1, "result": BOXED}]}
    made = imported(tmp_path, [one])
    assert (made.frames, made.people) == (1, 1), made.notes
    check_joints(people(tmp_path)[0])


@pytest.mark.parametrize("spelling", [str.upper, str.title, lambda n: n.replace("_", " ")])
def test_joints_in_other_spellings(tmp_path: Path, spelling: Any) -> None:
    names = [spelling(joint) for joint in COCO]
    imported(tmp_path, [task([LEFT_BOX, *keypoints(names, parent="P")])])
    check_joints(people(tmp_path)[0])


@pytest.mark.parametrize("turn", [0, 30, 90, 180, 270, -45])
def test_a_turned_rectangle_gives_the_upright_box_about_it(tmp_path: Path, turn: float) -> None:
    box = {"x": 50, "y": 50, "width": 10, "height": 20, "rotation": turn,
           "rectanglelabels": ["person"]}  # fmt: skip
    made = imported(tmp_path, [task([region("rectanglelabels", "P", box), *keypoints(parent="P")])])
    corner, angle = np.array([0.5 * WIDTH, 0.5 * HEIGHT]), np.radians(turn)
    across = np.array([np.cos(angle), np.sin(angle)]) * 0.1 * WIDTH
    along = np.array([-np.sin(angle), np.cos(angle)]) * 0.2 * HEIGHT
    corners = np.array([corner, corner + across, corner + along, corner + across + along])
    low, size = corners.min(axis=0), np.ptp(corners, axis=0)
    assert people(tmp_path)[0]["modal_box_px"] == pytest.approx([*low, *size], abs=1e-9)
    assert bool(made.notes) == (turn != 0)


def test_labels_and_shapes_apart(tmp_path: Path) -> None:
    value = rectangle("P", None)["value"]
    named = [region("rectangle", "P", value), region("labels", "P", value | {"labels": ["person"]})]
    made = imported(tmp_path, [task([*named, *keypoints(parent="P")])])
    assert made.people == 1 and not made.notes


def test_tasks_of_one_picture_and_of_none(tmp_path: Path) -> None:
    skipped = task(BOXED, "b.jpg")
    skipped["annotations"][0]["was_cancelled"] = True
    tasks = [task(BOXED), task(BOXED), skipped, task(BOXED, "gone.jpg")]
    made = imported(tmp_path, tasks, ("a.jpg", "b.jpg"))
    assert (made.frames, made.people) == (2, 1)
    told = " ".join(made.notes)
    assert "1 x further task of a picture" in told and "1 x picture that is not there" in told


REFUSED = {
    "no picture named": ([task(BOXED, "words", "text")], "no pictures.*text"),
    "several pictures": (
        [{"id": 1, "data": {"one": "a.jpg", "two": "b.jpg"}}],
        "2 pictures.*one, two",
    ),
    "picture not there": ([task(BOXED, "gone.jpg")], "no such file.*gone.jpg"),
    "out of the folder": ([task(BOXED, "../a.jpg")], "leads out"),
    "out of the folder, encoded": ([task(BOXED, "..%2Fa.jpg")], "leads out"),
    "unknown joints": ([task(keypoints(["tail", "paw", "ear"]))], "paw, tail"),
    "two names of one file": (
        [task(BOXED, "s3://x/1/a.jpg"), task(BOXED, "s3://x/2/a.jpg")],
        "two tasks have one image",
    ),
    "text for a number": (
        [task([rectangle("P", "person", x="left")])],  # type: ignore[arg-type]
        "byte 1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path, case: str) -> None:
    tasks, message = REFUSED[case]
    with pytest.raises(FormatError, match=message):
        imported(tmp_path, tasks)
    assert not (tmp_path / "out").exists()
