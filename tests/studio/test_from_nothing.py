"""`benchmarks.from_nothing` on drawn photos: by mouse and keys alone, exported as it was meant."""

import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from reviewing import sit_down

from benchmarks import from_nothing
from benchmarks.annotator import Annotator, Hands, Label, Somebody
from synthstudio.api.exchange import import_photos
from synthstudio.api.review import import_predictions
from synthstudio.core.images import encode_jpeg
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.review.reviewed import export_reviewed
from synthstudio.review.store import open_store

SKELETON = get_skeleton("coco17")
SIZE = (320, 240)


def somebody(left, top, w, h, **causes):
    """A person whose joints zigzag down through a box; `causes`: joint -> what hides it."""
    joints = {}
    for j, name in enumerate(SKELETON.joints):
        cause = causes.get(name, "visible")
        at = (left + w * (0.3 + 0.4 * (j % 2)), top + h * (0.02 + 0.055 * j))
        joints[name] = Label(at=None if cause == "unlabelled" else at, cause=cause)
    return Somebody(box=(left, top, w, h), joints=joints)


def moved(one, **places):
    """The same person with some joints elsewhere."""
    joints = {n: replace(label, at=places.get(n, label.at)) for n, label in one.joints.items()}
    return replace(one, joints=joints)


ARM = dict.fromkeys(("left_shoulder", "left_elbow", "left_wrist"), "object")
GONE = dict.fromkeys(("left_ankle", "right_ankle", "right_ear"), "unlabelled")
PHOTOS = (
    (  # boxes that overlap, somebody cut by the edge, two joints at one place
        somebody(40.5, 20.5, 90.0, 200.0, **ARM, **GONE),
        moved(
            somebody(0.0, 60.0, 70.0, 180.0, nose="self", left_eye="self", left_knee="person"),
            left_hip=(0.5, 120.5), right_hip=(0.5, 120.5), right_ankle=(30.5, 239.5),
        ),
    ),
    (somebody(200.5, 100.5, 14.0, 34.0, **GONE),),  # tiny
    (somebody(100.0, 30.0, 90.0, 190.0, **ARM, **GONE),),
)  # fmt: skip
WAYS = ("clicks", "drags", "ghosts")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """The photos as a data set, and what a network says of the last: some of it 12 px off."""
    folder = tmp_path_factory.mktemp("nothing")
    (folder / "photos").mkdir()
    for k in range(len(PHOTOS)):
        shades = (np.arange(SIZE[0])[None, :] * (k + 2) + np.arange(SIZE[1])[:, None]) % 160
        pixels = np.repeat(shades[..., None], 3, axis=2).astype(np.uint8)
        (folder / "photos" / f"{k}.jpg").write_bytes(encode_jpeg(pixels, 90))
    import_photos(folder / "photos", folder / "set")
    flat = []
    for j, label in enumerate(PHOTOS[2][0].joints.values()):
        x, y = label.at or (140.0, 200.0)
        flat += [x - 0.5 + (12.0 if j % 4 == 3 else 1.0), y - 0.5, 0.8]
    entry = {"image_id": 2, "category_id": 1, "score": 0.9, "keypoints": flat}
    (folder / "results.json").write_text(json.dumps([entry]))
    return folder


@pytest.mark.nightly("a long journey by mouse and keys")
@pytest.mark.browser
def test_drawn_photos_are_exported_as_they_were_meant(start_studio, photos, page, open_as):
    studio = start_studio(photos / "set")
    db = f"sqlite:///{studio.db}"
    import_predictions(photos / "set", photos / "results.json", layer="net", db=db)
    sit_down(open_as, page, studio, "review")
    hand = Annotator(page, SKELETON, Hands(page))
    shown = [
        from_nothing.Photo(name=f"{k}.jpg", size=SIZE, people=people)
        for k, people in enumerate(PHOTOS)
    ]
    meant, steps = [], {}
    for number, (photo, way) in enumerate(zip(shown, WAYS, strict=True)):
        before = hand.hands.seconds
        meant.append(from_nothing.annotate_photo(hand, number, photo, way))
        steps[way] = (hand.hands.seconds - before) / len(photo.people)
    hand.saved()
    out = photos / "export"
    with closing(open_store(db)) as store:
        export_reviewed(store, Dataset(photos / "set"), out, form="coco", only="approved")
    assert from_nothing.compare(out, meant) == []
    assert max(from_nothing.far_px(shown, meant)) < from_nothing.NEAR_PX
    assert steps["ghosts"] < steps["clicks"] < steps["drags"]
    (file,) = (out / "annotations").glob("*.json")
    entries = json.loads(file.read_text())["annotations"]
    assert {o for e in entries if e["image_id"] == 2 for o in e["origin"]} == {"human", "predicted"}
    wrong = replace(meant[0][0], joints=meant[0][0].joints | {"nose": Label(at=None, cause="self")})
    assert len(from_nothing.compare(out, [[wrong, *meant[0][1:]], *meant[1:]])) == 1
