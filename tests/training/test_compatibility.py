"""Configs and checkpoints written before config keys were renamed still load, with one note each;
without the train extra, commands say what to install."""

from __future__ import annotations

import importlib
import json
import logging
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from synthstudio.core import aliases
from synthstudio.core.errors import ModelError
from synthstudio.core.extras import import_extra
from synthstudio.training import checkpoint
from synthstudio.training import config as configs
from synthstudio.training.config import RENAMED_KEYS
from synthstudio.training.data.style import EFFECTS
from synthstudio.training.log import import_tensorboard

OLD = json.loads((Path(__file__).parent / "checkpoint_old_keys.json").read_text())
"""Metadata and tensor names, shapes and types of a checkpoint of 953e850."""


def test_a_checkpoint_with_old_keys_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(aliases, "_noted", set())
    tensors = {
        name: torch.zeros(shape, dtype=getattr(torch, kind))
        for name, (*shape, kind) in OLD["tensors"].items()
    }
    path = tmp_path / "last.safetensors"
    save_file(tensors, path, metadata={"synthstudio": json.dumps(OLD["metadata"], sort_keys=True)})
    with caplog.at_level(logging.WARNING, logger="synthstudio"):
        net, config, skeleton = checkpoint.load_network(path)
        checkpoint.load_network(path)
    assert set(net.state_dict()) == set(tensors) and skeleton.name == OLD["metadata"]["skeleton"]
    old = json.loads(OLD["metadata"]["config"])
    renamed = {RENAMED_KEYS.get(key, key): value for key, value in old.items()}
    assert _kept(renamed, configs.dump(config))
    assert config.joints_3d == "regressed"  # it had no choice then
    assert config.optimizer == "adamw" and not config.adapt.coco
    newer = {name: getattr(config.network, name) for name in ("smooth", "system", "backbone")}
    assert newer == {"smooth": True, "system": "topdown", "backbone": "pyramid"}
    assert config.network.bank_sharpness == 0.6 and not config.network.standardize
    assert not config.augment.cutouts and not any(getattr(config.augment, e) for e in EFFECTS)
    assert not any(s.stream or s.unfinished for s in (*config.train, *config.val))
    assert config.lr == 0.003 and config.no_augmentation_tail == 0.3
    notes = [r.getMessage() for r in caplog.records if "deprecated" in r.getMessage()]
    assert len(notes) == len(RENAMED_KEYS) == len(set(notes))
    assert all(any(repr(key) in note for note in notes) for key in RENAMED_KEYS)


def _kept(old: Any, now: Any) -> bool:
    """Whether all that an old config says is in the new one, which may say more."""
    if isinstance(old, dict):
        return all(key in now and _kept(value, now[key]) for key, value in old.items())
    if isinstance(old, list):
        return len(old) == len(now) and all(map(_kept, old, now))
    return bool(old == now)


def test_a_run_with_an_old_config_is_resumed(tmp_path: Path) -> None:
    old = json.loads(OLD["metadata"]["config"])
    (tmp_path / "config.yaml").write_text(json.dumps(old))
    with checkpoint.prepared_folder(tmp_path, configs.parse(old), resume=True) as taken:
        assert taken.joints_3d == "regressed"
    other = configs.parse({**old, "joints_3d": "kinematic"})
    with (
        pytest.raises(ModelError, match="joints_3d"),
        checkpoint.prepared_folder(tmp_path, other, resume=True),
    ):
        pass


@pytest.mark.parametrize("network", [5, "orn", [1], None])
def test_a_stored_network_that_is_no_mapping_is_one_message(network: object) -> None:
    with pytest.raises(ModelError, match="network"):
        configs.parse_stored({"train": [{"dataset": "x"}], "network": network}, "config.yaml")


def test_a_key_under_both_names_is_refused() -> None:
    with pytest.raises(ModelError, match="rate: unknown field"):
        configs.parse({"train": [{"dataset": "x"}], "rate": 1e-3, "lr": 1e-3})


@pytest.mark.parametrize("module", ["transformers", "tensorboard"])
def test_a_missing_extra_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def missing(name: str) -> ModuleType:
        if name.split(".")[0] == module:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ModelError, match=r'pip install "synthstudio\[train\]"'):
        if module == "tensorboard":
            import_tensorboard()
        else:
            import_extra(module, extra="train")


LEAST = {"train": [{"dataset": "exports/a"}]}


def test_there_and_back(tmp_path: Path) -> None:
    settings = configs.parse(LEAST | {"network": {"size": [192, 144]}, "losses": {"oks": 1}})
    path = tmp_path / "c.yaml"
    path.write_text(configs.dump_yaml(settings))
    assert configs.load(path) == settings


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({}, "train.*required"),
        (LEAST | {"epoch": 3}, "epoch: unknown field.*Did you mean epochs"),
        (LEAST | {"network": {"blok": "orn"}}, r"network\.blok: unknown field.*block"),
        (LEAST | {"network": {"block": "transformer"}}, "network.block.*kpe.*orn"),
        (LEAST | {"network": {"size": [50, 36]}}, "size: height and width are multiples of 4.*50"),
        (LEAST | {"network": {"size": [48, 12]}}, "size: .* 16 at least"),
        (LEAST | {"network": {"widths": []}}, "widths: .*one stride or more"),
        (LEAST | {"batch": 0}, "batch.*greater"),
        (LEAST | {"seed": 2**64}, "seed.*less"),
        (LEAST | {"lr": "fast"}, "lr.*number.*fast"),
        ({"train": [{"dataset": "a", "split": "train"}]}, r"train\.0\.split: unknown.*splits"),
        ({"train": [{}]}, r"train\.0: name one of dataset, coco and recipe, not 0"),
        ({"train": [{"dataset": "a", "coco": "b"}]}, "name one of .* not 2"),
        ({"train": [{"dataset": "a", "images": "b"}]}, "images belong to coco"),
        ({"train": [{"recipe": "a"}]}, "a recipe needs moments"),
        ({"train": [{"coco": "a", "boxes": "limbs"}]}, "a COCO file has its own"),
        ({"train": [{"recipe": "a", "moments": 2, "renew": 3}]}, "renew is at most moments"),
        ({"train": [{"coco": "a", "moments": 2}]}, "belong to recipe"),
        ({"train": [{"dataset": "a", "engine": "ray"}]}, "engine belongs to recipe"),
        ([1], "not a training config.*list"),
    ],
)
def test_faults_name_the_field(bad: object, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        configs.parse(bad, "run.yaml")


def test_every_field_has_a_comment_above_it() -> None:
    lines = Path(configs.__file__).read_text().splitlines()
    from synthstudio.training.data import augment

    lines += Path(augment.__file__).read_text().splitlines()
    inside, bare, above = False, [], ""
    for line in lines:
        if line.startswith("class "):
            inside = "(_Part)" in line or "(BaseModel)" in line
        elif line and not line.startswith(" "):
            inside = False
        field = (
            inside and line.startswith("    ") and ": " in line and "=" in line.partition(":")[2]
        )
        if field and not above.strip().startswith("#") and "ConfigDict" not in line:
            bare.append(line.strip())
        if not field or not above.strip().startswith("#"):
            above = line
    assert not bare
