"""Read with the Label Studio SDK's converter: our tasks to YOLO pose and to COCO.

Its converter writes v=2 for every keypoint that is there, and whole pixels into COCO.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

from label_studio_sdk.converter import Converter

root, scratch, joints = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
source = root / "label-studio"
sizes = {}
for task in json.loads((source / "tasks.json").read_text()):
    stem = Path(task["data"]["image"]).stem
    for region in task["annotations"][0]["result"]:
        sizes[stem] = region["original_width"], region["original_height"]
made = Converter(str(source / "label_config.xml"), str(scratch), download_resources=False)
made.convert_to_yolo(str(source / "tasks.json"), str(scratch / "yolo"), is_dir=False)
frames = {}
for path in sorted((scratch / "yolo/labels").glob("*.txt")):
    stem = path.stem.rpartition("__")[2].rpartition("-")[2]
    w, h = sizes.get(stem, (1, 1))
    people = []
    for line in path.read_text().splitlines():
        values = list(map(float, line.split()))[5:]
        points = zip(values[::3], values[1::3], values[2::3], strict=True)
        people.append([[x * w, y * h, int(v)] for x, y, v in points])
    frames[stem] = people
print(
    json.dumps(
        {
            "version": version("label-studio-sdk"),
            "label-studio": {"rule": "continuous", "hidden": False, "frames": frames},
        }
    )
)
