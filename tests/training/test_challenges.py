"""`synthstudio robustness`: challenges show the plain scene's people; one page compares runs."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from synthstudio.api.recipes import scene_file
from synthstudio.api.robustness import CHALLENGES, robustness
from synthstudio.cli import app
from synthstudio.core.errors import ArgumentError, DiskError, ModelError
from synthstudio.core.images import linear_to_srgb_u8, srgb_to_linear
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.draw import draw
from synthstudio.recipe.schema.load import load
from synthstudio.training import checkpoint
from synthstudio.training.config import parse
from synthstudio.training.networks import build_network
from synthstudio.training.robustness import averaged, exposures

FIELDS = {
    "train": [{"dataset": "people"}],
    "network": {"head": "kpe", "size": [48, 36], "widths": [8, 12], "width": 16},
}


def saved(folder: Path, *, seed: int) -> Path:
    """A run of random weights."""
    config, skeleton = parse(FIELDS), get_skeleton("coco17")
    torch.manual_seed(seed)
    net = build_network(config.network, skeleton, bank=None)
    folder.mkdir()
    checkpoint.save_weights(
        folder / "best.safetensors", net, config, skeleton=skeleton, note="random"
    )
    return folder


@pytest.fixture(scope="module")
def made(once: Callable[..., Path]) -> Path:
    """Two runs beside each other on two challenges, and the page."""

    def make(folder: Path) -> None:
        runs = [saved(folder / name, seed=k) for k, name in enumerate(("one", "other"))]
        robustness(
            runs, folder / "page", frames=2, challenges=("dark", "fast"), device="cpu",
            progress=False,
        )  # fmt: skip

    return once("challenges", make)


def test_the_page_holds_every_run_and_challenge(made: Path) -> None:
    figures = json.loads((made / "page" / "robustness.json").read_text(encoding="utf-8"))
    rows = figures["rows"]
    asked = itertools.product(("dark", "fast"), ("visible", "hidden"), ("one", "other"))
    assert [(r["challenge"], r["part"], r["run"]) for r in rows] == list(asked)
    visible = [r for r in rows if r["part"] == "visible"]
    assert all(r["joints"] > 10 and 0 <= r["value"]["value"] <= 1 for r in visible)
    for row in visible:
        change = row["value"]["value"] - row["plain"]["value"]
        assert row["change"]["value"] == pytest.approx(change)
    page = (made / "page" / "robustness.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 2 * 3
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_a_second_call_takes_what_is_there(made: Path, tmp_path: Path) -> None:
    files = sorted((made / "page" / "sets").rglob("*.parquet"))
    before = [f.stat().st_mtime_ns for f in files]
    text = (made / "page" / "robustness.json").read_bytes()
    arguments = ["robustness", str(made / "one"), str(made / "other"), "--frames", "2"]
    arguments += ["--challenge", "dark", "--challenge", "fast", "--json"]
    found = CliRunner().invoke(
        app, [*arguments, "--out", str(made / "page"), "--device", "cpu"], catch_exceptions=False
    )
    assert found.exit_code == 0
    assert json.loads(found.stdout)["rows"] == json.loads(text)["rows"]
    assert [f.stat().st_mtime_ns for f in files] == before
    assert (made / "page" / "robustness.json").read_bytes() == text


def test_bad_runs_and_folders_are_named(made: Path, tmp_path: Path) -> None:
    one = made / "one"
    with pytest.raises(ArgumentError, match="two runs have one name"):
        robustness([one, one], tmp_path / "a")
    with pytest.raises(ArgumentError, match="challenges"):
        robustness([one], tmp_path / "a", challenges=("rain",))
    with pytest.raises(ArgumentError, match="there is no run"):
        robustness([], tmp_path / "a")
    with pytest.raises(ModelError, match="there are no weights"):
        robustness([tmp_path], tmp_path / "a")
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(DiskError, match=r"mine\.txt"):
        robustness([one], tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_network_is_read_before_anything_is_generated(tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(bytes(100))
    with pytest.raises(ModelError, match=r"bad\.safetensors"):
        robustness([tmp_path / "bad.safetensors"], tmp_path / "out", frames=2, progress=False)
    assert not (tmp_path / "out" / "sets").exists()


def test_a_clip_is_one_exposure(made: Path) -> None:
    dataset = Dataset(made / "page" / "sets" / "fast")
    sharp, blurred = (
        next(iter(exposures(dataset, moments=1, blurred=blurred))) for blurred in (False, True)
    )
    assert sharp.frame["clip_frame"] == 4 == dataset.frame(0)["clip_frames"] // 2
    assert sharp.people == blurred.people
    off = np.abs(sharp.rgb().astype(int) - blurred.rgb())
    assert off.max() > 40  # limbs smear
    assert np.median(off) < 4  # walls do not
    with pytest.raises(ModelError, match=r"too few frames; expected 27; got 18"):
        next(iter(exposures(dataset, moments=3, blurred=True)))
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    grey = averaged([black, white])
    assert grey.min() == grey.max() == linear_to_srgb_u8(np.full(1, 0.5, np.float32))[0]
    assert srgb_to_linear(grey).mean() == pytest.approx(0.5, abs=0.01)
    assert (averaged([white]) == white).all()


@pytest.mark.parametrize("name", CHALLENGES)
def test_challenges_show_the_people_of_the_plain_scene(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`fast`: but for bodies that have no room for the walk, so here all have."""
    monkeypatch.setattr(FrameGenerator, "skin_penetration_m", lambda self, person: 0.0)
    own, plain = (_first_people(n) for n in (name, "plain"))
    for mine, theirs in zip(own, plain, strict=True):
        assert mine.identity == theirs.identity
        assert mine.phenotype == theirs.phenotype
        same_pose = mine.pose.angles_rad == theirs.pose.angles_rad
        assert same_pose == (name not in ("unusual", "fast"))
        assert (mine.outfit == theirs.outfit) == (name not in ("blending", "bare", "loose"))


def _first_people(name: str) -> list:
    file = scene_file(f"challenges/{name}.yaml")
    recipe = load(file)
    stage = FrameGenerator(prepare(recipe, assets=file.parent.parent, device="cpu"))
    step = recipe.clip.frames if recipe.clip else 1
    return [
        dataclasses.replace(draw(recipe, k * step, stage).people[0], detail="fine")
        for k in range(2)
    ]
