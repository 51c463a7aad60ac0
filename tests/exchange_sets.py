"""A small data set of stick people with real JPEGs, and ways to compare data sets."""

import dataclasses
import math

import numpy as np
from fake_frames import identity
from stick_people import Panel, make_camera, make_frame, make_labels, make_posed, make_spec
from written_sets import stored

from synthstudio.core.images import encode_jpeg
from synthstudio.core.labels import STATE_HIDDEN, Frame
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.manifest import AssetRow
from synthstudio.dataset.reader import Dataset

FRAMES = 7
WALL = Panel(instance=1002, depth_m=1.0, box_px=(160, 0, 999, 999), kind="wall")
SPLITS = ("train", "train", "val", "train", "test", "train", "train")


def make_set(out, *, skeleton="coco23", frames=FRAMES, look=lambda frame: frame):
    made = [look(frame_at(k, skeleton)) for k in range(frames)]
    asset = AssetRow(sha256="ab" * 32, name="tree.png", licence="CC0-1.0", category="leaf")
    told = identity(recipe={"name": "sticks"}, skeleton=skeleton, frames=len(made), assets=(asset,))
    return stored(out, told, made.__getitem__)


def frame_at(index, skeleton="coco23"):
    if index == 2:
        frame = placed(index, skeleton, -0.8, 0.8, panels=(WALL,))
    elif index == 3:
        frame = placed(index, skeleton, 2.3)  # cut off by the border
    else:
        frame = make_frame(index, people=(3, 4, 0, 0, 2, 0, 3)[index], skeleton=skeleton)
    grey = np.full((240, 320, 3), 40 + 20 * index, np.uint8)
    grey[index : index + 9] = 200
    spec = dataclasses.replace(frame.spec, split=SPLITS[index % FRAMES])
    return dataclasses.replace(frame, spec=spec, jpeg=encode_jpeg(grey, 90))


def from_behind(frame):
    def rotated(person):
        if person.cause[0] != "visible":
            return person
        fractions, state = person.visibility_fractions.copy(), person.state.copy()
        fractions[0], state[0] = (0, 1, 0, 0, 0), STATE_HIDDEN
        cause = ("self", *person.cause[1:])
        return dataclasses.replace(person, visibility_fractions=fractions, state=state, cause=cause)

    people = tuple(rotated(person) for person in frame.labels.people)
    return dataclasses.replace(frame, labels=dataclasses.replace(frame.labels, people=people))


def placed(index, skeleton, *places_m, panels=()):
    camera, joints = make_camera(), get_skeleton(skeleton)
    people = tuple(make_posed(joints, instance=k, x_m=x_m) for k, x_m in enumerate(places_m, 1))
    labels = make_labels(camera, joints, people, panels=panels)
    spec = make_spec(camera, len(people), index=index, skeleton=skeleton)
    return Frame(spec=spec, jpeg=b"", labels=labels)


def rows_of(folder):
    dataset = Dataset(folder)
    assert not list(dataset.verify())
    return list(dataset.iter_frames()), list(dataset.iter_instances())


def differences(a, b):
    if len(a) != len(b):
        return [f"{len(a)} rows and {len(b)}"]
    return [
        f"row {k}, {name}: {str(x[name])[:200]} and {str(y[name])[:200]}"
        for k, (x, y) in enumerate(zip(a, b, strict=True))
        for name in x
        if not same(x[name], y[name])
    ]


def same(a, b):
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    return bool(a == b)


def tree(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
