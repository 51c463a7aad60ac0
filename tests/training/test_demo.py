"""The training demo, small: from nothing to a report; killed and started again it goes on."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file
from waiting import wait_for

from synthstudio.api import train_demo
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation import storage
from synthstudio.evaluation.metrics import compute_metrics
from synthstudio.training.config import Config

SCRIPT = Path(__file__).with_name("demo_alone.py")


def steps_seen(titles: list[str]):  # type: ignore[no-untyped-def]
    def step(title: str):  # type: ignore[no-untyped-def]
        titles.append(title)
        return lambda done, total, rate: None

    return step


def run(out: Path, titles: list[str] | None = None) -> dict:
    """Run the demo as demo_alone.py does."""
    torch.set_num_threads(1)
    return train_demo.train_demo(
        out,
        frames=24,
        workers=1,
        step=steps_seen([] if titles is None else titles),
        log=lambda text: None,
        config=small(),
    )


def small() -> Config:
    """Return a config of twelve steps on the folder that a demo replaces."""
    fields = {"splits": ["train"], "variants": []}
    return tiny.config(
        Path("elsewhere"),
        steps=12,
        train=[{"dataset": "elsewhere", **fields}],
        val=[{"dataset": "elsewhere", "splits": ["val"]}],
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, list[str]]:
    out, titles = tmp_path_factory.mktemp("demo") / "out", []
    return out, run(out, titles), titles


def test_from_nothing_to_a_report(made: tuple[Path, dict, list[str]]) -> None:
    out, found, titles = made
    assert found["finished"] and found["steps"] == 12 and found["frames"] == 24
    for name in ("dataset", "network", "pictures", "report"):
        assert Path(found[name]).exists(), name
    assert "generating people" in titles and "training" in titles
    page = Path(found["report"]).read_text()
    assert "mean pose" in page.lower() and page.count("data:image/jpeg") >= 3
    # Judged on the test split alone, of which no frame was learnt from.
    dataset = Dataset(out / "people")
    split = {row["index"]: row["split"] for row in dataset.iter_frames()}
    answers = storage.read(Path(found["report"]).parent).predictions
    assert {split[int(f)] for f in answers.frame} == {"test"}
    assert found["judged_people"] == len(answers) > 0
    stored = json.loads((Path(found["report"]).parent / "measures.json").read_text())
    assert stored["about"]["notes"] == []


def test_without_hidden_joints_it_says_the_same_twice(
    made: tuple[Path, dict, list[str]], tmp_path: Path
) -> None:
    """A first call reads NaN from memory, a second one null from the disk."""
    kept = storage.read(Path(made[1]["report"]).parent)
    seen = dataclasses.replace(kept.predictions, state=np.full_like(kept.predictions.state, 2))
    skeleton = get_skeleton(kept.about["skeleton"])
    first = dataclasses.replace(kept, predictions=seen, metrics=compute_metrics(seen, skeleton))
    assert np.isnan(first.metrics["places"]["hidden"]["PCK@0.1"]["value"])
    assert np.isnan(first.metrics["counterfactual"]["newly_hidden"]["value"])
    storage.write(tmp_path / "set", first, b"")
    found = [train_demo._figures(one) for one in (first, storage.read(tmp_path / "set"))]
    json.dumps(found[0], allow_nan=False)
    assert found[0] == found[1] and found[0]["lost_by_the_occluder"] is None
    text = train_demo.summary(made[1] | found[0])
    assert "nan" not in text and "hidden  " not in text and "visible " in text
    assert "without the object in front" not in text


def test_it_does_nothing_twice(made: tuple[Path, dict, list[str]]) -> None:
    out, found, _ = made
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")}
    page = Path(found["report"]).stat().st_mtime_ns
    titles: list[str] = []
    assert run(out, titles) == found | {"waited": 0.0}
    assert "training" not in titles and "drawing the page" not in titles
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")} == before
    assert Path(found["report"]).stat().st_mtime_ns == page


@pytest.mark.nightly("killed twice; each part's kill is tested by its own tests")
def test_killed_anywhere_it_ends_alike(made: tuple[Path, dict, list[str]], tmp_path: Path) -> None:
    out = tmp_path / "out"
    waits = (
        lambda: list((out / "people").glob("shards/*")),  # while it renders
        lambda: (out / "run" / "state.safetensors").exists(),  # while it trains
    )
    for seen in waits:
        with subprocess.Popen([sys.executable, str(SCRIPT), str(out)]) as process:
            wait_for(lambda s=seen, p=process: s() or p.poll() is not None, "its files")
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    found = run(out)
    weights = [folder / "run" / "best.safetensors" for folder in (out, made[0])]
    nets = [load_file(path) for path in weights]
    assert nets[0].keys() == nets[1].keys()
    assert all(torch.equal(nets[0][k], nets[1][k]) for k in nets[0])
    assert found["PCK@0.1"] == made[1]["PCK@0.1"]
