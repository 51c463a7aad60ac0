"""The pose bank: a plain loop agrees, a joint's own map is silent, hidden joints are found."""

import pytest
import torch

from synthstudio.core.errors import ModelError
from synthstudio.models.heatmaps import blur, decode_peak, gaussian_map
from synthstudio.models.pose_bank import FLOOR, SHARPNESS, PoseBank, fuse

H, W = 24, 18


def poses(count, seed=0):
    made = torch.Generator().manual_seed(seed)
    return torch.rand(count, 4, 2, generator=made) * 0.8 + 0.1


@pytest.mark.parametrize("sharpness", [SHARPNESS, 1.0])
def test_a_plain_loop_says_the_same(sharpness):
    known, maps = poses(7), gaussian_map(poses(2, 1) * torch.tensor([W, H]), H, W, sigma=3)
    known[3, 2] = torch.tensor([1.2, 0.5])  # outside the crop
    output = PoseBank(known, sharpness=sharpness)(maps)
    soft = (1 - FLOOR) * blur(maps, 1.5) + FLOOR / (H * W)
    logs = sharpness * soft.log()
    for b in range(2):
        fit = torch.empty(7, 4)
        for n in range(7):
            for j in range(4):
                x, y = known[n, j]
                inside = 0 <= x < 1 and 0 <= y < 1
                fit[n, j] = logs[b, j, int(y * H), int(x * W)] if inside else logs[b, j].min()
        for j in range(4):
            weight = torch.softmax(fit.sum(1) - fit[:, j], 0)
            placed = torch.zeros(1, 1, H, W)
            for n in range(7):
                x, y = known[n, j]
                if 0 <= x < 1 and 0 <= y < 1:
                    placed[0, 0, int(y * H), int(x * W)] += weight[n]
            second = blur(placed, 1.2) + 1e-6
            assert torch.allclose(output.maps[b, j], (second / second.sum())[0, 0], atol=1e-5)
        assert torch.allclose(output.weights[b], torch.softmax(fit.sum(1), 0), atol=1e-5)


def test_a_joints_own_map_never_speaks_for_itself():
    bank, maps = PoseBank(poses(50)), gaussian_map(poses(1, 2) * torch.tensor([W, H]), H, W)
    other = maps.clone()
    other[:, 1] = 1 / (H * W)
    before, after = bank(maps).maps, bank(other).maps
    assert torch.allclose(before[:, 1], after[:, 1], atol=1e-5)
    assert not torch.allclose(before[:, 0], after[:, 0])


def test_a_hidden_joint_is_found_from_the_others():
    known = poses(200)
    bank, truth = PoseBank(known), known[:40] * torch.tensor([W, H])
    maps = gaussian_map(truth, H, W)
    maps[:, 2] = 1 / (H * W)  # nothing is known of joint 2

    def misses(answer):
        return float((decode_peak(answer).xy[:, 2] - truth[:, 2]).norm(dim=-1).median())

    assert misses(fuse(maps, bank(maps).maps.log())) < 0.8
    assert misses(maps) > 5
    strangers = PoseBank(poses(200, seed=9))
    assert misses(fuse(maps, strangers(maps).maps.log())) > 2  # a bank that does not know them


def test_trust_takes_a_wrong_joints_voice_away():
    known = poses(100)
    bank, truth = PoseBank(known), known[:30] * torch.tensor([W, H])
    maps = gaussian_map(truth, H, W)
    maps[:, 2] = 1 / (H * W)
    maps[:, 0] = gaussian_map(truth.flip(0), H, W)[:, 0]  # joint 0 is plainly wrong
    trust = torch.ones(30, 4)
    trust[:, 0] = 0
    trusted = decode_peak(bank(maps, trust).maps).xy[:, 2]
    blind = decode_peak(bank(maps).maps).xy[:, 2]
    right = (trusted - truth[:, 2]).norm(dim=-1) < 1
    assert right.float().mean() > 0.9
    assert right.float().mean() >= ((blind - truth[:, 2]).norm(dim=-1) < 1).float().mean()


def test_places_in_3d_are_those_of_the_poses():
    known = poses(20)
    xyz = torch.randn(20, 4, 3)
    output = PoseBank(known, xyz)(gaussian_map(known[3:4] * torch.tensor([W, H]), H, W, sigma=0.7))
    assert output.weights[0].argmax() == 3
    assert torch.allclose(output.xyz[0], (output.weights[0, :, None, None] * xyz).sum(0), atol=1e-5)


@pytest.mark.parametrize("bad", [torch.rand(3, 4), torch.rand(0, 4, 2), torch.rand(3, 4, 3)])
def test_wrong_shapes_are_refused(bad):
    with pytest.raises(ModelError, match="pose bank"):
        PoseBank(bad)
    with pytest.raises(ModelError, match="3D"):
        PoseBank(poses(3), torch.rand(2, 4, 3))
