"""Weights learnt with one skeleton start a network of another: joints go by their names."""

import pytest
import torch

from synthstudio.core.skeleton import SKELETONS, get_skeleton
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.training import checkpoint, config
from synthstudio.training.config import Network
from synthstudio.training.networks import build_network

COCO, BODY = SKELETONS["coco17"], get_skeleton("body12")
FACE = 5


def network(skeleton, *, block, poses=0, seed=0):
    torch.manual_seed(seed)
    bank = PoseBank(torch.rand(poses, len(skeleton.joints), 2)) if poses else None
    small = Network(head=block, size=(48, 36), widths=(8, 12), width=16)
    net = build_network(small, skeleton, bank=bank)
    for tensor in net.state_dict().values():
        if tensor.dtype.is_floating_point and tensor.ndim:
            tensor.add_(0.1 * torch.rand_like(tensor))  # the refiner's last layer begins at 0
    return net.eval()


def settings():
    return config.parse({"train": [{"dataset": "somewhere"}]})


def saved(net, skeleton, path):
    checkpoint.save_weights(path, net, settings(), skeleton=skeleton, note="")
    return path


@pytest.mark.parametrize(("block", "poses"), [("kpe", 0), ("orn", 0), ("orn", 6)])
def test_every_tensor_with_a_part_for_each_joint_has_a_layout(block, poses):
    a, b = (network(skeleton, block=block, poses=poses).state_dict() for skeleton in (COCO, BODY))
    differ = {name for name in a if a[name].shape != b[name].shape}
    bank = {checkpoint.POSES} if poses else set()
    assert differ == (set(checkpoint.JOINT_AXES) & set(a)) | bank


@pytest.mark.parametrize("block", ["kpe", "orn"])
def test_the_common_joints_are_answered_as_before(block, tmp_path):
    whole, fewer = network(COCO, block=block), network(BODY, block=block, seed=1)
    images = torch.rand(2, 3, 48, 36)
    with torch.inference_mode():
        before, other = whole(images).logits[0][:, FACE:], fewer(images).logits[0]
        assert not torch.allclose(before, other, atol=1e-3)
        text = checkpoint.initialize(
            fewer, saved(whole, COCO, tmp_path / "w.safetensors"), skeleton=BODY, poses=0
        )
        after = fewer(images).logits[0]
    assert torch.allclose(before, after, atol=1e-5)
    assert "12 of 12 joints by name from coco17" in text
    assert "of another shape" not in text and "not in the file" not in text


@pytest.mark.parametrize("poses", [0, 6])
def test_the_refiner_reads_each_joint_from_its_own_map(poses, tmp_path):
    whole = network(COCO, block="orn", poses=poses)
    fewer = network(BODY, block="orn", poses=poses, seed=1)
    checkpoint.initialize(
        fewer, saved(whole, COCO, tmp_path / "w.safetensors"), skeleton=BODY, poses=poses
    )
    name = "block.refiner.maps.weight"
    theirs, ours = whole.state_dict()[name], fewer.state_dict()[name]
    kept = [0]  # the cover
    for k in range(2 if poses else 1):
        kept += [1 + 17 * k + FACE + j for j in range(12)]
    assert torch.equal(ours, theirs[:, kept])


def test_joints_that_the_file_does_not_know_stay_as_they_were(tmp_path):
    fewer, whole = network(BODY, block="kpe"), network(COCO, block="kpe", seed=1)
    before = whole.state_dict()["block.maps.weight"].clone()
    text = checkpoint.initialize(
        whole, saved(fewer, BODY, tmp_path / "w.safetensors"), skeleton=COCO, poses=0
    )
    after = whole.state_dict()["block.maps.weight"]
    assert torch.equal(after[:FACE], before[:FACE])
    assert torch.equal(after[FACE:], fewer.state_dict()["block.maps.weight"])
    assert "new: nose, left_eye" in text


def test_the_bank_keeps_its_poses_and_is_filled_up(tmp_path):
    whole = network(COCO, block="orn", poses=6)
    fewer = network(BODY, block="orn", poses=2, seed=1)
    own = fewer.state_dict()[checkpoint.POSES].clone()
    path = saved(whole, COCO, tmp_path / "w.safetensors")
    fewer.block.bank.sharpness = 1.1
    checkpoint.initialize(fewer, path, skeleton=BODY, poses=5)
    assert fewer.block.bank.sharpness == 1.1  # as the config says, not the usual one
    found = fewer.state_dict()[checkpoint.POSES]
    assert found.shape == (5, 12, 2) and torch.equal(found[:2], own)
    assert torch.equal(found[2:], whole.state_dict()[checkpoint.POSES][:3, FACE:])
    checkpoint.initialize(fewer, path, skeleton=BODY, poses=5)  # full: nothing is added
    assert torch.equal(fewer.state_dict()[checkpoint.POSES], found)


@pytest.mark.parametrize("lacks", [False, True])
def test_a_file_that_lacks_joints_gives_no_places_in_3d(lacks, tmp_path):
    ours, theirs = (COCO, BODY) if lacks else (BODY, COCO)
    net, other = network(ours, block="orn", poses=2), network(theirs, block="orn", poses=4, seed=1)
    for of, skeleton in ((net, ours), (other, theirs)):
        poses = of.get_buffer("block.bank.poses")
        places = torch.rand(len(poses), len(skeleton.joints), 3)
        of.get_submodule("block").bank = PoseBank(poses, places)
    checkpoint.initialize(
        net, saved(other, theirs, tmp_path / "w.safetensors"), skeleton=ours, poses=6
    )
    bank = net.get_submodule("block.bank")
    assert isinstance(bank, PoseBank) and len(bank.poses) == 6
    if lacks:  # a place of (-1, -1, -1) metres would be mixed into what is said of the joint
        assert bank.xyz_m is None
    else:
        assert bank.xyz_m is not None and float(bank.xyz_m.min()) >= 0
