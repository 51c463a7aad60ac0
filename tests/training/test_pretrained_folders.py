"""Weights from elsewhere: a folder laid out as a published ViTPose, and what of it matched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.models.contract import PoseNet
from synthstudio.training import networks
from synthstudio.training.config import Network

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ViTPose with the simple decoder, random, as its authors' repository has its files."""
    torch.manual_seed(3)
    inner = transformers.VitPoseBackboneConfig(
        image_size=[48, 32], patch_size=[16, 16], hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=16, out_indices=[2],
    )  # fmt: skip
    config = transformers.VitPoseConfig(
        backbone_config=inner, num_labels=17, use_simple_decoder=True, scale_factor=4
    )
    transformers.VitPoseForPoseEstimation(config).save_pretrained(tmp_path / "vitpose")
    assert {p.name for p in (tmp_path / "vitpose").iterdir()} >= {"config.json", WEIGHTS}
    return tmp_path / "vitpose"


def built(folder: Path) -> tuple[PoseNet, str]:
    lines: list[str] = []
    network = Network(head="kpe", size=(48, 32), backbone=f"transformers:{folder}", width=16)
    torch.manual_seed(0)
    net = networks.build_network(network, get_skeleton("coco17"), bank=None, log=lines.append)
    return net, "\n".join(lines)


def test_all_of_a_published_layout_is_taken_but_its_head(folder: Path) -> None:
    net, report = built(folder)
    held = load_file(folder / WEIGHTS)
    own = {f"backbone.{k}": v for k, v in net.features.net.state_dict().items()}
    assert set(held) == set(own) | {"head.conv.weight", "head.conv.bias"}
    assert all(torch.equal(own[name], held[name]) for name in own)
    count = f"{len(own)} of {len(own)} tensors loaded"
    assert report == f"pretrained backbone transformers:{folder}: {count}"
    with torch.inference_mode():
        assert net(torch.zeros(1, 3, 48, 32)).maps.shape == (1, 17, 12, 8)


def test_what_did_not_match_is_named(folder: Path) -> None:
    held = load_file(folder / WEIGHTS)
    first, second = "backbone.layernorm.weight", "backbone.layernorm.bias"
    changed = {k: v for k, v in held.items() if k != first}
    changed |= {second: torch.zeros(5), "backbone.more": torch.zeros(2)}
    save_file(changed, folder / WEIGHTS, metadata={"format": "pt"})
    net, report = built(folder)
    own = {f"backbone.{k}": v for k, v in net.features.net.state_dict().items()}
    count = len(own)
    assert f"{count - 2} of {count} tensors loaded" in report
    assert f"not in the file: {first}" in report
    assert f"of another shape: {second}" in report
    assert "not used: backbone.more" in report
    taken = [k for k in own if k not in (first, second)]
    assert all(torch.equal(own[name], held[name]) for name in taken)


@pytest.mark.parametrize("fault", ["other names", "no weights", "no config", "no backbone"])
def test_a_folder_that_gives_nothing_is_refused(folder: Path, fault: str) -> None:
    weights, config = folder / WEIGHTS, folder / "config.json"
    if fault == "other names":
        held = {f"model.{name}": value for name, value in load_file(weights).items()}
        save_file(held, weights, metadata={"format": "pt"})
    elif fault == "no backbone":
        config.write_text(json.dumps({"model_type": "bert"}))
    else:
        (weights if fault == "no weights" else config).unlink()
    says = {"other names": "none of these weights fits the backbone.*names like model.backbone",
            "no backbone": "a bert is not a backbone"}  # fmt: skip
    with pytest.raises(ModelError, match=says.get(fault, "the backbone cannot be loaded")):
        built(folder)
