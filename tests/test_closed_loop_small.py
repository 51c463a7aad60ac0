"""One small turn of the closed loop from end to end: what it writes, and that it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from benchmarks import closed_loop
from benchmarks.closed_loop import SMALL, Loop
from synthstudio.dataset.reader import Dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the cache and the docs of a small turn."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("loop")
    words = ["--small", "--cache", str(out / "cache"), "--docs", str(out / "docs")]
    assert closed_loop.main([*words, "--workers", "1"]) == 0
    return out


def test_the_page_tells_the_arms_what_failed_and_what_was_asked_for(made: Path) -> None:
    page = (made / "docs" / "closed_loop.md").read_text()
    lines = page.splitlines()
    table = [line for line in lines if line.startswith("| ")]
    assert [line.split(" | ")[0][2:] for line in table[1:4]] == list(closed_loop.ARMS.values())
    assert table[4].startswith("| suggested against more of the same")
    assert "joints missed" in page
    requested = yaml.safe_load(page.split("```yaml")[1].split("```")[0])
    assert requested["targets"]
    assert (made / "docs" / "evidence" / "closed_loop.log").read_text().count(": done\n") == 3


def test_the_arms_learn_from_as_many_people_and_are_judged_by_others(made: Path) -> None:
    (folder,) = (made / "cache").iterdir()
    rows = {
        name: list(Dataset(folder / name).iter_instances(["frame_index"]))
        for name in ("first", "more", "suggested", "test")
    }
    assert len(rows["more"]) == len(rows["suggested"]) > 0
    one = Loop(SMALL, made / "cache", print)
    plain = [one.config(arm, 0).model_dump(exclude={"name", "train"}) for arm in closed_loop.ARMS]
    assert plain[0] == plain[1] == plain[2]
    found = {
        name: json.loads((folder / name / "dataset.json").read_bytes())["recipe"]
        for name in ("suggested", "more")
    }
    assert found["suggested"]["holdout"] == found["more"]["holdout"]
    assert found["suggested"]["targets"] != found["more"]["targets"]
    assert {f["split"] for f in Dataset(folder / "test").iter_frames(["split"])} == {"test"}


def test_a_second_call_trains_nothing_again(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder,) = (made / "cache").iterdir()
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("last.safetensors")}
    assert len(before) == 3
    output, _, _ = Loop(SMALL, made / "cache", print).turn(1)
    assert [len(answers) for answers in output.values()] == [SMALL.seeds] * 3
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("last.safetensors")} == before
