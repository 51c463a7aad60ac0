"""Configs are checked field by field."""

from pathlib import Path

import pytest

from synthstudio.core.errors import ModelError
from synthstudio.training import config as configs

SHIPPED = Path(__file__).parents[2] / "scenes" / "training"
MIN = {"train": [{"dataset": "exports/a"}]}
STREAM = {"dataset": "x", "stream": True}


def of(backbone="pyramid", *, head="kpe", size=(96, 128), network=None, **fields):
    """A config of a network, and of other fields."""
    asked = {"backbone": backbone, "head": head, "size": list(size)} | (network or {})
    return MIN | {"network": asked} | fields


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
        ({"train": [{}]}, r"train\.0: name one of dataset, .*, not 0; got {}\.$"),
        ({"train": [{"dataset": "a", "coco": "b"}]}, "name one of .* not 2"),
        ({"train": [{"dataset": "a", "images": "b"}]}, "images belong to coco"),
        ({"train": [{"recipe": "a"}]}, "a recipe needs moments"),
        ({"train": [{"coco": "a", "boxes": "limbs"}]}, "a COCO file has its own"),
        ({"train": [{"recipe": "a", "moments": 2, "renew": 3}]}, "renew is at most moments"),
        ({"train": [{"coco": "a", "moments": 2}]}, "belong to recipe"),
        ({"train": [{"dataset": "a", "engine": "ray"}]}, "belong to recipe"),
        ([1], "not a training config.*list"),
        (of(augment={"paste_fraction": [0.6, 0.1]}), "minimum and maximum"),
        (of(augment={"paste_fraction": [0, 0.5]}), "minimum and maximum"),
        (of(augment={"cutouts": "x"}), "cutouts need paste"),
        (of(augment={"colours": 0.5}), "given together"),
        (of(augment={"photos": "x"}), "given together"),
        (of(train=[{"coco": "x", "stream": True}]), "stream belongs to dataset"),
        (of(train=[STREAM, {"dataset": "y"}]), "all sources"),
        (of(train=[STREAM, STREAM | {"weight": 2}]), "leave out weight"),
        (of(train=[STREAM], network={"head": "openpose"}), "leave out stream"),
        (of(network={"backbone": "resnet"}), "backbone.*pyramid.*hrnet-w32.*transformers:NAME"),
        (of(network={"backbone": "hrnet-base"}), "backbone.*hrnet-w32"),
        (of("vit-nano", size=[96, 76]), "vit nano's patch, 8 pixels.*96x76"),
        (of("vit-base", size=[96, 72]), "patch, 16 pixels.*96x72"),
        (of("hrnet-nano", size=[98, 72]), "height and width are multiples of 4"),
        (of("hourglass-nano", size=[96, 12]), "16 at least"),
        (of("vit-nano", head="openpose"), "pyramid or hrnet, not vit-nano"),
        (of("vit-nano", head="zoomnet", size=[64, 48]), "zoomnet takes pyramid or hrnet"),
        (of(head="openpose", size=[100, 128]), "multiples of 8, not 100x128"),
        (of(head="fcpose", size=[80, 128]), "multiples of 32"),
        (of(head="openpose", train=[{"recipe": "x", "moments": 3}]), "leave out recipe"),
        (of(head="openpose", augment={"paste": 0.5}), r"^run.yaml: openpose .*augment.paste\.$"),
        (of(val=[{"dataset": "x"}], head="detector"), "has no joints to measure"),
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
    assert len(fields) <= 60
    assert not [name for name, field in fields if not {"description", "$ref"} & set(field)]
