"""CVAT for images 1.1 as CVAT writes it: labels, projects, videos, points that are off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from others_files import COCO, cvat_file, cvat_image, cvat_skeleton, place, save_pictures

from synthstudio.core.errors import FormatError
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.imports import Imported, import_from

DOG = ["nose", "tail", "paw"]
PERSON = {"person": COCO}


def imported(
    root: Path, images: list[str], labels: dict[str, list[str]] = PERSON, kind: str = "task"
) -> tuple[Imported, Dataset]:
    (root / "annotations.xml").write_text(cvat_file(labels, images, kind), encoding="utf-8")
    made = import_from("cvat", root, root / "out")
    return made, Dataset(root / "out")


def check_joints(row: dict, person: int = 0, off: tuple[int, ...] = ()) -> None:
    px = np.array(row["joints_px"]).reshape(-1, 2)
    for number in range(17):
        assert row["state"][number] == (255 if number in off else 2)
        if number not in off:
            assert px[number] == pytest.approx(place(number, person))


@pytest.mark.parametrize("order", ["as it is", "reversed", "sorted"])
@pytest.mark.parametrize("spelling", ["left_eye", "Left Eye", "LeftEye", "LEye"])
@pytest.mark.parametrize("label", ["person", "Spieler"])
def test_joints_in_any_order_and_spelling(
    tmp_path: Path, order: str, spelling: str, label: str
) -> None:
    def spelled(joint: str) -> str:
        words = joint.split("_")
        if spelling == "LEye" and len(words) == 2:
            words[0] = words[0][0].upper() + words.pop().title()
        joined = {"left_eye": "_", "Left Eye": " "}.get(spelling, "")
        return joined.join(words if spelling in ("left_eye", "LEye") else map(str.title, words))

    names = [spelled(joint) for joint in COCO]
    listed = {"as it is": names, "reversed": names[::-1], "sorted": sorted(names)}[order]
    save_pictures(tmp_path, ["images/a.jpg"])
    image = cvat_image("a.jpg", cvat_skeleton(names, label=label))
    made, dataset = imported(tmp_path, [image], {label: listed})
    assert (made.frames, made.people, made.notes) == (1, 1, [])
    check_joints(dataset.instances(0)[0])


@pytest.mark.parametrize("first", ["person", "dog"])
@pytest.mark.parametrize("used", [True, False])
def test_other_skeletons_are_counted(tmp_path: Path, first: str, used: bool) -> None:
    labels = {"person": COCO, "dog": DOG}
    labels = dict(sorted(labels.items(), key=lambda pair: pair[0] != first))
    dogs = [cvat_skeleton(DOG, label="dog")] * 2 if used else []
    save_pictures(tmp_path, ["images/a.jpg"])
    image = cvat_image("a.jpg", *dogs, cvat_skeleton(COCO), "<box label='car'></box>")
    made, dataset = imported(tmp_path, [image], labels)
    assert made.people == 1
    check_joints(dataset.instances(0)[0])
    text = " ".join(made.notes)
    assert "1 x box outside a skeleton" in text
    assert ("2 x skeleton of the label dog" in text) == used


def test_two_labels_of_people(tmp_path: Path) -> None:
    save_pictures(tmp_path, ["images/a.jpg"])
    labels = {"player": COCO, "referee": COCO[::-1]}
    both = [cvat_skeleton(COCO, label=one, person=k) for k, one in enumerate(labels)]
    made, dataset = imported(tmp_path, [cvat_image("a.jpg", *both)], labels)
    assert made.people == 2
    for number, row in enumerate(dataset.instances(0)):
        check_joints(row, number)


PROJECTS = {  # (name, subset, file below images/, split)
    "project": [("a.jpg", "train", "train/a.jpg", "train"), ("a.jpg", "val", "val/a.jpg", "val")],
    "validation": [("a.jpg", "Validation", "Validation/a.jpg", "val")],
    "default": [("a.jpg", "default", "default/a.jpg", "")],
    "own subset": [("a.jpg", "Kamera 1", "Kamera 1/a.jpg", "")],
    "folders in it": [("s/b/a.jpg", "test", "test/s/b/a.jpg", "test")],
    "without the subset's folder": [("a.jpg", "train", "a.jpg", "train")],
    "video": [(f"frame_{k:06d}", "", f"frame_{k:06d}.png", "") for k in range(2)],
    "video of a project": [("frame_000000", "train", "train/frame_000000.PNG", "train")],
    "video as jpeg": [("frame_000000", "", "frame_000000.jpg", "")],
    "a name with marks": [("a & b 'c'.jpg", "", "a & b 'c'.jpg", "")],
    "not ascii": [("größe_ß.jpg", "", "größe_ß.jpg", "")],
}


@pytest.mark.parametrize("case", PROJECTS)
def test_projects_and_videos(tmp_path: Path, case: str) -> None:
    rows = PROJECTS[case]
    save_pictures(tmp_path / "images", [file for _, _, file, _ in rows])
    images = [
        cvat_image(
            name,
            cvat_skeleton(COCO, person=number),
            number=number,
            **({"subset": subset, "task_id": "3"} if subset else {}),
        )
        for number, (name, subset, _, _) in enumerate(rows)
    ]
    made, dataset = imported(tmp_path, images, kind="project" if rows[0][1] else "task")
    assert (made.frames, made.people) == (len(rows), len(rows))
    for number, row in enumerate(dataset.iter_frames()):
        assert row["split"] == rows[number][3]
        check_joints(dataset.instances(number)[0], number)


@pytest.mark.parametrize("off", [(), (3,), tuple(range(16)), tuple(range(17))])
def test_points_that_are_off(tmp_path: Path, off: tuple[int, ...]) -> None:
    save_pictures(tmp_path, ["images/a.jpg"])
    skeletons = [cvat_skeleton(COCO, off=off), cvat_skeleton(COCO, person=1)]
    made, dataset = imported(tmp_path, [cvat_image("a.jpg", *skeletons)])
    rows = dataset.instances(0)
    assert made.people == len(rows) == (1 if len(off) == 17 else 2)
    check_joints(rows[-1], 1)
    if len(off) < 17:
        check_joints(rows[0], 0, off)
    assert ("switched off" in " ".join(made.notes)) == (len(off) == 17)


def test_pictures_that_are_not_there_are_counted(tmp_path: Path) -> None:
    save_pictures(tmp_path, ["images/b.jpg"])
    images = [
        cvat_image(name, cvat_skeleton(COCO, person=k)) for k, name in enumerate(["a.jpg", "b.jpg"])
    ]
    made, dataset = imported(tmp_path, images)
    assert (made.frames, made.people) == (1, 1) and "1 x picture that is not there" in made.notes[0]
    check_joints(dataset.instances(0)[0], 1)


REFUSED = {
    "only dogs": ({"dog": DOG}, [cvat_image("a.jpg")], "dog: nose, tail, paw"),
    "no labels": ({}, [cvat_image("a.jpg")], "no joints"),
    "twice": (PERSON, [cvat_image("a.jpg"), cvat_image("a.jpg")], "comes twice.*a.jpg"),
    "no picture": (PERSON, [cvat_image("b.jpg")], "no such file.*b.jpg"),
    "a track": (PERSON, ['<track id="0" label="person"></track>'], "for images 1.1"),
    "out of the folder": (PERSON, [cvat_image("../a.jpg")], "leads out"),
    "subset out of the folder": (PERSON, [cvat_image("a.jpg", subset="../x")], "leads out"),
    "no number": (
        PERSON,
        [cvat_image("a.jpg", cvat_skeleton(COCO).replace("10.00,20.00", "x,y"))],
        "image a.jpg",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path, case: str) -> None:
    labels, images, message = REFUSED[case]
    save_pictures(tmp_path, ["images/a.jpg"])
    with pytest.raises(FormatError, match=message):
        imported(tmp_path, images, labels)
    assert not (tmp_path / "out").exists()
