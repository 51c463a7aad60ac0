"""Read with supervision: DetectionDataset.from_coco and from_yolo (it loads no keypoints)."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import supervision as sv

root, coco, yolo = Path(sys.argv[1]), {}, {}


def people(data) -> dict:
    """The boxes and, where they are read, the areas of masks in each picture."""
    found = {}
    for path, _, one in data:
        areas = [None] * len(one) if one.mask is None else [int(m.sum()) for m in one.mask]
        pairs = zip(one.xyxy.tolist(), areas, strict=True)
        found[Path(path).stem] = [{"box": box, "area": area} for box, area in pairs]
    return found


for split in ("train", "val", "test"):
    coco |= people(
        sv.DetectionDataset.from_coco(
            images_directory_path=str(root / "coco/images" / split),
            annotations_path=str(root / f"coco/annotations/person_keypoints_{split}.json"),
        )
    )
    yolo |= people(
        sv.DetectionDataset.from_yolo(
            images_directory_path=str(root / "yolo/images" / split),
            annotations_directory_path=str(root / "yolo/labels" / split),
            data_yaml_path=str(root / "yolo/data.yaml"),
        )
    )
print(
    json.dumps(
        {"version": version("supervision"), "coco": {"boxes": coco}, "yolo": {"boxes": yolo}}
    )
)
