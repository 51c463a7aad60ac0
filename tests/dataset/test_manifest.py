"""dataset.json: the same identity gives the same bytes, and another one is told apart."""

import dataclasses
import getpass
import json
import socket
from pathlib import Path

import fake_frames
import pytest

from synthstudio.core.errors import DatasetError
from synthstudio.dataset import manifest


def test_reading_gives_what_was_written_and_writing_again_the_same_bytes(tmp_path):
    made = fake_frames.identity()
    first = manifest.to_bytes(made)
    (tmp_path / "dataset.json").write_bytes(first)
    read = manifest.read_identity(tmp_path)
    assert manifest.to_bytes(read) == first
    assert manifest.identity_differences(made, read) == []
    assert first.endswith(b"}\n")
    a = fake_frames.identity(recipe={"a": 1, "b": {"c": 2, "d": 3}})
    b = fake_frames.identity(recipe={"b": {"d": 3, "c": 2}, "a": 1})
    assert manifest.to_bytes(a) == manifest.to_bytes(b)  # the order of keys does not matter


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"seed": 7}, "seed: had 1, wants 7"),
        ({"frames": 9}, "frames: had 10, wants 9"),
        ({"recipe": {"people": {"low": 2, "high": 3}, "occluders": []}}, "recipe.people.low: had"),
        ({"recipe": {"people": {"low": 1, "high": 3}, "occluders": ["box"]}}, "recipe.occluders"),
        ({"recipe": {"people": {"low": 1, "high": 3}}}, "recipe.occluders (length): had 0"),
        ({"assets": ()}, "assets[0].sha256: had 'abab"),
        ({"versions": {"synthstudio": "0.2.0", "numpy": "2.0"}}, "versions.synthstudio: had"),
        ({"machine": {"cpu": "a cpu", "flags": "", "device": "cpu"}}, "machine.flags: had 'avx2'"),
        ({"conventions": {}}, "conventions.pixels"),
    ],
)
def test_each_difference_is_named(changes, line):
    lines = manifest.identity_differences(fake_frames.identity(), fake_frames.identity(**changes))
    assert any(found.startswith(line) for found in lines), lines
    longer = fake_frames.identity(frames=300)  # more frames are no difference
    assert manifest.identity_differences(fake_frames.identity(), longer) == []


def test_frames_of_covers_every_frame_once():
    for frames in (1, 3, 4, 5, 8, 9):
        made = fake_frames.identity(frames=frames)
        covered = [i for shard in range(made.shards) for i in made.frames_of(shard)]
        assert covered == list(range(frames))
    with pytest.raises(DatasetError, match=r"frames: .* expected 1 or more; got 0"):
        fake_frames.identity(frames=0)


def test_versions_and_machine_name_no_host_user_or_path():
    versions, machine = manifest.package_versions(), manifest.machine_kind("cpu")
    assert versions["numpy"][0].isdigit() and versions["torch"].startswith("2.13.0")
    assert machine["device"] == "cpu" and machine["cpu"]
    assert versions == manifest.package_versions() and machine == manifest.machine_kind("cpu")
    text = json.dumps([versions, machine])
    for secret in (socket.gethostname(), str(Path.cwd())):
        assert secret not in text
    assert f'"{getpass.getuser()}"' not in text


DAMAGED = [
    ({"format_version": 99}, "another format"),
    ({"format_version": 1}, "another format"),
    ({"seed": "one"}, "seed as int"),
    ({"frames": True}, "frames as int"),
    ({"frames": 0}, "at least one frame"),
    ({"assets": [{"name": "x"}]}, "assets with"),
    ({"surplus": 1}, "the fields"),
]


def test_a_damaged_identity_is_one_message_and_nothing_is_no_data_set(tmp_path):
    whole = dataclasses.asdict(fake_frames.identity())
    for change, message in DAMAGED:
        (tmp_path / "dataset.json").write_text(json.dumps(whole | change))
        with pytest.raises(DatasetError, match=message):
            manifest.read_identity(tmp_path)
    (tmp_path / "dataset.json").unlink()
    with pytest.raises(DatasetError, match="not a data set"):
        manifest.read_identity(tmp_path)
    for data in (b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000):
        (tmp_path / "dataset.json").write_bytes(data)
        with pytest.raises(DatasetError, match="damaged"):
            manifest.read_identity(tmp_path)
