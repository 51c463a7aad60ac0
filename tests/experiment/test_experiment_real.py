"""The whole experiment on small generated pictures: its folder, killing it, and what it refuses."""

import json
import os
import re
import shutil
import subprocess
import sys

import asset_roots
import command_line
import experiment_world as world
import pytest
import torch
from waiting import wait_for

from synthstudio.core.errors import DiskError, ModelError, SynthStudioError
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation import storage
from synthstudio.experiment.results import PARTS

PHOTOS, STEPS = 9, 2
ARMS = {"orn", "orn-occlude", "kpe", "kpe-occlude"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    torch.set_num_threads(1)  # as the killed process has: sums depend on it
    base = tmp_path_factory.mktemp("experiment")
    world.write(base / "set", PHOTOS)
    asset_roots.cutouts(base / "cutouts")
    return base


def call(root, out, **changes):
    asked = {
        "annotations": root / "set/coco.json", "images": root / "set/images", "out": out,
        "pretrain": "none", "cutouts": root / "cutouts", "seeds": 1, "steps": STEPS,
    } | changes  # fmt: skip
    words = ["--flip"] if asked.pop("flip", False) else []
    words += [f"--{k}={v}" for k, v in asked.items() if v is not None]
    return ["experiment", "real", *words]


def run(root, out, **changes):
    return command_line.run_json(*call(root, out, **changes))


@pytest.fixture(scope="module")
def whole(root):
    found = command_line.run(*call(root, root / "whole"), "--json")
    forecast = f"4 trainings of {STEPS} steps: about 1 min on this machine"
    bank = re.search(r"ORN's bank: (\d+) poses.*fewer than 100 help little", found.stderr)
    assert 10 <= int(bank[1]) < 100
    assert json.loads(found.stdout)["caveats"][0].endswith("runs, not what helps.")
    assert bank[0] in (root / "whole" / "results.md").read_text()
    assert found.stderr.index(forecast) < bank.start()
    return root / "whole"


def test_other_networks_are_tested_beside(root, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "beside")
    before = results(whole)
    found = run(root, tmp_path / "beside", beside="default")
    name = next(iter(set(found["arms"]) - ARMS))
    assert {k: found["arms"][k] for k in ARMS} == {k: before["arms"][k] for k in ARMS}
    assert 0 <= found["arms"][name]["PCK"]["clean visible"]["value"] <= 1
    asked = [d for d in found["differences"] if d["arm"] == name]
    assert [d["baseline"] for d in asked] == ["orn"]
    assert f"| {name}, as it is |" in (tmp_path / "beside" / "results.md").read_text()
    with pytest.raises(SynthStudioError, match="a run is not supported here"):
        run(root, tmp_path / "beside", beside=whole / "runs" / "orn-0")


def results(out):
    return json.loads((out / "results.json").read_text())


def test_every_arm_is_trained_and_judged_on_photos_that_none_saw(whole):
    reported = results(whole)
    costs = reported["photos"]["operations"]
    assert costs["orn"] > costs["kpe"] > 1e6
    assert set(reported["arms"]) == ARMS
    assert reported["photos"]["skeleton"] == "body12" and reported["photos"]["bank"]
    assert (reported["steps"], reported["seeds"]) == (STEPS, 1)
    assert reported["photos"]["photos"]["test"] == 3
    joints = reported["joints"]
    assert joints["clean visible"] >= 3 * 10 and joints["under the paste"] > 0
    for arm in reported["arms"].values():
        assert set(arm["PCK"]) == set(PARTS)
        assert 0 <= arm["PCK"]["clean visible"]["value"] <= 1
    # Each arm answered about the same people; no picture of a test photo was learnt from.
    kept = [
        storage.read(whole / f"runs/{name}-0/evaluations/test").predictions
        for name in reported["arms"]
    ]
    assert len({one.true_xy.tobytes() for one in kept}) == 1
    assert len({one.xy.tobytes() for one in kept}) == len(kept)
    parts = [
        {i["file_name"] for i in json.loads((whole / f"photos/{n}.json").read_text())["images"]}
        for n in ("train", "test")
    ]
    assert not parts[0] & parts[1] and len(parts[0] | parts[1]) == PHOTOS
    configs = {n: (whole / f"runs/{n}-0/config.yaml").read_text() for n in reported["arms"]}
    assert not any("data/test" in text for text in configs.values())


def test_what_hides_people_in_the_test_was_never_seen_in_training(whole):
    reported = results(whole)["photos"]
    assert not set(reported["cutouts"]["train"]) & set(reported["cutouts"]["test"])
    used = {
        name: {k for f in Dataset(whole / "data" / name).iter_frames() for k in f["object_kind"]}
        for name in ("train", "test")
    }
    assert used["train"] and used["test"] and not used["train"] & used["test"]


def test_page_and_tables_lie_in_the_folder(whole):
    page, table = (whole / n for n in ("report.html", "results.md"))
    assert "What helped" in page.read_text() and "too few for conclusions" in page.read_text()
    assert "| ORN, occluded copies |" in table.read_text()
    assert str(whole) not in page.read_text() + table.read_text()


def test_a_finished_experiment_is_not_done_again(root, whole):
    before = results(whole)
    stamps = {p: p.stat().st_mtime_ns for p in whole.rglob("*.safetensors")}
    run(root, whole)
    assert results(whole) == before
    assert {p: p.stat().st_mtime_ns for p in whole.rglob("*.safetensors")} == stamps


@pytest.mark.nightly("a process is killed twice")
def test_a_killed_run_ends_as_one_that_was_not(root, whole):
    out = root / "killed"
    command = [sys.executable, "-m", "synthstudio", *call(root, out)]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    for sign in ("data/test/dataset.json", "runs/orn-0/state.safetensors"):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=alone) as child:
            wait_for(lambda s=sign, c=child: (out / s).exists() or c.poll() is not None, sign)
            assert child.poll() is None
            child.kill()
    assert not (out / "results.json").exists()
    run(root, out)
    assert results(out) == results(whole)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": STEPS + 1}, "expected steps 2; got steps 3"),
        ({"size": "small"}, "size"),
        ({"cutouts": None}, "cutouts"),
        ({"flip": True}, "flip None.*flip True"),
        ({"annotations": "changed"}, "annotations"),
    ],
)
def test_another_question_is_refused(root, whole, changes, words):
    if "annotations" in changes:
        fewer = world.changed(root / "set", lambda told: told["annotations"].pop())
        changes = {"annotations": fewer}
    with pytest.raises(ModelError, match=words):
        run(root, whole, **changes)


def test_strange_folders_and_sets_are_refused(root, whole, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(DiskError, match="invalid output folder"):
        run(root, tmp_path / "full")
    with pytest.raises(ModelError, match="pretraining needs generated people"):
        run(root, tmp_path / "a", pretrain=whole / "data/train")
    with pytest.raises(SynthStudioError, match=r"nowhere.*"):
        run(root, tmp_path / "b", pretrain=tmp_path / "nowhere")
    with pytest.raises(SynthStudioError, match="no such file"):
        run(root, tmp_path / "c", annotations=tmp_path / "nowhere.json")
