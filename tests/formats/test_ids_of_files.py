"""Image ids of an imported COCO file, through the data set, predictions and the next export."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from coco_objects import annotation, document, image
from PIL import Image

import synthstudio as ss
from synthstudio.core.errors import FormatError
from synthstudio.dataset.matching import without
from synthstudio.dataset.merge import merge_sets
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.coco.file import id_key
from synthstudio.formats.imports import import_from
from synthstudio.review.history import register
from synthstudio.review.imports import import_predictions
from synthstudio.review.store import open_store
from synthstudio.review.values import User

WHO = User(name="ann", role="lead")


def points(person):
    return [v for j in range(17) for v in (10 + 3 * j + person, 20 + 2 * j, 2)]


def coco(root, ids, shade=0):
    images, people = [], []
    for k, number in enumerate(ids):
        Image.new("RGB", (90, 60), (20 * k + shade, 9, 9)).save(root / f"{k}.png")
        images.append(image(number, f"{k}.png", (90, 60)))
        people.append(annotation(k + 1, number, points(k), (5, 5, 80, 50)))
    path = root / "a.json"
    path.write_text(json.dumps(document(images, people)))
    return path


@pytest.mark.parametrize("ids", [[0, 1, 2], [1, 2, 3], [7, 99, 397133], [5, 6, 1099511627770]])
def test_ids_through_the_circle(tmp_path, ids):
    import_from("coco", coco(tmp_path, ids), tmp_path / "set", images=tmp_path)
    dataset = Dataset(tmp_path / "set")
    assert dataset.source_ids() == ({} if ids == [0, 1, 2] else dict(enumerate(ids)))
    results = [
        {"image_id": n, "category_id": 1, "keypoints": points(k), "score": 0.9}
        for k, n in enumerate(ids)
    ]
    path = tmp_path / "results.json"
    with closing(open_store(f"sqlite:///{tmp_path / 'r.db'}")) as store:
        register(store, dataset, "set")
        path.write_text(json.dumps(results[::-1]))
        made = import_predictions(store, dataset, path, layer="net", who=WHO)
        assert (made.frames, made.matched, made.found, made.unknown) == (3, 3, 0, 0)
        path.write_text(json.dumps([{**results[0], "image_id": 12345}]))
        with pytest.raises(FormatError, match=f"image ids such as {ids[0]}"):
            import_predictions(store, dataset, path, layer="net", who=WHO)
    first = ss.export(ss.Dataset(tmp_path / "set"), "coco", tmp_path / "out")
    value = json.loads(first.annotations.read_text())
    assert [image["id"] for image in value["images"]] == ids
    assert [one["image_id"] for one in value["annotations"]] == ids
    part = ss.export(ss.Dataset(tmp_path / "set")[1:], "coco", tmp_path / "part")
    assert [i["id"] for i in json.loads(part.annotations.read_text())["images"]] == ids[1:]
    import_from("coco", tmp_path / "out", tmp_path / "again")
    assert Dataset(tmp_path / "again").source_ids() == dataset.source_ids()
    again = ss.export(ss.Dataset(tmp_path / "again"), "coco", tmp_path / "out2")
    assert again.annotations.read_bytes() == first.annotations.read_bytes()


@pytest.mark.parametrize(
    ("value", "key"),
    [(7, 7), (7.0, 7), ("7", "7"), ("a", "a"), (None, "null"), (2**70, str(2**70))],
)
def test_ids_are_names(value, key):
    assert id_key(value) == key


def test_ids_of_derived_sets_and_of_new_people(tmp_path):
    file = coco(tmp_path, ["a", 7, 2**40])
    value = json.loads(file.read_text())
    for entry, number in zip(value["annotations"], ("p", 90, 4), strict=True):
        entry["id"] = number
    file.write_text(json.dumps(value))
    import_from("coco", file, tmp_path / "set")
    part = without(Dataset(tmp_path / "set"), {0}, tmp_path / "part")
    other = import_from("coco", coco(tmp_path, [1, 2, 3], shade=100), tmp_path / "other").folder
    merged = merge_sets([Dataset(part.place), Dataset(other)], tmp_path / "merged")
    for folder, images, people in (
        (part.place, [7, 2**40], [90, 4]),
        (merged.place, [7, 2**40, 1, 2, 3], [90, 4, 1, 2, 3]),
    ):
        out = ss.export(ss.Dataset(folder), "coco", tmp_path / f"{Path(folder).name}-coco")
        written = json.loads(out.annotations.read_text())
        assert [image["id"] for image in written["images"]] == images
        assert [entry["id"] for entry in written["annotations"]] == people
