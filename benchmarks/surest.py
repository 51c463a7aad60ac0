"""How right is a network where it is surest? What a teacher on photos without labels can teach.

Joints of dev people that are found (PCK@0.1), of the share of the people of whom the network is
surest, joint by joint as `adapt.keep` picks them; and by how far the trunk leans from upright.

    python -m benchmarks.surest --photos FOLDER [WEIGHTS]
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
from synthstudio.evaluation.localization import pck
from synthstudio.inference.default import TENSORS, WEIGHTS
from synthstudio.models.heatmaps import expected_hits
from synthstudio.training import adaptation, checkpoint
from synthstudio.training.config import NO_AUGMENTATION
from synthstudio.training.data import batches
from synthstudio.training.data.batches import InputSpec

KEPT = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
LEANS_DEG = (0, 20, 45, 110, 180)
_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_BATCH = 125


def leans_deg(xy: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far trunks lean from upright, 0 to 180; NaN without all of `_TRUNK` (P, 4, 2)."""
    up = xy[:, :2].mean(1) - xy[:, 2:].mean(1)
    lean = np.abs(np.degrees(np.arctan2(up[:, 0], -up[:, 1])))
    return np.where(known.all(1), lean, np.nan)


@torch.inference_mode()
def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, required=True, help="as for make transfer")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "transfer")
    default = WEIGHTS / TENSORS
    parser.add_argument("weights", type=Path, nargs="?", default=default, help="the package's")
    options = parser.parse_args(words)
    net, config, skeleton = checkpoint.load_network(options.weights)
    net.eval()
    photos, crops = options.photos.resolve(), options.cache.resolve() / "crops"
    people = people_of(photos, "dev", "images", config, crops, skeleton)
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
        hit = pck(found.xy.double().numpy() * cell, truth, length=side, at=0.1) > 0
        sure = adaptation.confidence(outputs, found).numpy()
        columns.append((hit, batch.labels.known.numpy(), sure, truth))
    hit, known, sure, truth = (np.concatenate(column) for column in zip(*columns, strict=True))
    for kept in KEPT:
        chosen = (sure >= np.quantile(sure, 1 - kept, axis=0)) & known
        print(f"surest {kept:4.0%} of each joint: {hit[chosen].mean():6.1%} found")
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
