"""Who shows the same pose, and who wears the same clothes, as rendered frames tell; pretraining."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import experiment_world
import numpy as np
import pytest
from typer.testing import CliRunner

from synthstudio.api.networks import run_pretrain
from synthstudio.api.recipes import scene_file
from synthstudio.cli import app
from synthstudio.core.errors import ModelError
from synthstudio.core.rng import stream
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE
from synthstudio.generation.pipeline import generate
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.training import config as configs
from synthstudio.training.config import Config
from synthstudio.training.data.pose_pairs import PairSampler, pose_people
from synthstudio.training.loop import train
from synthstudio.training.representations import contrastive_net, retrieval, train_steps

MOMENTS = 4


@pytest.fixture(scope="module")
def sets(once: Callable[..., Path]) -> list[Path]:
    """Copies of scenes/same_clothes.yaml with other poses each."""

    def make(folder: Path) -> None:
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


def fields(sets: list[Path], **changes: Any) -> dict[str, Any]:
    network = {"block": "kpe", "size": [48, 36], "widths": [8, 12], "width": 16}
    sources = [{"dataset": str(path)} for path in sets]
    return {
        "train": sources, "val": sources, "network": network, "batch": 8, "steps": 2,
        "device": "cpu",
    } | changes  # fmt: skip


def config(sets: list[Path], **changes: Any) -> Config:
    return configs.parse(fields(sets, **changes))


def test_variants_share_poses_and_recipes_share_clothes(sets: list[Path], tmp_path: Path) -> None:
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
    assert retrieval(np.eye(len(people), dtype=np.float32)[people.pose], people).hits.all()


def test_what_tells_no_poses_apart_is_said(
    sets: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = config(sets, train=[{"recipe": "scenes/people.yaml", "moments": 4}])
    with pytest.raises(ModelError, match="only data sets tell who shows the same pose"):
        pose_people(drawn.train, drawn, cache=tmp_path)
    rows = list(Dataset(sets[0]).iter_frames(["index", "spec"]))
    cut = [row | {"spec": None} for row in rows]
    usual = Dataset.iter_frames
    monkeypatch.setattr(
        Dataset,
        "iter_frames",
        lambda self, columns=None: iter(cut) if columns else usual(self, columns),
    )
    with pytest.raises(ModelError, match="nobody knows who shows the same pose"):
        pose_people(config(sets).train, config(sets), cache=tmp_path)


def photos(folder: Path) -> dict[str, str]:
    """Twelve people in photos, of whom nobody labelled half."""
    made = experiment_world.write(folder, 12)
    found = json.loads((made / "coco.json").read_text())
    for person in found["annotations"][::2]:
        person["keypoints"] = [0] * len(person["keypoints"])
    (made / "coco.json").write_text(json.dumps(found))
    return {"coco": str(made / "coco.json"), "images": str(made / "images")}


def test_people_in_photos_are_paired_with_themselves(sets: list[Path], tmp_path: Path) -> None:
    source = photos(tmp_path / "photos")
    asked = config(sets, train=[source], val=[source])
    people = pose_people(asked.train, asked, cache=tmp_path)
    assert len(people) == 24 and len(np.unique(people.pose)) == 12
    assert (people.crops.state == NO_STATE).all()
    drawn = PairSampler(people).draw(stream(0, "pairs"), 16)
    assert (people.rows[drawn.rows] == people.rows[drawn.rows[drawn.partner]]).all()
    assert (drawn.rows != drawn.rows[drawn.partner]).all()
    shown: list[np.ndarray] = []
    asked = config(sets, train=[source], batch=16, augment={"colour": 0.4})
    net = contrastive_net(asked, people.skeleton)
    net.register_forward_pre_hook(lambda net, given: shown.append(given[0].numpy()))

    def loss(show: Any, rng: Any) -> dict[str, Any]:
        rows = PairSampler(people).draw(rng, 16).rows
        return {"sum": net(show(rows, asked.augment).images).sum()}

    train_steps(net, loss, people, asked, steps=1)
    assert all(
        (one != other).any() for one, other in zip(shown[0][::2], shown[0][1::2], strict=True)
    )


def test_photos_and_data_sets_are_not_mixed(sets: list[Path], tmp_path: Path) -> None:
    mixed = config(sets, train=[photos(tmp_path / "photos"), {"dataset": str(sets[0])}])
    with pytest.raises(ModelError, match="photos and data sets are not learnt from together"):
        pose_people(mixed.train, mixed, cache=tmp_path)


def test_pretraining_on_photos_begins_a_training(sets: list[Path], tmp_path: Path) -> None:
    source, out = photos(tmp_path / "photos"), tmp_path / "poses"
    told: list[str] = []
    asked = config(sets, train=[source], val=[])
    result = run_pretrain(asked, out, cache=tmp_path / "cache", say=told.append)
    assert (result["people"], result["poses"], result["retrieval"]) == (12, 12, None)
    assert told == ["12 people in 12 poses and 12 looks"]
    again = run_pretrain(asked, tmp_path / "again", cache=tmp_path / "cache")
    assert Path(again["weights"]).read_bytes() == Path(result["weights"]).read_bytes()
    begun = config(sets, init_from=result["weights"], steps=1)
    train(begun, tmp_path / "run", cache=tmp_path / "cache", say=told.append)
    assert any("not used: projection" in line for line in told)


def test_pretraining_by_command_begins_a_training(sets: list[Path], tmp_path: Path) -> None:
    file, out = tmp_path / "config.yaml", tmp_path / "poses"
    file.write_text(json.dumps(fields(sets)), encoding="utf-8")
    arguments = ["pretrain", str(file), "--out", str(out), "--json"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    result = json.loads(done.stdout)
    assert (result["people"], result["poses"], result["steps"]) == (24, 8, 2)
    assert 0 <= result["retrieval"]["hits"] <= 1
    assert result["retrieval"]["chance"] == pytest.approx(0.5, abs=0.2)
    said: list[str] = []
    begun = config(sets, init_from=result["weights"], steps=1)
    train(begun, tmp_path / "run", cache=tmp_path / "cache", say=said.append)
    assert any("not used: projection" in line for line in said)
    with pytest.raises(Exception, match=r"a folder that holds pretrained\.safetensors"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
