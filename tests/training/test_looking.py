"""What a network looks at; banks of learnt people alone; backbones that configs name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import transformers

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.evaluation.attention import attention_ratios
from synthstudio.models.backbones.pyramid import HuggingFaceFeatures, VitPoseFeatures
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.models.contract import PoseNet
from synthstudio.training import checkpoint, diagnostics, networks, poses
from synthstudio.training.config import overfitted
from synthstudio.training.config_network import Network
from synthstudio.training.data import run_data, sources
from synthstudio.training.data.batches import CropSubset

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def people(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> sources.TrainingData:
    cache = tmp_path_factory.mktemp("looking")
    return sources.load_data(tiny.config(pairs), cache=cache, say=lambda text: None)


def net_of(people: sources.TrainingData, block: str = "orn") -> PoseNet:
    torch.manual_seed(0)
    network = Network(block=block, size=(48, 36), widths=(8, 12), width=16, attention=True)
    bank = poses.pose_bank(people.train, people.skeleton, size=(48, 36), count=8, seed=0)
    return networks.build_network(
        network, people.skeleton, bank=bank if block == "orn" else None
    ).eval()


def test_a_bank_knows_only_the_people_that_are_learnt_from(people: sources.TrainingData) -> None:
    crops, skeleton = people.train.crops, people.skeleton
    few = np.array([2, 5])

    def bank_of(rows: np.ndarray) -> PoseBank | None:
        chosen = CropSubset(crops=crops, rows=rows, weight=np.ones(len(rows)))
        return poses.pose_bank(chosen, skeleton, size=(48, 36), count=500, seed=0)

    bank, every = bank_of(few), bank_of(np.arange(len(crops)))
    assert bank is not None and every is not None
    assert len(bank.poses) <= 4 < len(every.poses)
    own = (crops.xy[few] - np.array([36, 48]) * 0.25) / [36, 48]
    for pose in bank.poses[: len(bank.poses) // 2].numpy():
        assert np.abs(own - pose).max((1, 2)).min() < 1e-5


def test_attention_that_shuns_cover_is_seen_to(people: sources.TrainingData) -> None:
    assert people.val is not None
    net, found = net_of(people), {}
    for odds in (-9.0, 9.0):
        cover = net.get_submodule("block.cover")
        with torch.no_grad():
            cover.get_parameter("weight").zero_()
            cover.get_parameter("bias").fill_(odds)
        found[odds] = attention_ratios(
            diagnostics.attention_maps(net, people.val, people.spec, device=CPU)
        )
    # Cover said to be as likely everywhere repels evenly, however likely: nothing may change.
    assert found[9.0]["people"] == found[-9.0]["people"] > 3
    assert found[9.0]["on_occluder"]["value"] == pytest.approx(
        found[-9.0]["on_occluder"]["value"], rel=1e-4
    )
    known = _told_the_cover(net, people)
    assert known["on_occluder"]["high"] < 0.5 < found[9.0]["on_occluder"]["value"]
    assert known["difference"]["high"] < 0


def _told_the_cover(net: PoseNet, people: sources.TrainingData) -> dict[str, dict[str, float]]:
    """Return the figures of a network whose cover map is the true one."""
    assert people.val is not None
    covers = iter(
        [
            batch.labels.occluder
            for at in range(0, len(people.val), diagnostics._BATCH)
            for batch in [
                diagnostics._predict(
                    net,
                    people.val,
                    np.arange(at, min(at + diagnostics._BATCH, len(people.val))),
                    people.spec,
                    CPU,
                )[0]
            ]
        ]
    )
    hook = net.get_submodule("block.cover").register_forward_hook(
        lambda module, inputs, output: torch.logit(next(covers).float().clamp(1e-4, 1 - 1e-4))
    )
    try:
        return attention_ratios(
            diagnostics.attention_maps(net, people.val, people.spec, device=CPU)
        )
    finally:
        hook.remove()


def test_a_plain_block_has_no_gaze(people: sources.TrainingData) -> None:
    assert people.val is not None
    net = net_of(people, "kpe")
    assert diagnostics.attention_maps(net, people.val, people.spec, device=CPU) == []
    reported = diagnostics.examples(net, people.val, people.spec, device=CPU)
    assert reported and all(e.pixels is None and e.poses is None for e in reported)


def test_examples_are_hidden_joints_of_different_moments(people: sources.TrainingData) -> None:
    assert people.val is not None
    reported = diagnostics.examples(net_of(people), people.val, people.spec, device=CPU, count=4)
    crops = people.val.crops
    moments = set()
    for example in reported:
        row = np.flatnonzero((crops.frame == example.frame) & (crops.instance == example.instance))
        assert crops.state[row[0], example.joint] == 1
        assert example.cause in ("person", "object")
        assert example.poses is not None and example.poses.shape[1:] == (23, 2)
        assert example.pixels is not None and example.pixels.sum() == pytest.approx(1, abs=1e-4)
        assert 1 <= len(example.peaks) <= 3
        column, row_of = (example.peaks[0] * [9, 12]).astype(int)
        assert example.heatmap[row_of, column] == example.heatmap.max()
        moments.add(int(crops.group[row[0]]))
    assert len(moments) == len(reported) > 1


def test_a_patch_slides_over_people(people: sources.TrainingData) -> None:
    assert people.val is not None
    maps = diagnostics.patch_sensitivity(
        net_of(people), people.val, people.spec, device=CPU, count=2
    )
    assert len(maps) == 2
    assert maps[0].increase.shape == (10, 7, 23)
    assert np.nanmax(np.abs(maps[0].increase)) > 0
    assert (
        diagnostics.measure_latency(net_of(people), people.spec, device=CPU, rounds=2).mean_ms > 0
    )


def test_spread_is_even_and_whole() -> None:
    assert diagnostics.evenly_spaced(100, 5).tolist() == [0, 25, 50, 74, 99]
    assert diagnostics.evenly_spaced(3, 8).tolist() == [0, 1, 2]


def test_first_people_are_learnt_and_judged(people: sources.TrainingData, pairs: Path) -> None:
    some = run_data.overfit_subset(people, 3, repeats=4)
    assert some.val is not None and len(some.val) == 3 and len(some.train) == 12
    assert set(some.train.rows) == set(some.val.rows) == set(people.train.rows[:3])
    assert some.key != people.key != run_data.overfit_subset(people, 4).key
    changed = overfitted(tiny.config(pairs, steps=0), 3)
    assert changed.batch == 3 and changed.steps == 400 and changed.augment.flip == 0


@pytest.mark.parametrize("kind", ["resnet", "vitpose"])
def test_a_config_names_a_folder_of_transformers(
    people: sources.TrainingData, tmp_path: Path, kind: str
) -> None:
    if kind == "resnet":
        config = transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 8, 12, 12], depths=[1, 1, 1, 1],
            layer_type="basic", out_features=["stage1", "stage2"],
        )  # fmt: skip
        transformers.AutoBackbone.from_config(config).save_pretrained(tmp_path / kind)
    else:
        inner = transformers.VitPoseBackboneConfig(
            image_size=[48, 32], patch_size=[16, 16], hidden_size=16, num_hidden_layers=2,
            num_attention_heads=2, intermediate_size=16, out_indices=[2],
        )  # fmt: skip
        model = transformers.VitPoseForPoseEstimation(
            transformers.VitPoseConfig(backbone_config=inner, num_labels=17)
        )
        model.save_pretrained(tmp_path / kind)
    network = Network(pretrained=str(tmp_path / kind), size=(48, 32), width=16, bank=0)
    net = networks.build_network(network, people.skeleton, bank=None)
    wanted = HuggingFaceFeatures if kind == "resnet" else VitPoseFeatures
    assert type(net.features) is wanted
    assert net(torch.zeros(1, 3, 48, 32)).maps.shape == (1, 23, 12, 8)
    settings = tiny.config(tmp_path).model_copy(update={"network": network})
    path = tmp_path / "net.safetensors"
    checkpoint.save_weights(path, net, settings, skeleton=people.skeleton, note="")
    again, reported, _ = checkpoint.load_network(path)
    assert json.loads(reported.model_dump_json()) == json.loads(settings.model_dump_json())
    both = zip(net.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in both)


def test_what_is_no_backbone_is_refused(people: sources.TrainingData, tmp_path: Path) -> None:
    for folder, reply in ((tmp_path / "none", "cannot be loaded"), (tmp_path, "no backbone")):
        if folder == tmp_path:
            transformers.BertConfig().save_pretrained(tmp_path)
        network = Network(pretrained=str(folder), size=(48, 32), bank=0)
        with pytest.raises(ModelError, match=reply):
            networks.build_network(network, people.skeleton, bank=None)


@pytest.mark.parametrize("reported", ["", "{}"])
def test_a_backbone_whose_library_is_missing_is_told(
    reported: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks(*given: object, **named: object) -> None:
        raise ImportError("it needs a library that is not installed")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", lacks)
    monkeypatch.setattr(transformers.AutoConfig, "for_model", lacks)
    network = Network(pretrained="some/backbone", size=(48, 32), bank=0)
    with pytest.raises(ModelError, match="library that is not installed"):
        networks.build_network(network, get_skeleton("coco17"), bank=None, backbone=reported)


@pytest.mark.parametrize("what", ["gazes", "patched", "timed"])
def test_memory_that_does_not_hold_a_batch_is_told(
    people: sources.TrainingData, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    assert people.val is not None
    net = net_of(people)

    def full(images: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(net, "forward", full)
    ask = {
        "gazes": lambda: diagnostics.attention_maps(net, people.val, people.spec, device=CPU),
        "patched": lambda: diagnostics.patch_sensitivity(net, people.val, people.spec, device=CPU),
        "timed": lambda: diagnostics.measure_latency(net, people.spec, device=CPU),
    }
    with pytest.raises(ModelError, match=r"out of memory for a batch.*another --device"):
        ask[what]()
