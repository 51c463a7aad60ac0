import json
from typing import get_args

import pytest
from exchange_sets import differences, from_behind, make_set, rows_of
from typer.testing import CliRunner

from synthstudio.api.exchange import SKELETONS
from synthstudio.cli import app
from synthstudio.cli.options import FormatName
from synthstudio.core.errors import FormatError
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from
from synthstudio.formats.joints import TARGETS
from synthstudio.formats.registry import FORMATS


def test_the_commands_know_every_format_and_skeleton() -> None:
    assert list(get_args(FormatName)) == list(FORMATS)
    assert list(SKELETONS) == list(TARGETS)


def test_export_and_import(tmp_path) -> None:
    original = make_set(tmp_path / "set", frames=3)
    out, back = str(tmp_path / "out"), str(tmp_path / "back")
    run = CliRunner().invoke
    made = run(app, ["export", str(tmp_path / "set"), "--format", "yolo", "--out", out, "--json"])
    assert made.exit_code == 0, made.output
    found = json.loads(made.stdout)
    assert found["annotations"].endswith("data.yaml")
    assert found["left_out"] == 1
    made = run(app, ["import", out, "--format", "yolo", "--out", back, "--json"])
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["people"] == original.people
    assert differences(list(original.iter_instances()), rows_of(tmp_path / "back")[1]) == []


@pytest.mark.parametrize("name", ["coco", "yolo"])
def test_faces_left_out_come_back(tmp_path, name) -> None:
    original = make_set(tmp_path / "set", frames=3, look=from_behind)
    made = export(name, original.folder, tmp_path / "out", hidden_faces=False)
    if name == "coco":
        whole = export(name, original.folder, tmp_path / "whole")
        assert labelled(made) < labelled(whole)
    back = import_from(name, tmp_path / "out", tmp_path / "back")
    assert back.edited == 0
    assert differences(list(original.iter_instances()), rows_of(tmp_path / "back")[1]) == []


def labelled(made) -> int:
    entries = [e for file in made.files for e in json.loads(file.read_text())["annotations"]]
    return sum(entry["num_keypoints"] for entry in entries)


def test_another_skeleton(tmp_path) -> None:
    original = make_set(tmp_path / "set", frames=2)
    for skeleton in TARGETS:
        export("yolo", original.folder, tmp_path / skeleton, skeleton=skeleton)
        made = import_from("yolo", tmp_path / skeleton, tmp_path / f"{skeleton}-back")
        assert made.edited == 0
        assert (
            differences(list(original.iter_instances()), rows_of(tmp_path / f"{skeleton}-back")[1])
            == []
        )
    with pytest.raises(FormatError, match="skeleton of its own"):
        export("mpii", original.folder, tmp_path / "x", skeleton="lsp14")
