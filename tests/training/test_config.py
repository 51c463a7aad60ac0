"""Training configs: every fault is named; what is written is read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthstudio.core.errors import ModelError
from synthstudio.training import config as configs

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
