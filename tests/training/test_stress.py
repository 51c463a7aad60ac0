"""`synthstudio stress`: one fixed test whose figures are changes of the same people's joints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synthstudio as ss
from synthstudio.api import stress
from synthstudio.api.recipes import scene_file
from synthstudio.api.robustness import robustness
from synthstudio.core.errors import ArgumentError, ModelError
from synthstudio.core.images import decode_rgb
from synthstudio.dataset.reader import Dataset
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.draw import draw


def truth_of(data: Dataset, *, off_px: float = 0.0) -> Callable[..., Any]:
    """A function that knows the joints by image and box, hidden ones `off_px` away."""
    known = {}
    for index in range(len(data)):
        row, people = data.frame(index), data.people_of(index)
        image = decode_rgb(data.image_bytes_of(row), "image").tobytes()
        for box, xy, state in zip(
            people.amodal_boxes_px, people.joints_px, people.state, strict=True
        ):
            known[image, tuple(np.float32(box))] = xy + np.where(state == 1, off_px, 0)[:, None]

    def predict(rgb: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        return np.stack([known[rgb.tobytes(), tuple(np.float32(box))] for box in boxes])

    return predict


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch, sticks: Path) -> Dataset:
    """All sets of the test are ten frames of sticks."""
    monkeypatch.setattr(stress, "made_set", lambda *_: sticks)
    monkeypatch.setattr(stress, "QUICK", 10)
    return Dataset(sticks)


def test_the_card_has_ten_lines_and_the_page_pictures(ready: Dataset, tmp_path: Path) -> None:
    made = ss.stress(truth_of(ready, off_px=400), tmp_path, quick=True, progress=False)
    lines = made["text"].splitlines()
    assert len(lines) == 10 and "visible 100.0, hidden (by the own body) 0.0" in lines[1]
    assert [line.split()[0] for line in lines[4:8]] == ["object", "person", "own", "frame"]
    assert all("100.0 / 0.0 (+0.0 / +0.0)" in line for line in lines[4:8])
    rows = made["rows"]
    assert [r["challenge"] for r in rows[::2]] == [stress.set_name(*s) for s in stress.SETTINGS]
    people = {r["challenge"]: r["pairs"] for r in rows}
    assert people["person-1"] * 2 == people["object-1"] == 18  # the one behind alone
    figures = json.loads((Path(made["page"]).parent / stress.FIGURES).read_text())
    assert (figures["version"], figures["moments"], figures["rows"]) == (1, 10, rows)
    page = Path(made["page"]).read_text()
    assert page.count("data:image/jpeg") == 2 * 17


def test_changes_are_those_of_the_same_joints(ready: Dataset, tmp_path: Path) -> None:
    """A joint that is hidden in the stressed set is looked up in the clean one, whatever it is."""
    calls = []
    exact, blind = truth_of(ready), truth_of(ready, off_px=400)

    def predict(rgb: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        calls.append(len(boxes))
        return exact(rgb, boxes) if len(calls) <= 10 else blind(rgb, boxes)  # the clean set first

    made = ss.stress(predict, tmp_path, quick=True, progress=False)
    hidden = [r for r in made["rows"] if r["part"] == "hidden"]
    assert {r["plain"]["value"] for r in hidden} == {1.0}
    assert all(r["change"]["value"] == -1 and r["change"]["high"] == -1 for r in hidden)
    assert "-100.0 (-100.0 to -100.0) * points" in made["text"]


@pytest.mark.parametrize(("cause", "level"), [(stress.CLEAN, 0), *stress.SETTINGS])
def test_every_set_shows_the_clean_people(cause: str, level: int) -> None:
    own, clean = (_first_people(*setting) for setting in ((cause, level), (stress.CLEAN, 0)))
    for mine, theirs in zip(own, clean, strict=True):
        assert (mine.identity, mine.phenotype) == (theirs.identity, theirs.phenotype)
        assert mine.outfit == theirs.outfit


def _first_people(cause: str, level: int) -> list[Any]:
    recipe = stress.recipe(cause, level)
    stage = FrameGenerator(prepare(recipe, assets=scene_file("stress.yaml").parent, device="cpu"))
    return list(draw(recipe, 0, stage).people)


def test_other_networks_stand_challenges_too(
    ready: Dataset, sticks: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("synthstudio.api.robustness.made_set", lambda *_: sticks)
    mine = truth_of(ready)
    found = robustness(
        [mine, "default"], tmp_path / "a", frames=9, challenges=("dark",), progress=False
    )
    rows = {(r["run"], r["part"]): r for r in found["rows"]}
    assert rows["predict", "visible"]["value"]["value"] == 1
    assert rows["default", "visible"]["to_first"]["high"] < 0
    with pytest.raises(ArgumentError, match="two runs have one name"):
        robustness([mine, mine], tmp_path / "b", challenges=("dark",))
    with pytest.raises(ModelError, match="no pose network of synthstudio"):
        ss.stress(_other(tmp_path), tmp_path / "c", quick=True)
    assert not (tmp_path / "c").exists()


def _other(folder: Path) -> Path:
    import onnx
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    node = helper.make_node("Identity", ["x"], ["y"])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([node], "g", [value], [out])
    imports = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), folder / "x.onnx")
    return folder / "x.onnx"
