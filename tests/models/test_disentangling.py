"""Pose and looks apart: what each code can know, and research's swap test on stick people."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import drawn_poses as drawn
import numpy as np
import pytest
import torch

from benchmarks.representations import (
    colours_followed,
    joints_of,
    pictures,
    pose_followed,
    probe,
    swaps,
    train_judge,
)
from synthstudio.core.rng import stream
from synthstudio.models.representations import PoseCode, covariance_loss, picture_loss
from synthstudio.training.data.pose_pairs import PosePeople
from synthstudio.training.representations import disentangler, encoded, train_disentangled


def test_gaussians_stand_where_the_code_says() -> None:
    code = PoseCode(xy=torch.tensor([[[2.5, 1.5], [0.0, 3.0]]]), cells=(4, 5))
    maps = code.maps(sigma=0.7)
    assert maps.shape == (1, 2, 4, 5)
    assert maps[0, 0, 1, 2] == 1
    assert maps[0, 0, 1, 3] == pytest.approx(np.exp(-1 / (2 * 0.49)))
    assert maps[0, 1].max() == maps[0, 1, 2, 0] == maps[0, 1, 3, 0]


def test_the_picture_depends_on_places_of_the_one_and_averages_of_the_other() -> None:
    config = drawn.config()
    net = disentangler(config, drawn.SKELETON).eval()
    images = torch.from_numpy(pictures(drawn.people(2, seed=3), config))
    one, other = images[:1], images[-1:]
    made = net(one, other)
    assert made.shape == one.shape
    pose, looks = net.encode_pose(one), net.encode_looks(other)
    assert torch.equal(made, net.picture(pose, looks))
    assert not torch.equal(made, net(other, other))
    assert not torch.equal(made, net(one, one))
    moved = PoseCode(xy=pose.xy + 1.0, cells=pose.cells)
    assert not torch.allclose(net.picture(moved, looks), made, atol=1e-3)


def test_losses_are_nothing_for_what_is_right() -> None:
    rng = stream(0, "losses")
    true = torch.from_numpy(rng.random((2, 3, 16, 12)))
    assert picture_loss(true, true).item() == 0
    # 0.1 off costs itself and 20 times its square, at three sizes; edges cost nothing.
    assert picture_loss(true + 0.1, true).item() == pytest.approx(3 * (0.1 + 0.2), abs=1e-6)
    code = torch.from_numpy(rng.normal(size=(5000, 3)))
    same = torch.cat([code[:, :1], torch.from_numpy(rng.normal(size=(5000, 1)))], 1)
    assert covariance_loss(code, code[:, :1]).item() == pytest.approx(1 / 3, abs=0.01)
    assert covariance_loss(code, same).item() == pytest.approx(1 / 6, abs=0.01)
    assert covariance_loss(code, same[:, 1:]).item() < 0.01


def test_training_is_by_the_seed_and_changes_both_codes() -> None:
    people, config = drawn.people(2, seed=0), drawn.config(widths=(8, 12), batch=8)
    one, two = (train_disentangled(people, config, steps=2) for _ in range(2))
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))
    codes = encoded(lambda images: one.encode_pose(images).xy.flatten(1), people, config)
    assert len(codes) == len(people) and np.isfinite(codes).all()


@pytest.mark.nightly("two networks are trained for 150 and 450 steps")
def test_a_swapped_picture_has_the_pose_of_the_one_and_the_colours_of_the_other() -> None:
    train_people, people = drawn.people(200, seed=0), drawn.people(60, seed=1)
    config = drawn.config(batch=24, lr=5e-3)
    judge = train_judge(train_people, drawn.config(batch=32), steps=150)
    net = train_disentangled(train_people, config, steps=450)
    swap = swaps(net, people, config, turn=len(people) // 2 + 1)
    by_pose, by_looks = pose_followed(judge, swap, people, config)
    assert by_pose > 0.93
    assert by_looks < 0.72  # what anybody else's joints would score
    own = pictures(people, config)
    assert colours_followed(swap, own) > 0.9
    # Controls: people as they are have the colours of their own, and of their pose.
    kept = dataclasses.replace(swap, pictures=own.transpose(0, 2, 3, 1)[swap.posed])
    assert colours_followed(kept, own) == 0
    assert pose_followed(judge, kept, people, config)[0] > 0.95
    known = [
        probe(*(x for p in (train_people, people) for x in (_codes(code, p), joints_of(p))))
        for code in (lambda images: net.encode_pose(images).xy.flatten(1), net.encode_looks)
    ]
    assert known[0] > 0.9
    assert known[1] < 0.1


def _codes(code: Callable[[torch.Tensor], torch.Tensor], people: PosePeople) -> np.ndarray:
    return encoded(code, people, drawn.config()).astype(np.float64)
