"""Networks of other programs are evaluated: results files of any order of joints, and callables."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import synthstudio as ss
from synthstudio.cli import app
from synthstudio.core.errors import ArgumentError, FormatError, ModelError
from synthstudio.formats.coco.results import ORDERS


def results(data: ss.Dataset, order: str = "coco17", **more: Any) -> list[dict[str, Any]]:
    """The truth as COCO results in an order of joints, hidden joints 40 px off."""
    out = []
    for index in range(len(data)):
        people = data[index].people
        names = [*data.skeleton.joints]
        for row in range(len(people)):
            flat: list[float] = []
            for name in ORDERS[order]:
                if name not in names:
                    flat += [5, 5, 0.5]
                    continue
                j = names.index(name)
                off = 40 if people.state[row, j] == 1 else 0
                flat += [*(people.joints_px[row, j] - 0.5 + off), 0.9]
            out.append({"image_id": index, "category_id": 1, "keypoints": flat, "score": 1} | more)
    return out


def written(folder: Path, value: Any) -> Path:
    path = folder / "results.json"
    path.write_text(json.dumps(value))
    return path


@pytest.fixture(scope="session")
def data(sticks: Path) -> ss.Dataset:
    return ss.Dataset(next(path.parent for path in sticks.rglob("index.json")))


@pytest.mark.parametrize("order", ["coco17", "mediapipe33", "halpe136"])
def test_a_results_file_is_judged_as_a_run_is(order: str, data: ss.Dataset, tmp_path: Path) -> None:
    path = written(tmp_path, results(data, order))
    made = ss.evaluate(predictions=path, dataset=data, out=tmp_path / "out", progress=False)
    places = made.metrics["places"]
    assert places["visible"]["PCK@0.1"]["value"] == 1
    assert places["hidden"]["PCK@0.1"]["value"] < 0.5
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_command_and_the_comparison_of_two_files(data: ss.Dataset, tmp_path: Path) -> None:
    good, worse = tmp_path / "good", tmp_path / "worse"
    for folder, drop in ((good, 0), (worse, 3)):
        folder.mkdir()
        path = written(folder, results(data)[drop:])
        call = ["evaluate", "--predictions", str(path), str(data.path), "--json"]
        done = CliRunner().invoke(app, [*call, "--out", str(folder / "out")])
        assert done.exit_code == 0, done.output
    compared = CliRunner().invoke(app, ["compare", str(good / "out"), str(worse / "out")])
    assert compared.exit_code == 0, compared.output
    kept = json.loads((worse / "out" / "measures.json").read_text())["about"]["notes"]
    assert kept == ["3 of 18 people have no prediction: all joints missed."]


def test_a_part_of_the_results_by_file_names(data: ss.Dataset, tmp_path: Path) -> None:
    entries = [e | {"image_id": f"{e['image_id']:06d}"} for e in results(data)]
    path = written(tmp_path, [*entries, entries[0] | {"image_id": "elsewhere"}])
    made = ss.evaluate(
        predictions=path, dataset=data, split="test", out=tmp_path / "out", progress=False
    )
    assert len(made.predictions) == 4
    assert made.about["notes"] == ["1 of 19 predictions belong to no image of the data set."]


def test_a_function_is_judged(data: ss.Dataset, tmp_path: Path) -> None:
    order = ["left_wrist", "nose"]

    def middle(rgb: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        assert rgb.dtype == np.uint8 and rgb.shape[2] == 3
        return np.repeat((boxes[:, :2] + boxes[:, 2:] / 2)[:, None], 2, axis=1)

    made = ss.evaluate(
        predict=middle, dataset=data, keypoints=order, out=tmp_path / "out", progress=False
    )
    assert made.predictions.known.sum(axis=0).nonzero()[0].tolist() == [0, 9]
    assert made.about["notes"][0].startswith("Not predicted, and left out: left_eye")


def test_functions_that_fail_are_named(data: ss.Dataset, tmp_path: Path) -> None:
    def broken(rgb: Any, boxes: Any) -> Any:
        raise KeyError("weights")

    with pytest.raises(ModelError, match="raised KeyError"):
        ss.evaluate(predict=broken, dataset=data, out=tmp_path / "a", progress=False)
    with pytest.raises(ModelError, match=r"another shape.*17.*got \(1, 2\)"):
        ss.evaluate(
            predict=lambda rgb, boxes: [[0, 0]], dataset=data, out=tmp_path / "b", progress=False
        )
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("change", "keypoints", "message"),
    [
        ({"image_id": 999}, None, "no prediction belongs to an image"),
        ({"keypoints": [1, 2, 0.3] * 5}, None, "17 joints have 51 numbers, not 15"),
        ({}, "coco99", "unknown order"),
        ({}, ["tail", "horn"], "2 joints have 6 numbers"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    change: dict[str, Any], keypoints: Any, message: str, data: ss.Dataset, tmp_path: Path
) -> None:
    path = written(tmp_path, results(data, **change))
    with pytest.raises(FormatError, match=message):
        ss.evaluate(predictions=path, dataset=data, keypoints=keypoints, out=tmp_path / "out")
    with pytest.raises(ArgumentError, match="one network"):
        ss.evaluate(dataset=data)
