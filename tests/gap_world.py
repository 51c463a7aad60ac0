"""A data set of stick people before cameras that roll and pitch, and its export as photos."""

import math

import numpy as np
from painted_frames import painted, write_set

from synthstudio.core.rng import stream
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.export import export

FRAMES = 14


def make(folder):
    rng = stream(5, "gap-test")
    frames = []
    for k in range(FRAMES):
        roll, pitch = (math.radians(float(rng.uniform(*span))) for span in ((-12, 12), (-6, 2)))
        frames.append(painted(k, people=1 + k % 3, roll_rad=roll, pitch_rad=pitch))
    write_set(folder / "set", frames)
    export("coco", Dataset(folder / "set"), folder / "coco", boxes="visible")
    (folder / "coco/annotations/person_keypoints_train.json").rename(folder / "coco/photos.json")


def by_key(report):
    return {d.key: d for d in report.found.differences}


def moved(told, matrix):
    for entry in told["annotations"]:
        flat = np.array(entry["keypoints"], float).reshape(-1, 3)
        labelled = flat[:, 2] > 0
        flat[labelled, :2] = (flat[labelled, :2] + 0.5) @ matrix[:, :2].T + matrix[:, 2] - 0.5
        entry["keypoints"] = flat.ravel().tolist()
        x, y, w, h = entry["bbox"]
        corners = np.array([(x, y), (x + w, y), (x, y + h), (x + w, y + h)])
        corners = corners @ matrix[:, :2].T + matrix[:, 2]
        low, size = corners.min(axis=0), np.ptp(corners, axis=0)
        entry["bbox"] = [*low.tolist(), *size.tolist()]
