"""What the first reading of a COCO file only scans is still parsed before it counts."""

import json

import pytest
from PIL import Image

from synthstudio.core.errors import FormatError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.formats.coco.file import RawCoco
from synthstudio.formats.imports import import_from

CATEGORIES = [
    {"id": 1, "name": "person", "keypoints": list(get_skeleton("coco17").joints)},
    {"id": 2, "name": "dog"},
]


def written(folder, old="", new="") -> None:
    Image.new("RGB", (80, 60)).save(folder / "a.jpg")
    person = {
        "id": 1, "image_id": 5, "category_id": 1, "iscrowd": 0, "area": 99,
        "bbox": [10, 20, 18, 18], "keypoints": [10, 20, 2] * 17,
    }  # fmt: skip
    dog = {"id": 2, "image_id": 5, "category_id": 2, "iscrowd": 0, "area": 77}
    image = {"id": 5, "file_name": "a.jpg", "width": 80, "height": 60}
    data = {"annotations": [person, dog], "images": [image], "categories": CATEGORIES}
    text = json.dumps(data, separators=(",", ":"))
    assert old in text
    (folder / "a.json").write_text(text.replace(old, new))


def test_the_file_as_it_is(tmp_path) -> None:
    written(tmp_path)
    made = import_from("coco", tmp_path / "a.json", tmp_path / "out")
    assert made.people == 1
    assert any("1 x annotation of category dog" in note for note in made.notes)


@pytest.mark.parametrize("old", ["99", "77"], ids=["a person", "what is left out"])
@pytest.mark.parametrize("new", ["09", "1,", '1,"area":2', '"\t"', "[", "1]", '"\\ud800"'])
def test_what_is_no_json_is_refused(old, new, tmp_path) -> None:
    written(tmp_path, f'"area":{old}', f'"area":{new}')
    with pytest.raises(FormatError, match="no JSON"):
        import_from("coco", tmp_path / "a.json", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_validate_refuses_it_too(tmp_path) -> None:
    written(tmp_path, '"area":99', '"area":09')
    with RawCoco(tmp_path / "a.json") as source, pytest.raises(FormatError, match="no JSON"):
        list(source.annotations())
