"""A COCO file of three photos, imported: two of them have the same dataset.json."""

import json

import cv2
import numpy as np
from coco_objects import annotation, document, image

from synthstudio.dataset.reader import Dataset
from synthstudio.formats.imports import import_from


def import_photos(folder, shade, *, empty=None):
    """Import three photos with one person each (none in the photo `empty`); `shade` decides pixels
    and joints. The COCO file stays in FOLDER-coco."""
    source = folder.parent / f"{folder.name}-coco"
    (source / "images").mkdir(parents=True)
    images, people = [], []
    for k in range(3):
        pixels = np.full((48, 64, 3), shade + 10 * k, np.uint8)
        cv2.imwrite(str(source / "images" / f"{k}.png"), pixels)
        images.append(image(k, f"{k}.png", (64, 48)))
        points = [v for j in range(17) for v in (10 + shade % 7 + j, 20, 2)]
        if k != empty:
            people.append(annotation(k, k, points, (8, 8, 40, 30)))
    (source / "annotations.json").write_text(json.dumps(document(images, people)))
    import_from("coco", source / "annotations.json", folder, images=source / "images")
    return Dataset(folder)
