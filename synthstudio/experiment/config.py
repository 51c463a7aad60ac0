"""The configuration of an experiment, stored in its folder, which accepts no other."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from synthstudio.core.errors import AssetError, FormatError, ModelError
from synthstudio.core.places import free_folder
from synthstudio.dataset import durable
from synthstudio.dataset.reader import Dataset
from synthstudio.generation.stage import IMPORTED, PHOTOS
from synthstudio.training import config as configs
from synthstudio.training.config import Config
from synthstudio.training.evaluation import dataset_sha256
from synthstudio.training.outside import Network

MIN_POSES = 10
FORMAT = "synthstudio-experiment-2"
SETTINGS = "experiment.json"


@dataclass(frozen=True, kw_only=True)
class Size:
    """A network's size and training settings; `steps`: the default."""

    network: dict[str, Any]
    training: dict[str, Any]
    steps: int


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A training setting. `occlude`: also on occluded copies; `pretrained`: on generated people."""

    name: str
    title: str
    block: str = "orn"
    occlude: bool = False
    pretrained: bool = False


class Question(NamedTuple):
    """Two arms that differ in one factor, and the effect it shows."""

    text: str
    arm: str
    baseline: str


SIZES: dict[str, Size] = {
    "nano": Size(network={"size": [96, 72]}, training={"batch": 64, "lr": 3e-3}, steps=2000),
    "small": Size(
        network={"size": [192, 144], "widths": [32, 64, 128, 256], "depth": 2, "width": 96,
                 "layers": 2, "bank_sample": 2000, "bank_sharpness": 1.0},
        training={"batch": 128, "lr": 1.5e-3, "ema": 0.999},
        steps=10_000,
    ),
    "base": Size(
        network={"size": [256, 192], "width": 128, "layers": 2, "bank_sample": 4000,
                 "bank_sharpness": 1.0, "frozen_epochs": 2,
                 "backbone": "transformers:usyd-community/vitpose-base-simple"},
        training={"batch": 256, "lr": 5e-4, "ema": 0.9995, "precision": "bfloat16",
                  "deterministic": False},
        steps=20_000,
    ),
}  # fmt: skip
"""As scenes/training/*.yaml. The backbone of `base` is pretrained on people in every arm:
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
    Question("occluded copies, from nothing", "orn-occlude", "orn"),
    Question("occluded copies, pretrained", "orn-pretrain-occlude", "orn-pretrain"),
    Question("occluded copies, KPE", "kpe-occlude", "kpe"),
    Question("pretraining, photos alone", "orn-pretrain", "orn"),
    Question("pretraining, with occluded copies", "orn-pretrain-occlude", "orn-occlude"),
    Question("both", "orn-pretrain-occlude", "orn"),
    Question("ORN instead of KPE, photos alone", "orn", "kpe"),
    Question("ORN instead of KPE, with occluded copies", "orn-occlude", "kpe-occlude"),
)


def arms(*, pretrained: bool) -> tuple[Arm, ...]:
    return tuple(arm for arm in ARMS if pretrained or not arm.pretrained)


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """An experiment on photos. `pretrain`: a generated data set; `cutouts`: a folder of pictures
    with transparency; `steps` None: those of the size; `flip`: test on mirrored crops too;
    `beside`: other programs' networks, tested without training."""

    annotations: Path
    images: Path
    out: Path
    pretrain: Path | None = None
    cutouts: Path | None = None
    seeds: int = 3
    steps: int | None = None
    size: str = "nano"
    seed: int = 0
    flip: bool = False
    workers: int = 1
    beside: tuple[Network, ...] = ()

    @property
    def training_steps(self) -> int:
        return self.steps or SIZES[self.size].steps


def training_config(
    config: ExperimentConfig,
    arm: Arm,
    people: Path,
    *,
    seed: int = 0,
    bank: bool = True,
    start: Path | None = None,
) -> Config:
    """The training config of an arm on the data set `people`; `start`: initial weights."""
    preset, steps = SIZES[config.size], config.training_steps
    network = {**preset.network, "head": arm.block}
    if not bank:
        network["bank"] = 0
    clean_only = arm is not PRETRAIN and not arm.occlude
    return configs.parse(
        {
            "name": arm.title,
            "seed": seed,
            "train": [{"dataset": str(people), "variants": ["clean"] if clean_only else []}],
            "network": network,
            "steps": steps,
            "init_from": "" if start is None else str(start),
            "epochs": 1_000_000,
            "save_every": min(200, max(steps // 4, 1)),
            **preset.training,
        }
    )


def check_folder(config: ExperimentConfig) -> None:
    """Check that the folder is free or of the same experiment (more seeds are allowed). DiskError,
    ModelError; FormatError without annotations."""
    current, kept = settings(config), config.out / SETTINGS
    if kept.is_file():
        before = durable.read_json(kept)
        changed = sorted(k for k in current if current[k] != before.get(k))
        if changed:
            raise ModelError(
                "this experiment has other settings",
                where=str(config.out),
                expected=", ".join(f"{k} {str(before.get(k))[:16]}" for k in changed),
                got=", ".join(f"{k} {str(current[k])[:16]}" for k in changed),
                then="Choose another --out, or use its settings.",
            )
    else:
        free_folder(config.out, own={durable.LOCK_NAME}.__contains__)


def claim_folder(config: ExperimentConfig) -> None:
    """Store the configuration and delete leftovers of a killed run; errors of `check_folder`."""
    check_folder(config)
    kept = config.out / SETTINGS
    if not kept.is_file():
        durable.write_file(kept, durable.canonical_json(settings(config)))
    for unfinished in config.out.rglob(f"{durable.TEMPORARY}*"):
        durable.remove(unfinished)


def settings(config: ExperimentConfig) -> dict[str, Any]:
    """All settings that decide the results, as plain values; files by their hashes."""
    if not config.annotations.is_file():
        raise FormatError(
            "no such file",
            where=str(config.annotations),
            expected="COCO keypoint annotations",
        )
    return {
        "format": FORMAT,
        "annotations": durable.file_sha256(config.annotations),
        "pretrain": None if config.pretrain is None else _dataset_sha256(config.pretrain),
        "cutouts": None if config.cutouts is None else _folder_sha256(config.cutouts),
        "steps": config.training_steps,
        "size": config.size,
        "seed": config.seed,
        "flip": config.flip or None,
    }


def _dataset_sha256(folder: Path) -> str:
    """ModelError unless the data set was generated."""
    dataset = Dataset(folder)
    if PHOTOS in dataset.identity.recipe or IMPORTED in dataset.identity.recipe:
        raise ModelError(
            "pretraining needs generated people: these are of photos, possibly of the "
            "held-out ones",
            where=str(folder),
            expected="a data set of synthstudio generate",
        )
    return dataset_sha256(folder)


def _folder_sha256(folder: Path) -> str:
    if not folder.is_dir():
        raise AssetError("no such folder", where=str(folder), expected="cut-outs")
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    hashes = [[p.name, durable.file_sha256(p)] for p in files]
    return hashlib.sha256(durable.canonical_json(hashes)).hexdigest()
