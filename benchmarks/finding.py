"""Are people found without boxes? `python -m benchmarks.finding NAME=COCO.json:IMAGES ...`.

The network of the package looks at photos of which nobody says where people are: with the detector
that comes with it, by a look at the whole picture and a second one about the joints found there
(one person a picture), and in true boxes, which is as good as it gets. A person is found when a box
covers theirs by an IoU of at least a half; a joint, within 0.1 of the true box's longer side, of
the one prediction that OKS matches with its person, or of nobody's. `--finder` and `--score` take
another detector, another threshold; `--most` only the first pictures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.images import read_rgb
from synthstudio.core.similarity import box_overlap, object_similarity
from synthstudio.core.skeleton import Skeleton
from synthstudio.evaluation.assignment import assign
from synthstudio.inference.boxes import FindPeople, source_boxes
from synthstudio.inference.finder import Finder
from synthstudio.inference.onnx_model import OnnxModel
from synthstudio.inference.predict import predict
from synthstudio.inference.second_look import AGREED, UNSURE, agreed_people, second_look
from synthstudio.inference.sources import Boxes, SourceImage
from synthstudio.models.packaged import default_finder, default_model

F64 = NDArray[np.float64]
AT, COVERS = 0.1, 0.5


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A picture with its P people: `boxes` (P, 4) x y w h, `joints` (P, J, 3) x y v, in the order
    of the network's skeleton, v = 0 where nobody labelled one; `crowds` (C, 4) hold anybody."""

    rgb: NDArray[np.uint8]
    boxes: F64
    joints: F64
    crowds: F64


def photos(file: Path, images: Path, skeleton: Skeleton, most: int) -> list[Photo]:
    """The pictures of a COCO keypoints file."""
    coco = json.loads(file.read_text())
    names = coco["categories"][0]["keypoints"]
    order = [names.index(joint) if joint in names else -1 for joint in skeleton.joints]
    found = []
    for entry in coco["images"][: most or None]:
        own = [a for a in coco["annotations"] if a["image_id"] == entry["id"]]
        people = [a for a in own if not a.get("iscrowd")]
        rows = [np.array(a["keypoints"], float).reshape(-1, 3) for a in people]
        joints = np.array(rows, np.float64).reshape(len(rows), len(names), 3)
        joints = np.where(np.array(order)[:, None] < 0, 0.0, joints[:, order])
        found.append(Photo(
            rgb=read_rgb(images / entry["file_name"]),
            boxes=np.array([a["bbox"] for a in people], np.float64).reshape(-1, 4),
            joints=joints,
            crowds=np.array(
                [a["bbox"] for a in own if a.get("iscrowd")], np.float64
            ).reshape(-1, 4),
        ))  # fmt: skip
    return found


def counted(photo: Photo, boxes: Boxes, joints: F64, sigmas: F64) -> dict[str, int]:
    """What one look found of a picture: people, joints by v, boxes that are nobody's."""
    overlap = np.array([[box_overlap(b, t) for t in photo.boxes] for b in boxes.xywh])
    overlap = overlap.reshape(len(boxes), len(photo.boxes))
    taken = assign(overlap, least=COVERS)
    middles = boxes.xywh[:, :2] + boxes.xywh[:, 2:] / 2
    crowded = (
        (middles[:, None] >= photo.crowds[None, :, :2])
        & (middles[:, None] <= photo.crowds[None, :, :2] + photo.crowds[None, :, 2:])
    ).all(-1).any(-1)  # fmt: skip
    known = photo.joints[..., 2] > 0
    area = photo.boxes[:, 2:].prod(-1)
    who = assign(object_similarity(joints, photo.joints[..., :2], known, area, sigmas))
    side = photo.boxes[:, 2:].max(-1, initial=0)
    answer = np.where((who >= 0)[:, None, None], joints[who], np.inf) if len(joints) else np.full(
        photo.joints[..., :2].shape, np.inf
    )  # fmt: skip
    hit = np.hypot(*np.moveaxis(answer - photo.joints[..., :2], -1, 0)) < AT * side[:, None]
    out = {"found": int((taken >= 0).sum()), "people": len(photo.boxes)}
    out["false"] = int((~np.isin(np.arange(len(boxes)), taken) & ~crowded).sum())
    for v, word in ((2, "seen"), (1, "hidden")):
        asked = photo.joints[..., 2] == v
        out |= {word: int((hit & asked).sum()), f"{word} asked": int(asked.sum())}
    return out


def measured(pictures: Sequence[Photo], model: OnnxModel, find: FindPeople | None) -> str:
    """A row's figures. `find`: None takes the true boxes."""
    total: dict[str, int] = {}
    for number, photo in enumerate(pictures):
        image = SourceImage(number=number, name=str(number), rgb=photo.rgb)
        boxes = Boxes(xywh=photo.boxes, score=np.ones(len(photo.boxes)))
        boxes = boxes if find is None else find(image)
        boxed = SourceImage(number=number, name=str(number), rgb=photo.rgb, boxes=boxes)
        people = list(predict(model, [boxed], source_boxes, size=model.size))
        joints = np.array([p.xy for p in people]).reshape(-1, len(model.skeleton.joints), 2)
        for name, count in counted(photo, boxes, joints, model.skeleton.sigmas).items():
            total[name] = total.get(name, 0) + count
    cells = [f"{total['found']} of {total['people']}", f"{total['false']}"]
    for word in ("seen", "hidden"):
        asked = total[f"{word} asked"]
        cells.append(f"{100 * total[word] / asked:.1f} % of {asked:,}" if asked else "-")
    return " | ".join(cells)


def table(
    sets: dict[str, list[Photo]], model: OnnxModel, finder: Finder, scores: Sequence[float]
) -> list[str]:
    """A row for each set of photos and way to find people in them."""
    size = model.size
    looks: dict[str, FindPeople | None] = {
        "in true boxes": None,
        "looking twice": second_look(model, size=size),
    }
    for score in scores:
        find = agreed_people(finder, model, size=size, least=score)
        looks[f"detector and network, score {score:g}"] = find
    lines = ["| photos | boxes | people found | false boxes | joints seen (v=2) | hidden (v=1) |"]
    lines.append("|---|---|---|---|---|---|")
    for name, pictures in sets.items():
        for how, find in looks.items():
            lines.append(f"| {name} | {how} | {measured(pictures, model, find)} |")
    return lines


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="+", help="NAME=COCO.json:IMAGES")
    parser.add_argument("--finder", type=Path, help="an exported detector; default: the package's")
    parser.add_argument("--score", type=float, action="append", help="its threshold; repeat")
    parser.add_argument("--most", type=int, default=0, help="pictures of each set; 0: all")
    options = parser.parse_args(words)
    model = OnnxModel.load(default_model(), device="cpu")
    path = options.finder or default_finder()
    finder = Finder.load(path, device="cpu", min_score=UNSURE)
    sets = {}
    for given in options.sets:
        name, _, place = given.partition("=")
        file, _, images = place.partition(":")
        sets[name] = photos(Path(file), Path(images), model.skeleton, options.most)
    print("\n".join(table(sets, model, finder, options.score or [AGREED])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
