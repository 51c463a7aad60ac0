"""Read with fiftyone's COCO importer: keypoints. It divides by the sides and keeps no v=0 joint."""

import json
import sys
from pathlib import Path

import fiftyone.utils.coco as fouc

root = Path(sys.argv[1])
importer = fouc.COCODetectionDatasetImporter(
    data_path=str(root / "coco"),
    labels_path=str(root / "coco/annotations.json"),
    label_types=["keypoints"],
    extra_attrs=False,
)
frames = {}
with importer:
    for path, meta, label in importer:
        found = []
        for person in label.keypoints if label is not None else []:
            flags = person["visible"] if person.has_field("visible") else None
            found.append(
                [
                    [x * meta.width, y * meta.height, None if flags is None else int(flags[j])]
                    if x == x
                    else [0, 0, 0]
                    for j, (x, y) in enumerate(person.points)
                ]
            )
        frames[Path(path).stem] = found
print(json.dumps({"coco": {"rule": "index", "frames": frames}}))
