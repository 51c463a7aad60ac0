"""The part of a training config that describes the network."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from synthstudio.models.backbones.sizes import misfit

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
    # ORN: attention to pixels and joints (docs/research: no gain); refinement; final fusion with
    # the poses.
    attention: bool = False
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
