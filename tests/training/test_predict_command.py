"""The commands predict and suggest from end to end, and predictions in the review store."""

from __future__ import annotations

import dataclasses
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import typer
import untrained
from made_predictions import person
from PIL import Image
from typer.testing import CliRunner

from synthstudio.api.exchange import import_photos
from synthstudio.cli import predict as commands
from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.inference import write
from synthstudio.inference.networks import ask_network
from synthstudio.inference.predict import Person, predict
from synthstudio.inference.sources import open_source, source_boxes
from synthstudio.models.contract import PoseOutputs
from synthstudio.review.datasets import content_key
from synthstudio.review.risk.predictions import iter_predictions, prediction_layers
from synthstudio.review.risk.scores import models_of
from synthstudio.review.risk.table import people_table
from synthstudio.review.store import default_url, open_store
from synthstudio.training.config import NO_AUGMENTATION
from synthstudio.training.data import batches
from synthstudio.training.data.batches import InputSpec
from synthstudio.training.data.crops import crop_kind
from synthstudio.training.data.samples import load_dataset

app = typer.Typer()
app.command()(commands.predict)
app.command()(commands.suggest)


def run(*words: object) -> Any:
    """Run a command; return its JSON, or the error it raised."""
    found = CliRunner().invoke(app, [str(w) for w in words])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained.save(tmp_path_factory.mktemp("net") / "best.safetensors")


def test_a_folder_of_photos_gives_results_and_drawings(weights: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for k in range(3):
        rgb = np.random.Philox(k).random_raw(120 * 80 * 3).astype(np.uint8)
        Image.fromarray(rgb.reshape(120, 80, 3)).save(photos / f"{k}.png")
    reported = run("predict", weights, photos, "--out", tmp_path / "out", "--draw", 2, "--json")
    assert reported["pictures"] == 3
    entries = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(entries) == reported["people"]
    assert {e["image_id"] for e in entries} == {0, 1, 2}  # nobody found: one person all the same
    x, y, width, height = entries[0]["bbox"]
    assert 0 <= x < x + width <= 80 and 0 <= y < y + height <= 120
    assert len(entries[0]["keypoints"]) == 23 * 3
    assert len(entries[0]["joints"]["cause"]) == 23
    assert 0 <= entries[0]["score"] <= 1
    assert sorted(p.name for p in (tmp_path / "out" / "pictures").iterdir()) == [
        "000000.jpg",
        "000001.jpg",
    ]
    with pytest.raises(Exception, match="a folder of its own"):
        run("predict", weights, photos, "--out", tmp_path / "out", "--json")


def test_networks_that_say_nothing_of_hiding_write_null(weights: Path, tmp_path: Path) -> None:
    Image.new("RGB", (80, 120), (90, 120, 30)).save(tmp_path / "a.png")
    plain = untrained.save(tmp_path / "kpe.safetensors", block="kpe")
    run("predict", plain, tmp_path / "a.png", "--out", tmp_path / "o", "--flip", "--json")
    joints = json.loads((tmp_path / "o" / "results.json").read_text())[0]["joints"]
    assert all(set(values) == {None} for values in joints.values())


def test_a_video_has_tracks_and_smoothing_changes_its_places(weights: Path, tmp_path: Path) -> None:
    out = cv2.VideoWriter(str(tmp_path / "a.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (96, 128))
    for k in range(6):
        frame = np.random.Philox(k).random_raw(128 * 96 * 3).astype(np.uint8)
        out.write(frame.reshape(128, 96, 3))
    out.release()
    box = {"category_id": 1, "bbox": [4, 4, 88, 120], "score": 1.0}
    (tmp_path / "boxes.json").write_text(json.dumps([box | {"image_id": k} for k in range(6)]))
    found = {}
    for window in (0, 5):
        where = tmp_path / f"o{window}"
        words = ["--boxes", tmp_path / "boxes.json", "--out", where, "--draw", 0, "--json"]
        run("predict", weights, tmp_path / "a.mp4", *words, "--smooth", window)
        found[window] = json.loads((where / "results.json").read_text())
        assert [e["track_id"] for e in found[window]] == [0] * 6
    places = {w: np.array([e["keypoints"][::3] for e in rows]) for w, rows in found.items()}
    rough, even = (np.abs(np.diff(p, axis=0)).mean() for p in (places[0], places[5]))
    assert even < 0.7 * rough


def test_predictions_become_a_layer_of_the_review(
    weights: Path, pairs: Path, tmp_path: Path
) -> None:
    url = default_url(tmp_path)
    reported = run(
        "predict", weights, pairs, "--out", tmp_path / "out", "--draw", 1, "--into", url, "--json"
    )
    dataset = Dataset(pairs)
    assert reported["layer"] == "tiny"
    assert reported["stored"] == reported["people"] == dataset.people
    with closing(open_store(url)) as store:
        assert prediction_layers(store, content_key(dataset)) == {"tiny": dataset.people}
        stored = list(iter_predictions(store, content_key(dataset), "tiny"))
        rows = {(r["frame_index"], r["instance"]) for r in dataset.iter_instances()}
        assert {(p.frame, p.instance) for p in stored} == rows
        found = models_of(store, people_table(dataset)).disagreement
    assert np.isfinite(found).all()


def test_of_photos_without_labels_everybody_is_of_nobody(weights: Path, tmp_path: Path) -> None:
    """The network knows more joints than the set, and looks for people as the set names none."""
    (tmp_path / "photos").mkdir()
    for k in range(2):
        rgb = np.random.Philox(k).random_raw(120 * 80 * 3).astype(np.uint8)
        Image.fromarray(rgb.reshape(120, 80, 3)).save(tmp_path / "photos" / f"{k}.png")
    folder, url = tmp_path / "set", default_url(tmp_path)
    import_photos(tmp_path / "photos", folder, skeleton="coco17")
    dataset = Dataset(folder)
    reported = run("predict", weights, folder, "--out", tmp_path / "o", "--into", url, "--json")
    assert reported["stored"] == reported["people"] > 0
    skeleton = get_skeleton("coco23")
    values = [_truth({"frame_index": frame, "instance": None, "amodal_box_px": [0, 0, 9, 9],
                      "joints_px": [5.0] * 46}) for frame in (0, 1, 1)]  # fmt: skip
    with closing(open_store(url)) as store:
        (layer,) = prediction_layers(store, content_key(dataset))
        stored = list(iter_predictions(store, content_key(dataset), layer))
        assert len(stored) == reported["people"] and all(p.instance >= 1000 for p in stored)
        assert all(set(p.joints) <= set(get_skeleton("coco17").joints) for p in stored)
        write.store_predictions(store, dataset, "three", values, skeleton)
        three = [
            (p.frame, p.instance) for p in iter_predictions(store, content_key(dataset), "three")
        ]
    assert three == [(0, 1000), (1, 1000), (1, 1001)]


def test_the_network_sees_what_it_saw_in_training(pairs: Path, tmp_path: Path) -> None:
    size, skeleton = (48, 36), get_skeleton("coco23")
    taken = load_dataset(pairs, crop_kind(size=size), cache=tmp_path).samples
    frame = InputSpec(size=size, cells=(12, 9), skeleton=skeleton)
    rows = np.arange(len(taken))
    learnt = batches.make_batch(taken, rows, frame, NO_AUGMENTATION).images
    seen: list[torch.Tensor] = []

    class Watch(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = torch.nn.Parameter(torch.ones(1))

        def forward(self, images: torch.Tensor) -> PoseOutputs:
            seen.append(images)
            return PoseOutputs(logits=(torch.zeros(len(images), 23, 12, 9),))

    requested = list(
        predict(ask_network(Watch(), skeleton), open_source(pairs).read(), source_boxes, size=size)
    )
    who = {(p.image, p.instance): k for k, p in enumerate(requested)}
    order = [who[f, i] for f, i in zip(taken.frame, taken.instance, strict=True)]
    apart = (torch.cat(seen)[order].float() - learnt.float()).abs()
    assert apart.mean() < 0.5
    assert apart.max() <= 12  # the canvas is resampled as a whole
    assert (torch.cat(seen)[order].roll(1, -1).float() - learnt.float()).abs().mean() > 2


def test_the_model_disagrees_where_its_answers_are_wrong_and_only_there(
    pairs: Path, tmp_path: Path
) -> None:
    dataset, skeleton = Dataset(pairs), get_skeleton("coco23")
    people = [_truth(row) for row in dataset.iter_instances()]
    moved = dataclasses.replace(people[2], xy=people[2].xy + np.array([40.0, 25.0]))
    with closing(open_store(default_url(tmp_path))) as store:
        rows = [moved if k == 2 else p for k, p in enumerate(people)]
        write.store_predictions(store, dataset, "m", rows, skeleton)
        found = models_of(store, people_table(dataset)).disagreement
    assert np.argmax(found) == 2
    assert found[2] > 5 * max(np.delete(found, 2).max(), 1e-3)


def _truth(row: dict[str, Any]) -> Person:
    xy, who = np.reshape(row["joints_px"], (-1, 2)), row["instance"]
    return person(xy, row["amodal_box_px"], image=row["frame_index"], instance=who)


def test_layers_need_the_sets_own_joints_and_people(
    weights: Path, pairs: Path, tmp_path: Path
) -> None:
    other = untrained.save(tmp_path / "coco17.safetensors", skeleton="coco17")
    url = default_url(tmp_path)
    with pytest.raises(ModelError, match="another skeleton"):
        run("predict", other, pairs, "--out", tmp_path / "o", "--into", url, "--json")
    assert not (tmp_path / "o").exists()
    boxes = tmp_path / "b.json"
    boxes.write_text("[]")
    words = [weights, pairs, "--out", tmp_path / "o", "--boxes", boxes, "--into", url]
    refused = CliRunner().invoke(app, ["predict", *map(str, words)])
    assert refused.exit_code == 2
    nobody = dataclasses.replace(_truth(next(Dataset(pairs).iter_instances())), instance=None)
    with closing(open_store(url)) as store, pytest.raises(ModelError, match="none of the data"):
        write.store_predictions(store, Dataset(pairs), "m", [nobody], get_skeleton("coco23"))


def test_boxes_of_other_pictures_are_told(weights: Path, tmp_path: Path) -> None:
    Image.new("RGB", (80, 120), (90, 120, 30)).save(tmp_path / "a.png")
    boxes = tmp_path / "b.json"
    boxes.write_text(json.dumps([{"image_id": 77, "bbox": [1, 2, 30, 40], "score": 0.9}]))
    with pytest.raises(Exception, match="no box of this file belongs"):
        words = ["--out", tmp_path / "o", "--boxes", boxes, "--json"]
        run("predict", weights, tmp_path / "a.png", *words)


def test_clips_of_a_data_set_keep_their_instances_as_tracks(pairs: Path) -> None:
    pictures = list(open_source(pairs).read())
    assert {p.sequence for p in pictures} == {""}  # no clips here
    assert all(p.boxes is not None and p.boxes.instance == (1, 2) for p in pictures)


def test_suggest_writes_a_recipe_and_never_over_one(tmp_path: Path) -> None:
    from test_suggest import answers

    from synthstudio.evaluation import storage
    from synthstudio.recipe.schema.load import load

    made = storage.Evaluation(about={"skeleton": "coco17"}, metrics={}, predictions=answers())
    storage.write(tmp_path / "e", made, b"x")
    reported = run(
        "suggest", tmp_path / "e", "--out", tmp_path / "next.yaml", "--frames", 7, "--json"
    )
    assert load(tmp_path / "next.yaml").frames == 7
    assert reported["profile"]["axes"]["family"]["squat"]["missed"] == 240
    again = CliRunner().invoke(
        app, ["suggest", str(tmp_path / "e"), "--out", str(tmp_path / "next.yaml")]
    )
    assert again.exit_code == 1
    like = ["--out", tmp_path / "more.yaml", "--like", tmp_path / "next.yaml", "--json"]
    more = run("suggest", tmp_path / "e", *like)
    assert more["recipe"]["seed"] == reported["recipe"]["seed"] + 1
