"""What the tests of the gap share."""

import json
import shutil

import cv2
import pytest
from gap_world import make

from synthstudio.core.images import read_rgb


@pytest.fixture(scope="module")
def gap_world(once):
    """A data set of cameras that roll and pitch, and its own export as photos."""
    return once("gap-world", make)


@pytest.fixture
def gap_photos(gap_world, tmp_path):
    def change(labels=None, pixels=None):
        told = json.loads((gap_world / "coco/photos.json").read_text())
        plain = ("id", "image_id", "category_id", "iscrowd", "bbox", "area", "keypoints")
        told["annotations"] = [  # as others write them: no rows of ours beside
            {name: entry[name] for name in plain} | {"segmentation": []}
            for entry in told["annotations"]
        ]
        if labels is not None:
            labels(told)
        images = tmp_path / "images"
        shutil.copytree(gap_world / "coco/images/train", images)
        for path in sorted(images.iterdir()) if pixels is not None else ():
            cv2.imwrite(str(path), pixels(read_rgb(path)[..., ::-1]))
        file = tmp_path / "photos.json"
        file.write_text(json.dumps(told))
        return file, images

    return change
