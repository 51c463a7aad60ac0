"""Small generated pictures of stick people as a COCO set."""

import json

import cv2
import numpy as np
from coco_objects import annotation, document, image

from synthstudio.core.rng import stream
from synthstudio.core.skeleton import SKELETONS, get_skeleton

COCO17 = SKELETONS["coco17"].joints
BODY12 = get_skeleton("body12").joints
WIDE, HIGH = 120, 96
_LIMBS = [
    p.split() for p in ("shoulder elbow", "elbow wrist", "shoulder hip", "hip knee", "knee ankle")
]
_PLACES = {
    "shoulder": (0.11, 0.2), "elbow": (0.17, 0.36), "wrist": (0.2, 0.5), "hip": (0.07, 0.52),
    "knee": (0.08, 0.74), "ankle": (0.09, 0.96), "nose": (0, 0.08), "eye": (0.02, 0.06),
    "ear": (0.04, 0.07),
}  # fmt: skip


def person(number, seed):
    rng = stream(seed, "stick", number)
    shade = rng.integers(60, 190, (6, 8, 3)).astype(np.uint8)
    rgb = cv2.resize(shade, (WIDE, HIGH), interpolation=cv2.INTER_CUBIC)
    tall, x, top = rng.uniform(66, 84), rng.uniform(45, 75), rng.uniform(4, 9)
    places = {}
    for side, sign in (("left_", 1), ("right_", -1)):
        lean = rng.normal(0, 0.03, 2)
        for kind, (u, v) in _PLACES.items():
            name = kind if kind == "nose" else side + kind
            u, v = (u + lean[0], v + lean[1] / 2) if kind in ("elbow", "wrist") else (u, v)
            places[name] = (x + sign * u * tall, top + v * tall)
    colour = {"left_": (230, 140, 40), "right_": (40, 120, 230)}
    for side, ink in colour.items():
        for a, b in _LIMBS:
            ends = [tuple(int(c) for c in places[side + k]) for k in (a, b)]
            cv2.line(rgb, *ends, ink, 5, cv2.LINE_AA)
    cv2.circle(rgb, (int(x), int(top + 0.08 * tall)), int(0.07 * tall), (220, 180, 150), -1)
    return rgb, {"places": places, "box": [x - 0.24 * tall, top, 0.48 * tall, tall]}


def write(root, count, *, names=BODY12, labelled=BODY12, hidden="left_wrist", seed=3):
    (root / "images").mkdir(parents=True)
    images, people = [], []
    for k in range(count):
        rgb, found = person(k, seed)
        cv2.imwrite(str(root / "images" / f"p{k:05}.png"), rgb[..., ::-1])
        points = []
        for name in names:
            x, y = found["places"][name]
            v = 0 if name not in labelled else 1 if name == hidden and k % 3 == 0 else 2
            points += [round(x, 2), round(y, 2), v] if v else [0, 0, 0]
        images.append(image(k + 1, f"p{k:05}.png", (WIDE, HIGH)))
        box, more = found["box"], {"category_id": 7, "segmentation": []}
        people.append(annotation(k + 1, k + 1, points, box, area=0.5 * box[2] * box[3], **more))
    told_all = document(images, people, names, id=7, name="worker")
    (root / "coco.json").write_text(json.dumps(told_all))
    return root


def changed(root, change):
    found = json.loads((root / "coco.json").read_text())
    change(found)
    path = root / f"changed-{len(list(root.iterdir()))}.json"
    path.write_text(json.dumps(found))
    return path
