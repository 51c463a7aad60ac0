"""A COCO file of horses with nine joints of their own, and the data set that it becomes."""

import json

import numpy as np
from coco_objects import annotation, document, image

from synthstudio.core.images import encode_jpeg
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import own_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.imports import import_from
from synthstudio.formats.skeleton_file import read_skeleton

JOINTS = ["Nose", "L_Eye", "R_Eye", "Root of tail", "L_Paw", "R_Paw", "neck", "withers", "1"]
LIMBS = [[1, 2], [1, 3], [1, 7], [7, 8], [8, 4], [7, 5], [7, 6], [8, 9]]
PAIRS = [["L_Eye", "R_Eye"], ["L_Paw", "R_Paw"]]
SIZE = (160, 120)  # w, h
WRISTS = ["left_wrist", "right_wrist"]
_SAME = dict(zip(WRISTS, WRISTS[::-1], strict=True))
VIEWER = own_skeleton({"name": "viewer", "joints": [*WRISTS, "nose"], "same_as": _SAME})
"""Sides as the viewer sees them; its nose is nobody's."""


def points(seed):
    """(9, 2) whole pixels inside a picture."""
    random = stream(seed, "horse")
    return random.integers((20, 15), (140, 105), (len(JOINTS), 2)) + 0.0


def coco(pictures=4):
    """The file as another tool writes it: pixel indices, v 2 but for a hidden paw."""
    images, people = [], []
    for k in range(1, pictures + 1):
        xy = points(k)
        box = [*xy.min(0), *(np.ptp(xy, axis=0) + 1)]
        v = [2, 2, 2, 2, 1, 2, 2, 2, 2]
        flat = [n for (a, b), s in zip(xy, v, strict=True) for n in (a, b, s)]
        people.append(annotation(k, k, flat, box, category_id=7))
        images.append(image(k, f"{k}.jpg", SIZE))
    return document(images, people, JOINTS, id=7, name="Horse", skeleton=LIMBS)


def write_coco(folder, pictures=4):
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(1, pictures + 1):
        picture = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
        for x, y in points(k).astype(int):
            picture[y - 3 : y + 4, x - 3 : x + 4] = (250, 30 * k, 0)
        (folder / f"{k}.jpg").write_bytes(encode_jpeg(picture, 90))
    file = folder / "file.json"
    file.write_text(json.dumps(coco(pictures)), "utf-8")
    return file


def horse_set(folder, pictures=4):
    file = write_coco(folder / "coco", pictures)
    import_from("coco", file, folder / "set", skeleton=read_skeleton(file))
    return Dataset(folder / "set")
