"""The config of a training run: a validated YAML file, each field documented above it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from synthstudio.core.errors import ModelError
from synthstudio.models.backbones.sizes import misfit
from synthstudio.recipe.schema.load import read_yaml

STRIDE = 4
"""Pixels of the network's input per heat-map cell."""
MIN_SIDE = 16
MAX_STACKS = 8
MAX_BANK = 50_000
System = Literal["topdown", "zoomnet", "openpose", "personlab", "fcpose"]
FRAME_MULTIPLES = {"openpose": 8, "personlab": 8, "fcpose": 32}
"""Of what the sides of a bottom-up system's frames are multiples."""
_SYSTEM_BACKBONES = ("pyramid", "hrnet")
"""Those whose features every system but topdown can take."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Network(Section):
    """The network. Sizes: nano for tests and laptops, small and base for GPUs."""

    # topdown: one person a picture, cut out by a box. zoomnet: likewise, with windows that see face
    # and hands closer (docs/research/whole_body.md). openpose, personlab, fcpose: whole frames with
    # everybody in them (docs/research/bottom_up.md).
    system: System = "topdown"
    # openpose, personlab: pixels a cell of their maps.
    stride: Literal[4, 8] = 8
    # The block after the backbone: plain (kpe), occlusion robust (orn), or the backbone's own head.
    block: Literal["kpe", "orn", "own"] = "orn"
    # The small pyramid (`widths`, `depth`, `smooth`), or another of docs/research and its size.
    backbone: Literal["pyramid", "hrnet", "hourglass", "vit"] = "pyramid"
    variant: Literal["nano", "small", "base", "w32", "w48"] = "nano"
    # hourglass: how many in a row. vit: its own head, by deconvolutions or by one convolution.
    stacks: int = Field(default=2, ge=1, le=MAX_STACKS)
    decoder: Literal["classic", "simple"] = "classic"
    # Height and width of the network's input in pixels: multiples of 4, of whole frames of 8, for
    # fcpose of 32.
    size: tuple[int, int] = (96, 72)
    # Every picture is first brought to one mean and one contrast (per-image standardization).
    standardize: bool = False
    # Channels of the small backbone at strides 4, 8, 16, ...
    widths: tuple[int, ...] = (32, 64, 128, 128)
    # Residual blocks at each stride.
    depth: int = Field(default=1, ge=1, le=8)
    # A convolution after the strides are added up.
    smooth: bool = False
    # Channels of the block.
    width: int = Field(default=48, ge=8, le=1024)
    # Convolutions of the block before its maps.
    layers: int = Field(default=1, ge=1, le=8)
    # A transformers backbone instead: the name or folder of any that AutoBackbone knows, or of a
    # VitPoseForPoseEstimation (whose size must be `size`); "": none.
    pretrained: str = ""
    # Epochs in which its weights are frozen; -1: all.
    frozen_epochs: int = Field(default=0, ge=-1)
    # ORN: size of the pose bank, taken from the training people; 0: no bank.
    bank: int = Field(default=8000, ge=0, le=MAX_BANK)
    # How many of its poses take part in a training step; 0: all. Answers use all of them.
    bank_sample: int = Field(default=1000, ge=0, le=MAX_BANK)
    # How much the maps count against what other poses there are: more for larger pictures, of which
    # a network sees more (docs/research/transfer.md).
    bank_sharpness: float = Field(default=0.6, gt=0, le=4)
    # ORN: refinement; final fusion with the poses.
    refine: bool = True
    last_word: bool = True

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of the heat-maps."""
        return self.size[0] // STRIDE, self.size[1] // STRIDE

    @field_validator("size")
    @classmethod
    def _check_size(cls, size: tuple[int, int]) -> tuple[int, int]:
        # A size that is not a whole number of cells would shift the joints.
        if any(side < MIN_SIDE or side % STRIDE for side in size):
            raise ValueError(f"height and width are multiples of {STRIDE}, {MIN_SIDE} at least")
        return size

    @field_validator("widths")
    @classmethod
    def _check_widths(cls, widths: tuple[int, ...]) -> tuple[int, ...]:
        if not widths or min(widths) < 1:
            raise ValueError("widths are the channels at one stride or more, each 1 at least")
        return widths

    @model_validator(mode="after")
    def _check_backbone(self) -> Self:
        if self.pretrained and self.backbone != "pyramid":
            raise ValueError(f"pretrained takes the place of {self.backbone}: leave out one")
        if fault := misfit(self.backbone, self.variant, self.size):
            raise ValueError(fault)
        if self.system != "topdown" and (fault := self._system_fault()):
            raise ValueError(fault)
        return self

    def _system_fault(self) -> str:
        """What a system other than topdown cannot be made of; "": nothing."""
        if self.standardize:
            return f"standardize: {self.system} takes pictures as they are, so leave it out"
        if self.pretrained or self.backbone not in _SYSTEM_BACKBONES:
            return (
                f"backbone: {self.system} takes {' or '.join(_SYSTEM_BACKBONES)}, "
                f"not {self.pretrained or self.backbone}"
            )
        if self.sees_frames and any(side % FRAME_MULTIPLES[self.system] for side in self.size):
            height, width = self.size
            return (
                f"size: height and width of {self.system}'s frames are multiples of "
                f"{FRAME_MULTIPLES[self.system]}, not {height}x{width}"
            )
        return ""

    @property
    def sees_frames(self) -> bool:
        """Whether it takes whole frames and finds everybody in them, without boxes."""
        return self.system in FRAME_MULTIPLES


Joints3D = Literal["kinematic", "regressed"]
Boxes = Literal["outline", "limbs"]
"""What people are cut out by: their outline's box, as COCO has it, or that of their limbs, as sets
have it whose boxes come from clicked joints (`data/windows.py`)."""


class Source(Section):
    """People to train or to validate on: one of `dataset`, `coco` and `recipe`."""

    # Folder of a synthstudio data set, relative to the working directory.
    dataset: str = ""
    # Or a COCO keypoints file, and the folder of its images; "": beside the file.
    coco: str = ""
    images: str = ""
    # Or a recipe whose people are rendered during training; nothing is written.
    recipe: str = ""
    # The folder that the recipe's asset folders are in; "": the recipe's own.
    assets: str = ""
    # Moments of the recipe in one epoch, held in memory.
    moments: int = Field(default=0, ge=0, le=100_000)
    # How many of them each later epoch replaces, oldest first; 0: all.
    renew: int = Field(default=0, ge=0, le=100_000)
    # Who renders the recipe: processes of this machine, or a Ray cluster (docs/cluster.md).
    engine: Literal["local", "ray"] = "local"
    # What people of a data set or recipe are cut out by: their outline's box, or that of their
    # limbs (shoulders to ankles), 15 % wider on each side, as in photos whose boxes are made so.
    boxes: Boxes = "outline"
    # Only frames of these splits; empty: all, for a recipe `train` (`val` to validate on).
    splits: tuple[str, ...] = ()
    # Only frames of these variants (base, clean, occluder, appearance, light, view); empty: all.
    variants: tuple[str, ...] = ()
    # Read a dataset shard by shard while training, never held whole: for sets too large to cut out
    # before. Then all sources of `train` are; of `val`, only who is chosen is cut out, before.
    stream: bool = False
    # Take a streamed dataset that is not finished as far as it is.
    unfinished: bool = False
    # Sampling weight of each person, relative to other sources.
    weight: float = Field(default=1.0, gt=0)

    @property
    def name(self) -> str:
        return self.dataset or self.coco or self.recipe

    def takes(self, frame: Mapping[str, Any]) -> bool:
        """Whether a frame's row is of the splits and variants."""
        in_split = not self.splits or frame["split"] in self.splits
        return in_split and (not self.variants or frame["variant"] in self.variants)

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [n for n in ("dataset", "coco", "recipe") if getattr(self, n)]
        if len(given) != 1:
            raise ValueError(f"name one of dataset, coco and recipe, not {len(given)}")
        if self.images and not self.coco:
            raise ValueError("images belong to coco")
        if not self.recipe and (self.moments or self.renew or self.assets):
            raise ValueError("moments, renew and assets belong to recipe")
        if not self.recipe and self.engine != "local":
            raise ValueError("engine belongs to recipe")
        if self.recipe and not self.moments:
            raise ValueError("a recipe needs moments: how many of them a pass goes through")
        if self.coco and self.boxes != "outline":
            raise ValueError("boxes belong to dataset and recipe: a COCO file has its own")
        if self.stream and not self.dataset:
            raise ValueError("stream belongs to dataset")
        if self.unfinished and not self.stream:
            raise ValueError(
                "unfinished belongs to stream: other sets are taken as far as they are"
            )
        if self.renew > self.moments:
            raise ValueError("renew is at most moments")
        return self


class Augment(Section):
    """Augmentation strengths; all zero: the plain crop."""

    # Chance that left and right are swapped.
    flip: float = Field(default=0.5, ge=0, le=1)
    # The person is up to this much larger or smaller: 0.25 is from 0.75 to 1.25.
    scale: float = Field(default=0.25, ge=0, le=0.6)
    # Up to this many degrees either way, for a share `rotated` of the people.
    rotation_deg: float = Field(default=30, ge=0, le=180)
    rotated: float = Field(default=0.6, ge=0, le=1)
    # Chance that the person is turned by any angle, and cut out as if seen so: of cameras that roll
    # and of people upside down. As many of the pose bank's poses are.
    turned: float = Field(default=0.0, ge=0, le=1)
    # Up to this share of the crop either way.
    shift: float = Field(default=0.08, ge=0, le=0.5)
    # Chance that only the upper or the lower half of the body fills the crop.
    half_body: float = Field(default=0.0, ge=0, le=1)
    # Brightness, contrast and colour change by up to this factor.
    colour: float = Field(default=0.25, ge=0, le=1)
    # Chances of what cameras and files do: sampled down and up again, blurred, another gamma, no
    # colour, noise, JPEG compression.
    resample: float = Field(default=0.0, ge=0, le=1)
    blur: float = Field(default=0.0, ge=0, le=1)
    gamma: float = Field(default=0.0, ge=0, le=1)
    grey: float = Field(default=0.0, ge=0, le=1)
    noise: float = Field(default=0.0, ge=0, le=1)
    jpeg: float = Field(default=0.0, ge=0, le=1)
    # Chances that the mean and spread of colours, and the lowest frequencies, become those of a
    # photo in the folder `photos`; nobody need be in it.
    colours: float = Field(default=0.0, ge=0, le=1)
    fourier: float = Field(default=0.0, ge=0, le=1)
    photos: str = ""
    # Chance of coarse dropout: one grey box of 20 to 40 % of each side. Labels do not follow.
    dropout: float = Field(default=0.0, ge=0, le=1)
    # Chance that something is pasted over the person. Labels follow.
    paste: float = Field(default=0.0, ge=0, le=1)
    # Folder of cut-outs (RGBA pictures) to paste; "": none.
    cutouts: str = ""
    # Of the pastes, how many have made-up colours, and most of these a made-up shape. Without
    # cut-outs all of them.
    paste_shapes: float = Field(default=0.5, ge=0, le=1)
    # The fraction of the person that a cut-out covers: the least and the most.
    paste_fraction: tuple[float, float] = (0.1, 0.6)

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.paste_fraction
        if not 0 < low <= high <= 1:
            raise ValueError("paste_fraction is the least and the most, above 0, up to 1")
        if self.cutouts and not self.paste:
            raise ValueError("cutouts need paste: the chance that one is pasted")
        if bool(self.photos) != bool(self.colours or self.fourier):
            raise ValueError("photos and a chance of colours or fourier need each other")
        return self


NO_AUGMENTATION = Augment(
    flip=0, scale=0, rotation_deg=0, rotated=0, shift=0, colour=0, paste_shapes=0
)


class Losses(Section):
    """Weights of the loss terms; 0 leaves a term out."""

    # Cross-entropy of the last stage's maps, and of those of the stages before it. Of fcpose, its
    # people's maps; 0 trains its detector alone.
    map: float = Field(default=1.0, ge=0)
    stages: float = Field(default=0.5, ge=0)
    # Whether a joint lies in the image; what hides it; its expected OKS; what covers a cell.
    presence: float = Field(default=0.1, ge=0)
    shares: float = Field(default=0.1, ge=0)
    quality: float = Field(default=0.05, ge=0)
    occluder: float = Field(default=0.2, ge=0)
    # Root-relative 3D joints.
    lift: float = Field(default=0.02, ge=0)


class Adapt(Section):
    """Learning from photos without labels, by a mean teacher; off without a file."""

    # A COCO keypoints file whose people's boxes are used, and the folder of its images ("": beside
    # it). Its keypoints are not looked at.
    coco: str = ""
    images: str = ""
    # Weight of the loss on what the teacher says.
    weight: float = Field(default=1.0, gt=0)
    # The share of the run after which the teacher teaches, fully a tenth later; 1: norms only.
    start: float = Field(default=0.2, ge=0, le=1)
    # The share of the people of whom each joint is taught: those of whom the teacher is surest.
    keep: float = Field(default=0.5, gt=0, le=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.images and not self.coco:
            raise ValueError("images belong to coco")
        return self


class Config(Section):
    """One training run."""

    # A name that appears in reports.
    name: str = Field(default="run", max_length=80)
    # Decides initial weights, sample order and augmentation.
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    # People to train on, and people to choose the best checkpoint by.
    train: tuple[Source, ...] = Field(min_length=1)
    val: tuple[Source, ...] = ()
    network: Network = Network()
    augment: Augment = Augment()
    losses: Losses = Losses()
    adapt: Adapt = Adapt()
    # People per batch, and batches whose gradients are accumulated into one step.
    batch: int = Field(default=64, ge=1, le=8192)
    accumulate: int = Field(default=1, ge=1, le=64)
    # Passes over the training people; or stop after this many steps, or minutes of one call
    # (0: no limit; --resume starts the minutes anew).
    epochs: int = Field(default=15, ge=1)
    steps: int = Field(default=0, ge=0)
    minutes: float = Field(default=0.0, ge=0)
    # muon: AdamW, and Muon for convolutions that are no pretrained backbone's; adamw: AdamW alone.
    optimizer: Literal["muon", "adamw"] = "muon"
    # Peak learning rate, weight decay, share of the run that warms up, and the final
    # learning rate as a share of the peak.
    lr: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    warmup: float = Field(default=0.05, ge=0, le=0.5)
    end_lr_ratio: float = Field(default=0.01, ge=0, le=1)
    # A pretrained backbone's learning rate relative to the block's, and the further factor for
    # each layer below its top, and for each of a vit's below its head.
    backbone_lr_ratio: float = Field(default=0.3, gt=0, le=1)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    # The gradient is clipped to this norm.
    clip_norm: float = Field(default=1.0, gt=0)
    # Decay of the exponential moving average of weights, which is what is saved; 0: no average.
    ema: float = Field(default=0.998, ge=0, lt=1)
    # The last share of the run without dropout, half bodies and shifts.
    no_augmentation_tail: float = Field(default=0.1, ge=0, le=1)
    # Stop when validation has not improved for this many epochs; 0: never.
    patience: int = Field(default=0, ge=0)
    # "float32", or mixed precision with "bfloat16" or "float16".
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    # The same weights, bit for bit, for the same seed; slower.
    deterministic: bool = True
    # The 3D joints that are learnt and measured: rotation centres, whose bones keep their lengths,
    # or those regressed from the body's surface, of which the 2D joints are the projection.
    joints_3d: Joints3D = "kinematic"
    # "auto" takes CUDA when available; or cpu, cuda, cuda:1.
    device: str = "auto"
    # Processes that render the people of recipes, or cut out those of streamed data sets; they
    # compete with training for cores.
    workers: int = Field(default=1, ge=1, le=256)
    # Shards of streamed data sets whose people are shuffled together; at most two such windows are
    # in memory.
    window: int = Field(default=16, ge=1, le=100_000)
    # A checkpoint or a run to initialise from (a report tells which tensors matched); default: the
    # network of the package; "": none.
    init_from: str = ""
    # Steps between two saved states; a killed run loses no more than that.
    save_every: int = Field(default=200, ge=1)

    @property
    def streamed(self) -> bool:
        """Whether training people are read shard by shard."""
        return any(source.stream for source in self.train)

    @model_validator(mode="after")
    def _check_stream(self) -> Self:
        if self.streamed:
            if not all(source.stream for source in self.train):
                raise ValueError("stream all sources of train, or none")
            if len({source.weight for source in self.train}) > 1:
                raise ValueError("streamed people are seen once an epoch: leave out weight")
        return self

    @model_validator(mode="after")
    def _check_system(self) -> Self:
        if self.network.system == "zoomnet":
            unfit = {
                "losses.map": self.losses.map != 1,
                "adapt.coco": self.adapt.coco,
            }
            if wrong := [name for name, value in unfit.items() if value]:
                raise ValueError(f"zoomnet has losses of its own: leave out {', '.join(wrong)}")
        if self.network.sees_frames:
            unfit = {
                "losses.map": self.network.system != "fcpose" and self.losses.map != 1,
                "val (a detector alone has no joints to measure)": self.val
                and self.losses.map == 0,
                "adapt.coco": self.adapt.coco,
                "augment.half_body": self.augment.half_body,
                "augment.paste": self.augment.paste,
                "stream": any(source.stream for source in (*self.train, *self.val)),
                "recipe": any(source.recipe for source in (*self.train, *self.val)),
                "boxes": any(source.boxes != "outline" for source in (*self.train, *self.val)),
            }
            if wrong := [name for name, value in unfit.items() if value]:
                raise ValueError(
                    f"{self.network.system} learns whole frames: leave out {', '.join(wrong)}"
                )
        return self


def load(path: Path) -> Config:
    """Read a config file; ModelError names the file, the field, what was expected and got."""
    return parse(read_yaml(path), str(path))


def parse(data: Any, where: str = "config") -> Config:
    """Build a config from plain values; ModelError lists every fault."""
    if not isinstance(data, dict):
        raise ModelError(
            "not a training config",
            where=where,
            expected="fields and values",
            got=type(data).__name__,
        )
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ModelError("\n".join(_fault(dict(f), where) for f in error.errors())) from error


def overfitted(config: Config, people: int) -> Config:
    """Return a config for --overfit: no augmentation, weight decay or validation; 400 steps
    unless `steps` is set."""
    return config.model_copy(
        update={
            "name": f"{config.name[:60]}, {people} by heart",
            "augment": NO_AUGMENTATION,
            "weight_decay": 0.0,
            "batch": min(config.batch, people),
            "accumulate": 1,
            "epochs": 1,
            "val": (),
            "steps": config.steps or 400,
            "no_augmentation_tail": 0.0,
            "patience": 0,
            "ema": min(config.ema, 0.98),
            "adapt": Adapt(),
        }
    )


def dump(config: Config) -> dict[str, Any]:
    """The config as plain JSON values, defaults included."""
    return config.model_dump(mode="json")


def dump_yaml(config: Config) -> str:
    return str(yaml.safe_dump(dump(config), sort_keys=False))


def _fault(fault: dict[str, Any], where: str) -> str:
    path = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        names = _names(fault["loc"][:-1])
        near = difflib.get_close_matches(str(fault["loc"][-1]), names, 1)
        then = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(names)}."
        return str(ModelError("unknown field", where=f"{where}: {path}", then=then))
    message = str(fault["msg"]).removeprefix("Value error, ")
    return str(ModelError(message, where=f"{where}: {path}", got=repr(fault["input"])[:80]))


def _names(path: tuple[str | int, ...]) -> list[str]:
    sections: dict[str, type[BaseModel]] = {
        "network": Network,
        "augment": Augment,
        "losses": Losses,
        "adapt": Adapt,
        "train": Source,
        "val": Source,
    }
    model: type[BaseModel] = sections.get(str(path[0]), Config) if path else Config
    return list(model.model_fields)
