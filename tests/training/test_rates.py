"""Who is learnt from in a pass, and what of a pretrained backbone learns, and how fast."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import transformers

from synthstudio.core.skeleton import get_skeleton
from synthstudio.training import (
    checkpoint,
    devices,
    networks,
    optimization,
    people_trainer,
    trainer,
)
from synthstudio.training.config import Config
from synthstudio.training.data import sources


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return folders of a small ResNet (batch norms) and a small ViTPose of three layers."""
    out = tmp_path_factory.mktemp("backbones")
    resnet = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 12],
        depths=[1, 1],
        layer_type="basic",
        out_features=["stage1", "stage2"],
    )
    transformers.AutoBackbone.from_config(resnet).save_pretrained(out / "resnet")
    inner = transformers.VitPoseBackboneConfig(
        image_size=[48, 32], patch_size=[16, 16], hidden_size=16, num_hidden_layers=3,
        num_attention_heads=2, intermediate_size=16, out_indices=[3],
    )  # fmt: skip
    vitpose = transformers.VitPoseConfig(backbone_config=inner, num_labels=17)
    transformers.VitPoseForPoseEstimation(vitpose).save_pretrained(out / "vitpose")
    return {name: str(out / name) for name in ("resnet", "vitpose")}


def config(pretrained: str, **changes: object) -> Config:
    network = {"size": [48, 32], "pretrained": pretrained, "width": 16, "bank": 0}
    network |= {k: changes.pop(k) for k in ("frozen_epochs",) if k in changes}
    return tiny.config(Path("x"), network=network, **changes)


def built(settings: Config) -> torch.nn.Module:
    return networks.build_network(settings.network, get_skeleton("coco17"), bank=None)


def test_a_frozen_backbone_keeps_the_statistics_of_its_norms(backbones: dict[str, str]) -> None:
    settings = config(backbones["resnet"], frozen_epochs=1)
    net = built(settings)
    before = {k: v.clone() for k, v in net.features.state_dict().items()}
    assert any(k.endswith("running_mean") for k in before)
    images = torch.rand(4, 3, 48, 32)
    optimization.set_backbone_trainable(net, settings, 0)
    net(images)
    assert all(torch.equal(v, before[k]) for k, v in net.features.state_dict().items())
    assert net.block.training and not any(p.requires_grad for p in net.features.parameters())
    optimization.set_backbone_trainable(net, settings, 1)  # from here on it learns
    net(images)
    assert all(p.requires_grad for p in net.features.parameters())
    means = [k for k in before if k.endswith("running_mean")]
    assert not any(torch.equal(net.features.state_dict()[k], before[k]) for k in means)


def test_layers_decay_from_the_backbones_own_top(backbones: dict[str, str]) -> None:
    settings = config(backbones["vitpose"], backbone_rate=0.5, layer_decay=0.5)
    net = built(settings)
    net.block.deep = torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(9))
    each = {n: optimization.lr_scale(n, net, settings) for n, _ in net.named_parameters()}
    blocks = [r for n, r in each.items() if n.startswith("block.")]
    assert blocks and set(blocks) == {1.0}
    for layer, rate in ((0, 0.125), (1, 0.25), (2, 0.5)):
        found = {r for n, r in each.items() if f".layer.{layer}." in n}
        assert found == {rate}, layer
    assert {r for n, r in each.items() if "embeddings" in n} == {0.0625}
    last = {r for n, r in each.items() if n.startswith("features.backbone.layernorm")}
    assert last == {0.5}  # it stands behind the top layer


@pytest.mark.parametrize("kind", ["resnet", "vitpose"])
def test_a_checkpoint_needs_no_pretrained_weights(
    backbones: dict[str, str], kind: str, tmp_path: Path
) -> None:
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


def people(fractions: np.ndarray) -> sources.CropSubset:
    """Return people of whom only the occluded fraction is known."""
    crops = dataclasses.make_dataclass("Some", ["fraction"])(fractions.astype(np.float32))
    rows = np.arange(len(fractions))
    return sources.CropSubset(crops=crops, rows=rows, weight=np.ones(len(rows)))  # type: ignore[arg-type]


@pytest.mark.parametrize("curriculum", [0.0, 0.5, 1.0])
def test_a_pass_sees_everybody_it_lets_in_equally_often(curriculum: float) -> None:
    settings = tiny.config(Path("x"), curriculum=curriculum, batch=8, accumulate=2)
    chosen = people(np.linspace(0, 0.9, 64))
    a_pass, passes = 4, 6
    total, before = a_pass * passes, 0
    for epoch in range(passes):
        reach = people_trainer.curriculum_fraction(settings, (epoch + 1) * a_pass, total)
        order = chosen.epoch_order(0, epoch, max_fraction=reach)
        rows = np.concatenate(
            [
                trainer.batch_rows(settings, order, step, part, devices.ALONE).rows
                for step in range(a_pass)
                for part in range(2)
            ]
        )
        seen = np.bincount(rows, minlength=64)
        let_in = chosen.crops.fraction <= reach
        assert (seen[~let_in] == 0).all()
        assert seen[let_in].max() - seen[let_in].min() <= (0 if let_in.all() else 1)
        assert let_in.sum() >= before
        before = int(let_in.sum())
    assert before == 64
    if curriculum:
        first = chosen.epoch_order(
            0, 0, max_fraction=people_trainer.curriculum_fraction(settings, a_pass, total)
        )
        assert len(first) < 64


def test_one_pass_with_a_curriculum_lets_everybody_in() -> None:
    settings = tiny.config(Path("x"), curriculum=0.5)
    assert people_trainer.curriculum_fraction(settings, 12, 12) == 1.0
