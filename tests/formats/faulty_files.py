"""One small project, written as COCO, YOLO, CVAT and Label Studio files, and what was read of it.

A picture is told by its colour and a person by its joints, so that what an import made is held
against the project without a word of the file that it came in.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import yaml
from PIL import Image

from synthstudio.core.errors import SynthStudioError
from synthstudio.core.images import decode_rgb
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.imports import import_from

JOINTS = list(get_skeleton("coco17").joints)
WIDTH, HEIGHT = 160, 120


@dataclass
class Person:
    """`v`: 2, 1 or 0 of each joint; `order`: in which they stand in a file."""

    number: int
    label: str = "person"
    v: list[int] = field(default_factory=lambda: [2] * 17)
    box: bool = True
    change: Callable[[Any], Any] = lambda entry: entry
    """What is done to its entry (COCO), line (YOLO), element (CVAT) or regions (Label Studio)."""

    def place(self, joint):
        return 12.0 + 7 * joint + 2 * self.number, 20.0 + 4 * joint + 3 * self.number


@dataclass
class Picture:
    """`named`: the name in the file, where it is another than that on disk."""

    name: str
    number: int
    people: list[Person]
    subset: str = ""
    named: str | None = None
    there: bool = True
    save: dict[str, Any] = field(default_factory=dict)
    change: Callable[[Any], Any] = lambda entry: entry
    id: Any = None

    @property
    def said(self):
        return self.name if self.named is None else self.named


@dataclass
class Project:
    """`change`: of the whole document; `encode`: of its text; `spell`: of a joint's name."""

    pictures: list[Picture]
    spell: Callable[[str], str] = str
    order: list[int] = field(default_factory=lambda: list(range(17)))
    labels: dict[str, list[str]] = field(default_factory=dict)
    change: Callable[[Any], Any] = lambda document: document
    encode: Callable[[str], bytes] = str.encode
    files: dict[str, bytes] = field(default_factory=dict)
    expected: list[Picture] | None = None
    """What there is to read, where it is not `pictures`."""

    def joints(self):
        return [self.spell(JOINTS[j]) for j in self.order]


def project():
    return Project([Picture("a.png", 1, [Person(0), Person(1)]), Picture("b.png", 2, [Person(2)])])


def save_picture(path, number, *, mode="RGB", kind="", turn=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (WIDTH, HEIGHT), (40 * number, 9, 9))
    exif = Image.Exif()
    if turn:
        exif[0x0112] = turn
    known = {".png": "PNG", ".tif": "TIFF", ".gif": "GIF", ".webp": "WEBP", ".bmp": "BMP"}
    image.convert(mode).save(path, kind or known.get(path.suffix.lower(), "JPEG"), exif=exif)


def _save(root, made, folder=lambda _: ""):
    for picture in made.pictures:
        if picture.there:
            save_picture(root / folder(picture) / picture.name, picture.number, **picture.save)
    for name, data in made.files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def _points(made, person):
    for j in made.order:
        yield made.spell(JOINTS[j]), *person.place(j), person.v[j]


def coco(root, made):
    _save(root, made)
    images, people = [], []
    for k, picture in enumerate(made.pictures):
        number = k + 1 if picture.id is None else picture.id
        entry = {"id": number, "file_name": picture.said, "width": WIDTH, "height": HEIGHT}
        images.append(picture.change(entry))
        for person in picture.people:
            flat = [v for _, x, y, v in _points(made, person) for v in (x - 0.5, y - 0.5, v)]
            flat = [0 if not flat[3 * (i // 3) + 2] else v for i, v in enumerate(flat)]
            one = {"id": 100 + len(people), "image_id": number, "category_id": 1, "iscrowd": 0,
                   "keypoints": flat, "area": 900}  # fmt: skip
            one |= {"bbox": [5, 5, 150, 110]} if person.box else {}
            people.append(person.change(one))
    categories = [{"id": 1, "name": "person", "keypoints": made.joints(), "skeleton": []}]
    others = list(made.labels.items())
    categories += [{"id": k + 2, "name": n, "keypoints": j} for k, (n, j) in enumerate(others)]
    document = {"images": images, "annotations": people, "categories": categories}
    path = root / "a.json"
    path.write_bytes(made.encode(json.dumps(made.change(document))))
    return path


def yolo(root, made):
    def folder(picture):
        return f"images/{picture.subset or 'train'}"

    _save(root, made, folder)
    splits = sorted({picture.subset or "train" for picture in made.pictures}) or ["train"]
    for split in splits:
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
    for picture in made.pictures:
        lines = []
        for person in picture.people:
            numbers = [n for _, x, y, v in _points(made, person)
                       for n in ((x / WIDTH, y / HEIGHT, v) if v else (0, 0, 0))]  # fmt: skip
            line = " ".join(map(str, ["0", 0.5, 0.5, 0.9, 0.9, *numbers]))
            lines.append(person.change(line))
        text = picture.change("\n".join(lines) + "\n")
        path = (root / "labels" / folder(picture)[7:] / picture.name).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.write_bytes(made.encode(text))
    head = {"kpt_shape": [17, 3], "names": {0: "person", **dict(enumerate(made.labels, 1))},
            **{split: f"images/{split}" for split in splits}}  # fmt: skip
    (root / "data.yaml").write_bytes(made.encode(yaml.safe_dump(made.change(head))))
    return root


def _cvat(root, made, kind):
    video = kind == "video"
    _save(root / "images", made, lambda p: p.subset if kind == "project" else "")
    labels = {"person": made.joints(), **made.labels}
    rows = [(name, "skeleton", "") for name in labels]
    rows += [(joint, "points", name) for name, joints in labels.items() for joint in joints]
    listed = "".join(
        f"<label><name>{name}</name><type>{shape}</type>"
        + (f"<parent>{parent}</parent>" if parent else "") + "</label>"
        for name, shape, parent in rows
    )  # fmt: skip
    images = []
    for k, picture in enumerate(made.pictures):
        inside = "".join(person.change(_skeleton(made, person)) for person in picture.people)
        name = picture.said.rpartition(".")[0] if video and "." in picture.said else picture.said
        subset = f" subset={quoteattr(picture.subset)}" if picture.subset else ""
        images.append(
            picture.change(
                f'<image id="{k if picture.id is None else picture.id}" name={quoteattr(name)}'
                f'{subset} width="{WIDTH}" height="{HEIGHT}">{inside}</image>'
            )
        )
    root_tag = "project" if kind == "project" else "task"
    text = (
        '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>'
        f"<meta><{root_tag}><labels>{listed}</labels></{root_tag}></meta>"
        f"{''.join(images)}</annotations>"
    )
    (root / "annotations.xml").write_bytes(made.encode(made.change(text)))
    return root


def _skeleton(made, person):
    points = "".join(
        f'<points label={quoteattr(name)} outside="{int(v == 0)}" occluded="{int(v == 1)}" '
        f'points="{x:.2f},{y:.2f}"></points>'
        for name, x, y, v in _points(made, person)
    )
    return f'<skeleton label={quoteattr(person.label)} z_order="0">{points}</skeleton>'


def _regions(made, picture, person):
    owner = f"{picture.number}-{person.number}"
    found = []
    if person.box:
        value = {"x": 3.0, "y": 4.0, "width": 90.0, "height": 90.0, "rotation": 0}
        value["rectanglelabels"] = [person.label]
        found.append({"id": owner, "type": "rectanglelabels", "value": value})
    for j, (name, x, y, v) in enumerate(_points(made, person)):
        place = {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "width": 0.5}
        value = {**place, "keypointlabels": [name], **({"hidden": True} if v == 1 else {})}
        parent = {"parentID": owner} if person.box else {}
        one = {"id": f"{owner}-{j}", "type": "keypointlabels", "value": value, **parent}
        found += [one] if v else []
    return person.change(found)


def _label_studio(root, made, *, short):
    _save(root, made)
    tasks = []
    for k, picture in enumerate(made.pictures):
        result = [r for person in picture.people for r in _regions(made, picture, person)]
        number = k if picture.id is None else picture.id
        task = {"id": number, "data": {"image": picture.said},
                                "annotations": [{"id": k, "result": result}]}  # fmt: skip
        if short:
            named = {"rectanglelabels": "box", "keypointlabels": "joint"}
            task = {"id": number, "image": picture.said}
            for one in result:
                value = {**one.get("value", {}), "id": one.get("id")}
                value |= {"parentID": one["parentID"]} if "parentID" in one else {}
                task.setdefault(named.get(one.get("type"), "other"), []).append(value)
        tasks.append(picture.change(task))
    path = root / "tasks.json"
    path.write_bytes(made.encode(json.dumps(made.change(tasks))))
    return path


TOOLS = {
    "coco": ("coco", coco),
    "yolo": ("yolo", yolo),
    "cvat": ("cvat", lambda root, made: _cvat(root, made, "task")),
    "cvat-project": ("cvat", lambda root, made: _cvat(root, made, "project")),
    "cvat-video": ("cvat", lambda root, made: _cvat(root, made, "video")),
    "ls": ("label-studio", lambda root, made: _label_studio(root, made, short=False)),
    "ls-min": ("label-studio", lambda root, made: _label_studio(root, made, short=True)),
}


def verdict(tool, made, root):
    """What an import makes of the project in a tool's file ("read", "told" what did not come in,
    "refused" by a typed error), and its words; AssertionError where something came in wrong, or is
    missing and nobody says so."""
    name, build = TOOLS[tool]
    (root / "in").mkdir()
    path = build(root / "in", made)
    try:
        taken = import_from(name, path, root / "out")
    except SynthStudioError as error:
        assert error.where and not (root / "out").exists()
        return "refused", str(error)
    expected = {p.number: p.people for p in (made.expected or made.pictures)}
    splits = {p.number: p.subset.lower().replace("validation", "val") for p in made.pictures}
    lost = sum(len(people) for people in expected.values()) + len(expected)
    dataset = Dataset(root / "out")
    for row in dataset.iter_frames():
        number = shade_of(dataset, row)
        people = list(expected.pop(number))  # KeyError: no such picture, or twice
        assert splits[number] not in ("train", "val", "test") or row["split"] == splits[number]
        lost -= 1
        for one in dataset.instances(row["index"]):
            found = next((p for p in people if is_same(p, one)), None)
            assert found is not None, f"somebody else in picture {row['index']}"
            people.remove(found)
            lost -= 1
    counted = sum(n for n in taken.left_out.values() if n)
    missing = lost - sum(map(len, expected.values()))  # people of a lost picture go with it
    assert counted >= missing, f"{missing} lost, {counted} told: {taken.notes}"
    assert bool(counted) == any(note.startswith("Not imported") for note in taken.notes)
    return ("told" if counted else "read"), " ".join(taken.notes)


def shade_of(dataset, row):
    """The number of the picture that a frame shows."""
    return round(int(decode_rgb(dataset.image_bytes_of(row), "x")[0, 0, 0]) / 40)


def is_same(person, row):
    px = np.array(row["joints_px"]).reshape(-1, 2)
    state = [v if v else 255 for v in person.v]
    want = np.array([person.place(j) if v else (np.nan, np.nan) for j, v in enumerate(person.v)])
    return list(row["state"]) == state and np.allclose(px, want, atol=0.011, equal_nan=True)
