"""A trained network gets other poses to answer with; nothing else of it changes."""

import json

import command_line
import pytest
import torch

import synthstudio as ss
from synthstudio.api import networks
from synthstudio.core.errors import ArgumentError, DiskError, ModelError
from synthstudio.models.packaged import default_tensors
from synthstudio.training import checkpoint
from synthstudio.training.poses import VIEWS

POSES = "block.bank.poses"


@pytest.fixture(scope="module")
def run(learnt):
    return learnt / "orn"


def test_a_network_answers_with_the_poses_of_others(run, pairs, shards, tmp_path):
    out, cache = tmp_path / "other.safetensors", tmp_path / "cache"
    words = ["pose-bank", run, shards, "--out", tmp_path / "train.safetensors"]
    of_train = command_line.run_json(*words, "--cache", cache)
    model, figures = networks.pose_bank(run, [shards], out, split=(), cache=cache)
    assert of_train["poses"] < figures["poses"]  # by default nobody of another split
    before, old, _ = checkpoint.load_network(checkpoint.weights_file(run))
    after, new, _ = checkpoint.load_network(out)
    was, now = before.state_dict(), after.state_dict()
    changed = {name for name in was if not torch.equal(was[name], now[name])}
    assert changed == {POSES, "block.bank.xyz_m"}
    assert figures["before"] == len(was[POSES]) == 8
    people = int(figures["note"].split(" of ")[-1].split()[0])
    assert figures["poses"] == new.network.bank == len(now[POSES]) == 2 * VIEWS * people
    assert new.network == old.network.model_copy(update={"bank": len(now[POSES])})
    assert after.block.bank.sharpness == 1.1  # as the network was trained to read it
    again = tmp_path / "again.safetensors"
    networks.pose_bank(run, [str(shards)], again, split=(), cache=cache)
    assert again.read_bytes() == out.read_bytes()
    few = tmp_path / "few.safetensors"
    networks.pose_bank(run, [pairs, shards], few, split=(), poses=6, cache=cache)
    assert len(_poses(few)) == 6
    evaluation = ss.evaluate(model, pairs, split=(), out=tmp_path / "evaluated")
    assert evaluation.metrics


def test_the_network_of_the_package_takes_other_poses(shards, tmp_path):
    model, figures = networks.pose_bank(
        "default", [shards], tmp_path / "new" / "mine.safetensors", split=()
    )
    assert figures["before"] == 8000 > figures["poses"] == len(_poses(model.path))
    assert (tmp_path / "new" / "cache").is_dir()  # not in the installation
    before, _, skeleton = checkpoint.load_network(default_tensors())
    own = {name: t for name, t in before.state_dict().items() if "bank" not in name}
    now = checkpoint.load_network(model.path)[0].state_dict()
    assert own and all(torch.equal(t, now[name]) for name, t in own.items())
    assert model.name and len(skeleton.joints) == _poses(model.path).shape[1]


def _poses(path):
    poses = checkpoint.load_network(path)[0].state_dict()[POSES]
    return poses


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"model": "kpe"}, ModelError, "the network has no pose bank"),
        ({"out": "there.safetensors"}, DiskError, "there.safetensors"),
        ({"out": "bank.onnx"}, ArgumentError, "weights go into a .safetensors file"),
        ({"sources": []}, ArgumentError, "no source of poses"),
        ({"poses": 0}, ArgumentError, "2 to 50,000"),
        ({"poses": 10**9}, ArgumentError, "2 to 50,000"),
        ({"pitch_deg": 91}, ArgumentError, "0 to 90"),
        ({"rotated": float("nan")}, ArgumentError, "0 to 1"),
        ({"split": "nowhere"}, ModelError, "no people are left"),
        ({"sources": "photos"}, ModelError, "no 3D joints"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(changes, error, words, run, pairs, tmp_path):
    (tmp_path / "there.safetensors").write_bytes(b"kept")
    asked = {"model": run, "sources": [pairs], "out": "new.safetensors"} | changes
    asked["out"] = tmp_path / asked["out"]
    asked["model"] = run.parent / asked["model"]
    if asked["sources"] == "photos":
        ss.export(ss.Dataset(pairs), "coco", tmp_path / "coco")
        labels = next(p for p in (tmp_path / "coco").rglob("*.json") if "keypoints" in p.name)
        flat = json.loads(labels.read_text())
        standard = ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "keypoints")
        flat["annotations"] = [{k: a[k] for k in standard} for a in flat["annotations"]]
        labels.write_text(json.dumps(flat))
        asked["sources"] = [labels]
    asked = {"split": (), "cache": tmp_path / "cache"} | asked
    with pytest.raises(error, match=words):
        networks.pose_bank(**asked)
    assert [p.name for p in tmp_path.glob("*.safetensors")] == ["there.safetensors"]
    assert (tmp_path / "there.safetensors").read_bytes() == b"kept"
