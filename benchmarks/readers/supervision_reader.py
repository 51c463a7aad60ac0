"""Read with supervision: boxes and masks of COCO, boxes of YOLO (it loads no keypoints)."""

import json
import sys
from pathlib import Path

import supervision

root = Path(sys.argv[1])
coco = supervision.DetectionDataset.from_coco(
    images_directory_path=str(root / "coco"),
    annotations_path=str(root / "coco/annotations.json"),
    force_masks=True,
)
boxes = {}
for path, _, found in coco:
    areas = [int(m.sum()) for m in found.mask] if found.mask is not None else [None] * len(found)
    boxes[Path(path).stem] = [
        {"box": list(map(float, b)), "area": a} for b, a in zip(found.xyxy, areas, strict=True)
    ]
yolo = {}
for split in ("train", "val", "test"):
    if (root / "yolo/images" / split).is_dir():
        part = supervision.DetectionDataset.from_yolo(
            images_directory_path=str(root / "yolo/images" / split),
            annotations_directory_path=str(root / "yolo/labels" / split),
            data_yaml_path=str(root / "yolo/data.yaml"),
        )
        for path, _, found in part:
            yolo[Path(path).stem] = [{"box": list(map(float, b)), "area": None} for b in found.xyxy]
print(json.dumps({"coco": {"boxes": boxes}, "yolo": {"boxes": yolo}}))
