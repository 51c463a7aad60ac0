"""Photos that were replaced or are gone, sets that were moved, and 500 people in one picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from attackers import api_studio
from imported_photos import import_photos

from synthstudio.core.errors import SynthStudioError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.imports import import_from
from synthstudio.review import history
from synthstudio.review.check import base_of
from synthstudio.review.edits import apply
from synthstudio.review.reviewed import export_reviewed
from synthstudio.review.values import Op, Person, User
from synthstudio.studio import frame_rows
from synthstudio.studio.access import Grant
from synthstudio.studio.editor import window

ADA = User(name="ada", role="admin")


def approve(studio: Any, dataset: Dataset) -> None:
    person = Person(dataset=studio.key, frame=0, instance=1)
    op = Op(client="t", seq=1, person=person, revision=0, kind="status", status="approved")
    apply(studio.store, op, who=ADA, base=base_of(dataset, 0, 1))


def ask(studio: Any, **values: Any) -> Any:
    """A picture as a page of ours asks for it."""
    tokens = studio.context.tokens
    cookie = tokens.new_browser()
    grant = Grant(dataset=studio.key, user="ada", browser=tokens.browser(cookie), **values)
    studio.http.cookies.clear()
    headers = {"Cookie": f"{tokens.cookie}={cookie}"}
    return studio.http.get(f"/img/{tokens.token(grant)}", headers=headers)


@pytest.mark.parametrize("how", ["another", "cut", "gone"])
def test_a_photo_replaced_after_its_labels(how: str, tmp_path: Path) -> None:
    """It is not shown under labels of another, nothing is lost, and an export says which it is."""
    dataset = import_photos(tmp_path / "set", 40)
    photo = dataset.image_of(dataset.frame(0))
    with api_studio(tmp_path, dataset.folder) as studio:
        assert ask(studio, kind="image", frame=0).content == photo.read_bytes()
        approve(studio, dataset)
        if how == "another":
            cv2.imwrite(str(photo), np.zeros((48, 64, 3), np.uint8))
        elif how == "cut":
            photo.write_bytes(photo.read_bytes()[:40])
        else:
            photo.unlink()
        for more in ({"kind": "image"}, {"kind": "crop", "instance": 1, "size": 64}):
            answer = ask(studio, frame=0, **more)
            assert (answer.status_code, answer.text) == (404, "not found\n"), more
        assert ask(studio, kind="image", frame=1).status_code == 200
        assert "with 404" in studio.log() and "000000" in studio.log()
        with pytest.raises(SynthStudioError, match="000000"):
            export_reviewed(studio.store, Dataset(dataset.folder), tmp_path / "out", form="coco")
        assert not (tmp_path / "out").exists()
        assert history.counts(studio.store, studio.key).status["approved"] == 1


def test_a_set_that_is_moved_and_renamed(tmp_path: Path) -> None:
    """What is open says that it is gone; at its new place it has its reviews."""
    dataset = import_photos(tmp_path / "set", 40)
    with api_studio(tmp_path, dataset.folder) as studio:
        approve(studio, dataset)
        moved = tmp_path / "elsewhere" / "renamed"
        moved.parent.mkdir()
        dataset.folder.rename(moved)
        answer = ask(studio, kind="image", frame=0)
        assert (answer.status_code, answer.text) == (404, "not found\n")
        key = studio.key
    with api_studio(tmp_path, moved) as studio:
        assert studio.key == key and studio.context.sets[key].name == "renamed"
        assert history.counts(studio.store, studio.key).status["approved"] == 1
        assert ask(studio, kind="image", frame=0).status_code == 200


def crowd(folder: Path, count: int) -> Path:
    """A COCO file of one photo with so many people."""
    folder.mkdir()
    cv2.imwrite(str(folder / "0.png"), np.full((480, 640, 3), 60, np.uint8))
    people = []
    for k in range(count):
        x, y = 8 + k % 25 * 24, 8 + k // 25 * 11
        joints = [value for j in range(17) for value in (x + j, y + j % 9, 2)]
        one = {"id": k, "image_id": 0, "category_id": 1, "bbox": [x, y, 20, 10], "area": 150}
        people.append(one | {"iscrowd": 0, "num_keypoints": 17, "keypoints": joints})
    joints = list(get_skeleton("coco17").joints)
    value = {
        "images": [{"id": 0, "file_name": "0.png", "width": 640, "height": 480}],
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": joints, "skeleton": []}],
    }
    (folder / "file.json").write_text(json.dumps(value))
    return folder / "file.json"


def test_500_people_in_a_frame(tmp_path: Path) -> None:
    """A window of the editor has each once: it grows with the people, not with their square."""
    file = crowd(tmp_path / "coco", 500)
    import_from("coco", file, tmp_path / "set", images=file.parent)
    dataset = Dataset(tmp_path / "set")
    assert dataset.people == 500
    with api_studio(tmp_path, dataset.folder) as studio:
        frames = frame_rows.Frames(dataset, get_skeleton("coco17"))
        listed = [(0, 1 + k) for k in range(sum(window.span(0, 500)))]
        found = window.items(
            studio.store,
            studio.key,
            frames,
            window.Stretch(start=0, people=listed),
            who=ADA,
            url=lambda kind, frame: f"/img/{kind}-{frame}",
            clean_of=lambda frame: None,
        )
        listings = [one["people"] for one in found]
        assert len(listings[0]) == 500 and listings[1:] == [None] * (len(found) - 1)
        assert len(json.dumps(found)) < 2e6
        approve(studio, dataset)
        export_reviewed(studio.store, dataset, tmp_path / "out", form="coco", only="all")
