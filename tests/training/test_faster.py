"""Networks timed, pruned, in 8 bits; what cannot be done is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

import synthstudio as ss
from synthstudio.api import speed
from synthstudio.cli import predict as commands
from synthstudio.core.errors import ArgumentError, ModelError
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.inference import compress as compressing
from synthstudio.inference import scoring
from synthstudio.inference.onnx_model import OnnxModel
from synthstudio.training import checkpoint, pruning
from synthstudio.training.networks import build_network

SIZE = (48, 36)


@pytest.fixture(scope="module")
def run(learnt: Path) -> Path:
    return learnt / "orn"


@pytest.fixture(scope="module")
def people(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    cache, skeleton = tmp_path_factory.mktemp("crops"), get_skeleton("coco23")
    return scoring.labelled_people(pairs, splits=(), size=SIZE, skeleton=skeleton, cache=cache)


def test_benchmark_times_both_runtimes(run: Path, pairs: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(commands.benchmark)
    words = [run, run.with_suffix(".onnx"), "--batches", "1,3", "--rounds", "4", "--json"]
    words += ["--dataset", pairs, "--split", "", "--out", tmp_path / "out"]
    done = CliRunner().invoke(app, [str(w) for w in words])
    assert done.exit_code == 0, done.exception
    found = json.loads(done.stdout.strip().splitlines()[-1])
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
    bad = CliRunner().invoke(app, [str(run), "--batches", "1,many"])
    assert bad.exit_code == 2
    with pytest.raises(ArgumentError, match=r"not been exported.*export-model"):
        speed.benchmark([run], runtime="onnx")
    with pytest.raises(ArgumentError, match="one name"):
        speed.benchmark([run, run])


def test_points_found_are_those_of_evaluate(
    run: Path, pairs: Path, people: Any, tmp_path: Path
) -> None:
    model = ss.Model.load(run, device="cpu")
    ours = scoring.hits(model.ask(), people, SIZE, model.skeleton)
    theirs = ss.evaluate(run, pairs, out=tmp_path / "e", progress=False, device="cpu").metrics
    for subset in ("all", "visible", "hidden"):
        told = theirs["places"][subset]["PCK@0.1"]["value"]
        assert ours.percent(subset) == pytest.approx(
            100 * told, abs=0.2
        )  # crops' coordinates are float32


def test_channels_that_say_nothing_go_first(run: Path, people: Any) -> None:
    net, config, skeleton = checkpoint.load_network(run / "best.safetensors")
    silent = [1, 3, 4]
    with torch.no_grad():  # channels of the first level that the rest never hears of
        for norm in (net.features.steps[0][0][1], net.features.steps[0][1].norm):  # type: ignore[index, union-attr]
            norm.weight[silent] = 0
            norm.bias[silent] = 0
    effect = pruning.effects(net, config, skeleton, people)
    assert set(effect["0"].argsort()[:3].tolist()) == set(silent)
    assert effect["0"].max() > 0


def test_pruned_networks_are_networks(run: Path, people: Any) -> None:
    """Of channels whose norms say zero nothing is lost; a quarter of the channels stays."""
    _, config, skeleton = checkpoint.load_network(run / "best.safetensors")
    torch.manual_seed(0)
    wide = config.network.model_copy(update={"widths": (16, 32), "bank": 0})
    config = config.model_copy(update={"network": wide})
    net = build_network(wide, skeleton, bank=None).eval()
    with torch.no_grad():
        for _, norms in pruning._norms(net):
            for norm in norms:
                norm.weight.uniform_(0.5, 1)
                norm.bias.uniform_(0.1, 0.5)
                norm.weight[8:] = 0
                norm.bias[8:] = 0
                if norm.num_features == 32:
                    norm.weight[8:16].uniform_(0.5, 1)
                    norm.bias[8:16].uniform_(0.1, 0.5)
    smaller, changed = pruning.pruned(net, config, skeleton, people, keep=0.5)
    assert changed.network.widths == (8, 16)
    images = torch.rand(2, 3, *SIZE)
    with torch.no_grad():
        assert torch.allclose(net(images).maps, smaller(images).maps, atol=1e-5)
    assert compressing.flops(smaller, SIZE) < 0.6 * compressing.flops(net, SIZE)
    hrnet = wide.model_copy(update={"backbone": "hrnet-nano"})
    other = config.model_copy(update={"network": hrnet})
    with pytest.raises(ModelError, match="only the small pyramid"):
        pruning.pruned(build_network(hrnet, skeleton, bank=None), other, skeleton, people, keep=0.5)


@pytest.mark.nightly("exports and quantizes; what it does to networks is tested above")
def test_compress_picks_and_says_how_near(run: Path, pairs: Path, tmp_path: Path) -> None:
    figures, text = speed.compress(
        run, pairs, tmp_path / "c", target_ms=1e-4, rounds=3, val=(), test=()
    )
    names = [row["name"] for row in figures["candidates"]]
    assert names == ["as it is", "as it is, int8"]
    assert "none reaches the target" in figures["why"] and "none reaches" in text
    whole, _ = figures["candidates"]
    assert whole["test"]["all"]["gained"] == 0
    assert (tmp_path / "c" / "report.html").read_bytes().count(b"<circle") == 2
    model = OnnxModel.load(tmp_path / "c" / "model.onnx", device="cpu")
    assert np.isfinite(model(np.zeros((2, *SIZE, 3), np.uint8)).xy).all()
    with pytest.raises(ArgumentError, match="target_ms"):
        speed.compress(run, pairs, tmp_path / "d", target_ms=float("nan"))
    with pytest.raises(ArgumentError, match="exported network"):
        speed.compress(tmp_path / "c" / "model.onnx", pairs, tmp_path / "d")
    with pytest.raises(ModelError):  # nobody in a split of that name
        speed.compress(run, pairs, tmp_path / "d", val=("nowhere",))
    assert not (tmp_path / "d").exists()


def test_few_poses_stand_for_all(run: Path) -> None:
    rng = stream(0, "poses")
    centres = rng.normal(size=(32, 6)) * 10
    points = centres[rng.integers(0, 32, 400)] + rng.normal(size=(400, 6)) * 0.01
    rows = compressing.representatives(points, 32)
    apart = np.linalg.norm(points[:, None] - points[rows], axis=-1).min(1)
    evenly = np.linalg.norm(points[:, None] - points[:: 400 // 32], axis=-1).min(1)
    assert len(set(rows)) == 32 and apart.mean() < 0.6 * evenly.mean()
    assert compressing.representatives(points, 1000).tolist() == list(range(400))

    net, _, _ = checkpoint.load_network(checkpoint.weights_file(run))
    held = net.block.bank.poses  # type: ignore[union-attr]
    net.block.bank.sharpness = 1.5  # type: ignore[union-attr]
    made = compressing.thinner(net, 8).block.bank
    assert made.sharpness == 1.5  # type: ignore[union-attr]
    thin = made.poses  # type: ignore[union-attr]
    of = [int(((held - pose) ** 2).sum((1, 2)).argmin()) for pose in thin]  # type: ignore[operator]
    assert len(set(of)) == 8 and [at + len(held) // 2 for at in of[:4]] == of[4:]
