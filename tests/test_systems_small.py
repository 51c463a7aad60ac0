"""`make systems` from end to end in a few steps: resumed, one system at a time, one table."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import pretraining, systems_runs, systems_table, systems_text
from benchmarks.systems_runs import BOTTOM_UP, SIZES, SMALL, jobs
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation import storage
from synthstudio.training import config as configs
from synthstudio.training.loop import train


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the cache and the page of two systems; the first was once killed."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("systems")
    (out / "page.md").write_text("before\n{}\nold\n{}\nafter\n".format(*systems_table.MARKS))
    folder = systems_table.folder_of(systems_table.recipe(SMALL), SMALL, out / "cache")
    data = systems_table.make_people(systems_table.recipe(SMALL), folder, 1)
    first = jobs(("pyramid",), 1)[0]
    settings = systems_runs.config(first, SMALL, data)
    train(settings, folder / "runs" / first.name, cache=folder / "crops", steps=1)
    words = ["--size", "small", "--seeds", "1", "--cache", str(out / "cache")]
    words += ["--page", str(out / "page.md"), "--picture", str(out / "seen.jpg")]
    with pytest.MonkeyPatch.context() as here:  # a process for each, the second time
        here.setattr(systems_runs, "cost", lambda w, d, size: systems_runs._cost(w, d, size.rounds))
        assert systems_table.main([*words, "--system", "pyramid"]) == 0
    assert systems_table.main([*words, "--system", "openpose"]) == 0  # one at a time
    return out


def test_one_table_has_all_that_is_ready(made: Path) -> None:
    text = (made / "page.md").read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    rows = [line.split(" | ")[0].strip("| ") for line in text.splitlines() if line[:2] == "| "]
    first = ["network", "pyramid own", "pyramid kpe", "pyramid orn", "openpose"]
    pairs = ["ORN less, in points", "KPE, pyramid", "its own head, pyramid"]
    assert rows == [*first, "mean pose in the box", *pairs]
    for title in pairs[1:]:
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {title} | ")]
        assert len(re.findall(r"[+-]\d+\.\d \([+-]\d+\.\d to [+-]\d+\.\d\)", row)) == 5
        assert row.endswith(" | - |")  # so few people are in no crowd
    with Image.open(made / "seen.jpg") as picture:
        assert picture.size == (3 * 240, 2 * 180)  # a row for each of the two systems
    assert "![pyramid orn, openpose at work on three test frames](images/seen.jpg)" in text
    assert (made / "seen.jpg").stat().st_size < 300_000


def test_all_are_judged_on_the_same_people_and_joints(made: Path) -> None:
    (folder,) = (made / "cache").iterdir()
    runs = systems_table.ready(folder, 1)
    one, *others = (made_of[0].predictions for made_of in runs.values())
    assert set(one.frame.tolist()) <= {
        row["index"] for row in Dataset(folder / "people").iter_frames() if row["split"] == "test"
    }
    for other in others:
        for name in ("frame", "instance", "state", "known", "group"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name
        assert other.true_xy[one.known] == pytest.approx(one.true_xy[one.known], abs=0.01)
        assert other.area == pytest.approx(one.area, rel=1e-3)
    weights = folder / "runs" / "openpose-0" / "last.safetensors"
    costs = systems_runs.cost(weights, folder / "people", SMALL)
    assert costs["operations"] > 1e6 and 0 < costs["p50_ms"] <= costs["p95_ms"]


def test_what_is_ready_is_not_made_again(made: Path) -> None:
    (folder,) = (made / "cache").iterdir()
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    job = jobs(("openpose",), 1)[0]
    again = systems_runs.run_job(job, SMALL, folder / "people", folder, say=pytest.fail)
    assert isinstance(again, storage.Evaluation) and again.found is not None
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()} == before


def test_every_system_and_seed_is_a_job() -> None:
    every = jobs(systems_runs.SYSTEMS, 3)
    assert len(every) == len({job.name for job in every}) == 4 * 3 * 3 + 3
    for size in SIZES.values():
        for job in jobs(systems_runs.SYSTEMS, 1):
            systems_runs.config(job, size, Path("people"))  # which fits its network


def test_a_weak_system_of_whole_frames_is_named(made: Path) -> None:
    (folder,) = (made / "cache").iterdir()
    runs = systems_table.ready(folder, 1)
    own = runs["pyramid own"]
    perfect = [
        storage.Evaluation(
            about=own[0].about,
            metrics={},
            predictions=type(p)(**{**vars(p), "xy": p.true_xy}),
        )
        for p in (own[0].predictions,)
    ]
    runs["pyramid own"] = perfect
    assert systems_text.too_low(runs) == ["openpose"] and "openpose" in BOTTOM_UP
    assert systems_text.pck_of_subset(perfect, "visible").value == 1.0
    assert systems_text.too_low({**runs, "openpose": perfect}) == []
    # Three steps teach next to nothing, and the true joints are no failure.
    assert set(systems_text.not_learnt(runs)) == set(runs) - {"pyramid own"}
    weak = [dataclasses.replace(perfect[0], about=perfect[0].about | {"untrained": 0.95})]
    assert "pyramid own" in systems_text.not_learnt({"pyramid own": weak})


def test_pretrained_networks_are_compared_with_those_of_random_weights(made: Path) -> None:
    (folder,) = (made / "cache").iterdir()
    page = made / "codes.md"
    page.write_text("{}\nold\n{}\n".format(*pretraining.MARKS))
    words = ["--size", "small", "--seeds", "1", "--processes", "1"]
    words += ["--cache", str(made / "cache"), "--page", str(page)]
    assert pretraining.main(words) == 0
    rows = [line.strip("| ").split(" | ") for line in page.read_text().splitlines()[5:-1]]
    starts = [pretraining.RANDOM, "contrastive", "disentangled"]
    assert [row[:3] for row in rows] == [[b, s, "1"] for b in ("KPE", "ORN") for s in starts]
    for row in rows:
        against = r"-" if row[1] == starts[0] else r"[+-]\d+\.\d \([+-]\d+\.\d to [+-]\d+\.\d\)"
        assert re.fullmatch(against, row[-1]), row
    # Training began with the weights that were learnt without joints, and nothing is made twice.
    for run in pretraining.runs(1):
        settings = configs.load(folder / "runs" / run.name / "config.yaml")
        assert bool(settings.init_from) == (run.start != pretraining.RANDOM)
        assert run.start in settings.init_from or not settings.init_from
    before = {p: p.stat().st_mtime_ns for p in folder.glob("*/*") if "crops" not in p.parts}
    place = pretraining.Place(name="small", folder=folder, sets=())
    for run in pretraining.runs(1):
        assert pretraining.train(place, run) == run.name
    assert pretraining.pretrain(place, "contrastive", 0).is_file()
    assert {p: p.stat().st_mtime_ns for p in before} == before
