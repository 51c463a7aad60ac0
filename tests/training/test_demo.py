"""The training demo, small: from nothing to a report, and nothing twice."""

import json
from contextlib import contextmanager
from pathlib import Path

import tiny
import torch

from synthstudio.api import evaluations, generation, networks
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation import storage


def run(out, titles, monkeypatch):
    source = {"dataset": "elsewhere", "splits": ["train"], "variants": []}
    val = {"dataset": "elsewhere", "splits": ["val"]}

    def step(title):
        titles.append(title)
        return lambda done, total, rate: None

    @contextmanager
    def steps(wanted):
        yield step

    for module in (evaluations, generation, networks):
        monkeypatch.setattr(module, "progress_steps", steps)
    torch.set_num_threads(1)
    config = tiny.config(Path("elsewhere"), steps=12, train=[source], val=[val])
    return networks.train_demo(out, frames=24, workers=1, log=lambda text: None, config=config)


def test_from_nothing_to_a_report_and_nothing_twice(tmp_path, monkeypatch):
    out, titles = tmp_path / "out", []
    found = run(out, titles, monkeypatch)
    assert found["finished"] and found["steps"] == 12 and found["frames"] == 24
    for name in ("dataset", "network", "pictures", "report"):
        assert Path(found[name]).exists(), name
    assert "generating people" in titles and "training" in titles
    report = Path(found["report"])
    page = report.read_text()
    assert "mean pose" in page.lower() and page.count("data:image/jpeg") >= 3
    # Judged on the test split alone, of which no frame was learnt from.
    split = {row["index"]: row["split"] for row in Dataset(out / "people").iter_frames()}
    answers = storage.read(report.parent).predictions
    assert {split[int(f)] for f in answers.frame} == {"test"}
    assert found["test_people"] == len(answers) > 0
    assert json.loads((report.parent / "metrics.json").read_text())["about"]["notes"] == []

    made = [*out.rglob("*.safetensors"), report]
    before, again = [path.stat().st_mtime_ns for path in made], []
    assert run(out, again, monkeypatch) == found | {"waited": 0.0}
    assert "training" not in again and "drawing the page" not in again
    assert [path.stat().st_mtime_ns for path in made] == before
