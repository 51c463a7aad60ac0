"""Where YOLO folders have their pictures."""

import asset_roots
import numpy as np
import pytest
import yaml

from synthstudio.formats.imports import import_from

LINE = "0 0.5 0.5 0.4 0.4" + " 0.5 0.5 2" * 17


READ = {  # pictures, of which the first is read; fields of data.yaml; the line of its person
    "path with old folders beside it": (
        ("images/train/a.jpg", "v2/images/train/b.jpg"), {"path": "./v2"}, LINE),
    "roboflow": (("train/images/a.jpg",), {"train": "../train/images"}, LINE),
    "rounded beyond the side": (
        ("images/train/a.jpg",), {}, LINE.replace(" 0.5 0.5 2", " 1.004 0.5 1", 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_what_is_read(name, tmp_path):
    pictures, head, line = READ[name]
    for picture in pictures:
        label = (tmp_path / "in" / picture.replace("images/", "labels/")).with_suffix(".txt")
        asset_roots.save(tmp_path / "in" / picture, np.zeros((48, 64, 3), np.uint8))
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(line)
    config = {"kpt_shape": [17, 3], "train": "images/train", "names": ["person"], **head}
    (tmp_path / "in" / "data.yaml").write_text(yaml.safe_dump(config))
    made = import_from("yolo", tmp_path / "in", tmp_path / "out")
    assert (made.frames, made.people, made.notes) == (1, 1, [])
