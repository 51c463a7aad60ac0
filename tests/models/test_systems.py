"""What all systems have in common: each with its own head, KPE and ORN; codecs; flip tests."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from builders import J, images, labels
from torch import nn

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.models import heatmaps as hm
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.models.contract import PoseNet, PoseOutputs, predict_maps
from synthstudio.models.layers import Residual
from synthstudio.models.losses import Weights, pose_losses
from synthstudio.training.config import Network
from synthstudio.training.networks import build_network

SKELETON = get_skeleton("coco17")
BACKBONES = ("pyramid", "hrnet-nano", "hourglass-nano", "vit-nano")
SYSTEMS = [
    {"backbone": name, "head": head}
    for name, head in itertools.product(BACKBONES, ("own", "kpe", "orn"))
]
NAMES = ["-".join(system.values()) for system in SYSTEMS]


def net(system: dict[str, Any]) -> PoseNet:
    torch.manual_seed(0)
    bank = PoseBank(torch.rand(20, J, 2), torch.randn(20, J, 3))
    built = build_network(
        Network(**system), SKELETON, bank=bank if system["head"] == "orn" else None
    )
    with torch.no_grad():
        for module in built.modules():  # what begins at nought passes nothing on
            if isinstance(module, Residual):
                module.norm.weight.fill_(0.5)
        if system["head"] == "orn":
            built.block.get_parameter("refiner.last.weight").normal_(0, 0.01)
    return built


@pytest.mark.parametrize("system", SYSTEMS, ids=NAMES)
def test_every_parameter_learns_from_the_losses(system: dict[str, Any]) -> None:
    built = net(system).train()
    outputs = built(images())
    assert all(stage.shape == (2, J, 24, 18) for stage in outputs.logits)
    assert (outputs.shares is None) == (system["head"] != "orn")
    terms = pose_losses(
        outputs,
        labels(),
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
        rotated, _ = predict_maps(built, images().flip(-1))
    assert torch.allclose(hm.mirrored_maps(mirrored, flip), both, atol=1e-6)
    assert not torch.allclose(hm.mirrored_maps(rotated, flip), plain, atol=1e-6)  # the control


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


@pytest.mark.parametrize(
    ("backbone", "size", "multiple"),
    [("hrnet-nano", (98, 72), 4), ("hrnet-nano", (0, 72), 4), ("hourglass-nano", (96, 70), 4),
     ("vit-nano", (96, 76), 8), ("vit-nano", (0, 8), 8)],
)  # fmt: skip
def test_images_that_do_not_fit_are_refused(
    backbone: str, size: tuple[int, int], multiple: int
) -> None:
    with pytest.raises(ModelError, match=rf"do not fit the backbone.*multiples of {multiple}"):
        net({"backbone": backbone, "head": "own"})(torch.zeros(1, 3, *size))
