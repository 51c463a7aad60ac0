"""Who is learnt from in a pass, and what of a pretrained backbone learns, and how fast."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import small_backbones
import tiny
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.training import checkpoint, devices, networks, optimization, trainer
from synthstudio.training.config import Network
from synthstudio.training.data import sources
from synthstudio.training.optimization import MUON_LR_RATIO, MuonAdamW


@pytest.fixture(scope="module")
def backbones(tmp_path_factory):
    out = tmp_path_factory.mktemp("backbones")
    small_backbones.resnet(out / "resnet")
    small_backbones.vitpose(out / "vitpose", 3)
    return {name: str(out / name) for name in ("resnet", "vitpose")}


def config(pretrained, **changes):
    network = {"size": [48, 32], "backbone": f"transformers:{pretrained}", "width": 16, "bank": 0}
    network |= {k: changes.pop(k) for k in ("frozen_epochs",) if k in changes}
    return tiny.config(Path("x"), network=network, **changes)


def built(settings):
    return networks.build(settings.network, get_skeleton("coco17"))


def test_a_frozen_backbone_keeps_the_statistics_of_its_norms(backbones):
    settings = config(backbones["resnet"], frozen_epochs=1)
    net = built(settings)
    before = {k: v.clone() for k, v in net.features.net.state_dict().items()}
    assert any(k.endswith("running_mean") for k in before)
    images = torch.rand(4, 3, 48, 32)
    optimization.set_backbone_trainable(net, settings, 0)
    net(images)
    assert all(torch.equal(v, before[k]) for k, v in net.features.net.state_dict().items())
    assert net.block.training and not any(p.requires_grad for p in net.features.net.parameters())
    assert all(p.requires_grad for p in net.features.laterals.parameters())  # those are new
    optimization.set_backbone_trainable(net, settings, 1)  # from here on it learns
    net(images)
    assert all(p.requires_grad for p in net.features.parameters())
    means = [k for k in before if k.endswith("running_mean")]
    assert not any(torch.equal(net.features.net.state_dict()[k], before[k]) for k in means)


def test_layers_decay_from_the_backbones_own_top(backbones):
    settings = config(backbones["vitpose"])
    net = built(settings)
    net.block.deep = torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(9))
    each = optimization.lr_scales(net, settings)
    blocks = [r for n, r in each.items() if n.startswith("block.")]
    assert blocks and set(blocks) == {1.0}
    for layer in range(3):
        found = {r for n, r in each.items() if f".layer.{layer}." in n}
        assert found == {0.3 * 0.75 ** (2 - layer)}, layer
    assert {r for n, r in each.items() if "embeddings" in n} == {0.3 * 0.75**3}
    last = {r for n, r in each.items() if n.startswith("features.net.layernorm")}
    assert last == {0.3}  # it stands behind the top layer


@pytest.mark.parametrize("kind", ["resnet", "vitpose"])
def test_a_checkpoint_needs_no_pretrained_weights(backbones, kind, tmp_path):
    folder = tmp_path / "gone"
    shutil.copytree(backbones[kind], folder)
    settings = config(str(folder))
    net = built(settings).eval()
    for parameter in net.parameters():
        torch.nn.init.uniform_(parameter, -0.2, 0.2)
    path = tmp_path / "net.safetensors"
    checkpoint.save_weights(path, net, settings, skeleton=get_skeleton("coco17"), note="")
    shutil.rmtree(folder)
    again, reported, _ = checkpoint.load_network(path)
    assert reported == settings
    images = torch.rand(2, 3, 48, 32)
    with torch.inference_mode():
        assert torch.equal(again(images).maps, net(images).maps)


def test_an_epoch_sees_everybody_equally_often():
    settings = tiny.config(Path("x"), batch=8, accumulate=2)
    rows = np.arange(64)
    chosen = sources.CropSubset(crops=None, rows=rows, weight=np.ones(64))
    orders = [chosen.epoch_order(0, epoch) for epoch in range(3)]
    for order in orders:
        drawn = [trainer.batch_rows(settings, order, k, devices.ALONE).rows for k in range(8)]
        assert np.bincount(np.concatenate(drawn), minlength=64).tolist() == [1] * 64
    assert orders[0].tolist() != orders[1].tolist()


def test_muon_is_pytorchs():
    """torch.optim.Muon on the same matrices; it iterates in bfloat16, so not to the last digit."""
    reference = getattr(torch.optim, "Muon", None)
    if reference is None:
        pytest.skip("this PyTorch has no Muon")
    torch.manual_seed(0)
    start = torch.randn(16, 8, 3, 3)
    own = nn.Parameter(start.clone().contiguous(memory_format=torch.channels_last))
    theirs = nn.Parameter(start.flatten(1).clone())
    lr = 0.03
    first = MuonAdamW([{"params": [own], "muon": True}], lr=lr / MUON_LR_RATIO, weight_decay=0.1)
    second = reference([theirs], lr=lr, weight_decay=0.1, momentum=optimization.MOMENTUM)
    for _ in range(5):
        gradient = torch.randn(start.shape)
        own.grad = gradient.contiguous(memory_format=torch.channels_last)
        theirs.grad = gradient.flatten(1)
        first.step()
        second.step()
    moved = (theirs - start.flatten(1)).norm()
    assert moved > 0.1
    assert (own.flatten(1) - theirs).norm() < 0.02 * moved


def test_convolutions_beyond_the_first_learn_by_muon():
    config = tiny.config(Path("x"))
    torch.manual_seed(0)
    net = built(config)
    optimizer = optimization.make_optimizer(net, config)
    names = {id(p): name for name, p in net.named_parameters()}
    by = {names[id(p)]: g["muon"] for g in optimizer.param_groups for p in g["params"]}
    assert set(by) == set(names.values())
    assert not by["features.stem.0.weight"] and not by["block.first.weight"]
    assert by["features.steps.0.0.0.weight"] and by["block.stem.0.0.weight"]
    assert all(dict(net.named_parameters())[name].ndim == 4 for name, muon in by.items() if muon)
    before = {n: p.detach().clone() for n, p in net.named_parameters()}
    outputs = net(torch.rand(2, 3, 48, 36))
    torch.stack([stage.square().mean() for stage in outputs.logits]).sum().backward()
    optimizer.step()
    moved = {n for n, p in net.named_parameters() if not torch.equal(p, before[n])}
    assert {n for n, muon in by.items() if muon} <= moved
    assert "block.first.weight" in moved


# ---- weights from elsewhere: a folder laid out as a published ViTPose


WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path):
    """A ViTPose with the simple decoder, random, as its authors' repository has its files."""
    torch.manual_seed(3)
    small_backbones.vitpose(tmp_path / "vitpose", 2, use_simple_decoder=True, scale_factor=4)
    assert {p.name for p in (tmp_path / "vitpose").iterdir()} >= {"config.json", WEIGHTS}
    return tmp_path / "vitpose"


def built_on(folder):
    lines = []
    network = Network(head="kpe", size=(48, 32), backbone=f"transformers:{folder}", width=16)
    torch.manual_seed(0)
    net = networks.build(network, get_skeleton("coco17"), log=lines.append)
    return net, "\n".join(lines)


def test_all_of_a_published_layout_is_taken_but_its_head(folder):
    net, report = built_on(folder)
    held = load_file(folder / WEIGHTS)
    own = {f"backbone.{k}": v for k, v in net.features.net.state_dict().items()}
    assert set(held) == set(own) | {"head.conv.weight", "head.conv.bias"}
    assert all(torch.equal(own[name], held[name]) for name in own)
    count = f"{len(own)} of {len(own)} tensors loaded"
    assert report == f"pretrained backbone transformers:{folder}: {count}"
    with torch.inference_mode():
        assert net(torch.zeros(1, 3, 48, 32)).maps.shape == (1, 17, 12, 8)


@pytest.mark.parametrize("fault", ["other names", "no weights", "no config", "no backbone"])
def test_a_folder_that_gives_nothing_is_refused(folder, fault):
    weights, config = folder / WEIGHTS, folder / "config.json"
    if fault == "other names":
        held = {f"model.{name}": value for name, value in load_file(weights).items()}
        save_file(held, weights, metadata={"format": "pt"})
    elif fault == "no backbone":
        config.write_text(json.dumps({"model_type": "bert"}))
    else:
        (weights if fault == "no weights" else config).unlink()
    says = {"other names": "no weight matches the backbone.*names like model.backbone",
            "no backbone": "a bert is not a backbone"}  # fmt: skip
    with pytest.raises(ModelError, match=says.get(fault, "cannot load the backbone")):
        built_on(folder)
