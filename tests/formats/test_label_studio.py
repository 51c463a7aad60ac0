"""Label Studio: whose keypoints are, what turned rectangles become, what is refused."""

import json

import numpy as np
import pytest
from faulty_files import HEIGHT, WIDTH, save_picture
from faulty_files import JOINTS as COCO

from synthstudio.core.errors import FormatError
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.imports import import_from


def place(number, person=0):
    """Where joint `number` of a person is, continuous pixels."""
    return 10.0 + 4 * number + 2 * person, 20.0 + 3 * number + person


def region(kind, number, value, **more):
    sizes = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {"id": number, "type": kind, "from_name": "a", "value": value, **sizes, **more}


def rectangle(number, label, *, x=0, **more):
    value = {"x": x, "y": 5, "width": 50, "height": 90, "rotation": 0}
    if label is not None:
        value["rectanglelabels"] = [label]
    return region("rectanglelabels", number, value | more)


def keypoints(names=COCO, *, parent="", prefix="k", person=0):
    out = []
    for number, name in enumerate(names):
        x, y = place(number, person)
        value = {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "keypointlabels": [name]}
        more = {"parentID": parent} if parent else {}
        out.append(region("keypointlabels", f"{prefix}{number}", value, **more))
    return out


def task(result, url="a.jpg", key="image"):
    return {"id": 1, "data": {key: url}, "annotations": [{"id": 1, "result": result}]}


def imported(root, tasks, pictures=("a.jpg",)):
    for name in pictures:
        save_picture(root / name, 1)
    (root / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
    return import_from("label-studio", root, root / "out")


def people(root, frame=0):
    return Dataset(root / "out").instances(frame)


BOXED = [rectangle("P", "person"), *keypoints(parent="P")]
ARROW = {"type": "relation", "from_id": "k0", "to_id": "P", "direction": "right"}
LEFT_BOX, RIGHT_BOX = rectangle("P", "person"), rectangle("Q", "person", x=50)
HALF = keypoints(COCO[:5])
FAR = [region("keypointlabels", f"f{n}", {"x": 80, "y": 20, "keypointlabels": [joint]})
       for n, joint in enumerate(COCO[:2])]  # fmt: skip
LOOSE = {  # people's joints, left out
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
def test_whose_joints_are(tmp_path, case):
    result, joints, left = LOOSE[case]
    made = imported(tmp_path, [task(result)])
    assert [sum(s != 255 for s in row["state"]) for row in people(tmp_path)] == joints
    told = f"{left} x joint of which it is not clear"
    assert (told in " ".join(made.notes)) == bool(left)


@pytest.mark.parametrize("turn", [0, 30, 90, 180, 270, -45])
def test_a_turned_rectangle_gives_the_upright_box_about_it(tmp_path, turn):
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


def test_labels_and_shapes_apart(tmp_path):
    value = rectangle("P", None)["value"]
    named = [region("rectangle", "P", value), region("labels", "P", value | {"labels": ["person"]})]
    made = imported(tmp_path, [task([*named, *keypoints(parent="P")])])
    assert made.people == 1 and not made.notes


def test_two_addresses_of_one_file_are_refused(tmp_path):
    tasks = [task(BOXED, f"s3://x/{folder}/a.jpg") for folder in (1, 2)]
    with pytest.raises(FormatError, match="two tasks share an image"):
        imported(tmp_path, tasks)
    assert not (tmp_path / "out").exists()
