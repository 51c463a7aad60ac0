"""Photos that were replaced or are gone, sets that were moved, and 500 people in one picture."""

import cv2
import numpy as np
import pytest
from attackers import Browser, api_studio
from imported_photos import import_photos

from synthstudio.core.errors import SynthStudioError
from synthstudio.dataset.reader import Dataset
from synthstudio.review import history
from synthstudio.review.check import base_of
from synthstudio.review.edits import apply
from synthstudio.review.reviewed import export_reviewed
from synthstudio.review.values import Op, Person, User

ADA = User(name="ada", role="admin")


def approve(studio, dataset):
    person = Person(dataset=studio.key, frame=0, instance=1)
    op = Op(client="t", seq=1, person=person, revision=0, kind="status", status="approved")
    apply(studio.store, op, who=ADA, base=base_of(dataset, 0, 1))


def ask(studio, what):
    """A picture as a page of ours asks for it."""
    return Browser(studio, user="ada").ask(f"/api/v1/sets/{studio.key}/{what}")


@pytest.mark.parametrize("how", ["another", "cut", "gone"])
def test_a_photo_replaced_after_its_labels(how, tmp_path):
    """It is not shown under labels of another, nothing is lost, and an export says which it is."""
    dataset = import_photos(tmp_path / "set", 40)
    photo = dataset.image_of(dataset.frame(0))
    with api_studio(tmp_path, dataset.folder) as studio:
        assert ask(studio, "frames/0/image").body == photo.read_bytes()
        approve(studio, dataset)
        if how == "another":
            cv2.imwrite(str(photo), np.zeros((48, 64, 3), np.uint8))
        elif how == "cut":
            photo.write_bytes(photo.read_bytes()[:40])
        else:
            photo.unlink()
        for what in ("frames/0/image", "people/0/1/crop?size=64"):
            answer = ask(studio, what)
            assert answer.status == 404 and b"000000" in answer.body, what
            assert str(tmp_path).encode() not in answer.body
        assert ask(studio, "frames/1/image").status == 200
        with pytest.raises(SynthStudioError, match="000000"):
            export_reviewed(studio.store, Dataset(dataset.folder), tmp_path / "out", form="coco")
        assert not (tmp_path / "out").exists()
        assert history.counts(studio.store, studio.key).status["approved"] == 1


def test_a_set_that_is_moved_and_renamed(tmp_path):
    """What is open says that it is gone; at its new place it has its reviews."""
    dataset = import_photos(tmp_path / "set", 40)
    with api_studio(tmp_path, dataset.folder) as studio:
        approve(studio, dataset)
        moved = tmp_path / "elsewhere" / "renamed"
        moved.parent.mkdir()
        dataset.folder.rename(moved)
        assert ask(studio, "frames/0/image").status == 404
        key = studio.key
    with api_studio(tmp_path, moved) as studio:
        assert studio.key == key and studio.context.sets[key].name == "renamed"
        assert history.counts(studio.store, studio.key).status["approved"] == 1
        assert ask(studio, "frames/0/image").status == 200
