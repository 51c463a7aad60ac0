"""The config of a training run; docs/training_fields.md lists its fields, made from this file."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from synthstudio.core.errors import ModelError
from synthstudio.core.safe_yaml import read_yaml
from synthstudio.models.packaged import HOURGLASSES, HRNETS, VITS

if TYPE_CHECKING:
    from synthstudio.transforms.pasting import PasteOptions

STRIDE = 4
"""Pixels of the network's input per heat-map cell."""
MIN_SIDE = 16
MAX_BANK = 50_000
BACKBONES = (
    "pyramid",
    *(f"hrnet-{size}" for size in HRNETS),
    *(f"hourglass-{size}" for size in HOURGLASSES),
    *(f"vit-{size}" for size in VITS),
)
PERSON_HEADS = ("orn", "kpe", "own")
"""Those with a map of one person's picture for each joint."""
FRAME_MULTIPLES = {"openpose": 8, "personlab": 8, "fcpose": 32, "detector": 32}
"""Heads of whole frames, and what the sides of their frames are multiples of."""
HEADS = (*PERSON_HEADS, "zoomnet", *FRAME_MULTIPLES)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Network(Section):
    """The network: a backbone and a head."""

    head: str = "orn"
    """People cut out by boxes: `orn` (occlusion robust), `kpe` (plain), `own` (the backbone's own
    head), `zoomnet` (whole bodies; extra windows for face and hands), or yours: MODULE:FUNCTION.
    Whole frames: `openpose`, `personlab`, `fcpose`, and `detector` (fcpose's boxes alone)."""
    backbone: str = "pyramid"
    """`pyramid` (of `widths` and `depth`), `hrnet-`, `hourglass-` or `vit-` and a size
    (docs/research/systems.md). Or with its published weights (docs/own_networks.md): timm:NAME,
    torchvision:NAME, transformers:NAME or FOLDER, or yours: MODULE:FUNCTION."""
    size: tuple[int, int] = (96, 72)
    """Height and width of the network's input in pixels: multiples of 4; of whole frames of 8, for
    fcpose and detector of 32."""
    standardize: bool = False
    """Normalise the mean and contrast of every picture."""
    widths: tuple[int, ...] = (32, 64, 128, 128)
    """Pyramid: channels at strides 4, 8, 16, ..."""
    depth: int = Field(default=1, ge=1, le=8)
    """Pyramid: residual blocks at each stride."""
    width: int = Field(default=48, ge=8, le=1024)
    """Channels of the head."""
    layers: int = Field(default=1, ge=1, le=8)
    """Convolutions of orn and kpe before their maps."""
    frozen_epochs: int = Field(default=0, ge=-1)
    """Epochs in which a pretrained backbone's weights are frozen; -1: all."""
    bank: int = Field(default=8000, ge=0, le=MAX_BANK)
    """Orn: size of the pose bank, taken from the training people; 0: no bank."""
    bank_sample: int = Field(default=1000, ge=0, le=MAX_BANK)
    """Orn: poses of the bank in a training step; 0: all. Predictions use all of them."""
    bank_sharpness: float = Field(default=0.6, gt=0, le=4)
    """Orn: weight of the maps relative to the bank's poses; 1 for inputs larger than 96x72."""

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of the heat-maps."""
        return self.size[0] // STRIDE, self.size[1] // STRIDE

    @property
    def sees_frames(self) -> bool:
        """Whether it takes whole frames and finds all people in them, without boxes."""
        return self.head in FRAME_MULTIPLES

    @property
    def system(self) -> str:
        """`topdown` for orn, kpe and own, else the head's name; a detector is an fcpose."""
        if self.head in PERSON_HEADS or ":" in self.head:
            return "topdown"
        return "fcpose" if self.head == "detector" else self.head

    @property
    def is_external(self) -> bool:
        """Whether the backbone is of another library, with weights from there."""
        return ":" in self.backbone

    @property
    def family(self) -> str:
        """The backbone's name without its size."""
        return self.backbone.split("-")[0]

    @property
    def variant(self) -> str:
        """The size of a backbone: "nano", "w32", ..."""
        return self.backbone.partition("-")[2]

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

    @field_validator("backbone")
    @classmethod
    def _check_backbone(cls, backbone: str) -> str:
        if ":" not in backbone and backbone not in BACKBONES:
            raise ValueError(
                f"a backbone is {', '.join(BACKBONES)}, timm:NAME, torchvision:NAME, "
                "transformers:NAME or MODULE:FUNCTION"
            )
        return backbone

    @field_validator("head")
    @classmethod
    def _check_head(cls, head: str) -> str:
        if ":" not in head and head not in HEADS:
            raise ValueError(f"a head is {', '.join(HEADS)} or MODULE:FUNCTION")
        return head

    @model_validator(mode="after")
    def _check(self) -> Self:
        height, width = self.size
        patch = 1 if self.is_external or self.family != "vit" else VITS[self.variant].patch
        if any(side % patch for side in self.size):
            raise ValueError(
                f"size: height and width are multiples of {self.family} {self.variant}'s patch, "
                f"{patch} pixels, not {height}x{width}"
            )
        if self.system == "topdown":
            return self
        if self.standardize:
            raise ValueError(f"standardize: {self.head} takes raw pictures, so leave it out")
        if self.family not in ("pyramid", "hrnet"):
            raise ValueError(f"backbone: {self.head} takes pyramid or hrnet, not {self.backbone}")
        multiple = FRAME_MULTIPLES.get(self.head, 1)
        if any(side % multiple for side in self.size):
            raise ValueError(
                f"size: height and width of {self.head}'s frames are multiples of {multiple}, not "
                f"{height}x{width}"
            )
        return self


Joints3D = Literal["kinematic", "regressed"]
Boxes = Literal["outline", "limbs"]


class Source(Section):
    """People to train or to validate on: one of `dataset`, `coco` and `recipe`."""

    dataset: str = ""
    """Folder or URL of a synthstudio data set, relative to the working directory."""
    coco: str = ""
    """A COCO keypoints file."""
    images: str = ""
    """The folder of the COCO file's images; "": beside the file."""
    recipe: str = ""
    """A recipe whose people are rendered during training; nothing is written."""
    assets: str = ""
    """The folder that the recipe's asset folders are in; "": the recipe's own."""
    moments: int = Field(default=0, ge=0, le=100_000)
    """Moments of the recipe in one epoch, held in memory."""
    renew: int = Field(default=0, ge=0, le=100_000)
    """Number of them replaced in each later epoch, oldest first; 0: all."""
    engine: Literal["local", "ray"] = "local"
    """Renders the recipe: processes of this machine, or a Ray cluster (docs/cluster.md)."""
    boxes: Boxes = "outline"
    """Crop boxes of a data set's or recipe's people: their outline's box, or that of their limbs
    (shoulders to ankles), 15 % wider on each side, as in photos with boxes from joints."""
    splits: tuple[str, ...] = ()
    """Only frames of these splits; none: all, of a recipe `train` (`val` to validate on)."""
    variants: tuple[str, ...] = ()
    """Only frames of these variants (base, clean, occluder, appearance, light, view); none: all."""
    stream: bool = False
    """Read a data set shard by shard while training, for sets too large to crop in advance. Of
    `train` all sources or none; of `val` only the chosen people are cropped."""
    weight: float = Field(default=1.0, gt=0)
    """Sampling weight of each person, relative to other sources."""

    @property
    def name(self) -> str:
        return self.dataset or self.coco or self.recipe

    def overlaps(self, other: Source) -> bool:
        """Whether both may take people of one frame; recipes have a split each by default."""
        if self.name != other.name:
            return False
        if self.splits and other.splits:
            return not {*self.splits}.isdisjoint(other.splits)
        return not self.recipe

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
        if not self.recipe and (
            self.moments or self.renew or self.assets or self.engine != "local"
        ):
            raise ValueError("moments, renew, assets and engine belong to recipe")
        if self.recipe and not self.moments:
            raise ValueError("a recipe needs moments: their number in an epoch")
        if self.coco and self.boxes != "outline":
            raise ValueError("boxes belong to dataset and recipe: a COCO file has its own")
        if self.stream and not self.dataset:
            raise ValueError("stream belongs to dataset")
        if self.renew > self.moments:
            raise ValueError("renew is at most moments")
        return self


class Augment(Section):
    """Augmentation of pictures; all zero: the plain crop."""

    flip: float = Field(default=0.5, ge=0, le=1)
    """Chance that left and right are swapped."""
    scale: float = Field(default=0.25, ge=0, le=0.6)
    """Scale jitter of the person: 0.25 is from 0.75 to 1.25."""
    rotation_deg: float = Field(default=30, ge=0, le=180)
    """Rotation by up to this many degrees, for three in five people."""
    rotated: float = Field(default=0.0, ge=0, le=1)
    """Chance that the person is rotated by any angle and cropped again: for rolled cameras and
    people upside down. The bank's poses are rotated as often."""
    shift: float = Field(default=0.08, ge=0, le=0.5)
    """Shift by up to this share of the crop."""
    colour: float = Field(default=0.25, ge=0, le=1)
    """Brightness, contrast and colour change by up to this factor."""
    noise: float = Field(default=0.0, ge=0, le=1)
    """Chance of Gaussian noise of up to 20 grey levels."""
    colours: float = Field(default=0.0, ge=0, le=1)
    """Chance that the mean and spread of colours become those of a photo in `photos`."""
    photos: str = ""
    """Folder of such photos, also without people."""
    dropout: float = Field(default=0.0, ge=0, le=1)
    """Chance of coarse dropout: a grey box of 20 to 40 % of each side. Labels are unchanged."""
    paste: float = Field(default=0.0, ge=0, le=1)
    """Chance that something is pasted over the person. Labels are updated."""
    cutouts: str = ""
    """Folder of cut-outs (RGBA pictures) to paste; "": none."""
    paste_shapes: float = Field(default=0.5, ge=0, le=1)
    """Share of pastes with synthetic colours, most of a synthetic shape; without cut-outs all."""
    paste_fraction: tuple[float, float] = (0.1, 0.6)
    """Minimum and maximum fraction of the person that a cut-out covers."""

    @property
    def pastes(self) -> PasteOptions:
        from synthstudio.transforms.pasting import PasteOptions

        return PasteOptions(
            chance=self.paste,
            fraction=self.paste_fraction,
            synthetic=self.paste_shapes,
            tint=self.colour,
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.paste_fraction
        if not 0 < low <= high <= 1:
            raise ValueError("paste_fraction is minimum and maximum, above 0, up to 1")
        if self.cutouts and not self.paste:
            raise ValueError("cutouts need paste: the chance that one is pasted")
        if bool(self.photos) != bool(self.colours):
            raise ValueError("photos and a chance of colours must be given together")
        return self


NO_AUGMENTATION = Augment(flip=0, scale=0, rotation_deg=0, shift=0, colour=0, paste_shapes=0)


class Config(Section):
    """One training run."""

    name: str = Field(default="run", max_length=80)
    """A name that appears in reports."""
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    """Decides initial weights, sample order and augmentation."""
    train: tuple[Source, ...] = Field(min_length=1)
    """People to train on. Several sources are mixed by weight, and converted to the skeleton of the
    first."""
    val: tuple[Source, ...] = ()
    """People by whom the best checkpoint is chosen; none: the last one. Never the test split."""
    network: Network = Network()
    augment: Augment = Augment()
    batch: int = Field(default=64, ge=1, le=8192)
    """People in a batch; frames, for heads of whole frames."""
    accumulate: int = Field(default=1, ge=1, le=64)
    """Batches whose gradients make one step. Out of memory: halve `batch`, double this."""
    epochs: int = Field(default=15, ge=1)
    """Passes over the training people."""
    steps: int = Field(default=0, ge=0)
    """Steps in place of epochs; 0: as many as the epochs have."""
    lr: float = Field(default=3e-3, gt=0)
    """Peak learning rate: a linear warm-up over 5 % of the run, then half a cosine to 1 %. Muon for
    convolutions not of a pretrained backbone, AdamW for the rest."""
    ema: float = Field(default=0.998, ge=0, lt=1)
    """Decay of the moving average of weights, which is saved; 0: no average."""
    patience: int = Field(default=0, ge=0)
    """Stop after so many epochs without better validation; 0: never."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """float32, or mixed precision."""
    deterministic: bool = True
    """Bitwise equal weights for equal seeds; slower."""
    joints_3d: Joints3D = "kinematic"
    """3D joints to learn and measure: rotation centres, with constant bone lengths, or those
    regressed from the body's surface, whose projections are the 2D joints."""
    device: str = "auto"
    """auto (a GPU when available), cpu, cuda, or cuda: and a number."""
    workers: int = Field(default=1, ge=1, le=256)
    """Processes that render recipes or cut out streamed people; they compete with training for
    cores."""
    window: int = Field(default=16, ge=1, le=100_000)
    """Shards of streamed sets whose people are shuffled together; two windows are in memory."""
    init_from: str = ""
    """A checkpoint or a run to initialise from; `default`: the network of the package; "": none.
    Of an external backbone also a file of its weights, or `random` in place of published ones."""
    save_every: int = Field(default=200, ge=1)
    """Steps between two saved states; a killed run loses no more than that."""

    @property
    def streamed(self) -> bool:
        """Whether training people are read shard by shard."""
        return any(source.stream for source in self.train)

    def with_network(self, **changes: Any) -> Self:
        """The config with other fields of the network, which are not checked again."""
        return self.model_copy(update={"network": self.network.model_copy(update=changes)})

    @model_validator(mode="after")
    def _check_stream(self) -> Self:
        if self.streamed:
            if not all(source.stream for source in self.train):
                raise ValueError("stream all sources of train, or none")
            if any(source.weight != 1 for source in self.train):
                raise ValueError("streamed people are seen once an epoch: leave out weight")
        if self.patience and not self.val:
            raise ValueError("patience needs people to validate on: val")
        return self

    @model_validator(mode="after")
    def _check_frames(self) -> Self:
        if self.network.sees_frames:
            sources = (*self.train, *self.val)
            unfit = {
                "val (a detector alone has no joints to measure)": self.val
                and self.network.head == "detector",
                "augment.paste": self.augment.paste,
                "stream": any(source.stream for source in sources),
                "recipe": any(source.recipe for source in sources),
                "boxes": any(source.boxes != "outline" for source in sources),
            }
            if wrong := [name for name, value in unfit.items() if value]:
                raise ValueError(
                    f"{self.network.head} learns whole frames: leave out {', '.join(wrong)}"
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
        faults = error.errors()
        outer = {f["loc"][:n] for f in faults for n in range(len(f["loc"]))}
        # A tuple is too short without items that have faults of their own.
        kept = [f for f in faults if f["type"] != "too_short" or f["loc"] not in outer]
        raise ModelError("\n".join(_fault(dict(f), where) for f in kept)) from None


def overfitted(config: Config, people: int) -> Config:
    """The config for --overfit: no augmentation or validation; 400 steps unless `steps` is set."""
    return config.model_copy(
        update={
            "name": f"{config.name[:60]}, overfit to {people}",
            "augment": NO_AUGMENTATION,
            "batch": min(config.batch, people),
            "accumulate": 1,
            "epochs": 1,
            "val": (),
            "steps": config.steps or 400,
            "patience": 0,
            "ema": min(config.ema, 0.98),
        }
    )


def dump(config: Config) -> dict[str, Any]:
    """The config as plain JSON values, defaults included."""
    return config.model_dump(mode="json")


def dump_yaml(config: Config) -> str:
    return str(yaml.safe_dump(dump(config), sort_keys=False))


def _fault(fault: dict[str, Any], where: str) -> str:
    path = ".".join(str(part) for part in fault["loc"])
    where = f"{where}: {path}" if path else where
    if fault["type"] == "extra_forbidden":
        names = _names(fault["loc"][:-1])
        near = difflib.get_close_matches(str(fault["loc"][-1]), names, 1)
        then = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(names)}."
        return str(ModelError("unknown field", where=where, then=then))
    message = str(fault["msg"]).removeprefix("Value error, ")
    got = repr(fault["input"])[:80] if path else None  # not the whole config
    return str(ModelError(message, where=where, got=got))


def _names(path: tuple[str | int, ...]) -> list[str]:
    sections: dict[str, type[Section]]
    sections = {"network": Network, "augment": Augment, "train": Source, "val": Source}
    return list((sections.get(str(path[0]), Config) if path else Config).model_fields)
