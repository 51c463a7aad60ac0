"""What a network looks at; banks of learnt people alone; backbones that configs name."""

import numpy as np
import pytest
import tiny
import torch

from synthstudio.dataset.reader import Dataset
from synthstudio.training import networks, poses
from synthstudio.training.config import Network, overfitted
from synthstudio.training.data import sources
from synthstudio.training.data.batches import CropSubset
from synthstudio.training.data.windows import PADDING
from synthstudio.training.ground_truth import clip_windows, image_sizes
from synthstudio.training.predictions import predict_subset

CPU = torch.device("cpu")


def net_of(people, block="orn"):
    torch.manual_seed(0)
    network = Network(head=block, size=(48, 36), widths=(8, 12), width=16)
    bank = poses.pose_bank(people.train, people.skeleton, size=(48, 36), count=8, seed=0)
    return networks.build_network(
        network, people.skeleton, bank=bank if block == "orn" else None
    ).eval()


def test_a_bank_knows_only_the_people_that_are_learnt_from(people):
    crops, skeleton = people.train.crops, people.skeleton
    few = np.array([2, 5])

    def bank_of(rows):
        chosen = CropSubset(crops=crops, rows=rows, weight=np.ones(len(rows)))
        return poses.pose_bank(chosen, skeleton, size=(48, 36), count=500, seed=0)

    bank, every = bank_of(few), bank_of(np.arange(len(crops)))
    assert bank is not None and every is not None
    assert len(bank.poses) <= 4 < len(every.poses)
    own = (crops.xy[few] - np.array([36, 48]) * 0.25) / [36, 48]
    for pose in bank.poses[: len(bank.poses) // 2].numpy():
        assert np.abs(own - pose).max((1, 2)).min() < 1e-5


def test_first_people_are_learnt_and_judged(people, pairs):
    some = sources.overfit_subset(people, 3, repeats=4)
    assert some.val is not None and len(some.val) == 3 and len(some.train) == 12
    assert set(some.train.rows) == set(some.val.rows) == set(people.train.rows[:3])
    assert some.key != people.key != sources.overfit_subset(people, 4).key
    changed = overfitted(tiny.config(pairs, steps=0), 3)
    assert changed.batch == 3 and changed.steps == 400 and changed.augment.flip == 0


def test_windows_end_with_their_pictures(pairs, people):
    assert people.val is not None
    torch.manual_seed(0)
    free = predict_subset(net_of(people), people.val, people.spec, device=CPU)
    high = np.maximum(free.box[:, 3], free.box[:, 2] * 48 / 36) * PADDING
    size = free.window[:, 2:] - free.window[:, :2]
    assert size == pytest.approx(np.stack([high * 36 / 48, high], 1), rel=1e-4)
    middle = (free.window[:, 2:] + free.window[:, :2]) / 2
    assert middle == pytest.approx(free.box[:, :2] + free.box[:, 2:] / 2, abs=1e-2)
    sizes = image_sizes(Dataset(pairs), free.frame)
    identity = {(r["index"]): (r["width_px"], r["height_px"]) for r in Dataset(pairs).iter_frames()}
    assert [tuple(s) for s in sizes] == [identity[int(f)] for f in free.frame]
    cut = clip_windows(free, sizes).window
    assert (cut[:, :2] >= 0).all() and (cut[:, 2:] <= sizes).all()
    within = (free.window[:, :2] >= 0).all(1) & (free.window[:, 2:] <= sizes).all(1)
    assert (cut[within] == free.window[within]).all() and not within.all()
