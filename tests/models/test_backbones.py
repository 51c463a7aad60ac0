"""Backbones of ours: what each level, stage and layer is for, and sizes as published."""

import pytest
import torch
import transformers

from synthstudio.core.skeleton import get_skeleton
from synthstudio.models.backbones import ConvPyramid, HRNet, StackedHourglass, ViT
from synthstudio.models.contract import PoseNet
from synthstudio.models.heads import ClassicDecoder, PointHead
from synthstudio.models.packaged import HOURGLASSES, HRNETS, ViTSize
from synthstudio.training import config as configs
from synthstudio.training import networks, optimization

SIZE, CELLS, J = (96, 72), (24, 18), 17
SMALL = ViTSize(channels=32, depth=3, heads=4, drop_path=0.0)


def images(height=96, width=72):
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("variant", "published"), [("w32", 28.5e6), ("w48", 63.6e6)])
def test_hrnets_parameters_are_as_published(variant, published):
    with torch.device("meta"):
        features = HRNet(HRNETS[variant])
        net = PoseNet(features, PointHead(features.channels, J, size=(64, 48)))
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize("level", range(4))
def test_a_level_of_the_pyramid_changes_itself_and_all_finer_ones(level):
    """As in an FPN (Lin et al. 2017): C5 changes P2 to P5, C2 nothing but P2."""
    torch.manual_seed(0)
    features = ConvPyramid().eval()
    with torch.inference_mode():
        found = features.bottom_up(torch.rand(1, 3, 96, 64))
        before = features.top_down(found)
        found[level] = found[level] + 1
        after = features.top_down(found)
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert changed == [p <= level for p in range(4)]


# Stacked hourglasses: every stage predicts, is trained, and is heard by the next one.


def hourglass(stacks):
    torch.manual_seed(0)
    features = StackedHourglass(HOURGLASSES["nano"], J, cells=CELLS, stacks=stacks)
    return PoseNet(features, PointHead(features.channels, J, size=CELLS))


def part(model, name):
    found = [p for n, p in model.named_parameters() if n.startswith(name)]
    assert found, name
    return found


def test_the_first_stages_loss_teaches_the_first_hourglass_alone():
    model = hourglass(2)
    first, second = model(images()).logits
    first.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in part(model, "features.heads"))
    assert any(p.grad is not None and p.grad.any() for p in part(model, "features.stacks.0"))
    for later in ("features.stacks.1", "features.onward", "features.returned", "block"):
        assert not any(p.grad is not None and p.grad.any() for p in part(model, later)), later
    model.zero_grad()  # the control: the second stage's loss reaches both
    model(images()).logits[1].square().mean().backward()
    for name in ("features.stacks.0", "features.stacks.1", "features.heads", "features.returned"):
        assert any(p.grad is not None and p.grad.any() for p in part(model, name)), name
    assert second.shape == first.shape


def test_the_first_prediction_goes_into_the_second_stage():
    model = hourglass(2).eval()
    features = model.features
    with torch.inference_mode():
        before = model(images()).logits
        features.heads[0].weight.add_(0.1)
        after = model(images()).logits
        assert not torch.equal(before[0], after[0])
        assert (before[1] - after[1]).abs().max() > 1e-4
        features.returned[0].weight.zero_()
        deaf = model(images()).logits[1]
        features.heads[0].weight.add_(0.1)
        assert torch.equal(deaf, model(images()).logits[1])  # the control: nothing is returned


# ViT and the decoder of ViTPose: transformers says the same.


def vit(size, picture):
    torch.manual_seed(0)
    features, times = ViT(size, picture=picture), size.patch // 4
    head = ClassicDecoder(size.channels, J, times=times, width=size.decoder)
    return PoseNet(features, head).eval()


def theirs(size, picture):
    inner = transformers.VitPoseBackboneConfig(
        image_size=list(picture), patch_size=[size.patch, size.patch],
        hidden_size=size.channels, num_hidden_layers=size.depth,
        num_attention_heads=size.heads, out_indices=[size.depth],
    )  # fmt: skip
    config = transformers.VitPoseConfig(
        backbone_config=inner, num_labels=J, use_simple_decoder=False, scale_factor=4
    )
    return transformers.VitPoseForPoseEstimation(config).eval()


def copied(ours, model):
    features = ours.features
    embeddings = model.backbone.embeddings
    embeddings.patch_embeddings.projection.load_state_dict(features.patches.state_dict())
    embeddings.position_embeddings.zero_()
    embeddings.position_embeddings[0, 1:] = features.positions.flatten(1).t()
    for layer, own in zip(model.backbone.encoder.layer, features.layers, strict=True):
        attention = layer.attention.attention
        for number, name in enumerate(("query", "key", "value")):
            part = slice(number * features.channels, (number + 1) * features.channels)
            getattr(attention, name).weight.copy_(own.qkv.weight[part])
            getattr(attention, name).bias.copy_(own.qkv.bias[part])
        layer.attention.output.dense.load_state_dict(own.projection.state_dict())
        layer.layernorm_before.load_state_dict(own.before.state_dict())
        layer.layernorm_after.load_state_dict(own.after.state_dict())
        layer.mlp.fc1.load_state_dict(own.wide.state_dict())
        layer.mlp.fc2.load_state_dict(own.narrow.state_dict())
    model.backbone.layernorm.load_state_dict(features.norm.state_dict())
    head, block = model.head, ours.block
    head.conv.load_state_dict(block.get_submodule("maps").state_dict())
    for name, k in (("deconv1", 0), ("batchnorm1", 1), ("deconv2", 3), ("batchnorm2", 4)):
        getattr(head, name).load_state_dict(block.grown[k].state_dict())


def test_transformers_says_the_same_with_the_same_weights():
    ours, picture = vit(SMALL, (96, 64)), (96, 64)
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


def test_learning_rates_decay_by_the_layer():
    network = {"backbone": "vit-base", "head": "own", "size": [256, 192]}
    config = configs.parse({"train": [{"dataset": "x"}], "network": network, "lr": 2e-3})
    with torch.device("meta"):
        model = networks.build(config.network, get_skeleton("coco17"))
    optimizer = optimization.make_optimizer(model, config)
    optimization.set_lr(optimizer, config, 9, 200)  # the last step of the warm-up
    names = {id(p): name for name, p in model.named_parameters()}
    found = {names[id(p)]: g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert set(found) == set(names.values())
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
