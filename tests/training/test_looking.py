"""What a network looks at; banks of learnt people alone; backbones that configs name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import transformers

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.models.contract import PoseNet
from synthstudio.training import diagnostics, networks, poses
from synthstudio.training.config import Network, overfitted
from synthstudio.training.data import sources
from synthstudio.training.data.batches import CropSubset
from synthstudio.training.data.windows import PADDING
from synthstudio.training.ground_truth import clip_windows, image_sizes
from synthstudio.training.predictions import predict_subset

CPU = torch.device("cpu")


def net_of(people: sources.TrainingData, block: str = "orn") -> PoseNet:
    torch.manual_seed(0)
    network = Network(head=block, size=(48, 36), widths=(8, 12), width=16)
    bank = poses.pose_bank(people.train, people.skeleton, size=(48, 36), count=8, seed=0)
    return networks.build_network(
        network, people.skeleton, bank=bank if block == "orn" else None
    ).eval()


def test_a_bank_knows_only_the_people_that_are_learnt_from(people: sources.TrainingData) -> None:
    crops, skeleton = people.train.crops, people.skeleton
    few = np.array([2, 5])

    def bank_of(rows: np.ndarray) -> PoseBank | None:
        chosen = CropSubset(crops=crops, rows=rows, weight=np.ones(len(rows)))
        return poses.pose_bank(chosen, skeleton, size=(48, 36), count=500, seed=0)

    bank, every = bank_of(few), bank_of(np.arange(len(crops)))
    assert bank is not None and every is not None
    assert len(bank.poses) <= 4 < len(every.poses)
    own = (crops.xy[few] - np.array([36, 48]) * 0.25) / [36, 48]
    for pose in bank.poses[: len(bank.poses) // 2].numpy():
        assert np.abs(own - pose).max((1, 2)).min() < 1e-5


def test_examples_are_hidden_joints_of_different_moments(people: sources.TrainingData) -> None:
    assert people.val is not None
    reported = diagnostics.examples(net_of(people), people.val, people.spec, device=CPU, count=4)
    crops = people.val.crops
    moments = set()
    for example in reported:
        row = np.flatnonzero((crops.frame == example.frame) & (crops.instance == example.instance))
        assert crops.state[row[0], example.joint] == 1
        assert example.cause in ("person", "object")
        assert example.poses is not None and example.poses.shape[1:] == (23, 2)
        assert 1 <= len(example.peaks) <= 3
        column, row_of = (example.peaks[0] * [9, 12]).astype(int)
        assert example.heatmap[row_of, column] == example.heatmap.max()
        moments.add(int(crops.group[row[0]]))
    assert len(moments) == len(reported) > 1


def test_a_patch_slides_over_people(people: sources.TrainingData) -> None:
    assert people.val is not None
    maps = diagnostics.patch_sensitivity(
        net_of(people), people.val, people.spec, device=CPU, count=2
    )
    assert len(maps) == 2
    assert maps[0].increase.shape == (10, 7, 23)
    assert np.nanmax(np.abs(maps[0].increase)) > 0
    assert (
        diagnostics.measure_latency(net_of(people), people.spec, device=CPU, rounds=2).mean_ms > 0
    )


def test_spread_is_even_and_whole() -> None:
    assert diagnostics.evenly_spaced(100, 5).tolist() == [0, 25, 50, 74, 99]
    assert diagnostics.evenly_spaced(3, 8).tolist() == [0, 1, 2]


def test_first_people_are_learnt_and_judged(people: sources.TrainingData, pairs: Path) -> None:
    some = sources.overfit_subset(people, 3, repeats=4)
    assert some.val is not None and len(some.val) == 3 and len(some.train) == 12
    assert set(some.train.rows) == set(some.val.rows) == set(people.train.rows[:3])
    assert some.key != people.key != sources.overfit_subset(people, 4).key
    changed = overfitted(tiny.config(pairs, steps=0), 3)
    assert changed.batch == 3 and changed.steps == 400 and changed.augment.flip == 0


@pytest.mark.parametrize("reported", ["", '{"config": {}, "mean": [], "std": []}'])
def test_a_backbone_whose_library_is_missing_is_told(
    reported: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks(*given: object, **named: object) -> None:
        raise ImportError("it needs a library that is not installed")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", lacks)
    monkeypatch.setattr(transformers.AutoConfig, "for_model", lacks)
    network = Network(backbone="transformers:some/backbone", size=(48, 32), bank=0)
    with pytest.raises(ModelError, match="library that is not installed"):
        networks.build_network(network, get_skeleton("coco17"), bank=None, backbone=reported)


@pytest.mark.parametrize("what", ["patched", "timed"])
def test_memory_that_does_not_hold_a_batch_is_told(
    people: sources.TrainingData, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    assert people.val is not None
    net = net_of(people)

    def full(images: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(net, "forward", full)
    ask = {
        "patched": lambda: diagnostics.patch_sensitivity(net, people.val, people.spec, device=CPU),
        "timed": lambda: diagnostics.measure_latency(net, people.spec, device=CPU),
    }
    with pytest.raises(ModelError, match=r"out of memory for a batch.*another `device`"):
        ask[what]()


def test_windows_end_with_their_pictures(pairs: Path, people: sources.TrainingData) -> None:
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
