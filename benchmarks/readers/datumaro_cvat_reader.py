"""Read with the datumaro that CVAT imports with: Dataset.import_from(folder), format detected.

Of CVAT's own XML it keeps `outside` and `occluded` as attributes of a skeleton's points.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import datumaro


def flag(point) -> int:
    if "outside" in point.attributes:
        return 0 if point.attributes["outside"] else 1 if point.attributes["occluded"] else 2
    return int(point.visibility[0].value)


found = {"version": version("datumaro")}
for form, rule in (("coco", "index"), ("yolo", "continuous"), ("cvat", "continuous")):
    frames = {}
    for item in datumaro.Dataset.import_from(str(Path(sys.argv[1]) / form)):
        people = [a for a in item.annotations if a.type.name == "skeleton"]
        frames[Path(item.id).name] = [
            [[*point.points, flag(point)] for point in person.elements]
            for person in sorted(people, key=lambda a: a.id)
        ]
    found[form] = {"rule": rule, "frames": frames}
print(json.dumps(found))
