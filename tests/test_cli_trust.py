"""validate, report, diff, filter, split and merge --sets from the command line."""

import json

import numpy as np
import painted_frames
import pytest
from coco_objects import write_coco
from command_line import refusal, run, run_json
from stick_people import make_frame

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import pair_rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("trust") / "set"
    painted_frames.write_set(out, [make_frame(i) for i in range(8)], seed=1)
    return out


@pytest.fixture
def coco(folder, tmp_path):
    opened = Dataset(folder)
    samples = pair_rows(opened.iter_frames(), opened.iter_instances())
    write_coco(samples, tmp_path / "a.json", skeleton=get_skeleton("coco17"))
    return tmp_path / "a.json"


def test_validate_says_what_is_wrong_by_its_status(coco, folder, tmp_path):
    clean = run_json("validate", coco, "--no-pictures")
    assert clean["errors"] == 0 and clean["people"] == 16
    doc = json.loads(coco.read_text())
    doc["annotations"][0]["keypoints"][0] = float("nan")
    doc["annotations"][0]["keypoints"][2] = 2
    doc["annotations"][1]["area"] = 1
    bad, page, mended = (tmp_path / name for name in ("bad.json", "r.html", "mended.json"))
    bad.write_text(json.dumps(doc))
    words = ("validate", bad, "--no-pictures", "--fix", mended)
    found = run_json(*words, "--report", page, code=1)
    assert {"not_finite", "area"} <= set(found["kinds"])
    assert found["repaired"]["kinds"]["area"] == 1
    assert page.stat().st_size > 1000
    assert np.isnan(json.loads(bad.read_text())["annotations"][0]["keypoints"][0])
    left = run_json("validate", mended, "--no-pictures", code=1)
    assert set(left["kinds"]) == {"fields_disagree"}  # v against our own state: a person's matter
    run("validate", coco, code=1)  # no pictures beside it
    run(*words, code=1)
    found = run_json("validate", folder, code=1)
    assert found["kinds"]["image_broken"]["count"] == 8
    run("validate", folder, "--images", tmp_path, code=2)


def test_filter_counts_and_writes(folder, tmp_path):
    counted = run_json("filter", folder, "any wrist hidden by object", "--count")
    made = run_json("filter", folder, "any wrist hidden by object", "--out", tmp_path / "out")
    assert made["frames"] == counted["frames"] > 0
    assert run_json("filter", folder, "frame < 2", "--out", tmp_path / "p", "--keep-people")
    assert "occluded" in run("filter", "--fields").stdout
    assert "Did you mean wrist" in refusal("filter", folder, "any wrst hidden", "--count")
    run("filter", folder, "frame < 2", code=2)
    run("filter", folder, "--count", code=2)


def test_split_merge_and_diff(folder, tmp_path):
    table, by = tmp_path / "splits.csv", ("--by", "group")
    fractions = ("--fractions", "0.5,0.25,0.25", "--table", table, "--out", tmp_path / "split")
    made = run_json("split", folder, *by, *fractions)
    frames = {name: row["frames"] for name, row in made["splits"].items()}
    assert frames == {"train": 4, "val": 2, "test": 2}
    assert run_json("split", folder, *by, "--check", "--table", table)["leaks"] == []
    assert run_json("split", tmp_path / "split", "--by", "identity", "--check", code=1)["leaks"]
    run("split", folder, "--fractions", "most", code=2)
    for words in (("split", folder, *by, "--out"), ("validate", folder, "--fix")):
        assert refusal(*words, tmp_path / "split").endswith("here. Choose another location.")
    assert "Continue it with" in refusal("merge", "--sets", folder, "--out", tmp_path / "split")
    a, b = tmp_path / "a", tmp_path / "b"
    run("filter", folder, "frame < 5", "--out", a)
    run("filter", folder, "frame >= 5", "--out", b)
    assert run_json("merge", "--sets", a, b, "--out", tmp_path / "joined")["frames"] == 8
    found = run_json("diff", folder, tmp_path / "joined")
    assert found["counts"]["people"] == [16, 16] and found["distances"]["causes"] == 0
    assert "joints whose rate differs" in run("diff", folder, a).stdout
