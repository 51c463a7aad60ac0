"""How well do poses fit people in photos? What a bank of them finds when it is told the truth.

Each dev person is covered as in `make transfer`; the bank sees the true places of the joints that
stay visible and is asked for the hidden ones. A network knows less, so this is a bound for any
network with that bank, and tells whether generated poses are like people's. With `--config` each
bank is made and read as that training makes and reads its own.

    python -m benchmarks.bank_bound --photos FOLDER [--config CONFIG] [DATASET ...]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch  # noqa: TID253 - as transfer does

from benchmarks.proofs import ROOT
from benchmarks.transfer import FRACTIONS, people_of
from synthstudio.core.skeleton import Skeleton
from synthstudio.evaluation.localization import pck
from synthstudio.experiment.occluders import FOLDER, split_cutouts
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.models.heatmaps import expected_hits, gaussian_map
from synthstudio.training import config as configs
from synthstudio.training.config import NO_AUGMENTATION, Config
from synthstudio.training.data import batches
from synthstudio.training.data.batches import CropSubset, InputSpec, Pictures
from synthstudio.training.data.cutouts import Cutouts, load_cutouts
from synthstudio.training.data.sources import load_subset
from synthstudio.training.poses import ANSWER_POSES, TIPPED_DEG, TURNED, pose_bank

_BATCH = 125
_TEST_SEED = 77


@torch.inference_mode()
def bound(
    bank: PoseBank, people: CropSubset, skeleton: Skeleton, config: Config, cutouts: Cutouts,
    fraction: float,
) -> tuple[float, int]:  # fmt: skip
    """The share of hidden joints that the bank finds (PCK@0.1), and how many there are."""
    spec = InputSpec.of(config.network, skeleton)
    augment = NO_AUGMENTATION.model_copy(
        update={"paste": 1.0, "paste_fraction": (fraction, fraction)}
    )
    height, width = spec.cells
    found = asked = 0
    for start in range(0, len(people), _BATCH):
        rows = people.rows[start : start + _BATCH]
        batch = batches.make_batch(
            people.crops, rows, spec, augment, seed=_TEST_SEED, step=start,
            pictures=Pictures(cutouts=cutouts),
        )  # fmt: skip
        known, state = batch.labels.known, batch.labels.state
        seen, hidden = known & (state == 2), known & (state == 1)
        cells = batch.labels.xy.nan_to_num() * torch.tensor([width, height])
        even = torch.full((len(rows), known.shape[1], height, width), 1 / (height * width))
        maps = torch.where(seen[..., None, None], gaussian_map(cells, height, width), even)
        xy = expected_hits(bank(maps).maps).xy / torch.tensor([width, height])
        size = np.array([spec.size[1], spec.size[0]])
        hit = pck(
            xy.double().numpy() * size,
            batch.labels.xy.double().numpy() * size,
            length=people.crops.side[rows].astype(np.float64),
            at=0.1,
        )
        found += int(((hit > 0) & hidden.numpy()).sum())
        asked += int(hidden.sum())
    return found / max(asked, 1), asked


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="as for make transfer")
    about = "of a training: its network and augment are the bank's, but for what is said here"
    parser.add_argument("--config", type=Path, help=about)
    parser.add_argument("--count", type=int, help="poses, half of them mirrored (network.bank)")
    parser.add_argument("--size", type=int, nargs=2, help="height and width (network.size)")
    parser.add_argument("--tipped-deg", type=float, help="as in synthstudio pose-bank; default: 0")
    parser.add_argument("--turned", type=float, help="augment.turned")
    like = "the defaults of synthstudio pose-bank for the three before, if they are not given"
    parser.add_argument("--answers", action="store_true", help=like)
    parser.add_argument("--draws", type=int, default=1, help="banks of each set, by other seeds")
    asked = "what the photos' boxes are about; generated people are cut out by the same"
    parser.add_argument("--boxes", choices=("limbs", "outline"), default="limbs", help=asked)
    parser.add_argument("--split", action="append", default=[], help="of DATASET; default: all")
    held_out = "train: every fourth person of train.json, beside no bank of photos"
    parser.add_argument("--of", choices=("dev", "train"), default="dev", help=held_out)
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "transfer")
    parser.add_argument("datasets", nargs="*", help="generated; a,b: both in one bank")
    options = parser.parse_args(words)
    if options.answers:
        given = (options.count, options.tipped_deg, options.turned)
        usual = (ANSWER_POSES, TIPPED_DEG, TURNED)
        options.count, options.tipped_deg, options.turned = (
            each if value is None else value for value, each in zip(given, usual, strict=True)
        )
    photos, crops = options.photos.resolve(), options.cache.resolve() / "crops"
    hiders = options.cache.resolve() / "bank-bound-hiders"
    if not hiders.is_dir():
        split_cutouts((photos / "cutouts").resolve(), hiders, seed=0)
    cutouts = load_cutouts(hiders / "test" / FOLDER)
    real = {"coco": str(photos / "train.json"), "images": str(photos / "images")}
    sources = {"photos": [real]} if options.of == "dev" else {}
    for sets in ([Path(name).resolve() for name in d.split(",")] for d in options.datasets):
        of = {"boxes": options.boxes, "splits": options.split}
        made = [{"dataset": str(each)} | of for each in sets]
        sources[",".join(each.name for each in sets)] = made
    print(f"{'bank of':30} {'poses':>6}" + "".join(f"{f + ' %':>8}" for f in FRACTIONS))
    for name, source in sources.items():
        config = _config(options, source)
        people, skeleton = load_subset(config.train, config, crops)
        asked_of = people_of(photos, options.of, "images", config, crops, skeleton)
        if options.of == "train":
            asked_of = replace(asked_of, rows=asked_of.rows[::4], weight=asked_of.weight[::4])
        for seed in range(options.draws):
            network = config.network
            bank = pose_bank(
                people, skeleton, size=network.size, count=network.bank, seed=seed,
                turned=config.augment.turned, tipped_deg=options.tipped_deg or 0.0,
                sharpness=network.bank_sharpness,
            )  # fmt: skip
            if bank is None:
                print(f"{name:30} has no poses", file=sys.stderr)
                return 1
            shares = [
                bound(bank, asked_of, skeleton, config, cutouts, fraction)[0]
                for fraction in FRACTIONS.values()
            ]
            cells = "".join(f"{100 * share:8.1f}" for share in shares)
            print(f"{name:30} {len(bank.poses):6}" + cells, flush=True)
    return 0


def _config(options: argparse.Namespace, train: list[dict[str, Any]]) -> Config:
    """The config of a bank of those people: that of a training, and what the options say."""
    config: dict[str, Any] = {"network": {"block": "orn"}, "augment": {}}
    if options.config:
        config = configs.load(options.config).model_dump()
    for part, field, value in (
        ("network", "bank", options.count),
        ("network", "size", options.size),
        ("augment", "turned", options.turned),
    ):
        if value is not None:
            config[part][field] = value
    return configs.parse(config | {"train": train, "val": [], "init_from": ""})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
