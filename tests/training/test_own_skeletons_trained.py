"""Networks learn joints of one's own: trained, evaluated, exported and used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
from own_skeleton_sets import JOINTS, horse_set, points

import synthstudio as ss
from synthstudio.inference.onnx_model import OnnxModel
from synthstudio.training.data.crops import crop_dataset


@pytest.fixture(scope="module")
def horses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return horse_set(tmp_path_factory.mktemp("horses"), 8).folder


def test_a_run_on_own_joints_is_used_like_others(horses: Path, tmp_path: Path) -> None:
    sources = {"train": [{"dataset": str(horses)}], "val": [{"dataset": str(horses)}]}
    settings = tiny.config(horses, **sources, losses={"agreement": 0})
    tiny.run(settings, tmp_path / "run")
    model = ss.Model.load(tmp_path / "run", device="cpu")
    skeleton = ss.Dataset(horses).skeleton
    assert model.skeleton.name == skeleton.name and list(model.skeleton.joints) == JOINTS
    assert "horse" in repr(model)

    found = ss.evaluate(
        tmp_path / "run", horses, out=tmp_path / "found", device="cpu", workers=1, progress=False
    )
    assert found.metrics is not None

    model.export(tmp_path / "net.onnx")
    exported = OnnxModel.load(tmp_path / "net.onnx", device="cpu")
    assert exported.skeleton.name == skeleton.name
    picture = ss.Dataset(horses)[0].image
    people = exported.skeleton.joints, model.predict(picture, boxes=[[10.0, 10.0, 140.0, 100.0]])
    assert len(people[0]) == 9 and people[1]


def test_crops_of_them_have_their_places(horses: Path, tmp_path: Path) -> None:
    taken = crop_dataset(horses, size=(48, 36), cache=tmp_path, progress=lambda done, total: None)
    assert list(taken.skeleton.joints) == JOINTS
    assert np.isfinite(points(1)).all()
