"""What the readers with the COCO API share: COCO(file), loadAnns of each image's getAnnIds."""

import contextlib
import io
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any


def print_frames(tool: str, api: Any) -> None:
    """Print what `api`, the COCO class of `tool`, reads of every split's file."""
    frames = {}
    for file in sorted(Path(sys.argv[1]).glob("coco/annotations/*.json")):
        with contextlib.redirect_stdout(io.StringIO()):
            coco = api(str(file))
        for image in coco.loadImgs(coco.getImgIds()):
            people = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
            points = [zip(*(p["keypoints"][k::3] for k in range(3)), strict=True) for p in people]
            frames[Path(image["file_name"]).stem] = [list(map(list, person)) for person in points]
    print(json.dumps({"version": version(tool), "coco": {"rule": "index", "frames": frames}}))
