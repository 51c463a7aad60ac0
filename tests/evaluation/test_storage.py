"""Evaluations on disk: there and back, whole or not at all, and damaged ones refused."""

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from test_metrics import BONES, answers

from synthstudio.core.errors import DiskError, ModelError
from synthstudio.evaluation import storage
from synthstudio.evaluation.metrics import compute_metrics
from synthstudio.evaluation.storage import Evaluation, Predictions

MADE = Evaluation(
    about={"name": "a run"}, metrics=compute_metrics(answers(), BONES), predictions=answers()
)


@pytest.fixture
def folder(tmp_path):
    out = tmp_path / "run" / "evaluations" / "set"
    storage.write(out, MADE, b"<html>")
    return out


def columns(folder):
    with np.load(folder / "predictions.npz") as stored:
        return {name: stored[name] for name in stored.files}


def test_what_was_written_is_read_and_written_alike_but_never_over(folder, tmp_path):
    again = storage.read(folder)
    assert again.about == MADE.about
    for field in fields(Predictions):
        a, b = getattr(again.predictions, field.name), getattr(MADE.predictions, field.name)
        assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), field.name
    assert again.metrics["localization"]["hidden"] == MADE.metrics["localization"]["hidden"]
    assert (folder / "report.html").read_bytes() == b"<html>"
    json.loads((folder / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert storage.find(folder.parent.parent) == folder == storage.find(folder)
    storage.write(tmp_path / "again", MADE, b"<html>")
    for name in ("predictions.npz", "metrics.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    with pytest.raises(DiskError, match="invalid output folder"):
        storage.write(folder, MADE, b"other")


def test_an_evaluation_of_other_weights_is_not_that_of_the_run(tmp_path):
    about = MADE.about | {"weights": "run/best.safetensors", "weights_sha256": "0" * 64}
    folder = tmp_path / "run" / "evaluations" / "a"
    storage.write(folder, replace(MADE, about=about), b"")
    assert storage.find(tmp_path / "run") == folder
    (tmp_path / "run" / "best.safetensors").write_bytes(b"trained on")
    with pytest.raises(ModelError, match="other weights than the run has now"):
        storage.find(tmp_path / "run")


def test_it_is_whole_or_not_there(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskError, match="disk is full"):
        storage.write(tmp_path / "set", MADE, b"")
    assert list(tmp_path.iterdir()) == []


def test_several_or_none_are_told(folder, tmp_path):
    storage.write(folder.with_name("other"), MADE, b"")
    for place in (folder.parent.parent, tmp_path / "nowhere"):
        with pytest.raises(ModelError) as error:
            storage.find(place)
        assert error.value.where == str(place)


def test_a_joint_without_a_state_is_read(folder):
    path, held = folder / "predictions.npz", columns(folder)
    held["state"][:, 2], held["cause"][:, 2] = 255, 6
    np.savez(path, **held)
    assert (storage.read(folder).predictions.state[:, 2] == 255).all()


def test_a_wrong_byte_anywhere_is_one_message_or_read(folder):
    path, output = folder / "predictions.npz", set()
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 400)):
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        path.write_bytes(bytes(broken))
        try:
            storage.read(folder)
        except ModelError as error:
            assert "the evaluation is damaged" in str(error)
            output.add(type(error.__cause__).__module__)
    assert "zlib" in output  # else this shows nothing


FAULTS = {
    "pickle": lambda held: {"score": np.array([{"a": 1}], object)},
    "shape": lambda held: {"xy": held["xy"][:, :, :1]},
    "kind": lambda held: {"known": held["known"].astype(np.int64)},
    "rows": lambda held: {"clean": held["clean"] + 1000},
    "state": lambda held: {"state": np.full_like(held["state"], 7)},  # names no state
    "cause": lambda held: {"cause": np.full_like(held["cause"], 7)},  # and no cause
    "extra": lambda held: {"more": np.zeros(3)},
}


@pytest.mark.parametrize("fault", ["cut", "missing", *FAULTS])
def test_damaged_answers_are_refused(folder, fault):
    path, held = folder / "predictions.npz", columns(folder)
    if fault == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    elif fault == "missing":
        path.unlink()
    else:
        np.savez(path, **(held | FAULTS[fault](held)))
    with pytest.raises(ModelError) as error:
        storage.read(folder)
    assert error.value.where == str(path)


@pytest.mark.parametrize("text", ["", "[]", '{"format": "x"}', '{"format": 3}', "{" * 9000])
def test_damaged_measures_are_refused(folder, text):
    (folder / "metrics.json").write_text(text)
    with pytest.raises(ModelError, match=r"metrics\.json"):
        storage.read(folder)


def test_null_stands_where_there_is_no_number():
    found = storage.json_ready({"a": float("nan"), 1: (np.float64("inf"), np.int64(3), 0.5)})
    assert found == {"a": None, "1": [None, 3, 0.5]}
