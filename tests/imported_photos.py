"""A COCO file of three photos, imported: two of them have the same dataset.json."""

import json

import cv2
import numpy as np

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.imports import import_from


def import_photos(folder, shade, *, empty=None):
    """Import three photos with one person each; `shade` decides their pixels and joints.
    Nobody is in the photo `empty`.

    The COCO file stays beside the data set, in FOLDER-coco.
    """
    source = folder.parent / f"{folder.name}-coco"
    (source / "images").mkdir(parents=True)
    images, people = [], []
    for k in range(3):
        name = f"{k}.png"
        pixels = np.full((48, 64, 3), shade + 10 * k, np.uint8)
        cv2.imwrite(str(source / "images" / name), pixels)
        images.append({"id": k, "file_name": name, "width": 64, "height": 48})
        points = [v for j in range(17) for v in (10 + shade % 7 + j, 20, 2)]
        if k == empty:
            continue
        people.append(
            {
                "id": k,
                "image_id": k,
                "category_id": 1,
                "bbox": [8, 8, 40, 30],
                "area": 1200,
                "iscrowd": 0,
                "keypoints": points,
                "num_keypoints": 17,
            }
        )
    category = {
        "id": 1,
        "name": "person",
        "keypoints": list(get_skeleton("coco17").joints),
        "skeleton": [],
    }
    value = {"images": images, "annotations": people, "categories": [category]}
    (source / "annotations.json").write_text(json.dumps(value))
    import_from("coco", source / "annotations.json", folder, images=source / "images")
    return Dataset(folder)
