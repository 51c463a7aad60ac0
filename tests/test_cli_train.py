"""train, evaluate and compare as commands: from a data set to a page, and every refusal."""

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from command_line import refusal, run, run_json
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_pairs import recipe

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.rows import write_table
from synthstudio.generation.pipeline import generate
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema.load import parse
from synthstudio.training import config as configs
from synthstudio.training.loop import train
from synthstudio.training.networks import build

RUNS = Path(__file__).resolve().parents[1] / "scenes" / "training"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    out = tmp_path_factory.mktemp("train") / "people"
    generate(prepare(parse(recipe(12)), assets=out.parent, device="cpu"), out, workers=1)
    return out


def write(path, dataset, **changes):
    network = {"size": [48, 36], "widths": [8, 12], "width": 16, "bank": 8}
    fields = {
        "name": path.stem,
        "train": [{"dataset": str(dataset)}],
        "val": [{"dataset": str(dataset)}],
        "batch": 8,
        "epochs": 99,
        "steps": 8,
        "device": "cpu",
        "lr": 5e-3,
        "network": network | changes.pop("network", {}),
    }
    path.write_text(yaml.safe_dump(fields | changes))
    return path


@pytest.fixture(scope="module")
def trained(dataset):
    runs = {}
    for block in ("orn", "kpe"):
        path = write(dataset.parent / f"{block}.yaml", dataset, network={"head": block})
        runs[block] = dataset.parent / "runs" / block
        train(configs.load(path), runs[block], cache=dataset.parent / "cache", log=lambda t: None)
    return runs


@pytest.mark.parametrize(("size", "minimum", "maximum"), [("nano", 0, 1e6), ("small", 1e6, 1e7)])
def test_shipped_configs_are_as_large_as_they_say(size, minimum, maximum):
    settings = configs.load(RUNS / f"{size}.yaml")
    net = build(settings.network, get_skeleton("coco23"))
    assert minimum < sum(p.numel() for p in net.parameters()) < maximum


def test_from_a_data_set_to_a_page(dataset, tmp_path):
    path, out = write(tmp_path / "mine.yaml", dataset), tmp_path / "run"
    dry = run_json("train", path, "--out", out, "--fast-dev-run")
    assert dry["steps"] == 2 and dry["best"] is not None
    assert [p.name for p in out.iterdir()] == ["cache"]
    reported = run_json("train", path, "--out", out)
    assert reported["finished"] and reported["steps"] == 8 and reported["best"] > 0
    again = run_json("train", path, "--out", out, "--resume")
    assert again["steps"] == 8
    found = run_json("evaluate", out, dataset)
    folder = out / "evaluations" / "people"
    assert Path(found["folder"]) == folder
    assert {p.name for p in folder.iterdir()} == {"predictions.npz", "metrics.json", "report.html"}
    stored = json.loads((folder / "metrics.json").read_text())
    assert stored["metrics"] == found["metrics"]
    assert stored["metrics"]["counts"]["people"] == 24
    assert stored["metrics"]["counterfactual"]["pairs"] > 0
    assert stored["metrics"]["latency"]["p95_ms"] >= stored["metrics"]["latency"]["p50_ms"] > 0
    assert "some of these people" in stored["about"]["notes"][0]
    page = (folder / "report.html").read_text()
    assert "mine" in page and page.count("data:image/jpeg") > 3
    assert str(tmp_path) not in page + json.dumps(stored)
    assert "invalid output folder" in refusal("evaluate", out, dataset)


def test_ways_to_ask_and_runs_side_by_side(trained, dataset, tmp_path):
    cache = dataset.parent / "cache"
    reported = {}
    for name, options in {
        "orn": [trained["orn"]],
        "plain": [trained["kpe"]],
        "peak": [trained["kpe"], "--decode", "peak"],
        "flip": [trained["kpe"] / "last.safetensors", "--flip"],
        "bank": [trained["kpe"], "--bank"],
    }.items():
        requested = [options[0], dataset, *options[1:], "--out", tmp_path / name, "--cache", cache]
        reported[name] = run_json("evaluate", *requested)["metrics"]
    hit = {name: t["localization"]["all"]["PCK@0.1"]["value"] for name, t in reported.items()}
    assert len({round(hit[n], 6) for n in ("plain", "peak", "flip", "bank")}) == 4
    assert hit["bank"] > hit["plain"]  # the bank knows these very people
    assert reported["orn"]["visibility"] and not reported["plain"]["visibility"]

    both = run("compare", tmp_path / "plain", tmp_path / "bank", "--out", tmp_path / "both")
    assert re.search(r"^PCK@0.1 hidden \(%\)", both.stdout, re.M)
    orn, plain, peak, flip, _ = (tmp_path / name for name in reported)
    found = run_json("compare", f"{plain},{orn}", f"{orn},{flip}")
    assert [len(a["runs"]) for a in found["arms"]] == [2, 2]
    assert "the same weights twice" in refusal("compare", orn, f"{plain},{peak}")
    assert "a comparison needs two runs" in refusal("compare", plain)
    assert "no evaluation" in refusal("compare", tmp_path / "plain", trained["orn"])


def test_people_that_were_learnt_from_are_named_and_others_not_compared(trained, dataset, tmp_path):
    wanted = recipe(12)
    streams = {"name": "other", "streams": wanted["name"], "frames": 4}
    notes = {}
    for name, changes in {"alike": streams, "other": {**streams, "streams": "other"}}.items():
        made = parse({**wanted, **changes})
        generate(prepare(made, assets=tmp_path, device="cpu"), tmp_path / name, workers=1)
        words = ["evaluate", trained["kpe"], tmp_path / name, "--out", tmp_path / f"{name}-found"]
        about = run_json(*words, "--cache", tmp_path / "cache")["about"]
        assert about["splits"] == []
        notes[name] = " ".join(about["notes"])
    assert "people and alike share " in notes["alike"] and "identities" in notes["alike"]
    assert "share" not in notes["other"]
    said = refusal("compare", tmp_path / "alike-found", tmp_path / "other-found")
    assert "not evaluated on the same people" in said


def test_refusals_are_one_message(trained, dataset, tmp_path):
    wrong = write(tmp_path / "wrong.yaml", dataset, bach=8)
    assert "batch?" in refusal("train", wrong, "--out", tmp_path / "r")
    path = write(tmp_path / "mine.yaml", dataset)
    taken = ["train", path, "--out", trained["orn"]]
    assert "a run already exists" in refusal(*taken)
    run("train", path, "--out", tmp_path / "r", "--fast-dev-run", "--resume", code=2)
    assert not (tmp_path / "r").exists()
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    refused = {
        "no weights": [tmp_path, dataset],
        "cannot be read": [tmp_path / "junk.safetensors", dataset],
        "its own pose bank": [trained["orn"], dataset, "--bank"],
        "no people are left": [trained["orn"], dataset, "--split", "nowhere"],
    }
    for output, arguments in refused.items():
        out = tmp_path / "evaluation"
        assert output in refusal("evaluate", *arguments, "--out", out, "--cache", tmp_path / "c")
        assert not out.exists()


def test_damaged_weights_and_rows_are_one_message(trained, dataset, tmp_path):
    broken, damaged, out = (tmp_path / name for name in ("kpe", "damaged", "out"))
    shutil.copytree(trained["kpe"], broken, ignore=shutil.ignore_patterns("evaluations"))
    for path in broken.glob("*.safetensors"):
        weights = load_file(path)
        with safe_open(path, "pt") as file:
            facts = file.metadata()
        spoilt = {k: v * float("nan") if v.is_floating_point() else v for k, v in weights.items()}
        save_file(spoilt, path, facts)
    shutil.copytree(dataset, damaged)
    path = next(damaged.rglob("instances.parquet"))
    table = pq.read_table(path, partitioning=None)
    rows = table.to_pylist()
    rows[0]["visibility_fractions"].pop()
    write_table(path, pa.Table.from_pylist(rows, table.schema))
    config = write(tmp_path / "mine.yaml", damaged)
    for words, why in (
        (["predict", broken, dataset], "not finite"),
        (["evaluate", broken, dataset], "not finite"),
        (["evaluate", trained["kpe"], damaged, "--cache", tmp_path / "c"], "instances.parquet"),
        (["train", config], "instances.parquet"),
    ):
        assert why in refusal(*words, "--out", out)
        assert not out.exists()
