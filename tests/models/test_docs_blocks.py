"""The code of docs/blocks.md runs as it stands; only downloads are small random networks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from synthstudio.models.contract import PoseOutputs

DOCS = Path(__file__).resolve().parents[2] / "docs" / "blocks.md"
CODE = dict(re.findall(r"^## ([^\n]+)\n.*?```python\n(.*?)```", DOCS.read_text(), re.S | re.M))
SHOWN = [title for title in CODE if title != "Training"]
DOWNLOADS = {"microsoft/resnet-50", "usyd-community/vitpose-base-simple"}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give small random networks for the names that the page downloads."""

    def backbone(name: str, *, out_features: list[str]) -> Any:
        assert name in DOWNLOADS
        config = transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 8, 12, 12], depths=[1, 1, 1, 1],
            layer_type="basic", out_features=out_features,
        )  # fmt: skip
        return transformers.AutoBackbone.from_config(config)

    def vitpose(name: str) -> Any:
        assert name in DOWNLOADS
        inner = transformers.VitPoseBackboneConfig(
            image_size=[256, 192], patch_size=[16, 16], hidden_size=16, num_hidden_layers=2,
            num_attention_heads=2, intermediate_size=16, out_indices=[2],
        )  # fmt: skip
        return transformers.VitPoseForPoseEstimation(
            transformers.VitPoseConfig(backbone_config=inner, num_labels=17)
        )

    monkeypatch.setattr(transformers.AutoBackbone, "from_pretrained", backbone)
    monkeypatch.setattr(transformers.VitPoseForPoseEstimation, "from_pretrained", vitpose)
    torch.set_num_threads(1)


def run(title: str, code: str | None = None) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code or CODE[title], f"docs/blocks.md: {title}", "exec"), names)
    return names


def step(names: dict[str, Any]) -> nn.Module:
    """Run the page's step of learning after one of its networks."""
    exec(compile(CODE["Training"], "docs/blocks.md: Training", "exec"), names)
    net: nn.Module = names["net"]
    return net


@pytest.mark.parametrize("title", SHOWN)
def test_each_backbone_gives_joints_and_learns(title: str) -> None:
    assert len(CODE[title].strip().splitlines()) <= 12
    names = run(title)
    output: PoseOutputs = names["outputs"]
    assert names["joints"].xy.shape == (2, 17, 2)
    assert output.maps.shape == (2, 17, 64, 48)
    assert torch.allclose(output.maps.sum((-2, -1)), torch.ones(2, 17), atol=1e-4)
    net = step(names)
    block = [p.grad for p in net.get_submodule("block").parameters() if p.grad is not None]
    assert any(g.abs().sum() > 0 for g in block)


@pytest.mark.parametrize("title", [t for t in SHOWN if "frozen=True" in CODE[t]])
def test_frozen_means_frozen_and_the_other_word_means_learning(title: str) -> None:
    frozen = step(run(title)).get_submodule("features")
    assert all(p.grad is None for p in frozen.parameters())
    assert not frozen.get_submodule("backbone").training
    free = step(run(title, CODE[title].replace("frozen=True", "frozen=False")))
    grads = [p.grad for p in free.get_submodule("features").parameters()]
    assert any(g is not None and g.abs().sum() > 0 for g in grads)


def test_the_page_shows_three_backbones() -> None:
    assert len(SHOWN) == 3
    assert set(re.findall(r'from_pretrained\("([^"]+)"', "".join(CODE.values()))) == DOWNLOADS
