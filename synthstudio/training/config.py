"""What a training run is told: a YAML file, checked; every field with what it means above it."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from synthstudio.core.errors import ModelError
from synthstudio.recipe.schema.load import read_yaml
from synthstudio.training.augment import NONE, Augment

STRIDE = 4
"""A cell of the maps is so many pixels of the network's picture."""
LEAST_SIDE = 16


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Part):
    """People to train or to validate on: one of `dataset`, `coco` and `recipe`."""

    # Folder of a data set of ours, relative to where the command runs.
    dataset: str = ""
    # Or a COCO keypoints file, and the folder of its pictures; "": beside the file.
    coco: str = ""
    images: str = ""
    # Or a recipe whose people are rendered while the network learns; nothing is written.
    recipe: str = ""
    # The folder that the recipe's asset folders are in; "": the recipe's own.
    assets: str = ""
    # Moments of the recipe that a pass goes through, held in memory.
    moments: int = Field(default=0, ge=0, le=100_000)
    # So many of them are new in each further pass, the oldest go; 0: all.
    renew: int = Field(default=0, ge=0, le=100_000)
    # Only frames of these splits; empty: all, of a recipe `train` (`val` to validate on).
    splits: tuple[str, ...] = ()
    # Only frames of these variants (base, clean, occluder, appearance, light, view); empty: all.
    variants: tuple[str, ...] = ()
    # How often its people are drawn, beside other sources' people.
    weight: float = Field(default=1.0, gt=0)

    @property
    def name(self) -> str:
        """Return the path that it is told by."""
        return self.dataset or self.coco or self.recipe

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [n for n in ("dataset", "coco", "recipe") if getattr(self, n)]
        if len(given) != 1:
            raise ValueError(f"name one of dataset, coco and recipe, not {len(given)}")
        if self.images and not self.coco:
            raise ValueError("images belong to coco")
        if not self.recipe and (self.moments or self.renew or self.assets):
            raise ValueError("moments, renew and assets belong to recipe")
        if self.recipe and not self.moments:
            raise ValueError("a recipe needs moments: how many of them a pass goes through")
        if self.renew > self.moments:
            raise ValueError("renew is at most moments")
        return self


class Network(_Part):
    """The network. Sizes: nano for tests and laptops, small and base for GPUs."""

    # What stands behind the backbone: the plain block or the occlusion robust one.
    block: Literal["kpe", "orn"] = "orn"
    # Height and width of the picture that the network sees, in pixels: multiples of 4.
    size: tuple[int, int] = (96, 72)
    # Channels of the small backbone at strides 4, 8, 16, ...
    widths: tuple[int, ...] = (24, 48, 96)
    # Residual blocks at each stride.
    depth: int = Field(default=1, ge=1, le=8)
    # Channels inside the block.
    width: int = Field(default=48, ge=8, le=1024)
    # Convolutions of KPE; ORN has two.
    layers: int = Field(default=2, ge=1, le=8)
    # A backbone of transformers instead: a name or a folder of any that AutoBackbone knows, or of
    # a VitPoseForPoseEstimation (its size must be `size`); "": none.
    pretrained: str = ""
    # Its weights stay as they are for so many epochs; -1: for good.
    frozen_epochs: int = Field(default=0, ge=-1)
    # ORN: poses of the bank, taken from the training people; 0: no bank.
    bank: int = Field(default=1000, ge=0, le=50_000)
    # ORN: attention to pixels and joints; refinement; the poses' last word. Off for ablations.
    attention: bool = True
    refine: bool = True
    last_word: bool = True

    @field_validator("size")
    @classmethod
    def _whole_cells(cls, size: tuple[int, int]) -> tuple[int, int]:
        """Refuse a size that is no whole number of cells: places would come out shifted."""
        if any(side < LEAST_SIDE or side % STRIDE for side in size):
            raise ValueError(f"height and width are multiples of {STRIDE}, {LEAST_SIDE} at least")
        return size

    @field_validator("widths")
    @classmethod
    def _some_width(cls, widths: tuple[int, ...]) -> tuple[int, ...]:
        if not widths or min(widths) < 1:
            raise ValueError("widths are the channels at one stride or more, each 1 at least")
        return widths


class Losses(_Part):
    """How much each term counts; 0 leaves it out."""

    # Cross-entropy of the answer's maps, and of the maps of the stages before it.
    map: float = Field(default=1.0, ge=0)
    stages: float = Field(default=0.5, ge=0)
    # 1 - OKS that answers drawn from the maps would score.
    oks: float = Field(default=0.0, ge=0)
    # Whether a joint lies in the picture; what hides it; the OKS to expect; what covers a cell.
    presence: float = Field(default=0.1, ge=0)
    shares: float = Field(default=0.1, ge=0)
    quality: float = Field(default=0.05, ge=0)
    occluder: float = Field(default=0.2, ge=0)
    # Root-relative places in 3D.
    lift: float = Field(default=0.02, ge=0)
    # Pairs: the answer without the occluder teaches the one with it, at hidden joints.
    agreement: float = Field(default=0.0, ge=0)


class Config(_Part):
    """One training run."""

    # A name for people; it stands in reports.
    name: str = Field(default="run", max_length=80)
    # Decides weights, order and augmentation.
    seed: int = Field(default=0, ge=0)
    # People to learn from, and people to choose the best checkpoint by.
    train: tuple[Source, ...] = Field(min_length=1)
    validate_on: tuple[Source, ...] = ()
    network: Network = Network()
    augment: Augment = Augment()
    losses: Losses = Losses()
    # People in a batch, and batches whose gradients are added up before a step.
    batch: int = Field(default=64, ge=1, le=8192)
    accumulate: int = Field(default=1, ge=1, le=64)
    # Passes over the training people; or stop after so many steps, or so many minutes of one call
    # (0: no limit; --resume has them anew).
    epochs: int = Field(default=15, ge=1)
    steps: int = Field(default=0, ge=0)
    minutes: float = Field(default=0.0, ge=0)
    # AdamW: highest rate, weight decay, share of the run that warms up, rate at the end.
    rate: float = Field(default=2e-3, gt=0)
    decay: float = Field(default=0.05, ge=0)
    warm_up: float = Field(default=0.05, ge=0, le=0.5)
    end_rate: float = Field(default=0.01, ge=0, le=1)
    # A pretrained backbone's rate, beside the block's; each layer below the top once more.
    backbone_rate: float = Field(default=0.3, gt=0, le=1)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    # The gradient's norm is cut to this.
    clip: float = Field(default=1.0, gt=0)
    # Average of the weights that is kept and answered with; 0: the last weights.
    ema: float = Field(default=0.998, ge=0, lt=1)
    # The last share of the run without dropout, pastes, half bodies and shifts.
    weak_tail: float = Field(default=0.1, ge=0, le=1)
    # People with a higher occluded fraction join pass by pass over this share of the run; 0: all
    # from the start.
    curriculum: float = Field(default=0.0, ge=0, le=1)
    # Stop when the validation did not improve for so many epochs; 0: never.
    patience: int = Field(default=0, ge=0)
    # Numbers: "float32", or "bfloat16" and "float16" for products alone.
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    # The same bytes for the same seed, at some cost.
    deterministic: bool = True
    # Where: "auto" takes CUDA when it is there.
    device: str = "auto"
    # Processes that render the people of recipes; they take cores from the training.
    workers: int = Field(default=1, ge=1, le=256)
    # A checkpoint to start from (its network must fit; a report tells what matched); "": none.
    start: str = ""
    # Steps between two saved states; a run that is cut off loses no more than that.
    save_every: int = Field(default=200, ge=1)


def load(path: Path) -> Config:
    """Read a run's YAML; ModelError names the file, the field, what was expected and got."""
    return parse(read_yaml(path), str(path))


def parse(data: Any, where: str = "config") -> Config:
    """Build a config from plain values; ModelError lists every fault."""
    if not isinstance(data, dict):
        raise ModelError(
            "this is no training config",
            where=where,
            expected="fields and values",
            got=type(data).__name__,
        )
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ModelError("\n".join(_fault(dict(f), where) for f in error.errors())) from error


def overfitted(config: Config, people: int) -> Config:
    """Return a config to learn `people` by heart: no augmentation, no decay, full rate sooner.

    Steps stay as given, or are 400.
    """
    return config.model_copy(
        update={
            "name": f"{config.name[:60]}, {people} by heart",
            "augment": NONE,
            "decay": 0.0,
            "batch": min(config.batch, people),
            "accumulate": 1,
            "epochs": 1,
            "validate_on": (),
            "steps": config.steps or 400,
            "weak_tail": 0.0,
            "curriculum": 0.0,
            "patience": 0,
            "ema": min(config.ema, 0.98),
            "losses": config.losses.model_copy(update={"agreement": 0.0}),
        }
    )


def dump(config: Config) -> dict[str, Any]:
    """Return the config as plain JSON values with every default filled in."""
    return config.model_dump(mode="json")


def dump_yaml(config: Config) -> str:
    """Return the config as YAML that `load` reads."""
    return str(yaml.safe_dump(dump(config), sort_keys=False))


def _fault(fault: dict[str, Any], where: str) -> str:
    path = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        names = _names(fault["loc"][:-1])
        near = difflib.get_close_matches(str(fault["loc"][-1]), names, 1)
        then = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(names)}."
        return str(ModelError("unknown field", where=f"{where}: {path}", then=then))
    said = str(fault["msg"]).removeprefix("Value error, ")
    return str(ModelError(said, where=f"{where}: {path}", got=repr(fault["input"])[:80]))


def _names(path: tuple[str | int, ...]) -> list[str]:
    parts: dict[str, type[BaseModel]] = {
        "network": Network,
        "augment": Augment,
        "losses": Losses,
        "train": Source,
        "validate_on": Source,
    }
    model: type[BaseModel] = parts.get(str(path[0]), Config) if path else Config
    return list(model.model_fields)
