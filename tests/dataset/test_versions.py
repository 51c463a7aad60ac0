"""Data sets of format 2, which lack rotation centres: read, resumed and derived from."""

import dataclasses
import json
import shutil
from pathlib import Path

import fake_frames
import numpy as np
import pyarrow.parquet as pq
import pytest

from synthstudio.core.errors import DatasetError
from synthstudio.dataset import rows
from synthstudio.dataset.filter import filter_dataset, query_of
from synthstudio.dataset.manifest import MANIFEST_NAME, Identity, read_identity
from synthstudio.dataset.people import kinematic_camera_m
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import KINEMATIC
from synthstudio.dataset.shards import hashed_files, write_shard
from synthstudio.dataset.versions import instance_schema
from synthstudio.dataset.writer import open_or_create

FRAMES = 10


def identity(version: int = 2) -> Identity:
    return dataclasses.replace(fake_frames.identity(frames=FRAMES), format_version=version)


def make(out: Path, wanted: Identity, *, shards: int = 99, resume: bool = False) -> Path:
    with open_or_create(out, wanted, resume=resume) as session:
        for shard in session.todo[:shards]:
            made = [fake_frames.frame(i) for i in session.identity.frames_of(shard)]
            version = session.identity.format_version
            session.publish(write_shard(out, shard, made, format_version=version))
        if not session.todo:
            session.finish()
    return out


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("old") / "set", identity())


def test_its_files_are_those_of_format_2(old):
    table = pq.read_schema(old / "shards/00000/instances.parquet")
    assert KINEMATIC not in table.names
    assert table.equals(instance_schema(2))
    assert read_identity(old).format_version == 2


def test_what_it_lacks_is_null_and_nan(old):
    dataset = Dataset(old)
    made = [fake_frames.frame(i) for i in range(FRAMES)]
    wanted = [{**row, KINEMATIC: None} for f in made for row in rows.instance_rows(f)]
    assert list(dataset.iter_instances()) == wanted
    assert [row for i in range(FRAMES) for row in dataset.instances(i)] == wanted
    assert list(dataset.iter_instances([KINEMATIC])) == [{KINEMATIC: None}] * len(wanted)
    first = next(dataset.iter_instances([KINEMATIC, "instance"]))
    assert first == {KINEMATIC: None, "instance": 1}
    label = rows.person_from_row(wanted[0])
    assert np.isnan(label.kinematic_joints_world_m).all()
    assert np.isnan(kinematic_camera_m(wanted[0], dataset.frame(0))).all()


def test_resuming_it_gives_the_bytes_of_an_unbroken_old_run(old, tmp_path):
    cut = make(tmp_path / "set", identity(), shards=1)
    assert not (cut / "index.json").exists()
    make(cut, identity(version=3), resume=True)  # today's code asks for today's format
    assert hashed_files(cut) == hashed_files(old)
    assert read_identity(cut).format_version == 2


def test_sets_made_of_it_are_of_today(old, tmp_path):
    dataset = Dataset(old)
    made = filter_dataset(dataset, query_of(dataset, "nose hidden"), tmp_path / "out")
    assert made.people
    assert made.identity.format_version == 3
    assert all(row[KINEMATIC] is None for row in made.iter_instances([KINEMATIC]))
    assert not list(made.verify())


def test_an_unknown_format_is_refused(old, tmp_path):
    shutil.copytree(old, tmp_path / "set")
    path = tmp_path / "set" / MANIFEST_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 4}))
    with pytest.raises(DatasetError, match="format_version 2 or 3"):
        Dataset(tmp_path / "set")
