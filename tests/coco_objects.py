"""COCO files as Python objects: written by hand, or there and back through the package."""

import contextlib
import json
import tempfile
from pathlib import Path

from synthstudio.core.skeleton import get_skeleton
from synthstudio.formats.coco.dialects import OWN, coco_writer
from synthstudio.formats.coco.file import CocoFile
from synthstudio.formats.exchange import Target

JOINTS = list(get_skeleton("coco17").joints)


def image(number, name, size, **more):
    return {"id": number, "file_name": name, "width": size[0], "height": size[1], **more}


def annotation(number, image_id, keypoints, box, **more):
    """An entry of `annotations`: keypoints are x y v of each joint, the area is the box's."""
    known = {"id": number, "image_id": image_id, "category_id": 1, "iscrowd": 0}
    known |= {"bbox": list(box), "area": box[2] * box[3], "keypoints": keypoints}
    return known | {"num_keypoints": sum(v > 0 for v in keypoints[2::3])} | more


def document(images, annotations, joints=JOINTS, **of_category):
    category = {"id": 1, "name": "person", "keypoints": list(joints), "skeleton": []} | of_category
    return {"images": images, "annotations": annotations, "categories": [category]}


def write_coco(samples, path, **options):
    with coco_writer(path, Target(**options), OWN) as writer:
        for frame, people in samples:
            writer.add(frame, people)
    return writer.count


def to_coco(samples, skeleton, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        write_coco(samples, path, skeleton=skeleton, **options)
        return json.loads(path.read_bytes())


def from_coco(data):
    with tempfile.TemporaryDirectory() as folder:
        path = data if isinstance(data, Path) else Path(folder) / "a.json"
        if not isinstance(data, Path):
            path.write_text(json.dumps(data))
        with contextlib.closing(CocoFile(path)) as file:
            samples = list(file.samples())
    return [frame for frame, _ in samples], [row for _, rows in samples for row in rows]
