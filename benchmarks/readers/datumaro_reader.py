"""Read with datumaro: Dataset.import_from(folder), which detects the format by itself."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import datumaro

data = datumaro.Dataset.import_from(str(Path(sys.argv[1]) / "coco"))
frames = {}
for item in data:
    people = sorted((a for a in item.annotations if a.type.name == "points"), key=lambda a: a.id)
    frames[Path(item.id).name] = [
        [
            [x, y, int(v.value)]
            for x, y, v in zip(a.points[::2], a.points[1::2], a.visibility, strict=True)
        ]
        for a in people
    ]
print(json.dumps({"version": version("datumaro"), "coco": {"rule": "index", "frames": frames}}))
