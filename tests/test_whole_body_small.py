"""benchmarks/whole_body.py from end to end in a few steps: killed, gone on with, its tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import whole_body
from benchmarks.whole_body import MARKS, NAMES, SIZES
from synthstudio.evaluation import storage
from synthstudio.training.loop import train

SMALL = SIZES["small"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the cache and the page; ZoomNet's training was once stopped."""
    torch.set_num_threads(1)
    patch = pytest.MonkeyPatch()
    patch.setattr(whole_body, "ROUNDS", 20)
    out = tmp_path_factory.mktemp("whole body")
    (out / "page.md").write_text("before\n{}\nold\n{}\nafter\n".format(*MARKS))
    folder = whole_body.folder_of(whole_body.recipe(SMALL), SMALL, out / "cache")
    data = whole_body.make_people(whole_body.recipe(SMALL), folder, 1)
    settings = whole_body.config("zoomnet", 0, SMALL, data)
    train(settings, folder / "runs" / settings.name, cache=folder / "crops", steps=1)
    for _ in range(2):  # what is ready is not made again
        words = ["--size", "small", "--seeds", "1", "--cache", str(out / "cache")]
        assert whole_body.main([*words, "--page", str(out / "page.md")]) == 0
        (out / "times").write_text(f"{sorted(_times(folder).items())}\n" + _before(out / "times"))
    patch.undo()
    return out


def _times(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in folder.rglob("answers.npz")}


def _before(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def test_the_page_has_all_rows_and_nothing_is_made_twice(made: Path) -> None:
    text = (made / "page.md").read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    lines = [line.split(" | ")[0].strip("| ") for line in text.splitlines() if line[:2] == "| "]
    rows = ["network", *NAMES, *(f"{name} untrained" for name in NAMES), "mean pose"]
    assert lines == [*rows, "zoomnet - single", *rows, "zoomnet - single", *rows]
    assert "nan" not in text and "One seed" in text
    first, second, *_ = (made / "times").read_text().splitlines()
    assert first == second and first.count("npz") == 4


def test_a_part_is_measured_by_its_own_box(made: Path) -> None:
    """The truth is found, also where parts have two persons' sizes; what is off by more is not."""
    (folder,) = (made / "cache").iterdir()
    run = storage.read(folder / "answers" / "zoomnet-0")
    true = replace(run.predictions, xy=run.predictions.true_xy)
    face = whole_body.parts_of("face")[0]
    side = whole_body.part_sides(true, face)
    assert np.isfinite(side).any()
    for share, found in ((0.9, 1.0), (1.1, 0.0)):
        off = share * whole_body.OF_PART * side[:, None]
        moved = true.xy.copy()
        moved[:, face, 0] += off
        hits, counts = whole_body.by_group(replace(true, xy=moved), "face", "visible", of_part=True)
        assert counts.sum() > 0 and hits.sum() == found * counts.sum()
    none = np.full_like(true.xy, np.nan)  # what is not found is missed
    hits, counts = whole_body.by_group(replace(true, xy=none), "hands", "visible", of_part=False)
    assert hits.sum() == 0 < counts.sum()
    ap = whole_body.precision([replace(run, predictions=true)])
    assert ap["whole"] == pytest.approx(1.0) == ap["face"]


def test_both_networks_cost_the_same_at_every_size() -> None:
    for size in (SIZES["full"], SMALL):
        ours, theirs = (whole_body.cost(whole_body.network(name, size))[1] for name in NAMES)
        assert ours == pytest.approx(theirs, rel=whole_body.WITHIN)
