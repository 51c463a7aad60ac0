"""Read with torchvision: CocoDetection(root, annFile).

Its package asks for operators of its compiled part when imported; where that part does not fit
the torch that is installed, they are declared here. Reading a file does not use them.
"""

import contextlib
import io
import json
import sys
from importlib.metadata import version
from pathlib import Path

import torch

OPERATORS = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float t) -> Tensor")
from torchvision.datasets import CocoDetection  # noqa: E402

frames, root = {}, Path(sys.argv[1]) / "coco"
for file in sorted((root / "annotations").glob("*.json")):
    split = file.stem.removeprefix("person_keypoints_")
    with contextlib.redirect_stdout(io.StringIO()):
        data = CocoDetection(str(root / "images" / split), str(file))
    for number, (image, people) in zip(data.ids, data, strict=True):
        info = data.coco.loadImgs(number)[0]
        assert image.size == (info["width"], info["height"])
        points = [zip(*(p["keypoints"][k::3] for k in range(3)), strict=True) for p in people]
        frames[f"{number:06d}"] = [list(map(list, person)) for person in points]
print(json.dumps({"version": version("torchvision"), "coco": {"rule": "index", "frames": frames}}))
