"""Bottom-up systems through the one loop, checkpoints, evaluation and prediction."""

import dataclasses
import json

import numpy as np
import pytest
import tiny
import torch
from painted_frames import painted, write_set

import synthstudio as ss
from synthstudio.api.inference import predict_to_folder
from synthstudio.core.errors import ArgumentError, ModelError, SynthStudioError
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation import storage
from synthstudio.evaluation.precision import Detections, assign, match
from synthstudio.inference.finder import Finder
from synthstudio.inference.sources import SourceImage
from synthstudio.training import checkpoint
from synthstudio.training import config as configs
from synthstudio.training.data import sources
from synthstudio.training.data.batches import InputSpec, stack_images
from synthstudio.training.data.frames import frame_kind, make_frame_batch, rotated_boxes
from synthstudio.training.data.samples import load_dataset
from synthstudio.training.data.windows import Letterbox

SYSTEMS = ("openpose", "personlab", "fcpose")
SKELETON = get_skeleton("coco17")
MORE = pytest.mark.nightly("one more system by the same code")
ONE_AND_MORE = ["fcpose", *(pytest.param(s, marks=MORE) for s in SYSTEMS if s != "fcpose")]


def config(data, system, **changes):
    network = {"head": system, "size": [96, 128], "widths": [8, 12, 16], "width": 12}
    fields = {
        "train": [{"dataset": str(data), "splits": ["train"]}],
        "val": [{"dataset": str(data), "splits": ["val"]}],
        "network": network | changes.pop("network", {}),
        "batch": 2,
        "epochs": 99,
        "steps": 6,
        "device": "cpu",
        "save_every": 2,
    }
    return configs.parse(fields | changes)


@pytest.fixture(scope="module")
def trained(sticks, once):
    def make(folder):
        for system in SYSTEMS:
            done = tiny.run(config(sticks, system), folder / system)
            assert done.finished and done.unit == "frames" and done.best is not None

    folder = once("frame systems", make)
    return {system: folder / system for system in SYSTEMS}


def test_a_batch_of_nobody_has_no_labels(sticks, tmp_path):
    settings = config(
        sticks, "openpose", train=[{"dataset": str(sticks)}], augment=tiny.STILL, val=[]
    )
    data = sources.load_data(settings, cache=tmp_path, log=lambda text: None)
    empty = dataclasses.replace(data, train=data.train.take(np.array([5, 5])))
    batch = make_frame_batch(data.train.frames, np.array([5, 5]), data.spec, settings.augment)
    assert [len(p.joints_px) for p in batch.people] == [0, 0]
    with pytest.raises(ModelError, match="no joint is labelled"):
        tiny.run(settings, tmp_path / "run", select=lambda loaded: empty)


def painted_at(image, xy):
    """The share of places at which a picture (3, H, W) differs from its ground."""
    x, y = xy.astype(int).T
    ground = np.median(image.reshape(3, -1), 1)[:, None]
    return np.mean(np.abs(image[:, y, x] - ground).max(0) > 25)


def test_labels_follow_the_augmentation(sticks, tmp_path):
    """Painted people are where their labels say, under every view; seed and step decide."""
    settings = config(sticks, "personlab", network={"size": [240, 320]})
    data = sources.load_data(settings, cache=tmp_path, log=lambda text: None)
    frames, rows = data.train.frames, np.arange(4)
    augment = settings.augment.model_copy(update={"colour": 0.0, "scale": 0.2})
    painted, control = [], []
    for step in range(3):
        batch, again = (
            make_frame_batch(frames, rows, data.spec, augment, seed=2, step=step) for _ in range(2)
        )
        assert torch.equal(batch.images, again.images)
        for image, people in zip(batch.images, batch.people, strict=True):
            assert len(people.boxes_px) == 2
            for xy, box in zip(people.joints_px, people.boxes_px, strict=True):
                inside = xy[((xy >= 0) & (xy < [320, 240])).all(1)]
                if len(inside) > 8:
                    painted.append(painted_at(image.numpy(), inside))
                    control.append(painted_at(image.numpy(), (inside + 40) % [320, 240]))
                assert (inside >= box[:2] - 4).all() and (inside <= box[:2] + box[2:] + 4).all()
    assert np.mean(painted) > 0.85 and np.mean(control) < 0.4
    straight = np.array([[1.0, 0, 0], [0, 1, 0]])
    boxes = np.array([[3.0, 5, 20, 40]])
    none = np.full((1, 17, 2), np.nan), np.full((1, 17), 255, np.uint8)
    assert rotated_boxes(boxes, straight, *none) == pytest.approx(boxes)


@pytest.mark.parametrize("system", ONE_AND_MORE)
def test_it_is_evaluated_on_the_same_people_as_with_boxes(sticks, trained, system, tmp_path):
    made = tiny.evaluated(
        trained[system] / "best.safetensors", sticks, tmp_path / "found", splits=("test",)
    )
    predictions = made.predictions
    assert len(predictions) == 4 and set(predictions.frame.tolist()) == {8, 9}
    assert set(made.found.image.tolist()) <= {8, 9}
    missed = ~np.isfinite(predictions.xy).all(-1)
    assert (predictions.score[missed] == 0).all()
    assert made.metrics["latency"]["of"] == "frame" and made.metrics["extended_precision"] == {}
    assert made.about["people_match_from_OKS"] == 0.1 and system in made.about["block"]
    again = storage.read(tmp_path / "found")
    assert np.array_equal(again.found.score, made.found.score)
    assert (tmp_path / "found" / "report.html").is_file()
    for options in ({"flip": True}, {"bank": True}, {"decode": "peak"}):
        with pytest.raises(ModelError, match="bottom-up"):
            tiny.evaluated(
                trained[system] / "best.safetensors", sticks, tmp_path / "other", **options
            )


def test_found_people_are_matched_one_to_one_by_oks():
    truth = stream(3, "people").uniform(0, 60, (3, 17, 2)) + np.array(
        [[[0, 0]], [[90, 0]], [[200, 0]]]
    )
    known, area = np.ones((3, 17), bool), np.full(3, 2500.0)
    xy = np.concatenate([truth[[1, 0, 0]] + 1, truth[2:] + 500])
    xy[0, :5] = np.nan
    found = Detections(
        image=np.array([4, 4, 4, 4]),
        xy=xy,
        joint_score=np.ones((4, 17)),
        score=np.array([0.9, 0.8, 0.7, 0.6]),
    )
    place = match(found, np.array([4, 4, 4]), truth, known, area, sigmas=SKELETON.sigmas)
    assert place[1] == 0 and place[0] in (1, 2) and place[2] == -1
    elsewhere = match(found, np.array([5, 5, 5]), truth, known, area, sigmas=SKELETON.sigmas)
    assert (elsewhere == -1).all()
    # The best sum, not the best pair first: 0.9 + 0.1 is less than 0.8 + 0.8.
    assert assign(np.array([[0.9, 0.8], [0.8, 0.1]])).tolist() == [1, 0]
    assert assign(np.zeros((0, 2))).tolist() == [-1, -1]


@pytest.mark.parametrize("system", ONE_AND_MORE)
def test_it_predicts_without_boxes(sticks, trained, system, tmp_path):
    model = ss.Model.load(trained[system], device="cpu")
    assert model.system == system and system in repr(model)
    data = ss.Dataset(sticks)
    found = model.predict([data[0].image, data[5].image[:100, :200]])
    assert set(found.picture.tolist()) <= {0, 1} and np.isnan(found.expected_oks).all()
    assert (found.joint_score[np.isnan(found.joints_px).any(-1)] == 0).all()
    done = predict_to_folder(trained[system], sticks, tmp_path / "out", device="cpu")
    entries = json.loads((tmp_path / "out" / "results.json").read_text())
    assert done["pictures"] == 10 and len(entries) == done["people"]
    for entry in entries:
        assert np.isfinite(entry["keypoints"]).all() and entry["joints"]["visible"] == [None] * 17
    for options in ({"boxes": [[0, 0, 9, 9]]}, {"flip": True}):
        with pytest.raises(ArgumentError, match="bottom-up"):
            model.predict(data[0].image, **options)
    if system != "fcpose":
        with pytest.raises(ModelError, match="can be exported"):
            model.export(tmp_path / "model.onnx")
        return
    made = model.export(tmp_path / "people.onnx")
    assert made["joints_px"] < 0.01 and made["bytes"] < 4_000_000
    finder = Finder.load(tmp_path / "people.onnx", device="cpu", min_score=0.0)
    assert finder.size == model.size
    seen = finder(SourceImage(number=0, name="a", rgb=data[0].image))
    model.net.minimum = 0.0  # it has hardly learnt
    found = model.predict(data[0].image)
    assert len(found) > 5 and seen.score[:5] == pytest.approx(found.score[:5], abs=1e-4)
    model.net.finds_joints = False
    with pytest.raises(ModelError, match="a person detector without joints"):
        model.predict(data[0].image)
    with pytest.raises(ModelError, match="not a pose network"):
        ss.Model.load(tmp_path / "people.onnx")


def test_what_does_not_fit_is_one_message(sticks, trained, tmp_path):
    write_set(tmp_path / "other", [painted(0, skeleton="coco23")])
    best = trained["openpose"] / "best.safetensors"
    for says, make in {
        "another config": lambda: tiny.run(
            config(sticks, "personlab"), trained["fcpose"], resume=True
        ),
        "not top-down with joint maps.*openpose": lambda: checkpoint.load_network(best),
    }.items():
        with pytest.raises(SynthStudioError, match=says):
            make()
    assert (
        "coco23 converted"
        in tiny.evaluated(best, tmp_path / "other", tmp_path / "e").about["notes"][0]
    )


def test_a_coco_file_is_trained_on_like_a_data_set(sticks, tmp_path):
    ss.export(ss.Dataset(sticks), "coco", tmp_path / "coco")
    file = str(tmp_path / "coco" / "annotations" / "person_keypoints_train.json")
    settings = config(sticks, "openpose", train=[{"coco": file}], val=[], augment=tiny.STILL)
    notes = []
    data = sources.load_data(settings, cache=tmp_path, log=notes.append)
    assert len(data.train) >= 2 and data.spec == InputSpec(
        size=settings.network.size, skeleton=SKELETON
    )
    batch = make_frame_batch(data.train.frames, data.train.rows[:1], data.spec, settings.augment)
    assert len(batch.people[0].joints_px) == 2
    assert tiny.run(settings, tmp_path / "run", steps=1).steps == 1


# ---- whole frames of a data set, letter-boxed


@pytest.mark.parametrize("size", [(128, 160), (256, 192), (480, 640), (96, 256)])
def test_a_letterbox_holds_the_whole_image_in_the_middle(size):
    box = Letterbox.of((240, 320), size)
    corners = box.to_frame(np.array([[0.0, 0.0], [320.0, 240.0]]))
    assert corners.min() >= -1e-9
    assert (corners[1] <= np.array(size[::-1]) + 1e-9).all()
    spare = np.array(size[::-1]) - (corners[1] - corners[0])
    assert spare.min() == pytest.approx(0, abs=1e-9)
    assert corners[0] == pytest.approx(spare / 2)
    places = np.array([[3.5, 200.25]])
    assert box.to_image(box.to_frame(places)) == pytest.approx(places)


def test_labels_lie_on_the_people_who_are_seen(sticks, tmp_path):
    """Joints and boxes against the stored labels, and joints against the stored masks."""
    dataset = Dataset(sticks)
    frames = load_dataset(sticks, frame_kind(size=(256, 192)), cache=tmp_path).samples
    assert len(frames.images) == 10
    for row, image in enumerate(stack_images(list(frames.images[:4]))):
        people, stored = frames.people_of(row), dataset.people_of(row)
        assert image.shape == (3, 256, 192)
        scale = 192 / 320
        above = (256 - 240 * scale) / 2
        assert people.joints_px == pytest.approx(stored.joints_px * scale + [0, above], abs=1e-3)
        boxes = stored.amodal_boxes_px[:, 2:] * scale
        assert people.boxes_px[:, 2:] == pytest.approx(boxes, abs=1e-3)
        inside = ((people.joints_px >= 0) & (people.joints_px < [192, 256])).all(-1)
        on = [
            stored.masks[p][
                tuple(((people.joints_px[p, j] - [0, above]) / scale).astype(int)[::-1])
            ]
            for p, j in zip(*np.nonzero(inside & (stored.state == 2)), strict=True)
        ]
        assert np.mean(on) > 0.85  # an ear's or elbow's centre may lie beside the outline
        rows = np.arange(256) + 0.5
        grey = (rows < above - 2) | (rows > 256 - above + 2)
        assert (image[:, grey] == 114).all()
        assert image[:, ~grey].float().std() > 5


def test_nobody_seen_is_nobody_taught(sticks, tmp_path):
    frames = load_dataset(sticks, frame_kind(size=(240, 320)), cache=tmp_path).samples
    people = frames.people_of(0)
    assert len(people.joints_px) == 2 and np.isfinite(people.joints_px).all()
    state = frames.state.copy()
    state[0] = 1  # all hidden
    state[1, :2] = (255, 0)  # unlabelled, outside the frame
    made = dataclasses.replace(frames, state=state).people_of(0)
    assert np.isnan(made.joints_px[0]).all() and np.isnan(made.joints_px[1, 0]).all()
    assert made.joints_px[1, 1:] == pytest.approx(people.joints_px[1, 1:])
    assert made.boxes_px == pytest.approx(people.boxes_px)
    nobody = dataclasses.replace(frames, first=np.zeros(11, np.int64)).people_of(0)
    assert nobody.joints_px.shape == (0, 17, 2)
