"""What all systems have in common: each with its own head, KPE and ORN; codecs; flip tests."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import nn

from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.models import heatmaps as hm
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.models.contract import PoseNet, PoseOutputs, predict_maps
from synthstudio.models.layers import Residual
from synthstudio.models.losses import Labels, Weights, pose_losses
from synthstudio.training.config_network import Network
from synthstudio.training.networks import build_network

SKELETON = get_skeleton("coco17")
J = len(SKELETON.joints)
BACKBONES = ("pyramid", "hrnet", "hourglass", "vit")
SYSTEMS = [
    *({"backbone": name, "block": block} for name, block in
      itertools.product(BACKBONES, ("own", "kpe", "orn"))),
    {"backbone": "vit", "block": "own", "decoder": "simple"},
]  # fmt: skip
NAMES = ["-".join(system.values()) for system in SYSTEMS]
STRIDES = (2, 4, 8, 16)


def net(system: dict[str, Any]) -> PoseNet:
    torch.manual_seed(0)
    bank = PoseBank(torch.rand(20, J, 2), torch.randn(20, J, 3))
    built = build_network(
        Network(**system), SKELETON, bank=bank if system["block"] == "orn" else None
    )
    with torch.no_grad():
        for module in built.modules():  # what begins at nought passes nothing on
            if isinstance(module, Residual):
                module.norm.weight.fill_(0.5)
        if system["block"] == "orn":
            built.block.get_parameter("refiner.last.weight").normal_(0, 0.01)
    return built


def images(count: int = 2) -> torch.Tensor:
    made = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, 96, 72), dtype=torch.uint8, generator=made)


def labels(count: int) -> Labels:
    made = torch.Generator().manual_seed(2)
    return Labels(
        xy=torch.rand(count, J, 2, generator=made),
        known=torch.ones(count, J, dtype=torch.bool),
        present=torch.ones(count, J),
        shares=torch.softmax(torch.randn(count, J, 4, generator=made), -1),
        state=torch.full((count, J), 2),
        area=torch.full((count,), 0.5),
        occluder=(torch.rand(count, 1, 24, 18, generator=made) > 0.7).float(),
        xyz_m=torch.randn(count, J, 3, generator=made),
    )


@pytest.mark.parametrize("system", SYSTEMS, ids=NAMES)
def test_every_parameter_learns_from_the_losses(system: dict[str, Any]) -> None:
    built = net(system).train()
    outputs = built(images())
    assert all(stage.shape == (2, J, 24, 18) for stage in outputs.logits)
    assert (outputs.shares is None) == (system["block"] != "orn")
    terms = pose_losses(
        outputs,
        labels(2),
        weights=Weights(),
        sigmas=torch.from_numpy(SKELETON.sigmas).float(),
        balance=torch.ones(4),
    )
    assert ("stages" in terms) == (len(outputs.logits) > 1)
    torch.stack(list(terms.values())).sum().backward()
    silent = [n for n, p in built.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


@pytest.mark.parametrize("system", SYSTEMS, ids=NAMES)
def test_the_flip_test_of_a_mirrored_picture_is_mirrored(system: dict[str, Any]) -> None:
    built, flip = net(system).eval(), torch.from_numpy(SKELETON.flip)
    with torch.inference_mode():
        both, _ = predict_maps(built, images(), flip=flip)
        mirrored, _ = predict_maps(built, images().flip(-1), flip=flip)
        plain, _ = predict_maps(built, images())
        turned, _ = predict_maps(built, images().flip(-1))
    assert torch.allclose(hm.mirrored_maps(mirrored, flip), both, atol=1e-6)
    assert not torch.allclose(hm.mirrored_maps(turned, flip), plain, atol=1e-6)  # the control


def test_a_mirrored_model_says_what_the_flip_test_takes_it_to_say() -> None:
    """Kernels and joints mirrored: the flip test is the mean of the model and that one."""
    flip = torch.from_numpy(SKELETON.flip)

    def made() -> PoseNet:
        torch.manual_seed(0)
        features = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Conv2d(8, J, 3, padding=1))
        return PoseNet(features, _Maps()).eval()

    model, mirror = made(), made()
    with torch.no_grad():
        layers: Any = mirror.features
        for convolution in (layers[0], layers[2]):
            convolution.weight.copy_(convolution.weight.flip(-1))
        last = layers[2]
        last.weight.copy_(last.weight[flip])
        last.bias.copy_(last.bias[flip])
        mean = (model(images()).maps + mirror(images()).maps) / 2
        found, _ = predict_maps(model, images(), flip=flip)
    assert torch.allclose(found, mean, atol=1e-6)
    assert not torch.allclose(found, model(images()).maps, atol=1e-4)


class _Maps(nn.Module):
    def forward(self, features: torch.Tensor) -> Any:
        return PoseOutputs(logits=(features,))


def places(h: int, w: int, margin: float) -> torch.Tensor:
    rng = stream(4, "codec", h, w)
    return torch.from_numpy(rng.uniform([margin, margin], [w - margin, h - margin], (40, 5, 2)))


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("margin", [0.0, 2.0], ids=["at borders", "inside"])
def test_a_joint_comes_back_from_its_map(stride: int, margin: float) -> None:
    """Less than 0.25 px of a 256x192 picture off, in single precision."""
    h, w = 256 // stride, 192 // stride
    xy = places(h, w, margin)
    if not margin:  # some on each border and in each corner
        xy[:8, :, 0], xy[8:16, :, 1] = 0.0, 0.0
        xy[16:24, :, 0], xy[24:32, :, 1] = w - 1e-3, h - 1e-3
        xy[36, 0], xy[36, 1] = torch.tensor([0.0, 0.0]), torch.tensor([w - 1e-3, h - 1e-3])
    for sigma in (1.0, 2.0):
        maps = hm.gaussian_map(xy, h, w, sigma=sigma).float()
        found = hm.decode_peak(maps, sigma=sigma).xy
        assert (found - xy).abs().max() * stride < 0.25, sigma


@pytest.mark.parametrize("stride", STRIDES)
def test_without_what_is_done_at_borders_joints_there_are_off(stride: int) -> None:
    h, w = 256 // stride, 192 // stride
    xy = places(h, w, 0.0)
    xy[:8, :, 0] = 0.0
    off = (hm.decode_peak(hm.gaussian_map(xy, h, w)).xy - xy).abs().max() * stride
    assert off > 0.25  # up to half a cell
    whole = hm.gaussian_map(xy, h, w).flatten(2).argmax(-1) % w + 0.5  # without any refinement
    assert (whole - xy[..., 0]).abs().max() * stride > 0.25


@pytest.mark.parametrize("stride", STRIDES)
def test_expected_hits_come_back_where_their_disc_lies_inside(stride: int) -> None:
    """A rule of decision, not a code: beyond a border nothing can be hit, so it draws back."""
    h, w = 256 // stride, 192 // stride
    xy = places(h, w, 4.0)
    off = (hm.expected_hits(hm.gaussian_map(xy, h, w)).xy - xy).abs().max()
    assert off * 4 < 0.25  # at stride 4, where it is used
