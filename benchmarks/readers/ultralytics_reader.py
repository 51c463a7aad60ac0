"""Read with Ultralytics: the data set that `YOLO(...).train(data="data.yaml")` builds, cached."""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

os.environ["YOLO_CONFIG_DIR"] = sys.argv[2]
from ultralytics.cfg import get_cfg
from ultralytics.data.build import build_yolo_dataset
from ultralytics.data.utils import check_det_dataset

frames = {}
data = check_det_dataset(str(Path(sys.argv[1]) / "yolo/data.yaml"))
for split in ("train", "val", "test"):
    made = build_yolo_dataset(get_cfg(overrides={"task": "pose"}), data[split], 4, data, mode="val")
    for label in made.labels:
        h, w = label["shape"]
        frames[Path(label["im_file"]).stem] = [
            [[float(x) * w, float(y) * h, int(v)] for x, y, v in person]
            for person in label["keypoints"]
        ]
print(
    json.dumps(
        {"version": version("ultralytics"), "yolo": {"rule": "continuous", "frames": frames}}
    )
)
