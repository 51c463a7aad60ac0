"""Read with datumaro: COCO person keypoints, and CVAT (whose skeletons it takes for points)."""

import json
import shutil
import sys
from pathlib import Path

import datumaro

root, scratch, joints = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
coco = scratch / "coco"
(coco / "annotations").mkdir(parents=True)
shutil.copy(root / "coco/annotations.json", coco / "annotations/person_keypoints_all.json")
shutil.copytree(root / "coco/images", coco / "images/all/images")


def people(item) -> list:
    """Return the people of an image by their annotation ids."""
    found = []
    for a in sorted(item.annotations, key=lambda a: a.id):
        if a.type.name == "points" and len(a.points) == 2 * joints:
            flags = [int(v.value) for v in a.visibility]
            points = zip(a.points[::2], a.points[1::2], flags, strict=True)
            found.append([list(point) for point in points])
    return found


def single_points(item) -> list:
    """Return the points of an image, as many as a person has joints together."""
    points = [a for a in item.annotations if a.type.name == "points"]
    flat = [[*a.points, 1 if a.attributes.get("occluded") else 2] for a in points]
    return [flat[k : k + joints] for k in range(0, len(flat), joints)]


read = datumaro.Dataset.import_from(str(coco), "coco_person_keypoints")
drawn = datumaro.Dataset.import_from(str(root / "cvat"), "cvat")
print(
    json.dumps(
        {
            "coco": {"rule": "index", "frames": {Path(i.id).name: people(i) for i in read}},
            "cvat": {
                "rule": "continuous",
                "outside": False,
                "frames": {Path(i.id).name: single_points(i) for i in drawn},
            },
        }
    )
)
