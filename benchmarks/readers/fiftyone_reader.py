"""Read with FiftyOne: Dataset.from_dir(dataset_type=COCODetectionDataset, data_path, labels_path).

Where its database cannot be had, the importer that from_dir makes of these arguments; every label
is then encoded as the database would store it. It keeps no place of a joint with v=0 (NaN).
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import bson
import fiftyone as fo
import fiftyone.utils.coco as fouc


def labels(images, file):
    """Yield (image, its size, its labels)."""
    try:
        data = fo.Dataset.from_dir(
            dataset_type=fo.types.COCODetectionDataset, data_path=images, labels_path=file
        )
    except fo.core.config.FiftyOneConfigError:
        with fouc.COCODetectionDatasetImporter(data_path=images, labels_path=file) as importer:
            for path, size, label in importer:
                for one in label.values():
                    bson.encode(one.to_mongo())
                yield path, size, label
        return
    data.compute_metadata()
    for sample in data:
        yield sample.filepath, sample.metadata, {"keypoints": sample.keypoints}


frames, root = {}, Path(sys.argv[1]) / "coco"
for file in sorted((root / "annotations").glob("*.json")):
    split = file.stem.removeprefix("person_keypoints_")
    for path, size, label in labels(str(root / "images" / split), str(file)):
        people = label["keypoints"].keypoints if label.get("keypoints") else []
        frames[Path(path).stem] = [
            [
                [x * size.width, y * size.height, v] if x == x else [0, 0, v]
                for (x, y), v in zip(person.points, person["visible"], strict=True)
            ]
            for person in people
        ]
print(json.dumps({"version": version("fiftyone"), "coco": {"rule": "index", "frames": frames}}))
