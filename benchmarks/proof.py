"""Does occlusion in training help, and does ORN? `make proof`, or `python -m benchmarks.proof`.

Generates training people, and test people with unseen occluders, poses and backgrounds; trains
every arm with every seed on the same samples at the same cost; compares them on the same joints;
prints tables and writes docs/evidence/proof.log. Everything is kept in a cache folder and a killed
proof resumes: data by shards, trainings from their last saved state, results as one file per arm
and seed, apart for every version of the training code. What came of it, also of arms with a part
of ORN less and of ORN's visibility, is in docs/research/proof.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import json
import multiprocessing
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch  # noqa: TID253 - it trains
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode  # noqa: TID253

from benchmarks.proofs import ROOT
from synthstudio.body import pose_library
from synthstudio.core.labels import CAUSES, STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.durable import canonical_json, write_file
from synthstudio.evaluation.intervals import Interval, paired_interval, ratio_interval
from synthstudio.evaluation.metrics import pck_by_group, truth_of
from synthstudio.evaluation.precision import average_precision
from synthstudio.evaluation.storage import Predictions, interval, select
from synthstudio.generation import pipeline
from synthstudio.generation.stage import prepare
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.recipe.schema.load import parse
from synthstudio.training import checkpoint
from synthstudio.training import config as configs
from synthstudio.training.config import Config, Network, Source
from synthstudio.training.data.batches import InputSpec
from synthstudio.training.data.sources import load_subset
from synthstudio.training.devices import has_bfloat16
from synthstudio.training.loop import train
from synthstudio.training.networks import build_network
from synthstudio.training.poses import pose_bank
from synthstudio.training.predictions import Decode, predict_subset

F64 = NDArray[np.float64]
PRECISION = "bfloat16" if has_bfloat16(torch.device("cpu")) else "float32"
"""What is trained with: the faster one on this machine's CPU."""
HELD_OCCLUDERS = (
    *("bicycle", "cardboard_box", "divider", "hedge", "kiosk", "potted_plant", "shopping_cart"),
    *("sofa", "stool", "suitcase", "umbrella"),
)
HELD_FAMILIES = (
    *("balance", "crawl", "dance", "kick", "kneel", "push", "run", "sit_floor", "squat"),
    *("stretch", "throw"),
)
SKELETON = get_skeleton("coco17")
LOG = ROOT / "docs" / "evidence" / "proof.log"


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
    """One line of the table. `of`: another arm's network, decoded differently."""

    title: str
    block: str = "kpe"
    variants: tuple[str, ...] = ("base", "clean")
    augment: dict[str, float] = field(default_factory=dict)
    of: str = ""
    decode: Decode = "hits"
    bank: bool = False


ARMS = {
    "a": Arm(title="KPE, no occlusion in training", variants=("clean",), decode="peak"),
    "a'": Arm(
        title="KPE, coarse dropout", variants=("clean",), augment={"dropout": 0.5}, decode="peak"
    ),
    "b": Arm(title="KPE, occlusion", decode="peak"),
    "g": Arm(title="(b) decoded by expected hits and a pose bank", of="b", bank=True),
    "c": Arm(title="ORN, occlusion", block="orn"),
}
"""KPE is decoded by its highest peak, ORN by expected hits, unless the line says otherwise."""


def recipe(size: Size, *, test: bool) -> dict[str, Any]:
    """The recipe of the training or of the test people.

    Test frames show held-out kinds of objects and poses only (whole families, and single poses of
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
        "skeleton": SKELETON.name,
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
        "objects": [{"kind": "procedural", "between": [0.15, 0.7]}],
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
    network = {"head": arm.block, "size": list(size.picture), "bank": size.bank}
    network |= {"width": width} if arm.block == "kpe" else {}
    return configs.parse(
        {
            "name": f"proof {name} seed {seed}",
            "seed": seed,
            "train": [{"dataset": train, "splits": ["train"], "variants": list(arm.variants)}],
            "network": network,
            "augment": arm.augment,
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
    bank = PoseBank(torch.rand(network.bank, len(SKELETON.joints), 2)) if network.bank else None
    net = build_network(network, SKELETON, bank=bank if network.head == "orn" else None).train()
    count = 2  # norms need two
    with FlopCounterMode(display=False) as counter:
        out = net(torch.rand(count, 3, *network.size))
        heads = [*out.logits, out.presence, out.shares, out.quality, out.occluder, out.xyz_m]
        torch.stack([h.sum() for h in heads if h is not None]).sum().backward()
    return int(counter.get_total_flops()) // count


@functools.cache
def matched_width(orn: Network) -> int:
    """The width at which KPE costs as much as an ORN; ValueError when it is over WITHIN off."""

    def cost(width: int) -> float:
        kpe = orn.model_copy(update={"head": "kpe", "width": width})
        return step_flops(kpe) / step_flops(orn)

    low, high = 8, 256  # cost grows with the width
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= 1 else (low, middle)
    best = min((low, high), key=lambda width: abs(cost(width) - 1))
    if abs(cost(best) - 1) > WITHIN:
        raise ValueError(f"a width of {best} costs {cost(best):.2f} times an ORN's")
    return best


def orn_network(size: Size) -> Network:
    """The proof's ORN: what KPE is widened to."""
    return Network(head="orn", size=size.picture, bank=size.bank)


# One proof --------------------------------------------------------------------------------


class Proof:
    """One proof: its size and its folders: data and crops in `folder`, the rest in `made`."""

    def __init__(self, size: Size, cache: Path) -> None:
        self.size = size
        self.recipes = {test: recipe(size, test=test) for test in (False, True)}
        self.width = matched_width(orn_network(size))
        self.folder = cache / _digest([dataclasses.asdict(size), *self.recipes.values()])
        self.crops = self.folder / "crops"
        arms = {name: dataclasses.asdict(arm) for name, arm in ARMS.items()}
        self.made = self.folder / f"by-{_digest([_code(), self.width, arms])}"

    def data(self, *, test: bool) -> Path:
        return self.folder / ("test" if test else "train")

    def make_data(self, workers: int) -> None:
        """Generate both data sets, or what is missing of them."""
        for test in (False, True):
            settings = prepare(parse(self.recipes[test]), assets=ROOT, device="cpu")
            out = self.data(test=test)
            pipeline.generate(settings, out, workers=workers, resume=out.exists())

    def result(self, arm: str, seed: int) -> Path:
        return self.made / "results" / f"{arm.replace(chr(39), '-dropout')}-{seed}.json"

    def run_job(self, arm: str, seed: int) -> None:
        """Train an arm with a seed, or resume it; write its results and those of its decodings."""
        decoded = [name for name in ARMS if name == arm or ARMS[name].of == arm]
        missing = [name for name in decoded if not self.result(name, seed).is_file()]
        if not missing:
            return
        torch.set_num_threads(1)
        data = str(self.data(test=False))
        trained = config(arm, seed, size=self.size, train=data, width=self.width)
        out = self.made / "runs" / self.result(arm, seed).stem
        if not train(trained, out, resume=True, cache=self.crops).finished:
            raise SystemExit(f"({arm}) seed {seed} was stopped; run the proof again to resume")
        net, _, _ = checkpoint.load_network(out / "last.safetensors")
        source = Source(dataset=str(self.data(test=True)))
        people, _ = load_subset((source,), trained, self.crops)
        spec = InputSpec.of(trained.network, SKELETON)
        for name in missing:
            bank = self._bank(trained) if ARMS[name].bank else None
            decode, cpu = ARMS[name].decode, torch.device("cpu")
            answers = predict_subset(net, people, spec, device=cpu, decode=decode, bank=bank)
            found = {"arm": name, "seed": seed, **measured(answers)}
            write_file(self.result(name, seed), canonical_json(found))

    def _bank(self, trained: Config) -> PoseBank:
        people, _ = load_subset(trained.train, trained, self.crops)
        return pose_bank(
            people, SKELETON, size=self.size.picture, count=self.size.bank, seed=trained.seed
        )


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(canonical_json(parts)).hexdigest()[:12]


def _code() -> str:
    """A digest of the training code: results of other code are not reused."""
    digest = hashlib.sha256()
    for folder in ("models", "training"):
        for path in sorted((ROOT / "synthstudio" / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


# What is measured -------------------------------------------------------------------------

SEED = 7
ROUNDS = 2000
HITS = {
    "hidden": "hidden joints",
    "by others": "hidden by objects or people",
    "visible": "visible joints",
    "clean": "clean frames, all joints",
}
"""Measures with an interval: PCK@0.1 of the amodal box's longer side."""


def measured(answers: Predictions) -> dict[str, Any]:
    """Hits and counts by group for HITS, and OKS-AP with amodal areas, as plain values."""
    base, clean = (answers.known & (answers.variant == v)[:, None] for v in ("base", "clean"))
    hidden = base & (answers.state == STATE_HIDDEN)
    others = np.isin(answers.cause, [CAUSES.index(c) for c in ("object", "person")])
    parts = {
        "hidden": hidden,
        "by others": hidden & others,
        "visible": base & (answers.state == STATE_VISIBLE),
        "clean": clean,
    }
    hits = {}
    for name, which in parts.items():
        right, counted = pck_by_group(answers, which, at=0.1)
        hits[name] = {"hits": right[0].tolist(), "counts": counted[0].tolist()}
    occluded = select(answers, answers.variant == "base")
    score = occluded.score.mean(1)  # every arm's own chance of the maps; only ORN says a quality
    found = average_precision(truth_of(occluded), occluded.xy, score, sigmas=SKELETON.sigmas)
    return {"hits": hits, "AP": None if np.isnan(found["AP"]) else found["AP"]}


@dataclass(frozen=True, kw_only=True)
class Found:
    """All results at hand: (arm, seed) -> what `measured` returned, with what training cost."""

    results: Mapping[tuple[str, int], Mapping[str, Any]]

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms with results, in the order of ARMS."""
        return tuple(name for name in ARMS if any(arm == name for arm, _ in self.results))

    def seeds(self, arm: str) -> list[int]:
        """The seeds of an arm."""
        return sorted(seed for name, seed in self.results if name == arm)

    def sides(self, arm: str, measure: str, seeds: list[int]) -> tuple[F64, F64]:
        """(S, G) hits and counts."""
        rows = [self.results[arm, seed]["hits"][measure] for seed in seeds]
        return np.array([r["hits"] for r in rows]), np.array([r["counts"] for r in rows])

    def value(self, arm: str, measure: str) -> Interval:
        """A measure of an arm over its seeds and all groups."""
        sides = self.sides(arm, measure, self.seeds(arm))
        return ratio_interval(*sides, seed=SEED, rounds=ROUNDS)

    def difference(self, ours: str, theirs: str, measure: str) -> Interval:
        """How much better ours is, paired by seed and group."""
        seeds = sorted(set(self.seeds(ours)) & set(self.seeds(theirs)))
        return paired_interval(
            self.sides(ours, measure, seeds),
            self.sides(theirs, measure, seeds),
            seed=SEED,
            rounds=ROUNDS,
        )

    def precision(self, arm: str) -> str:
        """The AP's mean and the range of its seeds."""
        values = [self.results[arm, seed]["AP"] for seed in self.seeds(arm)]
        shown = [100 * value for value in values if value is not None]
        return f"{np.mean(shown):.1f} ({min(shown):.1f} to {max(shown):.1f})" if shown else "-"


def read(folder: Path, arms: tuple[str, ...], seeds: int) -> Found:
    """What lies in a folder of results, of these arms and of the first `seeds` seeds."""
    results = {}
    for path in sorted(folder.glob("*.json")):
        reported = json.loads(path.read_text(encoding="utf-8"))
        if reported["arm"] in arms and reported["seed"] < seeds:
            results[reported["arm"], reported["seed"]] = reported
    return Found(results=results)


AIMS: tuple[tuple[str, str, str, Callable[[Interval], bool]], ...] = (
    ("c", "a", "hidden", lambda d: d.value >= 0.1),
    ("c", "a'", "hidden", lambda d: d.value >= 0.1),
    ("c", "b", "hidden", lambda d: d.value >= 0.05),
    ("c", "g", "hidden", lambda d: d.low > 0),
    ("c", "a", "clean", lambda d: d.value >= -0.01),
)
"""Lines that are to hold: ours, theirs, the measure, and whether the difference is enough."""


def tables(found: Found) -> str:
    """The figures of all arms and the aims, as Markdown."""
    columns = [*HITS.values(), "OKS-AP", "seeds"]
    lines = ["| arm | " + " | ".join(columns) + " |", "|---" * (1 + len(columns)) + "|"]
    for arm in found.arms:
        cells = [interval(vars(found.value(arm, measure))) for measure in HITS]
        cells += [found.precision(arm), str(len(found.seeds(arm)))]
        lines.append(f"| ({arm}) {ARMS[arm].title} | " + " | ".join(cells) + " |")
    lines += ["", "| ours less theirs | difference in points (95 %) | holds |", "|---|---|---|"]
    for ours, theirs, measure, holds in AIMS:
        if {ours, theirs} <= set(found.arms):
            apart = found.difference(ours, theirs, measure)
            enough = "yes" if holds(apart) else "**no**"
            lines.append(f"| ({ours}) - ({theirs}), {measure} | {apart.text()} | {enough} |")
    return "\n".join(lines)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proof", description=__doc__)
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "proof")
    parser.add_argument("--log", type=Path, default=LOG)
    parser.add_argument("--small", action="store_true", help="a few steps, to try it out")
    parser.add_argument("--arms", default=",".join(ARMS), help="by commas")
    parser.add_argument("--seeds", type=int, default=0, help="fewer than usual")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(words)
    arms = tuple(options.arms.split(","))
    if unknown := sorted(set(arms) - set(ARMS)):
        parser.error(f"unknown arms: {', '.join(unknown)} (expected some of {', '.join(ARMS)})")
    proof = Proof(SMALL if options.small else FULL, options.cache)
    seeds = options.seeds or proof.size.seeds
    proof.make_data(options.workers)
    networks = sorted({ARMS[arm].of or arm for arm in arms})
    # Each training on one thread, in a process of its own.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=spawn) as pool:
        jobs = {(a, s): pool.submit(proof.run_job, a, s) for s in range(seeds) for a in networks}
        for (arm, seed), job in jobs.items():
            job.result()
            print(f"({arm}) seed {seed}", flush=True)
    text = tables(read(proof.made / "results", arms, seeds))
    print(text)
    write_file(options.log, f"$ python -m benchmarks.proof {' '.join(words)}\n{text}\n".encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
