"""Configs are checked field by field; other versions and missing extras are one message each."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from synthstudio.core.errors import ModelError
from synthstudio.training import checkpoint
from synthstudio.training import config as configs


def test_a_config_of_another_version_is_one_message(tmp_path):
    config = configs.dump(configs.parse(MIN)) | {"rate": 1e-3}
    metadata = {"format": checkpoint.FORMAT, "config": json.dumps(config), "skeleton": "coco17"}
    path = tmp_path / "last.safetensors"
    save_file({"x": torch.zeros(1)}, path, metadata={"synthstudio": json.dumps(metadata)})
    with pytest.raises(
        ModelError, match=r"synthstudio [0-9.]+ does not read .*rate: unknown field"
    ):
        checkpoint.load_any(path)
    metadata["format"] = "synthstudio-pose-0"
    save_file({"x": torch.zeros(1)}, path, metadata={"synthstudio": json.dumps(metadata)})
    with pytest.raises(ModelError, match=r"expected synthstudio-pose-2; got synthstudio-pose-0"):
        checkpoint.load_any(path)


SHIPPED = Path(__file__).parents[2] / "scenes" / "training"
MIN = {"train": [{"dataset": "exports/a"}]}


def test_there_and_back(tmp_path):
    settings = configs.parse(MIN | {"network": {"size": [192, 144]}, "augment": {"paste": 1}})
    path = tmp_path / "c.yaml"
    path.write_text(configs.dump_yaml(settings))
    assert configs.load(path) == settings


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({}, "train.*required"),
        (MIN | {"epoch": 3}, "epoch: unknown field.*Did you mean epochs"),
        (MIN | {"network": {"heads": "orn"}}, r"network\.heads: unknown field.*head"),
        (MIN | {"network": {"head": "transformer"}}, "network.head.*orn.*kpe"),
        (MIN | {"network": {"size": [50, 36]}}, "size: height and width are multiples of 4.*50"),
        (MIN | {"network": {"size": [48, 12]}}, "size: .* 16 at least"),
        (MIN | {"network": {"widths": []}}, "widths: .*one stride or more"),
        (MIN | {"batch": 0}, "batch.*greater"),
        (MIN | {"seed": 2**64}, "seed.*less"),
        (MIN | {"lr": "fast"}, "lr.*number.*fast"),
        ({"train": [{"dataset": "a", "split": "train"}]}, r"train\.0\.split: unknown.*splits"),
        ({"train": [{}]}, r"train\.0: name one of dataset, coco and recipe, not 0"),
        ({"train": [{"dataset": "a", "coco": "b"}]}, "name one of .* not 2"),
        ({"train": [{"dataset": "a", "images": "b"}]}, "images belong to coco"),
        ({"train": [{"recipe": "a"}]}, "a recipe needs moments"),
        ({"train": [{"coco": "a", "boxes": "limbs"}]}, "a COCO file has its own"),
        ({"train": [{"recipe": "a", "moments": 2, "renew": 3}]}, "renew is at most moments"),
        ({"train": [{"coco": "a", "moments": 2}]}, "belong to recipe"),
        ({"train": [{"dataset": "a", "engine": "ray"}]}, "belong to recipe"),
        ([1], "not a training config.*list"),
    ],
)
def test_faults_name_the_field(bad, says):
    with pytest.raises(ModelError, match=says):
        configs.parse(bad, "run.yaml")


def test_shipped_configs_are_short_and_every_field_is_described():
    for path in sorted(SHIPPED.glob("*.yaml")):
        assert configs.load(path).name.replace("-", "_") == path.stem
        assert len(path.read_text().splitlines()) <= 25, path.name
    schema = configs.Config.model_json_schema()
    fields = [f for part in (schema, *schema["$defs"].values()) for f in part["properties"].items()]
    plain = [name for name, field in fields if "$ref" not in field]
    assert len(fields) <= 60
    assert not [name for name, field in fields if "description" not in field and name in plain]
