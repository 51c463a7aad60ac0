"""ZoomNet through the one loop, checkpoints, evaluation and prediction; what does not fit."""

import json

import made_predictions
import numpy as np
import pytest
import tiny
import torch
from painted_frames import painted, write_set

import synthstudio as ss
from synthstudio.api.inference import predict_to_folder
from synthstudio.core.errors import ArgumentError, SynthStudioError
from synthstudio.core.whole_body import PARTS
from synthstudio.evaluation import storage
from synthstudio.inference.finder import _best
from synthstudio.inference.live import OneEuro, filtered
from synthstudio.models.zoomnet import ZoomNet
from synthstudio.training import checkpoint

HANDS = slice(PARTS["left_hand"].start, PARTS["right_hand"].stop)
STEPS = 4


def config(data, **changes):
    network = {"head": "zoomnet", "size": [64, 48]} | changes.pop("network", {})
    fields = {
        "train": [{"dataset": str(data), "splits": ["train"]}],
        "val": [{"dataset": str(data), "splits": ["val"]}],
        "network": network,
        "steps": STEPS,
        "save_every": 2,
    }
    return tiny.config(data, **fields | changes)


@pytest.fixture(scope="module")
def trained(whole_bodies, tmp_path_factory):
    out = tmp_path_factory.mktemp("zoomnet") / "run"
    done = tiny.run(config(whole_bodies), out)
    assert done.finished and done.unit == "people" and done.best is not None
    return out


def test_a_run_is_stored_as_what_it_is(whole_bodies, trained):
    net, stored, skeleton = checkpoint.load_any(trained / "last.safetensors")
    assert (
        isinstance(net, ZoomNet) and skeleton.name == "coco133" and stored == config(whole_bodies)
    )
    assert net.cells == 16 and list((trained / "pictures").glob("*.png"))


def test_it_is_evaluated_and_parts_that_it_takes_to_be_outside_are_missed(
    whole_bodies, trained, tmp_path
):
    weights = trained / "last.safetensors"
    made = tiny.evaluated(weights, whole_bodies, tmp_path / "all")
    found = made.predictions
    assert made.about["block"] == "zoomnet, pyramid 64x48"
    assert found.xy.shape == (24, 133, 2) and np.isfinite(found.score).all()
    assert np.isnan(found.present[:, :23]).all() and np.isfinite(found.present[:, 23:]).all()
    assert made.metrics["latency"]["parameters"] > 1e4 and "attention" not in made.metrics
    assert set(made.metrics["whole_body"]) >= {"body", "foot", "face", "hands", "whole"}
    assert made.metrics["localization"]["all"]["PCK@0.1"]["value"] > 0
    assert storage.read(tmp_path / "all").metrics["counts"]["people"] == 24
    peaks = tiny.evaluated(weights, whole_bodies, tmp_path / "peaks", decode="peak").predictions
    assert (peaks.xy != found.xy).any() and (peaks.score[:, :23] < found.score[:, :23]).all()
    for options in ({"flip": True}, {"bank": True}):
        with pytest.raises(SynthStudioError, match=r"windows.*Leave (it|these) out"):
            tiny.evaluated(weights, whole_bodies, tmp_path / "refused", **options)

    net, settings, skeleton = checkpoint.load_any(weights)
    net.present.bias.data[:] = torch.tensor([30.0, -30.0, -30.0])
    handless = tmp_path / "handless.safetensors"
    checkpoint.save_weights(handless, net, settings, skeleton=skeleton, note="")
    none = tiny.evaluated(handless, whole_bodies, tmp_path / "handless")
    assert np.isnan(none.predictions.xy[:, HANDS]).all()
    assert np.isfinite(none.predictions.xy[:, : HANDS.start]).all()
    assert (none.predictions.score[:, HANDS] == 0).all()
    assert none.metrics["whole_body"]["hands"]["AP"] == 0
    hands = [none.metrics["by_joint"][name]["all"] for name in skeleton.joints[HANDS]]
    assert set(hands) == {0.0}  # missed, not left out


def test_it_predicts_people_in_boxes(whole_bodies, trained, tmp_path):
    model, data = ss.Model.load(trained, device="cpu"), ss.Dataset(whole_bodies)
    assert model.system == "zoomnet" and "zoomnet" in repr(model) and not model.sees_frames
    model.net.present.bias.data[:] = torch.tensor([30.0, 30.0, -30.0])
    boxes = data[0].people.amodal_boxes_px
    found = model.predict(data[0].image, boxes=boxes)
    right = PARTS["right_hand"]
    assert found.joints_px.shape == (len(boxes), 133, 2)
    assert np.isnan(found.joints_px[:, right]).all() and (found.joint_score[:, right] == 0).all()
    assert (found.in_picture[:, right] < 0.5).all() and (found.in_picture[:, 23:112] > 0.5).all()
    assert np.isfinite(found.joints_px[:, : right.start]).all()
    with pytest.raises(ArgumentError, match=r"from separate windows.*Leave out flip"):
        model.predict(data[0].image, boxes=boxes, flip=True)
    with pytest.raises(SynthStudioError, match=r"can be exported.*zoomnet"):
        model.export(tmp_path / "model.onnx")
    done = predict_to_folder(trained, whole_bodies, tmp_path / "out", device="cpu")
    entries = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(entries) == done["people"] == 24
    assert all(np.isfinite(entry["keypoints"]).all() for entry in entries)


def test_a_part_outside_makes_nobody_less_sure_or_alike():
    """Joints without a place are no sign of doubt, nor that two people are the same one."""

    def person(x, *, hands):
        xy, score = np.tile([x, 50.0], (133, 1)), np.full(133, 0.8)
        xy[:, 1] += np.arange(133)
        if not hands:
            xy[HANDS], score[HANDS] = np.nan, 0.0
        return made_predictions.person(xy, [x - 20, 40.0, 40, 150], score=score)

    people = [person(60.0, hands=False), person(260.0, hands=True), person(60.5, hands=True)]
    assert [p.confidence for p in people] == pytest.approx([0.8] * 3)
    assert _best(people[:2]) == people[:2] and len(_best(people)) == 2
    size = {"size_px": 100.0}
    first = filtered(OneEuro(), None, people[0].xy, time_s=0.0, **size)
    again = filtered(OneEuro(), first, people[2].xy, time_s=0.1, **size)
    assert (again.xy[HANDS] == people[2].xy[HANDS]).all() and np.isfinite(again.velocity).all()
    assert ((again.xy[: HANDS.start, 0] > 60) & (again.xy[: HANDS.start, 0] < 60.5)).all()
    gone = filtered(OneEuro(), again, people[0].xy, time_s=0.2, **size)
    assert np.isnan(gone.xy[HANDS]).all() and np.isfinite(gone.xy[: HANDS.start]).all()


def test_what_does_not_fit_is_one_message(whole_bodies, trained, tmp_path):
    write_set(tmp_path / "bodies", [painted(i, skeleton="coco17") for i in range(2)])
    bodies, weights = [{"dataset": str(tmp_path / "bodies")}], trained / "best.safetensors"
    other = {"network": {"head": "orn"}}
    for says, make in {
        r"whole bodies.*people of the skeleton coco133; got coco17": lambda: tiny.run(
            config(whole_bodies, train=bodies, val=[]), tmp_path / "run"
        ),
        "not top-down with joint maps.*zoomnet": lambda: checkpoint.load_network(weights),
        r"the run has another config.*changed: network": lambda: tiny.run(
            config(whole_bodies, **other), trained, resume=True
        ),
    }.items():
        with pytest.raises(SynthStudioError, match=says):
            make()
    assert not (tmp_path / "run").exists()
    other = tiny.evaluated(weights, tmp_path / "bodies", tmp_path / "e")
    assert "coco17 converted to coco133; missing: left_big_toe" in other.about["notes"][0]
