"""Read with detectron2: register_coco_instances(name, {}, json, images), DatasetCatalog.get.

It adds half a pixel to keypoints: it counts from a pixel's corner. torchvision: as its own reader.
"""

import json
import sys
from pathlib import Path

import torch

OPERATORS = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float t) -> Tensor")
import detectron2  # noqa: E402
from detectron2.data import DatasetCatalog  # noqa: E402
from detectron2.data.datasets import register_coco_instances  # noqa: E402

frames, root = {}, Path(sys.argv[1]) / "coco"
for file in sorted((root / "annotations").glob("*.json")):
    split = file.stem.removeprefix("person_keypoints_")
    register_coco_instances(split, {}, str(file), str(root / "images" / split))
    for record in DatasetCatalog.get(split):
        assert Path(record["file_name"]).is_file()
        points = [
            zip(*(p["keypoints"][k::3] for k in range(3)), strict=True)
            for p in record["annotations"]
        ]
        frames[Path(record["file_name"]).stem] = [list(map(list, person)) for person in points]
found = {"rule": "continuous", "frames": frames}
print(json.dumps({"version": detectron2.__version__, "coco": found}))
