"""The ways to train that an experiment on photos compares, and the sizes of their networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from synthstudio.training import config as configs
from synthstudio.training.config import Config

SizeName = Literal["nano", "small", "base"]


@dataclass(frozen=True, kw_only=True)
class Size:
    """A network's size and how it is trained; `steps`: the default."""

    network: dict[str, Any]
    training: dict[str, Any]
    steps: int


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A way to train. `occlude`: also on the hidden copies; `pretrained`: on generated people."""

    name: str
    title: str
    block: str = "orn"
    occlude: bool = False
    pretrained: bool = False


@dataclass(frozen=True, kw_only=True)
class Question:
    """Two arms that differ in one thing, and what their difference shows."""

    text: str
    ours: str
    theirs: str


SIZES: dict[str, Size] = {
    "nano": Size(network={"size": [96, 72]}, training={"batch": 64, "lr": 3e-3}, steps=2000),
    "small": Size(
        network={"size": [192, 144], "widths": [32, 64, 128, 256], "depth": 2, "width": 96,
                 "layers": 2, "bank_sample": 2000, "bank_sharpness": 1.0},
        training={"batch": 128, "lr": 1.5e-3, "ema": 0.999, "augment": {"half_body": 0.1}},
        steps=10_000,
    ),
    "base": Size(
        network={"size": [256, 192], "width": 128, "layers": 2, "bank_sample": 4000,
                 "bank_sharpness": 1.0, "frozen_epochs": 2,
                 "pretrained": "usyd-community/vitpose-base-simple"},
        training={"batch": 256, "lr": 5e-4, "ema": 0.9995, "augment": {"half_body": 0.2},
                  "layer_decay": 0.75, "precision": "bfloat16", "deterministic": False},
        steps=20_000,
    ),
}  # fmt: skip
"""As scenes/training/*.yaml. The backbone of `base` saw people before, in every arm:
"from nothing" there means without generated people."""

PRETRAIN = Arm(name="pretrain", title="pretraining on generated people", pretrained=True)
ARMS = (
    Arm(name="orn", title="ORN"),
    Arm(name="orn-occlude", title="ORN, occluded copies", occlude=True),
    Arm(name="orn-pretrain", title="ORN, pretrained", pretrained=True),
    Arm(
        name="orn-pretrain-occlude",
        title="ORN, pretrained, occluded copies",
        occlude=True,
        pretrained=True,
    ),
    Arm(name="kpe", title="KPE", block="kpe"),
    Arm(name="kpe-occlude", title="KPE, occluded copies", block="kpe", occlude=True),
)
QUESTIONS = (
    Question(text="occluded copies, from nothing", ours="orn-occlude", theirs="orn"),
    Question(
        text="occluded copies, pretrained", ours="orn-pretrain-occlude", theirs="orn-pretrain"
    ),
    Question(text="occluded copies, KPE", ours="kpe-occlude", theirs="kpe"),
    Question(text="pretraining, photos alone", ours="orn-pretrain", theirs="orn"),
    Question(
        text="pretraining, with occluded copies", ours="orn-pretrain-occlude", theirs="orn-occlude"
    ),
    Question(text="both", ours="orn-pretrain-occlude", theirs="orn"),
    Question(text="ORN instead of KPE, photos alone", ours="orn", theirs="kpe"),
    Question(
        text="ORN instead of KPE, with occluded copies", ours="orn-occlude", theirs="kpe-occlude"
    ),
)
LEAST_POSES = 10


def arms(*, pretrained: bool) -> tuple[Arm, ...]:
    return tuple(arm for arm in ARMS if pretrained or not arm.pretrained)


def training_config(
    arm: Arm,
    *,
    size: str,
    steps: int,
    people: Path,
    seed: int = 0,
    bank: bool = True,
    start: Path | None = None,
) -> Config:
    """The config of an arm's training on the data set `people`.

    `bank`: ORN has a bank of poses; `start`: weights to start from.
    """
    preset = SIZES[size]
    network = {**preset.network, "block": arm.block}
    if not bank:
        network["bank"] = 0
    clean_only = arm is not PRETRAIN and not arm.occlude
    source = {"dataset": str(people), "variants": ["clean"] if clean_only else []}
    return configs.parse(
        {
            "name": arm.title,
            "seed": seed,
            "train": [source],
            "network": network,
            "steps": steps,
            "init_from": "" if start is None else str(start),
            "epochs": 1_000_000,
            "save_every": min(200, max(steps // 4, 1)),
            **preset.training,
        }
    )
