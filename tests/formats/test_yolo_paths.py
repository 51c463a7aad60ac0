"""Where YOLO folders have their pictures."""

import pytest
import yaml
from PIL import Image

from synthstudio.formats.imports import import_from

LINE = "0 0.5 0.5 0.4 0.4" + " 0.5 0.5 2" * 17


def taken(tmp_path, *names, head=None, text=LINE):
    """Import a folder with a picture and a label file for each name below its images folder."""
    root = tmp_path / "in"
    for name in names or ("images/train/a.jpg",):
        label = name.replace("images/", "labels/")
        for path in (root / name, root / label):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48)).save(root / name, "JPEG")
        (root / label).with_suffix(".txt").write_text(text, "utf-8")
    config = {"kpt_shape": [17, 3], "train": "images/train", "names": ["person"], **(head or {})}
    (root / "data.yaml").write_text(yaml.safe_dump(config))
    return import_from("yolo", root, tmp_path / "out")


READ = {
    "path with old folders beside it": (
        {"names": ("images/train/a.jpg", "v2/images/train/b.jpg"), "head": {"path": "./v2"}},
        1,
    ),
    "roboflow": ({"names": ("train/images/a.jpg",), "head": {"train": "../train/images"}}, 1),
    "rounded beyond the side": ({"text": LINE.replace(" 0.5 0.5 2", " 1.004 0.5 1", 1)}, 1),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_read(name, tmp_path):
    given, count = READ[name]
    given = dict(given)
    made = taken(tmp_path, *given.pop("names", ()), **given)
    assert (made.frames, made.people, made.notes) == (count, count, [])
