"""Contrastive pretraining: pairs of rendered people and photos, loss, retrieval, `pretrain`."""

import dataclasses
import json
import math
from pathlib import Path

import experiment_world
import numpy as np
import pytest
import tiny
import torch
from command_line import run, run_json

from synthstudio.api.networks import pretrain
from synthstudio.api.recipes import scene_file
from synthstudio.core.errors import ModelError
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE
from synthstudio.generation.pipeline import generate
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.training import checkpoint
from synthstudio.training import config as configs
from synthstudio.training.loop import train
from synthstudio.training.networks import build
from synthstudio.training.pretraining import (
    WEIGHTS,
    PairSampler,
    PosePeople,
    info_nce,
    pose_people,
    retrieval,
    train_contrastive,
)

MOMENTS = 4


@pytest.fixture(scope="module")
def sets(once):
    """Copies of scenes/same_clothes.yaml with other poses each."""

    def make(folder):
        for name, families in (("one", ["stand", "walk"]), ("other", ["lunge", "kick"])):
            fields = dump(load(scene_file("same_clothes.yaml")))
            fields["frames"] = 3 * MOMENTS
            fields["variants"] |= {"appearance": 1, "light": 1, "view": 0}
            fields["image"] |= {"width_px": 64, "height_px": 80, "supersample": 1}
            fields["people"]["poses"]["families"] = dict.fromkeys(families, 1.0)
            recipe = parse(fields)
            generate(prepare(recipe, assets=folder, device="cpu"), folder / name, workers=1)

    folder = once("same-clothes", make)
    return [folder / "one", folder / "other"]


def config(sets, **changes):
    sources = [{"dataset": str(path)} for path in sets]
    fields = {"train": sources, "val": sources, "network": {"head": "kpe"}, "steps": 2}
    return tiny.config(sets[0], **fields | changes)


def photos(folder):
    """Twelve people in photos, of whom nobody labelled half."""
    made = experiment_world.write(folder, 12)
    found = json.loads((made / "coco.json").read_text())
    for person in found["annotations"][::2]:
        person["keypoints"] = [0] * len(person["keypoints"])
    (made / "coco.json").write_text(json.dumps(found))
    return {"coco": str(made / "coco.json"), "images": str(made / "images")}


def test_variants_share_poses_and_recipes_share_clothes(sets, tmp_path):
    people = pose_people(config(sets).train, config(sets), cache=tmp_path)
    assert len(people) == 2 * 3 * MOMENTS
    assert len(np.unique(people.pose)) == 2 * MOMENTS
    assert len(np.unique(people.look)) == 2 * MOMENTS  # the base's and the other clothes
    variant = people.crops.variant[people.rows]
    for pose in np.unique(people.pose):
        own = people.pose == pose
        assert sorted(variant[own]) == ["appearance", "base", "light"]
        look = dict(zip(variant[own], people.look[own], strict=True))
        assert look["base"] == look["light"] != look["appearance"]
    for look in np.unique(people.look):
        assert len(np.unique(people.pose[people.look == look])) == 2
    PairSampler(people)
    assert retrieval(np.eye(len(people), dtype=np.float32)[people.pose], people)["hits"] == 1


def test_sources_without_known_poses_are_refused(sets, tmp_path, monkeypatch):
    rendered = config(sets, train=[{"recipe": "scenes/people.yaml", "moments": 4}])
    with pytest.raises(ModelError, match="poses are known for data sets"):
        pose_people(rendered.train, rendered, cache=tmp_path)
    mixed = config(sets, train=[photos(tmp_path / "photos"), {"dataset": str(sets[0])}])
    with pytest.raises(ModelError, match="photos and data sets"):
        pose_people(mixed.train, mixed, cache=tmp_path)
    rows = list(Dataset(sets[0]).iter_frames(["index", "spec"]))
    cut = [row | {"spec": None} for row in rows]
    usual = Dataset.iter_frames
    monkeypatch.setattr(
        Dataset,
        "iter_frames",
        lambda self, columns=None: iter(cut) if columns else usual(self, columns),
    )
    with pytest.raises(ModelError, match="frame 0"):
        pose_people(config(sets).train, config(sets), cache=tmp_path)


def test_people_in_photos_are_paired_with_themselves(sets, tmp_path):
    source = photos(tmp_path / "photos")
    asked = config(sets, train=[source], val=[source])
    people = pose_people(asked.train, asked, cache=tmp_path)
    assert len(people) == 24 and len(np.unique(people.pose)) == 12
    assert (people.crops.state == NO_STATE).all()
    drawn = PairSampler(people).draw(stream(0, "pairs"), 16).reshape(-1, 2)
    assert (people.rows[drawn[:, 0]] == people.rows[drawn[:, 1]]).all()
    assert (drawn[:, 0] != drawn[:, 1]).all()


def test_pretraining_on_photos_begins_a_training(sets, tmp_path):
    source, out = photos(tmp_path / "photos"), tmp_path / "poses"
    told = []
    asked = config(sets, train=[source], val=[])
    result = pretrain(asked, out, cache=tmp_path / "cache", log=told.append)
    assert (result["people"], result["poses"], result["retrieval"]) == (12, 12, None)
    assert told == ["12 people in 12 poses and 12 appearances"]
    again = pretrain(asked, tmp_path / "again", cache=tmp_path / "cache")
    assert Path(again["weights"]).read_bytes() == Path(result["weights"]).read_bytes()
    begun = config(sets, init_from=result["weights"], steps=1)
    train(begun, tmp_path / "run", cache=tmp_path / "cache", log=told.append)
    assert any("not used: projection" in line for line in told)


def test_pretraining_by_command(sets, tmp_path):
    file, out = tmp_path / "config.yaml", tmp_path / "poses"
    file.write_text(configs.dump_yaml(config(sets)), encoding="utf-8")
    result = run_json("pretrain", file, "--out", out)
    assert (result["people"], result["poses"], result["steps"]) == (24, 8, 2)
    assert 0 <= result["retrieval"]["hits"] <= 1
    assert result["retrieval"]["chance"] == pytest.approx(0.5, abs=0.2)
    run("pretrain", file, "--out", out, code=1)  # never over another run


def test_the_loss_is_log_n_for_equal_codes_and_0_for_perfect_ones():
    pose = torch.arange(8).repeat_interleave(2)
    partner = torch.arange(16) ^ 1
    alike = torch.ones(16, 4) / 2
    assert info_nce(alike, partner, pose).item() == pytest.approx(math.log(15))
    perfect = torch.eye(8)[pose]
    assert info_nce(perfect, partner, pose, tau=0.01).item() == pytest.approx(0, abs=1e-6)
    # More of one's own pose are no candidates: eight of twelve are left, and the partner.
    many = torch.arange(3).repeat_interleave(4)
    found = info_nce(torch.ones(12, 4) / 2, torch.arange(12) ^ 1, many)
    assert found.item() == pytest.approx(math.log(9))


def dressed(moments):
    """So many people in three poses, each in three looks."""
    moment, pose, look = np.indices((moments, 3, 3)).reshape(3, -1)
    numbers = {"pose": 3 * moment + pose, "look": 3 * moment + look}
    rows, skeleton = np.arange(9 * moments), get_skeleton("coco17")
    return PosePeople(crops=None, rows=rows, skeleton=skeleton, **numbers)


def test_a_batch_holds_poses_in_other_clothes_and_clothes_in_other_poses():
    people = dressed(6)
    drawn = PairSampler(people).draw(stream(0, "quads"), 64)
    pose, look, partner = people.pose[drawn], people.look[drawn], np.arange(64) ^ 1
    assert (pose[partner] == pose).all()
    assert (look[partner] != look).all()
    first, other = np.arange(0, 64, 4), np.arange(2, 64, 4)
    assert (look[first] == look[other]).all()
    assert (pose[first] != pose[other]).all()
    _, first = np.unique(people.pose, return_index=True)
    numbers = {name: getattr(people, name)[first] for name in ("rows", "pose", "look")}
    once = dataclasses.replace(people, **numbers)
    with pytest.raises(ModelError, match="twice"):
        PairSampler(once)


def test_retrieval_counts_a_wrong_neighbour():
    people = dressed(40)
    truth = np.eye(len(people), dtype=np.float32)[people.pose]
    assert retrieval(truth, people)["hits"] == 1
    by_clothes = np.eye(len(people), dtype=np.float32)[people.look]
    assert retrieval(by_clothes, people)["hits"] == 0
    one_look = dataclasses.replace(people, look=people.pose)
    assert retrieval(truth, one_look) is None


def test_the_same_seed_gives_the_same_weights_and_a_pose_network_takes_them(sets, tmp_path):
    asked = config(sets)
    people = pose_people(asked.train, asked, cache=tmp_path)
    one, two = (train_contrastive(people, asked, steps=3) for _ in range(2))
    other = train_contrastive(people, config(sets, seed=1), steps=3)
    held = one.state_dict()
    assert all(torch.equal(held[name], tensor) for name, tensor in two.state_dict().items())
    assert not torch.equal(other.state_dict()["projection.5.weight"], held["projection.5.weight"])
    file, skeleton = tmp_path / WEIGHTS, people.skeleton
    checkpoint.save_weights(file, one, asked, skeleton=skeleton, note="test")
    for block in ("kpe", "orn"):
        network = asked.network.model_copy(update={"head": block})
        posed = build(network, skeleton)
        told = checkpoint.initialize(posed, file, skeleton=skeleton, poses=0)
        assert "not used: projection" in told
        for name, value in posed.features.state_dict().items():
            assert torch.equal(value, one.features.state_dict()[name])
    with pytest.raises(ModelError):
        checkpoint.load_network(file)
