"""The commands predict and suggest from end to end, by one process and by several."""

import dataclasses
import functools
import json
from contextlib import closing, contextmanager

import cv2
import dying_workers
import numpy as np
import pytest
import torch
import untrained
from command_line import run, run_json
from made_predictions import person
from PIL import Image

import synthstudio as ss
from synthstudio.api import inference
from synthstudio.api.datasets import import_photos
from synthstudio.api.inference import predict_to_folder
from synthstudio.core.errors import (
    ArgumentError,
    FormatError,
    ModelError,
    SynthStudioError,
    WorkerError,
)
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.inference import write
from synthstudio.inference.networks import network_predictor
from synthstudio.inference.predict import predict
from synthstudio.inference.sources import open_source, source_boxes
from synthstudio.models.contract import PoseOutputs
from synthstudio.models.packaged import DEFAULT
from synthstudio.review.history import content_key
from synthstudio.review.risk.predictions import iter_predictions, prediction_layers
from synthstudio.review.risk.scores import models_of
from synthstudio.review.risk.table import people_table
from synthstudio.review.store import default_url, open_store
from synthstudio.training import predictions, run_evaluation
from synthstudio.training.config import NO_AUGMENTATION
from synthstudio.training.data import batches
from synthstudio.training.data.batches import InputSpec
from synthstudio.training.data.crops import crop_kind
from synthstudio.training.data.samples import load_dataset


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return untrained.save(tmp_path_factory.mktemp("net") / "best.safetensors")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for k in range(8):
        rgb = np.random.Philox(k).random_raw(120 * (70 + k) * 3).astype(np.uint8)
        Image.fromarray(rgb.reshape(120, 70 + k, 3)).save(folder / f"{k}.png")
    return folder


def test_a_folder_of_photos_gives_results_and_drawings(weights, photos, tmp_path):
    reported = run_json("predict", weights, photos, "--out", tmp_path / "out", "--draw", 2)
    assert reported["pictures"] == 8
    entries = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(entries) == reported["people"]
    assert {e["image_id"] for e in entries} == set(
        range(8)
    )  # nobody found: one person all the same
    x, y, width, height = entries[0]["bbox"]
    assert 0 <= x < x + width <= 70 and 0 <= y < y + height <= 120
    assert len(entries[0]["keypoints"]) == 23 * 3
    assert len(entries[0]["joints"]["cause"]) == 23
    assert 0 <= entries[0]["score"] <= 1
    drawn = sorted(p.name for p in (tmp_path / "out" / "pictures").iterdir())
    assert drawn == ["000000.jpg", "000001.jpg"]
    with pytest.raises(Exception, match="invalid output folder"):
        run_json("predict", weights, photos, "--out", tmp_path / "out")


def test_a_list_of_photos_is_its_pictures(weights, photos):
    files = [photos / "0.png", str(photos / "5.png")]
    pictures = [Image.open(file) for file in files]
    boxes = [[[0, 0, 60, 90]], [[5, 5, 50, 80]]]
    model = ss.Model.load(weights, device="cpu")
    by_path, by_picture = (model.predict(source, boxes=boxes) for source in (files, pictures))
    assert np.array_equal(by_path.joints_px, by_picture.joints_px) and len(by_path) == 2
    with pytest.raises(SynthStudioError, match=r"9\.png"):
        model.predict([photos / "9.png"], boxes=boxes[0])


def test_networks_that_say_nothing_of_hiding_write_null(weights, tmp_path):
    Image.new("RGB", (80, 120), (90, 120, 30)).save(tmp_path / "a.png")
    plain = untrained.save(tmp_path / "kpe.safetensors", block="kpe")
    run_json("predict", plain, tmp_path / "a.png", "--out", tmp_path / "o", "--flip")
    joints = json.loads((tmp_path / "o" / "results.json").read_text())[0]["joints"]
    assert all(set(values) == {None} for values in joints.values())


def test_predictions_become_a_layer_of_the_review(weights, pairs, tmp_path):
    url = default_url(tmp_path)
    made = run_json(
        "predict", weights, pairs, "--out", tmp_path / "out", "--draw", 1, "--into", url
    )
    dataset = Dataset(pairs)
    assert made["layer"] == "tiny"
    assert made["stored"] == made["people"] == dataset.people
    with closing(open_store(url)) as store:
        assert prediction_layers(store, content_key(dataset)) == {"tiny": dataset.people}
        stored = list(iter_predictions(store, content_key(dataset), "tiny"))
        rows = {(r["frame_index"], r["instance"]) for r in dataset.iter_instances()}
        assert {(p.frame, p.instance) for p in stored} == rows
        found = models_of(store, people_table(dataset)).disagreement
    assert np.isfinite(found).all()


def test_of_photos_without_labels_everybody_is_of_nobody(weights, photos, tmp_path):
    """The network knows more joints than the set, and looks for people as the set names none."""
    folder, url = tmp_path / "set", default_url(tmp_path)
    import_photos(photos, folder, skeleton="coco17")
    dataset = Dataset(folder)
    reported = run_json("predict", weights, folder, "--out", tmp_path / "o", "--into", url)
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


def test_the_network_sees_what_it_saw_in_training(pairs, tmp_path):
    size, skeleton = (48, 36), get_skeleton("coco23")
    taken = load_dataset(pairs, crop_kind(size=size), cache=tmp_path).samples
    frame = InputSpec(size=size, skeleton=skeleton)
    rows = np.arange(len(taken))
    learnt = batches.make_batch(taken, rows, frame, NO_AUGMENTATION).images
    seen = []

    class Watch(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one = torch.nn.Parameter(torch.ones(1))

        def forward(self, images):
            seen.append(images)
            return PoseOutputs(logits=(torch.zeros(len(images), 23, 12, 9),))

    net = network_predictor(Watch(), skeleton)
    requested = list(predict(net, open_source(pairs).read(), source_boxes, size=size))
    who = {(p.image, p.instance): k for k, p in enumerate(requested)}
    order = [who[f, i] for f, i in zip(taken.frame, taken.instance, strict=True)]
    apart = (torch.cat(seen)[order].float() - learnt.float()).abs()
    assert apart.mean() < 0.5
    assert apart.max() <= 12  # the canvas is resampled as a whole
    assert (torch.cat(seen)[order].roll(1, -1).float() - learnt.float()).abs().mean() > 2


def _truth(row):
    xy, who = np.reshape(row["joints_px"], (-1, 2)), row["instance"]
    return person(xy, row["amodal_box_px"], image=row["frame_index"], instance=who)


def test_layers_need_the_sets_own_joints_and_people(weights, pairs, tmp_path):
    other = untrained.save(tmp_path / "coco17.safetensors", skeleton="coco17")
    url = default_url(tmp_path)
    with pytest.raises(ModelError, match="skeletons of"):
        run_json("predict", other, pairs, "--out", tmp_path / "o", "--into", url)
    assert not (tmp_path / "o").exists()
    boxes = tmp_path / "b.json"
    boxes.write_text("[]")
    words = ["--out", tmp_path / "o", "--boxes", boxes, "--into", url]
    run("predict", weights, pairs, *words, code=2)
    nobody = dataclasses.replace(_truth(next(Dataset(pairs).iter_instances())), instance=None)
    with closing(open_store(url)) as store, pytest.raises(ModelError, match="matches no person"):
        write.store_predictions(store, Dataset(pairs), "m", [nobody], get_skeleton("coco23"))


def test_suggest_writes_a_recipe_and_never_over_one(tmp_path):
    from test_suggest import answers

    from synthstudio.evaluation import storage
    from synthstudio.recipe.schema.load import load

    made = storage.Evaluation(about={"skeleton": "coco17"}, metrics={}, predictions=answers())
    storage.write(tmp_path / "e", made, b"x")
    reported = run_json("suggest", tmp_path / "e", "--out", tmp_path / "next.yaml", "--frames", 7)
    assert load(tmp_path / "next.yaml").frames == 7
    assert reported["profile"]["axes"]["family"]["squat"]["missed"] == 240
    run("suggest", tmp_path / "e", "--out", tmp_path / "next.yaml", code=1)
    like = ["--out", tmp_path / "more.yaml", "--like", tmp_path / "next.yaml"]
    more = run_json("suggest", tmp_path / "e", *like)
    assert more["recipe"]["seed"] == reported["recipe"]["seed"] + 1


# ---- by several processes: one's bytes, and nothing left of what fails


@pytest.fixture
def small_jobs(monkeypatch):
    monkeypatch.setattr(inference, "PICTURES", 3)
    monkeypatch.setattr(predictions, "BATCH", 7)


def written(out):
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "net", ["torch", pytest.param("onnx", marks=pytest.mark.nightly("another matrix"))]
)
def test_two_processes_write_the_bytes_of_one(small_jobs, weights, photos, tmp_path, net):
    asked = weights if net == "torch" else DEFAULT
    for workers in (1, 2):
        words = ("--out", tmp_path / str(workers), "--workers", workers, "--batch", 2)
        reported = run_json("predict", asked, photos, *words)
        assert reported["pictures"] == 8
    assert written(tmp_path / "1") == written(tmp_path / "2")
    entries = json.loads((tmp_path / "2" / "results.json").read_text())
    assert [e["image_id"] for e in entries] == sorted(e["image_id"] for e in entries)
    listed = json.loads((tmp_path / "2" / "pictures.json").read_text())["images"]
    assert [(e["id"], e["file_name"], e["width"]) for e in listed] == [
        (k, f"{k}.png", 70 + k) for k in range(8)
    ]


def test_a_data_set_is_asked_about_by_its_own_boxes(small_jobs, weights, pairs, tmp_path):
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


def test_boxes_of_a_file_belong_to_their_pictures(small_jobs, weights, photos, tmp_path):
    boxes = [
        {"image_id": k, "category_id": 1, "bbox": [k, 2, 40, 90], "score": 0.9} for k in (0, 4, 7)
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    options = {"boxes": tmp_path / "boxes.json", "workers": 2, "device": "cpu"}
    predict_to_folder(weights, photos, tmp_path / "out", **options)
    entries = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(e["image_id"], e["bbox"]) for e in entries] == [(k, [k, 2, 40, 90]) for k in (0, 4, 7)]
    (tmp_path / "boxes.json").write_text(json.dumps([boxes[0] | {"bbox": [500, 2, 40, 90]}]))
    with pytest.raises(FormatError, match=r"0\.png, box 0: the box is outside the image"):
        predict_to_folder(weights, photos, tmp_path / "other", **options)
    assert not (tmp_path / "other").exists()


def test_a_worker_that_dies_is_named_with_its_pictures_and_nothing_is_left(
    small_jobs, photos, tmp_path, monkeypatch
):
    weights = untrained.save(tmp_path / "best.safetensors")
    monkeypatch.setattr(inference, "Request", dying_workers.DeadlyRequest)
    with pytest.raises(WorkerError, match=r"died at job pictures 3 to 5; .*SIGKILL"):
        predict_to_folder(weights, photos, tmp_path / "out", workers=2, device="cpu")
    assert (tmp_path / "died").exists() and not (tmp_path / "out").exists()


def test_an_interrupt_leaves_nothing(small_jobs, weights, photos, tmp_path, monkeypatch):
    seen = []

    @contextmanager
    def bar(title):
        def report(done, total, per_second):
            seen.append((done, total))
            if done >= 4:
                raise KeyboardInterrupt

        yield report

    monkeypatch.setattr(inference, "progress", bar)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        predict_to_folder(weights, photos, tmp_path / "out", workers=2, device="cpu")
    assert seen[-1] == (4, 8) and sorted(tmp_path.iterdir()) == before


def test_videos_stay_with_one_process(weights, tmp_path):
    video = cv2.VideoWriter(str(tmp_path / "a.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (96, 128))
    for k in range(3):
        video.write(np.full((128, 96, 3), 40 * k, np.uint8))
    video.release()
    for options in ({"workers": 2}, {"engine": "ray"}):
        with pytest.raises(ArgumentError, match="decoded by one process"):
            predict_to_folder(weights, tmp_path / "a.mp4", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers.*1 or more"),
        ({"workers": 257}, "workers.*1 to 256"),
        ({"workers": 2.5}, "workers.*whole number"),
        ({"engine": "spark"}, "engine: unknown value; expected local or ray"),
        ({"engine": "ray", "workers": 0}, "workers.*1 or more"),
    ],
)
def test_bad_numbers_and_names_of_workers(weights, photos, pairs, tmp_path, options, message):
    with pytest.raises(ArgumentError, match=message):
        predict_to_folder(weights, photos, tmp_path / "out", **options)
    with pytest.raises(ArgumentError, match=message):
        ss.evaluate(weights, pairs, out=tmp_path / "out", cache=tmp_path / "cache", **options)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("crops")


def evaluated(weights, data, folder, cache, *words):
    """Evaluate by one and two processes, which say the same; return what one says."""
    said = []
    for workers in (1, 2):
        options = ("--out", folder / str(workers), "--workers", workers, "--cache", cache)
        figures = run_json("evaluate", weights, data, *options, "--device", "cpu", *words)
        assert figures["metrics"].pop("latency")["p50_ms"] > 0  # no two runs take as long
        said.append(
            (figures | {"folder": ""}, (folder / str(workers) / "predictions.npz").read_bytes())
        )
    assert said[0] == said[1]
    return said[0][0]


def test_two_processes_say_what_one_says(small_jobs, pairs, tmp_path, cache):
    options = ("--flip", "--bank", "--decode", "peak")
    how = {"block": "kpe", "data": pairs, "bank_sharpness": 2.0}
    weights = untrained.save(tmp_path / "best.safetensors", **how)
    evaluated(weights, pairs, tmp_path, cache, *options)
    run_json("evaluate", weights, pairs, "--out", tmp_path / "usual", "--cache", cache, *options)
    with (
        np.load(tmp_path / "1" / "predictions.npz") as ours,
        np.load(tmp_path / "usual" / "predictions.npz") as theirs,
    ):
        assert set(ours) == set(theirs)
        for name in set(ours) - {"variant", "family"}:  # one process takes all its threads
            assert ours[name] == pytest.approx(theirs[name], abs=2e-3, nan_ok=True), name


def test_a_worker_that_dies_is_named_with_its_people_and_nothing_is_left(
    small_jobs, pairs, tmp_path, cache, monkeypatch
):
    weights = untrained.save(tmp_path / "best.safetensors", block="kpe")
    dying = functools.partial(dying_workers.predict_job, tmp_path / "died")
    monkeypatch.setattr(run_evaluation, "predict_job", dying)
    with pytest.raises(WorkerError, match=r"died at job people \d+ to \d+; .*SIGKILL"):
        ss.evaluate(weights, pairs, out=tmp_path / "out", workers=2, cache=cache, device="cpu")
    assert (tmp_path / "died").exists() and not (tmp_path / "out").exists()
