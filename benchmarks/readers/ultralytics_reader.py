"""Read with Ultralytics' own check_det_dataset and verify_image_label (what its training uses).

Importing ultralytics asks for torchvision's version, of which there is no build for the locked
torch; the reader of labels does not use it, so that one question is answered here.
"""

import importlib.metadata
import json
import os
import sys
from pathlib import Path

root, scratch, joints = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
os.environ["YOLO_CONFIG_DIR"] = str(scratch)
_version = importlib.metadata.version
importlib.metadata.version = lambda name: "0.0.0" if name == "torchvision" else _version(name)

from ultralytics.data.utils import check_det_dataset, img2label_paths, verify_image_label  # noqa: E402

facts = check_det_dataset(str(root / "yolo/data.yaml"), autodownload=False)
assert facts["kpt_shape"] == [joints, 3], facts
frames = {}
for split in ("train", "val", "test"):
    if not facts.get(split):
        continue
    for image in sorted(Path(facts[split]).glob("*.jpg")):
        (label,) = img2label_paths([str(image)])
        args = (str(image), label, "", True, len(facts["names"]), joints, 3, False)
        _, boxes, shape, _, keypoints, missing, found, empty, corrupt, message = verify_image_label(
            args
        )
        assert not corrupt and not missing, message
        h, w = shape
        frames[image.stem] = [
            [[float(x) * w, float(y) * h, int(v)] for x, y, v in person] for person in keypoints
        ]
print(json.dumps({"yolo": {"rule": "continuous", "frames": frames}}))
