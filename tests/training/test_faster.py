"""Networks timed, pruned, in 8 bits; what cannot be done is said."""

import json

import command_line
import numpy as np
import pytest
import torch

import synthstudio as ss
from synthstudio.api import speed
from synthstudio.core.errors import ArgumentError, ModelError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.inference import compress as compressing
from synthstudio.inference import networks
from synthstudio.inference.model_files import OnnxModel
from synthstudio.training import checkpoint
from synthstudio.training.networks import build

SIZE = (48, 36)


@pytest.fixture(scope="module")
def run(learnt):
    return learnt / "orn"


@pytest.fixture(scope="module")
def people(pairs, tmp_path_factory):
    cache, skeleton = tmp_path_factory.mktemp("crops"), get_skeleton("coco23")
    return networks.labelled_people(pairs, splits=(), size=SIZE, skeleton=skeleton, cache=cache)


def test_benchmark_times_both_runtimes(run, pairs, tmp_path):
    words = ["benchmark", run, run.with_suffix(".onnx"), "--batches", "1,3", "--rounds", "4"]
    words += ["--dataset", pairs, "--split", "", "--out", tmp_path / "out"]
    found = command_line.run_json(*words)
    assert found == json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert [(r["runtime"], r["batch"]) for r in found["rows"]] == [
        ("torch", 1), ("torch", 3), ("onnx", 1), ("onnx", 3)
    ]  # fmt: skip
    for row in found["rows"]:
        took = row["time"]
        assert 0 < took["p50_ms"] <= took["p95_ms"] <= took["p99_ms"] and row["load_ms"] > 0
        assert row["people_per_second"] == pytest.approx(1000 * row["batch"] / took["p50_ms"])
    first, second = found["found"].values()
    assert first == pytest.approx(second) and 0 < first["all"] <= 100
    assert "<svg" in (tmp_path / "out" / "report.html").read_text()
    command_line.run("benchmark", run, "--batches", "1,many", code=2)
    with pytest.raises(ArgumentError, match=r"not been exported.*export-model"):
        speed.benchmark([run], runtime="onnx")
    with pytest.raises(ArgumentError, match="same name"):
        speed.benchmark([run, run])


def test_points_found_are_those_of_evaluate(run, pairs, people, tmp_path):
    model = ss.Model.load(run, device="cpu")
    ours = networks.hits(model.predictor(), people, SIZE, model.skeleton)
    theirs = ss.evaluate(run, pairs, out=tmp_path / "e", progress=False, device="cpu").metrics
    for subset in ("all", "visible", "hidden"):
        told = theirs["localization"][subset]["PCK@0.1"]["value"]
        assert ours.percent(subset) == pytest.approx(
            100 * told, abs=0.2
        )  # crops' coordinates are float32


def test_pruned_networks_are_networks(run, people):
    """Of channels whose norms say zero nothing is lost; a quarter of the channels stays."""
    _, config, skeleton = checkpoint.load_network(run / "best.safetensors")
    torch.manual_seed(0)
    wide = config.network.model_copy(update={"widths": (16, 32), "bank": 0})
    config = config.model_copy(update={"network": wide})
    net = build(wide, skeleton).eval()
    with torch.no_grad():
        for _, norms in compressing._norms(net):
            for norm in norms:
                norm.weight.uniform_(0.5, 1)
                norm.bias.uniform_(0.1, 0.5)
                norm.weight[8:] = 0
                norm.bias[8:] = 0
                if norm.num_features == 32:
                    norm.weight[8:16].uniform_(0.5, 1)
                    norm.bias[8:16].uniform_(0.1, 0.5)
    smaller, changed = compressing.pruned(net, config, skeleton, people, keep=0.5)
    assert changed.network.widths == (8, 16)
    images = torch.rand(2, 3, *SIZE)
    with torch.no_grad():
        assert torch.allclose(net(images).maps, smaller(images).maps, atol=1e-5)
    assert compressing.flops(smaller, SIZE) < 0.6 * compressing.flops(net, SIZE)
    hrnet = wide.model_copy(update={"backbone": "hrnet-nano"})
    other = config.model_copy(update={"network": hrnet})
    with pytest.raises(ModelError, match="only the small pyramid"):
        compressing.pruned(build(hrnet, skeleton), other, skeleton, people, keep=0.5)


@pytest.mark.nightly("exports and quantizes; what it does to networks is tested above")
def test_compress_picks_and_says_how_near(run, pairs, tmp_path):
    figures, text = speed.compress(
        run, pairs, tmp_path / "c", target_ms=1e-4, rounds=3, val=(), test=()
    )
    names = [row["name"] for row in figures["candidates"]]
    assert names == ["as it is", "as it is, int8"]
    assert "none meets the target" in figures["why"] and "none meets" in text
    whole, _ = figures["candidates"]
    assert whole["test"]["all"]["gained"] == 0
    assert (tmp_path / "c" / "report.html").read_bytes().count(b"<circle") == 2
    model = OnnxModel.load(tmp_path / "c" / "model.onnx", device="cpu")
    assert np.isfinite(model(np.zeros((2, *SIZE, 3), np.uint8)).xy).all()
