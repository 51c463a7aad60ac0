"""Sets and exports made before rows had rotation centres."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exchange_sets import make_set

from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import KINEMATIC
from synthstudio.dataset.versions import instance_schema
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from
from synthstudio.formats.registry import FORMATS
from synthstudio.quality.validate import validate_dataset
from synthstudio.training.data.crops import crop_dataset


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_set(tmp_path_factory.mktemp("old") / "set", format_version=2)


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_set(tmp_path_factory.mktemp("new") / "set")


@pytest.mark.parametrize("name", FORMATS)
def test_an_old_set_goes_through_every_format(name: str, old: Dataset, tmp_path: Path) -> None:
    made = export(name, old.folder, tmp_path / "out")
    import_from(name, made.annotations, tmp_path / "again")
    for row in Dataset(tmp_path / "again").iter_instances():
        assert row[KINEMATIC] is None


def test_human36m_holds_the_centres(new: Dataset, tmp_path: Path) -> None:
    made = export("h36m", new.folder, tmp_path / "out")
    arrays = np.load(made.annotations, allow_pickle=False)
    knee = arrays["joint_names"].tolist().index("left_knee")
    j = 3 * new.skeleton.joints.index("left_knee")
    held = 0
    for frame in new.iter_frames():
        m = np.reshape(frame["world_to_camera"], (4, 4))
        name = frame["file_name"]
        found = arrays["positions_3d"][arrays["image"] == name, knee]
        centres = [
            m[:3, :3] @ person[KINEMATIC][j : j + 3] + m[:3, 3]
            for person in new.instances(frame["index"])
        ]
        for place in found:
            assert min(np.abs(place - centre).max() for centre in centres) < 1e-9
        held += len(found)
    assert held == len(arrays["image"]) > 0


def test_human36m_says_when_there_are_none(old: Dataset, new: Dataset, tmp_path: Path) -> None:
    notes = export("h36m", old.folder, tmp_path / "old").notes
    assert any(note.startswith(f"3D joints of {old.people} people are NaN") for note in notes)
    assert not any("NaN" in note for note in export("h36m", new.folder, tmp_path / "new").notes)


def test_exports_of_before_are_read(new: Dataset, tmp_path: Path) -> None:
    """A COCO file and a sidecar without the centres, as earlier versions wrote them."""
    made = export("coco", new.folder, tmp_path / "out")
    for file in made.files:
        value = json.loads(file.read_text())
        for entry in value["annotations"]:
            del entry["keypoints_3d_kinematic_world_m"]
        file.write_text(json.dumps(value))
    side = tmp_path / "out" / "synthstudio"
    table = pq.read_table(side / "instances.parquet")
    pq.write_table(
        pa.Table.from_pylist(table.to_pylist(), instance_schema(2)), side / "instances.parquet"
    )
    head = json.loads((side / "sidecar.json").read_text())
    head["format_version"] = head["identity"]["format_version"] = 2
    (side / "sidecar.json").write_text(json.dumps(head))
    import_from("coco", made.annotations, tmp_path / "again")
    again = list(Dataset(tmp_path / "again").iter_instances())
    assert len(again) == new.people and all(row[KINEMATIC] is None for row in again)
    assert [r["joints_world_m"] for r in again] == [
        r["joints_world_m"] for r in new.iter_instances()
    ]


def test_checks_take_an_old_set(old: Dataset, new: Dataset) -> None:
    a, b = (validate_dataset(dataset).findings.counts for dataset in (old, new))
    assert a == b


def test_people_of_an_old_set_have_no_centres(old: Dataset, new: Dataset) -> None:
    lost, had = (dataset.people_of(0) for dataset in (old, new))
    assert lost.kinematic_joints_world_m.shape == had.joints_world_m.shape
    assert np.isnan(lost.kinematic_joints_world_m).all()
    assert np.isfinite(had.kinematic_joints_world_m).all()


def test_training_says_what_is_missing(old: Dataset, new: Dataset, tmp_path: Path) -> None:
    def notes(dataset: Dataset, joints_3d: str) -> str:
        return "\n".join(
            crop_dataset(
                dataset.folder,
                size=(48, 36),
                cache=tmp_path,
                progress=lambda done, total: None,
                joints_3d=joints_3d,  # type: ignore[arg-type]
            ).notes
        )

    assert "lack kinematic_joints_world_m" in notes(old, "kinematic")
    assert "joints_3d: regressed" in notes(old, "kinematic")
    for dataset, kind in ((old, "regressed"), (new, "kinematic"), (new, "regressed")):
        assert "kinematic" not in notes(dataset, kind)


def test_which_joints_are_learnt(new: Dataset, tmp_path: Path) -> None:
    def xyz(kind: str) -> np.ndarray:
        source = crop_dataset(
            new.folder,
            size=(48, 36),
            cache=tmp_path,
            progress=lambda done, total: None,
            joints_3d=kind,  # type: ignore[arg-type]
        )
        assert np.isfinite(source.crops.xyz_m).all()
        return source.crops.xyz_m

    regressed, kinematic = xyz("regressed"), xyz("kinematic")
    hips = [new.skeleton.joints.index(f"{side}_hip") for side in ("left", "right")]
    for places in (regressed, kinematic):
        assert np.abs(places[:, hips].mean(1)).max() < 1e-6
    assert np.allclose(kinematic, 1.02 * regressed, atol=1e-5)  # as stick_people makes them
