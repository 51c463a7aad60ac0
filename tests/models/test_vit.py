"""ViT and ViTPose's decoder: transformers' own says the same, other sizes, learning rates."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import nn

from synthstudio.core.skeleton import get_skeleton
from synthstudio.models.backbones.sizes import VITS, ViTSize
from synthstudio.models.backbones.vit import ViT
from synthstudio.models.blocks.heads import ClassicDecoder
from synthstudio.models.contract import PoseNet
from synthstudio.training import config as configs
from synthstudio.training import networks, optimization

J = 17
SMALL = ViTSize(channels=32, depth=3, heads=4, drop_path=0.0)


def net(size: ViTSize, picture: tuple[int, int]) -> PoseNet:
    torch.manual_seed(0)
    features, times = ViT(size, picture=picture), size.patch // 4
    head = ClassicDecoder(size.channels, J, times=times, width=size.decoder)
    return PoseNet(features, head).eval()


def images(height: int, width: int) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("size", "picture"), [("nano", (96, 72)), ("nano", (48, 32)), (SMALL, (128, 96))]
)
def test_there_is_a_cell_for_four_pixels(size: str | ViTSize, picture: tuple[int, int]) -> None:
    chosen = VITS[size] if isinstance(size, str) else size
    with torch.inference_mode():
        found = net(chosen, picture)(images(*picture)).logits
    assert [stage.shape for stage in found] == [(2, J, picture[0] // 4, picture[1] // 4)]


def theirs(size: ViTSize, picture: tuple[int, int]) -> nn.Module:
    inner = transformers.VitPoseBackboneConfig(
        image_size=list(picture), patch_size=[size.patch, size.patch],
        hidden_size=size.channels, num_hidden_layers=size.depth,
        num_attention_heads=size.heads, out_indices=[size.depth],
    )  # fmt: skip
    config = transformers.VitPoseConfig(
        backbone_config=inner, num_labels=J, use_simple_decoder=False, scale_factor=4
    )
    model: nn.Module = transformers.VitPoseForPoseEstimation(config)
    return model.eval()


def copied(ours: PoseNet, model: Any) -> None:
    """Copy our weights into transformers' ViTPose."""
    features: Any = ours.features
    embeddings = model.backbone.embeddings
    embeddings.patch_embeddings.projection.load_state_dict(features.patches.state_dict())
    embeddings.position_embeddings.zero_()
    embeddings.position_embeddings[0, 1:] = features.positions.flatten(1).t()
    for layer, own in zip(model.backbone.encoder.layer, features.layers, strict=True):
        attention = layer.attention.attention
        for number, name in enumerate(("query", "key", "value")):
            part = slice(number * features.channels, (number + 1) * features.channels)
            getattr(attention, name).weight.copy_(own.ask.weight[part])
            getattr(attention, name).bias.copy_(own.ask.bias[part])
        layer.attention.output.dense.load_state_dict(own.answer.state_dict())
        layer.layernorm_before.load_state_dict(own.before.state_dict())
        layer.layernorm_after.load_state_dict(own.after.state_dict())
        layer.mlp.fc1.load_state_dict(own.wide.state_dict())
        layer.mlp.fc2.load_state_dict(own.narrow.state_dict())
    model.backbone.layernorm.load_state_dict(features.norm.state_dict())
    head, block = model.head, ours.block
    head.conv.load_state_dict(block.get_submodule("maps").state_dict())
    if isinstance(block, ClassicDecoder):
        own = dict(enumerate(block.grown))
        for name, k in (("deconv1", 0), ("batchnorm1", 1), ("deconv2", 3), ("batchnorm2", 4)):
            getattr(head, name).load_state_dict(own[k].state_dict())


def test_transformers_says_the_same_with_the_same_weights() -> None:
    ours, picture = net(SMALL, (96, 64)), (96, 64)
    with torch.no_grad():
        for p in ours.parameters():
            p.add_(0.05 * torch.randn_like(p))
        model = theirs(SMALL, picture)
        copied(ours, model)
        pictures = images(*picture)
        levels = (pictures - ours.mean) / ours.std
        wanted = model(levels).heatmaps
        found = ours(pictures).logits[0]
        assert wanted.std() > 1e-3
        assert torch.allclose(found, wanted, atol=1e-5)
        ours.features.get_parameter("positions").add_(0.1 * torch.randn(32, 6, 4))
        assert not torch.allclose(ours(pictures).logits[0], wanted, atol=1e-3)


def settings(**changed: Any) -> configs.Config:
    network = {"backbone": "vit-base", "head": "own", "size": [256, 192]}
    network |= changed.pop("network", {})
    return configs.parse({"train": [{"dataset": "x"}], "network": network, "lr": 2e-3} | changed)


def learning_rates(config: configs.Config) -> dict[str, float]:
    with torch.device("meta"):
        model = networks.build_network(config.network, get_skeleton("coco17"), bank=None)
    optimizer = optimization.make_optimizer(model, config)
    optimization.set_lr(optimizer, config, 9, 200)  # the last step of the warm-up
    names = {id(p): name for name, p in model.named_parameters()}
    found = {names[id(p)]: g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert set(found) == set(names.values())
    return found


def test_learning_rates_decay_by_the_layer() -> None:
    found = learning_rates(settings())
    layers = {int(n.split(".")[2]) for n in found if n.startswith("features.layers.")}
    assert layers == set(range(12))
    for name, lr in found.items():
        if name.startswith("features.layers."):
            number = int(name.split(".")[2]) + 1  # embeddings are 0, blocks 1 to 12
        elif name.startswith(("features.positions", "features.patches")):
            number = 0
        else:
            number = 13  # the last norm and the decoder
        assert lr == pytest.approx(2e-3 * 0.75 ** (13 - number)), name
    assert min(found.values()) == pytest.approx(2e-3 * 0.75**13)
