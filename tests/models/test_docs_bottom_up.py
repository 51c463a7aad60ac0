"""The code of docs/bottom_up.md runs as it stands, on a data set of four frames."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from synthstudio.generation.pipeline import generate
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema.load import parse

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "bottom_up.md").read_text(encoding="utf-8")
CODE = dict(re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?```python\n(.*?)```", PAGE, re.S | re.M))
RECIPE = {
    "name": "shown",
    "frames": 4,
    "image": {"width_px": 160, "height_px": 120, "supersample": 1},
    "people": {"count": 2},
    "things": [],
    "backdrop": {"kind": "plain"},
    "splits": {"train": 1, "val": 0, "test": 0},
}


@pytest.fixture
def people(once: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a data set `people`."""

    def make(folder: Path) -> None:
        settings = prepare(parse(RECIPE), assets=folder, device="cpu")
        generate(settings, folder / "people", workers=1)

    monkeypatch.chdir(once("bottom-up-page", make))
    torch.set_num_threads(1)


def test_the_page_shows_three_systems_and_tags() -> None:
    assert list(CODE) == ["Frames", "OpenPose", "PersonLab", "FCPose", "Tags"]


@pytest.mark.parametrize("system", ["OpenPose", "PersonLab", "FCPose"])
def test_each_system_is_called_as_printed(system: str, people: None) -> None:
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    for title in ("Frames", system):
        exec(compile(CODE[title], f"docs/bottom_up.md: {title}", "exec"), names)
    assert names["images"].shape == (4, 3, 256, 320)
    assert len(names["found"]) == 4
    assert all(torch.isfinite(term) for term in names["losses"].values())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in names["net"].parameters())


def test_tags_are_used_as_printed(people: None) -> None:
    names: dict[str, Any] = {}
    for title in ("Frames", "Tags"):
        exec(compile(CODE[title], f"docs/bottom_up.md: {title}", "exec"), names)
    assert len(names["found"]) == 4
    assert {"pull", "push"} == set(names["losses"])
    assert names["tags"].grad.abs().sum() > 0


def test_the_speeds_are_of_the_decoders_that_the_benchmark_times() -> None:
    from benchmarks.bottom_up import decoders, standing

    made = decoders(standing(20))
    assert list(made) == re.findall(r"^\| ([^|]+) \| [\d.]+ ms", PAGE, re.M)
    for name, decode in made.items():
        assert len(decode()[0]) == 20, name
