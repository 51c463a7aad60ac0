"""What the proof compares: scenes, arms, and networks of equal cost."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import torch  # noqa: TID253 - it counts what networks cost
from torch.utils.flop_counter import FlopCounterMode  # noqa: TID253

from benchmarks.ready import PRECISION, width_of_cost
from synthstudio.body import pose_library
from synthstudio.core.skeleton import get_skeleton
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.training import config as configs
from synthstudio.training.config import Config
from synthstudio.training.config_network import Network
from synthstudio.training.networks import build_network
from synthstudio.training.predictions import Decode

HELD_OCCLUDERS = (
    "bicycle",
    "cardboard_box",
    "divider",
    "hedge",
    "kiosk",
    "potted_plant",
    "shopping_cart",
    "sofa",
    "stool",
    "suitcase",
    "umbrella",
)
HELD_FAMILIES = (
    "balance",
    "crawl",
    "dance",
    "kick",
    "kneel",
    "push",
    "run",
    "sit_floor",
    "squat",
    "stretch",
    "throw",
)
SKELETON_NAME = "coco17"


@functools.cache
def held_poses() -> tuple[str, ...]:
    """Every third pose of the other families, in the library's order."""
    families: dict[str, list[str]] = {}
    for pose in pose_library.library():
        families.setdefault(pose.family, []).append(pose.name)
    free = [names for family, names in families.items() if family not in HELD_FAMILIES]
    # A pose that is called as its family is would hold out all of it.
    return tuple(name for names in free for name in names[1::3] if name not in families)


WITHIN = 0.05
"""How far the cost of two networks' training steps may lie apart."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large the proof is. Frames are pictures: half of them show a moment without occluders."""

    train_frames: int
    test_frames: int
    seeds: int
    steps: int
    batch: int
    picture: tuple[int, int]  # the network's (H, W)
    bank: int
    frame: tuple[int, int]  # the rendered picture's (width, height)
    identities: int


FULL = Size(
    train_frames=4800, test_frames=1200, seeds=5, steps=900, batch=64, picture=(96, 72),
    bank=1000, frame=(320, 240), identities=400,
)  # fmt: skip
SMALL = Size(
    train_frames=12, test_frames=8, seeds=1, steps=3, batch=8, picture=(48, 36), bank=8,
    frame=(160, 120), identities=80,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One line of the table. `of`: another arm's network, decoded differently.

    `last_word`: whether ORN's final fusion with the poses is on.
    """

    title: str
    block: str = "kpe"
    variants: tuple[str, ...] = ("base", "clean")
    augment: dict[str, float] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    of: str = ""
    decode: Decode = "hits"
    bank: bool = False
    last_word: bool = True


ARMS = {
    "a": Arm(title="KPE, no occlusion in training", variants=("clean",), decode="peak"),
    "a'": Arm(
        title="KPE, coarse dropout", variants=("clean",), augment={"dropout": 0.5}, decode="peak"
    ),
    "b": Arm(title="KPE, occlusion", decode="peak"),
    "b-hits": Arm(title="(b) decoded by expected hits", of="b"),
    "g": Arm(title="(b) decoded by expected hits and a pose bank", of="b", bank=True),
    "c": Arm(title="ORN, occlusion", block="orn"),
    "d": Arm(title="ORN, occlusion, counterfactual pairs", block="orn", losses={"agreement": 0.5}),
    "c-joined": Arm(title="(c) without the poses' last word", of="c", last_word=False),
    "attention": Arm(
        title="(c) with attention to pixels and joints", block="orn", network={"attention": True}
    ),
    "no-refinement": Arm(title="(c) without refinement", block="orn", network={"refine": False}),
}
"""KPE is decoded by its highest peak, ORN by expected hits, unless the line says otherwise."""


ABLATION_SEEDS = 3
"""Arms with a part of ORN more or less are trained with so many seeds at most."""


def jobs(arms: tuple[str, ...], seeds: int) -> list[tuple[str, int]]:
    """The trainings (arm, seed) of a proof: one seed of all arms before the next."""
    most = {
        arm: min(seeds, ABLATION_SEEDS) if ARMS[arm].network else seeds for arm in trained(arms)
    }
    return [(arm, seed) for seed in range(seeds) for arm in most if seed < most[arm]]


def trained(arms: tuple[str, ...]) -> tuple[str, ...]:
    """The arms with a network of their own, including those that others are decoded from."""
    return tuple(
        name
        for name, arm in ARMS.items()
        if not arm.of and (name in arms or any(ARMS[other].of == name for other in arms))
    )


def recipe(size: Size, *, test: bool) -> dict[str, Any]:
    """The recipe of the training or of the test people.

    Test frames show held-out kinds of things and poses only (whole families, and single poses of
    the others), other people (their pool has another seed), floors and walls of other patterns;
    training frames show none of these.
    """
    held = {
        "occluders": list(HELD_OCCLUDERS),
        "poses": [*HELD_FAMILIES, *held_poses()],
        "share": 1.0,
    }
    if test:
        backdrop: dict[str, Any] = {
            "kind": "room",
            "walls": 0.6,
            "floor_patterns": {"concrete": 1, "grass": 1},
            "wall_patterns": {"bricks": 2, "stripes": 1, "concrete": 1},
        }
        splits = {"train": 0.0, "val": 0.0, "test": 1.0}
    else:
        room = {
            "kind": "room",
            "walls": 0.6,
            "floor_patterns": {"planks": 1, "tiles": 1},
            "wall_patterns": {"plain": 2, "tiles": 1},
        }
        backdrop = {
            "kind": "mix",
            "choices": [
                {"weight": 0.7, "backdrop": room},
                {"weight": 0.3, "backdrop": {"kind": "plain"}},
            ],
        }
        splits = {"train": 0.999, "val": 0.001, "test": 0.0}  # val is not used
    return {
        "name": "proof-test" if test else "proof-train",
        "seed": 2 if test else 1,
        "frames": size.test_frames if test else size.train_frames,
        "skeleton": SKELETON_NAME,
        "image": {"width_px": size.frame[0], "height_px": size.frame[1]},
        "variants": {"clean": 1},
        "splits": splits,
        "holdout": held,
        "targets": {"occluded_fraction": [0.1, 0.75]},
        "people": {
            "count": 2,
            "identities": size.identities,
            "arrangement": {"kind": "group", "spread_m": [0.6, 1.4]},
        },
        "things": [{"kind": "procedural", "between": [0.15, 0.7]}],
        "backdrop": backdrop,
        "lens": {
            "blur_sigma_px": [0.3, 0.6],
            "motion": 0.0,
            "noise_sigma": [0.5, 2.5],
            "jpeg_quality": [85, 95],
        },
    }


def config(name: str, seed: int, *, size: Size, train: str, width: int) -> Config:
    """An arm's training config; arms differ in what they are about alone."""
    arm = ARMS[name]
    network = {"block": arm.block, "size": list(size.picture), "bank": size.bank}
    network |= {"width": width} if arm.block == "kpe" else arm.network
    return configs.parse(
        {
            "name": f"proof {name} seed {seed}",
            "seed": seed,
            "train": [{"dataset": train, "splits": ["train"], "variants": list(arm.variants)}],
            "network": network,
            "augment": arm.augment,
            "losses": arm.losses,
            "batch": size.batch,
            "steps": size.steps,
            "epochs": 1,
            "precision": PRECISION,
            "device": "cpu",
            "save_every": 200,
        }
    )


@functools.cache
def step_flops(network: Network) -> int:
    """Floating-point operations of a forward and a backward pass of one person."""
    skeleton = get_skeleton(SKELETON_NAME)
    bank = PoseBank(torch.rand(network.bank, len(skeleton.joints), 2)) if network.bank else None
    net = build_network(network, skeleton, bank=bank if network.block == "orn" else None).train()
    count = 2  # norms need two
    with FlopCounterMode(display=False) as counter:
        out = net(torch.rand(count, 3, *network.size))
        heads = [*out.logits, out.presence, out.shares, out.quality, out.occluder, out.xyz_m]
        torch.stack([h.sum() for h in heads if h is not None]).sum().backward()
    return int(counter.get_total_flops()) // count


@functools.cache
def matched_width(orn: Network) -> int:
    """The width at which KPE costs as much as an ORN; ValueError when it is over WITHIN off."""

    def cost(width: int) -> int:
        return step_flops(orn.model_copy(update={"block": "kpe", "width": width}))

    return width_of_cost(cost, step_flops(orn), most=256, within=WITHIN)


def orn_network(size: Size) -> Network:
    """The proof's ORN: what KPE is widened to."""
    return Network(block="orn", size=size.picture, bank=size.bank)
