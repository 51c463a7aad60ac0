"""`predict` by several processes: one's bytes, and nothing left of what fails."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import dying_workers
import numpy as np
import pytest
import untrained
from PIL import Image
from typer.testing import CliRunner

import synthstudio as ss
from synthstudio.api import inference, prediction_jobs
from synthstudio.api.inference import predict_to_folder
from synthstudio.cli import app
from synthstudio.core.errors import ArgumentError, AssetError, FormatError, WorkerError
from synthstudio.models.packaged import DEFAULT
from synthstudio.training import answer_jobs, predictions


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained.save(tmp_path_factory.mktemp("net") / "best.safetensors")


@pytest.fixture
def small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make jobs of three pictures and of seven people."""
    monkeypatch.setattr(prediction_jobs, "PICTURES", 3)
    monkeypatch.setattr(predictions, "BATCH", 7)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight photos, each of another size."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for k in range(8):
        rgb = np.random.Philox(k).random_raw(120 * (70 + k) * 3).astype(np.uint8)
        Image.fromarray(rgb.reshape(120, 70 + k, 3)).save(folder / f"{k}.png")
    return folder


def written(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def by_command(*words: object) -> Any:
    found = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize(
    "net", ["torch", pytest.param("onnx", marks=pytest.mark.nightly("another matrix"))]
)
def test_two_processes_write_the_bytes_of_one(
    small_jobs: None, weights: Path, photos: Path, tmp_path: Path, net: str
) -> None:
    asked = weights if net == "torch" else DEFAULT
    for workers in (1, 2):
        words = ("--out", tmp_path / str(workers), "--workers", workers, "--batch", 2)
        reported = by_command("predict", asked, photos, *words)
        assert reported["pictures"] == 8
    assert written(tmp_path / "1") == written(tmp_path / "2")
    entries = json.loads((tmp_path / "2" / "results.json").read_text())
    assert [e["image_id"] for e in entries] == sorted(e["image_id"] for e in entries)
    listed = json.loads((tmp_path / "2" / "pictures.json").read_text())["images"]
    assert [(e["id"], e["file_name"], e["width"]) for e in listed] == [
        (k, f"{k}.png", 70 + k) for k in range(8)
    ]


def test_a_data_set_is_asked_about_by_its_own_boxes(
    small_jobs: None, weights: Path, pairs: Path, tmp_path: Path
) -> None:
    for workers in (1, 2, None):
        predict_to_folder(
            weights, pairs, tmp_path / str(workers), workers=workers, device="cpu", draw=2
        )
    assert written(tmp_path / "1") == written(tmp_path / "2")
    one, usual = (json.loads((tmp_path / k / "results.json").read_text()) for k in ("1", "None"))
    assert len(one) == len(usual) > 16
    for ours, theirs in zip(one, usual, strict=True):  # in other batches
        assert ours["image_id"] == theirs["image_id"] and ours["bbox"] == theirs["bbox"]
        assert ours["keypoints"] == pytest.approx(theirs["keypoints"], abs=2e-3)


def test_boxes_of_a_file_belong_to_their_pictures(
    small_jobs: None, weights: Path, photos: Path, tmp_path: Path
) -> None:
    boxes = [
        {"image_id": k, "category_id": 1, "bbox": [k, 2, 40, 90], "score": 0.9} for k in (0, 4, 7)
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    options: dict[str, Any] = {"boxes": tmp_path / "boxes.json", "workers": 2, "device": "cpu"}
    predict_to_folder(weights, photos, tmp_path / "out", **options)
    entries = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(e["image_id"], e["bbox"]) for e in entries] == [(k, [k, 2, 40, 90]) for k in (0, 4, 7)]
    (tmp_path / "boxes.json").write_text(json.dumps([boxes[0] | {"bbox": [500, 2, 40, 90]}]))
    with pytest.raises(FormatError, match=r"0\.png, box 0: the box lies outside the image"):
        predict_to_folder(weights, photos, tmp_path / "other", **options)
    assert not (tmp_path / "other").exists()


def test_a_worker_that_dies_is_named_with_its_pictures_and_nothing_is_left(
    small_jobs: None, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = untrained.save(tmp_path / "best.safetensors")
    monkeypatch.setattr(inference, "Question", dying_workers.DeadlyQuestion)
    with pytest.raises(WorkerError, match=r"died at job pictures 3 to 5; .*SIGKILL"):
        predict_to_folder(weights, photos, tmp_path / "out", workers=2, device="cpu")
    assert (tmp_path / "died").exists() and not (tmp_path / "out").exists()


def test_an_interrupt_leaves_nothing(
    small_jobs: None,
    weights: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[int, int]] = []

    @contextmanager
    def bar(title: str) -> Iterator[Callable[[int, int, float], None]]:
        def report(done: int, total: int, per_second: float) -> None:
            seen.append((done, total))
            if done >= 4:
                raise KeyboardInterrupt

        yield report

    monkeypatch.setattr(inference, "progress", bar)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        predict_to_folder(weights, photos, tmp_path / "out", workers=2, device="cpu")
    assert seen[-1] == (4, 8) and sorted(tmp_path.iterdir()) == before


def test_videos_stay_with_one_process(weights: Path, tmp_path: Path) -> None:
    video = cv2.VideoWriter(str(tmp_path / "a.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (96, 128))
    for k in range(3):
        video.write(np.full((128, 96, 3), 40 * k, np.uint8))
    video.release()
    for options in ({"workers": 2}, {"engine": "ray"}):
        with pytest.raises(ArgumentError, match="one after the other, by one process"):
            predict_to_folder(weights, tmp_path / "a.mp4", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers.*1 to 256"),
        ({"workers": 257}, "workers.*1 to 256"),
        ({"workers": 2.5}, "workers.*1 to 256"),
        ({"engine": "spark"}, "engine: unknown value; expected local or ray"),
        ({"engine": "ray", "workers": 0}, "workers.*1 or more"),
    ],
)
def test_bad_numbers_and_names_of_workers(
    weights: Path, photos: Path, pairs: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        predict_to_folder(weights, photos, tmp_path / "out", **options)
    with pytest.raises(ArgumentError, match=message):
        ss.evaluate(weights, pairs, out=tmp_path / "out", cache=tmp_path / "cache", **options)
    assert not (tmp_path / "out").exists()


def a_question(weights: Path, photos: Path, **more: Any) -> prediction_jobs.Question:
    asked: dict[str, Any] = {
        "weights": weights,
        "source": photos,
        "images": None,
        "boxes": None,
        "detector": "",
        "min_score": 0.5,
        "device": "cpu",
        "batch": 8,
        "flip": False,
        "peaks": 0,
    }
    return prediction_jobs.Question(**asked | more)


def facts_now(question: prediction_jobs.Question) -> dict[str, str]:
    return prediction_jobs.facts_of(question, question.model(), question.pictures())


def test_another_machine_says_what_it_lacks(weights: Path, photos: Path, tmp_path: Path) -> None:
    question = a_question(weights, photos)
    facts = facts_now(question)
    assert prediction_jobs.open_there("cpu", "cpu", facts, question).source.total == 8
    (photos / "3.png").rename(tmp_path / "3.png")
    with pytest.raises(AssetError, match=r"node \S+: .*other files than the run.*got pictures"):
        prediction_jobs.open_there("cpu", "cpu", facts, question)
    with pytest.raises(AssetError, match=r"node \S+: .*lacks files.*got .*nowhere"):
        there = dataclasses.replace(question, source=tmp_path / "nowhere")
        prediction_jobs.open_there("cpu", "cpu", facts, there)


def test_what_changes_while_workers_start_is_refused(
    small_jobs: None, weights: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs are ranges of places: one more photo would be answered in place of another."""
    boxes, detector = tmp_path / "boxes.json", tmp_path / "people.onnx"
    row = {"image_id": 0, "category_id": 1, "bbox": [0, 2, 40, 90], "score": 0.9}
    boxes.write_text(json.dumps([row]))
    detector.write_bytes(b"one")
    asked = a_question(weights, photos, boxes=boxes, detector=str(detector))
    before = facts_now(asked)
    boxes.write_text(json.dumps([row | {"score": 0.8}]))
    detector.write_bytes(b"two")
    cv2.imwrite(str(photos / "3.png"), np.zeros((128, 73, 3), np.uint8))
    after = facts_now(asked)
    assert {name for name in before if before[name] != after[name]} == {
        "boxes",
        "detector",
        "pictures",
    }

    def one_more(*args: Any, **kwargs: Any) -> dict[str, str]:
        facts = facts_of(*args, **kwargs)
        shutil.copy(photos / "2.png", photos / "10.png")
        return facts

    facts_of = prediction_jobs.facts_of
    monkeypatch.setattr(prediction_jobs, "facts_of", one_more)  # workers have the real one
    with pytest.raises(AssetError, match=r"other files than the run began with.*got pictures"):
        predict_to_folder(weights, photos, tmp_path / "out", workers=2, device="cpu")
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crops")


def evaluated(weights: Path, data: Path, folder: Path, cache: Path, *words: object) -> Any:
    """Evaluate by one and two processes, which say the same; return what one says."""
    said = []
    for workers in (1, 2):
        options = ("--out", folder / str(workers), "--workers", workers, "--cache", cache)
        figures = by_command("evaluate", weights, data, *options, "--device", "cpu", *words)
        assert figures["measures"].pop("latency")["p50_ms"] > 0  # no two runs take as long
        said.append(
            (figures | {"folder": ""}, (folder / str(workers) / "answers.npz").read_bytes())
        )
    assert said[0] == said[1]
    return said[0][0]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), marks=pytest.mark.nightly("another matrix")),
        ("--flip", "--bank", "--decode", "peak"),
    ],
)
def test_two_processes_say_what_one_says(
    small_jobs: None, pairs: Path, tmp_path: Path, cache: Path, options: tuple[str, ...]
) -> None:
    weights = untrained.save(tmp_path / "best.safetensors", block="kpe", data=pairs)
    evaluated(weights, pairs, tmp_path, cache, *options)
    by_command("evaluate", weights, pairs, "--out", tmp_path / "usual", "--cache", cache, *options)
    with (
        np.load(tmp_path / "1" / "answers.npz") as ours,
        np.load(tmp_path / "usual" / "answers.npz") as theirs,
    ):
        assert set(ours) == set(theirs)
        for name in set(ours) - {"variant", "family"}:  # one process takes all its threads
            assert ours[name] == pytest.approx(theirs[name], abs=2e-3, nan_ok=True), name


@pytest.mark.nightly("one more matrix of workers; people in boxes are tested each time")
def test_two_processes_find_whom_one_finds(pairs: Path, tmp_path: Path, cache: Path) -> None:
    weights = untrained.save_system(tmp_path / "best.safetensors", eager=True)
    evaluated(weights, pairs, tmp_path, cache)
    with np.load(tmp_path / "1" / "answers.npz") as found:
        images = found["found_image"].tolist()
        assert len(images) > 16 and set(images) == set(range(16))


def test_a_worker_that_dies_is_named_with_its_people_and_nothing_is_left(
    small_jobs: None, pairs: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = untrained.save(tmp_path / "best.safetensors", block="kpe")
    dying = functools.partial(dying_workers.answer_people, tmp_path / "died")
    monkeypatch.setattr(answer_jobs, "answer_people", dying)
    with pytest.raises(WorkerError, match=r"died at job people \d+ to \d+; .*SIGKILL"):
        ss.evaluate(weights, pairs, out=tmp_path / "out", workers=2, cache=cache, device="cpu")
    assert (tmp_path / "died").exists() and not (tmp_path / "out").exists()
