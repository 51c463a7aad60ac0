"""How right is a network, where it is surest, and what is wrong where it is not?

Joints of dev people that are found (PCK@0.1), of the share of the people of whom the network is
surest, joint by joint as `adapt.keep` picks them: what a teacher on photos without labels can
teach. Of all joints, those that are found, that lie where the other side's or where another joint
of the person is, and the rest. And by how far the trunk leans from upright.

`--people DATASET`: visible shoulders to ankles of generated people instead, cut out as in training.

    python -m benchmarks.surest --photos FOLDER [WEIGHTS]
    python -m benchmarks.surest --people DATASET [WEIGHTS]
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
import torch  # noqa: TID253 - as transfer does
from numpy.typing import NDArray

from benchmarks.proofs import ROOT
from benchmarks.transfer import people_of
from benchmarks.transfer_photos import surest
from synthstudio.core.labels import STATE_VISIBLE
from synthstudio.evaluation.localization import pck
from synthstudio.models.heatmaps import expected_hits
from synthstudio.models.packaged import TENSORS, WEIGHTS
from synthstudio.training import adaptation, checkpoint
from synthstudio.training.config import NO_AUGMENTATION
from synthstudio.training.data import batches
from synthstudio.training.data.batches import InputSpec
from synthstudio.training.data.crops import crop_dataset
from synthstudio.training.data.sources import everybody
from synthstudio.training.data.windows import LIMBS

KEPT = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
LEANS_DEG = (0, 20, 45, 110, 180)
_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_BATCH = 125


def leans_deg(xy: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far trunks lean from upright, 0 to 180; NaN without all of `_TRUNK` (P, 4, 2)."""
    up = xy[:, :2].mean(1) - xy[:, 2:].mean(1)
    lean = np.abs(np.degrees(np.arctan2(up[:, 0], -up[:, 1])))
    return np.where(known.all(1), lean, np.nan)


def kinds(
    guess: NDArray[np.float64],
    truth: NDArray[np.float64],
    known: NDArray[np.bool_],
    within: NDArray[np.float64],
    flip: NDArray[np.int64],
) -> dict[str, float]:
    """The shares of the known joints that are found, or where else they lie.

    Guessed and true joints (P, J, 2); `within` (P,): as near as that is found; `flip` (J,).
    """
    away = np.linalg.norm(guess[:, :, None] - truth[:, None], axis=-1)  # (P, J, J)
    there = (away <= within[:, None, None]) & known[:, None]
    own = np.arange(truth.shape[1])
    found, swapped = there[:, own, own], there[:, own, flip]
    told = {
        "found": found,
        "at the other side's": swapped & ~found,
        "at another joint": there.any(-1) & ~found & ~swapped,
        "nowhere near": ~there.any(-1),
    }
    return {name: float(each[known].mean()) for name, each in told.items()}


@torch.inference_mode()
def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--photos", type=Path, help="as for make transfer")
    asked.add_argument("--people", type=Path, help="a data set")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "transfer")
    default = WEIGHTS / TENSORS
    parser.add_argument("weights", type=Path, nargs="?", default=default, help="the package's")
    options = parser.parse_args(words)
    net, config, skeleton = checkpoint.load_network(options.weights)
    net.eval()
    crops = options.cache.resolve() / "crops"
    if options.people is None:
        people = people_of(options.photos.resolve(), "dev", "images", config, crops, skeleton)
    else:
        cut = crop_dataset(
            options.people.resolve(),
            size=config.network.size,
            cache=crops,
            progress=lambda done, total: None,
            skeleton=skeleton,
            boxes="limbs",
        ).crops
        people = everybody(cut)
    spec = InputSpec.of(config.network, skeleton)
    size = np.array([spec.size[1], spec.size[0]])
    columns = []
    for start in range(0, len(people), _BATCH):
        rows = people.rows[start : start + _BATCH]
        batch = batches.make_batch(people.crops, rows, spec, NO_AUGMENTATION)
        outputs = net(batch.images)
        found = expected_hits(outputs.maps)
        truth = batch.labels.xy.double().numpy() * size
        side = people.crops.side[rows].astype(np.float64)
        cell = spec.size[1] / spec.cells[1]
        sure = adaptation.confidence(outputs, found).numpy()
        known = batch.labels.known.numpy()
        if options.people is not None:
            known &= batch.labels.state.numpy() == STATE_VISIBLE
            known &= np.isin([name.split("_")[-1] for name in skeleton.joints], LIMBS)
        columns.append((found.xy.double().numpy() * cell, known, sure, truth, side))
    guess, known, sure, truth, side = (
        np.concatenate(column) for column in zip(*columns, strict=True)
    )
    hit = pck(guess, truth, length=side, at=0.1) > 0
    for kept in KEPT:
        chosen = surest(sure, kept) & known
        print(f"surest {kept:4.0%} of each joint: {hit[chosen].mean():6.1%} found")
    for name, share in kinds(guess, truth, known, 0.1 * side, skeleton.flip).items():
        print(f"{share:6.1%} {name}")
    trunk = [skeleton.joints.index(name) for name in _TRUNK]
    lean = leans_deg(truth[:, trunk], known[:, trunk])
    for low, high in itertools.pairwise(LEANS_DEG):
        among = (lean >= low) & (lean <= high)
        if not known[among].any():
            continue
        share = hit[among][known[among]].mean()
        print(f"trunk {low:3} to {high:3} degrees: {share:6.1%} found of {among.sum()} people")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
