"""Contrastive poses: research's test, on people who are drawn as sticks."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import drawn_poses as drawn
import numpy as np
import pytest
import torch

from synthstudio.core.errors import ModelError
from synthstudio.core.rng import stream
from synthstudio.models.representations import info_nce
from synthstudio.training import checkpoint
from synthstudio.training.data.pose_pairs import PairSampler, PosePeople, shuffled
from synthstudio.training.networks import build_network
from synthstudio.training.representations import (
    WEIGHTS,
    contrastive_net,
    encoded,
    retrieval,
    train_contrastive,
)

STEPS = 120


@pytest.fixture(scope="module")
def train_people() -> PosePeople:
    return drawn.people(150, seed=0)


@pytest.fixture(scope="module")
def test_people() -> PosePeople:
    return drawn.people(40, seed=1)


@pytest.mark.nightly("trained for 120 steps; the loss, the pairs and retrieval are tested below")
def test_poses_are_found_among_the_same_clothes(
    train_people: PosePeople, test_people: PosePeople
) -> None:
    config, losses = drawn.config(batch=48), []
    net = train_contrastive(
        train_people, config, steps=STEPS, progress=lambda *told: losses.append(told[2])
    )
    # Before the first step codes tell nothing: the loss is that of choosing among N blindly.
    first = float(losses[0].split()[-1])
    assert first == pytest.approx(math.log(config.batch - 1), rel=0.15)
    found = retrieval(encoded(net, test_people, config), test_people)
    assert len(found.hits) == len(test_people)
    assert found.chance == pytest.approx(0.5)
    assert found.hits.mean() > 0.9
    everybody = retrieval(encoded(net, test_people, config), test_people, same_look=False)
    assert everybody.chance.max() < 0.01
    assert everybody.hits.mean() > 0.85


@pytest.mark.nightly("trained for 60 steps; the loss, the pairs and retrieval are tested below")
def test_shuffled_pairs_and_random_weights_are_no_better_than_chance(
    train_people: PosePeople, test_people: PosePeople
) -> None:
    config, losses = drawn.config(), []
    net = train_contrastive(
        shuffled(train_people), config, steps=60, progress=lambda *told: losses.append(told[2])
    )
    last = np.mean([float(told.split()[-1]) for told in losses[-10:]])
    assert last == pytest.approx(math.log(config.batch - 1), rel=0.05)
    for encode in (net, contrastive_net(config, train_people.skeleton).eval()):
        found = retrieval(encoded(encode, test_people, config), test_people)
        sd = math.sqrt(0.25 / len(np.unique(test_people.pose)))  # answers of one pose go together
        assert found.hits.mean() < 0.5 + 2 * sd
    assert np.sort(shuffled(train_people).pose).tolist() == sorted(train_people.pose.tolist())


def test_the_loss_is_log_n_for_codes_that_are_alike_and_nothing_for_perfect_ones() -> None:
    pose = torch.arange(8).repeat_interleave(2)
    partner = torch.arange(16) ^ 1
    alike = torch.ones(16, 4) / 2
    assert info_nce(alike, partner, pose).item() == pytest.approx(math.log(15))
    perfect = torch.eye(8)[pose]
    assert info_nce(perfect, partner, pose, tau=0.01).item() == pytest.approx(0, abs=1e-6)
    # More of one's own pose are no candidates: eight of twelve are left, and the partner.
    many = torch.arange(3).repeat_interleave(4)
    found = info_nce(torch.ones(12, 4) / 2, torch.arange(12) ^ 1, many)
    assert found.item() == pytest.approx(math.log(9))


def test_partners_are_others_of_the_same_pose() -> None:
    codes, partner = torch.ones(4, 4) / 2, torch.tensor([1, 0, 3, 2])
    for pose, wrong in (
        (torch.tensor([0, 1, 2, 2]), partner),
        (torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 2, 3])),
    ):
        with pytest.raises(ModelError, match="no pairs to contrast"):
            info_nce(codes, wrong, pose)
    with pytest.raises(ModelError, match="got 2 codes"):
        info_nce(codes[:2], partner[:2], torch.zeros(2, dtype=torch.long))


def test_a_batch_holds_poses_in_other_clothes_and_clothes_in_other_poses() -> None:
    people = drawn.people(6, seed=2)
    quads = PairSampler(people).draw(stream(0, "quads"), 64)
    pose, look = people.pose[quads.rows], people.look[quads.rows]
    assert (pose[quads.partner] == pose).all()
    assert (look[quads.partner] != look).all()
    first, other = np.arange(0, 64, 4), np.arange(2, 64, 4)
    assert (look[first] == look[other]).all()
    assert (pose[first] != pose[other]).all()
    once = people[np.unique(people.pose, return_index=True)[1]]
    with pytest.raises(ModelError, match="no two poses are shown twice"):
        PairSampler(once)


def test_retrieval_counts_a_wrong_neighbour(test_people: PosePeople) -> None:
    truth = np.eye(len(test_people), dtype=np.float32)[test_people.pose]
    assert retrieval(truth, test_people).hits.all()
    by_clothes = np.eye(len(test_people), dtype=np.float32)[test_people.look]
    assert not retrieval(by_clothes, test_people).hits.any()
    one_look = dataclasses.replace(test_people, look=test_people.pose)
    assert not len(retrieval(truth, one_look).hits)


def test_the_same_seed_gives_the_same_weights_and_a_pose_network_takes_them(tmp_path: Path) -> None:
    train_people, config = drawn.people(8, seed=0), drawn.config(batch=16)
    one, two = (train_contrastive(train_people, config, steps=3).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    net = train_contrastive(train_people, drawn.config(batch=16, seed=1), steps=3)
    assert not torch.equal(net.state_dict()["projection.5.weight"], one["projection.5.weight"])
    file, skeleton = tmp_path / WEIGHTS, train_people.skeleton
    checkpoint.save_weights(file, net, config, skeleton=skeleton, note="test")
    for block in ("kpe", "orn"):
        network = config.network.model_copy(update={"block": block})
        posed = build_network(network, skeleton, bank=None)
        told = checkpoint.initialize(posed, file, skeleton=skeleton, poses=0)
        assert "tensors loaded" in told
        assert "not used: projection" in told
        for name, value in posed.features.state_dict().items():
            assert torch.equal(value, net.features.state_dict()[name])
    with pytest.raises(ModelError, match="do not fit their own config"):
        checkpoint.load_network(file)
